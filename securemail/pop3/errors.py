"""The errors of POP3: ours, and the standard module's as well."""

from __future__ import annotations

import poplib

from ..errors import (
    AuthenticationFailed,
    ConnectFailed,
    ConnectReset,
    LimitExceeded,
    ProtocolViolation,
)


class POP3ProtocolViolation(ProtocolViolation, poplib.error_proto):
    """The server broke the protocol; also a `poplib.error_proto`."""


class POP3ConnectionLost(ConnectReset, poplib.error_proto):
    """The server hung up; also a `poplib.error_proto`."""


class POP3LimitExceeded(LimitExceeded, poplib.error_proto):
    """The server sent too much, and the connection was closed; also an `poplib.error_proto`."""


class POP3Unavailable(ConnectFailed, poplib.error_proto):
    """The server greeted with -ERR; also a `poplib.error_proto`."""

    code = "unavailable"


class POP3AuthenticationFailed(AuthenticationFailed, poplib.error_proto):
    """The server declined; also a `poplib.error_proto`, with the reply's octets as `args[0]`."""


def is_refusal(error: Exception) -> bool:
    """`error` is a -ERR of the server's, not one of poplib's own (those are text)."""
    words = error.args[0] if error.args else b""
    return isinstance(words, bytes) and words.startswith(b"-ERR")
