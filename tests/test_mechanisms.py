"""Each mechanism says what its document prints, through each protocol's lines; what a server says
inside of OAuth's; and the table. SCRAM has a file of its own, tests/test_scram.py."""

import base64
import json
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogues import (
    DIALECTS,
    LINES,
    VECTORS,
    credentials_of,
    mechanism_of,
    named,
    play,
    said,
    terms,
)
from securemail.errors import PolicyError
from securemail.sasl.credentials import Anonymous, External, Password
from securemail.sasl.exchange import Exchange
from securemail.sasl.mechanism import Broken, Refusal
from securemail.sasl.mechanisms import DEFAULT, KNOWN
from securemail.sasl.oauth import read_error
from securemail.sasl.token import Token
from servers.leaks import leaks
from servers.shown import shown_of

OAUTH = ("OAUTHBEARER", "XOAUTH2")
TOKEN = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
SECRET = "Tr0ub4dor_and_3_horses"
ERROR = b'{"status":"invalid_token","scope":"mail"}'

vectors = pytest.mark.parametrize("vector", VECTORS, ids=named)


def bearer(name: str, user: str = "ada@example.org", **changes: Any) -> Any:
    return KNOWN[name](Token(user, TOKEN), terms(**changes))


# --- as the documents have it ----------------------------------------------------------------


@vectors
def test_the_dialogue_of_the_document(vector: dict[str, Any]) -> None:
    mechanism = mechanism_of(vector)

    assert play(vector, mechanism) == [said(x, "C") for x in vector["dialogue"] if x[0] == "C"]

    is_complete = vector["outcome"] == "complete"
    assert mechanism.is_complete is is_complete
    if not is_complete:
        assert str(mechanism.refusal) == vector["outcome"]


@vectors
def test_another_secret_or_name_is_another_dialogue(vector: dict[str, Any]) -> None:
    """The control of the one above: it depends on the credentials."""
    for what in ("user", "password", "token", "trace"):
        if what not in vector:
            continue
        changed = {**vector, what: vector[what] + "x"}
        expected = [said(x, "C") for x in vector["dialogue"] if x[0] == "C"]
        try:
            assert play(changed, mechanism_of(changed)) != expected, what
        except Broken:
            assert vector["mechanism"].startswith("SCRAM")  # the server's proof is for another


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["vector"])
def test_the_line_of_the_document(line: dict[str, Any]) -> None:
    (vector,) = (vector for vector in VECTORS if vector["name"] == line["vector"])
    exchange = Exchange(DIALECTS["imap"], mechanism_of(vector), initial=False)
    sent = exchange.command().reveal()
    assert sent == f"AUTHENTICATE {vector['mechanism']}".encode()
    first = vector["dialogue"][0]
    challenge = said(first, "S") if first.startswith("S ") else b""
    assert exchange.respond(base64.b64encode(challenge)).reveal() == line["shown"].encode()


@vectors
@pytest.mark.parametrize("protocol", DIALECTS)
@pytest.mark.parametrize("initial", [True, False])
def test_through_each_protocols_lines(vector: dict[str, Any], protocol: str, initial: bool) -> None:
    """The same dialogue, whether the initial response stands on the command line or waits to be
    asked for."""
    dialect, mechanism = DIALECTS[protocol], mechanism_of(vector)
    exchange = Exchange(dialect, mechanism, initial=initial)
    lines = [said(line, "C") for line in vector["dialogue"] if line.startswith("C ")]
    challenges = [said(line, "S") for line in vector["dialogue"] if line.startswith("S ")]
    command = f"{dialect.command} {vector['mechanism']}".encode()
    first = exchange.command().reveal()
    if vector["dialogue"][0].startswith("C "):
        inline = command + b" " + (base64.b64encode(lines[0]) or b"=")
        if initial and len(inline) + 2 <= dialect.longest:
            assert first == inline
            lines = lines[1:]
        else:
            assert first == command
            assert exchange.sent == ""
            challenges = [b"", *challenges]
    answers = [exchange.respond(base64.b64encode(challenge)).reveal() for challenge in challenges]
    assert answers == [base64.b64encode(line) for line in lines]
    if vector["outcome"] == "complete":
        exchange.finish(b"2.7.0 Authentication successful")
    else:
        with pytest.raises(Broken, match=r"before .* was done"):
            exchange.finish(b"2.7.0 Authentication successful")


