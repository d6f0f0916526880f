"""Trust on first use, on the wire: a server that is not known, or has another key, gets nothing.

The control is always the same server once it is known: it gets the password, over TLS only.
"""

import asyncio
import imaplib
import pickle
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP_SSL,
    SMTP_STARTTLS,
    CertificateRejected,
    ClientCertificate,
    FirstUseTrust,
    Peer,
    Pin,
    PinMismatch,
    PolicyError,
    SecureMailError,
    SelfSignedWarning,
    SystemTrust,
    TLSPolicy,
    UnknownServer,
    Vouched,
    reasons,
)
from servers import scripts
from servers.asynchronous import to_the_end
from servers.attempts import (
    PASSWORD,
    USER,
    Failure,
    assert_nothing_said,
    assert_survives_pickling,
    failing,
)
from servers.kinds import HOST
from servers.leaks import leaks
from servers.pki import PKI, Issued
from servers.recording import RecordingServer

Factory = Callable[..., RecordingServer]
ANY = ":".join(["AB"] * 32)
OTHER_PIN = "sha256/" + "D" * 42 + "A="


@dataclass(frozen=True)
class Way:
    protocol: str
    cls: Any
    starttls: bool = False

    def serve(self, start: Factory, issued: Issued) -> RecordingServer:
        polite = scripts.POLITE[self.protocol]
        if self.starttls:
            return start(polite.with_starttls(issued.server_context()))
        return start(polite, context=issued.server_context())

    def sign_in(self, server: RecordingServer, policy: TLSPolicy, **args: Any) -> str:
        """Connects, signs in and out; what the report says of the trust."""
        client = self.cls("127.0.0.1", server.port, policy=policy, **args)
        client.login(USER, PASSWORD)
        trusted_by: str = client.report.tls.trusted_by
        client.logout() if self.protocol == "imap" else client.quit()
        return trusted_by


