"""LOGIN (draft-murchison-sasl-login-00): the user name, then the password, when asked.

The prompts differ from server to server ("Username:", "User Name", an empty one): only their order
counts.
"""

from __future__ import annotations

from .credentials import Password
from .mechanism import Terms


class Login:
    """The server speaks first, twice."""

    name = "LOGIN"
    takes = Password
    takes_words = True

    def __init__(self, credentials: Password, terms: Terms) -> None:
        self._credentials = credentials
        self._asked = 0

    @property
    def is_complete(self) -> bool:
        return self._asked == 2

    @property
    def sent(self) -> str:
        return "the password" if self._asked >= 2 else ""

    def start(self) -> None:
        """Nothing: the first prompt is the server's."""

    def answer(self, challenge: bytes) -> bytes | None:
        self._asked += 1
        if self._asked == 1:
            return self._credentials.user.encode()
        return self._credentials.password.reveal() if self._asked == 2 else None
