"""Who may sign in to the servers, and what those keep to tell."""

from __future__ import annotations

import hashlib
import hmac
import os
import stringprep
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Of SCRAM: the least that RFC 7677 4 allows, and some milliseconds.
ITERATIONS = 4096


@dataclass(frozen=True)
class ScramKeys:
    """What a server keeps of a user for SCRAM-SHA-256 (RFC 5802 3), beside the iterations."""

    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


class Accounts:
    """Users, their passwords and tokens, compared as UTF-8. Printing it shows none of them.

    `tokens` is looked at for each sign-in, so that one can be revoked or replaced meanwhile.
    """

    def __init__(self, users: Mapping[str, str], tokens: Mapping[str, str] | None = None) -> None:
        self._passwords = {user.encode(): password.encode() for user, password in users.items()}
        self._prepared = {
            prepared(user).encode(): prepared(password).encode() for user, password in users.items()
        }
        self._tokens = tokens
        self._seed = os.urandom(32)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._passwords)} users>"

    @property
    def has_tokens(self) -> bool:
        """Whether tokens are taken at all; all of them may have been revoked."""
        return self._tokens is not None

    def accept(self, user: bytes, password: bytes) -> bool:
        """Whether this is the user's password."""
        expected = self._passwords.get(user)
        return expected is not None and hmac.compare_digest(expected, password)

    def accept_token(self, user: bytes, token: bytes) -> bool:
        """Whether this is the user's token now."""
        expected = (self._tokens or {}).get(user.decode("utf-8", "surrogateescape"))
        return expected is not None and hmac.compare_digest(expected.encode(), token)

    def accept_apop(self, user: bytes, timestamp: bytes, digest: bytes) -> bool:
        """Whether this is the APOP digest (RFC 1939 7) for the timestamp in our greeting."""
        password = self._passwords.get(user)
        if password is None:
            return False
        expected = hashlib.md5(timestamp + password, usedforsecurity=False).hexdigest()
        return hmac.compare_digest(expected.encode(), digest)

    def scram_keys(self, user: bytes) -> ScramKeys:
        """Of the user, by his prepared name. Each name has one salt as long as this object lives,
        also one that is nobody's, so that nobody learns which exist; its keys fit no password."""
        salt = hmac.digest(self._seed, user, "sha256")[:16]
        password = self._prepared.get(user, os.urandom(32))
        salted = hashlib.pbkdf2_hmac("sha256", password, salt, ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        return ScramKeys(
            salt=salt,
            stored_key=hashlib.sha256(client_key).digest(),
            server_key=hmac.digest(salted, b"Server Key", "sha256"),
        )


def prepared(text: str) -> str:
    """What SCRAM makes its keys of (RFC 5802 2.2): the text by SASLprep (RFC 4013), or as it is
    where that does not allow it, which is how other servers keep it as well."""
    left = "".join(each for each in text if not stringprep.in_table_b1(each))
    spaced = "".join(" " if stringprep.in_table_c12(each) else each for each in left)
    composed = unicodedata.ucd_3_2_0.normalize("NFKC", spaced)
    return composed if composed and _is_allowed(composed) else text


def _is_allowed(text: str) -> bool:
    """RFC 4013 2.3 to 2.5: characters, and what is written from the right (RFC 3454 6)."""
    if any(is_prohibited(each) for each in text for is_prohibited in _PROHIBITED):
        return False
    from_right = [stringprep.in_table_d1(each) for each in text]
    if not any(from_right):
        return True
    return from_right[0] and from_right[-1] and not any(map(stringprep.in_table_d2, text))


_PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
