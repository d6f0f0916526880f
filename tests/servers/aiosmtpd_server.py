"""A submission server inside the test process, with TLS from the start: aiosmtpd."""

import asyncio
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from securemail.testing.running import Running
from servers.dovecot import USERS
from servers.pki import Issued


@dataclass(frozen=True)
class Received:
    """A message as it was submitted, and by whom."""

    user: str
    mail_from: str
    rcpt_tos: list[str]
    content: bytes


class _FreePortController(Controller):
    """A Controller that asks the system for a port, and then knows which it got.

    It also hangs up on whoever is still connected when it stops: aiosmtpd forgets them.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()

    def factory(self) -> SMTP:
        session: SMTP = super().factory()  # type: ignore[no-untyped-call]
        self._sessions.add(session)
        return session

    def cancel_tasks(self, stop_loop: bool = True) -> None:
        for session in self._sessions:
            if session.transport is not None:
                session.transport.abort()
        super().cancel_tasks(stop_loop)  # type: ignore[no-untyped-call]

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@dataclass
class AiosmtpdServer(Running):
    """aiosmtpd on a free port; it takes mail only from those who signed in, and keeps it.

    with AiosmtpdServer(pki["good"]) as server:
        smtplib.SMTP_SSL(server.host, server.port, context=context)
    """

    certificate: Issued
    users: Mapping[str, str] = field(default_factory=lambda: dict(USERS))
    messages: list[Received] = field(default_factory=list)
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        # aiosmtpd counts STARTTLS alone as TLS. Here no connection is without TLS, as the
        # listening socket itself speaks it; so its own check would refuse every AUTH. It warns
        # of `auth_required` without that check, so `handle_MAIL` is what demands a sign-in.
        self._controller = _FreePortController(
            self,
            hostname=self.host,
            port=0,
            ssl_context=self.certificate.server_context(),
            server_hostname="mail.example.org",
            authenticator=self._authenticate,
            auth_require_tls=False,
        )

    @property
    def port(self) -> int:
        return self._controller.port

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """aiosmtpd's hook for the sender: nobody sends who has not signed in."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd's hook for a complete message."""
        assert isinstance(envelope.content, bytes)
        assert envelope.mail_from is not None
        user = str(session.auth_data)
        recipients = list(envelope.rcpt_tos)
        self.messages.append(Received(user, envelope.mail_from, recipients, envelope.content))
        return "250 2.0.0 Ok: kept"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: object
    ) -> AuthResult:
        assert isinstance(auth_data, LoginPassword)
        user = auth_data.login.decode("utf-8", "replace")
        known = self.users.get(user)
        accepted = known is not None and auth_data.password == known.encode()
        return AuthResult(success=accepted, handled=False, auth_data=user)
