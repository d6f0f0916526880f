"""The POP3 server: RFC 1939, with CAPA (RFC 2449) and AUTH (RFC 5034)."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from .connection import CalledOff, Session, Site
from .mailbox import Message

Handler = Callable[[Any, bytes], Awaitable[None]]  # its first argument is the session


class Refused(Exception):
    """Becomes an -ERR."""


class POP3Session(Session):
    """One connection. Commands are in a table for each state (RFC 1939 3)."""

    too_long = b"-ERR line too long"
    timestamp: bytes | None = None
    user: bytes | None = None
    #: The messages as they were at sign-in: POP3 shows nothing newer. None before the sign-in.
    messages: list[Message] | None = None

    def __init__(
        self, reader: asyncio.StreamReader, transport: asyncio.Transport, site: Site
    ) -> None:
        super().__init__(reader, transport, site)
        self.deleted: set[int] = set()

    def greet(self) -> None:
        """RFC 1939 4 and, for the timestamp, 7."""
        if self.site.apop:
            self.timestamp = b"<%d.%d@localhost>" % (os.getpid(), time.time_ns())
        self.send(b"+OK ready " + (self.timestamp or b""))

    async def answer(self, line: bytes) -> None:
        word, _, argument = line.partition(b" ")
        table = self.AUTHORIZATION if self.messages is None else self.TRANSACTION
        try:
            if word.upper() not in table:
                raise Refused("unknown command, or not in this state")
            await table[word.upper()](self, argument)
        except Refused as refusal:
            self.send(b"-ERR " + str(refusal).encode())

    # Any state

    async def capa(self, argument: bytes) -> None:
        """RFC 2449 5."""
        self.send(b"+OK", *self.capabilities(), b".")

    def capabilities(self) -> list[bytes]:
        """RFC 2449 6; for SASL, RFC 5034 3."""
        return [b"TOP", b"UIDL", b"USER", b"SASL " + " ".join(self.mechanisms).encode()]

    async def quit_(self, argument: bytes) -> None:
        """RFC 1939 6: only now is anything removed."""
        messages = self.messages or []
        self.site.mailbox.remove(messages[number - 1].uid for number in self.deleted)
        self.send(b"+OK bye")
        self.finished = True

    # Authorization state

    async def user_name(self, argument: bytes) -> None:
        """Any name is taken, so that nobody learns which ones exist."""
        self.user = argument
        self.send(b"+OK")

    async def password(self, argument: bytes) -> None:
        """The argument is everything after one space, so a password may have spaces."""
        if self.user is None:
            raise Refused("USER first")
        self.sign_in(self.site.accounts.accept(self.user, argument))

    async def apop(self, argument: bytes) -> None:
        """RFC 1939 7."""
        if self.timestamp is None:
            raise Refused("not offered")
        user, _, digest = argument.partition(b" ")
        self.sign_in(self.site.accounts.accept_apop(user, self.timestamp, digest))

    async def auth(self, argument: bytes) -> None:
        """RFC 5034 4, with an initial response and without."""
        mechanism, _, initial = argument.partition(b" ")
        name = mechanism.decode("ascii", "replace").upper()
        if name not in self.mechanisms:
            raise Refused("the mechanisms are " + ", ".join(self.mechanisms))
        try:
            self.sign_in(await self.authenticate_by(name, initial or None))
        except CalledOff:
            raise Refused("cancelled, or no base64") from None

    def sign_in(self, accepted: bool) -> None:
        self.user = None
        if not accepted:
            raise Refused("[AUTH] user, password or token is wrong")
        self.messages = self.site.mailbox.messages()
        self.send(b"+OK signed in")

    # Transaction state

    def remaining(self) -> dict[int, Message]:
        """Message numbers and messages, less the deleted ones."""
        numbered = enumerate(self.messages or [], start=1)
        return {number: message for number, message in numbered if number not in self.deleted}

    def pick(self, argument: bytes) -> tuple[int, Message]:
        """The message that a command is about."""
        number = int(argument) if argument.isdigit() and len(argument) < 10 else 0
        if number not in self.remaining():
            raise Refused("no such message")
        return number, self.remaining()[number]

    async def stat(self, argument: bytes) -> None:
        sizes = [len(message.data) for message in self.remaining().values()]
        self.send(b"+OK %d %d" % (len(sizes), sum(sizes)))

    async def list_(self, argument: bytes) -> None:
        self.listing(argument, lambda message: b"%d" % len(message.data))

    async def uidl(self, argument: bytes) -> None:
        self.listing(argument, lambda message: b"uid-%d" % message.uid)

    def listing(self, argument: bytes, describe: Callable[[Message], bytes]) -> None:
        """LIST and UIDL: one message on the status line, or all of them below it."""
        if argument:
            number, message = self.pick(argument)
            self.send(b"+OK %d %b" % (number, describe(message)))
        else:
            remaining = self.remaining().items()
            self.send(b"+OK", *(b"%d %b" % (n, describe(m)) for n, m in remaining), b".")

    async def retr(self, argument: bytes) -> None:
        self.send_message(self.pick(argument)[1].data)

    async def top(self, argument: bytes) -> None:
        """The header, the empty line and some lines of the text (RFC 1939 7)."""
        number, _, count = argument.partition(b" ")
        if not count.isdigit() or len(count) > 9:
            raise Refused("TOP message lines")
        message = self.pick(number)[1]
        lines = itertools.islice(io.BytesIO(message.text), int(count))
        self.send_message(message.header + b"".join(lines))

    def send_message(self, data: bytes) -> None:
        """Dots are stuffed (RFC 1939 3), after a bare LF too: clients that end lines there would
        otherwise take a lone dot for the end, and the rest of the message for our answers."""
        data = (b"\n" + data).replace(b"\n.", b"\n..")[1:]
        self.send(b"+OK", data.removesuffix(b"\r\n"), b".")

    async def dele(self, argument: bytes) -> None:
        self.deleted.add(self.pick(argument)[0])
        self.send(b"+OK")

    async def rset(self, argument: bytes) -> None:
        self.deleted.clear()
        self.send(b"+OK")

    async def noop(self, argument: bytes) -> None:
        self.send(b"+OK")

    AUTHORIZATION: ClassVar[dict[bytes, Handler]] = {
        b"CAPA": capa,
        b"QUIT": quit_,
        b"USER": user_name,
        b"PASS": password,
        b"APOP": apop,
        b"AUTH": auth,
    }
    TRANSACTION: ClassVar[dict[bytes, Handler]] = {
        b"CAPA": capa,
        b"QUIT": quit_,
        b"STAT": stat,
        b"LIST": list_,
        b"UIDL": uidl,
        b"RETR": retr,
        b"TOP": top,
        b"DELE": dele,
        b"RSET": rset,
        b"NOOP": noop,
    }
