"""The mechanisms of the loopback servers: by clients that are not ours, by octets, and by ours.

What is accepted is the control of what is refused: the same steps, with one thing put right.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import imaplib
import inspect
import json
import logging
import smtplib
import socket
import ssl
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiosmtpd")
pytest.importorskip("trustme")

import scramp

import securemail
from securemail import AuthenticationFailed, AuthPolicy, CATrust, Password, TLSPolicy, Token
from securemail.testing import Authority, MailServers
from securemail.testing import sasl as sasl_module

ALICE, PASSWORD = "alice", "correct horse"
ADA, ADAS_PASSWORD, TOKEN = "ada@example.org", "battery staple", "ya29.a-token"
ODD, ODD_PASSWORD = "björn, =1", "pässwörd €"
USERS = {ALICE: PASSWORD, ADA: ADAS_PASSWORD, ODD: ODD_PASSWORD}
SECRETS = (PASSWORD, ADAS_PASSWORD, TOKEN, ODD_PASSWORD)
PLAIN_WORDS = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode()).decode()

SCRAM, OAUTH = "SCRAM-SHA-256", ("OAUTHBEARER", "XOAUTH2")
SHARED = (SCRAM, "PLAIN", *OAUTH)

Words = Generator[bytes, bytes, None]  # of a client: messages, and it is sent the challenges


@dataclass(frozen=True)
class Dialect:
    command: bytes
    asks: bytes
    accepted: bytes
    refused: bytes
    called_off: bytes
    unknown: bytes
    inside: tuple[bytes, bytes]  # what only those who signed in may say, and the answer to them


DIALECTS = {
    "imaps": Dialect(
        b"a AUTHENTICATE ",
        b"+ ",
        b"a OK ",
        b"a NO [AUTHENTICATIONFAILED]",
        b"a BAD cancelled, or no base64",
        b"a NO the mechanisms are ",
        (b"b STATUS INBOX (MESSAGES)", b'* STATUS "INBOX"'),
    ),
    "pop3s": Dialect(
        b"AUTH ",
        b"+ ",
        b"+OK",
        b"-ERR [AUTH]",
        b"-ERR cancelled, or no base64",
        b"-ERR the mechanisms are ",
        (b"STAT", b"+OK 0 0"),
    ),
    "submissions": Dialect(
        b"AUTH ",
        b"334 ",
        b"235 2.7.0",
        b"535 5.7.8",
        b"501 5.",
        b"504 5.5.4",
        (b"MAIL FROM:<a@example.org>", b"250 "),
    ),
}
EVERYWHERE = [
    *((protocol, name) for protocol in DIALECTS for name in SHARED),
    ("submissions", "LOGIN"),
]
each_mechanism = pytest.mark.parametrize(("protocol", "name"), EVERYWHERE)
each_protocol = pytest.mark.parametrize("protocol", DIALECTS)
with_and_without = pytest.mark.parametrize("initial", [True, False], ids=["initial", "asked"])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.ca_pem.decode())


@pytest.fixture
def tokens() -> dict[str, str]:
    return {ADA: TOKEN}


@pytest.fixture
def servers(authority: Authority, tokens: dict[str, str]) -> Iterator[MailServers]:
    with MailServers(users=USERS, tokens=tokens, authority=authority) as servers:
        yield servers


@pytest.fixture(autouse=True)
def no_mistake_of_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may make a server log a mistake, nor anybody a secret."""
    caplog.set_level(logging.DEBUG)
    yield
    logged = [record.getMessage() for record in caplog.records]
    assert [text for text in logged for each in (*SECRETS, PLAIN_WORDS) if each in text] == []
    assert [record for record in caplog.records if record.name == "securemail.testing"] == []
    ours = [record for record in caplog.records if record.threadName == "securemail.testing"]
    assert [record.getMessage() for record in ours if record.name != "asyncio"] == []
    assert [record.getMessage() for record in ours if record.levelno >= logging.WARNING] == []


# A client by octets


