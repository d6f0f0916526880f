"""OAuth: a token that is there, or fetched when it is needed; renewed once, and what the server
says of it.
"""

import asyncio
import base64
import json
import pickle
import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from securemail import (
    AuthenticationFailed,
    AuthPolicy,
    CredentialsRefused,
    PolicyError,
    ProtocolViolation,
    Token,
)
from servers.attempts import MAIL, Mail, assert_survives_pickling, shown_of
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation
from servers.rude import Scripted, accepts, asks, refuses
from servers.world import Factory, World

USER, GOOD, EXPIRED = "ada@example.org", "ya29.a-good-token", "ya29.an-expired-token"
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
every_mechanism = pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])

SAID = {"status": "invalid_token", "scope": "mail.read", "schemes": "bearer"}


def checks(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """Looks for the good token in what was sent last; says why not as RFC 7628 has it."""
    line = bytes(conversation.record.tls).splitlines()[-1].split(b" ")[-1]
    if line == b"CAPA":  # POP3 asks before each sign-in
        conversation.send(b"+OK\r\nSASL OAUTHBEARER\r\n.\r\n")
        return
    if GOOD.encode() in base64.b64decode(line):
        accepts(conversation, protocol, tag)
        return
    asks(json.dumps(SAID).encode())(conversation, protocol, tag)
    conversation.read_line()
    refuses(conversation, protocol, tag)


class TokenWorld(World):
    def connect(self, mail: Mail, *offered: str, answers: Any = None, **args: Any) -> Any:
        once = (asks(b""), checks) if mail.protocol == "imap" else (checks,)
        script = Scripted(mail.protocol, answers or once * 3, (*offered, "PLAIN"))
        return self.joined(mail, script, **args)


@pytest.fixture
def world(pki: PKI, recording_server: Factory) -> Iterator[TokenWorld]:
    one = TokenWorld(pki, recording_server)
    yield one
    one.close()


class Provider:
    """Gives one token after the other, and keeps what it was told."""

    def __init__(self, *tokens: str | Exception) -> None:
        self.tokens, self.told = list(tokens), []  # type: tuple[list[Any], list[bool]]

    def __call__(self, refused: bool) -> str:
        self.told.append(refused)
        token = self.tokens.pop(0)
        if isinstance(token, Exception):
            raise token
        return str(token)


# -- what succeeds


@every_class
@every_mechanism
def test_a_token_that_is_there(mechanism: str, mail: Mail, world: TokenWorld) -> None:
    client = world.connect(mail, mechanism)
    client.authenticate(Token(USER, GOOD))
    assert str(client.report.auth) == f"{USER!r} by {mechanism}, no channel binding"
    assert world.attempts() == [mechanism]


@every_class
def test_the_standard_one_before_googles(mail: Mail, world: TokenWorld) -> None:
    client = world.connect(mail, "XOAUTH2", "OAUTHBEARER")
    client.authenticate(Token(USER, GOOD))
    assert client.report.auth.mechanism == "OAUTHBEARER"


@every_class
def test_a_provider_is_asked_for_each_sign_in(mail: Mail, world: TokenWorld) -> None:
    provider = Provider(GOOD, GOOD)
    token = Token(USER, provider)
    for _ in range(2):
        client = world.connect(mail, "OAUTHBEARER")
        client.authenticate(token)
    assert provider.told == [False, False]


def test_a_provider_that_is_a_coroutine_function(world: TokenWorld) -> None:
    told = []

    async def provider(refused: bool) -> str:
        await asyncio.sleep(0)
        told.append(refused)
        return GOOD

    world.connect(MAIL["imap"], "XOAUTH2").authenticate(Token(USER, provider))

    async def within_a_loop() -> None:
        world.connect(MAIL["smtp"], "XOAUTH2").authenticate(Token(USER, provider))

    asyncio.run(within_a_loop())
    assert told == [False, False]


# -- what is refused


@every_class
@every_mechanism
def test_a_token_is_renewed_once(mechanism: str, mail: Mail, world: TokenWorld) -> None:
    provider = Provider(EXPIRED, GOOD)
    client = world.connect(mail, mechanism)
    client.authenticate(Token(USER, provider))
    assert provider.told == [False, True]
    assert client.report.auth.mechanism == mechanism
    assert world.attempts() == [mechanism, mechanism], "the same mechanism, on the same connection"


@every_class
@every_mechanism
def test_and_not_twice(mechanism: str, mail: Mail, world: TokenWorld) -> None:
    provider = Provider(EXPIRED, EXPIRED + "-2", GOOD)
    client = world.connect(mail, mechanism)
    with pytest.raises(AuthenticationFailed) as raised:
        client.authenticate(Token(USER, provider))
    assert provider.told == [False, True]
    error: Any = raised.value
    assert isinstance(error, mail.standard_error)
    assert "The token had been sent, over verified TLS." in str(error)
    (reason,) = error.reasons
    assert reason.status == "invalid_token"
    assert dict(reason.details)["scope"] == "mail.read"
    assert "invalid_token, " in str(error)
    assert "mail.read" in str(error)
    assert error.offered == ()
    assert_survives_pickling(error)
    with pytest.raises(CredentialsRefused, match="takes no further sign-in"):
        client.authenticate(Token(USER, GOOD))
    for token in (EXPIRED, GOOD):
        assert leaks(shown_of(error), token) == []
    assert world.attempts() == [mechanism, mechanism]


@every_class
def test_the_same_token_again_is_no_renewal(mail: Mail, world: TokenWorld) -> None:
    provider = Provider(EXPIRED, EXPIRED)
    client = world.connect(mail, "OAUTHBEARER")
    with pytest.raises(AuthenticationFailed):
        client.authenticate(Token(USER, provider))
    assert provider.told == [False, True]
    assert world.attempts() == ["OAUTHBEARER"]


@every_class
def test_a_token_of_text_has_no_second_chance(mail: Mail, world: TokenWorld) -> None:
    client = world.connect(mail, "OAUTHBEARER")
    with pytest.raises(AuthenticationFailed) as raised:
        client.authenticate(Token(USER, EXPIRED))
    assert world.attempts() == ["OAUTHBEARER"]
    # SMTP's 535 speaks of a password, as a rule; here there is none.
    assert Token.advice in raised.value.hint
    assert "is wrong" not in raised.value.hint


class OutOfReach(Exception):
    pass


@every_class
def test_what_a_provider_raises_reaches_the_caller(mail: Mail, world: TokenWorld) -> None:
    client = world.connect(mail, "OAUTHBEARER")
    with pytest.raises(OutOfReach):
        client.authenticate(Token(USER, Provider(OutOfReach())))
    client.authenticate(Token(USER, GOOD))  # nothing was begun
    assert world.attempts() == ["OAUTHBEARER"]


@every_class
def test_also_after_a_refusal_which_was_the_end(mail: Mail, world: TokenWorld) -> None:
    client = world.connect(mail, "OAUTHBEARER")
    with pytest.raises(OutOfReach):
        client.authenticate(Token(USER, Provider(EXPIRED, OutOfReach())))
    with pytest.raises(CredentialsRefused, match="takes no further sign-in"):
        client.authenticate(Token(USER, GOOD))
    assert world.attempts() == ["OAUTHBEARER"]


@every_class
def test_a_password_never_follows_a_token(mail: Mail, world: TokenWorld) -> None:
    client = world.connect(mail)
    with pytest.raises(CredentialsRefused) as raised:
        client.authenticate(Token(USER, GOOD))
    assert "sign in with a token" in str(raised.value)
    assert world.attempts() == []


@every_class
def test_success_after_an_error_is_none(mail: Mail, world: TokenWorld) -> None:
    """A server that says why not, and then that all is well."""
    first = (asks(b""),) if mail.protocol == "imap" else ()
    answers = (*first, asks(b'{"status":"invalid_token"}'), accepts)
    client = world.connect(mail, "OAUTHBEARER", answers=answers)
    with pytest.raises(ProtocolViolation, match="said success before OAUTHBEARER was done"):
        client.authenticate(Token(USER, EXPIRED))
    assert client.sock is None


@every_class
@pytest.mark.parametrize(
    "challenge", [b"", b"{", b"[1]", b'{"status": {"deep": 1}}', b"\xff\xfe", b"{" * 5000, b"null"]
)
def test_a_strange_error_is_still_a_refusal(
    challenge: bytes, mail: Mail, world: TokenWorld
) -> None:
    first = (asks(b""),) if mail.protocol == "imap" else ()
    client = world.connect(mail, "XOAUTH2", answers=(*first, asks(challenge), refuses))
    with pytest.raises(AuthenticationFailed, match="wrong password"):
        client.authenticate(Token(USER, EXPIRED))


def test_a_server_that_repeats_the_token_is_not_quoted(world: TokenWorld) -> None:
    def repeats(conversation: Conversation, protocol: str, tag: bytes) -> None:
        line = bytes(conversation.record.tls).splitlines()[-1].split(b" ")[-1]
        conversation.send(b"535 5.7.8 what is " + line + b" or " + EXPIRED.encode() + b"?\r\n")

    client = world.connect(MAIL["smtp"], "OAUTHBEARER", answers=(repeats,))
    with pytest.raises(AuthenticationFailed) as raised:
        client.authenticate(Token(USER, EXPIRED))
    assert isinstance(raised.value, smtplib.SMTPAuthenticationError)
    assert leaks(shown_of(raised.value), EXPIRED) == []


# -- the value itself


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "empty"),
        (None, "nothing, not text|neither text nor a function"),
        (b"octets", "neither text nor a function"),
        ("Bearer ya29.x", 'begins with "Bearer"'),
        ("ya29.x\n", "blanks, line breaks"),
        ("ya29 x", "blanks, line breaks"),
        ("ya29\x01auth=Bearer other", "blanks, line breaks"),
        ("tökén", "blanks, line breaks"),
    ],
)
def test_what_is_no_token(token: Any, said: str) -> None:
    with pytest.raises(PolicyError, match=said) as raised:
        Token(USER, token)
    assert raised.value.code == "credentials-malformed"