@vectors
def test_nothing_is_left_to_say_at_the_end(vector: dict[str, Any]) -> None:
    mechanism = mechanism_of(vector)
    exchange = Exchange(DIALECTS["smtp"], mechanism, initial=True)
    exchange.command()
    for line in vector["dialogue"]:
        if line.startswith("S "):
            exchange.respond(base64.b64encode(said(line, "S")))
    before = mechanism.is_complete
    # OAuth's one challenge is the error; only a second one is too many.
    if vector["mechanism"] in OAUTH and vector["outcome"] == "complete":
        exchange.respond(base64.b64encode(ERROR))
        before = False
    if getattr(mechanism, "has_one_message", False) and not vector["dialogue"][1:]:
        exchange.respond(b"")  # the same once more: some servers pass over an initial response
    with pytest.raises(Broken, match=f"went on asking after {vector['mechanism']} was done"):
        exchange.respond(b"")
    assert before or not mechanism.is_complete


@vectors
def test_success_is_not_believed_before_the_end(vector: dict[str, Any]) -> None:
    """After each line of ours that is not the last one."""
    lines = [line for line in vector["dialogue"] if line.startswith("S ")]
    for answered in range(len(lines)):
        mechanism = mechanism_of(vector)
        exchange = Exchange(DIALECTS["smtp"], mechanism, initial=True)
        exchange.command()
        for line in lines[:answered]:
            exchange.respond(base64.b64encode(said(line, "S")))
        if vector["mechanism"] in OAUTH and answered == 0:
            exchange.finish(b"2.7.0 Accepted")  # as OAuth has it where there is no error
        else:
            with pytest.raises(Broken, match=r"said success before|gave no proof"):
                exchange.finish(b"2.7.0 Accepted")  # which happens to be base64
            assert not mechanism.is_complete


@pytest.mark.parametrize("protocol", DIALECTS)
def test_an_initial_response_that_is_too_long_for_the_line_waits(protocol: str) -> None:
    dialect = DIALECTS[protocol]
    for length in range(dialect.longest - 600, dialect.longest, 97):
        for name in OAUTH:
            mechanism = KNOWN[name](Token("ada@example.org", "x" * max(length, 1)), terms())
            exchange = Exchange(dialect, mechanism, initial=True)
            line = exchange.command().reveal()
            assert len(line) + 2 <= dialect.longest
            is_held = line == f"{dialect.command} {name}".encode()
            assert exchange.sent == ("" if is_held else "the token")
            if is_held:
                assert b"x" * length in base64.b64decode(exchange.respond(b"").reveal())
                assert exchange.sent == "the token"


# --- what was sent ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "credentials", "after"),
    [
        ("PLAIN", Password("ada", "lovelace"), "the password"),
        ("EXTERNAL", External("ada"), ""),
        ("ANONYMOUS", Anonymous("ada"), ""),
        ("OAUTHBEARER", Token("ada", TOKEN), "the token"),
        ("XOAUTH2", Token("ada", TOKEN), "the token"),
        ("SCRAM-SHA-256", Password("ada", "lovelace"), ""),
    ],
)
def test_sent_says_what_the_server_has(name: str, credentials: Any, after: str) -> None:
    mechanism = KNOWN[name](credentials, terms())
    assert mechanism.sent == ""
    assert not mechanism.is_complete
    mechanism.start()
    assert mechanism.sent == after


# --- EXTERNAL, ANONYMOUS ---------------------------------------------------------------------


def test_an_empty_initial_response_is_not_none() -> None:
    for name, credentials in (("EXTERNAL", External()), ("ANONYMOUS", Anonymous())):
        mechanism = KNOWN[name](credentials, terms())
        assert mechanism.start() == b""
        line = Exchange(DIALECTS["imap"], KNOWN[name](credentials, terms()), initial=True)
        assert line.command().reveal() == f"AUTHENTICATE {name} =".encode()


