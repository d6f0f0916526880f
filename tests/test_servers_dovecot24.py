"""Dovecot 2.4 binds sign-ins to the channel, as clients that are not ours see it.

A control, as `test_servers_sign_in.py` is; the other client is scramp, which knows tls-unique.
"""

import imaplib
import os
import poplib
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import dovecot24 as module
from servers import exchanges
from servers.clients import strict_context
from servers.dovecot import ITERATIONS
from servers.dovecot24 import Dovecot24, running
from servers.exchanges import Client, Exchange, sign_in
from servers.pki import PKI
from servers.places import Place
from servers.processes import REQUIRED, ServerUnavailable
from servers.sign_ins import Begun, SignIn

real_server = pytest.mark.real_server

PLACES = ("dovecot24 imap", "dovecot24 pop3")
SETUP = Path(__file__).parent / "servers" / "root-setup"

every_place = pytest.mark.parametrize("place", PLACES, indirect=True)
plus = pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])


@pytest.fixture
def tls12(pki: PKI) -> ssl.SSLContext:
    """A client's context that goes no further than TLS 1.2."""
    context = strict_context(pki.ca_pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def bound(client: Client, mechanism: str, password: str, data: bytes | None = None) -> Exchange:
    """Bound by tls-unique to that connection, or by that data."""
    if data is None:
        assert isinstance(client.sock, ssl.SSLSocket)
        data = client.sock.get_channel_binding("tls-unique")
    assert data is not None
    return exchanges.scram(mechanism, "alice", password, ("tls-unique", data))


@real_server
@every_place
@pytest.mark.parametrize(
    "mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]
)
def test_signs_in_without_binding(place: Place, mechanism: str) -> None:
    right, exchange = place.server.users["alice"], exchanges.BY_PASSWORD[mechanism]
    with place.logging("alice", mechanism, True, False):
        assert place.sign_in(mechanism, exchange("alice", right))
        assert not place.sign_in(mechanism, exchange("alice", "wrong"))


@real_server
@every_place
@plus
def test_binds_by_tls_unique(place: Place, mechanism: str, tls12: ssl.SSLContext) -> None:
    before, right = len(place.server.sign_ins_of("alice")), place.server.users["alice"]
    for password, accepted in ((right, True), ("wrong", False)):
        with place.connected(tls12) as client:
            assert sign_in(client, mechanism, bound(client, mechanism, password)) is accepted
    new = place.server.sign_ins_of("alice")[before:]
    assert new == [
        SignIn(place.protocol, mechanism, accepted, "tls-unique") for accepted in (True, False)
    ]


@real_server
@every_place
@plus
def test_refuses_the_binding_of_another_connection(
    place: Place, mechanism: str, tls12: ssl.SSLContext
) -> None:
    right = place.server.users["alice"]
    with place.connected(tls12) as other, place.connected(tls12) as client:
        assert isinstance(other.sock, ssl.SSLSocket)
        data = other.sock.get_channel_binding("tls-unique")
        assert not sign_in(client, mechanism, bound(client, mechanism, right, data))


@real_server
@every_place
@plus
def test_refuses_a_client_that_believes_there_is_no_binding(
    place: Place, mechanism: str, tls12: ssl.SSLContext
) -> None:
    right, begun = place.server.users["alice"], len(place.server.sign_ins_begun())
    without = mechanism.removesuffix("-PLUS")
    with place.connected(tls12) as client:
        assert not sign_in(client, without, bound(client, without, right))
    assert place.server.sign_ins_begun()[begun:] == [Begun(place.protocol, without)]
    assert "Potential downgrade attack detected" in place.server.log()


@real_server
@every_place
def test_hangs_up_on_tls_unique_in_tls_13(place: Place) -> None:
    """There it is undefined; what Python answers when asked for it is good for nothing."""
    begun, ended = len(place.server.sign_ins_begun()), place.server.sign_ins_of("alice")
    right = place.server.users["alice"]
    with (
        pytest.raises((imaplib.IMAP4.abort, poplib.error_proto, OSError)),
        place.connected() as client,
    ):
        sign_in(client, "SCRAM-SHA-256-PLUS", bound(client, "SCRAM-SHA-256-PLUS", right))
    new = place.server.sign_ins_begun()[begun:]
    assert new == [Begun(place.protocol, "SCRAM-SHA-256-PLUS")]
    assert place.server.sign_ins_of("alice") == ended


@real_server
@every_place
def test_what_it_offers(place: Place, tls12: ssl.SSLContext) -> None:
    wanted = {name.upper() for name in module.BINDING_MECHANISMS}
    for context in (place.context, tls12):
        with place.connected(context) as client:
            assert offered(client) == wanted


def offered(client: Client) -> set[str]:
    if isinstance(client, imaplib.IMAP4):
        words = [word for word in client.capabilities if word.startswith("AUTH=")]
        return {word.removeprefix("AUTH=") for word in words}
    assert isinstance(client, poplib.POP3)
    return set(client.capa()["SASL"])


@real_server
def test_starttls(dovecot24: Dovecot24, client_context: ssl.SSLContext) -> None:
    port, password = dovecot24.ports["imap"], dovecot24.users["alice"]
    with imaplib.IMAP4(dovecot24.remote_host, port, timeout=20) as imap:
        assert "LOGINDISABLED" in imap.capabilities
        imap.starttls(client_context)
        assert "SCRAM-SHA-256-PLUS" in offered(imap)
        imap.login("alice", password)
    pop3 = poplib.POP3(dovecot24.remote_host, dovecot24.ports["pop3"], timeout=20)
    pop3.stls(client_context)
    assert "SCRAM-SHA-256-PLUS" in offered(pop3)
    pop3.user("alice")
    pop3.pass_(password)
    pop3.quit()


@real_server
@every_place
@pytest.mark.parametrize("user", list(ITERATIONS))
def test_users_with_a_verifier(place: Place, user: str) -> None:
    for mechanism in ("SCRAM-SHA-256", "PLAIN"):
        exchange = exchanges.BY_PASSWORD[mechanism](user, place.server.users[user])
        assert place.sign_in(mechanism, exchange)


@pytest.fixture(scope="module")
def old_dovecot(pki: PKI) -> Iterator[Dovecot24]:
    with running(pki["good"], mechanisms=("scram-sha-256-plus",), ssl_max_protocol="TLSv1.2") as it:
        yield it


@real_server
@pytest.mark.parametrize("place", ["old_dovecot imap", "old_dovecot pop3"], indirect=True)
def test_one_that_knows_no_tls_13(place: Place, pki: PKI) -> None:
    right = place.server.users["alice"]
    with place.connected() as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.version() == "TLSv1.2"
        assert offered(client) == {"SCRAM-SHA-256-PLUS"}
        assert sign_in(client, "SCRAM-SHA-256-PLUS", bound(client, "SCRAM-SHA-256-PLUS", right))
    only_tls13 = strict_context(pki.ca_pem)
    only_tls13.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises(ssl.SSLError, match="protocol version"), place.connected(only_tls13):
        pass


# -- where it is not


def test_where_it_is_not_the_tests_are_skipped_or_fail(
    pki: PKI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(module.ROOT, str(tmp_path / "nowhere"))
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="install-test-servers"), running(pki["good"]):
        pass
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="nowhere"), running(pki["good"]):
        pass


def test_half_of_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run of the script may have left."""
    (tmp_path / "usr" / "sbin").mkdir(parents=True)
    (tmp_path / "srv").mkdir()
    monkeypatch.setenv(module.ROOT, str(tmp_path))
    with pytest.raises(ServerUnavailable, match="install-test-servers"):
        module.place()


def test_the_script_leaves_alone_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = subprocess.run(
        [SETUP, "dovecot24", tmp_path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "not of this script's making" in done.stderr
    assert os.listdir(tmp_path) == ["mine"]
