"""The gate: nothing is read or written before the server was verified, nor after TLS has ended.

A check in `do_handshake` alone can be walked around: a first `send` makes OpenSSL shake hands by
itself, and `unwrap` or `shutdown` leave an object that sends in clear. So every method that moves
data asks the gate first.
"""

from __future__ import annotations

import errno
import functools
import ssl
from collections.abc import Callable
from typing import Any

from ..errors import PolicyError, TLSError, warn
from ..report import TLSReport

_MOVES_DATA = (
    *("read", "write", "send", "sendall", "sendto", "sendfile"),
    *("recv", "recv_into", "recvfrom", "recvfrom_into"),
)


class Gate:
    """What the gated socket and the gated object share.

    States: not verified (no report) → open (a report) → refused (an error, for good).
    """

    # Class-level, because SSLSocket._create shakes hands before an instance could be set up.
    _report: TLSReport | None = None
    _refused: Exception | None = None
    _told = False
    _endpoint: tuple[int, str] | None = None
    _sslobj: Any
    context: Any

    @property
    def report(self) -> TLSReport | None:
        """What was found, once the server was verified."""
        return self._report

    @property
    def endpoint(self) -> tuple[int, str] | None:
        """Port and protocol, where the caller knows them. A context that was made for an endpoint
        has the last word: by that one the server is known."""
        of_context: tuple[int, str] | None = self.context.port_and_protocol
        own = self._endpoint
        if of_context is None or (own and _alike(own, of_context)):
            return own
        return of_context

    @endpoint.setter
    def endpoint(self, given: tuple[int, str]) -> None:
        self._endpoint = given

    def _shake_hands(self, context: Any, shake: Callable[[], None]) -> None:
        """Run the handshake, then the verdict. A failure of either closes for good."""
        if self._refused is not None:
            raise self._refused
        try:
            shake()
            if self._report is None:
                self._report = context.judge(self)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except BaseException as error:  # noqa: BLE001 - always raised again, in other words
            refusal = context.refusal(self, error)  # before closing: it reads the peer's chain
            self._refused = refusal if isinstance(refusal, TLSError) else not_open()
            self._release()
            # Another TLSError was raised for `refusal` to tell, and has no text of its own.
            raise refusal from (None if isinstance(error, TLSError) else error)

    def _release(self) -> None:
        """Close what is held. An SSLObject holds no socket."""

    def _require_open(self) -> None:
        if self._refused is not None:
            raise self._refused
        if self._report is None or self._sslobj is None:
            raise not_open()
        self.tell()

    def tell(self) -> None:
        """Raise the warnings of the verdict, once: after the handshake, before the first data."""
        if not self._told and self._report is not None:
            self._told = True
            for warning in self._report.warnings:
                warn(warning)


def _alike(one: tuple[int, str], other: tuple[int, str]) -> bool:
    """Of a protocol the first word counts: "IMAP over TLS" is IMAP."""
    return (one[0], one[1].split()[:1]) == (other[0], other[1].split()[:1])


def not_open() -> TLSError:
    """For octets that would go, or be taken, past TLS."""
    return TLSError(
        "there is no verified TLS on this socket: the handshake was not done, or TLS has ended. "
        "Nothing was sent or read.",
        code="gate-closed",
        hint="Call do_handshake() first; use nothing after unwrap(), shutdown() or close().",
    )


def tls_below(sock: Any) -> Any:
    """What an `ssl.SSLSocket` sends by and reads from; it can only speak TLS. Raises `TLSError`
    where there is none any more: the socket's own methods would go on in clear then."""
    below = sock._sslobj
    if below is None:
        raise not_open()
    return below


def _gated(standard: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(standard)
    def method(self: Gate, *args: Any, **kwargs: Any) -> Any:
        self._require_open()
        return standard(self, *args, **kwargs)

    return method


def _gate_all(cls: type, standard: type) -> None:
    for name in _MOVES_DATA:
        if hasattr(standard, name) and name not in cls.__dict__:
            setattr(cls, name, _gated(getattr(standard, name)))


class GatedSocket(Gate, ssl.SSLSocket):
    """The `ssl.SSLSocket` of a policy's context."""

    def do_handshake(self, block: bool = False) -> None:
        self._shake_hands(self.context, lambda: ssl.SSLSocket.do_handshake(self, block))

    def _release(self) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._told and self._refused is None and self._sslobj is not None:
            return  # as below, for all but the first time
        # While SSLSocket._create runs on a socket that is not connected, it looks for early data
        # with recv(1). No TLS object exists then, and no caller who could see the data.
        if "_connected" in self.__dict__:
            super()._require_open()

    # The four that the standard class passes on to the socket below where TLS is gone. It looks for
    # itself, after the gate did, and another thread may have ended TLS in between.

    def send(self, data: Any, flags: int = 0) -> int:
        self._require_open()
        return int(tls_below(self).write(data if self._without(flags, 1) else b""))

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._require_open()
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self.send(octets[sent:], flags)

    def _has_no_address(self, *_: Any, **__: Any) -> Any:
        self._require_open()
        raise ValueError("TLS knows no addresses: use send, recv or recv_into")

    sendto = recvfrom = recvfrom_into = _has_no_address

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        self._require_open()
        return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined, no-any-return]

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if "_connected" in self.__dict__:
            self._require_open()
            tls_below(self)
            return bytes(self.read(self._without(flags, buflen)))
        try:
            return ssl.SSLSocket.recv(self, buflen, flags)
        except OSError as error:
            # A reset that SSLSocket._create meets in its look for early data: before Python 3.13
            # it raises and leaves this socket open, with nobody holding it.
            if error.errno not in (errno.ENOTCONN, errno.EINVAL):
                self.close()
            raise

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self._require_open()
        tls_below(self)
        size = nbytes or (memoryview(buffer).nbytes if buffer is not None else 1024)
        return int(self.read(self._without(flags, size), buffer))

    @staticmethod
    def _without(flags: int, size: int) -> int:
        if flags:
            raise ValueError("flags are of no use with TLS")
        return size

    @property
    def context(self) -> ssl.SSLContext:
        return self._context  # type: ignore[attr-defined, no-any-return]

    @context.setter
    def context(self, _: object) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise PolicyError("the context of a verified socket cannot be exchanged.", code="sealed")


class GatedObject(Gate, ssl.SSLObject):
    """The `ssl.SSLObject` of a policy's context, as asyncio uses it."""

    def do_handshake(self) -> None:
        self._shake_hands(self.context, lambda: ssl.SSLObject.do_handshake(self))

    @property
    def context(self) -> ssl.SSLContext:
        return self._sslobj.context  # type: ignore[no-any-return]

    @context.setter
    def context(self, _: object) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise PolicyError("the context of a verified socket cannot be exchanged.", code="sealed")


_gate_all(GatedSocket, ssl.SSLSocket)
_gate_all(GatedObject, ssl.SSLObject)
