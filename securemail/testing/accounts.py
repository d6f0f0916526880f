"""Who may sign in to the servers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


class Accounts:
    """Users and their passwords, compared as UTF-8. Printing it shows no password."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._passwords = {user.encode(): password.encode() for user, password in users.items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._passwords)} users>"

    def accept(self, user: bytes, password: bytes) -> bool:
        """Whether this is the user's password."""
        expected = self._passwords.get(user)
        return expected is not None and hmac.compare_digest(expected, password)

    def accept_plain(self, message: bytes) -> bool:
        """Whether a SASL PLAIN message signs in (RFC 4616 2): identity NUL user NUL password."""
        parts = message.split(b"\0")
        if len(parts) != 3:
            return False
        identity, user, password = parts
        return identity in (b"", user) and self.accept(user, password)

    def accept_apop(self, user: bytes, timestamp: bytes, digest: bytes) -> bool:
        """Whether this is the APOP digest (RFC 1939 7) for the timestamp in our greeting."""
        password = self._passwords.get(user)
        if password is None:
            return False
        expected = hashlib.md5(timestamp + password, usedforsecurity=False).hexdigest()
        return hmac.compare_digest(expected.encode(), digest)
