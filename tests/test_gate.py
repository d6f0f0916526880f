"""The gate attacked: each way around a check in the handshake that is known for `ssl`.

The server's certificate is good, its key is not the pinned one: OpenSSL is content, and only the
gate stands between a secret and the server. Every attack has a control under the right pin.
"""

import errno
import inspect
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from securemail import (
    CATrust,
    CertificateRejected,
    ExactCertificate,
    PinMismatch,
    PolicyError,
    SelfSignedWarning,
    TLSError,
    TLSPolicy,
)
from securemail.channel import Plaintext, Verified, require_verified
from securemail.errors import CredentialsRefused
from securemail.hosts import Host
from securemail.tls.context import PolicyContext
from securemail.tls.gate import Gate, GatedObject, GatedSocket
from securemail.tls.verify import channel_of
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, Record, RecordingServer

SECRET = "hunter2-the-secret"
NAME = "mail.example.org"
LINE = f"AUTH PLAIN {SECRET}\r\n".encode()


def echo(conversation: Conversation) -> None:
    """Read what comes; answer one line; wait for the end."""
    conversation.read_line()
    conversation.send(b"250 heard\r\n")
    conversation.sleep_until_closed(5)


@pytest.fixture
def server(pki: PKI) -> Iterator[RecordingServer]:
    with RecordingServer(echo, context=pki["good"].server_context()) as running:
        yield running


@pytest.fixture
def right(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem), pins=(pki["good"].spki_pin,))


@pytest.fixture
def wrong(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem), pins=(pki["good_rsa"].spki_pin,))


@contextmanager
def dialled(server: RecordingServer) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=5) as plain:
        yield plain


def wrapped(plain: socket.socket, policy: TLSPolicy, *, handshake: bool = False) -> GatedSocket:
    return policy.ssl_context().wrap_socket(
        plain, server_hostname=NAME, do_handshake_on_connect=handshake
    )


def the_record(server: RecordingServer) -> Record:
    return server.wait(1)[0]


def assert_nothing_sent(server: RecordingServer) -> None:
    record = the_record(server)
    assert record.received_tls == b""
    assert leaks(record.everything, SECRET) == []


def assert_secret_over_tls_only(server: RecordingServer) -> None:
    record = the_record(server)
    assert leaks(record.received_tls, SECRET)
    assert leaks(bytes(record.wire), SECRET) == []


# Each takes a socket that was wrapped without a handshake and tries to get LINE out, or data in.
Attack = Callable[[GatedSocket], object]


def _sendfile(sock: GatedSocket) -> object:
    with tempfile.TemporaryFile() as file:
        file.write(LINE)
        file.seek(0)
        return sock.sendfile(file)


def _makefile(sock: GatedSocket) -> object:
    with sock.makefile("wb", buffering=0) as file:
        return file.write(LINE)


BEFORE_THE_HANDSHAKE: dict[str, Attack] = {
    "send": lambda sock: sock.send(LINE),
    "sendall": lambda sock: sock.sendall(LINE),
    "write": lambda sock: sock.write(LINE),
    "sendfile": _sendfile,
    "makefile": _makefile,
    "recv": lambda sock: sock.recv(1),
    "recv_into": lambda sock: sock.recv_into(bytearray(10)),
    "read": lambda sock: sock.read(1),
    "sendto": lambda sock: sock.sendto(LINE, ("127.0.0.1", 1)),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(10)),
}


@pytest.mark.parametrize("attack", BEFORE_THE_HANDSHAKE)
def test_nothing_moves_before_the_handshake(
    attack: str, server: RecordingServer, right: TLSPolicy
) -> None:
    """OpenSSL would shake hands by itself on the first write, and nobody would look."""
    with dialled(server) as plain, wrapped(plain, right) as sock:
        with pytest.raises(TLSError, match="no verified TLS") as caught:
            BEFORE_THE_HANDSHAKE[attack](sock)
        assert caught.value.code == "gate-closed"
    assert_nothing_sent(server)


@pytest.mark.parametrize("attack", BEFORE_THE_HANDSHAKE)
def test_nothing_moves_after_a_refused_handshake(
    attack: str, server: RecordingServer, wrong: TLSPolicy
) -> None:
    with dialled(server) as plain:
        sock = wrapped(plain, wrong)
        with pytest.raises(PinMismatch):
            sock.do_handshake()
        with pytest.raises(PinMismatch):
            BEFORE_THE_HANDSHAKE[attack](sock)
    assert_nothing_sent(server)


