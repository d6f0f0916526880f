"""The real servers' sign-ins work, mechanism by mechanism, as clients that are not ours see them.

This is the control of the tests of ours: where something fails here, the server is wrong, or what
is read from its log, and not the library.
"""

import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from servers import cyrus, exchanges, passwords
from servers.clients import strict_context
from servers.dovecot import ITERATIONS, Dovecot
from servers.exchanges import Client, Exchange, sign_in
from servers.introspection import Introspection
from servers.pki import PKI
from servers.postfix import Postfix
from servers.sign_ins import Begun, SignIn

real_server = pytest.mark.real_server

DOVECOT_PASSWORDS = (
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
)
TOKENS = ("OAUTHBEARER", "XOAUTH2")


@dataclass(frozen=True)
class Place:
    """Where one can sign in: a server, and a protocol that it speaks with TLS from the start."""

    server: Dovecot | Postfix
    protocol: str
    context: ssl.SSLContext

    @contextmanager
    def connected(self, context: ssl.SSLContext | None = None) -> Iterator[Client]:
        with CONNECTED[self.protocol](self.server, context or self.context) as client:
            yield client

    def sign_in(self, mechanism: str, exchange: Exchange, **connect: ssl.SSLContext) -> bool:
        with self.connected(**connect) as client:
            return sign_in(client, mechanism, exchange)

    @contextmanager
    def logging(self, user: str, mechanism: str, *accepted: bool) -> Iterator[None]:
        """What is done inside is exactly that in the server's log."""
        begun, ended = len(self.server.sign_ins_begun()), len(self.server.sign_ins_of(user))
        yield
        new = self.server.sign_ins_of(user)[ended:]
        assert new == [SignIn(self.protocol, mechanism, one) for one in accepted]
        assert self.server.sign_ins_begun()[begun:] == [Begun(self.protocol, mechanism)] * len(new)


@contextmanager
def connected_imap(server: Dovecot, context: ssl.SSLContext) -> Iterator[Client]:
    port = server.ports["imaps"]
    client = imaplib.IMAP4_SSL(server.host, port, ssl_context=context, timeout=20)
    try:
        yield client
        client.logout()
    finally:
        with contextlib.suppress(OSError):  # the standard IMAP4 does not like it twice
            client.shutdown()


@contextmanager
def connected_pop3(server: Dovecot, context: ssl.SSLContext) -> Iterator[Client]:
    client = poplib.POP3_SSL(server.host, server.ports["pop3s"], context=context, timeout=20)
    try:
        yield client
        client.quit()
    finally:
        client.close()


@contextmanager
def connected_smtp(server: Postfix, context: ssl.SSLContext) -> Iterator[Client]:
    port = server.ports["submissions"]
    client = smtplib.SMTP_SSL(server.host, port, context=context, timeout=20)
    try:
        yield client
        client.quit()
    finally:
        client.close()


CONNECTED: dict[str, Callable[..., contextlib.AbstractContextManager[Client]]] = {
    "imap": connected_imap,
    "pop3": connected_pop3,
    "smtp": connected_smtp,
}


@pytest.fixture
def place(request: pytest.FixtureRequest, client_context: ssl.SSLContext) -> Place:
    """By the name of a server's fixture, and a protocol."""
    server, protocol = request.param.split()
    return Place(request.getfixturevalue(server), protocol, client_context)


FULL = ("full_dovecot imap", "full_dovecot pop3", "full_postfix smtp")
CYRUS = "cyrus_postfix smtp"

BY_PASSWORD = [
    *((where, mechanism) for where in FULL for mechanism in DOVECOT_PASSWORDS),
    *((CYRUS, mechanism) for mechanism in cyrus.MECHANISMS),
]


@real_server
@pytest.mark.parametrize(("place", "mechanism"), BY_PASSWORD, indirect=["place"])
def test_signs_in_by_password(place: Place, mechanism: str) -> None:
    right, wrong = place.server.users["alice"], "wrong"
    exchange = exchanges.BY_PASSWORD[mechanism]
    with place.logging("alice", mechanism, True, False):
        assert place.sign_in(mechanism, exchange("alice", right))
        assert not place.sign_in(mechanism, exchange("alice", wrong))


@real_server
@pytest.mark.parametrize("place", [*FULL, CYRUS], indirect=True)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_nobody_is_nobody(place: Place, mechanism: str) -> None:
    with place.logging("nobody-of-that-name", mechanism, False):
        exchange = exchanges.BY_PASSWORD[mechanism]("nobody-of-that-name", "x")
        assert not place.sign_in(mechanism, exchange)


@real_server
@pytest.mark.parametrize("place", [*FULL, CYRUS], indirect=True)
@pytest.mark.parametrize("user", ["bob", "user", "jürgen"])
def test_users_and_passwords_with_odd_characters(place: Place, user: str) -> None:
    password = place.server.users[user]
    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
        with place.logging(user, mechanism, True):
            assert place.sign_in(mechanism, exchanges.BY_PASSWORD[mechanism](user, password))


