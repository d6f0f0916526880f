"""A server that is polite where the case chooses nothing else, and otherwise as rude as a case
wants.

No threads, no sockets: `hear` takes what the client says, `next_octets` is what it reads.
"""

from collections.abc import Callable

from fuzz.choices import Choices
from fuzz.phrases import LINES, MARKER, WORDS
from fuzz.polite import POLITE, Polite

_PIECES = (*[65536] * 6, 1, 7)


class Server:
    """One server of `protocol`, over one connection."""

    tls_version = "TLSv1.3"

    def __init__(self, protocol: str, choices: Choices, *, is_tls: bool) -> None:
        self.protocol, self.choices = protocol, choices
        self.sockets: list[object] = []
        self.clear, self.secret = bytearray(), bytearray()  # what it heard, in clear and over TLS
        self.lines: list[bytes] = []
        self._unread = b""
        self._said = bytearray()
        self.ended: str = ""
        self.has_repeated = False  # what it was sent
        self._endless = b""
        self._piece = choices.one_of(_PIECES)
        self.tls_version = choices.one_of(("TLSv1.3", "TLSv1.2"))
        self.polite: Polite = POLITE[protocol](choices)
        self.polite.is_tls = is_tls
        if not is_tls:
            self._say(self.polite.greeting())

    # -- as the client's socket sees it

    def hear(self, octets: bytes, is_tls: bool) -> None:
        (self.secret if is_tls else self.clear).extend(octets)
        if self.ended == "reset":
            raise ConnectionResetError(104, "Connection reset by peer")
        *lines, self._unread = (self._unread + octets).split(b"\n")
        for line in lines:
            self.lines.append(line)
            self._say(self.polite.answer(line + b"\n"))

    def next_octets(self, most: int) -> bytes | None:
        """What comes next; nothing at the end, None where there is nothing yet."""
        if not self._said and self._endless:
            self._said += self._endless
        if not self._said:
            if self.ended == "reset":
                raise ConnectionResetError(104, "Connection reset by peer")
            return b"" if self.ended else None
        taken = bytes(self._said[: min(most, self._piece)])
        del self._said[: len(taken)]
        return taken

    def has_more(self) -> bool:
        return bool(self._said or self._endless)

    def upgraded(self) -> None:
        """From now on all is said over TLS; the greeting too, where nothing was said before."""
        is_begun, self.polite.is_tls = not self.polite.is_tls, True
        if not is_begun:
            self._say(self.polite.greeting())

    # -- what it says

    def _say(self, polite: bytes) -> None:
        if self.ended or self._endless:
            return
        said = polite if not self.choices.is_rude() else self._rude(polite)
        self._said += said

    def _rude(self, polite: bytes) -> bytes:
        ways: tuple[Callable[[bytes], bytes], ...] = (
            self.choices.changed,
            lambda polite: polite + self._line(),
            lambda polite: self._line() + polite,
            lambda polite: self._line(),
            lambda polite: b"".join(self._line() for _ in range(self.choices.number(5))),
            lambda polite: b"",  # silent
            lambda polite: self._end("end", polite[: self.choices.number(len(polite) + 1)]),
            lambda polite: self._end("end", polite),
            lambda polite: self._end("reset", b""),
            lambda polite: self._go_on(self._line()),
            lambda polite: self._go_on(b"x" * 1000),
            lambda polite: self._line() * 60,
            lambda polite: polite + polite,
            lambda polite: self.choices.octets(200),
            lambda polite: self._repeated(),
            lambda polite: self.polite.done(self.choices.one_of(("NO", "BAD", "OK"))),
        )
        return self.choices.one_of(ways)(polite)

    def _line(self) -> bytes:
        """A line that servers say at some time, with words in it that some say."""
        line = self.choices.one_of(LINES[self.protocol])
        line = line.replace(b"%w", self.choices.one_of(WORDS)).replace(b"%t", self.polite.tag)
        return self.choices.changed(line.replace(b"%m", self._mark()))

    def _mark(self) -> bytes:
        return b"" if self.polite.is_tls else MARKER

    def _repeated(self) -> bytes:
        """What it was sent, or the last word of that, in several places of a line of its own."""
        self.has_repeated = True
        last = self.lines[-1].strip() if self.lines else b""
        word = (last.split() or [b""])[-1]
        said = self.choices.one_of((last, word))
        line = self.choices.one_of(LINES[self.protocol]).replace(b"%t", self.polite.tag)
        return line.replace(b"%w", said).replace(b"%m", said)

    def _end(self, how: str, said: bytes) -> bytes:
        self.ended = how
        return said

    def _go_on(self, line: bytes) -> bytes:
        self._endless = line * 20
        return b""