class Wire:
    """A connection over TLS, by lines."""

    def __init__(self, connection: ssl.SSLSocket, dialect: Dialect) -> None:
        self._file = connection.makefile("rwb")
        self.dialect = dialect

    def line(self) -> bytes:
        return self._file.readline().removesuffix(b"\r\n")

    def say(self, line: bytes) -> bytes:
        self._file.write(line + b"\r\n")
        self._file.flush()
        return self.line()

    def begin(self, name: str, initial: bytes | None = None) -> bytes:
        """AUTH, with an initial response that is encoded here."""
        command = self.dialect.command + name.encode()
        return self.say(command if initial is None else command + b" " + encoded(initial, b"="))

    def answer(self, words: bytes) -> bytes:
        return self.say(encoded(words))

    def challenge(self, line: bytes) -> bytes:
        assert line.startswith(self.dialect.asks), line
        return base64.b64decode(line.removeprefix(self.dialect.asks), validate=True)

    def play(self, name: str, words: Words, *, initial: bool) -> bytes:
        """The line that the dialogue ends with. All words must have been said by then."""
        message = next(words)
        line = self.begin(name, message if initial else None)
        if not initial:
            first = self.challenge(line)
            assert first == (b"User Name\0" if name == "LOGIN" else b"")
            line = self.answer(message)
        while line.startswith(self.dialect.asks):
            line = self.answer(words.send(self.challenge(line)))
        return line

    def is_inside(self) -> bool:
        command, answer = self.dialect.inside
        return self.say(command).startswith(answer)


def encoded(words: bytes, empty: bytes = b"") -> bytes:
    return base64.b64encode(words) or empty


@contextlib.contextmanager
def wire(servers: MailServers, context: ssl.SSLContext, protocol: str) -> Iterator[Wire]:
    """Connected and greeted; SMTP has said its EHLO."""
    address = (servers.host, servers.ports[protocol])
    with (
        socket.create_connection(address, timeout=10) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as tls,
    ):
        line = Wire(tls, DIALECTS[protocol])
        with contextlib.closing(line._file):
            line.line()
            if protocol == "submissions":
                answer = line.say(b"EHLO client")
                while answer.startswith(b"250-"):
                    answer = line.line()
            yield line


# What clients say


def by_scramp(user: str, password: str) -> Words:
    """scramp believes no server that cannot prove itself: it raises."""
    client = scramp.ScramClient([SCRAM], user, password)
    first = yield client.get_client_first().encode()
    client.set_server_first(first.decode())
    final = yield client.get_client_final().encode()
    client.set_server_final(final.decode())
    yield b""


def by_plain(user: str, password: str) -> Words:
    yield f"\0{user}\0{password}".encode()


def by_login(user: str, password: str) -> Words:
    assert (yield user.encode()) == b"Password\0"
    yield password.encode()


def by_oauthbearer(user: str, token: str) -> Words:
    user = user.replace("=", "=3D").replace(",", "=2C")
    error = yield f"n,a={user},\1host=localhost\1port=993\1auth=Bearer {token}\1\1".encode()
    assert json.loads(error) == {"status": "invalid_token", "scope": "mail"}
    yield b"\1"


def by_xoauth2(user: str, token: str) -> Words:
    error = yield f"user={user}\1auth=Bearer {token}\1\1".encode()
    assert json.loads(error) == {"status": "401", "schemes": "bearer", "scope": "mail"}
    yield b""


BY: dict[str, Callable[[str, str], Words]] = {
    SCRAM: by_scramp,
    "PLAIN": by_plain,
    "LOGIN": by_login,
    "OAUTHBEARER": by_oauthbearer,
    "XOAUTH2": by_xoauth2,
}


def right(name: str) -> tuple[str, str]:
    return (ADA, TOKEN) if name in OAUTH else (ALICE, PASSWORD)


