"""What is known to be secret, and lines without it.

Looked for in every line: a secret as it is, in any letter case, normal form and charset (UTF-8,
Latin-1, UTF-16, UTF-7); with backslashes, percent signs, HTML's or quoted-printable's escapes; in
base64 of either alphabet, at any alignment, and in hexadecimal; and all of these within one another
once. In what was decoded six octets of it are enough, in plain words sixteen. The words around it
go with it.

Not found: what is made of a secret by a digest or a cipher, unless it is told as well; three
encodings within one another; pieces shorter than those, on lines that are not told together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate

from ..secret import Secret
from .forms import Forms, Grams
from .views import View, views

SHOWN = 2000  # octets of a line
# Octets after those: a secret that begins before has enough of it there to be found, whatever it is
# written in (16 characters as "\\u00e9" are 96 octets, and may be encoded again).
_BEYOND = 512
_LONGEST = 4 * 1024  # octets of a line for `hide`
_WORD = re.compile(rb"\S+")
# What stands before "@": whole words, so that each octet is looked at once; quoted, as long as one
# may be (RFC 5321, 4.5.3.1.1).
_ADDRESS = re.compile(
    rb"(\"(?:[^\"\\]|\\.){0,64}\"|(?<![^\s<>@,;:()\[\]\"])[^\s<>@,;:()\[\]\"]+)"
    rb"@(?=[A-Za-z0-9\[\x80-\xff])"
)
_PRIVATE = 4  # octets: a shorter name counts only as a word of its own
_SOMEONE, _USER, _SECRET = 1, 2, 3  # the larger wins
_LABELS = {_SOMEONE: b"<someone>", _USER: b"<user>", _SECRET: b"<secret>"}

# What a wrapped reply has before its words, by increasing zeal.
_BEFORE = (
    re.compile(rb"(?:[0-9]{3}[- ])?"),
    re.compile(rb"(?:[0-9]{3}[- ])?(?:[0-9]\.[0-9]{1,3}\.[0-9]{1,3} )?"),
    re.compile(rb"(?:[0-9]{3}[- ])?(?:[0-9]\.[0-9]{1,3}\.[0-9]{1,3} )?\s*"),
)

Parts = list[tuple[int, bytes]]  # a label's number, 0 for none; and the octets


class Redactor:
    """Told once, hidden for good."""

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        self._known = Secret(frozenset[bytes]())
        self._forms = Secret(Forms())
        self._users = Secret(frozenset[bytes]())
        self._people = Secret(frozenset[bytes]())
        self.learn(*secrets)

    @property
    def knows_a_secret(self) -> bool:
        return bool(self._known.reveal())

    def learn(self, *secrets: bytes) -> None:
        """These are `<secret>`. Empty ones are nothing."""
        known = self._known.reveal() | {secret for secret in secrets if secret}
        if known != self._known.reveal():
            self._known, self._forms = Secret(known), Secret(Forms(known))

    def learn_user(self, name: str) -> None:
        """This is `<user>`; so is what stands before its "@"."""
        names = {name, name.partition("@")[0], name.rpartition("\\")[2]} - {""}
        whole = Forms(one.encode() for one in names).whole
        self._users = Secret(self._users.reveal() | set(whole))

    def is_user(self, name: bytes) -> bool:
        return name.lower() in self._users.reveal()

    def learn_person(self, name: bytes) -> None:
        """Whose mail it is: `<someone>`."""
        if len(name) >= _PRIVATE:
            self._people = Secret(self._people.reveal() | {name.lower()})

    def lines(self, lines: list[bytes], most: int = SHOWN) -> list[str]:
        """As one reply, which a server may have wrapped: without what is secret, printable ASCII
        alone, and each no longer than `most` octets of what it was."""
        seen = [line[: most + _BEYOND] for line in lines]
        cut = self._painted(seen)
        return [
            _said(_parts(shown, paint), len(line), most)
            for shown, paint, line in zip(seen, cut, lines, strict=True)
        ]

    def hide(self, words: bytes) -> bytes:
        """`words` with labels in the place of what is secret."""
        (paint,) = self._painted([words])
        return b"".join(_LABELS[label] if label else text for label, text in _parts(words, paint))

    def _painted(self, lines: list[bytes]) -> list[bytes]:
        """For each octet of each line a label's number."""
        source = b"\n".join(lines)
        paint = bytearray(len(source))
        marks = [(_SOMEONE, found.span(1)) for found in _ADDRESS.finditer(source)]
        marks += self._marks(source, lines)
        for label, (at, to) in sorted(marks):  # what is laid on last is what shows
            paint[at:to] = bytes([label]) * (to - at)
        for word in _WORD.finditer(source):
            if _SECRET in paint[word.start() : word.end()]:
                paint[word.start() : word.end()] = bytes([_SECRET]) * len(word[0])
        ends = list(accumulate(len(line) + 1 for line in lines))
        return [
            bytes(paint[end - len(line) - 1 : end - 1])
            for line, end in zip(lines, ends, strict=True)
        ]

    def _marks(self, source: bytes, lines: list[bytes]) -> set[tuple[int, tuple[int, int]]]:
        """What is known: labels, and where in `source`."""
        forms = self._forms.reveal()
        named = [(_SOMEONE, self._people.reveal()), (_USER, self._users.reveal())]
        names = [(label, name) for label, several in named for name in several]
        marks: set[tuple[int, tuple[int, int]]] = set()
        if not forms.whole and not names:
            return marks
        shortest = min([forms.shortest, *(len(name) for _, name in names)])
        for view in (v for read in _readings(source, lines) for v in views(read, shortest)):
            small = view.data.lower()
            for label, name in names:
                found = ((at, at + len(name)) for at in _named(small, name))
                marks.update((label, piece) for piece in _pieces(view, found))
            secrets = _secrets(small, forms, in_code=view.whole is not None)
            marks.update((_SECRET, piece) for piece in _pieces(view, secrets))
        return marks


