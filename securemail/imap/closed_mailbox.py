"""A sign-in that succeeded, and a mailbox that it does not open."""

from __future__ import annotations

import imaplib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import SecureMailError, printable
from .errors import IMAP4AuthenticationFailed

SAID = "authenticated but not connected"  # Microsoft, to the first command after the sign-in


@contextmanager
def explained(command: str, endpoint: Any, details: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Around a command: that answer is an `AuthenticationFailed` with what to check."""
    try:
        yield
    except imaplib.IMAP4.error as error:
        words = str(error)
        if isinstance(error, SecureMailError) or SAID not in words.lower():
            raise
        from ..answers import hint_for

        raise IMAP4AuthenticationFailed(
            f'the sign-in succeeded, and the mailbox stays closed: "{printable(words)}".',
            raw=error.args,
            hint=hint_for("imap", endpoint.name.name if endpoint else "", words.encode()),
            **details(),
        ) from error