@pytest.mark.parametrize("attack", ["send", "sendall", "write", "sendfile", "makefile"])
def test_control_the_same_calls_send_after_a_verified_handshake(
    attack: str, server: RecordingServer, right: TLSPolicy
) -> None:
    with dialled(server) as plain, wrapped(plain, right) as sock:
        sock.do_handshake()
        BEFORE_THE_HANDSHAKE[attack](sock)
        assert sock.recv(100) == b"250 heard\r\n"
    assert_secret_over_tls_only(server)


def test_the_handshake_in_wrap_socket_is_refused_too(
    server: RecordingServer, wrong: TLSPolicy
) -> None:
    with dialled(server) as plain, pytest.raises(PinMismatch) as caught:
        wrapped(plain, wrong, handshake=True)
    assert caught.value.credentials_sent is False
    assert_nothing_sent(server)


def test_a_refused_socket_is_closed_and_refuses_a_second_handshake(
    server: RecordingServer, wrong: TLSPolicy
) -> None:
    with dialled(server) as plain:
        sock = wrapped(plain, wrong)
        for _ in range(2):
            with pytest.raises(PinMismatch):
                sock.do_handshake()
        assert sock.fileno() == -1


def test_a_wrapped_socket_that_connects_later_is_gated(
    server: RecordingServer, wrong: TLSPolicy
) -> None:
    """`connect` shakes hands by itself there."""
    with wrapped(socket.socket(), wrong, handshake=True) as sock:
        with pytest.raises(PinMismatch):
            sock.connect((server.host, server.port))
        with pytest.raises(PinMismatch):
            sock.send(LINE)
    assert_nothing_sent(server)


def test_control_a_wrapped_socket_that_connects_later_works(
    server: RecordingServer, right: TLSPolicy
) -> None:
    with wrapped(socket.socket(), right, handshake=True) as sock:
        sock.connect((server.host, server.port))
        sock.sendall(LINE)
        assert sock.recv(100) == b"250 heard\r\n"
    assert_secret_over_tls_only(server)


# -- after TLS has ended


END_OF_TLS: dict[str, Callable[[GatedSocket], object]] = {
    "unwrap": lambda sock: sock.unwrap(),
    "shutdown for reading": lambda sock: sock.shutdown(socket.SHUT_RD),
}


@pytest.mark.parametrize("attack", ["send", "sendall", "write", "sendfile", "sendto", "recvfrom"])
@pytest.mark.parametrize("end", END_OF_TLS)
def test_nothing_moves_in_clear_after_tls_has_ended(
    end: str, attack: str, pki: PKI, right: TLSPolicy
) -> None:
    """The standard object goes on in clear text."""

    def goodbye(conversation: Conversation) -> None:
        conversation.read_line()  # returning ends TLS politely, and listens on

    with RecordingServer(goodbye, context=pki["good"].server_context()) as server:
        with dialled(server) as plain, wrapped(plain, right, handshake=True) as sock:
            sock.sendall(b"EHLO\r\n")
            END_OF_TLS[end](sock)
            with pytest.raises(TLSError, match="TLS has ended"):
                BEFORE_THE_HANDSHAKE[attack](sock)
        record = the_record(server)
        assert record.received_tls == b"EHLO\r\n"
        assert leaks(record.everything, SECRET) == []


def test_control_the_standard_object_sends_in_clear_after_shutdown(pki: PKI) -> None:
    """So the test above can fail: this is what it guards against."""

    def polite(conversation: Conversation) -> None:
        conversation.sleep_until_closed(3)

    with RecordingServer(polite, context=pki["good"].server_context()) as server:
        context = ssl.create_default_context(cafile=pki.ca_pem)
        with dialled(server) as plain:
            with context.wrap_socket(plain, server_hostname=NAME) as sock:
                sock.shutdown(socket.SHUT_RD)
                sock.sendall(LINE)
        assert leaks(bytes(the_record(server).wire), SECRET)


# -- memory BIOs, as asyncio uses them


def _pump(
    sock: socket.socket, outgoing: ssl.MemoryBIO, incoming: ssl.MemoryBIO, step: Callable[[], None]
) -> None:
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))
        finally:
            sock.sendall(outgoing.read())


