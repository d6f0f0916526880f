"""A mechanism that the caller brings, as the standard modules take it: a name and a callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import PolicyError
from ..secret import Secret
from .mechanism import Cancelled, Refusal
from .oauth import read_error

_BEARERS = ("OAUTHBEARER", "XOAUTH2")


def require_callable(given: Any) -> Any:
    """A user name and a password in the place of the standard pair are a mistake that would show
    the user name to the server as a mechanism's. Raises `PolicyError`."""
    given = given if isinstance(given, Secret) else Secret(given)
    if callable(given.reveal()):
        return given.reveal()
    raise PolicyError(
        "this takes a mechanism's name and a callable, which answers the server's challenges.",
        code="credentials",
        hint="For a user name and a password: login(user, password), or "
        "authenticate(Password(user, password)).",
    )


class Callers:
    """`answer` is called with each challenge, decoded; what it returns, text or octets, is sent.
    With `starts` it is called without one first, for the initial response."""

    takes_words = answers_all = True  # the callable's affair

    def __init__(self, name: str, answer: Callable[..., Any], *, starts: bool = False) -> None:
        self.name = name
        self.refusal: Refusal | None = None
        self.is_complete = False
        self.sent = ""
        self._answer = answer
        self._starts = starts

    def start(self) -> bytes | None:
        return self._said(self._answer()) if self._starts else None

    def answer(self, challenge: bytes) -> bytes | None:
        """None from the callable cancels, as the standard modules have it."""
        if self.is_complete and self.name in _BEARERS:  # one message, and then the error
            self.refusal = read_error(challenge, ())
        response = self._said(self._answer(challenge))
        if response is None:
            raise Cancelled
        return response

    def _said(self, response: Any) -> bytes | None:
        # As far as anybody knows here.
        self.is_complete = True
        self.sent = "the token" if self.name in _BEARERS else "the password"
        return response.encode() if isinstance(response, str) else response
