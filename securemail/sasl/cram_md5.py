"""CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge, which can be guessed off-line.
Never chosen by itself."""

from __future__ import annotations

import hmac

from .credentials import Password
from .mechanism import Terms, Unusable


class CramMD5:
    """The server speaks first, once."""

    name = "CRAM-MD5"
    takes = Password

    def __init__(self, credentials: Password, terms: Terms) -> None:
        _require_md5()
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


def _require_md5() -> None:
    try:
        hmac.new(b"", b"", "md5")
    except ValueError:
        raise Unusable(
            "this computer has no MD5, which CRAM-MD5 is made of: its OpenSSL refuses it (FIPS).",
            code="mechanisms",
            hint="Use another mechanism: PLAIN over verified TLS, or SCRAM.",
        ) from None
