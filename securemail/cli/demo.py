"""Show it all on this computer: mail over verified TLS, refusals, and the explicit opt-in.

Starts mail servers on loopback with a throw-away certificate authority; nothing leaves this
computer.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import CertificateRejected, SecureMailError, SelfSignedWarning
from ..imap import IMAP4_SSL
from ..policy import TLSPolicy
from ..pop3 import POP3_SSL
from ..report import ConnectionReport
from ..sasl.credentials import Password
from ..smtp import SMTP_SSL
from ..trust.ca import CATrust
from ..trust.exact import ExactCertificate
from ..values import Value
from . import status
from .refusal import say_error
from .terminal import say, say_code, say_rows

if TYPE_CHECKING:
    from ..testing import MailServers

_USER = "alice@example.org"
_MESSAGE = (
    b"From: alice@example.org\r\nTo: alice@example.org\r\nSubject: Hello over verified TLS\r\n"
    b"\r\nNobody in between has read this.\r\n"
)
_REFUSALS = (  # kind of certificate, by which protocol, in words
    ("wrong_name", "imaps", "A certificate for another name"),
    ("expired", "pop3s", "A certificate that has expired"),
    ("self_signed", "submissions", "A self-signed certificate"),
)


class Visit(Value, kw_only=True):
    """How to sign in and do one thing, by one protocol."""

    connect: Any
    act: Callable[[Any], bytes]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demonstration has no options."""


def run(args: argparse.Namespace) -> int:
    try:
        from ..testing import Authority, MailServers
    except ImportError as missing:
        if missing.name not in ("aiosmtpd", "trustme"):
            raise
        say(f"The demonstration needs {missing.name}, which is not installed:", to=sys.stderr)
        say_code("pip install 'securemail[demo]'", to=sys.stderr)
        return status.USAGE
    show = Demonstration(Authority(), MailServers)
    try:
        show.mail()
        show.refusals()
        show.opt_in()
    except SecureMailError as error:
        say()
        say(f"BROKEN: this should not have happened. {error}")
        return status.REFUSED
    return show.total()


class Demonstration:
    """The parts of the demonstration, and whether each was as promised."""

    def __init__(self, authority: Any, servers: type[MailServers]) -> None:
        self._authority = authority
        self._servers = servers
        self._policy = TLSPolicy(trust=CATrust(authority.ca_pem))
        self._credentials = Password(_USER, password := secrets.token_urlsafe(12))
        self._users = {_USER: password}
        self._broken: list[str] = []

    def mail(self) -> None:
        """Send by submission, read by IMAP and by POP3."""
        self._title("1. Mail over verified TLS")
        say(
            "Three servers on loopback, with certificates from a throw-away authority, and the "
            "policy that believes it: TLSPolicy(trust=CATrust(pem))"
        )
        with self._start("good") as servers:
            reports = {}
            for protocol in ("submissions", "imaps", "pop3s"):
                report, found = self._visit(servers, protocol, self._policy)
                reports[protocol] = report
                if protocol != "submissions":
                    self._promise(f"read by {report.protocol}, byte for byte", found == _MESSAGE)
                else:
                    self._promise(f"sent by {report.protocol}", len(servers.mailbox) == 1)
        self._title("2. What was found: print(connection.report), for each of the three")
        for position, report in enumerate(reports.values()):
            if position:
                say()
            say_rows(report.lines())

    def refusals(self) -> None:
        """Servers with bad certificates, each met by the same policy."""
        self._title("3. Servers that the same policy refuses, before any password")
        for position, (kind, protocol, words) in enumerate(_REFUSALS):
            if position:
                say()
            with self._start(kind) as servers:
                error = self._refusal(servers, protocol)
            if error is not None:
                say(f"{words}, {error.where}:")
                say_error(error)
                say()
            self._promise("refused", isinstance(error, CertificateRejected))
            # Read after the server has stopped: nothing is on its way any more.
            self._promise(
                "this server received one connection and not one byte over TLS",
                servers.received == [(protocol, b"")],
            )

    def opt_in(self) -> None:
        """The self-signed server again, by the policy that names its certificate."""
        self._title("4. The explicit opt-in to a self-signed certificate")
        say(
            "The self-signed server again, by a policy that was given its certificate beforehand, "
            "and not over the network: TLSPolicy(trust=ExactCertificate(pem))"
        )
        with self._start("self_signed") as servers:
            policy = TLSPolicy(trust=ExactCertificate(servers.certificate_pem))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                report, _ = self._visit(servers, "submissions", policy)
        told = [one.message for one in caught if isinstance(one.message, SelfSignedWarning)]
        for warning in told:
            say(f"{type(warning).__name__}: {warning}", "  ")
        self._promise("connected and signed in", report.auth is not None)
        self._promise("and the warning above was raised", len(told) == 1)

    def total(self) -> int:
        say()
        if self._broken:
            say(f"NOT as promised: {'; '.join(self._broken)}.")
            return status.REFUSED
        say("Everything was as promised.")
        return status.FINE

    def _start(self, kind: Any) -> MailServers:
        return self._servers(users=self._users, certificate=kind, authority=self._authority)

    def _visit(
        self, servers: MailServers, protocol: str, policy: TLSPolicy
    ) -> tuple[ConnectionReport, bytes]:
        """Connect, sign in, send or read; the report, and what was read."""
        connection = self._sign_in(servers, protocol, policy)
        found = _VISITS[protocol].act(connection)
        return connection.report, found

    def _sign_in(self, servers: MailServers, protocol: str, policy: TLSPolicy) -> Any:
        connect = _VISITS[protocol].connect
        connection = connect(servers.host, servers.ports[protocol], policy=policy)
        connection.authenticate(self._credentials)
        return connection

    def _refusal(self, servers: MailServers, protocol: str) -> SecureMailError | None:
        """The error that connecting and signing in ends with."""
        try:
            connection = self._sign_in(servers, protocol, self._policy)
        except SecureMailError as error:
            return error
        connection._close_now()
        return None

    def _promise(self, what: str, kept: bool) -> None:
        say(f"[{'ok' if kept else 'BROKEN'}] {what}", "  ")
        if not kept:
            self._broken.append(what)

    def _title(self, text: str) -> None:
        say()
        say(text)
        say("-" * len(text))


def _submit(smtp: SMTP_SSL) -> bytes:
    smtp.sendmail(_USER, [_USER], _MESSAGE)
    smtp.quit()
    return b""


def _read_imap(imap: IMAP4_SSL) -> bytes:
    imap.select(readonly=True)
    _, data = imap.fetch("1", "(BODY.PEEK[])")
    imap.logout()
    part = data[0]
    return part[1] if isinstance(part, tuple) else b""


def _read_pop3(pop3: POP3_SSL) -> bytes:
    _, lines, _ = pop3.retr(1)
    pop3.quit()
    return b"".join(line + b"\r\n" for line in lines)


_VISITS = {
    "submissions": Visit(connect=SMTP_SSL, act=_submit),
    "imaps": Visit(connect=IMAP4_SSL, act=_read_imap),
    "pop3s": Visit(connect=POP3_SSL, act=_read_pop3),
}
