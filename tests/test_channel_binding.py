"""Channel bindings: what our side has is what the other side has, octet for octet, or nothing.

The other side is openssl s_server for the exporter (it prints its own), Python's `ssl` for
tls-unique, and `cryptography` for certificates.
"""

import gc
import hashlib
import os
import pickle
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP_SSL,
    SMTP_STARTTLS,
    CATrust,
    CertificateRejected,
    ExactCertificate,
    Limits,
    PinMismatch,
    PolicyError,
    SecureMailError,
    TLSPolicy,
)
from securemail.secret import Secret
from securemail.tls import binding, exporter, key_log
from securemail.tls.binding import Binding, NoBinding, binding_of
from securemail.tls.exporter import ExportingContext
from servers import scripts
from servers.attempts import shown_of
from servers.certificates import CURRENT, common_name, pem, private_key_pem, san
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.scripts import POLITE

NAME = "mail.example.org"
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
LABEL = "EXPORTER-Channel-Binding"  # RFC 9266, 2
SECONDS = 20

CLASSES: dict[str, tuple[str, Any]] = {
    cls.__name__: (protocol, cls)
    for protocol, cls in [
        ("imap", IMAP4_SSL),
        ("pop3", POP3_SSL),
        ("smtp", SMTP_SSL),
        ("imap", IMAP4_STARTTLS),
        ("pop3", POP3_STARTTLS),
        ("smtp", SMTP_STARTTLS),
    ]
}


def policy_of(pki: PKI, wanted: str, **more: Any) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem), channel_binding=wanted, **more)


def octets(binding: Binding | NoBinding) -> bytes:
    assert isinstance(binding, Binding), binding
    found: bytes = binding.data.reveal()
    return found


def why(binding: Binding | NoBinding) -> str:
    assert isinstance(binding, NoBinding), binding
    return binding.why