class TestByOctets:
    @each_mechanism
    @with_and_without
    def test_a_sign_in(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        name: str,
        initial: bool,
    ) -> None:
        with wire(servers, context, protocol) as line:
            assert not line.is_inside()
            ended = line.play(name, BY[name](*right(name)), initial=initial)
            assert ended.startswith(line.dialect.accepted)
            assert line.is_inside()

    @each_mechanism
    @with_and_without
    def test_a_wrong_secret_and_then_the_right_one(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        name: str,
        initial: bool,
    ) -> None:
        user, secret = right(name)
        with wire(servers, context, protocol) as line:
            ended = line.play(name, BY[name](user, secret + "?"), initial=initial)
            assert ended.startswith(line.dialect.refused)
            assert not line.is_inside()
            ended = line.play(name, BY[name](user, secret), initial=initial)
            assert ended.startswith(line.dialect.accepted)

    @each_mechanism
    def test_another_users_secret(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str, name: str
    ) -> None:
        """For SCRAM: a proof that is good, of a password that is somebody's, over this dialogue."""
        secret = TOKEN if name in OAUTH else ADAS_PASSWORD
        with wire(servers, context, protocol) as line:
            ended = line.play(name, BY[name](ALICE, secret), initial=True)
            assert ended.startswith(line.dialect.refused)
            assert not line.is_inside()
            ended = line.play(name, BY[name](ADA, secret), initial=True)
            assert ended.startswith(line.dialect.accepted)

    @each_mechanism
    def test_nobody(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str, name: str
    ) -> None:
        with wire(servers, context, protocol) as line:
            ended = line.play(name, BY[name]("nobody", right(name)[1]), initial=True)
            assert ended.startswith(line.dialect.refused)
            assert not line.is_inside()

    @pytest.mark.parametrize("name", [SCRAM, "PLAIN", "LOGIN"])
    def test_odd_names_and_passwords(
        self, servers: MailServers, context: ssl.SSLContext, name: str
    ) -> None:
        with wire(servers, context, "submissions") as line:
            ended = line.play(name, BY[name](ODD, ODD_PASSWORD), initial=True)
            assert ended.startswith(line.dialect.accepted)

    def test_odd_names_and_their_tokens(
        self, servers: MailServers, context: ssl.SSLContext, tokens: dict[str, str]
    ) -> None:
        tokens[ODD] = "odd"
        for name in OAUTH:
            with wire(servers, context, "pop3s") as line:
                ended = line.play(name, BY[name](ODD, "odd"), initial=True)
                assert ended.startswith(line.dialect.accepted)


class TestBrokenOff:
    """Each dialogue, at each of the server's questions."""

    def asked(self, line: Wire, name: str, questions: int) -> None:
        """Up to the server's question of that number; a wrong token brings the error's."""
        user, secret = right(name)
        words = BY[name](user, secret + "?" if name in OAUTH else secret)
        said = line.begin(name)
        message = next(words)
        for _ in range(questions - 1):
            said = line.answer(message)
            message = words.send(line.challenge(said))
        line.challenge(said)

    @each_mechanism
    @pytest.mark.parametrize(
        "answer",
        [b"*", b"no base64!", b"YQ", b"YQ==YQ==", b"\xc3\xa4"],
        ids=["*", "blank", "no padding", "two", "not ASCII"],
    )
    def test_called_off_or_no_base64(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        name: str,
        answer: bytes,
    ) -> None:
        questions = {"PLAIN": 1, SCRAM: 3}.get(name, 2)
        for number in range(1, questions + 1):
            with wire(servers, context, protocol) as line:
                self.asked(line, name, number)
                assert line.say(answer).startswith(line.dialect.called_off)
                assert not line.is_inside()
                ended = line.play(name, BY[name](*right(name)), initial=False)
                assert ended.startswith(line.dialect.accepted)

    @each_mechanism
    @pytest.mark.parametrize("initial", [b"no-base64!", b"*", b"YQ", b"\xff\xfe"])
    def test_an_initial_response_that_is_no_base64(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        name: str,
        initial: bytes,
    ) -> None:
        with wire(servers, context, protocol) as line:
            command = line.dialect.command + name.encode() + b" "
            assert line.say(command + initial).startswith(line.dialect.called_off)
            assert not line.is_inside()
            ended = line.play(name, BY[name](*right(name)), initial=True)
            assert ended.startswith(line.dialect.accepted)

    @each_mechanism
    @pytest.mark.parametrize("words", [b"", b"\0", b"\1", b"n,,", b"\xff" * 100, b"x" * 30_000])
    def test_words_that_are_none_of_the_mechanism(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        name: str,
        words: bytes,
    ) -> None:
        with wire(servers, context, protocol) as line:
            line.challenge(line.begin(name))
            said = line.answer(words)
            if name == "LOGIN":  # a user's name it may be
                said = line.answer(words)
            assert said.startswith(line.dialect.refused)
            assert not line.is_inside()

    @each_protocol
    @with_and_without
    def test_an_empty_initial_response(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str, initial: bool
    ) -> None:
        """ "=" (RFC 4954 4): an answer to what is not asked then, though a wrong one."""
        with wire(servers, context, protocol) as line:
            if initial:
                assert line.begin("PLAIN", b"").startswith(line.dialect.refused)
            else:
                assert line.challenge(line.begin("PLAIN")) == b""
                assert line.answer(b"").startswith(line.dialect.refused)

    @each_protocol
    @pytest.mark.parametrize("hangs_up_after", [1, 2, 3])
    def test_hanging_up(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        hangs_up_after: int,
    ) -> None:
        with wire(servers, context, protocol) as line:
            self.asked(line, SCRAM, hangs_up_after)
        with wire(servers, context, protocol) as line:
            ended = line.play(SCRAM, BY[SCRAM](ALICE, PASSWORD), initial=True)
            assert ended.startswith(line.dialect.accepted)


