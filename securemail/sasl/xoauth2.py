"""XOAUTH2: Google's and Microsoft's form of what OAUTHBEARER became.

https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
"""

from __future__ import annotations

from .oauth import SEPARATOR, Bearer


class XOAuth2(Bearer):
    """The answer to an error is empty: the server's refusal comes after it."""

    name = "XOAUTH2"
    after_error = b""

    def _message(self) -> bytes:
        user = b"user=" + self._credentials.user.encode()
        token = b"auth=Bearer " + self._credentials.token.reveal()
        return SEPARATOR.join((user, token)) + SEPARATOR * 2
