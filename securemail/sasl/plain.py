"""PLAIN (RFC 4616): the password itself, in one message."""

from __future__ import annotations

from .credentials import Password
from .mechanism import Terms


class Plain:
    """Sends no authorization identity: the server derives it from the user name. The text goes as
    it is: preparing it is the server's part (RFC 4616, 2)."""

    name = "PLAIN"
    takes = Password
    has_one_message = True

    def __init__(self, credentials: Password, terms: Terms) -> None:
        self._credentials = credentials
        self.is_complete = False
        self.sent = ""

    def start(self) -> bytes:
        self.is_complete, self.sent = True, "the password"
        user, password = self._credentials.user.encode(), self._credentials.password.reveal()
        return b"\0".join((b"", user, password))

    def answer(self, challenge: bytes) -> None:
        """One message is all there is."""
