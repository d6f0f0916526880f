"""The IMAP server: the part of IMAP4rev1 (RFC 3501) that clients need to read one INBOX.

Written here although pymap (0.36.7) exists. That is a whole mail system, an alpha of some 10,000
lines: it is configured by a parsed command line, its store is its own and asynchronous, so that
sharing it with POP3 means writing a backend as long as this file, and its debug log has every line
it reads, passwords included.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
from typing import ClassVar

from . import imap_selected
from .connection import LITERAL_LIMIT, CalledOff, Session, Site, TooLong
from .imap_fetch import parse_date
from .imap_selected import FLAGS, Handler, known_flags
from .imap_syntax import LITERAL, Argument, Bad, No, astring, parse, take, word, words
from .mailbox import SEEN


class IMAPSession(Session):
    """One connection. Commands are in a table for each state (RFC 3501 3).

    A handler gets the arguments, sends the untagged responses, and tells the text of its OK.
    """

    too_long = b"* BYE line or literal too long"
    read_only = False

    def __init__(
        self, reader: asyncio.StreamReader, transport: asyncio.Transport, site: Site
    ) -> None:
        super().__init__(reader, transport, site)
        self.commands = self.NOT_AUTHENTICATED
        #: The UIDs that this client knows, by sequence number. The mailbox may be ahead of it.
        self.view: list[int] = []

    def greet(self) -> None:
        """RFC 3501 7.1.1."""
        self.send(b"* OK [CAPABILITY " + self.capabilities() + b"] ready")

    def capabilities(self) -> bytes:
        """RFC 3501 7.2.1."""
        names = ["IMAP4rev1", "LITERAL+", "SASL-IR", "UNSELECT"]
        return " ".join([*names, *(f"AUTH={name}" for name in self.mechanisms)]).encode()

    async def answer(self, line: bytes) -> None:
        command = await self.read_literals(line)
        tagged = re.match(rb'([^\s(){%*"\\+]+) ([A-Za-z]+)(?: |\Z)', command)
        if tagged is None:
            self.send(b"* BAD not a command")
            return
        tag, name = tagged[1], tagged[2].decode().upper()
        try:
            if name not in self.commands:
                raise Bad("unknown command, or not in this state")
            text = await self.commands[name](self, parse(command[tagged.end() :]))
        except Bad as bad:
            self.send(tag + b" BAD " + str(bad).encode())
        except No as no:
            self.send(tag + b" NO " + str(no).encode())
        else:
            # RFC 3501 7.4.1: sequence numbers must not change during these three.
            if self.commands is self.SELECTED and name not in ("FETCH", "STORE", "SEARCH"):
                self.catch_up()
            self.send(tag + b" OK " + text.encode())

    async def read_literals(self, line: bytes) -> bytes:
        """The whole command: a line that ends in {n} is followed by n bytes and another line."""
        command = line
        while literal := LITERAL.search(line):
            size = int(literal[1])
            if len(command) + size > LITERAL_LIMIT:
                raise TooLong
            if not literal[2]:
                self.send(b"+ go on")
            data = await self.reader.readexactly(size)
            line = await self.read_line()
            command += b"\r\n" + data + line
        return command

    def catch_up(self) -> None:
        """Tell what came and went since the last time (RFC 3501 5.2)."""
        now = [message.uid for message in self.site.mailbox.messages()]
        for number in range(len(self.view), 0, -1):
            if self.view[number - 1] not in now:
                del self.view[number - 1]
                self.send(b"* %d EXPUNGE" % number)
        if self.view != now:
            self.view = now
            self.send(b"* %d EXISTS" % len(now))

    # Any state

    async def capability(self, arguments: list[Argument]) -> str:
        self.send(b"* CAPABILITY " + self.capabilities())
        return "done"

    async def noop(self, arguments: list[Argument]) -> str:
        return "done"

    async def logout(self, arguments: list[Argument]) -> str:
        self.send(b"* BYE bye")
        self.finished = True
        return "done"

    # Not authenticated state

    async def login(self, arguments: list[Argument]) -> str:
        user, password = take(arguments, 2)
        return self.sign_in(self.site.accounts.accept(astring(user), astring(password)))

    async def authenticate(self, arguments: list[Argument]) -> str:
        """RFC 3501 6.2.2; with an initial response by RFC 4959."""
        if not arguments or (name := word(arguments[0])) not in self.mechanisms:
            raise No("the mechanisms are " + ", ".join(self.mechanisms))
        initial = astring(take(arguments, 2)[1]) if len(arguments) > 1 else None
        try:
            return self.sign_in(await self.authenticate_by(name, initial))
        except CalledOff:
            raise Bad("cancelled, or no base64") from None

    def sign_in(self, accepted: bool) -> str:
        if not accepted:
            raise No("[AUTHENTICATIONFAILED] user, password or token is wrong")
        self.commands = self.AUTHENTICATED
        return "signed in"

    # Authenticated state

    async def select(self, arguments: list[Argument]) -> str:
        return self.open(arguments, read_only=False)

    async def examine(self, arguments: list[Argument]) -> str:
        return self.open(arguments, read_only=True)

    def open(self, arguments: list[Argument], *, read_only: bool) -> str:
        """RFC 3501 6.3.1 and 6.3.2."""
        self.commands = self.AUTHENTICATED  # a SELECT that fails leaves nothing selected
        require_inbox(take(arguments, 1)[0])
        mailbox = self.site.mailbox
        self.view = [message.uid for message in mailbox.messages()]
        flags = " ".join(FLAGS).encode()
        self.send(
            b"* FLAGS (%b)" % flags,
            b"* OK [PERMANENTFLAGS (%b)]" % (b"" if read_only else flags),
            b"* %d EXISTS" % len(self.view),
            b"* 0 RECENT",
            b"* OK [UIDVALIDITY %d]" % mailbox.uid_validity,
            b"* OK [UIDNEXT %d]" % mailbox.next_uid,
        )
        self.read_only = read_only
        self.commands = self.SELECTED
        return "[READ-ONLY] opened" if read_only else "[READ-WRITE] opened"

    async def list_(self, arguments: list[Argument]) -> str:
        """RFC 3501 6.3.8. An empty pattern asks for the separator."""
        _, pattern = take(arguments, 2)
        wanted = word(pattern)
        if not wanted:
            self.send(b'* LIST (\\Noselect) "/" ""')
        elif fnmatch.fnmatchcase("INBOX", wanted.replace("%", "*")):
            self.send(b'* LIST (\\HasNoChildren) "/" "INBOX"')
        return "done"

    async def status(self, arguments: list[Argument]) -> str:
        """RFC 3501 6.3.10."""
        mailbox, wanted = take(arguments, 2)
        require_inbox(mailbox)
        messages = self.site.mailbox.messages()
        known = {
            "MESSAGES": len(messages),
            "RECENT": 0,
            "UIDNEXT": self.site.mailbox.next_uid,
            "UIDVALIDITY": self.site.mailbox.uid_validity,
            "UNSEEN": sum(SEEN not in message.flags for message in messages),
        }
        try:
            items = " ".join(f"{item} {known[item]}" for item in words(wanted))
        except KeyError:
            raise Bad("STATUS item") from None
        self.send(b'* STATUS "INBOX" (%b)' % items.encode())
        return "done"

    async def append(self, arguments: list[Argument]) -> str:
        """RFC 3501 6.3.11: mailbox, flags if any, date if any, message."""
        if len(arguments) < 2:
            raise Bad("APPEND mailbox [flags] [date] message")
        mailbox, *middle, data = arguments
        require_inbox(mailbox)
        flags: list[str] = []
        arrived = None
        for argument in middle:
            if isinstance(argument, bytes):
                arrived = parse_date(argument)
            else:
                flags = known_flags(argument)
        if not isinstance(data, bytes):
            raise Bad("a message is a literal")
        self.site.mailbox.deliver(data, flags, arrived)
        return "delivered"

    ANY: ClassVar[dict[str, Handler]] = {
        "CAPABILITY": capability,
        "NOOP": noop,
        "LOGOUT": logout,
    }
    NOT_AUTHENTICATED: ClassVar[dict[str, Handler]] = {
        **ANY,
        "LOGIN": login,
        "AUTHENTICATE": authenticate,
    }
    AUTHENTICATED: ClassVar[dict[str, Handler]] = {
        **ANY,
        "SELECT": select,
        "EXAMINE": examine,
        "LIST": list_,
        "STATUS": status,
        "APPEND": append,
    }
    SELECTED: ClassVar[dict[str, Handler]] = {**AUTHENTICATED, **imap_selected.COMMANDS}


def require_inbox(argument: Argument) -> None:
    """There is one mailbox. Its name is case-insensitive (RFC 3501 5.1)."""
    if word(argument) != "INBOX":
        raise No("[NONEXISTENT] there is only INBOX")
