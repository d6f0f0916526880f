"""Base64 (RFC 4648, 4): of the protocols' lines, and of SCRAM's messages. Nowhere else."""

from __future__ import annotations

import base64
import binascii

_SHORTEST = 4  # characters: fewer are found in anything


def encode(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def decode(text: bytes) -> bytes:
    """Raises `ValueError` for what is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def hide_quoted(words: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """`hide`, also where the standard modules have made a `repr` of the words: with backslashes
    doubled once more, and before an apostrophe where both kinds of quotes are in it."""
    written = [repr(form + b"'\"")[2:-4] for secret in secrets for form in _plain(secret)]
    both = (*written, *(form.replace("\\'", "'") for form in written))
    return hide(words, (*secrets, *(form.encode() for form in both)))


def hide(words: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """`words` of the other side without any of the `secrets`, should it repeat one: as it is, as an
    IMAP quoted string, or inside of something that was sent in base64."""
    for secret in secrets:
        plain = _plain(secret)
        cores = {core for at in range(3) if len(core := _core(secret, at)) >= _SHORTEST}
        for form in sorted(plain | cores, key=len, reverse=True):
            words = words.replace(form, b"<secret>")
    return words


def _plain(secret: bytes) -> set[bytes]:
    return {secret, secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"')}


def _core(octets: bytes, offset: int) -> bytes:
    """The characters that depend on `octets` alone, where `offset` others share their first group
    of three."""
    first, end = -(-8 * offset // 6), 8 * (offset + len(octets)) // 6
    return base64.b64encode(b"\0" * offset + octets)[first:end]