def _object(policy: TLSPolicy) -> tuple[GatedObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = policy.ssl_context().wrap_bio(incoming, outgoing, server_hostname=NAME)
    return tls, incoming, outgoing


def test_an_object_writes_and_reads_nothing_before_its_handshake(right: TLSPolicy) -> None:
    tls, _, outgoing = _object(right)
    with pytest.raises(TLSError, match="no verified TLS"):
        tls.write(LINE)
    with pytest.raises(TLSError, match="no verified TLS"):
        tls.read(1)
    assert outgoing.read() == b"", "not even a ClientHello left"


def test_an_object_writes_nothing_after_a_refused_handshake(
    server: RecordingServer, wrong: TLSPolicy
) -> None:
    tls, incoming, outgoing = _object(wrong)
    with dialled(server) as plain:
        with pytest.raises(PinMismatch):
            _pump(plain, outgoing, incoming, tls.do_handshake)
        for call in (lambda: tls.write(LINE), lambda: tls.read(1), tls.do_handshake):
            with pytest.raises(PinMismatch):
                call()
        assert outgoing.read() == b""
    assert_nothing_sent(server)


def test_control_an_object_writes_after_a_verified_handshake(
    server: RecordingServer, right: TLSPolicy
) -> None:
    tls, incoming, outgoing = _object(right)
    with dialled(server) as plain:
        _pump(plain, outgoing, incoming, tls.do_handshake)
        tls.write(LINE)
        plain.sendall(outgoing.read())
        assert select.select([plain], [], [], 5)[0]
    assert_secret_over_tls_only(server)


# -- sessions, renegotiation, another context


def _session(server: RecordingServer, pki: PKI) -> ssl.SSLSession:
    """A session that verified nothing, from a context of the attacker's liking."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its session is there at once
    with dialled(server) as plain, context.wrap_socket(plain) as sock:
        assert sock.session is not None
        return sock.session


def test_a_session_cannot_be_given(server: RecordingServer, pki: PKI, right: TLSPolicy) -> None:
    session = _session(server, pki)
    with dialled(server) as plain, pytest.raises(PolicyError, match="without verifying"):
        right.ssl_context().wrap_socket(plain, server_hostname=NAME, session=session)
    with pytest.raises(PolicyError, match="without verifying"):
        right.ssl_context().wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=NAME, session=session
        )


def test_a_session_set_before_the_handshake_is_refused_after_it(pki: PKI, right: TLSPolicy) -> None:
    """Sessions of the same context can be set on the socket; a resumed one verified nothing."""
    context = pki["good"].server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    with RecordingServer(echo, context=context) as server:
        with dialled(server) as plain, wrapped(plain, right, handshake=True) as first:
            session = first.session
            first.sendall(b"NOOP\r\n")
            first.recv(100)
        with dialled(server) as plain:
            second = wrapped(plain, right)
            second.session = session
            with pytest.raises(TLSError, match="resumed") as caught:
                second.do_handshake()
            assert caught.value.code == "session-resumed"
            with pytest.raises(TLSError):
                second.send(LINE)
        records = server.wait(2)
        assert leaks(records[1].everything, SECRET) == []


def test_the_context_of_a_socket_cannot_be_exchanged(
    server: RecordingServer, right: TLSPolicy
) -> None:
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with dialled(server) as plain, wrapped(plain, right) as sock:
        with pytest.raises(PolicyError, match="exchanged"):
            sock.context = lax
    tls, _, _ = _object(right)
    with pytest.raises(PolicyError, match="exchanged"):
        tls.context = lax


def test_no_host_is_no_connection_where_names_are_checked(
    server: RecordingServer, right: TLSPolicy
) -> None:
    for missing in (None, ""):
        with dialled(server) as plain, pytest.raises(PolicyError, match="no host"):
            right.ssl_context().wrap_socket(plain, server_hostname=missing)
    with dialled(server) as plain, pytest.raises(ValueError):
        ssl.SSLContext.wrap_socket(right.ssl_context(), plain)


def test_a_policy_is_for_clients(right: TLSPolicy) -> None:
    with socket.socket() as plain, pytest.raises(PolicyError, match="for clients"):
        right.ssl_context().wrap_socket(plain, server_side=True)


def test_a_server_cannot_renegotiate(pki: PKI, right: TLSPolicy, tmp_path: Path) -> None:
    """The second handshake would not be looked at. OpenSSL's own server asks for it by `r`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "s_server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                *("openssl", "s_server", "-tls1_2", "-accept", f"127.0.0.1:{port}", "-msg"),
                *("-cert", str(pki["good"].cert), "-key", str(pki["good"].key)),
            ],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with _connected_soon(port) as plain, wrapped(plain, right, handshake=True) as sock:
            sock.sendall(b"before\n")
            assert process.stdin is not None
            process.stdin.write(b"r\n")
            process.stdin.flush()
            sock.settimeout(2)
            with suppress(OSError):  # it may end the connection, or wait
                sock.recv(10)
    finally:
        process.kill()
        process.communicate(timeout=10)
    said = log.read_text(errors="replace")
    assert "HelloRequest" in said, "the server did ask"
    assert said.count("ClientHello") == 1, "and got no second hello"
    assert "no_renegotiation" in said