def test_names_go_as_utf_8() -> None:
    assert KNOWN["EXTERNAL"](External("jürgen"), terms()).start() == "jürgen".encode()
    assert KNOWN["ANONYMOUS"](Anonymous("jürgen"), terms()).start() == "jürgen".encode()


@pytest.mark.parametrize("text", ["a\0b", "a\r\nb", "a\nb"])
def test_names_that_would_end_a_message_are_refused(text: str) -> None:
    for make in (External, Anonymous):
        with pytest.raises(PolicyError):
            make(text)


# --- OAuth -----------------------------------------------------------------------------------


def test_the_name_is_escaped_in_oauthbearer_alone() -> None:
    assert b"n,a=a=2Cb=3Dc,\x01" in bearer("OAUTHBEARER", "a,b=c").start()
    assert b"user=a,b=c\x01" in bearer("XOAUTH2", "a,b=c").start()


@pytest.mark.parametrize("name", OAUTH)
def test_a_name_that_would_add_a_field_is_refused(name: str) -> None:
    with pytest.raises(PolicyError) as caught:
        bearer(name, "ada\x01auth=Bearer evil")
    assert caught.value.code == "credentials-malformed"
    assert b"auth=Bearer " + TOKEN.encode() in bearer(name, "ada").start()


@pytest.mark.parametrize(("name", "answer"), [("OAUTHBEARER", b"\x01"), ("XOAUTH2", b"")])
def test_an_error_is_answered_once_and_never_complete_again(name: str, answer: bytes) -> None:
    mechanism = bearer(name)
    mechanism.start()
    assert mechanism.is_complete
    assert mechanism.refusal is None
    assert mechanism.answer(ERROR) == answer
    assert mechanism.refusal == Refusal("invalid_token", (("scope", "mail"),))
    assert not mechanism.is_complete
    assert mechanism.answer(ERROR) is None
    assert not mechanism.is_complete


@pytest.mark.parametrize("name", OAUTH)
def test_success_after_an_error_is_not_believed(name: str) -> None:
    exchange = Exchange(DIALECTS["imap"], bearer(name), initial=True)
    exchange.command()
    exchange.respond(base64.b64encode(ERROR))
    with pytest.raises(Broken, match="said success before"):
        exchange.finish(b"Logged in")


STRANGE = {
    "empty": b"",
    "no JSON": b"Sorry!",
    "not UTF-8": b'{"status": "\xff"}',
    "a list": b'["status"]',
    "a text": b'"status"',
    "a number": b"400",
    "null": b"null",
    "nested deep": b"[" * 4000,
    "objects nested deep": b'{"a":' * 1300,
    "an endless number": b'{"status": ' + b"9" * 7000 + b"}",
    "a status that is no text": b'{"status": 401}',
    "a status that is a list": b'{"status": ["invalid_token"]}',
    "an empty status": b'{"status": ""}',
    "too large": b'{"status": "' + b"x" * 9000 + b'"}',
    "half of it": ERROR[:-1],
    "twice": ERROR + ERROR,
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_json_is_unreadable_and_no_trouble(name: str) -> None:
    mechanism = bearer("OAUTHBEARER")
    mechanism.start()
    assert mechanism.answer(STRANGE[name]) == b"\x01"
    assert mechanism.refusal == Refusal("unreadable")
    assert str(mechanism.refusal) == "unreadable"


def test_only_text_members_are_told() -> None:
    found = {"status": "400", "n": 1, "list": ["x"], "none": None, "o": {"x": "y"}, "scope": "s"}
    found |= {"openid-configuration": ""}
    assert read_error(json.dumps(found).encode(), ()) == Refusal("400", (("scope", "s"),))


def test_a_refusal_is_short_and_printable() -> None:
    many = {"status": "\x1b[2Jx\n", **{f"k{n}": "\u202ey" * 1000 for n in range(3)}}
    refusal = read_error(json.dumps(many, ensure_ascii=True).encode()[:8192], ())
    assert refusal == Refusal("unreadable"), "cut in two, so not JSON"
    many = {"status": "\x1b[2Jx\n", **{f"k{n}": "\u202ey" * 200 for n in range(9)}}
    refusal = read_error(json.dumps(many, ensure_ascii=False).encode(), ())
    assert refusal.status == "\\x1b[2Jx\\n"
    assert len(refusal.details) == 8
    assert all(len(text) <= 300 and text.isprintable() for _, text in refusal.details)


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("status"), inner),
    ).map(lambda found: json.dumps(found).encode())
)
def test_whatever_the_error_is_the_sign_in_ends_well(challenge: bytes) -> None:
    mechanism = bearer("XOAUTH2")
    mechanism.start()
    assert mechanism.answer(challenge) == b""
    assert not mechanism.is_complete
    assert mechanism.refusal.status
    assert str(mechanism.refusal).isprintable()


