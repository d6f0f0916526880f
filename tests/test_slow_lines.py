"""Mail that takes longer to send than `Limits.read`: it may, as long as it is taken bit by bit."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    SMTP,
    SMTP_SSL,
    CATrust,
    Limits,
    TimeLimitExceeded,
    TLSPolicy,
)
from servers.pki import PKI

READ = 0.5  # seconds
SOON = Limits(connect=5, read=READ)
MESSAGE = b"Subject: large\r\n\r\n" + (b"x" * 78 + b"\r\n") * 50_000  # 4 MB
RATE = 2_500_000  # octets a second: over three times READ for the whole

Talk = Callable[[Any, Any], None]


@contextlib.contextmanager
def listening(talk: Talk, context: ssl.SSLContext | None) -> Iterator[int]:
    """A server for one client, with little room for what it has not taken yet."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if context is not None:
                connection = stack.enter_context(context.wrap_socket(connection, server_side=True))
            talk(connection, stack.enter_context(connection.makefile("rb")))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(10)
    assert not thread.is_alive()


def slowly(file: Any, size: int) -> None:
    while size > 0 and (taken := len(file.read1(min(size, 16 * 1024)))):
        size -= taken
        time.sleep(taken / RATE)


def not_at_all(file: Any, size: int) -> None:
    time.sleep(4 * READ)


def smtp(take: Callable[[Any, int], None]) -> Talk:
    def talk(connection: Any, file: Any) -> None:
        connection.sendall(b"220 here\r\n")
        while line := file.readline():
            if line.startswith(b"data"):
                connection.sendall(b"354 go on\r\n")
                take(file, len(MESSAGE) + 3)
            connection.sendall(b"250 ok\r\n")

    return talk


def imap(take: Callable[[Any, int], None]) -> Talk:
    def talk(connection: Any, file: Any) -> None:
        connection.sendall(b"* OK here\r\n")
        while line := file.readline():
            tag, command = line.split()[:2]
            if command == b"CAPABILITY":
                connection.sendall(b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n")
            if command == b"APPEND":
                connection.sendall(b"+ go on\r\n")
                take(file, len(MESSAGE) + 2)
            connection.sendall(tag + b" OK done\r\n")

    return talk


@contextlib.contextmanager
def sending(protocol: str, take: Callable[[Any, int], None], pki: PKI) -> Iterator[Any]:
    """What sends the message, when called, and the connection."""
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    context = None if protocol == "smtp in clear" else pki["good"].server_context()
    talk = imap(take) if protocol == "imap" else smtp(take)
    with listening(talk, context) as port:
        if protocol == "imap":
            client: Any = IMAP4_SSL("127.0.0.1", port, policy=policy, limits=SOON)
            client.login("user", "password")
            send = lambda: client.append("INBOX", None, None, MESSAGE)  # noqa: E731
        else:
            cls = SMTP if context is None else SMTP_SSL
            client = cls("127.0.0.1", port, policy=policy, limits=SOON)
            send = lambda: client.sendmail("a@example.org", ["b@example.org"], MESSAGE)  # noqa: E731
        try:
            yield send, client
        finally:
            client._close_now()


every_protocol = pytest.mark.parametrize("protocol", ["smtp", "imap", "smtp in clear"])
in_clear_warns = pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")


@every_protocol
@in_clear_warns
def test_a_long_message_on_a_slow_line(protocol: str, pki: PKI) -> None:
    with sending(protocol, slowly, pki) as (send, client):
        started = time.monotonic()
        send()
        assert time.monotonic() - started > 2 * READ, "or it is no test"
        assert client.sock is not None


@every_protocol
@in_clear_warns
def test_a_server_that_takes_nothing(protocol: str, pki: PKI) -> None:
    with sending(protocol, not_at_all, pki) as (send, client):
        started = time.monotonic()
        with pytest.raises(TimeLimitExceeded, match=r"took nothing .* for 0\.5 s") as raised:
            send()
        assert time.monotonic() - started < 8 * READ
        assert client.sock is None
        with pytest.raises(TimeLimitExceeded) as again:
            client.noop()
        assert again.value is raised.value
