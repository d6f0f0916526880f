"""The errors of SMTP: ours, and the standard module's as well."""

from __future__ import annotations

import smtplib
from typing import Any

from ..errors import (
    AuthenticationFailed,
    ConnectFailed,
    ConnectReset,
    LimitExceeded,
    ProtocolViolation,
    TimeLimitExceeded,
    TLSError,
)


class SMTPProtocolViolation(ProtocolViolation, smtplib.SMTPException):
    """The server broke the protocol; also an `SMTPException`."""


class SMTPConnectionLost(ConnectReset, smtplib.SMTPServerDisconnected):
    """The server hung up; also an `SMTPServerDisconnected`."""


class SMTPLimitExceeded(LimitExceeded, smtplib.SMTPServerDisconnected):
    """The server sent too much, and the connection was closed; also an `SMTPServerDisconnected`."""


class SMTPTimeLimitExceeded(TimeLimitExceeded, smtplib.SMTPServerDisconnected):
    """The server was too slow, and the connection was closed; also an `SMTPServerDisconnected`."""


class SMTPTLSLost(TLSError, smtplib.SMTPServerDisconnected):
    """TLS failed on a connection that was verified; also an `SMTPServerDisconnected`."""


class SMTPMailDeclined(ConnectReset, smtplib.SMTPServerDisconnected, smtplib.SMTPDataError):
    """The server declined the message while it was being sent, and hung up; also an `SMTPDataError`
    with its code and words, and an `SMTPServerDisconnected`."""

    code = "unavailable"

    def __init__(self, message: str, *, raw: tuple[int, bytes], **details: Any) -> None:
        self.smtp_code, self.smtp_error = raw
        super().__init__(message, **details)


class SMTPUnavailable(ConnectFailed, smtplib.SMTPConnectError):
    """The server greeted with another code than 220; also an `SMTPConnectError`."""

    code = "unavailable"

    def __init__(self, message: str, *, raw: tuple[int, bytes], **details: Any) -> None:
        self.smtp_code, self.smtp_error = raw
        super().__init__(message, **details)

    def _standard_args(self, text: str) -> tuple[Any, ...]:
        return (self.smtp_code, self.smtp_error)


class SMTPAuthenticationFailed(AuthenticationFailed, smtplib.SMTPAuthenticationError):
    """The server declined, or could not prove itself (which is our 535, RFC 4954, 6); also an
    `SMTPAuthenticationError`."""

    def __init__(
        self, message: str, *, raw: tuple[int, bytes] | None = None, **details: Any
    ) -> None:
        raw = raw or (535, message.encode())
        self.smtp_code, self.smtp_error = raw
        super().__init__(message, raw=raw, **details)
