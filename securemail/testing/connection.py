"""What the servers have in common: a conversation in bounded lines, and who may have it.

All connections live in one event loop, in one thread: aiosmtpd wants asyncio anyway, and an event
loop can end every connection at once, which threads that wait for their clients cannot.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, cast

from . import sasl
from .accounts import Accounts
from .mailbox import Mailbox
from .recording import Recorded, Recording

LINE_LIMIT = 64 * 1024
LITERAL_LIMIT = 64 * 1024 * 1024

log = logging.getLogger("securemail.testing")


@dataclass(frozen=True)
class Site:
    """What a server serves."""

    accounts: Accounts
    mailbox: Mailbox
    apop: bool = False


class TooLong(Exception):
    """The client sent a line or a literal beyond our bound: no way to go on."""


class CalledOff(Exception):
    """The client called the sign-in off, or wrote no base64."""


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
        self.mechanisms = sasl.offered(site.accounts)
        self.finished = False
        self.wants_tls = False

    @abstractmethod
    def greet(self) -> None:
        """Send the greeting."""

    @abstractmethod
    async def answer(self, line: bytes) -> None:
        """Answer one command, given without its line end. Set `finished` after the last one."""

    def end_for_tls(self) -> None:
        """To be called before the OK to STARTTLS is sent: this session reads nothing that comes
        after it, as that is for the TLS layer."""
        self.transport.pause_reading()
        self.wants_tls = self.finished = True

    def within_tls(self, reader: asyncio.StreamReader, transport: asyncio.Transport) -> Session:
        """The session that goes on after the upgrade. It does not greet."""
        raise NotImplementedError

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

    async def authenticate_by(self, name: str, initial: bytes | None) -> bool:
        """Whether the client signs in by that mechanism. `initial`: its initial response, as it
        came. Raises `CalledOff`."""
        dialogue = self.mechanisms[name](self.site.accounts)
        response = None if initial is None else decode_base64(initial)
        return await sasl.play(dialogue, response, self.ask)

    async def ask(self, challenge: bytes) -> bytes:
        """Send a SASL challenge, and return what the client answers."""
        self.send(b"+ " + b64encode(challenge))
        return decode_base64(await self.read_line())

    async def converse(self, *, greet: bool) -> None:
        """The whole conversation. However the client behaves, it ends here."""
        try:
            if greet:
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
            if not self.wants_tls:
                self.transport.close()


SessionMaker = Callable[[asyncio.StreamReader, asyncio.Transport], Session]


class SessionProtocol(Recorded, asyncio.StreamReaderProtocol):
    """Holds one session on one connection, from the greeting or from the upgrade on."""

    session: Session

    def __init__(self, make: SessionMaker, recording: Recording, *, upgraded: bool = False) -> None:
        self.make = make
        self.recording = recording
        self.upgraded = self.is_tls = upgraded
        self.over = asyncio.Event()
        self.reader = asyncio.StreamReader(limit=LINE_LIMIT)
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.session = self.make(self.reader, cast(asyncio.Transport, transport))
        # Kept, because the event loop itself keeps only a weak reference to a task.
        self.task = asyncio.create_task(self.converse())

    async def converse(self) -> None:
        await self.session.converse(greet=not self.upgraded)
        if self.session.wants_tls:
            self.over.set()

    def successor(self) -> SessionProtocol | None:
        if not self.session.wants_tls:
            return None
        return SessionProtocol(self.session.within_tls, self.recording, upgraded=True)


def decode_base64(text: bytes) -> bytes:
    """The decoded SASL response. "*", which calls it off, is no base64 either."""
    try:
        return b64decode(b"" if text == b"=" else text, validate=True)
    except Base64Error:
        raise CalledOff from None