class TestByStandardModules:
    """imaplib and smtplib carry what scramp, or a line written here, says."""

    @pytest.mark.parametrize("name", SHARED)
    @pytest.mark.parametrize("wrong", ["", "?"], ids=["right", "wrong"])
    def test_imaplib(
        self, servers: MailServers, context: ssl.SSLContext, name: str, wrong: str
    ) -> None:
        user, secret = right(name)
        words = BY[name](user, secret + wrong)
        with imaplib.IMAP4_SSL(
            "localhost", servers.ports["imaps"], ssl_context=context, timeout=10
        ) as imap:
            if wrong:
                with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                    imap.authenticate(name, answering(words))
            else:
                assert imap.authenticate(name, answering(words))[0] == "OK"
                assert imap.select()[0] == "OK"

    @pytest.mark.parametrize("name", [*SHARED, "LOGIN"])
    @pytest.mark.parametrize("wrong", ["", "?"], ids=["right", "wrong"])
    @with_and_without
    def test_smtplib(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        name: str,
        wrong: str,
        initial: bool,
    ) -> None:
        user, secret = right(name)
        answer = answering(BY[name](user, secret + wrong))
        with smtplib.SMTP_SSL(
            "localhost", servers.ports["submissions"], "client", context=context, timeout=10
        ) as smtp:
            smtp.ehlo()
            assert name in smtp.esmtp_features["auth"].split()

            def authobject(challenge: bytes | None = None) -> str:
                return answer(challenge or b"").decode()

            if wrong:
                with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
                    smtp.auth(name, authobject, initial_response_ok=initial)
                assert caught.value.smtp_code == 535
            else:
                assert smtp.auth(name, authobject, initial_response_ok=initial)[0] == 235
                smtp.sendmail("a@example.org", ["b@example.org"], b"Subject: hello\r\n\r\n")


def answering(words: Words) -> Callable[[bytes], bytes]:
    """As the standard modules ask: first for what answers nothing, or an empty challenge."""
    said: list[bytes] = []

    def answer(challenge: bytes) -> bytes:
        said.append(next(words) if not said else words.send(challenge))
        return said[-1]

    return answer


# By ours


@dataclass(frozen=True)
class Ours:
    protocol: str
    command: bytes

    def connect(self, servers: MailServers, **arguments: Any) -> Any:
        policy = TLSPolicy(trust=CATrust(servers.authority.ca_pem.decode()))
        if self.protocol.startswith("submission"):
            arguments["local_hostname"] = "client"
        port = servers.ports[self.protocol]
        return getattr(securemail, CLASSES[self.protocol])(
            "localhost", port, policy=policy, **arguments
        )


CLASSES = {
    "imaps": "IMAP4_SSL",
    "pop3s": "POP3_SSL",
    "submissions": "SMTP_SSL",
    "imap": "IMAP4_STARTTLS",
    "pop3": "POP3_STARTTLS",
    "submission": "SMTP_STARTTLS",
}
OURS = {
    protocol: Ours(protocol, b"AUTHENTICATE " if protocol.startswith("imap") else b"AUTH ")
    for protocol in CLASSES
}
each_class = pytest.mark.parametrize("ours", OURS.values(), ids=CLASSES.values())
BY_OURS = [
    pytest.param(ours, name, id=f"{CLASSES[protocol]}-{name}")
    for protocol, ours in OURS.items()
    for name in (*SHARED, *(["LOGIN"] if protocol.startswith("submission") else []))
]


def credentials(name: str, wrong: str = "") -> Any:
    user, secret = right(name)
    return (Token if name in OAUTH else Password)(user, secret + wrong)


