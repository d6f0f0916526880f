"""Which way to sign in is taken, for every combination of credentials, offer, policy and channel.

The choice is a pure function: no server is here. That nothing else is sent afterwards is shown on
the wire, in the tests of the sign-in itself.
"""

from typing import Any

import pytest

from securemail import (
    Anonymous,
    AuthPolicy,
    CredentialsRefused,
    External,
    Password,
    PolicyError,
    Token,
)
from securemail.sasl.choose import (
    IN_CLEAR,
    Line,
    Offer,
    PassedOver,
    alternatives,
    choose_mechanism,
    name_of,
    say_how,
    takes,
    usable,
)

PASSWORD = Password("ada", "a long secret")
UNUSUAL = Password("ada", "pässwörd")
TOKEN = Token("ada", "ya29.token")
DEFAULT = AuthPolicy().mechanisms
VERIFIED = Line(no_binding="TLS 1.3 has none")
BOUND = Line(no_binding=None)
MUST_BIND = Line(no_binding=None, must_bind=True)
MUST_BIND_IN_VAIN = Line(no_binding="Ed25519 has no hash", must_bind=True)
LOOPBACK = Line(in_clear=IN_CLEAR)
APOP_ALONE = Line(in_clear=frozenset({"APOP"}))


def offer(*mechanisms: str, commands: tuple[str, ...] = (), **notes: str) -> Offer:
    return Offer(mechanisms=mechanisms, commands=commands, notes=tuple(notes.items()))


def chosen(credentials: Any, offered: Offer, line: Line = VERIFIED, wanted: Any = DEFAULT) -> str:
    return name_of(choose_mechanism(credentials, offered, wanted, line))