@pytest.mark.parametrize("provider", [lambda: GOOD, lambda a, b: GOOD, Provider.__call__])
def test_a_provider_that_cannot_be_called_is_found_at_once(provider: Any) -> None:
    with pytest.raises(PolicyError, match=r"cannot be called with one argument") as raised:
        Token(USER, provider)
    assert "provider(refused)" in raised.value.hint


def test_a_provider_that_does_not_tell_what_it_takes() -> None:
    token = Token(USER, str)  # as good as any, and found out when it is called
    assert repr(token) == f"Token({USER!r}, <provider>)"


@pytest.mark.parametrize("user", ["", "a\nb", None])
def test_what_is_no_user(user: Any) -> None:
    with pytest.raises(PolicyError):
        Token(user, GOOD)


def test_what_a_provider_returns_is_looked_at_too(world: TokenWorld) -> None:
    client = world.connect(MAIL["imap"], "OAUTHBEARER")
    with pytest.raises(PolicyError, match="not text") as raised:
        client.authenticate(Token(USER, lambda refused: None))  # type: ignore[arg-type, return-value]
    assert raised.value.code == "credentials-malformed"
    with pytest.raises(PolicyError) as raised:
        client.authenticate(Token(USER, lambda refused: f"Bearer {GOOD}"))
    assert leaks(shown_of(raised.value), GOOD) == []
    assert world.attempts() == []


def test_it_shows_itself_nowhere() -> None:
    for token in (Token(USER, GOOD), Token(USER, lambda refused: GOOD)):
        assert leaks(repr(token).encode(), GOOD) == []
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(token)
    assert repr(Token(USER, GOOD)) == f"Token({USER!r}, <secret>)"
    assert repr(Token(USER, lambda refused: GOOD)) == f"Token({USER!r}, <provider>)"


def test_tokens_never_go_where_a_password_would(world: TokenWorld) -> None:
    """Nor may the policy's rank bring it there."""
    client = world.connect(MAIL["imap"], auth=AuthPolicy(mechanisms=("PLAIN", "LOGIN")))
    with pytest.raises(CredentialsRefused):
        client.authenticate(Token(USER, GOOD))
    assert leaks(world.record().everything, GOOD) == []
