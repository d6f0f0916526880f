"""CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge, which can be guessed off-line.
Never chosen by itself."""

from __future__ import annotations

import hmac

from .credentials import Password


class CramMD5:
    """The server speaks first, once."""

    name = "CRAM-MD5"

    def __init__(self, password: Password) -> None:
        self._password = password
        self.is_complete = False

    def start(self) -> None:
        """Nothing: the challenge is the server's."""

    def answer(self, challenge: bytes) -> bytes | None:
        if self.is_complete:
            return None
        self.is_complete = True
        digest = hmac.new(self._password.password.reveal(), challenge, "md5").hexdigest()
        return f"{self._password.user} {digest}".encode()
