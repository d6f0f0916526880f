"""One visit to a server: connect, verify, ask what it offers, say goodbye. No credentials."""

from __future__ import annotations

import shlex
import warnings
from contextlib import suppress
from typing import Any

from ..errors import (
    CertificateRejected,
    ConnectFailed,
    CredentialsRefused,
    PolicyError,
    SecureMailError,
    SecureMailWarning,
    TimeLimitExceeded,
)
from ..imap import IMAP4_SSL, IMAP4_STARTTLS
from ..policy import Limits
from ..policy_file import ServerSettings
from ..pop3 import POP3_SSL, POP3_STARTTLS
from ..report import ConnectionReport
from ..sasl.choose import Offer, choose_mechanism, name_of
from ..sasl.credentials import Password
from ..smtp import SMTP, SMTP_SSL, SMTP_STARTTLS
from ..values import Value
from . import status


class Way(Value):
    """One way into a protocol: `connect` is the class, `port` the usual one for it."""

    connect: Any
    port: int
    name: str


class Protocol(Value, kw_only=True):
    """A protocol as people name it: with TLS from the first byte, and upgraded to TLS."""

    tls: Way
    starttls: Way
    goodbye: str

    def way(self, starttls: bool) -> Way:
        return self.starttls if starttls else self.tls


PROTOCOLS = {
    "imap": Protocol(
        tls=Way(IMAP4_SSL, 993, "IMAP"),
        starttls=Way(IMAP4_STARTTLS, 143, "IMAP with STARTTLS"),
        goodbye="logout",
    ),
    "pop3": Protocol(
        tls=Way(POP3_SSL, 995, "POP3"),
        starttls=Way(POP3_STARTTLS, 110, "POP3 with STLS"),
        goodbye="quit",
    ),
    "smtp": Protocol(
        tls=Way(SMTP_SSL, 465, "SMTP"),
        starttls=Way(SMTP_STARTTLS, 587, "SMTP with STARTTLS"),
        goodbye="quit",
    ),
}


class Place(Value, kw_only=True):
    """Where to go, and how. `protocol` is a key of `PROTOCOLS`."""

    protocol: str
    host: str
    port: int
    starttls: bool = False

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def way(self) -> Way:
        return PROTOCOLS[self.protocol].way(self.starttls)

    @property
    def mode(self) -> str:
        """For programs."""
        return "starttls" if self.starttls else "tls"

    @property
    def arguments(self) -> str:
        """As the commands take it."""
        starttls = " --starttls" if self.starttls else ""
        return f"--{self.protocol}{starttls} {shlex.quote(self.address)}"

    def otherwise(self) -> Place | None:
        """The usual port for the other way into the protocol; none where this is not the usual one
        either."""
        if self.port != self.way.port:
            return None
        starttls = not self.starttls
        port = PROTOCOLS[self.protocol].way(starttls).port
        return Place(protocol=self.protocol, host=self.host, port=port, starttls=starttls)

    def other_way_here(self) -> Place:
        """The other way on the same port, which is not a usual one."""
        return Place(
            protocol=self.protocol, host=self.host, port=self.port, starttls=not self.starttls
        )

    def __str__(self) -> str:
        return f"{self.way.name} on {self.address}"


class Outcome(Value, kw_only=True):
    """What a visit found: a report, an offer and the way that `login` would take, or an error."""

    place: Place
    report: ConnectionReport | None = None
    offer: Offer | None = None
    login: str | None = None
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
    place: Place, wanted: ServerSettings, limits: Limits, transcript: str | None = None
) -> Outcome:
    """Go there. Only a `PolicyError` is raised; every other error is in the outcome."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecureMailWarning)  # the report has them
            connection = place.way.connect(
                place.host,
                place.port,
                policy=wanted.policy,
                auth=wanted.auth,
                limits=limits,
                server_hostname=wanted.server_hostname,
                transcript=transcript,
            )
            offer = _offer(connection)
            login = _login(connection, offer)
            report = connection.report
            _part(connection, PROTOCOLS[place.protocol].goodbye)
    except PolicyError:
        raise
    except SecureMailError as error:
        return Outcome(place=place, error=error)
    return Outcome(place=place, report=report, offer=offer, login=login)


def _offer(connection: Any) -> Offer:
    """What it takes to sign in there, asked over verified TLS."""
    with connection._opening():  # a failure is typed, and closes the connection
        if isinstance(connection, SMTP):
            connection.ehlo_or_helo_if_needed()
        offer: Offer = connection._offer()
        return offer


def _login(connection: Any, offer: Offer) -> str | None:
    """The way that a user name and a password of plain letters would take; None where none."""
    some = Password("user", "password")
    with suppress(CredentialsRefused):
        return name_of(
            choose_mechanism(some, offer, connection._auth.mechanisms, connection._line())
        )
    return None


def _part(connection: Any, goodbye: str) -> None:
    """Politely; a server that does not answer has been heard already."""
    with suppress(OSError, EOFError, connection._STANDARD_ERROR):
        getattr(connection, goodbye)()
    connection._close_now()