def _connected_soon(port: int) -> socket.socket:
    for _ in range(100):
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        select.select([], [], [], 0.05)
    raise TimeoutError("openssl s_server did not start")


# -- the channel


def test_a_verified_channel_is_made_by_nobody_else() -> None:
    with pytest.raises(TypeError, match=r"tls\.verify alone"):
        Verified(object(), object(), None)  # type: ignore[arg-type]


def test_a_channel_opens_only_its_own_socket(server: RecordingServer, right: TLSPolicy) -> None:
    with dialled(server) as plain, wrapped(plain, right, handshake=True) as sock:
        channel = channel_of(sock, Host.parse(NAME))
        assert isinstance(channel, Verified)
        require_verified(channel, sock)
        for other in (plain, None, object()):
            with pytest.raises(CredentialsRefused) as caught:
                require_verified(channel, other)
            assert caught.value.credentials_sent is False
        sock.sendall(b"NOOP\r\n")


def test_no_channel_without_a_verdict(server: RecordingServer, right: TLSPolicy, pki: PKI) -> None:
    """Nor for another name, nor after TLS has ended, nor over a lax context of the caller's."""
    host = Host.parse(NAME)
    with dialled(server) as plain:
        assert isinstance(channel_of(plain, host), Plaintext)
        with wrapped(plain, right) as sock:
            assert isinstance(channel_of(sock, host), Plaintext)
            sock.do_handshake()
            assert isinstance(channel_of(sock, host), Verified)
            assert isinstance(channel_of(sock, Host.parse("localhost")), Plaintext)
            sock.shutdown(socket.SHUT_RD)
            assert isinstance(channel_of(sock, host), Plaintext)


LAX: dict[str, Callable[[ssl.SSLContext], None]] = {
    "no certificate required": lambda context: (
        setattr(context, "check_hostname", False),
        setattr(context, "verify_mode", ssl.CERT_NONE),
    )[0],
    "no name checked": lambda context: setattr(context, "check_hostname", False),
}


@pytest.mark.parametrize("lax", [None, *LAX])
def test_a_callers_context_must_verify_as_well(
    lax: str | None, server: RecordingServer, pki: PKI
) -> None:
    context = ssl.create_default_context(cafile=pki.ca_pem)
    if lax is not None:
        LAX[lax](context)
    with dialled(server) as plain, context.wrap_socket(plain, server_hostname=NAME) as sock:
        channel = channel_of(sock, Host.parse(NAME))
        assert isinstance(channel, Plaintext if lax else Verified)
        if isinstance(channel, Verified):
            assert not channel.report.gated
            assert channel.report.chain[0] == pki["good"].leaf_der


# -- warnings


def test_the_warning_comes_after_the_verdict_and_before_the_first_octet(pki: PKI) -> None:
    """Raised as an error it ends the connection; it is never raised inside the handshake."""
    policy = TLSPolicy(trust=ExactCertificate(pki["self_signed"].leaf_pem))
    with RecordingServer(echo, context=pki["self_signed"].server_context()) as server:
        with dialled(server) as plain, warnings.catch_warnings():
            warnings.simplefilter("error")
            with wrapped(plain, policy, handshake=True) as sock:
                assert sock.report is not None
                with pytest.raises(SelfSignedWarning):
                    sock.sendall(LINE)
        assert_nothing_sent(server)


def test_the_warning_is_raised_once_and_points_at_the_caller(pki: PKI) -> None:
    policy = TLSPolicy(trust=ExactCertificate(pki["self_signed"].leaf_pem))
    with RecordingServer(echo, context=pki["self_signed"].server_context()) as server:
        with dialled(server) as plain, wrapped(plain, policy, handshake=True) as sock:
            with pytest.warns(SelfSignedWarning) as caught:  # noqa: PT031 - once for both
                sock.sendall(LINE)
                sock.recv(100)
        assert [warning.filename for warning in caught] == [__file__]
        assert_secret_over_tls_only(server)


