"""What OAUTHBEARER and XOAUTH2 share: a bearer token in one message, and an error as JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from ..errors import printable
from ..redact import hide
from .mechanism import Refusal, Terms
from .token import Token

SEPARATOR = b"\x01"  # between the fields of both (RFC 7628, 3.1, "kvsep"); `Token` has none in it
_LONGEST_ERROR = 8192  # octets; the largest seen have some 300
_MOST_DETAILS = 8
_UNREADABLE = "unreadable"


class Bearer:
    """One message; a challenge after it is the server's error, and the end (RFC 7628, 3.2.3)."""

    name: ClassVar[str]
    takes = Token
    takes_words = True
    after_error: ClassVar[bytes]  # what lets the server go on to its refusal

    def __init__(self, credentials: Token, terms: Terms) -> None:
        self._credentials, self._terms = credentials, terms
        self.refusal: Refusal | None = None
        self.is_complete = False
        self.sent = ""

    def start(self) -> bytes:
        self.is_complete, self.sent = True, "the token"
        return self._message()

    def answer(self, challenge: bytes) -> bytes | None:
        if not self.is_complete:
            return None
        self.is_complete = False
        self.refusal = read_error(challenge, self._credentials.secrets)
        return self.after_error

    def _message(self) -> bytes:
        raise NotImplementedError


def read_error(challenge: bytes, secrets: tuple[bytes, ...]) -> Refusal:
    """The error that the server tells: its `status` and other members that are text, printable and
    without any of the `secrets`. Whatever else comes is "unreadable", and no trouble."""
    found = _members(challenge)
    texts = [
        (_shown(name, secrets), _shown(value, secrets))
        for name, value in found.items()
        if isinstance(value, str) and value  # Dovecot 2.4 has empty ones
    ]
    details = [(name, value) for name, value in texts if name != "status"]
    status = dict(texts).get("status") or _UNREADABLE
    return Refusal(status, tuple(details[:_MOST_DETAILS]))


def _members(challenge: bytes) -> dict[str, Any]:
    import json  # only after a refusal

    if len(challenge) > _LONGEST_ERROR:
        return {}
    try:
        found = json.loads(challenge)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _shown(text: str, secrets: tuple[bytes, ...]) -> str:
    return printable(hide(text.encode("utf-8", "backslashreplace"), secrets))
