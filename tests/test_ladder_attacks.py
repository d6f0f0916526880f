"""The ladder attacked: nothing wrong is ever accepted, and nothing is said to whoever tries.

Each attack stands beside a control in which the right server gets the password. "table": the rows
of docs/certificates.md, under each rung. Where each attack is shown:

- a leaf signed by a pinned CA:TRUE key, also with that certificate sent after it: table,
  test_bad_certificates
- the pinned or known certificate appended to somebody else's: table, test_first_use; here, by
  `verify` alone, and where the form is waived
- names, serial number and identifiers copied, another key: table; here, of a root and of an
  intermediate
- a forged issuer and the real intermediate, under `pins=`: test_bad_certificates; here its twin
- junk appended, under `pins=`: test_bad_certificates; here the pinned chain itself
- no host, for each store: here
- the known key in an expired certificate, or in one for clients: table
- a session resumed, under each store: here; how it is done at all: test_gate
- a context for one endpoint used for another: here; test_first_use
- a known line for another port, protocol or name: test_first_use
- a known-servers file cut, edited, half-written, written by two at once: test_known_servers
- a forged list, another authority's, a stale one: test_revocation; here an older beside the new one
- the certificate that is believed, shown by somebody without its key: here
- a waiver after its day, or for another certificate: test_waivers; table
"""

import contextlib
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ladder_rungs import EXPIRY, FORM
from securemail import (
    CATrust,
    CertificateRejected,
    ExactCertificate,
    FirstUseTrust,
    Peer,
    Pin,
    PinMismatch,
    PolicyError,
    SecureMailError,
    SystemTrust,
    TLSError,
    TLSPolicy,
)
from servers import scripts
from servers.attackers import ATTACKERS
from servers.attempts import MAIL, PASSWORD, assert_nothing_said
from servers.kinds import HOST, KINDS
from servers.leaks import leaks
from servers.malformed import MALFORMED, device
from servers.more_kinds import AUTHORITIES, MORE_KINDS
from servers.pki import PKI, Issued
from servers.recording import Conversation, RecordingServer
from servers.revocation import DAY, NOW, issuer_of, revocation_list

IMAP = MAIL["imap"]
SECRET = f"a LOGIN user {PASSWORD}\r\n".encode()
Serve = Callable[..., RecordingServer]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    kinds = KINDS | MORE_KINDS | AUTHORITIES | ATTACKERS
    return PKI(tmp_path_factory.mktemp("attacks"), kinds)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, pki: PKI) -> None:
    """The system's store holds the tests' root."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))


@pytest.fixture
def serve(recording_server: Serve, pki: PKI) -> Serve:
    def start(name: str, script: Any = scripts.POLITE["imap"], **how: Any) -> RecordingServer:
        return recording_server(script, context=pki[name].server_context(**how))

    return start


def listens(conversation: Conversation) -> None:
    """Says nothing, so that a client may leave as soon as it has spoken."""
    conversation.sleep_until_closed(5)


def signs_in(server: RecordingServer, policy: TLSPolicy) -> None:
    """The control."""
    before = server.connections
    IMAP.attempt(server, policy=policy, server_hostname=HOST)
    assert leaks(server.wait(before + 1)[before].received_tls, PASSWORD)


def refused(server: RecordingServer, policy: TLSPolicy) -> Any:
    before = server.connections
    with pytest.raises(SecureMailError) as caught:
        IMAP.attempt(server, policy=policy, server_hostname=HOST)
    assert_nothing_said(server.wait(before + 1)[before:])
    assert caught.value.credentials_sent is False
    return caught.value


# -- pins, and what is sent along


@pytest.mark.parametrize("shown", ["misissued", "twin_between"])
@pytest.mark.parametrize("pinned", ["the leaf", "the intermediate"])
@pytest.mark.parametrize("spelling", [Pin.of_key, Pin.of_certificate])
def test_a_pin_counts_only_in_the_chain_that_was_verified(
    spelling: Callable[[bytes], Pin], pinned: str, shown: str, pki: PKI, serve: Serve
) -> None:
    """The attacker has a certificate that the root vouches for, and sends the pinned ones too."""
    right = pki["with_intermediate"]
    between = ssl.PEM_cert_to_DER_cert(pki.intermediate_pem.read_text())
    pin = spelling(right.leaf_der if pinned == "the leaf" else between)
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), pins=pin)
    attacker = serve(shown)
    error = refused(attacker, policy)
    assert type(error) is PinMismatch
    if pinned == "the intermediate":
        assert between in _sent(pki[shown])  # it was there to be taken
    signs_in(serve("with_intermediate"), policy)
    signs_in(attacker, TLSPolicy(trust=CATrust(pki.ca_pem)))  # the pin alone stood in his way


def _sent(issued: Issued) -> list[bytes]:
    """All that its server sends."""
    blocks = issued.cert.read_text().split("-----END CERTIFICATE-----\n")[:-1]
    return [ssl.PEM_cert_to_DER_cert(f"{one}-----END CERTIFICATE-----\n") for one in blocks]


def test_a_twin_of_the_root_vouches_for_nobody(pki: PKI, serve: Serve) -> None:
    """Its name, serial number, dates and identifiers are the root's, which is sent as well."""
    attacker, right = serve("twin_root"), serve("good")
    root = CATrust(pki.ca_pem)
    for policy in (
        TLSPolicy(trust=root),
        TLSPolicy(),
        TLSPolicy(trust=SystemTrust() | root),
        TLSPolicy(trust=root, strict_x509=False),
        TLSPolicy(trust=root, pins=Pin.from_pem(pki.ca_pem)),
    ):
        assert refused(attacker, policy).code == "bad-signature"
        signs_in(right, policy)