EVERY = offer(
    *("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "ANONYMOUS"),
    *("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    *("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"),
    commands=("USER", "APOP"),
)

TAKEN: dict[str, tuple[Any, Offer, Line, Any, str]] = {
    "the strongest, bound": (PASSWORD, EVERY, BOUND, DEFAULT, "SCRAM-SHA-512-PLUS"),
    "the strongest, not bound": (PASSWORD, EVERY, VERIFIED, DEFAULT, "SCRAM-SHA-512"),
    "a bound SHA-1 before an unbound SHA-256": (
        *(PASSWORD, offer("SCRAM-SHA-256", "SCRAM-SHA-1-PLUS"), BOUND, DEFAULT),
        "SCRAM-SHA-1-PLUS",
    ),
    "it must be bound": (PASSWORD, EVERY, MUST_BIND, DEFAULT, "SCRAM-SHA-512-PLUS"),
    "PLAIN before LOGIN": (PASSWORD, offer("LOGIN", "PLAIN"), VERIFIED, DEFAULT, "PLAIN"),
    "SCRAM before PLAIN, whatever the order": (
        *(PASSWORD, offer("PLAIN", "SCRAM-SHA-1"), VERIFIED, DEFAULT),
        "SCRAM-SHA-1",
    ),
    "the caller's own rank": (PASSWORD, EVERY, BOUND, ("LOGIN", "SCRAM-SHA-256"), "LOGIN"),
    "the command, where no mechanism is": (
        *(PASSWORD, offer(commands=("LOGIN",)), VERIFIED, DEFAULT),
        "LOGIN",
    ),
    "a mechanism before the command": (
        *(PASSWORD, offer("LOGIN", commands=("USER",)), VERIFIED, DEFAULT),
        "LOGIN",
    ),
    "APOP where it is named": (PASSWORD, EVERY, VERIFIED, ("APOP",), "APOP"),
    "APOP where it is named, in its rank": (PASSWORD, EVERY, VERIFIED, ("APOP", "PLAIN"), "APOP"),
    "CRAM-MD5 where it is named": (PASSWORD, EVERY, VERIFIED, ("CRAM-MD5",), "CRAM-MD5"),
    "a token": (TOKEN, EVERY, VERIFIED, DEFAULT, "OAUTHBEARER"),
    "a token, the older way": (TOKEN, offer("PLAIN", "XOAUTH2"), VERIFIED, DEFAULT, "XOAUTH2"),
    "a certificate": (External(), EVERY, Line(has_certificate=True), DEFAULT, "EXTERNAL"),
    "nobody": (Anonymous(), EVERY, VERIFIED, DEFAULT, "ANONYMOUS"),
    "on this computer without TLS": (PASSWORD, EVERY, LOOPBACK, DEFAULT, "PLAIN"),
    "on this computer, by command": (
        *(PASSWORD, offer(commands=("USER",)), LOOPBACK, DEFAULT),
        "USER",
    ),
    "APOP in clear": (PASSWORD, EVERY, APOP_ALONE, ("APOP", "PLAIN"), "APOP"),
    "other characters": (UNUSUAL, offer("PLAIN", commands=("USER",)), VERIFIED, DEFAULT, "PLAIN"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_way_is_taken(name: str) -> None:
    credentials, offered, line, wanted, expected = TAKEN[name]
    assert chosen(credentials, offered, line, AuthPolicy(mechanisms=wanted).mechanisms) == expected


NONE_LEFT: dict[str, tuple[Any, Offer, Line, Any, tuple[str, str]]] = {
    "CRAM-MD5 alone is never taken by itself": (
        *(PASSWORD, offer("CRAM-MD5"), VERIFIED, DEFAULT),
        ("PLAIN", "not offered"),
    ),
    "APOP alone is never taken by itself": (
        *(PASSWORD, offer(commands=("APOP",)), VERIFIED, DEFAULT),
        ("PLAIN", "not offered"),
    ),
    "a token is no password": (
        *(TOKEN, offer("PLAIN", "LOGIN", commands=("USER",)), VERIFIED, DEFAULT),
        ("OAUTHBEARER", "not offered"),
    ),
    "a password is no token": (
        *(PASSWORD, offer("XOAUTH2"), VERIFIED, DEFAULT),
        ("PLAIN", "not offered"),
    ),
    "no binding where there must be one": (
        *(PASSWORD, EVERY, MUST_BIND_IN_VAIN, DEFAULT),
        ("SCRAM-SHA-256-PLUS", "no channel binding: Ed25519 has no hash"),
    ),
    "nothing bound is offered where it must be": (
        *(PASSWORD, offer("SCRAM-SHA-256", "PLAIN"), MUST_BIND, DEFAULT),
        ("PLAIN", 'the policy says channel_binding="require", and this has none'),
    ),
    "a token cannot be bound": (
        *(TOKEN, EVERY, MUST_BIND, DEFAULT),
        ("OAUTHBEARER", 'the policy says channel_binding="require", and this has none'),
    ),
    "the command is the password too": (
        *(PASSWORD, offer(commands=("LOGIN",)), VERIFIED, ("SCRAM-SHA-256",)),
        ("SCRAM-SHA-256", "not offered"),
    ),
    "the command is forbidden": (
        *(PASSWORD, offer("X", LOGIN="the server says LOGINDISABLED"), VERIFIED, DEFAULT),
        ("the LOGIN command", "the server says LOGINDISABLED"),
    ),
    "the command is bound to nothing": (
        *(PASSWORD, offer(commands=("LOGIN",)), MUST_BIND, DEFAULT),
        ("the LOGIN command", 'the policy says channel_binding="require", and this has none'),
    ),
    "the command takes ASCII only": (
        *(UNUSUAL, offer(commands=("LOGIN",)), VERIFIED, DEFAULT),
        (
            "the LOGIN command",
            "it takes ASCII only, and the user name or the password has other characters",
        ),
    ),
    "SCRAM never in clear": (
        *(PASSWORD, offer("SCRAM-SHA-256"), LOOPBACK, DEFAULT),
        ("SCRAM-SHA-256", "never without verified TLS"),
    ),
    "CRAM-MD5 never in clear": (
        *(PASSWORD, offer("CRAM-MD5"), LOOPBACK, ("CRAM-MD5",)),
        ("CRAM-MD5", "never without verified TLS"),
    ),
    "APOP's exception is for APOP": (
        *(PASSWORD, EVERY, APOP_ALONE, ("PLAIN", "LOGIN")),
        ("PLAIN", "never without verified TLS"),
    ),
    "APOP in clear only where it is named": (
        *(PASSWORD, EVERY, APOP_ALONE, DEFAULT),
        ("PLAIN", "never without verified TLS"),
    ),
    "loopback's exception is not for APOP": (
        *(PASSWORD, EVERY, LOOPBACK, ("APOP",)),
        ("APOP", "never without verified TLS"),
    ),
    "no certificate": (
        *(External(), EVERY, VERIFIED, DEFAULT),
        ("EXTERNAL", "there is no client certificate: TLSPolicy(client_certificate=...)"),
    ),
}


@pytest.mark.parametrize("name", NONE_LEFT)
def test_no_way_is_left(name: str) -> None:
    credentials, offered, line, wanted, expected = NONE_LEFT[name]
    with pytest.raises(CredentialsRefused) as raised:
        chosen(credentials, offered, line, AuthPolicy(mechanisms=wanted).mechanisms)
    assert raised.value.code == "no-mechanism"
    assert raised.value.credentials_sent is False
    reasons = {
        reason.way.replace("the APOP command", "APOP"): reason.why
        for reason in raised.value.reasons
    }
    assert reasons[expected[0]] == expected[1]
    assert set(raised.value.reasons) == {PassedOver(r.way, r.why) for r in raised.value.reasons}


def refusal(credentials: Any, offered: Offer, line: Line = VERIFIED, wanted: Any = DEFAULT) -> Any:
    with pytest.raises(CredentialsRefused) as raised:
        chosen(credentials, offered, line, wanted)
    return raised.value


NO_BINDING = "no channel binding: TLS 1.3 has none"
ENABLE_PLAIN = (
    "The server's administrator can enable PLAIN over TLS. Or this port takes no sign-in (a "
    "relay), or no passwords at all."
)
OTHERS = "Ask the server's administrator for one of these, or sign in with other credentials."
RELAY = "This port takes no sign-in (a relay): is it the right one?"
ENABLE_PLUS = (
    "It takes a SCRAM mechanism with -PLUS, which the server's administrator can enable; "
    'channel_binding="prefer" does without.'
)
LOGIN_IS_THERE = "LOGIN is offered, and used only where it is asked for: auth=AuthPolicy(mecha"
ASCII = "it takes ASCII only, and the user name or the password has other characters"
TWO_PLUS = "SCRAM-SHA-1-PLUS, SCRAM-SHA-256-PLUS"

# The arguments of `refusal`; whose sign-in it was, what was offered and wanted; and the hint.
SAID: list[tuple[tuple[Any, ...], str, str, str]] = [
    (
        (PASSWORD, offer("GSSAPI", "NTLM"), VERIFIED, ("PLAIN", "LOGIN")),
        *("a password", "GSSAPI, NTLM; wanted: PLAIN, LOGIN.", ENABLE_PLAIN),
    ),
    (
        (PASSWORD, offer(*TWO_PLUS.split(", ")), VERIFIED, tuple(TWO_PLUS.split(", "))),
        *("a password", f"{TWO_PLUS}; wanted: {TWO_PLUS}; {TWO_PLUS}: {NO_BINDING}.", ENABLE_PLAIN),
    ),
    (
        (UNUSUAL, offer(commands=("USER",)), VERIFIED, ("PLAIN",)),
        *("a password", f"none; wanted: PLAIN; the USER command: {ASCII}.", ENABLE_PLAIN),
    ),
    (
        (TOKEN, offer("PLAIN"), VERIFIED, ("PLAIN",)),
        *("a token", "PLAIN; wanted: none of them.", OTHERS),
    ),
    (
        (TOKEN, offer(commands=("USER",)), VERIFIED, ("XOAUTH2",)),
        *("a token", "none; wanted: XOAUTH2.", OTHERS),
    ),
    (
        (External(), offer(), VERIFIED, ("EXTERNAL",)),
        *("External()", "none; wanted: EXTERNAL.", RELAY),
    ),
    (
        (PASSWORD, offer(), MUST_BIND, ("PLAIN",)),
        *("a password", "none; wanted: PLAIN.", ENABLE_PLUS),
    ),
    (
        (PASSWORD, offer("LOGIN", "CRAM-MD5"), VERIFIED, ("PLAIN",)),
        *("a password", "LOGIN, CRAM-MD5; wanted: PLAIN.", LOGIN_IS_THERE),
    ),
]


@pytest.mark.parametrize(("given", "whose", "says", "hint"), SAID)
def test_what_a_refusal_says(given: tuple[Any, ...], whose: str, says: str, hint: str) -> None:
    met = refusal(*given)
    both = f"there is no way to sign in with {whose} that both sides accept: "
    assert f"{both}SASL mechanisms offered: {says} " in str(met)
    assert met.hint.startswith(hint)


def test_of_several_that_would_have_to_be_asked_for_the_first_is_named() -> None:
    hint = refusal(PASSWORD, offer("LOGIN", "CRAM-MD5"), wanted=("PLAIN",)).hint
    expected = "LOGIN is offered, and used only where it is asked for: "
    assert hint == f"{expected}{say_how('LOGIN')}."


def test_an_offer_and_a_line_are_made_by_name_and_a_reason_reads_as_a_sentence() -> None:
    for cls in (Offer, Line):
        with pytest.raises(TypeError):
            cls(("PLAIN",))  # type: ignore[call-arg,misc]
    assert str(PassedOver("PLAIN", "not offered")) == "PLAIN: not offered"


def test_who_takes_what() -> None:
    """Ours take ours; a mechanism of somebody else's brings its own kind of credentials."""
    assert takes(DEFAULT, PASSWORD) is True
    assert takes(("PLAIN",), TOKEN) is True  # by a mechanism that is known, if not wanted
    assert takes((), "credentials") is False
    assert takes((Ours,), "credentials") is True
    assert takes(("PLAIN", Ours), 3) is False


def test_what_would_have_to_be_asked_for_is_named() -> None:
    with pytest.raises(CredentialsRefused) as raised:
        chosen(PASSWORD, offer("CRAM-MD5"))
    assert 'AuthPolicy(mechanisms=("CRAM-MD5",))' in raised.value.hint
    assert 'auth = { mechanisms = ["CRAM-MD5"] }' in raised.value.hint


def test_a_slip_in_a_name_is_guessed_at() -> None:
    for written, meant in {"scram-sha256": "SCRAM-SHA-256", "PLAN": "PLAIN"}.items():
        with pytest.raises(PolicyError) as raised:
            AuthPolicy(mechanisms=(written,))
        assert raised.value.hint.startswith(f"Did you mean {meant}? Known: ")
    with pytest.raises(PolicyError) as raised:
        AuthPolicy(mechanisms=("Y",))
    assert raised.value.hint.startswith("Known: ")


def test_who_has_no_password_is_not_told_of_passwords() -> None:
    with pytest.raises(CredentialsRefused) as raised:
        chosen(TOKEN, offer("PLAIN"))
    assert "other credentials" in raised.value.hint


def test_nothing_is_advised_that_the_line_does_not_allow() -> None:
    with pytest.raises(CredentialsRefused) as raised:
        chosen(PASSWORD, offer("SCRAM-SHA-1-PLUS"), wanted=("PLAIN",))
    assert "mechanisms=" not in raised.value.hint
    with pytest.raises(CredentialsRefused) as raised:  # the control
        chosen(PASSWORD, offer("SCRAM-SHA-1-PLUS"), BOUND, wanted=("PLAIN",))
    assert 'mechanisms=("SCRAM-SHA-1-PLUS",)' in raised.value.hint


def test_where_tls_is_what_is_missing_that_is_said() -> None:
    with pytest.raises(CredentialsRefused) as raised:
        chosen(PASSWORD, offer("SCRAM-SHA-256"), LOOPBACK)
    assert "Upgrade first" in raised.value.hint


def test_a_port_without_sign_in_is_called_that() -> None:
    with pytest.raises(CredentialsRefused, match="takes no sign-in"):
        chosen(PASSWORD, offer())


def test_what_else_there_is_after_a_refusal() -> None:
    assert alternatives(PASSWORD, EVERY, "SCRAM-SHA-512") == (
        *("SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"),
        *("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "APOP"),
    )
    assert alternatives(TOKEN, EVERY, "OAUTHBEARER") == ("XOAUTH2",)
    assert usable(("SCRAM-SHA-1-PLUS", "PLAIN", "APOP"), PASSWORD, EVERY, VERIFIED) == (
        "PLAIN",
        "APOP",
    )
    assert usable(("SCRAM-SHA-1-PLUS", "PLAIN"), PASSWORD, EVERY, MUST_BIND) == (
        "SCRAM-SHA-1-PLUS",
    )
    assert usable(("CRAM-MD5", "PLAIN"), PASSWORD, EVERY, LOOPBACK) == ("PLAIN",)
    login = offer("CRAM-MD5", commands=("LOGIN",))
    assert usable(("LOGIN", "CRAM-MD5"), UNUSUAL, login, VERIFIED) == ("CRAM-MD5",)
    assert say_how("PLAIN").startswith('auth=AuthPolicy(mechanisms=("PLAIN",))')


class Ours:
    """A mechanism that somebody else wrote."""

    name = "X-OURS"
    takes = str
    is_complete = True

    def __init__(self, credentials: str, terms: object) -> None: ...

    def start(self) -> bytes:
        return b""

    def answer(self, challenge: bytes) -> None: ...


def test_a_mechanism_of_somebody_elses_is_ranked_like_ours() -> None:
    policy = AuthPolicy(mechanisms=(Ours, "plain"))
    assert policy.mechanisms == (Ours, "PLAIN")
    assert choose_mechanism("credentials", offer("X-OURS"), policy.mechanisms, VERIFIED) is Ours
    assert chosen(PASSWORD, offer("X-OURS", "PLAIN"), wanted=policy.mechanisms) == "PLAIN"


@pytest.mark.parametrize("wanted", ["PLAN", ("PLAIN", "GSSAPI"), (), (object,), (3,)])
def test_what_is_no_mechanism(wanted: Any) -> None:
    with pytest.raises(PolicyError) as raised:
        AuthPolicy(mechanisms=wanted)
    assert raised.value.code == "mechanisms"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": (4095, 10_000)},
        {"iterations": (4096, 4095)},
        {"iterations": 4096},
        {"iterations": ("a", "b")},
        {"seconds": 0},
        {"seconds": "5"},
        {"saslprep": "no"},
        {"apop_in_clear": ""},
        {"apop_in_clear": True},
        {"clear_on_loopback": " "},
    ],
    ids=str,
)
def test_what_is_no_policy(wrong: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as raised:
        AuthPolicy(**wrong)
    assert raised.value.code == "auth"
    assert next(iter(wrong)) in str(raised.value)
