"""EXTERNAL (RFC 4422, A): the client certificate says who signs in."""

from __future__ import annotations

from .credentials import External as Who
from .mechanism import Terms


class External:
    """Sends whom to act as. An empty message asks for the certificate's own identity: that is
    another thing than no message. Nothing in it is secret."""

    name = "EXTERNAL"
    takes = Who
    has_one_message = True

    def __init__(self, credentials: Who, terms: Terms) -> None:
        self._credentials = credentials
        self.is_complete = False
        self.sent = ""

    def start(self) -> bytes:
        self.is_complete = True
        return self._credentials.user.encode()

    def answer(self, challenge: bytes) -> None:
        """One message is all there is."""
