"""What speaks on each port."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from .before_tls import IMAPBeforeTLS, POP3BeforeTLS
from .connection import Session, SessionProtocol, Site
from .imap_server import IMAPSession
from .pop3_server import POP3Session
from .recording import Recorded, Recording
from .smtp_server import RelayProtocol, SMTPProtocol


@dataclass(frozen=True)
class Port:
    """What speaks on a port. It gets the context for STARTTLS, where it may want one."""

    speak: Callable[[Site, Recording, ssl.SSLContext], Recorded]
    implicit_tls: bool = False


def in_lines(session: type[Session], *, implicit_tls: bool = False) -> Port:
    """A port for sessions of that class."""

    def speak(site: Site, recording: Recording, context: ssl.SSLContext) -> Recorded:
        return SessionProtocol(
            lambda reader, transport: session(reader, transport, site), recording
        )

    return Port(speak, implicit_tls)


PROTOCOLS: dict[str, Port] = {
    "imaps": in_lines(IMAPSession, implicit_tls=True),
    "pop3s": in_lines(POP3Session, implicit_tls=True),
    "submissions": Port(lambda site, recording, _: SMTPProtocol(site, recording), True),
    "imap": in_lines(IMAPBeforeTLS),
    "pop3": in_lines(POP3BeforeTLS),
    "submission": Port(SMTPProtocol),
    "relay": Port(lambda site, recording, _: RelayProtocol(site, recording)),
}