def descriptors() -> list[str]:
    """What this process has open, sockets and all."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that lists them
            found.append(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return sorted(found)


@contextmanager
def nothing_left_open(
    server: RecordingServer | None = None, connections: int = 1
) -> Iterator[None]:
    """Nor on the server's side, which is this process too: it ends with the client's."""
    gc.collect()
    before = descriptors()
    yield
    if server is not None:
        server.wait(connections)
    assert descriptors() == before


@contextmanager
def connected(port: int, context: ssl.SSLContext, name: str = NAME) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        yield sock


class Unique:
    """A script that keeps what the server has for tls-unique."""

    def __init__(self) -> None:
        self.found: list[bytes | None] = []

    def __call__(self, conversation: Conversation) -> None:
        assert conversation._tls is not None
        self.found.append(conversation._tls.get_channel_binding("tls-unique"))
        conversation.send(b"220 here\r\n")
        conversation.sleep_until_closed(5)


# -- tls-exporter


@contextmanager
def s_server(pki: PKI, folder: Path, *options: str) -> Iterator[tuple[int, Path]]:
    """`openssl s_server` on TLS 1.3, which prints what it exports. Its port, and what it says."""
    said = folder / "said"
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-naccept", "1"]
    command += ["-cert", str(pki["good"].cert), "-key", str(pki["good"].key)]
    command += ["-keymatexport", LABEL, "-keymatexportlen", "32", *options]
    with (
        said.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield int(heard(process, said, r"^ACCEPT .*:(\d+)$")), said
        finally:
            process.terminate()


def heard(process: "subprocess.Popen[bytes]", said: Path, wanted: str) -> str:
    for _ in range(SECONDS * 50):
        if found := re.search(wanted, said.read_text(), re.MULTILINE):
            return found[1]
        assert process.poll() is None or "Keying material" in said.read_text(), said.read_text()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise AssertionError(said.read_text())


SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


@pytest.mark.parametrize("suite", SUITES)
def test_the_exporter_is_what_openssl_exports(pki: PKI, tmp_path: Path, suite: str) -> None:
    context = policy_of(pki, "require").connection_context()
    with s_server(pki, tmp_path, "-ciphersuites", suite) as (port, said):
        with connected(port, context) as sock:
            assert (sock.cipher() or ("",))[0] == suite
            binding = binding_of(sock, "require")
            for _ in range(SECONDS * 50):
                theirs = re.search(r"Keying material: ([0-9A-F]+)", said.read_text())
                if theirs:
                    break
                threading.Event().wait(0.02)
        assert theirs is not None, said.read_text()
    assert isinstance(binding, Binding)
    assert binding.type == "tls-exporter"
    assert octets(binding) == bytes.fromhex(theirs[1])
    assert len(octets(binding)) == 32


def exported_by(log: Path) -> list[bytes]:
    """What a server with that key log exports, by another implementation of HKDF."""
    found = []
    for line in log.read_text().splitlines():
        if line.startswith("EXPORTER_SECRET "):
            secret = bytes.fromhex(line.split()[2])
            algorithm = {32: hashes.SHA256(), 48: hashes.SHA384()}[len(secret)]
            empty = hashlib.new(algorithm.name).digest()
            middle = expand(secret, algorithm, LABEL, empty, len(empty))
            found.append(expand(middle, algorithm, "exporter", empty, 32))
    return found


def expand(secret: bytes, algorithm: Any, label: str, context: bytes, length: int) -> bytes:
    full = b"tls13 " + label.encode()
    info = length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context
    return HKDFExpand(algorithm, length, info).derive(secret)


def start(
    recording_server: Callable[..., RecordingServer], name: str, context: ssl.SSLContext
) -> tuple[RecordingServer, Any]:
    """A polite server for the class of that name, and the class."""
    protocol, cls = CLASSES[name]
    if name.endswith("_SSL"):
        return recording_server(POLITE[protocol], context=context), cls
    return recording_server(POLITE[protocol].with_starttls(context)), cls


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_has_the_exporter_of_its_connection(
    pki: PKI, recording_server: Callable[..., RecordingServer], tmp_path: Path, name: str
) -> None:
    """By two connections of one policy, which have two contexts and two values."""
    context = pki["good"].server_context(own=True)
    context.keylog_filename = str(tmp_path / "log")
    server, cls = start(recording_server, name, context)
    policy = policy_of(pki, "require")
    found, contexts = [], set()
    with nothing_left_open(server, 2):
        for _ in range(2):
            client = cls("127.0.0.1", server.port, policy=policy)
            found.append(octets(binding_of(client.sock, "require")))
            contexts.add(client.sock.context)
            assert client.sock.context.keylog_filename is None
            client.noop()
            client._close_now()
    assert found == exported_by(tmp_path / "log")
    assert len(contexts) == len(set(found)) == 2


def test_a_second_handshake_changes_nothing(
    pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    with connected(server.port, policy_of(pki, "require").connection_context()) as sock:
        value = octets(binding_of(sock, "require"))
        sock.do_handshake()
        assert octets(binding_of(sock, "require")) == value


@pytest.mark.parametrize(
    ("size", "cipher"),
    [
        (32, None),
        (32, ("TLS_SM4_GCM_SM3", "TLSv1.3", 128)),
        (31, ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)),
        (32, ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)),
    ],
)
def test_a_secret_that_does_not_fit_its_cipher_suite_has_no_value(size: int, cipher: Any) -> None:
    assert exporter._exported(Secret(bytes(size)), cipher) is None


@pytest.mark.parametrize("name", ["IMAP4_SSL", "POP3_SSL", "SMTP_SSL"])
def test_the_context_that_is_shown_is_the_one_in_use(
    pki: PKI, recording_server: Callable[..., RecordingServer], name: str
) -> None:
    server, cls = start(recording_server, name, pki["good"].server_context())
    client = cls("127.0.0.1", server.port, policy=policy_of(pki, "require"))
    shown = client.ssl_context if name.startswith("IMAP") else client.context
    assert shown is client.sock.context
    client._close_now()


def test_connecting_again_makes_another_context(
    pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    server, cls = start(recording_server, "SMTP_SSL", pki["good"].server_context())
    client = cls(policy=policy_of(pki, "require"))
    seen = []
    for _ in range(2):
        client.connect("127.0.0.1", server.port)
        seen.append((client.sock.context, octets(binding_of(client.sock, "require"))))
        assert client.context is client.sock.context
    client._close_now()
    assert seen[0][0] is not seen[1][0]
    assert seen[0][1] != seen[1][1]


def test_one_connection_makes_one_context(
    pki: PKI,
    recording_server: Callable[..., RecordingServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[type] = []
    build = TLSPolicy._build
    policy = policy_of(pki, "require")

    def counted(self: TLSPolicy, *kind: Any) -> Any:
        made.extend(kind)
        return build(self, *kind)

    monkeypatch.setattr(TLSPolicy, "_build", counted)
    for name in CLASSES:
        server, cls = start(recording_server, name, pki["good"].server_context())
        cls("127.0.0.1", server.port, policy=policy)._close_now()
        assert made == [ExportingContext], name
        made.clear()


@pytest.mark.parametrize("wanted", ["prefer", "end-point", "never"])
def test_all_others_share_the_policys_context(pki: PKI, wanted: str) -> None:
    policy = policy_of(pki, wanted)
    assert policy.connection_context() is policy.ssl_context()


def test_other_libraries_get_the_same_context_whatever_is_wanted(pki: PKI) -> None:
    policy = policy_of(pki, "require")
    context = policy.ssl_context()
    assert not isinstance(context, ExportingContext)
    assert context is policy.ssl_context()
    own = policy.connection_context()
    assert own is not policy.connection_context()
    for name in ("options", "verify_flags", "verify_mode", "check_hostname", "minimum_version"):
        assert getattr(own, name) == getattr(context, name), name
    assert [one["name"] for one in own.get_ciphers()] == [
        one["name"] for one in context.get_ciphers()
    ]
    with pytest.raises(PolicyError, match="sealed"):
        own.keylog_filename = "/dev/null"


def test_the_context_stands_no_second_connection_beside_the_first(
    pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    """Somebody uses it for another one: that one is verified, and has no value; nor may the first
    take the other's. One after the other is fine."""
    go = threading.Event()

    def waits(conversation: Conversation) -> None:
        go.wait(SECONDS)
        conversation.start_tls(pki["good"].server_context())
        conversation.sleep_until_closed(5)

    slow = recording_server(waits)
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    context = policy_of(pki, "require").connection_context()
    with socket.create_connection(("127.0.0.1", slow.port), timeout=SECONDS) as plain:
        first = context.wrap_socket(plain, server_hostname=NAME, do_handshake_on_connect=False)
        first.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            first.do_handshake()
        with connected(server.port, context) as second:
            assert "another connection" in why(binding_of(second, "require"))
        go.set()
        first.settimeout(SECONDS)
        first.do_handshake()
        assert "could not be had" in why(binding_of(first, "require"))
        first.close()
    with connected(server.port, context) as third:
        assert len(octets(binding_of(third, "require"))) == 32


