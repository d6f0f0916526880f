"""The octets in which a secret can appear, before anything is encoded."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

_NORMAL: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")
_NARROW = ("utf-8", "latin-1", "utf-7")
_WIDE = ("utf-16-le", "utf-16-be")
_SHORTEST_SPOILT = 4  # octets
_SHORTEST_CORE = 8  # characters of base64: fewer are found in anything

# A part of a secret as long as this is looked for too. In what was decoded nothing is there by
# chance; in plain words a shorter one would be ("password" in the password "password123"), and to
# hide it would tell that it is a part.
IN_CODE, IN_PLAIN = 6, 16  # octets

Grams = dict[int, frozenset[bytes]]  # by length


class Forms:
    """Of several secrets. All in small letters: so is what they are looked for in."""

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        whole: set[bytes] = set()
        in_plain: dict[int, set[bytes]] = {}
        in_code: dict[int, set[bytes]] = {}
        for secret in secrets:
            for form, width in _forms(secret):
                whole.add(form)
                _add(in_plain, form, IN_PLAIN * width)
                _add(in_code, form, IN_CODE * width)
            for core in _cores(secret):
                whole.add(core)
                _add(in_plain, core, IN_PLAIN)
        self.whole = tuple(sorted(whole, key=len, reverse=True))
        self.in_plain: Grams = {size: frozenset(grams) for size, grams in in_plain.items()}
        self.in_code: Grams = {size: frozenset(grams) for size, grams in in_code.items()}
        self.shortest = min(map(len, whole), default=IN_CODE)


def _add(grams: dict[int, set[bytes]], form: bytes, size: int) -> None:
    if len(form) > size:
        found = (form[at : at + size] for at in range(len(form) - size + 1))
        grams.setdefault(size, set()).update(found)


def _forms(secret: bytes) -> Iterator[tuple[bytes, int]]:
    """A form and the octets of one of its characters: as it is, in each normal form and in each
    letter case, in each charset."""
    yield secret.lower(), 1
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return
    for one in _texts(text):
        yield from ((form.lower(), 1) for form in _written(one, _NARROW))
        yield from ((form.lower(), 2) for form in _written(one, _WIDE))
        yield from ((form.lower(), 1) for form in _spoilt(one))
        if not one.isascii():
            yield one.encode("utf-7").replace(b"/", b",").replace(b"+", b"&").lower(), 1


def _texts(text: str) -> set[str]:
    cased = {text, text.lower(), text.upper()}
    return cased | {unicodedata.normalize(form, one) for form in _NORMAL for one in cased}


def _written(text: str, charsets: tuple[str, ...]) -> Iterator[bytes]:
    for charset in charsets:
        try:
            yield text.encode(charset)
        except UnicodeEncodeError:
            continue


def _spoilt(text: str) -> Iterator[bytes]:
    """Where a charset does not have all of it: with question marks, or less those."""
    for charset in ("ascii", "latin-1"):
        for errors in ("replace", "ignore"):
            form = text.encode(charset, errors)
            if len(form.replace(b"?", b"")) >= _SHORTEST_SPOILT:
                yield form


def _cores(secret: bytes) -> Iterator[bytes]:
    """Its base64 at each alignment, less what its neighbours change. For a server that changes
    letter case, after which nothing can be decoded any more."""
    for offset in range(3):
        first, end = -(-8 * offset // 6), 8 * (offset + len(secret)) // 6
        core = base64.b64encode(b"\0" * offset + secret)[first:end].lower()
        if len(core) >= _SHORTEST_CORE:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
