"""The rules of `sasl.exchange`, each alone and to the octet; no connection.

Through whole connections: tests/test_scram_sign_in.py and tests/test_sign_in_refusals.py.
"""

import base64
from typing import Any

import pytest

from securemail.sasl.exchange import Dialect, Exchange
from securemail.sasl.mechanism import Broken

MOST_ROUNDS, LONGEST_CHALLENGE = 10, 65_536


class Echo:
    """A mechanism that begins with `first` and answers with what it is asked, `steps` times."""

    name = "ECHO"

    def __init__(self, first: bytes | None = None, steps: int = 1000, **more: Any) -> None:
        self.first, self.steps = first, steps
        self.asked: list[bytes] = []
        vars(self).update(more)

    @property
    def is_complete(self) -> bool:
        return len(self.asked) >= self.steps

    def start(self) -> bytes | None:
        return self.first

    def answer(self, challenge: bytes) -> bytes | None:
        if self.is_complete:
            return None
        self.asked.append(challenge)
        return challenge


def exchange(mechanism: Echo, *, initial: bool = True, **dialect: Any) -> Exchange:
    return Exchange(Dialect("AUTH", "smtp", **dialect), mechanism, initial=initial)


def b64(words: bytes) -> bytes:
    return base64.b64encode(words)


# -- the command


def test_without_a_first_message_the_command_is_alone() -> None:
    for initial in (True, False):
        one = exchange(Echo(), initial=initial)
        assert one.command().reveal() == b"AUTH ECHO"
        assert one.respond(b64(b"who?")).reveal() == b64(b"who?")


def test_an_empty_first_message_is_written_as_the_dialect_has_it() -> None:
    assert exchange(Echo(b"")).command().reveal() == b"AUTH ECHO ="
    assert exchange(Echo(b""), empty=b"+").command().reveal() == b"AUTH ECHO +"
    assert Dialect("AUTH", "pop").cancel == b"*"


def line_of(octets: int) -> tuple[Echo, bytes]:
    """A mechanism whose command with its first message has that many octets, its end included."""
    groups, rest = divmod(octets - len("AUTH ") - len(" ") - len("\r\n") - 1, 4)
    mechanism = Echo(bytes(3 * groups))
    mechanism.name = "E" * (1 + rest)  # type: ignore[misc]
    return mechanism, f"AUTH {mechanism.name} ".encode() + b64(bytes(3 * groups))


@pytest.mark.parametrize("longest", [None, 255, 8192, 12_288])
@pytest.mark.parametrize("beyond", [-1, 0, 1, 2])
def test_a_first_message_stands_on_the_command_line_as_long_as_that_fits(
    longest: int | None, beyond: int
) -> None:
    """With the line's end: RFC 5034 4 has 255 octets, RFC 4954 4 has 12,288; else it is 8,192."""
    mechanism, line = line_of((longest or 8192) + beyond)
    one = exchange(mechanism, **({} if longest is None else {"longest": longest}))
    if beyond <= 0:
        assert one.command().reveal() == line
        return
    # Then the first challenge is answered with it, whatever that says.
    assert one.command().reveal() == f"AUTH {mechanism.name}".encode()
    assert one.sent == ""
    assert one.respond(b"no base64!").reveal() == line.split()[-1]
    assert one.sent == "a part of the credentials"


def test_where_no_initial_response_is_taken_it_waits() -> None:
    one = exchange(Echo(b"first", steps=1), initial=False)
    assert one.command().reveal() == b"AUTH ECHO"
    assert one.sent == ""
    with pytest.raises(Broken, match="success before ECHO was done"):
        one.finish(b"")
    assert one.respond(b"").reveal() == b64(b"first")
    assert one.sent != ""


def test_what_the_server_has_is_in_the_mechanism_s_words() -> None:
    one = exchange(Echo(b"first", sent="the password"))
    one.command()
    assert one.sent == "the password"


# -- challenges


def test_ten_challenges_are_answered_and_not_one_more() -> None:
    one = exchange(Echo())
    one.command()
    for number in range(MOST_ROUNDS):
        assert one.respond(b64(b"%d" % number)).reveal() == b64(b"%d" % number)
    with pytest.raises(Broken, match=r"^asked more than 10 times$"):
        one.respond(b64(b"again"))


def test_a_challenge_of_64_kib_is_read_and_none_that_is_longer() -> None:
    one = exchange(Echo())
    one.command()
    longest = b64(bytes(LONGEST_CHALLENGE // 4 * 3))
    assert len(longest) == LONGEST_CHALLENGE
    assert one.respond(longest).reveal() == longest
    with pytest.raises(Broken, match=r"^sent a challenge of more than 65536 octets$"):
        one.respond(longest + b"=")


def test_a_challenge_that_is_no_base64() -> None:
    one = exchange(Echo())
    one.command()
    with pytest.raises(Broken, match=r"^sent a challenge that is not base64$"):
        one.respond(b"who?")


def test_a_challenge_after_the_end() -> None:
    one = exchange(Echo(steps=1))
    one.command()
    one.respond(b64(b"who?"))
    with pytest.raises(Broken, match=r"^went on asking after ECHO was done$"):
        one.respond(b64(b"who?"))


# -- success


def test_success_is_believed_when_the_mechanism_is_done() -> None:
    one = exchange(Echo(steps=1))
    one.command()
    with pytest.raises(Broken, match=r"^said success before ECHO was done$"):
        one.finish(b"")
    one.respond(b64(b"who?"))
    assert one.finish(b"") is None


@pytest.mark.parametrize(
    ("words", "proof"),
    [
        (b"welcome " + b64(b"v=proof"), b"v=proof"),
        (b64(b"v=proof"), b"v=proof"),
        (b"welcome", b""),  # no base64
        (b"", b""),
    ],
)
def test_a_proof_may_come_with_the_success(words: bytes, proof: bytes) -> None:
    mechanism = Echo(steps=1, awaits_proof=True)
    one = exchange(mechanism)
    one.command()
    one.finish(words)
    assert mechanism.asked == [proof]


def test_no_proof_is_looked_for_where_none_is_awaited_or_nothing_was_sent() -> None:
    done = Echo(steps=0)
    one = exchange(done)
    one.command()
    one.finish(b64(b"v=proof"))
    assert done.asked == []
    held = Echo(b"first", steps=1, awaits_proof=True)
    one = exchange(held, initial=False)
    one.command()
    with pytest.raises(Broken, match="before ECHO was done"):
        one.finish(b64(b"v=proof"))
    assert held.asked == []
