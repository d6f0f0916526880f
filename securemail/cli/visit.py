"""One visit to a server: connect, verify, ask what it offers, say goodbye. No credentials."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

from ..errors import (
    CertificateRejected,
    ConnectFailed,
    PolicyError,
    SecureMailError,
    SecureMailWarning,
    TimeLimitExceeded,
)
from ..imap import IMAP4_SSL
from ..policy import Limits, TLSPolicy
from ..pop3 import POP3_SSL
from ..report import ConnectionReport
from ..sasl.choose import Offer
from ..smtp import SMTP_SSL
from ..values import Value
from . import status


class Protocol(Value, kw_only=True):
    """A protocol as people name it. STARTTLS will be another class on another port."""

    name: str
    port: int
    connect: Any
    goodbye: str


PROTOCOLS = {
    "imap": Protocol(name="IMAP", port=993, connect=IMAP4_SSL, goodbye="logout"),
    "pop3": Protocol(name="POP3", port=995, connect=POP3_SSL, goodbye="quit"),
    "smtp": Protocol(name="SMTP", port=465, connect=SMTP_SSL, goodbye="quit"),
}


class Place(Value, kw_only=True):
    """Where to go. `protocol` is a key of `PROTOCOLS`."""

    protocol: str
    host: str
    port: int

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{PROTOCOLS[self.protocol].name} on {self.address}"


class Outcome(Value, kw_only=True):
    """What a visit found: a report and an offer, or an error."""

    place: Place
    report: ConnectionReport | None = None
    offer: Offer | None = None
    error: SecureMailError | None = None

    @property
    def status(self) -> int:
        if isinstance(self.error, (ConnectFailed, TimeLimitExceeded)):
            return status.UNREACHABLE
        if self.error is not None:
            return status.REFUSED
        return status.WARNING if self.warnings else status.FINE

    @property
    def warnings(self) -> tuple[Warning, ...]:
        tls = self.report.tls if self.report else None
        return tls.warnings if tls else ()

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER, the server's first: what vouched for it, or what a refused server presented."""
        if isinstance(self.error, CertificateRejected):
            return self.error.chain
        return self.report.tls.chain if self.report and self.report.tls else ()


def visit(
    place: Place, policy: TLSPolicy, limits: Limits, server_hostname: str | None = None
) -> Outcome:
    """Go there. Only a `PolicyError` is raised; every other error is in the outcome."""
    connect = PROTOCOLS[place.protocol].connect
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecureMailWarning)  # the report has them
            connection = connect(
                place.host,
                place.port,
                policy=policy,
                limits=limits,
                server_hostname=server_hostname,
            )
            offer = _offer(connection)
            report = connection.report
            _part(connection, PROTOCOLS[place.protocol].goodbye)
    except PolicyError:
        raise
    except SecureMailError as error:
        return Outcome(place=place, error=error)
    return Outcome(place=place, report=report, offer=offer)


def _offer(connection: Any) -> Offer:
    """What it takes to sign in there, asked over verified TLS."""
    with connection._opening():  # a failure is typed, and closes the connection
        if isinstance(connection, SMTP_SSL):
            connection.ehlo_or_helo_if_needed()
        offer: Offer = connection._offer()
        return offer


def _part(connection: Any, goodbye: str) -> None:
    """Politely; a server that does not answer has been heard already."""
    with suppress(OSError, EOFError, connection._STANDARD_ERROR):
        getattr(connection, goodbye)()
    connection._close_now()