@pytest.mark.parametrize("name", OAUTH)
def test_a_token_that_the_server_repeats_is_not_shown(name: str) -> None:
    escaped = "".join(f"\\u{ord(character):04x}" for character in TOKEN)
    encoded = base64.b64encode(b"x" + TOKEN.encode()).decode()
    for echo in (f"Bearer {TOKEN}", escaped, encoded):
        for error in (f'{{"status":"{echo}"}}', f'{{"{echo}":"x"}}', f'{{"scope":"{echo}"}}'):
            mechanism = bearer(name)
            mechanism.start()
            mechanism.answer(error.encode())
            assert leaks(repr(mechanism.refusal).encode(), TOKEN) == [], error
            assert "<secret>" in repr(mechanism.refusal) or error.startswith('{"scope'), error


# --- the table -------------------------------------------------------------------------------


def test_the_order_is_by_strength() -> None:
    assert DEFAULT == (
        "SCRAM-SHA-512-PLUS",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "OAUTHBEARER",
        "XOAUTH2",
        "EXTERNAL",
        "ANONYMOUS",
        "PLAIN",
        "LOGIN",
    )


def test_cram_md5_is_known_and_never_chosen_by_itself() -> None:
    assert set(KNOWN) - set(DEFAULT) == {"CRAM-MD5"}


def test_every_name_in_the_table_is_the_mechanisms_own() -> None:
    for name, cls in KNOWN.items():
        assert cls.name == name
        assert cls.takes in (Password, Token, External, Anonymous)
    tested = {vector["mechanism"] for vector in VECTORS}
    assert set(KNOWN) - tested == {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"}  # test_scram.py


# --- secrets ---------------------------------------------------------------------------------


class Stop(Exception):
    """Raised in the middle of things, to look at the frames."""


def stop(octets: bytes) -> bytes:
    raise Stop


def with_secret(vector: dict[str, Any]) -> dict[str, Any]:
    """The vector with a secret that is no word of the code, and that starts no line of ours."""
    return {**vector, **{what: SECRET for what in ("password", "token") if what in vector}}


@vectors
def test_no_repr_shows_a_secret(vector: dict[str, Any]) -> None:
    mechanism, credentials = mechanism_of(with_secret(vector)), credentials_of(with_secret(vector))
    with suppress(Broken):  # SCRAM's server knows another password
        play(vector, mechanism)
    assert leaks(f"{mechanism!r} {vars(mechanism)!r} {credentials!r}".encode(), SECRET) == []


@vectors
def test_no_frame_of_ours_shows_a_secret(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised while a line is made, as by a signal: here where it is to be encoded."""
    servers = [said(words, "S") for words in vector["dialogue"] if words.startswith("S ")]
    # SCRAM's server knows another password, so its second line is never answered.
    servers = servers[:1] if vector["mechanism"].startswith("SCRAM") else servers
    starts = vector["dialogue"][0].startswith("C ")
    for line in range(0 if starts else 1, 1 + len(servers)):
        exchange = Exchange(DIALECTS["imap"], mechanism_of(with_secret(vector)), initial=True)
        steps = [exchange.command]
        steps += [partial(exchange.respond, base64.b64encode(words)) for words in servers]
        for step in steps[:line]:
            step()
        with monkeypatch.context() as patched, pytest.raises(Stop) as caught:
            patched.setattr("securemail.sasl.exchange.encode", stop)
            steps[line]()
        shown = shown_of(caught.value)
        assert b"'self': '<securemail.sasl.exchange" in shown, "the control: our frames are there"
        assert leaks(shown, SECRET) == []