# -- the first certificate is the server's, and no other


def _first_use(file: Path, der: bytes, folder: Path, port: int = 993) -> FirstUseTrust:
    store = FirstUseTrust(folder / "known-servers", acknowledge="a test")
    store.expect(("imap", HOST, port), Pin.of_key(der))
    return store


WHY = {"acknowledge": "a test"}
EXACTLY: dict[str, Callable[[Path, bytes, Path], Any]] = {
    "certificate": lambda file, der, _: ExactCertificate(file, **WHY),
    "key": lambda file, der, _: ExactCertificate(pin=Pin.of_key(der), **WHY),
    "fingerprint": lambda file, der, _: ExactCertificate(pin=Pin.of_certificate(der), **WHY),
    "expiry waived": lambda file, der, _: ExactCertificate(file, waive=EXPIRY, **WHY),
    "form waived": lambda file, der, _: ExactCertificate(file, waive=FORM, **WHY),
    "both waived": lambda file, der, _: ExactCertificate(file, waive=(EXPIRY, FORM), **WHY),
    "first use": _first_use,
}
every_exact_one = pytest.mark.parametrize("make", EXACTLY.values(), ids=EXACTLY)


@every_exact_one
def test_only_the_first_certificate_counts(make: Any, pki: PKI, tmp_path: Path) -> None:
    """By `verify` alone, whatever OpenSSL would have said: also where its chain has the known one
    further up, as it does when the known key signed the attacker's."""
    known, child = pki["self_signed_ca"], pki["child_of_self_signed_ca"]
    store = make(known.leaf_pem, known.leaf_der, tmp_path)
    where: Any = {"host": HOST, "port": 993, "protocol": "IMAP over TLS"}
    both = (child.leaf_der, known.leaf_der)
    for presented in (both, both[:1], (child.leaf_der, *both[::-1]), ()):
        for verified in (None, both, both[::-1]):
            with pytest.raises(CertificateRejected):
                store.verify(Peer(**where, presented=presented, verified=verified))
    for presented in (both[::-1], both[1:]):
        assert store.verify(Peer(**where, presented=presented))


