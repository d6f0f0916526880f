"""A line as whoever reads it may decode it, with the way back to where each octet came from."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator, Sequence

_DEPTH = 2  # encodings within one another
_STANDARD = bytes.maketrans(b"-_", b"+/")
_HEX = re.compile(rb"[0-9A-Fa-f]{4,}|(?:[0-9A-Fa-f]{2}[: ]){3,}[0-9A-Fa-f]{2}")


Pieces = list[tuple[int, int]]  # of a line: from, to


class View:
    """`data[i]` came from the octets `start[i]` to `end[i]` of the line. Or all of it from the
    pieces of the line that are `whole`: they were decoded, and do not look like words."""

    def __init__(
        self,
        data: bytes,
        start: Sequence[int] = (),
        end: Sequence[int] = (),
        whole: Pieces | None = None,
    ) -> None:
        self.data, self.start, self.end, self.whole = data, start, end, whole

    @classmethod
    def of(cls, data: bytes) -> View:
        return cls(data, range(len(data)), range(1, len(data) + 1))

    def pieces(self, at: int, to: int) -> Pieces:
        """Where `data[at:to]` came from: several, of a reply that was wrapped."""
        if self.whole is not None:
            return self.whole
        found, begin = [], at
        for here in range(at + 1, to + 1):
            if here == to or self.start[here] > self.end[here - 1]:
                found.append((self.start[begin], self.end[here - 1]))
                begin = here
        return found


def views(view: View, shortest: int, depth: int = _DEPTH) -> Iterator[View]:
    """`view`, and all that can be decoded in it. `shortest`: octets of what is looked for."""
    yield view
    if depth:
        for escape in _ESCAPES:
            if (undone := _unescaped(view, *escape)) is not None:
                yield from views(undone, shortest, depth - 1)
        for run in _runs(view, shortest):
            yield from views(run, shortest, depth - 1)


# -- escapes: most of the text is as it was


def _unescaped(
    view: View, sign: bytes, pattern: re.Pattern[bytes], meaning: Callable[[re.Match[bytes]], bytes]
) -> View | None:
    """`view` with what `pattern` finds replaced by what that means; None where it finds nothing."""
    if sign not in view.data:
        return None
    if view.whole is not None:
        data = pattern.sub(meaning, view.data)
        return None if data == view.data else View(data, whole=view.whole)
    undone, start, end = bytearray(), list[int](), list[int]()
    at = 0
    for found in pattern.finditer(view.data):
        meant = meaning(found)
        undone += view.data[at : found.start()] + meant
        start += [*view.start[at : found.start()], *[view.start[found.start()]] * len(meant)]
        end += [*view.end[at : found.start()], *[view.end[found.end() - 1]] * len(meant)]
        at = found.end()
    if not at:
        return None
    return View(bytes(undone) + view.data[at:], [*start, *view.start[at:]], [*end, *view.end[at:]])


def _octets(found: re.Match[bytes]) -> bytes:
    """After a backslash: `\\u00e9` (JSON), `\\U0001f600`, `\\xe9` (Python), `\\351` (DNS), or the
    octet itself."""
    units, point, hexed, octal, itself = found.groups()
    if units:
        both = bytes.fromhex(units.replace(rb"\u", b"").decode())
        return both.decode("utf-16-be", "replace").encode("utf-8", "replace")
    if point:
        return chr(min(int(point, 16), 0x10FFFF)).encode("utf-8", "replace")
    if hexed:
        return bytes.fromhex(hexed.decode())
    return bytes([int(octal, 8) & 0xFF]) if octal else itself


def _characters(found: re.Match[bytes]) -> bytes:
    """The same, where `\\xe9` and `\\351` are numbers of characters."""
    octets = _octets(found)
    return octets.decode("latin-1").encode() if found[3] or found[4] else octets


def _percent(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else b" "


def _equals(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode())


def _named(found: re.Match[bytes]) -> bytes:
    return html.unescape(found[0].decode()).encode("utf-8", "replace")


_BACKSLASH = re.compile(
    rb"((?:\\u[0-9a-fA-F]{4})+)|\\(?:U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL
)
_ESCAPES = (
    (b"\\", _BACKSLASH, _octets),
    (b"\\", _BACKSLASH, _characters),
    (b"\\", re.compile(rb"\\([\\\"'])"), lambda found: found[1]),
    (b"%", re.compile(rb"%([0-9A-Fa-f]{2})"), _percent),
    (b"+", re.compile(rb"%([0-9A-Fa-f]{2})|\+"), _percent),
    (b"=", re.compile(rb"=([0-9A-Fa-f]{2})"), _equals),
    (b"&", re.compile(rb"&(?:[a-zA-Z]{2,8}|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});"), _named),
)


# -- runs: a stretch of text that is something else, and is hidden as a whole


def _runs(view: View, shortest: int) -> Iterator[View]:
    least = max(4, -(-4 * min(shortest, 6) // 3))
    for found in re.finditer(rb"[A-Za-z0-9+/_-]{%d,}={0,2}" % least, view.data):
        for at in range(4):
            yield from _run(view, found, _base64(found[0][at:]))
    for found in _HEX.finditer(view.data):
        digits = found[0].translate(None, b": ").decode()
        for at in range(2):
            yield from _run(
                view, found, bytes.fromhex(digits[at : (len(digits) - at) // 2 * 2 + at])
            )


def _run(view: View, found: re.Match[bytes], data: bytes) -> Iterator[View]:
    if data:
        yield View(data, whole=view.pieces(found.start(), found.end()))


def _base64(text: bytes) -> bytes:
    """What whole octets there are in it, of either alphabet."""
    text = text.rstrip(b"=").translate(_STANDARD)
    text = text[: len(text) - (len(text) % 4 == 1)]
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return b""
