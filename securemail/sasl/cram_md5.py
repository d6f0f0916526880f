"""CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge, which can be guessed off-line.
Never chosen by itself."""

from __future__ import annotations

import hmac

from .credentials import Password
from .mechanism import Terms


class CramMD5:
    """The server speaks first, once."""

    name = "CRAM-MD5"
    takes = Password

    def __init__(self, credentials: Password, terms: Terms) -> None:
        self._credentials = credentials
        self.is_complete = False
        self.sent = ""

    def start(self) -> None:
        """Nothing: the challenge is the server's."""

    def answer(self, challenge: bytes) -> bytes | None:
        if self.is_complete:
            return None
        self.is_complete, self.sent = True, "a digest of the password"
        digest = hmac.new(self._credentials.password.reveal(), challenge, "md5").hexdigest()
        return f"{self._credentials.user} {digest}".encode()