def test_a_kept_descriptor_would_be_noticed(server: RecordingServer, wrong: TLSPolicy) -> None:
    """A refused handshake inside the constructor leaves no descriptor behind."""
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(5):
        with pytest.raises(PinMismatch):
            wrapped(socket.create_connection((server.host, server.port), 5), wrong, handshake=True)
    after = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    # The server in this process may still hold its five ends.
    server.wait(5)
    assert after <= before + 5


def test_a_socket_that_was_reset_is_not_left_open(wrong: TLSPolicy) -> None:
    """`SSLSocket._create` meets the reset while it looks for early data; before Python 3.13 it
    raises then, and leaves the new socket open with nobody holding it."""
    context = wrong.ssl_context()
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            plain = socket.create_connection(listener.getsockname(), 5)
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
        descriptor = plain.fileno()
        with plain, pytest.raises(ConnectionResetError) as caught:
            context.wrap_socket(plain, server_hostname=NAME)
        assert caught.value is not None, "whose traceback still holds the new socket"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize(
    ("number", "is_closed"),
    [(errno.ECONNRESET, True), (errno.ENOTCONN, False), (errno.EINVAL, False)],
)
def test_an_error_of_the_look_for_early_data_closes_what_nobody_holds(
    number: int, is_closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But the two by which the standard module sees that there is no connection yet."""

    def fails(self: ssl.SSLSocket, buflen: int, flags: int) -> bytes:
        raise OSError(number, "as the test wants it")

    monkeypatch.setattr(ssl.SSLSocket, "recv", fails)
    with GatedSocket.__new__(GatedSocket) as early:
        socket.socket.__init__(early)
        early._sslobj = None  # as `SSLSocket._create` has it then
        with pytest.raises(OSError, match="as the test wants it"):
            early.recv(1)
        assert (early.fileno() == -1) is is_closed


# -- what the gated classes look like from outside, and small rules alone


def test_the_methods_look_like_the_standard_ones() -> None:
    """Names, signatures and defaults: whoever calls them need not know of the gate."""
    for cls, standard in ((GatedSocket, ssl.SSLSocket), (GatedObject, ssl.SSLObject)):
        for name in ("read", "write", "send", "recv", "recv_into", "do_handshake"):
            if hasattr(standard, name):
                ours = getattr(cls, name)
                assert ours.__name__ == name
                assert defaults(ours) == defaults(getattr(standard, name)), name
    for name in ("wrap_socket", "wrap_bio"):
        assert defaults(getattr(PolicyContext, name)) == defaults(getattr(ssl.SSLContext, name))
    for name in ("load_cert_chain", "set_ciphers", "load_verify_locations"):
        assert getattr(PolicyContext, name).__name__ == name


def defaults(method: object) -> dict[str, object]:
    parameters = inspect.signature(method).parameters  # type: ignore[arg-type]
    return {name: each.default for name, each in parameters.items()}


class Ungated(Gate):
    """The rules of the gate, without a socket."""

    def __init__(self, of_context: tuple[int, str] | None) -> None:
        self.context = SimpleNamespace(port_and_protocol=of_context)


OWN = (993, "IMAP over TLS")


@pytest.mark.parametrize(
    ("of_context", "own", "expected"),
    [
        (None, None, None),
        (None, OWN, OWN),
        ((993, "IMAP"), None, (993, "IMAP")),
        ((993, "IMAP"), OWN, OWN),
        ((993, "POP3"), OWN, (993, "POP3")),
        ((993, "IMAP over what"), OWN, OWN),
        ((143, "IMAP"), OWN, (143, "IMAP")),
        ((995, "POP3"), OWN, (995, "POP3")),
    ],
)
def test_the_endpoint_of_the_context_has_the_last_word(
    of_context: tuple[int, str] | None,
    own: tuple[int, str] | None,
    expected: tuple[int, str] | None,
) -> None:
    gate = Ungated(of_context)
    if own is not None:
        gate.endpoint = own
    assert gate.endpoint == expected


def test_there_is_nothing_to_tell_without_a_verdict() -> None:
    gate = Ungated(None)
    gate.tell()
    assert gate.report is None


def test_the_error_of_openssl_stays_the_cause_and_ours_has_none(
    server: RecordingServer, wrong: TLSPolicy
) -> None:
    with dialled(server) as plain, pytest.raises(PinMismatch) as ours:
        wrapped(plain, wrong, handshake=True)
    assert ours.value.__cause__ is None
    with dialled(server) as plain, pytest.raises(CertificateRejected) as theirs:
        wrapped(plain, TLSPolicy(), handshake=True)
    assert isinstance(theirs.value.__cause__, ssl.SSLCertVerificationError)
