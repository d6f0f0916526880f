"""From a name to a verified socket: the only place that dials."""

from __future__ import annotations

import _socket
import os
import re
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

from .errors import (
    ConnectFailed,
    ConnectReset,
    NameNotFound,
    SecureMailError,
    TimeLimitExceeded,
    TLSError,
    printable,
    say_seconds,
)
from .hosts import Host
from .tls.gate import GatedSocket
from .tls.handshake import NOT_TLS
from .tls.refusal import CALLERS_RULES, refusal
from .values import Value
from .watch import Watch
from .wire import acknowledge_at_once, hold_little_back

_TLS_RECORDS = range(20, 24)  # first octet of a TLS record: RFC 8446, 5.1


class Endpoint(Value, kw_only=True):
    """Where to: `host` is dialled, `name` is what the certificate must be for."""

    host: Host
    name: Host
    port: int
    protocol: str

    def __str__(self) -> str:
        return SecureMailError("", **self.details()).where

    def details(self) -> dict[str, Any]:
        """For an error: where it happened, and that no password was sent yet."""
        return {
            "host": self.host.address,
            "port": self.port or None,  # 0: no TCP
            "protocol": self.protocol,
            "credentials_sent": False,
        }


class Deadline:
    """The end of a wait that has several steps. `seconds=None`: none."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.end = None if seconds is None else time.monotonic() + seconds

    def is_over(self) -> bool:
        return self.end is not None and time.monotonic() >= self.end

    def remaining(self, share: int = 1) -> float | None:
        """Seconds left, divided by `share`; raises `TimeoutError` when there are none."""
        if self.end is None:
            return None
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left / share


def goes_where_it_says(sock: Any) -> bool:
    """Whether the socket's class connects as the system does: not by a proxy, as one does that a
    program puts in the place of `socket.socket` (PySocks)."""
    return getattr(type(sock), "connect", None) is _socket.socket.connect


def dial(endpoint: Endpoint, deadline: Deadline, source_address: Any = None) -> socket.socket:
    """A TCP connection to the first address that answers; IPv6 and IPv4 as the system ranks them.

    The time is shared: an address that swallows packets leaves its part to the others. Raises
    `ConnectFailed` with one line for each address tried. The look-up's own time is the system's.
    """
    addresses = _look_up(endpoint)
    failures: list[tuple[str, OSError]] = []
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(deadline.remaining(share=len(addresses) - position))
            if source_address:
                sock.bind(source_address)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hold_little_back(sock)
            return sock
        except OSError as error:
            if sock is not None:
                sock.close()
            failures.append((str(address[0]), error))
        except BaseException:
            if sock is not None:
                sock.close()
            raise
    raise _unreachable(endpoint, failures) from failures[-1][1]


def _look_up(endpoint: Endpoint) -> list[Any]:
    try:
        found = socket.getaddrinfo(endpoint.host.address, endpoint.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameNotFound(
            f"the name cannot be looked up ({error.strerror}).",
            number=error.errno,
            hint="Check its spelling, and that this computer has a working DNS.",
            **endpoint.details(),
        ) from error
    return list(dict.fromkeys(found))


def _unreachable(endpoint: Endpoint, failures: list[tuple[str, OSError]]) -> ConnectFailed:
    lines = "".join(f"\n  {address}: {_why(error)}" for address, error in failures)
    last = failures[-1][1]
    return ConnectFailed.like(last)(
        f"could not connect.{lines}\n",
        number=last.errno,
        hint=_port_hint(endpoint.port, last),
        **endpoint.details(),
    )


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or os.strerror(error.errno or 0)


def _port_hint(port: int, error: OSError) -> str:
    if port == 25 and isinstance(error, TimeoutError):
        return (
            "Many access providers block port 25; mail programs submit on port 465 (SMTP_SSL) "
            "or 587 (SMTP_STARTTLS), with sign-in."
        )
    return "Check host and port, and that the server is up and no firewall is in between."


def secure(
    sock: socket.socket, context: ssl.SSLContext, endpoint: Endpoint, deadline: Deadline
) -> ssl.SSLSocket:
    """TLS over `sock`, verified as `context` says. A failure is final and closes `sock`.

    Raises `TLSError`, `CertificateRejected`, `TimeLimitExceeded`, `ConnectFailed`.
    """
    wrapped, watch = None, Watch(sock, None)
    try:
        sock.getpeername()  # fails after a reset, where wrap_socket would leave the socket open
        with sock.dup() as below:
            wrapped = context.wrap_socket(
                sock, do_handshake_on_connect=False, server_hostname=endpoint.name.name
            )
            if isinstance(wrapped, GatedSocket):
                wrapped.endpoint = (endpoint.port, endpoint.protocol)
            watch = Watch(wrapped, deadline.end)
            with watch:
                _shake_hands(wrapped, below, endpoint, deadline)
        return wrapped
    except BaseException as error:
        over = TimeoutError("records without data came without end")
        found = over if watch.has_ended else error  # whatever that looked like
        raised = _handshake_error(wrapped, found, endpoint, deadline)
        (wrapped or sock).close()
        if raised is error:
            raise
        raise raised from error


def _shake_hands(
    sock: ssl.SSLSocket, below: socket.socket, endpoint: Endpoint, deadline: Deadline
) -> None:
    """Say hello, look at the first octets of the answer, go on.

    TLS servers wait for the client, so what is there before an answer to our hello is a greeting
    in clear: it is named, instead of failing as a wrong version. `below` is the same connection
    without TLS, to look at. A greeting that comes between the look and OpenSSL's first read has
    lost five octets to it, the length of a record's header. An answer that looks like clear text
    may be the rest of a record whose beginning OpenSSL has already: the handshake decides.
    """
    acknowledge_at_once(sock)
    sock.settimeout(0)
    _require_tls(_peek(below), endpoint)  # a server close by may have greeted already
    try:
        with suppress(ssl.SSLWantReadError):
            sock.do_handshake()
            # A server close by can be so quick that this was all of it. Then it may be our turn to
            # speak, and there is no answer to wait for.
            return sock.settimeout(deadline.remaining())
    except ssl.SSLError as error:
        if error.reason == "WRONG_VERSION_NUMBER":
            _require_tls(_peek(below), endpoint, lost=b"...")
        raise
    sock.settimeout(deadline.remaining())
    socket.socket.recv(sock, 1, socket.MSG_PEEK)  # waits for the answer
    answer = _peek(below)
    acknowledge_at_once(sock)
    sock.settimeout(deadline.remaining())
    try:
        sock.do_handshake()
    except (ssl.SSLError, TimeoutError) as error:
        if getattr(error, "reason", None) in (None, *NOT_TLS):
            _require_tls(answer, endpoint)
        raise


def _peek(below: socket.socket) -> bytes:
    """What comes next, without taking it."""
    below.setblocking(False)
    with suppress(BlockingIOError):
        return below.recv(512, socket.MSG_PEEK)
    return b""


def _require_tls(answer: bytes, endpoint: Endpoint, lost: bytes = b"") -> None:
    """Raise if the `answer` is not TLS. `lost` stands for a beginning that is gone."""
    if not lost and (found := _DECLINES.match(answer)):
        words = printable(found[0].rstrip()[:200])
        raise TLSError(
            f'the server declines, in clear: "{words}".',
            code="plaintext-port",
            hint="It is TLS that is spoken on this port, and the server cannot, or will not, now: "
            "try again later, or ask its administrator.",
            reasons=(words,),
            **endpoint.details(),
        )
    if lost or (answer and answer[0] not in _TLS_RECORDS):
        kind, hint = _kind_of(answer, endpoint, is_cut=bool(lost))
        raise _plaintext(lost + answer, kind, hint, endpoint)


def _kind_of(answer: bytes, endpoint: Endpoint, *, is_cut: bool) -> tuple[str, str]:
    """What is spoken there, and what to do; without its first octets: most likely our protocol."""
    for start, (kind, hint) in _GREETINGS.items():
        if is_cut and endpoint.protocol.startswith(kind):
            return f"probably {kind}", hint
        if not is_cut and answer.startswith(start):
            return kind, hint
    return "something else", "TLS is on port 465 (SMTP), 993 (IMAP) and 995 (POP3)."


def _plaintext(answer: bytes, kind: str, hint: str, endpoint: Endpoint) -> TLSError:
    words = printable(answer.splitlines()[0][:80] if answer.splitlines() else answer)
    return TLSError(
        f'the server answered "{words}" in clear: {kind} is spoken on this port, not TLS.',
        code="plaintext-port",
        hint=hint,
        reasons=(words,),
        **endpoint.details(),
    )


_DECLINES = re.compile(rb"(?:\* BYE|-ERR|[45][0-9][0-9][ -])[^\r\n]*")
_GREETINGS = {
    b"220": ("SMTP", "It expects STARTTLS: use SMTP_STARTTLS here, or SMTP_SSL on port 465."),
    b"+OK": ("POP3", "It expects STLS: use POP3_STARTTLS here, or POP3_SSL on port 995."),
    b"* ": ("IMAP", "It expects STARTTLS: use IMAP4_STARTTLS here, or IMAP4_SSL on port 993."),
    b"HTTP/": ("HTTP", "This is a web server: check host and port."),
}


def _handshake_error(
    sock: ssl.SSLSocket | None, error: BaseException, endpoint: Endpoint, deadline: Deadline
) -> BaseException:
    is_over = isinstance(error, OSError) and deadline.is_over()  # whatever it ended in
    if (isinstance(error, TimeoutError) or is_over) and not isinstance(error, SecureMailError):
        return TimeLimitExceeded(
            f"no TLS within {say_seconds(deadline.seconds)}.",
            hint="The server is silent: it may be overloaded, or not speak TLS on this port.",
            **endpoint.details(),
        )
    if isinstance(error, ssl.SSLError) and sock is not None:
        return error if isinstance(error, SecureMailError) else _callers(sock, error, endpoint)
    if isinstance(error, OSError) and not isinstance(error, SecureMailError):
        return ConnectReset(
            f"the server hung up during the TLS handshake ({_why(error)}).",
            number=error.errno,
            hint="It may not speak TLS on this port, have too many connections from this computer, "
            "or refuse it: look into its log.",
            **endpoint.details(),
        )
    return error


def _callers(sock: ssl.SSLSocket, error: ssl.SSLError, endpoint: Endpoint) -> BaseException:
    """A context of the caller's own raised it: the same words as for ours."""
    sock.endpoint = (endpoint.port, endpoint.protocol)  # type: ignore[attr-defined]
    return refusal(sock, error, CALLERS_RULES)
