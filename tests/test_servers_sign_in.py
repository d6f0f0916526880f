"""The real servers' sign-ins work, mechanism by mechanism, as clients that are not ours see them.

This is the control of the tests of ours: where something fails here, the server is wrong, or what
is read from its log, and not the library.
"""

import contextlib
import poplib
import socket

import pytest

from servers import cyrus, exchanges, passwords
from servers.clients import strict_context
from servers.dovecot import ITERATIONS
from servers.exchanges import Exchange, sign_in
from servers.introspection import Introspection
from servers.pki import PKI
from servers.places import Place

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


FULL = ("full_dovecot imap", "full_dovecot pop3", "full_postfix smtp")
CYRUS = "cyrus_postfix smtp"
DOVECOT24 = ("full_dovecot24 imap", "full_dovecot24 pop3")

BY_PASSWORD = [
    *((where, mechanism) for where in (*FULL, *DOVECOT24) for mechanism in DOVECOT_PASSWORDS),
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
@pytest.mark.parametrize("place", [*FULL, *DOVECOT24], indirect=True)
@pytest.mark.parametrize("mechanism", TOKENS)
def test_signs_in_by_token(place: Place, mechanism: str, introspection: Introspection) -> None:
    exchange = exchanges.BY_TOKEN[mechanism]
    asked = len(introspection.asked)
    with place.logging("alice", mechanism, True, False, False):
        assert place.sign_in(mechanism, exchange("alice", "token-of-alice"))
        assert not place.sign_in(mechanism, exchange("alice", "token-of-nobody"))
        assert not place.sign_in(mechanism, exchange("alice", "token-of-bob"))
    wanted = ["token-of-alice", "token-of-nobody", "token-of-bob"]
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
@pytest.mark.parametrize("place", [*FULL[:2], *DOVECOT24], indirect=True)
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
@pytest.mark.parametrize("place", [*FULL[:2], *DOVECOT24], indirect=True)
def test_signs_in_as_nobody_in_particular(place: Place) -> None:
    with place.logging("anonymous", "ANONYMOUS", True):
        assert place.sign_in("ANONYMOUS", exchanges.anonymous())


@real_server
@pytest.mark.parametrize("place", ["full_dovecot pop3", "full_dovecot24 pop3"], indirect=True)
def test_apop(place: Place) -> None:
    with place.logging("alice", "APOP", True, False):
        for password in (place.server.users["alice"], "wrong"):
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


@real_server
@pytest.mark.parametrize("place", [*FULL[:2], CYRUS, "dovecot24 imap"], indirect=True)
def test_a_log_that_lags_behind_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_to_date = place.server.log
    stale = [up_to_date()] * 5
    with place.logging("alice", "SCRAM-SHA-256", True):
        exchange = exchanges.BY_PASSWORD["SCRAM-SHA-256"]("alice", place.server.users["alice"])
        assert place.sign_in("SCRAM-SHA-256", exchange)
        monkeypatch.setattr(place.server, "log", lambda: stale.pop() if stale else up_to_date())
    assert not stale


@real_server
@pytest.mark.parametrize("place", ["full_dovecot imap", "dovecot24 imap"], indirect=True)
@pytest.mark.parametrize("late", ["stats: Info: ", "client in: AUTH"])
def test_beginnings_and_ends_are_waited_for(
    place: Place, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are logged by two processes, of which either may be the later."""
    up_to_date, looks = place.server.log, iter(range(5))

    def lagging() -> str:
        lines = up_to_date().splitlines(keepends=True)
        left_out = next(looks, None) is not None
        return "".join(line for line in lines if not (left_out and late in line))

    with place.logging("alice", "SCRAM-SHA-256", True):
        exchange = exchanges.BY_PASSWORD["SCRAM-SHA-256"]("alice", place.server.users["alice"])
        assert place.sign_in("SCRAM-SHA-256", exchange)
        monkeypatch.setattr(place.server, "log", lagging)
    assert next(looks, None) is None
