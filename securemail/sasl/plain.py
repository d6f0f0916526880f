"""PLAIN (RFC 4616): the password itself, in one message."""

from __future__ import annotations

from .credentials import Password


class Plain:
    """Sends no authorization identity: the server derives it from the user name."""

    name = "PLAIN"

    def __init__(self, password: Password) -> None:
        self._password = password
        self.is_complete = False

    def start(self) -> bytes:
        self.is_complete = True
        return b"\0".join((b"", self._password.user.encode(), self._password.password.reveal()))

    def answer(self, challenge: bytes) -> None:
        """One message is all there is."""
