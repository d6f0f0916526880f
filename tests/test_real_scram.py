"""SCRAM at the real servers, beyond accepted and refused: what is kept for users, and how the first
message goes. `test_real_sign_in.py` has the rest.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from securemail import AuthenticationFailed, AuthPolicy, Password, ProtocolViolation, Token
from securemail.sasl import scram
from servers.dovecot import ITERATIONS
from servers.ours import Site
from servers.pki import PKI

pytestmark = pytest.mark.real_server

NAME = "SCRAM-SHA-256"
DOVECOT = ["full_dovecot imap", "full_dovecot pop3", "full_dovecot24 imap", "full_dovecot24 pop3"]
EVERYWHERE = [*DOVECOT, "full_postfix smtp", "cyrus_postfix smtp"]


def at(places: list[str]) -> Any:
    return pytest.mark.parametrize("site", places, indirect=True)


@pytest.fixture
def site(request: pytest.FixtureRequest, pki: PKI) -> Site:
    """By the name of a server's fixture, and a protocol."""
    server, protocol = request.param.split()
    return Site(request.getfixturevalue(server), protocol, "TLS", pki.ca_pem)


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations of each key that our SCRAM derives from a password."""
    found: list[int] = []
    derive: Callable[..., bytes] = hashlib.pbkdf2_hmac

    def noting(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        if iterations != scram._PROBE:  # that is how fast this computer is
            found.append(iterations)
        return derive(name, password, salt, iterations)

    monkeypatch.setattr("securemail.sasl.scram.hashlib.pbkdf2_hmac", noting)
    return found


@at([*DOVECOT, "full_postfix smtp"])
@pytest.mark.parametrize("user", ITERATIONS)
def test_the_iterations_are_the_server_s(user: str, site: Site, derived: list[int]) -> None:
    with site.logging(user, NAME, True, False):
        for password in (site.server.users[user], "wrong"):
            with site.connected() as client:
                if password == "wrong":
                    with pytest.raises(AuthenticationFailed):
                        client.login(user, password)
                else:
                    client.login(user, password)
                    assert client.report.auth.mechanism == NAME
    assert derived == [ITERATIONS[user]] * 2


@at(["full_dovecot imap", "full_postfix smtp"])
def test_more_iterations_than_the_policy_allows(site: Site, derived: list[int]) -> None:
    """Nothing is derived, and no proof sent: the exchange was begun, and given up."""
    begun, ended = site.server.sign_ins("carol")
    with site.connected(auth=AuthPolicy(iterations=(4096, 99_999))) as client:
        with pytest.raises(ProtocolViolation, match="100,000 iterations") as raised:
            client.login("carol", site.server.users["carol"])
    assert raised.value.credentials_sent is False
    assert derived == []
    after = site.server.sign_ins("carol")
    assert [one.mechanism for one in after[0][len(begun) :]] == [NAME]
    assert after[1] == ended


@at(DOVECOT)
def test_a_key_that_is_kept_is_derived_once(site: Site, derived: list[int]) -> None:
    user, password = "carol", site.server.users["carol"]
    with site.logging(user, NAME, True, True, True, False):
        kept = Password(user, password, keep_salted=True)
        for _ in range(3):
            with site.connected() as client:
                client.authenticate(kept)
                assert client.report.auth.mechanism == NAME
        assert derived == [100_000]
        wrong = Password(user, "wrong", keep_salted=True)  # the control: it is for one password
        with site.connected() as client, pytest.raises(AuthenticationFailed):
            client.authenticate(wrong)
    assert derived == [100_000] * 2


@at(["full_dovecot imap"])
def test_unless_it_is_kept_it_is_derived_each_time(site: Site, derived: list[int]) -> None:
    given = Password("carol", site.server.users["carol"])
    for _ in range(2):
        with site.connected() as client:
            client.authenticate(given)
    assert derived == [100_000] * 2


@at(["full_dovecot imap", "full_dovecot24 pop3", "cyrus_postfix smtp"])
def test_a_user_that_the_server_does_not_know(site: Site) -> None:
    """As with a wrong password: it says no more than that."""
    with site.logging("nobody-of-that-name", NAME, False):
        with site.connected(NAME) as client:
            with pytest.raises(AuthenticationFailed) as raised:
                client.login("nobody-of-that-name", "whatever")
    assert (raised.value.code, raised.value.mechanism) == ("authentication", NAME)
    assert "nobody-of-that-name" not in str(raised.value)


@at(EVERYWHERE)
@pytest.mark.parametrize("user", ["bob", "user", "jürgen"])
def test_users_and_passwords_with_odd_characters(user: str, site: Site) -> None:
    """`test_real_servers.py` has PLAIN and LOGIN."""
    with site.logging(user, NAME, True), site.connected(NAME) as client:
        client.login(user, site.server.users[user])
        assert client.report.auth.user == user


# -- the first message: on the command line, or when the server asks for it


@at(["full_dovecot imap", "full_dovecot24 imap", "full_postfix smtp", "cyrus_postfix smtp"])
@pytest.mark.parametrize("mechanism", [NAME, "PLAIN", "LOGIN"])
@pytest.mark.parametrize("initial", [True, False])
def test_with_and_without_an_initial_response(
    initial: bool, mechanism: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SASL-IR (RFC 4959) for IMAP; for SMTP it is the caller's to say."""
    lines: list[bytes] = []
    with site.logging("alice", mechanism, True, False):
        for password, is_right in ((site.server.users["alice"], True), ("wrong", False)):
            with site.connected(mechanism) as client:
                listen(client, lines, monkeypatch)
                if site.protocol == "imap":
                    assert "SASL-IR" in client.capabilities
                    kept = [one for one in client.capabilities if initial or one != "SASL-IR"]
                    monkeypatch.setattr(client, "capabilities", tuple(kept))
                options = {"initial_response_ok": initial} if site.protocol == "smtp" else {}
                if is_right:
                    client.login("alice", password, **options)
                else:
                    with pytest.raises(AuthenticationFailed):
                        client.login("alice", password, **options)
    begun = [line.split() for line in lines if mechanism.encode() in line.split()]
    carries = initial and mechanism != "LOGIN"  # which has nothing to say before it is asked
    assert [line[-1] == mechanism.encode() for line in begun] == [not carries] * 2


def listen(client: Any, lines: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what this client sends."""
    write = client.sock.sendall

    def keeping(data: bytes, *rest: Any) -> None:
        lines.append(bytes(data))
        write(data, *rest)

    monkeypatch.setattr(client.sock, "sendall", keeping)


@at(["full_dovecot pop3", "full_dovecot24 pop3"])
def test_a_first_message_that_is_too_long_for_a_line_of_pop3(
    site: Site, introspection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5034, 4: no command line has more than 255 octets."""
    lines: list[bytes] = []
    token = "x" * 300
    monkeypatch.setitem(introspection.users, token, "alice")
    with site.logging("alice", "XOAUTH2", True), site.connected("XOAUTH2") as client:
        listen(client, lines, monkeypatch)
        client.authenticate(Token("alice", token))
    assert b"AUTH XOAUTH2\r\n" in lines