class TestByOurs:
    @pytest.mark.parametrize(("ours", "name"), BY_OURS)
    @with_and_without
    def test_a_sign_in(self, servers: MailServers, ours: Ours, name: str, initial: bool) -> None:
        with ours.connect(servers, auth=AuthPolicy(mechanisms=(name,))) as connection:
            if not initial:
                connection._initial_response = lambda: False
            connection.authenticate(credentials(name))
            assert connection.report.auth.mechanism == name
        servers.stop()
        ((_, received),) = servers.received
        has_initial = initial and name != "LOGIN"  # which has the server speak first
        assert (ours.command + name.encode() + b" " in received) is has_initial
        assert (ours.command + name.encode() + b"\r\n" in received) is not has_initial

    @pytest.mark.parametrize(("ours", "name"), BY_OURS)
    def test_a_wrong_secret(self, servers: MailServers, ours: Ours, name: str) -> None:
        with pytest.raises(AuthenticationFailed) as caught:
            with ours.connect(servers, auth=AuthPolicy(mechanisms=(name,))) as connection:
                connection.authenticate(credentials(name, "?"))
        assert caught.value.mechanism == name
        status = {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}.get(name, "")
        assert status in str(caught.value)
        assert bool(status) is bool(caught.value.reasons)

    @each_class
    def test_the_strongest_is_taken_and_shows_no_password(
        self, servers: MailServers, ours: Ours
    ) -> None:
        with ours.connect(servers) as connection:
            connection.login(ODD, ODD_PASSWORD)
            assert connection.report.auth.mechanism == SCRAM
        servers.stop()
        ((_, received),) = servers.received
        for shown in (ODD_PASSWORD.encode(), encoded(ODD_PASSWORD.encode())):
            assert shown not in received

    @each_class
    def test_a_token_that_was_revoked_is_renewed(
        self, servers: MailServers, ours: Ours, tokens: dict[str, str]
    ) -> None:
        tokens[ADA] = "new"
        asked: list[bool] = []

        def provider(refused: bool) -> str:
            asked.append(refused)
            return "new" if refused else TOKEN

        with ours.connect(servers) as connection:
            connection.authenticate(Token(ADA, provider))
            assert connection.report.auth.mechanism == "OAUTHBEARER"
        assert asked == [False, True]

    @pytest.mark.parametrize(
        ("kept", "typed", "wrong"),
        [
            ("pa\u0308ss\u00adwort\u1680\u2168", "pässwort IX", "passwort IX"),
            ("pässwort IX", "pa\u0308ss\u00adwort\u1680\u2168", "passwort IX"),
            ("a\u0308 \N{GRINNING FACE}", "a\u0308 \N{GRINNING FACE}", "ä \N{GRINNING FACE}"),
            ("a\u0308\u05d0", "a\u0308\u05d0", "ä\u05d0"),  # from the left and from the right
            ("\u05d0\ufb4f", "\u05d0\u05d0\u05dc", "\u05d0\u05d0"),
        ],
        ids=["prepared by us", "by the server", "not preparable", "nor this", "from the right"],
    )
    def test_what_scram_prepares(
        self, authority: Authority, kept: str, typed: str, wrong: str
    ) -> None:
        """User and password alike."""
        auth = AuthPolicy(mechanisms=(SCRAM,), saslprep="prefer")
        with MailServers(users={kept: kept}, authority=authority) as servers:
            with OURS["imaps"].connect(servers, auth=auth) as connection:
                connection.login(typed, typed)
            for user, password in ((typed, wrong), (wrong, typed)):
                with pytest.raises(AuthenticationFailed):
                    with OURS["imaps"].connect(servers, auth=auth) as connection:
                        connection.login(user, password)


