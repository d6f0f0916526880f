"""The bounded reader: what it returns is what was said, within its bounds, and after one is
crossed nothing more.

Beside a reading of the same octets by the simplest code there is.
"""

from typing import Any

from fuzz.choices import Choices
from fuzz.escapes import Escaped, require
from securemail import LimitExceeded, Limits, TimeLimitExceeded
from securemail.wire import Reader

_PIECES = (
    b"line\r\n",
    b"\n",
    b"\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"..\r\n",
    b"\r.\n",
    b"x" * 30,
    b".",
    b"\r",
    b"\0",
)


class _Pieces:
    """A socket that has octets to give, in pieces, and then an end or silence."""

    def __init__(self, pieces: list[bytes], *, ends: bool) -> None:
        self.pieces, self.ends = pieces, ends
        self.timeout: float | None = 5.0
        self.given = bytearray()

    def gettimeout(self) -> float | None:
        return self.timeout

    def settimeout(self, seconds: float | None) -> None:
        self.timeout = seconds

    def setsockopt(self, *_: Any) -> None:
        """Nothing to set."""

    def recv_into(self, buffer: Any) -> int:
        if not self.pieces:
            if self.ends:
                return 0
            raise BlockingIOError if self.timeout == 0 else TimeoutError
        taken = self.pieces[0][: len(buffer)]
        self.pieces[0] = self.pieces[0][len(taken) :]
        if not self.pieces[0]:
            del self.pieces[0]
        buffer[: len(taken)] = taken
        self.given += taken
        return len(taken)


class _Run:
    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.limits = Limits(read=5, line=40, literal=60, lines=6)
        said = b"".join(choices.one_of(_PIECES) for _ in range(choices.number(40)))
        said += choices.octets(60)
        self.said = said
        self.sock = _Pieces(self._cut(said), ends=choices.one_of((True, False)))
        self.ended: LimitExceeded | None = None
        self.reader = Reader(self.sock, self.limits, self._end)
        self.at = 0  # of what was said, so far returned
        self.lines = self.all_lines = 0

    def _cut(self, said: bytes) -> list[bytes]:
        size = self.choices.one_of((1000, 1, 2, 3, 7, 20))
        return [said[at : at + size] for at in range(0, len(said), size)]

    def _end(self, error: LimitExceeded) -> LimitExceeded:
        self.ended = error
        return error

    def go_on(self) -> None:
        for _ in range(self.choices.number(12) + 1):
            how = self.choices.one_of(
                (self._line, self._octets, self._dot, self._expect, self._leftover, self._short)
            )
            try:
                how()
            except EOFError:
                require(self.sock.ends and not self.sock.pieces, "an end where there is none")
                return
            except LimitExceeded as error:
                self._is_right(error)
                return

    def _line(self) -> None:
        line = self.reader.readline()
        rest = self.said[self.at :]
        end = rest.find(b"\n") + 1
        require(line == (rest[:end] if end else b""), f"{line!r} of {rest!r}")
        require(len(line) <= self.limits.line, "a line over its bound")
        require(line or self.sock.ends, "nothing, and no end")
        self._took(len(line))
        self._count(1)

    def _count(self, lines: int) -> None:
        self.lines, self.all_lines = self.lines + lines, self.all_lines + lines
        require(self.lines <= self.limits.lines, "lines over their bound")

    def _octets(self) -> None:
        size = self.choices.number(70)
        octets = self.reader.read(size)
        require(size <= self.limits.literal, "a literal over its bound")
        require(octets == self.said[self.at : self.at + size], "other octets")
        require(len(octets) == size or self.sock.ends, "too few")
        self._took(len(octets))

    def _dot(self) -> None:
        text = self.reader.read_until_dot()
        rest = self.said[self.at :]
        expected, whole = _until_dot(rest)
        require(text == expected, f"{text!r} of {rest!r}")
        require(all(len(line) < self.limits.line + 1 for line in text.split(b"\n")), "a long line")
        self._took(whole)
        self._count(text.count(b"\n") + 1)

    def _expect(self) -> None:
        self.reader.expect()
        self.lines = 0

    def _leftover(self) -> None:
        waiting = self.reader.leftover()
        self.lines = 0  # a look counts as a command that was sent
        require(self.said[self.at :].startswith(waiting), "octets that nobody said")
        require(waiting or not self.said[self.at :], "something waits, and is not seen")

    def _short(self) -> None:
        """A time-out of the caller's own, as in IDLE: nothing is lost."""
        self.sock.settimeout(0.01)
        self.lines = 0  # where something comes meanwhile
        try:
            self._line()
        except LimitExceeded:
            raise
        except TimeoutError:
            require(not self.sock.pieces, "a time-out, with octets there")
        finally:
            self.sock.settimeout(5.0)

    def _took(self, octets: int) -> None:
        self.at += octets

    def _is_right(self, error: LimitExceeded) -> None:
        """There was such a thing; and nothing beyond it was kept."""
        require(error is self.ended, "raised, and not told")
        rest = self.said[self.at :]
        if isinstance(error, TimeLimitExceeded):
            require(not self.sock.ends and not self.sock.pieces, "a time-out, with octets there")
        elif error.code == "limit-line":
            longest = max(map(len, rest.split(b"\n")))
            require(longest >= self.limits.line, f"no line of {rest!r} is that long")
        elif error.code == "limit-lines":
            require(self.all_lines + rest.count(b"\n") + 1 > self.limits.lines, "no such many")
        elif error.code != "limit-literal":
            raise Escaped(f"another error: {error!r}")


def _until_dot(rest: bytes) -> tuple[bytes, int]:
    at = 0
    for line in rest.split(b"\n"):
        if line + b"\n" in (b".\r\n", b".\n", b"\r.\n"):
            return rest[:at], at + len(line) + 1
        at += len(line) + 1
    return b"nothing of the kind", 0


def reader(case: bytes) -> None:
    _Run(Choices(case)).go_on()
