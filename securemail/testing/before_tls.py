"""The IMAP and POP3 sessions of the ports with STARTTLS, up to the upgrade.

Nothing here takes a password: neither offered nor, if it comes all the same, accepted. After the
upgrade another session goes on, with a reader of its own. So nothing of what was said in clear
can count: commands sent along with STARTTLS are dropped (CVE-2011-0411), and what comes in clear
after our OK is no handshake, which ends the connection.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from .imap_selected import Handler as IMAPHandler
from .imap_server import IMAPSession
from .imap_syntax import Argument, No, take
from .pop3_server import Handler as POP3Handler
from .pop3_server import POP3Session, Refused


class IMAPBeforeTLS(IMAPSession):
    """RFC 9051 6.2.1, and 6.2.3 for LOGINDISABLED."""

    def capabilities(self) -> bytes:
        return b"IMAP4rev1 LITERAL+ SASL-IR STARTTLS LOGINDISABLED"

    async def starttls(self, arguments: list[Argument]) -> str:
        take(arguments, 0)
        self.end_for_tls()
        return "begin TLS"

    async def too_early(self, arguments: list[Argument]) -> str:
        """RFC 5530 3."""
        raise No("[PRIVACYREQUIRED] STARTTLS first")

    def within_tls(self, reader: asyncio.StreamReader, transport: asyncio.Transport) -> IMAPSession:
        return IMAPSession(reader, transport, self.site)

    NOT_AUTHENTICATED: ClassVar[dict[str, IMAPHandler]] = {
        **IMAPSession.ANY,
        "STARTTLS": starttls,
        "LOGIN": too_early,
        "AUTHENTICATE": too_early,
    }


class POP3BeforeTLS(POP3Session):
    """RFC 2595 4."""

    def capabilities(self) -> list[bytes]:
        return [b"TOP", b"UIDL", b"STLS"]

    async def stls(self, argument: bytes) -> None:
        if argument:
            raise Refused("STLS takes no argument")
        self.end_for_tls()
        self.send(b"+OK begin TLS")

    async def too_early(self, argument: bytes) -> None:
        raise Refused("STLS first")

    def within_tls(self, reader: asyncio.StreamReader, transport: asyncio.Transport) -> POP3Session:
        """There is no second greeting, so APOP goes on with the timestamp of the first."""
        session = POP3Session(reader, transport, self.site)
        session.timestamp = self.timestamp
        return session

    AUTHORIZATION: ClassVar[dict[bytes, POP3Handler]] = {
        b"CAPA": POP3Session.capa,
        b"QUIT": POP3Session.quit_,
        b"STLS": stls,
        **dict.fromkeys((b"USER", b"PASS", b"APOP", b"AUTH"), too_early),
    }
