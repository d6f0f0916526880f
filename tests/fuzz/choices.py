"""A string of octets as a row of choices, so that every driver can make, mutate and shrink cases.

Octets that have run out, and zeros, choose the first of everything: that is what a polite peer
does. So a case is what differs from politeness, and the empty one is the control that has to
succeed.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_HOSTILE = 0xC0  # a quarter of all octets: a random case gets beyond the first step


class Choices:
    """Reads a case from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def octet(self) -> int:
        at, self._at = self._at, self._at + 1
        return self._data[at] if at < len(self._data) else 0

    def is_rude(self) -> bool:
        """Whether to do something else than what is due."""
        return self.octet() >= _HOSTILE

    def number(self, below: int) -> int:
        """0 to `below` - 1."""
        value = self.octet()
        if below > 256:
            value = value << 8 | self.octet()
        return value % below

    def one_of(self, several: Sequence[T]) -> T:
        return several[self.number(len(several))]

    def octets(self, most: int = 255) -> bytes:
        """Up to `most` of the case's own octets, as many as the first of them says."""
        size = self.number(most + 1)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        taken, self._at = self._data[self._at :], len(self._data)
        return taken

    def changed(self, octets: bytes) -> bytes:
        """`octets` with a few changes: none where the case has run out."""
        for _ in range(self.number(4)):
            octets = self._change(octets)
        return octets

    def _change(self, octets: bytes) -> bytes:
        at = self.number(len(octets) + 1) if octets else 0
        how = self.number(7)
        before, after = octets[:at], octets[at:]
        if how == 0:
            return before + bytes([self.octet()]) + after[1:]
        if how == 1:
            return before + self.octets(16) + after
        if how == 2:
            return before + after[1 + self.number(16) :]
        if how == 3:
            return before
        if how == 4:
            return before + after[:16] * self.number(40) + after
        if how == 5:
            return before + self.one_of(INTERESTING) + after
        return after + before


# What readers of lines, numbers, texts and DER trip over.
INTERESTING = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"",
        b" ",
        b"  ",
        b"\t",
        b"\r\r\n",
        b"\n.\n",
        b".\r\n",
        b"\r.\n",
    ),
    *(b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", "\u202e\u2028".encode(), b"\x1b[2J"),
    *(
        b"{5}",
        b"{0}\r\n",
        b"{99999999999999999999}",
        b"{" + b"9" * 5000 + b"}",
        b'"',
        b"\\",
        b"(",
        b")",
    ),
    *(
        b"-1",
        b"0",
        b"00",
        b"4294967296",
        b"1e9",
        b"9" * 25,
        b"9" * 5000,
        "\u0663".encode(),
        b"\xb2",
    ),
    *(
        b"=",
        b"==",
        b"=A",
        b",",
        b"<",
        b">",
        b"@",
        b"[",
        b"]",
        b"%",
        b"*",
        b"+",
        b"-",
        b"#",
        b"%s%n",
    ),
    *(b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x05\x00", b"\x02\x00", b"\x17\x0d", b"\x18\x0f"),
)
