"""The submission server (RFC 6409), by aiosmtpd.

aiosmtpd's own controller is not used: it opens a connection to itself at the start, and leaves
connections that are open at the end to the garbage collector.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from aiosmtpd.smtp import MISSING, SMTP, Envelope, Session, syntax

from . import sasl
from .connection import LINE_LIMIT, LITERAL_LIMIT, CalledOff, Site, decode_base64
from .recording import Recorded, Recording


class Handler:
    """What aiosmtpd asks us: who may sign in, and where messages go."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._mechanisms = {**sasl.offered(site.accounts), "LOGIN": sasl.login}
        # aiosmtpd offers what it finds by such a name, and calls none where there is `handle_AUTH`.
        for name, mechanism in self._mechanisms.items():
            setattr(self, "auth_" + name.replace("-", "__"), mechanism)

    async def handle_AUTH(
        self, server: SMTP, session: Session, envelope: Envelope, args: list[str]
    ) -> str | None:
        """RFC 4954 4. Done here because aiosmtpd, left alone, logs a warning at every sign-in."""
        name, *initial = (arg.encode("utf-8", "surrogateescape") for arg in args)
        dialogue = self._mechanisms[name.decode()](self._site.accounts)
        try:
            response = decode_base64(initial[0]) if initial else None
        except CalledOff:
            return "501 5.5.2 Can't decode base64"
        try:
            session.authenticated = await sasl.play(dialogue, response, asking(server))
        except CalledOff:
            return None  # aiosmtpd has answered
        if session.authenticated:
            return "235 2.7.0 Authentication successful"
        return "535 5.7.8 Authentication credentials invalid"

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> Any:
        """RFC 6409 4.3. (`auth_required` would warn: aiosmtpd does not know of implicit TLS.)"""
        if server.tls_context is not None and session.ssl is None:
            return "530 5.7.0 Must issue a STARTTLS command first"  # RFC 3207 4
        return MISSING if session.authenticated else "530 5.7.0 Authentication required"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Deliver what was sent, to the byte: no trace header is added."""
        self._site.mailbox.deliver(envelope.original_content or b"")
        return "250 2.0.0 OK"


def asking(server: SMTP) -> Callable[[bytes], Awaitable[bytes]]:
    """What sends a SASL challenge and returns the client's answer. Raises `CalledOff`."""

    async def ask(challenge: bytes) -> bytes:
        response = await server.challenge_auth(challenge)
        if not isinstance(response, bytes):
            raise CalledOff
        return response

    return ask


# aiosmtpd names a parameter of `connection_lost` its own way.
class SMTPProtocol(Recorded, SMTP):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One connection. With a context for STARTTLS, all that matters needs the upgrade first.

    After the upgrade nothing is left of what was said in clear (RFC 3207 4.2), nor of commands sent
    along with STARTTLS (CVE-2011-0411): `connection_made` of aiosmtpd sees to both.
    """

    line_length_limit = LINE_LIMIT
    handler: ClassVar[type[Handler]] = Handler
    has_auth: ClassVar[bool] = True

    def __init__(
        self, site: Site, recording: Recording, starttls: ssl.SSLContext | None = None
    ) -> None:
        self.recording = recording
        self.over = asyncio.Event()
        handler = self.handler(site)
        super().__init__(
            handler,
            data_size_limit=LITERAL_LIMIT,
            enable_SMTPUTF8=True,
            hostname="localhost",  # else it asks the DNS for its own name
            ident="securemail.testing",
            tls_context=starttls,
            # aiosmtpd knows of no other TLS than STARTTLS, so this also turns AUTH off for good.
            auth_require_tls=starttls is not None or not self.has_auth,
            loop=asyncio.get_running_loop(),
        )
        # RFC 4954 4: an AUTH command may have 12,288 octets; aiosmtpd has 512 for each command.
        self.command_size_limits = defaultdict(lambda: 12_288)

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:
        """aiosmtpd would also upgrade twice, and ask for patience where there is no STARTTLS."""
        if self.tls_context is None:
            await self.push("502 5.5.1 STARTTLS is not for this port")
        elif self.is_tls:
            await self.push("503 5.5.1 TLS is there already")
        else:
            await super().smtp_STARTTLS(arg)


class RelayHandler(Handler):
    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> Any:
        """From anybody."""
        return MISSING


class RelayProtocol(SMTPProtocol):
    """A relay for the programs of its own machine. It has neither STARTTLS nor AUTH."""

    handler = RelayHandler
    has_auth = False

    async def smtp_AUTH(self, arg: str) -> None:
        await self.push("503 5.5.1 Authentication is not for this port")


class QuietLog(logging.Filter):
    """Keeps what aiosmtpd logs in one thread out of the logs, as it can hold a password's base64.

    Other users of aiosmtpd in the same process keep their logs.
    """

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread.ident

    def __enter__(self) -> None:
        logging.getLogger("mail.log").addFilter(self)

    def __exit__(self, *exc_info: object) -> None:
        logging.getLogger("mail.log").removeFilter(self)