@pytest.mark.parametrize("kind", ["memory", "pipe"])
def test_the_log_holds_the_secrets_and_then_nothing(
    pki: PKI,
    recording_server: Callable[..., RecordingServer],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """The control is that they were there."""
    if kind == "pipe":
        monkeypatch.delattr(os, "memfd_create")
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    context = policy_of(pki, "require").connection_context()
    before: list[str] = []
    logs: list[key_log.KeyLog] = []
    take = key_log.KeyLog.take

    def taken(self: key_log.KeyLog, label: str) -> Any:
        logs.append(self)
        before.extend(descriptors())
        return take(self, label)

    monkeypatch.setattr(key_log.KeyLog, "take", taken)
    with connected(server.port, context) as sock:
        assert len(octets(binding_of(sock, "require"))) == 32
        after = descriptors()
        assert context.keylog_filename is None
    extra = [one for one in before if one not in after]
    assert len([one for one in extra if ("memfd" if kind == "memory" else "pipe:") in one]) >= 2
    assert not [one for one in after if "memfd:securemail" in one]
    assert logs[0]._reader.closed


def test_memory_is_emptied_before_it_is_given_back(
    pki: PKI, recording_server: Callable[..., RecordingServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that was forked meanwhile may hold it."""
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    copies: list[int] = []
    erase = key_log.KeyLog.erase

    def erased(self: key_log.KeyLog) -> None:
        copies.append(os.dup(self._reader.fileno()))
        assert b"EXPORTER_SECRET" in os.pread(copies[0], 65536, 0)
        erase(self)

    monkeypatch.setattr(key_log.KeyLog, "erase", erased)
    with connected(server.port, policy_of(pki, "require").connection_context()):
        assert os.pread(copies[0], 65536, 0) == b""
    (copy,) = copies
    os.close(copy)


def test_without_memory_and_pipe_there_is_none(
    pki: PKI, recording_server: Callable[..., RecordingServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether that matters is decided where somebody signs in."""
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    with (
        nothing_left_open(server),
        connected(server.port, policy_of(pki, "require").connection_context()) as sock,
    ):
        assert why(binding_of(sock, "require")) == (
            "TLS 1.3 has tls-exporter only, and its secret could not be had: there is no /dev/fd"
        )


def test_where_openssl_cannot_open_the_log_there_is_none(
    pki: PKI, recording_server: Callable[..., RecordingServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without /proc."""
    memory = key_log._memory

    def nowhere() -> Any:
        return (*memory()[:2], "/nowhere/at/all")

    monkeypatch.setattr(key_log, "_memory", nowhere)
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    with (
        nothing_left_open(server),
        connected(server.port, policy_of(pki, "require").connection_context()) as sock,
    ):
        assert "No such file" in why(binding_of(sock, "require"))


class Takes:
    """A context whose key log goes where it likes."""

    keylog_filename: str | None = None

    def __init__(self, path: str | None = None) -> None:
        self.path = path

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "keylog_filename" and value is not None:
            value = self.path or value
        super().__setattr__(name, value)


def plainly(context: Any, name: str, value: Any) -> None:
    setattr(context, name, value)


def test_a_log_that_went_elsewhere_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_log, "set_value", plainly)
    other = Takes("/somewhere/else")
    with nothing_left_open(), pytest.raises(OSError, match="did not take the key log"):
        key_log.KeyLog(other)
    assert other.keylog_filename is None


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["memory", "pipe"])
def test_an_empty_log_is_not_waited_for_and_may_be_erased_twice(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(key_log, "set_value", plainly)
    if kind == "pipe":
        monkeypatch.delattr(os, "memfd_create")
    with nothing_left_open():
        log = key_log.KeyLog(Takes())
        assert log.take("EXPORTER_SECRET") is None
        log.erase()
        log.erase()


# -- the log's end, however the handshake ends


def garbage(conversation: Conversation) -> None:
    conversation.read(5)
    conversation.send(b"\x15\x03\x03\x00\x02\x02\x28")  # alert: handshake_failure


def hangs_up(conversation: Conversation) -> None:
    conversation.read(5)
    conversation.reset()


def is_silent(conversation: Conversation) -> None:
    conversation.sleep_until_closed(SECONDS)


@pytest.mark.parametrize("script", [garbage, hangs_up, is_silent])
def test_a_failed_handshake_leaves_no_log(
    pki: PKI, recording_server: Callable[..., RecordingServer], script: Any
) -> None:
    server = recording_server(script)
    with nothing_left_open(server):
        with pytest.raises(SecureMailError):
            IMAP4_SSL(
                "127.0.0.1",
                server.port,
                policy=policy_of(pki, "require"),
                limits=Limits(connect=0.5),
            )


def test_a_refused_certificate_leaves_no_log(
    pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    """Refused inside the handshake, and after it."""
    for kind, pin in (("expired", None), ("good", pki["good_rsa"].spki_pin)):
        server = recording_server(scripts.imap_ok, context=pki[kind].server_context())
        policy = policy_of(pki, "require", pins=pin or ())
        with nothing_left_open(server):
            with pytest.raises(PinMismatch if pin else CertificateRejected):
                IMAP4_SSL("127.0.0.1", server.port, policy=policy, server_hostname=NAME)


def test_a_connection_that_is_not_made_leaves_no_log(pki: PKI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with nothing_left_open(), pytest.raises(ConnectionRefusedError):
        IMAP4_SSL("127.0.0.1", port, policy=policy_of(pki, "require"))


def test_ctrl_c_during_the_handshake_leaves_no_log(
    pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    """Sent by the server once the hello is there: we are waiting for its answer then."""

    def interrupts(conversation: Conversation) -> None:
        conversation.read(5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        conversation.sleep_until_closed(SECONDS)

    server = recording_server(interrupts)
    policy = policy_of(pki, "require")
    with nothing_left_open(server):
        with pytest.raises(KeyboardInterrupt):
            IMAP4_SSL("127.0.0.1", server.port, policy=policy, limits=Limits(connect=SECONDS))


# Where Ctrl-C comes: before each step, and within it.
STEPS: dict[str, tuple[Any, str]] = {
    "take": (key_log.KeyLog, "take"),
    "in take": (key_log, "Secret"),
    "derive": (exporter, "_exported"),
    "in derive": (exporter.hmac, "digest"),
    "erase": (key_log.KeyLog, "erase"),
}


@pytest.mark.parametrize("step", STEPS)
def test_ctrl_c_after_the_handshake_leaves_no_log(
    pki: PKI,
    recording_server: Callable[..., RecordingServer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    step: str,
) -> None:
    """Neither open nor in a traceback with local variables."""
    context = pki["good"].server_context(own=True)
    context.keylog_filename = str(tmp_path / "log")
    server = recording_server(scripts.imap_ok, context=context)
    home, name = STEPS[step]
    standard = getattr(home, name)

    def interrupted(*arguments: Any) -> Any:
        if step == "in take" and not isinstance(arguments[0], list):
            return standard(*arguments)  # the log as a whole; what was found in it is a list
        monkeypatch.setattr(home, name, standard)  # once
        raise KeyboardInterrupt

    policy = policy_of(pki, "require")
    with nothing_left_open(server):
        with pytest.raises(KeyboardInterrupt) as caught:
            monkeypatch.setattr(home, name, interrupted)
            IMAP4_SSL("127.0.0.1", server.port, policy=policy, server_hostname=NAME)
        shown = bare(shown_of(caught.value))
        del caught
    assert b"_take" in shown
    secrets = [line.split()[2] for line in (tmp_path / "log").read_text().splitlines()[1:]]
    assert len(secrets) == 5
    for secret in secrets:
        assert secret.encode() not in shown
        assert bare(repr(bytes.fromhex(secret))[2:-1].encode()) not in shown


def bare(shown: bytes) -> bytes:
    """Without what quoting adds, once or twice."""
    return shown.translate(None, b"\\\"'")


def test_a_socket_that_was_refused_begins_no_other_log(
    pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["expired"].server_context())
    context = policy_of(pki, "require").connection_context()
    with (
        nothing_left_open(server),
        socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as plain,
    ):
        sock = context.wrap_socket(plain, server_hostname=NAME, do_handshake_on_connect=False)
        for _ in range(2):
            with pytest.raises(CertificateRejected):
                sock.do_handshake()
        assert context.keylog_filename is None


# -- tls-unique


@pytest.mark.parametrize("wanted", ["prefer", "require"])
def test_tls_unique_is_what_the_server_has(pki: PKI, wanted: str) -> None:
    script = Unique()
    with RecordingServer(script, context=pki["good"].server_context(maximum_version=V12)) as server:
        with connected(server.port, policy_of(pki, wanted).connection_context()) as sock:
            binding = binding_of(sock, wanted)
        server.wait()
    assert isinstance(binding, Binding)
    assert binding.type == "tls-unique"
    assert [octets(binding)] == script.found
    assert len(octets(binding)) == 12


@pytest.mark.parametrize("found", [None, b"", b"x" * 11, b"x" * 13])
def test_a_tls_unique_of_another_size_is_none(found: bytes | None) -> None:
    sock: Any = SimpleNamespace(
        version=lambda: "TLSv1.2", session_reused=False, get_channel_binding=lambda _: found
    )
    assert "OpenSSL has no tls-unique" in why(binding_of(sock, "prefer"))


def test_tls_unique_is_never_used_on_tls_1_3(pki: PKI) -> None:
    """Where Python answers all the same: with 48 octets that nothing defines."""
    script = Unique()
    with RecordingServer(script, context=pki["good"].server_context()) as server:
        with connected(server.port, policy_of(pki, "prefer").connection_context()) as sock:
            assert sock.version() == "TLSv1.3"
            assert sock.get_channel_binding("tls-unique")
            assert why(binding_of(sock, "prefer")) == (
                'TLS 1.3 has tls-exporter only, which channel_binding="require" turns on'
            )
        server.wait()


def test_a_resumed_session_has_no_tls_unique(pki: PKI) -> None:
    """With a context of the caller's own: ours refuse it altogether."""
    context = ssl.create_default_context(cafile=str(pki.ca_pem))
    with RecordingServer(
        Unique(), context=pki["good"].server_context(maximum_version=V12)
    ) as server:
        with connected(server.port, context) as first:
            assert len(octets(binding_of(first, "prefer"))) == 12
            first.recv(100)
            session = first.session
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=NAME, session=session) as again,
        ):
            assert again.session_reused
            assert "resumed" in why(binding_of(again, "prefer"))
            again.recv(100)
        server.wait(2)


# -- tls-server-end-point


def self_signed(folder: Path, kind: str) -> Path:
    """A certificate that signs itself in that way, with its key, in one file."""
    key: Any
    how: dict[str, Any] = {}
    algorithm: Any = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}.get(
        kind[-6:], hashes.SHA512()
    )
    if kind.startswith("ec"):
        key = ec.generate_private_key(ec.SECP256R1())
    elif kind == "ed25519":
        key, algorithm = ed25519.Ed25519PrivateKey.generate(), None
    else:
        key = rsa.generate_private_key(65537, 2048)
        how = {"rsa_padding": padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)}
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(NAME))
        .issuer_name(common_name(NAME))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(CURRENT[0])
        .not_valid_after(CURRENT[1])
    )
    for extension, critical in san([NAME]):
        builder = builder.add_extension(extension, critical)
    path = folder / f"{kind}.pem"
    path.write_bytes(pem(builder.sign(key, algorithm, **how)) + private_key_pem(key))
    return path


