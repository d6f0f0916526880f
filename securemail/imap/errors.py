"""The errors of IMAP: ours, and the standard module's as well."""

from __future__ import annotations

import imaplib

from ..errors import (
    AuthenticationFailed,
    ConnectFailed,
    ConnectReset,
    LimitExceeded,
    ProtocolViolation,
    TimeLimitExceeded,
)


class IMAP4ProtocolViolation(ProtocolViolation, imaplib.IMAP4.abort):
    """The server broke the protocol; also an `IMAP4.abort`."""


class IMAP4ConnectionLost(ConnectReset, imaplib.IMAP4.abort):
    """The server hung up; also an `IMAP4.abort`."""


class IMAP4LimitExceeded(LimitExceeded, imaplib.IMAP4.abort):
    """The server sent too much, and the connection was closed; also an `imaplib.IMAP4.abort`."""


class IMAP4SendTimeLimitExceeded(TimeLimitExceeded, imaplib.IMAP4.abort):
    """The server took nothing of what it was sent in time; also an `IMAP4.abort`, as whatever fails
    while something is sent. (A reply that is late is a `TimeoutError` alone, as ever.)"""


class IMAP4Unavailable(ConnectFailed, imaplib.IMAP4.abort):
    """The server said BYE; also an `IMAP4.abort`."""

    code = "unavailable"


class IMAP4AuthenticationFailed(AuthenticationFailed, imaplib.IMAP4.error):
    """The server declined; also an `IMAP4.error`, with the reply as `args[0]`."""