def hide(words: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """`words` of the other side without any of the `secrets`, should it repeat one. What is too
    long for a reply is cut."""
    words = words if len(words) <= _LONGEST else words[:_LONGEST] + b"..."
    return Redactor(secrets).hide(words) if secrets else words


def escaped(words: bytes) -> str:
    """Printable ASCII alone, on one line: safe on a terminal and in a log."""
    return "".join(chr(c) if 0x20 <= c < 0x7F else f"\\x{c:02x}" for c in words)


def _readings(source: bytes, lines: list[bytes]) -> Iterator[View]:
    """The lines as they are; and where there are several, as one that was wrapped."""
    yield View.of(source)
    if len(lines) < 2:
        return
    for before in _BEFORE:
        data, where, at = bytearray(), list[int](), 0
        for line in lines:
            body = line.rstrip() if before is _BEFORE[-1] else line
            begin = before.match(body).end()  # type: ignore[union-attr]  # it fits anything
            data += body[begin:]
            where += range(at + begin, at + len(body))
            at += len(line) + 1
        yield View(bytes(data), where, [one + 1 for one in where])


def _secrets(data: bytes, forms: Forms, *, in_code: bool) -> Iterator[tuple[int, int]]:
    for form in forms.whole:
        at = data.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = data.find(form, at + 1)
    yield from _fragments(data, forms.in_code if in_code else forms.in_plain)


def _fragments(data: bytes, grams: Grams) -> Iterator[tuple[int, int]]:
    for size, known in grams.items():
        for at in range(len(data) - size + 1):
            if data[at : at + size] in known:
                yield at, at + size


def _named(data: bytes, name: bytes) -> Iterator[int]:
    at = data.find(name)
    while at >= 0:
        around = data[max(at - 1, 0) : at] + data[at + len(name) : at + len(name) + 1]
        if len(name) >= _PRIVATE or not any(chr(octet).isalnum() for octet in around):
            yield at
        at = data.find(name, at + 1)


def _pieces(view: View, found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for at, to in found:
        yield from view.pieces(at, to)
        if view.whole is not None:
            return  # that was all of it


def _parts(line: bytes, paint: bytes) -> Parts:
    found: Parts = []
    at = 0
    for end in range(1, len(line) + 1):
        if end == len(line) or paint[end] != paint[at]:
            found.append((paint[at], line[at:end]))
            at = end
    return found


def _said(parts: Parts, octets: int, most: int) -> str:
    """The parts as text, up to `most` octets; one that is hidden and begins before goes along."""
    said, at = "", 0
    for label, text in parts:
        if at >= most:
            break
        text = text if label else text[: most - at]
        said += _LABELS[label].decode() if label else escaped(text)
        at += len(text)
    return said if at >= octets else f"{said} ... {octets - at:,} octets more"