class TestOffers:
    def offers(self, servers: MailServers, context: ssl.SSLContext) -> list[list[str]]:
        with (
            imaplib.IMAP4_SSL("localhost", servers.ports["imaps"], ssl_context=context) as imap,
            smtplib.SMTP_SSL(
                "localhost", servers.ports["submissions"], "client", context=context
            ) as smtp,
            wire(servers, context, "pop3s") as pop3,
        ):
            smtp.ehlo()
            line = pop3.say(b"CAPA")
            while not line.startswith(b"SASL "):
                assert line != b"."
                line = pop3.line()
            found = [name.removeprefix("AUTH=") for name in imap.capabilities if "AUTH=" in name]
            return [found, line.decode().split()[1:], smtp.esmtp_features["auth"].split()]

    def test_with_tokens(self, servers: MailServers, context: ssl.SSLContext) -> None:
        imap, pop3, smtp = self.offers(servers, context)
        assert imap == pop3 == ["SCRAM-SHA-256", "PLAIN", "OAUTHBEARER", "XOAUTH2"]
        assert sorted([*imap, "LOGIN"]) == sorted(smtp)

    def test_without(self, authority: Authority, context: ssl.SSLContext) -> None:
        with MailServers(users=USERS, authority=authority) as servers:
            imap, pop3, smtp = self.offers(servers, context)
            assert imap == pop3 == ["SCRAM-SHA-256", "PLAIN"]
            assert sorted([*imap, "LOGIN"]) == sorted(smtp)

    def test_with_none_left(
        self, servers: MailServers, context: ssl.SSLContext, tokens: dict[str, str]
    ) -> None:
        tokens.clear()
        assert "XOAUTH2" in self.offers(servers, context)[0]

    @each_protocol
    @pytest.mark.parametrize(
        "name", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "CRAM-MD5", "X", "", *OAUTH]
    )
    @with_and_without
    def test_what_is_not_offered(
        self,
        authority: Authority,
        context: ssl.SSLContext,
        protocol: str,
        name: str,
        initial: bool,
    ) -> None:
        with MailServers(users=USERS, authority=authority) as servers:
            with wire(servers, context, protocol) as line:
                said = line.begin(name, b"n,,n=alice,r=a-nonce" if initial else None)
                if name:
                    assert said.startswith(line.dialect.unknown)
                assert not said.startswith((line.dialect.asks, line.dialect.accepted))
                assert not line.is_inside()

    @pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
    def test_login_is_for_submission(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        with wire(servers, context, protocol) as line:
            assert line.begin("LOGIN").startswith(line.dialect.unknown)

    @pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
    def test_names_in_small_letters(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        """RFC 3501 9 and RFC 5034 4; aiosmtpd takes capitals alone."""
        with wire(servers, context, protocol) as line:
            ended = line.play(SCRAM.lower(), by_scramp(ALICE, PASSWORD), initial=True)
            assert ended.startswith(line.dialect.accepted)


class TestTokens:
    @pytest.mark.parametrize("name", OAUTH)
    @each_protocol
    def test_revoked_and_given_anew(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        tokens: dict[str, str],
        protocol: str,
        name: str,
    ) -> None:
        def is_taken(token: str) -> bool:
            with wire(servers, context, protocol) as line:
                ended = line.play(name, BY[name](ADA, token), initial=True)
                assert ended.startswith((line.dialect.accepted, line.dialect.refused))
                return ended.startswith(line.dialect.accepted)

        assert is_taken(TOKEN)
        del tokens[ADA]
        assert not is_taken(TOKEN)
        tokens[ADA] = "new"
        assert is_taken("new")
        assert not is_taken(TOKEN)

    def test_a_password_is_no_token_nor_a_token_a_password(
        self, servers: MailServers, context: ssl.SSLContext
    ) -> None:
        for name in (*SHARED, "LOGIN"):
            wrong = ADAS_PASSWORD if name in OAUTH else TOKEN
            with wire(servers, context, "submissions") as line:
                ended = line.play(name, BY[name](ADA, wrong), initial=True)
                assert ended.startswith(line.dialect.refused)

    def test_no_secret_is_shown(self, servers: MailServers) -> None:
        keys = servers._site.accounts.scram_keys(b"alice")
        shown = repr(keys) + "".join(map(repr, (servers, servers._site, servers._site.accounts)))
        hidden = (*SECRETS, repr(keys.stored_key)[2:-1], repr(keys.server_key)[2:-1])
        assert [secret for secret in hidden if secret in shown] == []


class TestWords:
    def test_each_argument_is_documented(self) -> None:
        documented = inspect.getdoc(MailServers) or ""
        names = list(inspect.signature(MailServers).parameters)
        assert "tokens" in names
        assert [name for name in names if f"`{name}`" not in documented] == []

    def test_the_servers_side_is_apart_from_ours(self) -> None:
        """A mistake that both sides share would be seen by no test."""
        for path in Path(sasl_module.__file__).parent.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    assert node.level < 2, path
                    assert not (node.module or "").startswith("securemail"), path
                elif isinstance(node, ast.Import):
                    assert not any(each.name.startswith("securemail") for each in node.names), path
