"""A server that plays a script, however rude, and keeps every byte that it was sent.

>>> with RecordingServer(script, context=authority.context_for("expired")) as server:
...     a client tries server.host, server.port
>>> assert leaks(server.records[0].everything, password) == []
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from .notes import Note

READ_SECONDS = 10.0
LINGER_SECONDS = 5.0
CHUNK = 65536

Result = TypeVar("Result")


@dataclass
class Record:
    """What a client sent on one connection. It is complete once it is `finished`."""

    wire: bytearray = field(default_factory=bytearray)
    """Every byte as it came over the network: clear, handshakes, and ciphertext."""
    clear: bytearray = field(default_factory=bytearray)
    tls: bytearray = field(default_factory=bytearray)
    handshake_error: Exception | None = None
    script_error: Exception | None = None
    """How the script ended, where it did not return: the client left, or a mistake in it."""
    finished: bool = False
    notes: list[Note] = field(default_factory=list)
    """What the script wrote down while it played."""

    @property
    def received_clear(self) -> bytes:
        """What came before a handshake began, or without one."""
        return bytes(self.clear)

    @property
    def received_tls(self) -> bytes:
        """What came through TLS, decrypted."""
        return bytes(self.tls)

    @property
    def everything(self) -> bytes:
        """What an eavesdropper or this server got: also what came instead of a handshake, and
        what came in clear after TLS had ended."""
        return bytes(self.wire) + b"\n" + bytes(self.tls)


class Conversation:
    """One connection, as a script sees it.

    Reading past the client's end gives b"". Waiting too long raises TimeoutError, and writing to
    a client that left OSError: a script need not catch either, the connection is over then.
    """

    def __init__(self, connection: socket.socket, record: Record) -> None:
        self.record = record
        self._socket = connection
        self._buffer = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._handshake_failed = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    @property
    def is_tls(self) -> bool:
        return self._tls is not None

    @property
    def is_open(self) -> bool:
        """Whether neither `close` nor `reset` was called."""
        return self._socket.fileno() != -1

    def send(self, data: bytes) -> None:
        self._socket.settimeout(READ_SECONDS)
        if self._tls is None:
            self._socket.sendall(data)
        else:
            self._tls.write(data)
            self._flush()

    def read_line(self, timeout: float = READ_SECONDS) -> bytes:
        """The next line with its end; what is left without one at the end."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer and self._receive(deadline):
            pass
        end = self._buffer.find(b"\n") + 1
        return self._take(end or len(self._buffer))

    def read(self, size: int, timeout: float = READ_SECONDS) -> bytes:
        """That many bytes, fewer at the end."""
        deadline = time.monotonic() + timeout
        while len(self._buffer) < size and self._receive(deadline):
            pass
        return self._take(size)

    def start_tls(self, context: ssl.SSLContext, timeout: float = READ_SECONDS) -> None:
        """The server's side of a handshake; a failure is also kept in the record.

        What the client sent too early stays in `received_clear` and is taken as the beginning of
        the handshake.
        """
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(self._take(len(self._buffer)))
        deadline = time.monotonic() + timeout
        try:
            self._pump(tls.do_handshake, deadline)
        except (OSError, ValueError) as error:  # ssl.SSLError and TimeoutError are OSErrors
            self._handshake_failed = True
            self.record.handshake_error = error
            with contextlib.suppress(OSError):
                self._flush()  # the alert that says why
            raise
        self._tls = tls

    def tls_unique(self) -> bytes | None:
        """The channel binding of RFC 5929, 3, as this end has it."""
        return self._tls.get_channel_binding("tls-unique") if self._tls is not None else None

    def sleep_until_closed(self, longest: float) -> bool:
        """Says nothing and keeps reading; whether the client left within that time."""
        deadline = time.monotonic() + longest
        try:
            while self._receive(deadline):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Ends the connection without a closing word of TLS; nothing more is recorded.

        A script that returns without calling it ends the connection politely, and what the client
        still says is recorded.
        """
        self._socket.close()

    def reset(self) -> None:
        """Ends the connection with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def finish(self) -> None:
        """Says goodbye and listens until the client has left, or for `LINGER_SECONDS`."""
        if not self.is_open:
            return
        with contextlib.suppress(OSError):
            if self._tls is not None:
                self._say_goodbye(self._tls)
            self._socket.shutdown(socket.SHUT_WR)
            self.sleep_until_closed(LINGER_SECONDS)
        self._socket.close()

    def interrupt(self) -> None:
        """Wakes whatever waits on this connection; for another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _say_goodbye(self, tls: ssl.SSLObject) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()  # writes our close_notify, and would then wait for the client's
        self._flush()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _receive(self, deadline: float) -> bool:
        """Adds to the buffer what comes next; False at the end of what the client says."""
        if self._tls is None:
            data = self._receive_raw(deadline)
            if not self._handshake_failed:
                self.record.clear += data
        else:
            data = self._receive_tls(self._tls, deadline)
            self.record.tls += data
        self._buffer += data
        return bool(data)

    def _receive_tls(self, tls: ssl.SSLObject, deadline: float) -> bytes:
        try:
            data = self._pump(lambda: tls.read(CHUNK), deadline)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            data = b""
        if not data:  # TLS has ended; what comes now is in clear, and goes to `wire` alone
            while self._receive_raw(deadline):
                pass
        return data

    def _receive_raw(self, deadline: float) -> bytes:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the script waited long enough")
        self._socket.settimeout(remaining)
        data = self._socket.recv(CHUNK)
        self.record.wire += data
        return data

    def _pump(self, operation: Callable[[], Result], deadline: float) -> Result:
        """Runs an operation of the TLS object, fetching what it wants to read."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._receive_raw(deadline)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.settimeout(READ_SECONDS)
            self._socket.sendall(self._outgoing.read())


