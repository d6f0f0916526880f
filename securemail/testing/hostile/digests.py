"""Digests of the password, from which it can be guessed: made again from what the server sent."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator

from .leaks import leaks
from .notes import Challenged, Note


def digests(sent: bytes, password: str, notes: Iterable[Note]) -> Iterator[str]:
    """In words, those of the challenges among `notes` that are in `sent`, in any encoding."""
    for note in notes:
        if isinstance(note, Challenged) and leaks(sent, digest_of(note, password)):
            yield f"the {note.mechanism} digest of the password"


def digest_of(note: Challenged, password: str) -> str:
    """RFC 1939 7; RFC 2195 2."""
    secret = password.encode()
    if note.mechanism == "APOP":
        return hashlib.md5(note.challenge + secret, usedforsecurity=False).hexdigest()
    return hmac.digest(secret, note.challenge, "md5").hex()