WAYS = {
    "imap": Way("imap", IMAP4_SSL),
    "pop3": Way("pop3", POP3_SSL),
    "smtp": Way("smtp", SMTP_SSL),
    "imap, starttls": Way("imap", IMAP4_STARTTLS, starttls=True),
    "pop3, stls": Way("pop3", POP3_STARTTLS, starttls=True),
    "smtp, starttls": Way("smtp", SMTP_STARTTLS, starttls=True),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
IMAP = WAYS["imap"]


@pytest.fixture
def store(tmp_path: Path) -> FirstUseTrust:
    return FirstUseTrust(tmp_path / "known-servers", acknowledge="a test")


@pytest.fixture
def policy(store: FirstUseTrust) -> TLSPolicy:
    return TLSPolicy(trust=store)


def refuse(
    way: Way, server: RecordingServer, policy: TLSPolicy, connections: int = 1, **args: Any
) -> Failure:
    with failing(server, connections) as failure:
        way.sign_in(server, policy, **args)
    assert_nothing_said(failure.records[-1:])
    assert failure.error.credentials_sent is False
    assert_survives_pickling(failure.error)
    return failure


def assert_password_over_tls_only(server: RecordingServer, connections: int) -> None:
    record = server.wait(connections)[-1]
    assert leaks(record.received_tls, PASSWORD)
    assert leaks(record.received_clear, PASSWORD) == []


# -- unknown, learned, changed


@every_way
def test_an_unknown_server_gets_nothing_and_a_learned_one_the_password(
    way: Way, pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    issued = pki["self_signed"]
    server = way.serve(recording_server, issued)
    error = refuse(way, server, policy).error
    assert type(error) is UnknownServer
    assert error.code == "unknown-server"
    assert [type(reason) for reason in error.reasons] == [reasons.NotKnown]
    assert error.fingerprint == str(Pin.of_certificate(issued.leaf_der)).partition("/")[2]
    assert error.pin == issued.spki_pin
    assert error.endpoint == (way.protocol, "127.0.0.1", server.port)
    assert error.chain[0] == issued.leaf_der
    assert error.fingerprint in str(error)
    assert "by another way than this connection" in error.hint
    starttls = " --starttls" if way.starttls else ""
    command = f"known learn {store.path} --{way.protocol}{starttls} 127.0.0.1:{server.port}"
    assert command in error.hint
    assert store.known() == ()  # nothing is learned by itself

    learned = store.learn(pickle.loads(pickle.dumps(error)), error.fingerprint)
    said = way.sign_in(server, policy)

    assert said == f"known since {learned.learned:%Y-%m-%d}, by the file {store.path}"
    assert_password_over_tls_only(server, 2)


@every_way
def test_a_changed_key_gets_nothing_and_says_both_and_when(
    way: Way, pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    issued = pki["good"]
    server = way.serve(recording_server, issued)
    endpoint = (way.protocol, "127.0.0.1", server.port)
    before = pki["self_signed"]
    store.learn(UnknownServer("", endpoint=endpoint, pin=before.spki_pin, fingerprint=ANY), ANY)
    store.expect(endpoint, OTHER_PIN)

    error = refuse(way, server, policy).error

    assert type(error) is PinMismatch
    assert error.code == "key-changed"
    (reason,) = error.reasons
    assert [one.pin for one in reason.known] == [before.spki_pin, OTHER_PIN]
    assert [one.fingerprint for one in reason.known] == [":".join(["AB"] * 32), None]
    assert [one.learned for one in reason.known] == [one.learned for one in store.known()]
    assert (reason.pin, reason.fingerprint) == (
        issued.spki_pin,
        str(Pin.of_certificate(issued.leaf_der)).partition("/")[2],
    )
    for word in (
        *(one.pin for one in reason.known),
        reason.known[0].fingerprint,
        reason.pin,
        reason.fingerprint,
        f"{reason.known[0].learned:%Y-%m-%d}",
        f"{reason.not_before:%Y-%m-%d}",
        f"{reason.not_after:%Y-%m-%d}",
        "intercepting",
        "by another way than this connection",
        "store.remove(",
    ):
        assert word in str(error)
    with pytest.raises(PolicyError) as caught:
        store.learn(error, fingerprint=getattr(error, "fingerprint", ANY))
    assert caught.value.code == "not-unknown"
    assert len(store.known()) == 2

    store.expect(endpoint, issued.spki_pin)  # the next key, entered beforehand
    way.sign_in(server, policy)
    assert_password_over_tls_only(server, 2)


def test_a_removal_counts_at_once(
    pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    server = IMAP.serve(recording_server, pki["good"])
    endpoint = ("imap", "127.0.0.1", server.port)
    store.expect(endpoint, pki["good"].spki_pin)
    context = policy.ssl_context(endpoint=endpoint)  # by somebody who keeps his context
    with imaplib.IMAP4_SSL("127.0.0.1", server.port, ssl_context=context) as imap:
        imap.login(USER, PASSWORD)
    FirstUseTrust(store.path).remove(endpoint)
    with pytest.raises(UnknownServer):
        imaplib.IMAP4_SSL("127.0.0.1", server.port, ssl_context=context)
    assert_nothing_said(server.wait(2)[1:])
    with pytest.raises(UnknownServer):
        IMAP.sign_in(server, policy)


def test_a_renewal_under_the_same_key_is_accepted(
    pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    first, renewed = pki["self_signed"], pki["renewed_same_key"]
    assert first.leaf_der != renewed.leaf_der
    server = IMAP.serve(recording_server, renewed)
    store.expect(("imap", "127.0.0.1", server.port), first.spki_pin)
    IMAP.sign_in(server, policy)


def test_a_known_certificate_after_another_leaf_helps_nobody(
    pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    """Whoever answers can send any certificate; he has the key of the first one alone."""
    server = IMAP.serve(recording_server, pki["junk_appended"])
    store.expect(("imap", "127.0.0.1", server.port), Pin.from_pem(pki.other_ca_pem))
    error = refuse(IMAP, server, policy).error
    assert error.code == "key-changed"
    assert any(Pin.of_key(der) == Pin.from_pem(pki.other_ca_pem) for der in error.chain[1:])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("self_signed_expired", reasons.Expired),
        ("not_yet_valid", reasons.NotYetValid),
        ("self_signed_weak_key", reasons.WeakKey),
        ("wrong_eku", reasons.WrongPurpose),
        ("self_signed_cert_sign_only", reasons.WrongKeyUsage),
    ],
)
def test_a_certificate_that_is_wrong_is_refused_known_or_not(
    name: str,
    kind: type,
    pki: PKI,
    recording_server: Factory,
    store: FirstUseTrust,
    policy: TLSPolicy,
) -> None:
    server = IMAP.serve(recording_server, pki[name])
    endpoint = ("imap", "127.0.0.1", server.port)

    not_known = refuse(IMAP, server, policy).error
    assert type(not_known) is CertificateRejected  # not to be learned
    with pytest.raises(PolicyError):
        store.learn(not_known, fingerprint=ANY)

    store.expect(endpoint, OTHER_PIN)
    changed = refuse(IMAP, server, policy, 2).error
    assert type(changed) is PinMismatch
    assert [type(reason) for reason in changed.reasons] == [reasons.KeyChanged, kind]

    store.expect(endpoint, pki[name].spki_pin)
    known = refuse(IMAP, server, policy, 3).error
    assert type(known) is CertificateRejected
    assert [type(reason) for reason in known.reasons] == [kind]


# -- which server is meant


def test_known_is_a_protocol_a_host_and_a_port(
    pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    issued = pki["good"]
    server = IMAP.serve(recording_server, issued)
    right = ("imap", "127.0.0.1", server.port)
    for other in (("pop3", *right[1:]), ("imap", HOST, right[2]), (*right[:2], 993)):
        store.expect(other, issued.spki_pin)
    assert refuse(IMAP, server, policy).error.endpoint == right
    store.expect(right, issued.spki_pin)
    IMAP.sign_in(server, policy)


@every_way
def test_the_name_that_is_verified_is_the_one_it_is_known_by(
    way: Way, pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    server = way.serve(recording_server, pki["good"])
    error = refuse(way, server, policy, server_hostname="Mail.Example.ORG.").error
    assert error.endpoint == (way.protocol, HOST, server.port)
    store.learn(error, fingerprint=getattr(error, "fingerprint", ANY))
    way.sign_in(server, policy, server_hostname=HOST)
    refuse(way, server, policy, 3)  # by its address it is not known


def test_without_an_endpoint_there_is_no_context(policy: TLSPolicy, store: FirstUseTrust) -> None:
    with pytest.raises(PolicyError) as caught:
        policy.ssl_context()
    assert caught.value.code == "endpoint-missing"
    assert 'ssl_context(endpoint=("imap"' in caught.value.hint
    assert str(store.path) in policy.describe()  # that needs none
    assert "names:       not checked" in policy.describe()


def test_a_context_is_made_once_for_an_endpoint(policy: TLSPolicy) -> None:
    context = policy.ssl_context(endpoint=("imap", HOST, 993))
    assert context is policy.ssl_context(endpoint=("IMAP", f"{HOST.upper()}.", 993))
    assert context is not policy.ssl_context(endpoint=("imap", HOST, 143))
    with pytest.raises(PolicyError) as caught:
        context._endpoint = ("imap", "other.example.net", 993)
    assert caught.value.code == "sealed"


@pytest.mark.parametrize(
    "endpoint", [(), ("imap", None, 993), ("ftp", HOST, 21), ("imap", HOST, 0)]
)
def test_an_endpoint_that_is_none_is_refused(endpoint: Any, policy: TLSPolicy) -> None:
    for one in (policy, TLSPolicy()):
        with pytest.raises(PolicyError) as caught:
            one.ssl_context(endpoint=endpoint)
        assert caught.value.code in ("endpoint", "host-name")


def test_a_context_is_for_its_host_alone(policy: TLSPolicy) -> None:
    context = policy.ssl_context(endpoint=("imap", HOST, 993))

    def wrap(host: str | None) -> Any:
        return context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)

    assert wrap(None).server_hostname == HOST
    assert wrap(f"{HOST.upper()}.").server_hostname == HOST
    with pytest.raises(PolicyError) as caught:
        wrap("other.example.net")
    assert caught.value.code == "endpoint-mismatch"
    with socket.socket() as sock, pytest.raises(PolicyError):
        context.wrap_socket(sock, server_hostname="other.example.net")


@pytest.mark.parametrize("missing", ["host", "port", "protocol"])
@pytest.mark.parametrize("known", [False, True])
def test_a_peer_of_whom_something_is_not_known_is_refused(
    missing: str, known: bool, pki: PKI, store: FirstUseTrust
) -> None:
    fields: dict[str, Any] = {"host": HOST, "port": 993, "protocol": "IMAP over TLS"}
    issued = pki["good"]
    if known:
        store.expect(("imap", HOST, 993), issued.spki_pin)
        assert store.verify(Peer(**fields, presented=(issued.leaf_der,)))
    with pytest.raises(CertificateRejected) as caught:
        store.verify(Peer(**fields | {missing: None}, presented=(issued.leaf_der,)))
    assert caught.value.code == "endpoint-missing"
    with pytest.raises(CertificateRejected):
        store.verify(Peer(**fields, presented=()))
    with pytest.raises(CertificateRejected):
        store.verify(Peer(**fields | {"protocol": "GOPHER"}, presented=(issued.leaf_der,)))


def test_our_own_context_in_other_hands_knows_nobody(
    pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    """It is an attribute of the standard classes; only our sockets know where they lead."""
    server = IMAP.serve(recording_server, pki["good"])
    store.expect(("imap", "127.0.0.1", server.port), pki["good"].spki_pin)
    client = IMAP4_SSL("127.0.0.1", server.port, policy=policy)
    context = client.ssl_context
    client.logout()
    for host in ("127.0.0.1", None):
        plain = socket.create_connection(("127.0.0.1", server.port))
        with pytest.raises(CertificateRejected) as caught, plain:
            context.wrap_socket(plain, server_hostname=host)
        assert caught.value.code == "endpoint-missing"
    assert_nothing_said(server.wait(3)[1:])


def test_a_context_of_an_endpoint_serves_a_tunnel_to_it(
    pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    server = IMAP.serve(recording_server, pki["good"])
    context = policy.ssl_context(endpoint=("imap", HOST, 993))
    through: dict[str, Any] = {"ssl_context": context, "server_hostname": HOST}
    with pytest.raises(UnknownServer) as caught:
        IMAP4_SSL("127.0.0.1", server.port, **through)
    assert caught.value.endpoint == ("imap", HOST, 993)
    store.learn(caught.value, caught.value.fingerprint)
    IMAP4_SSL("127.0.0.1", server.port, **through).logout()


# -- stores of somebody else


class Keeps:
    """A store that believes everybody, for the tests' servers, and keeps what it was told."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    def prepare(self, context: ssl.SSLContext) -> None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def verify(self, peer: Peer) -> Vouched:
        self.peers.append(peer)
        return Vouched("a test")


class Needs(Keeps):
    needs_endpoint = True


@pytest.mark.parametrize("kind", [Keeps, Needs])
def test_other_stores_are_told_the_endpoint(
    kind: type[Keeps], pki: PKI, recording_server: Factory
) -> None:
    server = IMAP.serve(recording_server, pki["good"])
    keeps = kind()
    policy = TLSPolicy(trust=keeps)
    context = policy.ssl_context(endpoint=("imap", HOST, 993))
    plain = socket.create_connection(("127.0.0.1", server.port))
    with context.wrap_socket(plain) as sock:
        assert sock.server_hostname == HOST
    IMAP4_SSL("127.0.0.1", server.port, policy=policy).logout()
    told = [(peer.host, peer.port, peer.protocol) for peer in keeps.peers]
    assert told == [(HOST, 993, "IMAP"), ("127.0.0.1", server.port, "IMAP over TLS")]
    if kind is Needs:
        with pytest.raises(PolicyError) as caught:
            policy.ssl_context()
        assert caught.value.code == "endpoint-missing"
    else:
        assert policy.ssl_context() is not context


# -- other libraries


def with_asyncio(port: int, context: ssl.SSLContext) -> None:
    async def talk() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        assert (await reader.readline()).startswith(b"* OK")
        writer.write(b"a LOGIN %s {%d}\r\n" % (USER.encode(), len(PASSWORD)))
        await reader.readline()
        writer.write(PASSWORD.encode() + b"\r\n")
        await reader.readline()
        writer.transport.abort()

    asyncio.run(to_the_end(talk()))


def with_smtplib(port: int, context: ssl.SSLContext) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as smtp:
        smtp.starttls(context=context)
        smtp.login(USER, PASSWORD)


def with_imaplib(port: int, context: ssl.SSLContext) -> None:
    with imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context) as imap:
        imap.login(USER, PASSWORD)


CLIENTS = {
    "asyncio": (with_asyncio, IMAP),
    "smtplib": (with_smtplib, WAYS["smtp, starttls"]),
    "imaplib": (with_imaplib, IMAP),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_in_other_hands(
    name: str, pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    use, way = CLIENTS[name]
    server = way.serve(recording_server, pki["self_signed"])
    endpoint = (way.protocol, "127.0.0.1", server.port)
    context = policy.ssl_context(endpoint=endpoint)
    with pytest.raises(UnknownServer) as unknown:
        use(server.port, context)
    assert unknown.value.endpoint == endpoint
    store.expect(endpoint, OTHER_PIN)
    with pytest.raises(PinMismatch):
        use(server.port, context)
    assert_nothing_said(server.wait(2))
    store.remove(endpoint)
    store.learn(unknown.value, unknown.value.fingerprint)
    use(server.port, context)
    assert_password_over_tls_only(server, 3)


def test_a_file_that_breaks_meanwhile_is_a_refusal_and_not_a_wait(
    pki: PKI, recording_server: Factory, store: FirstUseTrust, policy: TLSPolicy
) -> None:
    server = IMAP.serve(recording_server, pki["good"])
    endpoint = ("imap", "127.0.0.1", server.port)
    store.expect(endpoint, pki["good"].spki_pin)
    context = policy.ssl_context(endpoint=endpoint)
    file = Path(store.path)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(CertificateRejected) as caught:
        with_asyncio(server.port, context)
    assert caught.value.code == "known-servers"
    assert ", line 4 is not one of this file" in str(caught.value)
    assert_nothing_said(server.wait(1))
    with pytest.raises(PolicyError) as before:  # here before anything is connected
        IMAP.sign_in(server, policy)
    assert before.value.code == "known-servers"
    assert server.connections == 1


# -- together with other settings


def test_what_does_not_go_together(pki: PKI, store: FirstUseTrust) -> None:
    own = ClientCertificate(pki.client_certificate("alice"))
    with pytest.raises(PolicyError) as caught:
        TLSPolicy(trust=store, client_certificate=own)
    assert caught.value.code == "client-certificate-trust"
    with pytest.raises(PolicyError) as joined:
        SystemTrust() | store
    assert joined.value.code == "trust-join"
    with pytest.raises(PolicyError):
        FirstUseTrust(store.path, acknowledge=" ")


def test_pins_narrow_it(pki: PKI, recording_server: Factory, store: FirstUseTrust) -> None:
    server = IMAP.serve(recording_server, pki["good"])
    store.expect(("imap", "127.0.0.1", server.port), pki["good"].spki_pin)
    error = refuse(IMAP, server, TLSPolicy(trust=store, pins=OTHER_PIN)).error
    assert error.code == "pin-mismatch"
    IMAP.sign_in(server, TLSPolicy(trust=store, pins=pki["good"].spki_pin))


def test_a_context_for_one_connection(
    pki: PKI, recording_server: Factory, store: FirstUseTrust
) -> None:
    server = IMAP.serve(recording_server, pki["good"])
    policy = TLSPolicy(trust=store, channel_binding="require")
    error = refuse(IMAP, server, policy).error
    store.learn(error, fingerprint=getattr(error, "fingerprint", ANY))
    with IMAP4_SSL("127.0.0.1", server.port, policy=policy) as imap:
        assert imap.report.tls is not None
        assert imap.report.tls.not_checked[:2] == (
            "the name (the key is the identity)",
            "the issuer",
        )


def test_a_self_signed_certificate_warns(
    pki: PKI, recording_server: Factory, tmp_path: Path
) -> None:
    store = FirstUseTrust(tmp_path / "known")
    server = IMAP.serve(recording_server, pki["self_signed"])
    store.expect(("imap", "127.0.0.1", server.port), pki["self_signed"].spki_pin)
    with pytest.warns(SelfSignedWarning, match="known since 20.*acknowledge") as warned:
        IMAP.sign_in(server, TLSPolicy(trust=store))
    assert len(warned) == 1
    said = FirstUseTrust(tmp_path / "known", acknowledge="compared")
    IMAP.sign_in(server, TLSPolicy(trust=said))  # no warning, which would be an error here


@pytest.mark.parametrize(
    "given",
    [
        None,
        "AB:CD",
        ValueError(),
        CertificateRejected("x"),
        PinMismatch("x"),
        UnknownServer("x"),
        UnknownServer("x", pin=OTHER_PIN),
        UnknownServer("x", endpoint=("imap", HOST, 993)),
    ],
)
def test_only_an_unknown_server_is_learned(given: Any, store: FirstUseTrust) -> None:
    with pytest.raises(PolicyError) as caught:
        store.learn(given, fingerprint=ANY)
    assert caught.value.code == "not-unknown"
    assert store.known() == ()


def test_values(store: FirstUseTrust, tmp_path: Path) -> None:
    policy = TLSPolicy(trust=store)
    again = pickle.loads(pickle.dumps(policy))
    assert again == policy
    assert hash(again) == hash(policy)
    assert policy == TLSPolicy(trust=FirstUseTrust(str(tmp_path / "known-servers"), "a test"))
    assert re.fullmatch(
        r"FirstUseTrust\(path='/.*known-servers', acknowledge='a test'\)", repr(store)
    )
    assert isinstance(UnknownServer("x"), SecureMailError)


# --- nothing is learned without what the administrator said ---------------------------------------

UNKNOWN = UnknownServer("", endpoint=("imap", HOST, 993), pin=OTHER_PIN, fingerprint=ANY)


@pytest.mark.parametrize("told", [ANY, ANY.replace(":", "").lower(), OTHER_PIN, Pin(OTHER_PIN)])
def test_the_fingerprint_or_the_pin_as_it_was_told(told: Any, store: FirstUseTrust) -> None:
    assert store.learn(UNKNOWN, fingerprint=told).pin == OTHER_PIN


@pytest.mark.parametrize(
    "told", [":".join(["AC"] * 32), "sha256/" + "E" * 42 + "A=", Pin.certificate("AC" * 32)]
)
def test_another_one_is_refused_and_nothing_learned(told: Any, store: FirstUseTrust) -> None:
    with pytest.raises(PinMismatch, match="nothing was learned") as raised:
        store.learn(UNKNOWN, fingerprint=told)
    assert raised.value.code == "pin-mismatch"
    assert "intercepting" in raised.value.hint
    assert store.known() == ()


@pytest.mark.parametrize("told", ["", "yes", None, "AB:CD"])
def test_what_is_no_fingerprint_is_refused(told: Any, store: FirstUseTrust) -> None:
    with pytest.raises(PolicyError) as raised:
        store.learn(UNKNOWN, fingerprint=told)
    assert raised.value.code == "pin-malformed"
    assert store.known() == ()


def test_without_one_there_is_no_learning(store: FirstUseTrust) -> None:
    with pytest.raises(TypeError, match="fingerprint"):
        store.learn(UNKNOWN)  # type: ignore[call-arg]
    assert store.known() == ()