def end_point(file: Path) -> Binding | NoBinding:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    policy = TLSPolicy(
        trust=ExactCertificate(pem(certificate), acknowledge="a test"),
        channel_binding="end-point",
    )
    with RecordingServer(Unique(), context=context) as server:
        with connected(server.port, policy.connection_context()) as sock:
            return binding_of(sock, "end-point")


@pytest.mark.parametrize("kind", ["ec-sha256", "ec-sha384", "ec-sha512", "pss-sha384"])
def test_the_end_point_is_hashed_as_its_certificate_says(tmp_path: Path, kind: str) -> None:
    file = self_signed(tmp_path, kind)
    binding = end_point(file)
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name == kind[-6:]
    assert isinstance(binding, Binding)
    assert binding.type == "tls-server-end-point"
    assert octets(binding) == certificate.fingerprint(certificate.signature_hash_algorithm)


def test_sha_1_is_raised_to_sha_256(pki: PKI) -> None:
    """With a context of the caller's own, and a server that has such a certificate still."""
    weak = pki["weak_signature"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_verify_locations(pki.ca_pem)
    with RecordingServer(Unique(), context=weak.server_context()) as server:
        with connected(server.port, context) as sock:
            binding = binding_of(sock, "end-point")
    certificate = x509.load_der_x509_certificate(weak.leaf_der)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA1)
    assert octets(binding) == certificate.fingerprint(hashes.SHA256())