Script = Callable[[Conversation], None]


class RecordingServer:
    """Plays `script` to every client that connects, each in a thread of its own.

    With a `context` the handshake comes first, as on a port for TLS only. `close` ends all
    connections, waits for all threads, and raises what went wrong in a script.
    """

    def __init__(
        self,
        script: Script,
        *,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._script = script
        self._context = context
        self._changed = threading.Condition()
        self._closing = False
        self._conversations: list[Conversation] = []
        self._threads: list[threading.Thread] = []
        self.records: list[Record] = []
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="recording server")
        self._acceptor.start()

    @property
    def connections(self) -> int:
        return len(self.records)

    def wait(self, connections: int = 1, timeout: float = READ_SECONDS) -> list[Record]:
        """The records, once that many connections have come and gone."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._finished() >= connections, timeout):
                raise TimeoutError(f"{connections} connections did not end in {timeout} s")
        return self.records

    def _finished(self) -> int:
        return sum(record.finished for record in self.records)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            conversations = list(self._conversations)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        for conversation in conversations:
            conversation.interrupt()
        for thread in [self._acceptor, *self._threads]:
            thread.join(READ_SECONDS + LINGER_SECONDS)
            if thread.is_alive():
                raise RuntimeError(f"the thread {thread.name} does not end")
        self._raise_mistakes()

    def __enter__(self) -> RecordingServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with self._changed:
                if self._closing:
                    connection.close()
                    return
                conversation = Conversation(connection, Record())
                thread = threading.Thread(target=self._converse, args=[conversation])
                self._conversations.append(conversation)
                self._threads.append(thread)
                self.records.append(conversation.record)
            thread.start()

    def _converse(self, conversation: Conversation) -> None:
        record = conversation.record
        try:
            if self._context is not None:
                conversation.start_tls(self._context)
            self._script(conversation)
        except Exception as error:  # noqa: BLE001  - kept, and raised by close()
            if error is not record.handshake_error:
                record.script_error = error
        finally:
            conversation.finish()
            with self._changed:
                record.finished = True
                self._changed.notify_all()

    def _raise_mistakes(self) -> None:
        for record in self.records:
            error = record.script_error
            if error is not None and not isinstance(error, OSError):
                raise error