@pytest.mark.parametrize("form", ["version 4", "a critical extension nobody knows"])
def test_a_malformed_one_sent_after_another_is_not_the_servers(
    form: str, pki: PKI, tmp_path: Path, recording_server: Serve
) -> None:
    """OpenSSL verifies nothing there, so the attacker's own certificate needs no chain at all."""
    known = device(tmp_path, **MALFORMED[form])
    shown = pki["self_signed"]
    sent = tmp_path / "sent.pem"
    sent.write_bytes(shown.leaf_pem.read_bytes() + known.cert.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sent, shown.key)
    policy = TLSPolicy(trust=ExactCertificate(known.cert, waive=FORM, acknowledge="a test"))
    error = refused(recording_server(scripts.POLITE["imap"], context=context), policy)
    assert type(error) is PinMismatch
    right = recording_server(scripts.POLITE["imap"], context=known.server_context())
    with pytest.warns(UserWarning, match="whatever its form"):
        signs_in(right, policy)


# -- no host


def _dialled(server: RecordingServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=5)


@contextlib.contextmanager
def by_socket(context: Any, server: RecordingServer, host: Any) -> Iterator[Any]:
    with _dialled(server) as plain:
        with context.wrap_socket(plain, server_hostname=host) as tls:
            yield tls.sendall


@contextlib.contextmanager
def by_object(context: Any, server: RecordingServer, host: Any) -> Iterator[Any]:
    """As asyncio does it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with _dialled(server) as plain:
        tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        yield lambda data: (tls.write(data), plain.sendall(outgoing.read()))


NO_HOST = (None, "", b"")
every_way = pytest.mark.parametrize("way", [by_socket, by_object])


def _named(pki: PKI, folder: Path) -> dict[str, TLSPolicy]:
    """Policies that check names, for the server `good`."""
    root = CATrust(pki.ca_pem)
    lists = folder / "root.crl"
    lists.write_bytes(revocation_list(issuer_of(pki._workshop.root)).public_bytes(Encoding.PEM))
    return {
        "system": TLSPolicy(),
        "ca": TLSPolicy(trust=root),
        "joined": TLSPolicy(trust=SystemTrust() | root),
        "tolerant": TLSPolicy(trust=root, strict_x509=False),
        "pins": TLSPolicy(trust=root, pins=pki["good"].spki_pin),
        "lists": TLSPolicy(trust=root, crls=(lists,)),
    }


@every_way
def test_no_host_is_no_connection_where_names_count(
    way: Any, pki: PKI, tmp_path: Path, serve: Serve
) -> None:
    server = serve("good", listens)
    for name, policy in _named(pki, tmp_path).items():
        for host in NO_HOST:
            before = server.connections
            with pytest.raises(PolicyError) as caught, way(policy.ssl_context(), server, host):
                pass
            assert caught.value.code == "host-missing", name
            assert server.wait(before + 1)[before].wire == b""  # no greeting of TLS either
        before = server.connections
        with way(policy.ssl_context(), server, HOST) as send:
            send(SECRET)
        assert leaks(server.wait(before + 1)[before].received_tls, PASSWORD), name


@every_way
@every_exact_one
def test_no_host_opens_no_other_server(
    make: Any, way: Any, pki: PKI, tmp_path: Path, serve: Serve
) -> None:
    """Where the key is the identity a host is not needed; but the key is."""
    right, attacker = serve("self_signed_ca", listens), serve("known_appended")
    known = pki["self_signed_ca"]
    store = make(known.leaf_pem, known.leaf_der, tmp_path)
    policy = TLSPolicy(trust=store)
    endpoint = ("imap", HOST, 993) if isinstance(store, FirstUseTrust) else None
    context = policy.ssl_context(endpoint=endpoint)
    if endpoint is not None:
        with pytest.raises(PolicyError) as caught:
            policy.ssl_context()
        assert caught.value.code == "endpoint-missing"
    for number, host in enumerate(NO_HOST):
        with pytest.raises(PinMismatch), way(context, attacker, host):
            pass
        assert_nothing_said(attacker.wait(number + 1)[number:])
        with _waived(), way(context, right, host) as send:
            send(SECRET)
        assert leaks(right.wait(number + 1)[number].received_tls, PASSWORD)


@contextlib.contextmanager
def _waived() -> Iterator[None]:
    """Waivers warn; which ones is shown in test_waivers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