def test_a_signature_without_a_hash_has_no_end_point(tmp_path: Path) -> None:
    found = why(end_point(self_signed(tmp_path, "ed25519")))
    assert "(none), where tls-server-end-point is not defined" in found


def test_a_hash_that_python_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "_signature_hash", lambda _: "whirlpool")
    assert "(whirlpool), where" in why(binding._end_point(b"a certificate"))


def test_a_certificate_that_cannot_be_read_has_none() -> None:
    assert "no certificate" in why(binding._end_point(None))
    assert "not defined" in why(binding._end_point(b"\x30\x03abc"))


# -- the setting


def test_never_is_none(pki: PKI, recording_server: Callable[..., RecordingServer]) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    with connected(server.port, policy_of(pki, "never").connection_context()) as sock:
        assert 'channel_binding="never"' in why(binding_of(sock, "never"))


@pytest.mark.parametrize("wanted", ["prefer", "require", "end-point"])
def test_a_connection_that_has_no_tls_has_none(pki: PKI, wanted: str) -> None:
    context = policy_of(pki, wanted).connection_context()
    with context.wrap_socket(socket.socket(), server_hostname=NAME) as sock:
        assert "no TLS" in why(binding_of(sock, wanted))


def test_a_context_of_the_callers_own_has_no_exporter(
    pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    for context in (
        ssl.create_default_context(cafile=str(pki.ca_pem)),
        policy_of(pki, "require").ssl_context(),
    ):
        with connected(server.port, context) as sock:
            assert "context that this library made" in why(binding_of(sock, "require"))


@pytest.mark.parametrize("wanted", ["", "tls-unique", "Prefer", None, True, ["prefer"]])
def test_another_word_is_refused(wanted: Any) -> None:
    with pytest.raises(PolicyError, match="channel_binding=") as caught:
        TLSPolicy(channel_binding=wanted)
    assert caught.value.code == "channel-binding"


def test_the_policy_says_what_it_wants(pki: PKI) -> None:
    said = {wanted: policy_of(pki, wanted).describe() for wanted in exporter_words()}
    assert len(set(said.values())) == 4
    assert "tls-exporter on TLS 1.3" in said["require"]
    assert "binding:     tls-unique on TLS 1.2, none on TLS 1.3" in TLSPolicy().describe()


def exporter_words() -> tuple[str, ...]:
    from securemail.tls.binding import WANTED

    return WANTED


def test_a_binding_is_shown_nowhere(pki: PKI) -> None:
    with RecordingServer(Unique(), context=pki["good"].server_context()) as server:
        with connected(server.port, policy_of(pki, "require").connection_context()) as sock:
            binding = binding_of(sock, "require")
    assert repr(binding) == str(binding) == "Binding(type='tls-exporter', data=<secret>)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(binding)
