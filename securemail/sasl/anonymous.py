"""ANONYMOUS (RFC 4505): nobody in particular, with a word for the server's log."""

from __future__ import annotations

from .credentials import Anonymous as Nobody
from .mechanism import Terms


class Anonymous:
    """Sends the trace, which may be empty. Nothing in it is secret."""

    name = "ANONYMOUS"
    takes = Nobody
    has_one_message = True

    def __init__(self, credentials: Nobody, terms: Terms) -> None:
        self._credentials = credentials
        self.is_complete = False
        self.sent = ""

    def start(self) -> bytes:
        self.is_complete = True
        return self._credentials.trace.encode()

    def answer(self, challenge: bytes) -> None:
        """One message is all there is."""
