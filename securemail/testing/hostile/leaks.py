"""Looks for a secret in bytes that were sent, whatever encoding it hides in."""

import base64
import unicodedata
import urllib.parse
from collections.abc import Iterator
from typing import Literal

SHORTEST = 6
FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")


def leaks(data: bytes, secret: str) -> list[str]:
    """The encodings in which the secret occurs in `data`, in words; empty means it was not sent.

    It finds the secret anywhere inside longer data, so also within the base64 of
    "\\0user\\0secret". It does not find what is made of the secret by a digest (CRAM-MD5, SCRAM,
    APOP), by encryption, or by encoding it twice; nor a secret sent in pieces with anything but
    line ends between them.
    """
    if len(secret) < SHORTEST:
        raise ValueError(f"a secret under {SHORTEST} characters is found by chance in anything")
    views = list(_views(data))
    found: dict[bytes, str] = {}
    for name, needle in _encodings(secret):
        for view_name, view in views:
            if needle in view:
                found.setdefault(needle, name + view_name)
    return list(found.values())


def _views(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The data, and the data with encodings undone that each client does a little differently."""
    yield "", data
    yield ", over several lines", data.replace(b"\r", b"").replace(b"\n", b"")
    yield ", URL-quoted", urllib.parse.unquote_to_bytes(data)
    yield ", URL-quoted as in forms", urllib.parse.unquote_to_bytes(data.replace(b"+", b" "))
    yield ", in small letters", data.lower()


def _encodings(secret: str) -> Iterator[tuple[str, bytes]]:
    for charset, encoded in _charsets(secret):
        yield charset, encoded
        yield f"{charset}, backslashes before quotes and backslashes", _quoted(encoded)
        yield f"{charset}, hexadecimal", encoded.hex().encode("ascii")
        for offset in range(3):
            name = f"{charset}, base64 at offset {offset}"
            standard = _base64_core(encoded, offset)
            yield name, standard
            yield f"{name}, URL alphabet", standard.translate(bytes.maketrans(b"+/", b"-_"))


def _charsets(secret: str) -> Iterator[tuple[str, bytes]]:
    """The secret as bytes: as it is, and in the normal forms that SASLprep and systems produce."""
    texts = {secret: ""}
    for form in FORMS:
        texts.setdefault(unicodedata.normalize(form, secret), f" {form}")
    for text, form_name in texts.items():
        for charset in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
            try:
                yield charset + form_name, text.encode(charset)
            except UnicodeEncodeError:
                continue


def _quoted(encoded: bytes) -> bytes:
    return encoded.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _base64_core(encoded: bytes, offset: int) -> bytes:
    """The characters of the base64 text that depend on `encoded` alone.

    `offset` bytes stand before it in its group of three; whatever follows changes the last
    character unless it ends on a full one.
    """
    bits_before, bits = 8 * offset, 8 * (offset + len(encoded))
    first, end = -(-bits_before // 6), bits // 6
    return base64.b64encode(b"\0" * offset + encoded)[first:end]