# -- a session, resumed


@every_exact_one
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_never_resumed(
    version: ssl.TLSVersion, make: Any, pki: PKI, tmp_path: Path, serve: Serve
) -> None:
    """Not even one of the right server's; and under first use not after it was forgotten."""
    known = pki["self_signed_ca"]
    server = serve("self_signed_ca", minimum_version=version, maximum_version=version)
    store = make(known.leaf_pem, known.leaf_der, tmp_path)
    first_use = isinstance(store, FirstUseTrust)
    endpoint = ("imap", HOST, 993) if first_use else None
    context = TLSPolicy(trust=store).ssl_context(endpoint=endpoint)
    with _waived(), _dialled(server) as plain:
        with context.wrap_socket(plain, server_hostname=HOST) as first:
            first.recv(100)  # TLS 1.3: with the ticket before it
            session = first.session
    assert session is not None
    for wrap in ("wrap_socket", "wrap_bio"):
        around = (
            (_dialled(server),) if wrap == "wrap_socket" else (ssl.MemoryBIO(), ssl.MemoryBIO())
        )
        with pytest.raises(PolicyError) as caught:
            getattr(context, wrap)(*around, server_hostname=HOST, session=session)
        assert caught.value.code == "session-resumed"
        if wrap == "wrap_socket":
            around[0].close()  # type: ignore[union-attr]
    if first_use:
        store.remove(endpoint)
    with _dialled(server) as plain:
        second = context.wrap_socket(plain, server_hostname=HOST, do_handshake_on_connect=False)
        second.session = session
        with pytest.raises(TLSError) as refusal:
            second.do_handshake()
        assert refusal.value.code == "session-resumed"
        with pytest.raises(TLSError):
            second.sendall(SECRET)
    assert_nothing_said(server.wait(3)[1:])


# -- a context for one endpoint, used for another


@pytest.mark.parametrize("protocol", MAIL)
def test_a_context_of_an_endpoint_believes_no_other_server(
    protocol: str, pki: PKI, tmp_path: Path, recording_server: Serve
) -> None:
    """Whichever class it is given to, and wherever that connects: its own server's key counts,
    also where the one that answers is known, as another."""
    mail, known, other = MAIL[protocol], pki["self_signed"], pki["self_signed_ca"]
    polite = scripts.POLITE[protocol]
    right = recording_server(polite, context=known.server_context())
    attacker = recording_server(polite, context=other.server_context())
    store = _first_use(known.leaf_pem, known.leaf_der, tmp_path)
    store.expect((protocol, HOST, attacker.port), Pin.of_key(other.leaf_der))
    store.expect((protocol, "127.0.0.1", attacker.port), Pin.of_key(other.leaf_der))
    context = TLSPolicy(trust=store).ssl_context(endpoint=("imap", HOST, 993))
    name = "context" if protocol != "imap" else "ssl_context"
    with pytest.raises(SecureMailError) as caught:
        mail.attempt(attacker, **{name: context}, server_hostname=HOST)
    assert_nothing_said(attacker.wait(1))
    if protocol == "imap":
        # Our own socket says protocol and port, and a context's word goes before it.
        assert caught.value.code == "key-changed"
    mail.attempt(right, **{name: context}, server_hostname=HOST)
    assert leaks(right.wait(1)[0].received_tls, PASSWORD)


# -- lists


