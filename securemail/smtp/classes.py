"""The three classes: how each becomes private."""

# The standard classes are described for type checkers as they are in one Python, without ours.
# mypy: disable-error-code="misc, override, unused-ignore"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import smtplib
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from ..connection import DEFAULT
from ..connector import Connector
from ..modes import CLEAR, STARTTLS, TLS
from ..policy import AuthPolicy, Limits, TLSPolicy
from .lines import STANDARD
from .sign_in import SMTPSignIn

if TYPE_CHECKING:
    from ..transcript import To


if sys.version_info < (3, 12):
    from .. import python311

_SUBMISSION = 587  # RFC 6409


class SMTP(SMTPSignIn, smtplib.SMTP):
    """An `smtplib.SMTP`: in clear until `starttls()`. Nothing secret is sent before that, and mail
    only if the server is this computer, or `plaintext` says why; either warns.

    The standard arguments, and: `policy` (a `TLSPolicy`; none given means the one that
    `SECUREMAIL_POLICY` names, else `TLSPolicy()`), `auth` (an `AuthPolicy`), `limits` (`Limits`;
    `timeout`, in seconds, sets both of them), `server_hostname` (the name that the certificate
    must be for, where it is not `host`), `plaintext` (a reason), `connector` (a function of
    host, port and seconds that returns a connected socket, for proxies and tunnels), and
    `transcript` (a path, a text stream, a logger or a function of one `TranscriptLine`: where the
    dialogue goes, without secrets and without mail).
    With no `local_hostname` the EHLO name is this end's address (RFC 5321, 4.1.3): no look-up.

    Raises `ConnectFailed`, `TimeLimitExceeded`, `LimitExceeded`, `ProtocolViolation`, and
    `PolicyError` before anything is connected.
    """

    _MODE = CLEAR
    _PROTOCOL = "SMTP"
    _UPGRADED = "SMTP with STARTTLS"
    _VERB = "STARTTLS"

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        timeout: float | None = DEFAULT,
        source_address: Any = None,
        *,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        plaintext: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        self._settle(
            policy,
            auth,
            limits,
            timeout,
            server_hostname,
            plaintext=plaintext,
            connector=connector,
            transcript=transcript,
        )
        self._start(host, port, local_hostname, timeout, source_address)

    def _start(
        self,
        host: str,
        port: int,
        local_hostname: str | None,
        timeout: float | None,
        source_address: Any,
    ) -> None:
        self._names_itself = local_hostname is None
        # Without a host: the standard constructor would look this computer's name up.
        STANDARD.__init__(self, "", 0, local_hostname or "localhost", timeout, source_address)
        if host:
            with self._opening():
                code, words = self.connect(host, port)
                if code != 220:
                    raise smtplib.SMTPConnectError(code, words)

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: Any = None
    ) -> tuple[int, bytes]:
        """Connect to `host` (also `host:port`); the greeting's code and words."""
        if not port and host.count(":") == 1:
            host, _, port = host.partition(":")  # type: ignore[assignment]
        self._close_now()
        self._forget()
        self._host = host or "localhost"  # Python up to 3.13 sets it in the constructor alone
        self._begin(self._host, port or self.default_port)
        with self._opening():
            reply: tuple[int, bytes] = STANDARD.connect(self, self._host, port, source_address)
            if self._names_itself:
                self.local_hostname = _address_literal(self.sock)
            if self._MODE is STARTTLS:
                reply = self._upgrade_after(*reply)
        return reply

    def _upgrade_after(self, code: int, words: bytes) -> tuple[int, bytes]:
        """Never hand out what is in clear: a greeting that declines, which a caller of the standard
        class looks at himself, is an error here."""
        with self._all_or_nothing():
            if code != 220:
                raise smtplib.SMTPConnectError(code, words)
            self._upgrade()
        return code, b""  # the words came in clear

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        if self.debuglevel > 0:
            self._print_debug("connect: to", (host, port), self.source_address)
        return self._connected(self.source_address)

    def __exit__(self, *args: object) -> None:
        if self._ended is not None:  # it has been told, and there is nobody to say QUIT to
            self._close_now()
        else:
            STANDARD.__exit__(self, *args)

    # -- the upgrade

    def starttls(self, *, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
        """Upgrade to verified TLS (RFC 3207). Returns the reply's code and words.

        Raises `UpgradeRefused`, `TLSError`, `CertificateRejected`, `PinMismatch`,
        `TimeLimitExceeded`, `ConnectFailed`; the connection is closed then, and every later verb
        raises the same. A `context` must verify (`CERT_REQUIRED`, `check_hostname`).
        """
        if self._MODE is TLS or isinstance(self.sock, ssl.SSLSocket):
            raise smtplib.SMTPNotSupportedError("TLS session already established")
        reply: tuple[int, bytes] = self._upgrade(context)
        return reply

    if sys.version_info < (3, 12):
        starttls = python311.starttls(starttls)

    def _offers_upgrade(self) -> bool:
        self.ehlo_or_helo_if_needed()
        return self.has_extn("starttls")

    def _ask_upgrade(self) -> tuple[int, bytes]:
        code, words = self.docmd("STARTTLS")
        if code != 220:
            raise self._declined_upgrade(b"%d %s" % (code, words))
        return code, words

    def _forget(self) -> None:
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        self.command_encoding = "ascii"
        self._mail = "no"


class SMTP_SSL(SMTP, smtplib.SMTP_SSL):
    """An `smtplib.SMTP_SSL` whose server is verified before anything is said.

    The standard arguments, and: `policy`, `auth`, `limits`, `server_hostname`, `connector` and
    `transcript` as `SMTP` has them. A `context` of your own must verify, and excludes `policy`.

    Raises `ConnectFailed`, `TLSError`, `CertificateRejected`, `PinMismatch`, `TimeLimitExceeded`,
    `ProtocolViolation`, and `PolicyError` before anything is connected.
    """

    _MODE = TLS
    _PROTOCOL = _UPGRADED = "SMTP over TLS"
    default_port = smtplib.SMTP_SSL_PORT

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        *,
        timeout: float | None = DEFAULT,
        source_address: Any = None,
        context: ssl.SSLContext | None = None,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        self._settle(
            policy,
            auth,
            limits,
            timeout,
            server_hostname,
            context=context,
            connector=connector,
            transcript=transcript,
        )
        self.context = self._tls_context()
        self._start(host, port, local_hostname, timeout, source_address)

    if sys.version_info < (3, 12):
        __init__ = python311.smtp_ssl(__init__)

    def _begin(self, host: str, port: int) -> None:
        super()._begin(host, port)
        self.context = self._tls_context()


class SMTP_STARTTLS(SMTP):
    """SMTP that is upgraded by STARTTLS inside of the constructor, or of `connect`: what you get is
    verified.

    The arguments of `SMTP_SSL`, with port 587. Raises what that raises, and `UpgradeRefused`.
    """

    _MODE = STARTTLS
    _PROTOCOL = "SMTP with STARTTLS"
    default_port = _SUBMISSION

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        timeout: float | None = DEFAULT,
        source_address: Any = None,
        *,
        context: ssl.SSLContext | None = None,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        self._settle(
            policy,
            auth,
            limits,
            timeout,
            server_hostname,
            context=context,
            connector=connector,
            transcript=transcript,
        )
        self._start(host, port, local_hostname, timeout, source_address)


def _address_literal(sock: Any) -> str:
    """This end's address as EHLO takes it (RFC 5321, 4.1.3)."""
    name = sock.getsockname()
    if isinstance(name, (str, bytes)):  # a unix socket
        return "localhost"
    address = str(name[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
