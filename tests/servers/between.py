"""Somebody in between, whom the client believes: he has a certificate that it takes.

What a client sends is decrypted, kept, and sent on over a TLS connection of his own; what the
server answers comes back, changed as he likes. He is who channel binding is against.
"""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType

SECONDS = 20.0
CHUNK = 65536


class Between:
    """Listens on 127.0.0.1, and goes on to `server`.

    with Between(server_context, (host, port), client_context) as between:
        ...                                             # a client connects to between.address
    assert b"LOGIN" not in between.said

    `changes`: what becomes of the server's words. The limits of TLS are those of the contexts.
    """

    def __init__(
        self,
        own: ssl.SSLContext,
        server: tuple[str, int],
        context: ssl.SSLContext,
        changes: Callable[[bytes], bytes] = lambda words: words,
    ) -> None:
        self._own, self._server, self._context, self._changes = own, server, context, changes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.said = b""  # by the client
        self.error: OSError | None = None
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Between":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        """One connection, until either side has ended it."""
        try:
            plain, _ = self._listener.accept()
            plain.settimeout(SECONDS)
            with self._own.wrap_socket(plain, server_side=True) as client, self._dialled() as there:
                self._relay(client, there)
        except OSError as error:
            self.error = error

    def _dialled(self) -> ssl.SSLSocket:
        with contextlib.ExitStack() as opened:
            plain = opened.enter_context(socket.create_connection(self._server, SECONDS))
            sock = self._context.wrap_socket(plain, server_hostname=self._server[0])
            opened.pop_all()
        return sock

    def _relay(self, client: ssl.SSLSocket, there: ssl.SSLSocket) -> None:
        while True:
            for sock in select.select([client, there], [], [], SECONDS)[0]:
                words = _received(sock)
                if not words:
                    return
                if sock is client:
                    self.said += words
                    there.sendall(words)
                else:
                    client.sendall(self._changes(words))


def _received(sock: ssl.SSLSocket) -> bytes:
    """All that is there: what TLS has decrypted already wakes no `select`."""
    words = sock.recv(CHUNK)
    while sock.pending():
        words += sock.recv(CHUNK)
    return words
