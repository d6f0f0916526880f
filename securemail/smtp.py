"""SMTP submission (RFC 6409) over TLS (RFC 8314), with AUTH (RFC 4954)."""

from __future__ import annotations

import smtplib
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from .connection import Connection
from .errors import AuthenticationFailed, ConnectFailed, ConnectReset, ProtocolViolation, printable
from .policy import AuthPolicy, Limits, TLSPolicy
from .sasl.choose import Offer
from .sasl.credentials import Password, Secret
from .sasl.exchange import Dialect
from .signing_in import Reply
from .wire import send_secret

_SMTP: Any = smtplib.SMTP  # captured: a program may put something else there later
_SMTP_SSL = smtplib.SMTP_SSL
_DEFAULT: Any = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]

# -- errors


class SMTPProtocolViolation(ProtocolViolation, smtplib.SMTPException):
    """The server broke the protocol; also an `SMTPException`."""


class SMTPConnectionLost(ConnectReset, smtplib.SMTPServerDisconnected):
    """The server hung up; also an `SMTPServerDisconnected`."""


class SMTPUnavailable(ConnectFailed, smtplib.SMTPConnectError):
    """The server greeted with another code than 220; also an `SMTPConnectError`."""

    code = "unavailable"

    def __init__(self, message: str, *, raw: tuple[int, bytes], **details: Any) -> None:
        self.smtp_code, self.smtp_error = raw
        super().__init__(message, **details)

    def _standard_args(self, text: str) -> tuple[Any, ...]:
        return (self.smtp_code, self.smtp_error)


class SMTPAuthenticationFailed(AuthenticationFailed, smtplib.SMTPAuthenticationError):
    """The server declined; also an `SMTPAuthenticationError`."""

    def __init__(self, message: str, *, raw: tuple[int, bytes], **details: Any) -> None:
        self.smtp_code, self.smtp_error = raw
        super().__init__(message, raw=raw, **details)


# -- the connection


class SMTP_SSL(Connection, _SMTP_SSL):
    """An `smtplib.SMTP_SSL` whose server is verified before anything is said.

    The standard arguments, and: `policy` (a `TLSPolicy`; none given means `TLSPolicy()`), `auth`
    (an `AuthPolicy`), `limits` (`Limits`; `timeout`, in seconds, sets both of them), and
    `server_hostname` (the name that the certificate must be for, where it is not `host`).
    With no `local_hostname` the EHLO name is this end's address (RFC 5321, 4.1.3): no look-up.

    Raises `ConnectFailed`, `TLSError`, `CertificateRejected`, `PinMismatch`, `TimeLimitExceeded`,
    `ProtocolViolation`, and `PolicyError` before anything is connected.
    """

    _PROTOCOL = "SMTP over TLS"
    _DIALECT: ClassVar[Dialect] = Dialect("AUTH", longest=12288)  # RFC 4954, 4
    _VIOLATION = SMTPProtocolViolation
    _AUTH_FAILED = SMTPAuthenticationFailed
    _LOST = SMTPConnectionLost
    _STANDARD_ERROR = smtplib.SMTPException

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        *,
        timeout: float | None = _DEFAULT,
        source_address: Any = None,
        context: ssl.SSLContext | None = None,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
    ) -> None:
        self._settle(
            policy=policy,
            context=context,
            auth=auth,
            limits=limits,
            timeout=timeout,
            server_hostname=server_hostname,
        )
        self.context = self._tls_context()
        self._names_itself = local_hostname is None
        # Without a host: the standard constructor would look this computer's name up.
        _SMTP.__init__(self, "", 0, local_hostname or "localhost", timeout, source_address)
        if host:
            with self._opening():
                code, words = self.connect(host, port)
                if code != 220:
                    raise smtplib.SMTPConnectError(code, words)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> Any:
        """Connect to `host` (also `host:port`) and verify it; the greeting's code and words."""
        if not port and host.count(":") == 1:
            host, _, port = host.partition(":")  # type: ignore[assignment]
        reply = _SMTP.connect(self, host, port, source_address)
        if self._names_itself:
            self.local_hostname = _address_literal(self.sock)
        return reply

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        return self._open(host, port, self.source_address)

    # -- sign-in

    def authenticate(self, credentials: Password) -> tuple[int, bytes]:
        """Sign in by the best SASL mechanism both sides know (`AuthPolicy`).

        Returns the reply's code and words, as `login` does. Raises `CredentialsRefused` (nothing
        was sent) and `SMTPAuthenticationFailed`; either ends the attempt, nothing weaker follows.
        """
        self._require_fresh()
        with self._opening():
            self.ehlo_or_helo_if_needed()
        raw: tuple[int, bytes] = self._sign_in(credentials).raw
        return raw

    def login(
        self, user: str, password: str, *, initial_response_ok: bool = True
    ) -> tuple[int, bytes]:
        """`authenticate(Password(user, password))`."""
        password = Secret(password)  # type: ignore[assignment]
        self._ir_wanted = initial_response_ok
        return self.authenticate(Password(user, password))

    _ir_wanted = True
    _print_debug: Callable[..., None]

    def _initial_response(self) -> bool:
        return self._ir_wanted

    def _offer(self) -> Offer:
        words = self.esmtp_features.get("auth", "").upper().split()
        return Offer(mechanisms=tuple(dict.fromkeys(words)))

    # -- lines

    def _write_secret(self, line: Secret, shown: str) -> None:
        if self.debuglevel > 0:
            self._print_debug("send:", repr(shown))
        sys.audit("smtplib.send", self, shown.encode())
        send_secret(self._channel, self.sock, line)

    def _read_reply(self) -> Reply:
        code, words = self.getreply()
        if code == 235:
            return Reply("success", words, (code, words))
        if code == 334:
            return Reply("challenge", words)
        if code >= 400:
            return Reply("refusal", b"%d %s" % (code, words), (code, words))
        raise self._not_spoken(smtplib.SMTPResponseException(code, words))

    # -- trouble

    def _is_end(self, error: Exception) -> bool:
        return isinstance(error, smtplib.SMTPServerDisconnected)

    def _not_spoken(self, error: Exception) -> Exception:
        declined = (smtplib.SMTPConnectError, smtplib.SMTPHeloError)
        if isinstance(error, declined) and 400 <= error.smtp_code < 600:
            words = error.smtp_error
            return SMTPUnavailable(
                f'the server declines: "{error.smtp_code} {printable(words)}".',
                raw=(error.smtp_code, words if isinstance(words, bytes) else words.encode()),
                hint="Try again later, or ask its administrator.",
                **self._details(),
            )
        return super()._not_spoken(error)

    def _close_now(self) -> None:
        self.close()


def _address_literal(sock: socket.socket) -> str:
    """This end's address as EHLO takes it (RFC 5321, 4.1.3)."""
    address = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
