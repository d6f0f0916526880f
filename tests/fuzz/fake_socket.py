"""A socket with a server inside: what is sent is answered at once, in the same thread.

It is a real, connected socket as far as anybody asks, and no octet goes through it. Waiting
costs nothing: where the server is silent, the time is up. TLS is played by another class of the
same kind; its handshake and its verdict are not what is tried here (`stateful.py` has real
ones).
"""

import socket
from typing import Any

from fuzz.escapes import Escaped

MOST_AT_ONCE = 500_000  # octets that anybody takes for one command, under the limits of the targets
MOST_COMMANDS = 3000


class FakeSocket(socket.socket):
    """The client's end. `server` has `hear(octets)`, `more()` and `ended`."""

    is_tls = False
    server: Any
    peer: socket.socket | None = None
    taken = 0
    sends = 0

    @classmethod
    def to(cls, server: Any) -> "FakeSocket":
        ours, theirs = socket.socketpair()
        found = cls(ours.family, ours.type, ours.proto, fileno=ours.detach())
        found.server, found.peer = server, theirs
        server.sockets.append(found)
        return found

    def secured(self) -> "FakeTLSSocket":
        """The same connection, as TLS has it; this object is of no use any more, as with `ssl`."""
        family, kind, protocol, timeout = self.family, self.type, self.proto, self.gettimeout()
        found = FakeTLSSocket(family, kind, protocol, fileno=self.detach())
        found.settimeout(timeout)
        found.server, found.peer, self.peer = self.server, self.peer, None
        found.server.sockets.append(found)
        return found

    def recv_into(self, buffer: Any, *_: Any) -> int:  # type: ignore[override]
        self._require_open()
        octets = self.server.next_octets(len(buffer))
        if octets is None:
            raise (BlockingIOError if self.gettimeout() == 0 else TimeoutError)("timed out")
        buffer[: len(octets)] = octets
        self.taken += len(octets)
        if self.taken > MOST_AT_ONCE:
            raise Escaped(f"it took more than {MOST_AT_ONCE:,} octets for one command")
        return len(octets)

    def sendall(self, data: Any, *_: Any) -> None:
        self._require_open()
        self.taken = 0
        self.sends += 1
        if self.sends > MOST_COMMANDS:
            raise Escaped(f"it sent more than {MOST_COMMANDS} times")
        self.server.hear(bytes(data), self.is_tls)

    def close(self) -> None:
        if self.peer is not None:
            self.peer.close()
        super().close()

    def _require_open(self) -> None:
        if self.fileno() == -1:
            raise OSError(9, "Bad file descriptor")

    def recv(self, *_: Any) -> bytes:
        raise Escaped("somebody reads past the bounded reader")

    def send(self, *_: Any) -> int:
        raise Escaped("somebody writes past the line writer")


class FakeTLSSocket(FakeSocket):
    """What `secure` would return, verified."""

    is_tls = True
    session_reused = False

    def version(self) -> str:
        return str(self.server.tls_version)

    def get_channel_binding(self, kind: str) -> bytes:
        return b"finished-pad" if kind == "tls-unique" else b""

    def getpeercert(self, binary_form: bool = False) -> bytes:
        return b""
