"""A SOCKS5 server (RFC 1928, with user and password by RFC 1929) on loopback.

It looks names up in a table of its own, as a proxy in another network does, and keeps what it was
asked for.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from types import TracebackType

SECONDS = 10.0
_NO_SIGN_IN, _PASSWORD, _NONE_WILL_DO = 0, 2, 255
_SUCCEEDED, _NOT_ALLOWED = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4

Place = tuple[str, int]


class SocksServer:
    """`known`: where each (host, port) leads; anything else is refused. `asked`: the hosts and
    ports as they came, a name as a name."""

    def __init__(
        self, known: Mapping[Place, Place], sign_in: tuple[str, str] | None = None
    ) -> None:
        self._known, self._sign_in = known, sign_in
        self.asked: list[Place] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self) -> "SocksServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in (self._listener, *self._open.copy()):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes whoever waits
        for thread in self._threads.copy():
            thread.join(SECONDS)
        self._listener.close()

    def _start(self, *call: object) -> None:
        target, *args = call
        thread = threading.Thread(target=target, args=args, name="SOCKS")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.settimeout(SECONDS)
                self._open.add(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            if self._let_in(client):
                place = self._known.get(self._request(client))
                if place is None:
                    client.sendall(_reply(_NOT_ALLOWED))
                else:
                    self._lead(client, place)

    def _lead(self, client: socket.socket, place: Place) -> None:
        with socket.create_connection(place, SECONDS) as server:
            self._open.add(server)
            client.sendall(_reply(_SUCCEEDED))
            back = threading.Thread(target=_carry, args=(server, client), name="SOCKS, back")
            back.start()
            _carry(client, server)
            back.join(SECONDS)

    def _let_in(self, client: socket.socket) -> bool:
        methods = _exactly(client, _exactly(client, 2)[1])
        wanted = _NO_SIGN_IN if self._sign_in is None else _PASSWORD
        if wanted not in methods:
            client.sendall(bytes([5, _NONE_WILL_DO]))
            return False
        client.sendall(bytes([5, wanted]))
        if self._sign_in is None:
            return True
        _exactly(client, 1)
        given = tuple(_exactly(client, _exactly(client, 1)[0]).decode() for _ in range(2))
        client.sendall(bytes([1, given != self._sign_in]))
        return given == self._sign_in

    def _request(self, client: socket.socket) -> Place:
        kind = _exactly(client, 4)[3]
        if kind == _NAME:
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == _IPV4 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _exactly(client, size))
        (port,) = struct.unpack("!H", _exactly(client, 2))
        self.asked.append((host, port))
        return host, port


def _reply(code: int) -> bytes:
    return bytes([5, code, 0, _IPV4, 0, 0, 0, 0, 0, 0])


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