@pytest.mark.parametrize("order", [1, -1])
def test_an_older_list_beside_the_new_one_hides_nothing(
    order: int, pki: PKI, tmp_path: Path, serve: Serve
) -> None:
    """Both are good today; the older one does not have the certificate yet."""
    root, server = issuer_of(pki._workshop.root), serve("revoked")
    older = revocation_list(root, last=NOW - 2 * DAY, due=NOW + 9 * DAY)
    newer = revocation_list(root, pki["revoked"], last=NOW - timedelta(hours=1))
    blocks = [one.public_bytes(Encoding.PEM) for one in (older, newer)][::order]
    paths = [tmp_path / "one.crl", tmp_path / "two.crl"]
    for path, block in zip(paths, blocks, strict=True):
        path.write_bytes(block)
    trust = CATrust(pki.ca_pem)
    assert refused(server, TLSPolicy(trust=trust, crls=tuple(paths))).code == "revoked"
    (tmp_path / "older.crl").write_bytes(older.public_bytes(Encoding.PEM))
    signs_in(server, TLSPolicy(trust=trust, crls=(tmp_path / "older.crl",)))


# -- the right certificate, without its key


def first_flight(server: ssl.SSLContext) -> bytes:
    """What the right server answers to some client's hello: it signs that client's random number
    with it (RFC 5246, 7.4.3)."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    hello, answer = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(ssl.MemoryBIO(), hello)
    with contextlib.suppress(ssl.SSLWantReadError):
        asking.do_handshake()
    answering = server.wrap_bio(hello, answer, server_side=True)
    with contextlib.suppress(ssl.SSLWantReadError):
        answering.do_handshake()
    return answer.read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("rung", ["authority", "file", "key", "certificate", "form", "known"])
def test_the_right_certificate_without_its_key(
    rung: str,
    version: ssl.TLSVersion,
    pki: PKI,
    tmp_path: Path,
    recording_server: Callable[..., RecordingServer],
) -> None:
    """He has recorded what the server said to somebody, and says it again. Above all where OpenSSL
    verifies no chain: the certificate fits to the last octet, and the proof is for another."""
    issued = pki["good"]
    store = FirstUseTrust(tmp_path / "known")
    policy = TLSPolicy(
        trust={
            "authority": CATrust(pki.ca_pem),
            "file": ExactCertificate(issued.leaf_pem),
            "key": ExactCertificate(pin=issued.spki_pin),
            "certificate": ExactCertificate(pin=Pin.of_certificate(issued.leaf_der)),
            "form": ExactCertificate(issued.leaf_pem, waive=FORM),
            "known": store,
        }[rung]
    )
    context = issued.server_context(minimum_version=version, maximum_version=version)
    flight = first_flight(context)

    def replays(conversation: Conversation) -> None:
        head = conversation.read(5)
        hello = conversation.read(int.from_bytes(head[3:], "big"))
        # TLS 1.3 wants the client's session id back (RFC 8446, 4.1.3): all that need not be proved.
        own = hello[39:71] if version == ssl.TLSVersion.TLSv1_3 else flight[44:76]
        conversation.send(flight[:44] + own + flight[76:])
        conversation.sleep_until_closed(10)

    attacker = recording_server(replays)
    store.expect(("imap", HOST, attacker.port), issued.spki_pin)
    with pytest.raises(TLSError) as caught:
        MAIL["imap"].attempt(attacker, server_hostname=HOST, policy=policy)
    assert not isinstance(caught.value, CertificateRejected)  # nothing is wrong with it as such
    if version == ssl.TLSVersion.TLSv1_2:
        assert caught.value.code == "key-unproved"
        assert "could not prove that it has its key" in str(caught.value)
    else:  # what it says next is under a secret that he has not
        assert caught.value.reason in ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "BAD_RECORD_MAC")
    assert "No password was sent." in str(caught.value)
    assert_nothing_said(list(attacker.wait()))

    # The control: the same server, by itself.
    server = recording_server(scripts.imap_ok, context=context)
    store.expect(("imap", HOST, server.port), issued.spki_pin)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MAIL["imap"].attempt(server, server_hostname=HOST, policy=policy)
    (record,) = server.wait()
    assert leaks(record.received_tls, PASSWORD)
