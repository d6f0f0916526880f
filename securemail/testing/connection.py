"""What the servers have in common: recording, and reading bounded lines.

All connections live in one event loop, in one thread: aiosmtpd wants asyncio anyway, and an event
loop can end every connection at once, which threads that wait for their clients cannot.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, cast

from .accounts import Accounts
from .mailbox import Mailbox

LINE_LIMIT = 64 * 1024
LITERAL_LIMIT = 64 * 1024 * 1024

log = logging.getLogger("securemail.testing")

Record = Callable[[bytes], None]


@dataclass(frozen=True)
class Site:
    """What a server serves."""

    accounts: Accounts
    mailbox: Mailbox
    apop: bool = False


class TooLong(Exception):
    """The client sent a line or a literal beyond our bound: no way to go on."""


class Recorded(asyncio.Protocol):
    """Mixed into a protocol: records what the client sent, and tells when the connection is over.

    With TLS this is what came out of the TLS layer, so bytes of a failed handshake are not in it.
    """

    record: Record
    over: asyncio.Event

    def data_received(self, data: bytes) -> None:
        self.record(bytes(data))
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.set()


class Session(ABC):
    """A conversation in lines. A subclass says how it greets and how it answers."""

    #: What is said, before hanging up, to a client whose line or literal is too long.
    too_long: ClassVar[bytes]

    def __init__(
        self, reader: asyncio.StreamReader, transport: asyncio.Transport, site: Site
    ) -> None:
        self.reader = reader
        self.transport = transport
        self.site = site
        self.finished = False

    @abstractmethod
    def greet(self) -> None:
        """Send the greeting."""

    @abstractmethod
    async def answer(self, line: bytes) -> None:
        """Answer one command, given without its line end. Set `finished` after the last one."""

    def send(self, *lines: bytes) -> None:
        """Send lines. Nothing waits for a slow reader: what he leaves unread stays in memory."""
        if self.transport.is_closing():
            raise ConnectionResetError  # else commands are answered on, though nobody listens
        self.transport.write(b"".join(line + b"\r\n" for line in lines))

    async def read_line(self) -> bytes:
        """One line without its end. A bare LF will do."""
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise TooLong from None
        return line.removesuffix(b"\n").removesuffix(b"\r")

    async def read_base64(self, prompt: bytes) -> bytes | None:
        """Ask for a SASL response. None if the client called it off, or wrote no base64."""
        self.send(prompt)
        return decode_base64(await self.read_line())

    async def converse(self) -> None:
        """The whole conversation. However the client behaves, it ends here."""
        try:
            self.greet()
            while not self.finished:
                await self.answer(await self.read_line())
        except TooLong:
            with suppress(OSError):
                self.send(self.too_long)
        except (EOFError, OSError):
            pass  # the client hung up
        except Exception:
            log.exception("%s: a mistake of the server", type(self).__name__)
        finally:
            self.transport.close()


class SessionProtocol(Recorded, asyncio.StreamReaderProtocol):
    """Holds one session on one connection."""

    def __init__(self, session: type[Session], site: Site, record: Record) -> None:
        self.record = record
        self.over = asyncio.Event()
        self.reader = asyncio.StreamReader(limit=LINE_LIMIT)
        self.session = session
        self.site = site
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        session = self.session(self.reader, cast(asyncio.Transport, transport), self.site)
        # Kept, because the event loop itself keeps only a weak reference to a task.
        self.task = asyncio.create_task(session.converse())


def decode_base64(text: bytes) -> bytes | None:
    """The decoded SASL response; None for "*", which calls it off, and for what is no base64."""
    try:
        return b64decode(b"" if text == b"=" else text, validate=True)
    except Base64Error:
        return None
