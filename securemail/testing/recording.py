"""What each client sent: within TLS, and outside it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any


class Recording:
    """What one connection brought.

    Outside TLS it is everything that came out of the socket, however it was meant: also what
    came too early for the upgrade, and the whole of a handshake that failed. A handshake that
    succeeded, and what it protects, are not in it.
    """

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self._from_socket = bytearray()
        self._length_in_clear = 0
        self._within_tls: list[bytes] = []
        self._has_tls = False

    @property
    def within_tls(self) -> bytes:
        """What came out of the TLS layer."""
        return b"".join(self._within_tls.copy())

    @property
    def outside_tls(self) -> bytes:
        """What no TLS protected."""
        octets = bytes(self._from_socket)
        return octets[: self._length_in_clear] if self._has_tls else octets

    def add_from_socket(self, octets: bytes | memoryview) -> None:
        """As they came, before anybody looked at them. Nothing is kept once TLS is there."""
        if not self._has_tls:
            self._from_socket += octets

    def add_in_clear(self, octets: bytes) -> None:
        """These were for the conversation, so they are no part of a handshake."""
        self._length_in_clear += len(octets)

    def add_within_tls(self, octets: bytes) -> None:
        """What the handshake had been for."""
        self.tls_begins()
        self._within_tls.append(octets)

    def tls_begins(self) -> None:
        """The handshake has succeeded."""
        self._has_tls = True


class TappedSocket(socket.socket):
    """Shows what it receives to a recording. asyncio's selector loop calls these two methods."""

    tap: Callable[[bytes | memoryview], None]

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        octets = super().recv(size, flags)
        self.tap(octets)
        return octets

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        count = super().recv_into(buffer, nbytes, flags)
        self.tap(memoryview(buffer)[:count])
        return count


def tapped(connection: socket.socket, recording: Recording) -> TappedSocket:
    """The same connection, recorded."""
    socket_of_ours = TappedSocket(fileno=connection.detach())
    socket_of_ours.tap = recording.add_from_socket
    return socket_of_ours


class Recorded(asyncio.Protocol):
    """Mixed into a protocol: records what the client sent, and tells when the conversation is over.

    `is_tls` is set from the start where a protocol is made for what follows an upgrade.
    """

    recording: Recording
    over: asyncio.Event
    is_tls = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if transport.get_extra_info("ssl_object") is not None:
            self.is_tls = True
            self.recording.tls_begins()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        add = self.recording.add_within_tls if self.is_tls else self.recording.add_in_clear
        add(bytes(data))
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.set()

    def successor(self) -> Recorded | None:
        """What goes on within TLS when this is over; nothing does where it was the end."""
        return None
