"""Our classes at the real servers: by which class and port, and what the server's log says then."""

import contextlib
import imaplib
import poplib
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP_SSL,
    SMTP_STARTTLS,
    AuthPolicy,
    CATrust,
    TLSPolicy,
)
from servers.dovecot import Dovecot
from servers.places import logging
from servers.postfix import Postfix

# By protocol and by how TLS begins: the class, and the server's name for the port.
CLASSES: dict[tuple[str, str], tuple[Any, str]] = {
    ("imap", "TLS"): (IMAP4_SSL, "imaps"),
    ("imap", "STARTTLS"): (IMAP4_STARTTLS, "imap"),
    ("pop3", "TLS"): (POP3_SSL, "pop3s"),
    ("pop3", "STARTTLS"): (POP3_STARTTLS, "pop3"),
    ("smtp", "TLS"): (SMTP_SSL, "submissions"),
    ("smtp", "STARTTLS"): (SMTP_STARTTLS, "submission"),
}
WAYS = ("TLS", "STARTTLS")
STANDARD_ERRORS: dict[str, type[Exception]] = {
    "imap": imaplib.IMAP4.error,
    "pop3": poplib.error_proto,
    "smtp": smtplib.SMTPAuthenticationError,
}


@dataclass(frozen=True)
class Site:
    """A server, a protocol that it speaks, and how TLS begins there; `ca`: who vouches for it."""

    server: Dovecot | Postfix
    protocol: str
    way: str
    ca: Path

    @property
    def address(self) -> tuple[str, int]:
        """With STARTTLS not Dovecot's `host`: there it takes a connection for private without."""
        port = self.server.ports[CLASSES[self.protocol, self.way][1]]
        is_remote = self.way == "STARTTLS" and isinstance(self.server, Dovecot)
        return (self.server.remote_host if is_remote else self.server.host), port

    def policy(self, **terms: Any) -> TLSPolicy:
        return TLSPolicy(**{"trust": CATrust(self.ca), **terms})

    @contextmanager
    def connected(
        self, *mechanisms: str, auth: AuthPolicy | None = None, at: Any = None, **terms: Any
    ) -> Iterator[Any]:
        """A client of ours, that wants these mechanisms, or has that or the default policy.
        `terms`: of its `TLSPolicy`. `at`: another address, of somebody in between."""
        wanted = AuthPolicy(mechanisms=mechanisms) if mechanisms else auth
        cls, _ = CLASSES[self.protocol, self.way]
        client = cls(*(at or self.address), policy=self.policy(**terms), auth=wanted, timeout=20)
        try:
            yield client
        finally:
            close(client)

    def logging(
        self, user: str, mechanism: str, *accepted: bool, binding: str = ""
    ) -> contextlib.AbstractContextManager[None]:
        """What is done inside is exactly that in the server's log."""
        return logging(self.server, self.protocol, user, mechanism, *accepted, binding=binding)


def close(client: Any) -> None:
    """Whatever state it is in."""
    with contextlib.suppress(OSError):  # the standard IMAP4 does not like it twice
        client.shutdown() if isinstance(client, imaplib.IMAP4) else client.close()


def offered_by(client: Any) -> set[str]:
    """The SASL mechanisms, as the server said over TLS."""
    if isinstance(client, imaplib.IMAP4):
        words = [word for word in client.capabilities if word.startswith("AUTH=")]
        return {word.removeprefix("AUTH=") for word in words}
    if isinstance(client, poplib.POP3):
        return set(client.capa().get("SASL", ()))
    client.ehlo_or_helo_if_needed()
    return set(client.esmtp_features["auth"].split())