@real_server
@pytest.mark.parametrize("place", FULL, indirect=True)
@pytest.mark.parametrize("mechanism", TOKENS)
def test_signs_in_by_token(place: Place, mechanism: str, introspection: Introspection) -> None:
    exchange = exchanges.BY_TOKEN[mechanism]
    asked = len(introspection.asked)
    with place.logging("alice", mechanism, True, False, False):
        assert place.sign_in(mechanism, exchange("alice", "token of alice"))
        assert not place.sign_in(mechanism, exchange("alice", "token of nobody"))
        assert not place.sign_in(mechanism, exchange("alice", "token of bob"))
    wanted = ["token of alice", "token of nobody", "token of bob"]
    assert list(dict.fromkeys(introspection.asked[asked:])) == wanted


@real_server
@pytest.mark.parametrize("mechanism", TOKENS)
@pytest.mark.parametrize("place", ["full_dovecot imap"], indirect=True)
def test_a_token_can_be_revoked(place: Place, mechanism: str, introspection: Introspection) -> None:
    introspection.users["short-lived"] = "alice"
    exchange = exchanges.BY_TOKEN[mechanism]
    assert place.sign_in(mechanism, exchange("alice", "short-lived"))
    del introspection.users["short-lived"]
    assert not place.sign_in(mechanism, exchange("alice", "short-lived"))


@real_server
@pytest.mark.parametrize("place", FULL[:2], indirect=True)
def test_signs_in_by_certificate(place: Place, pki: PKI) -> None:
    with_certificate = strict_context(pki.ca_pem)
    with_certificate.load_cert_chain(pki.client_certificate("bob"))
    with place.logging("bob", "EXTERNAL", True, True, False):
        for wanted in ("", "bob"):
            assert place.sign_in("EXTERNAL", exchanges.external(wanted), context=with_certificate)
        exchange = exchanges.external("alice")  # Bob's certificate does not make him alice.
        assert not place.sign_in("EXTERNAL", exchange, context=with_certificate)
    assert not place.sign_in("EXTERNAL", exchanges.external("bob"))


@real_server
@pytest.mark.parametrize("place", FULL[:2], indirect=True)
def test_signs_in_as_nobody_in_particular(place: Place) -> None:
    with place.logging("anonymous", "ANONYMOUS", True):
        assert place.sign_in("ANONYMOUS", exchanges.anonymous())


@real_server
def test_apop(full_dovecot: Dovecot, client_context: ssl.SSLContext) -> None:
    place = Place(full_dovecot, "pop3", client_context)
    with place.logging("alice", "APOP", True, False):
        for password in (full_dovecot.users["alice"], "wrong"):
            with place.connected() as client, contextlib.suppress(poplib.error_proto):
                client.apop("alice", password)  # type: ignore[union-attr]


@real_server
@pytest.mark.parametrize("place", [*FULL, CYRUS], indirect=True)
def test_the_standard_login_is_in_the_log(place: Place) -> None:
    mechanism = "CRAM-MD5" if place.protocol == "smtp" else "PLAIN"
    with place.logging("alice", mechanism, True), place.connected() as client:
        password = place.server.users["alice"]
        if isinstance(client, poplib.POP3):
            client.user("alice")
            client.pass_(password)
        else:
            client.login("alice", password)


@real_server
@pytest.mark.parametrize("user", list(ITERATIONS))
@pytest.mark.parametrize("place", FULL, indirect=True)
def test_the_server_sends_the_iterations_of_the_verifier(place: Place, user: str) -> None:
    password, seen = place.server.users[user], []

    def listening() -> Exchange:
        exchange = exchanges.scram("SCRAM-SHA-256", user, password)
        answer = next(exchange)
        while True:
            challenge = yield answer
            seen.append(challenge.decode())
            answer = exchange.send(challenge)

    assert place.sign_in("SCRAM-SHA-256", listening())
    attributes = seen[1].split(",")
    assert f"i={ITERATIONS[user]}" in attributes
    assert passwords.scram("sha256", password, ITERATIONS[user]).split(",")[1] == next(
        word.removeprefix("s=") for word in attributes if word.startswith("s=")
    )
    assert place.sign_in("PLAIN", exchanges.plain(user, password))
    assert not place.sign_in("PLAIN", exchanges.plain(user, "wrong"))


@real_server
@pytest.mark.parametrize("place", [*FULL, CYRUS], indirect=True)
@pytest.mark.parametrize("give_up", ["*", "hang up"])
def test_what_a_client_gives_up_was_begun_and_not_answered(place: Place, give_up: str) -> None:
    begun, ended = len(place.server.sign_ins_begun()), place.server.sign_ins_of("alice")
    with contextlib.suppress(GivenUp), place.connected() as client:
        assert client.sock is not None
        sign_in(client, "SCRAM-SHA-256", given_up(client.sock, give_up))
    for _ in range(2):  # Postfix's processes serve several clients, one after the other
        assert place.sign_in("PLAIN", exchanges.plain("bob", place.server.users["bob"]))
    new = [one.mechanism for one in place.server.sign_ins_begun()[begun:]]
    assert new == ["SCRAM-SHA-256", "PLAIN", "PLAIN"]
    assert place.server.sign_ins_of("alice") == ended


class GivenUp(Exception):
    pass


def given_up(connection: socket.socket, how: str) -> Exchange:
    """A sign-in of alice's that stops half-way."""
    exchange = exchanges.scram("SCRAM-SHA-256", "alice", "x")
    next(exchange)
    challenge = yield b""
    yield exchange.send(challenge)
    if how == "*":
        connection.sendall(b"*\r\n")
        connection.recv(8192)
    else:
        connection.shutdown(socket.SHUT_RDWR)
    raise GivenUp
