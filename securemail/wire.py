"""What all three protocols share on the wire: one bounded reader, one line writer.

Bounds are enforced where octets are read, in `Incoming.readinto`, so that they hold under every
inherited method; the buffering above it is the standard library's own, and as fast.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .channel import Channel, Excepted, require_admitted
from .errors import LimitExceeded, PolicyError, TimeLimitExceeded, say_seconds
from .sasl.credentials import Secret
from .tls.gate import tls_below
from .watch import Watch

if TYPE_CHECKING:
    from .policy import Limits

CRLF = b"\r\n"
_FORBIDDEN = (b"\r", b"\n", b"\0")
_BUFFER = 64 * 1024  # octets: a few TLS records
_CHUNK = 1024 * 1024  # octets that are allocated before they have come
_PIECE = 16 * 1024  # octets: one TLS record
_FEW = 1000  # lines of a reply before a sign-in: a greeting, capabilities; servers have some twenty
_SMALL = 64 * 1024  # octets of a reply before a sign-in
_PAGE = 4 * 1024  # octets of such a reply that are taken at once
_PROGRESS = 1024  # octets that bulk data must bring within `Limits.read`
_HELD_BACK = 128 * 1024  # octets
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux, macOS
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


def acknowledge_at_once(sock: Any) -> None:
    """Ask for no delay of acknowledgements. Mail servers hold a short answer back until the last
    one is acknowledged, which the kernel delays by 40 ms; it forgets that it was asked, so this is
    called before each read."""
    if _QUICKACK is not None:
        try:  # noqa: SIM105 - suppress() costs more than the call, and this is done for each read
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except OSError:
            pass


def hold_little_back(sock: Any) -> None:
    """Let little wait in this computer when `sendall` is done. Else megabytes do, and on a slow
    line the time-out of the reply would run before the server has the message."""
    if _NOTSENT_LOWAT is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _HELD_BACK)


class Incoming(io.RawIOBase):
    """The socket as a reader sees it, within `Limits`.

    `expect()` begins a new reply: a command was sent. From then on it has `read` seconds, as a
    whole. Where it brings mail, or may (`goes_on`), each line has them, and each 1 KiB of a literal
    or a message. `until` is an end for several replies taken together. Octets are counted, and
    lines. What goes over a bound is told to `on_end`, which closes the connection, and raised.
    """

    def __init__(
        self, sock: Any, limits: Limits, on_end: Callable[[LimitExceeded], LimitExceeded]
    ) -> None:
        self._sock = sock
        self._limits = limits
        self._on_end = on_end
        self._own_timeout = sock.gettimeout()
        self._longest = limits.read  # seconds
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self.in_literal = False  # octets announced by a literal: no lines in there
        self.is_bulk = False  # a message, whose lines are not replies
        self.ran_out = False  # a time-out of the caller's own ended the last read
        self.is_opening = False  # before a sign-in: replies are short
        self.is_early = False  # likewise, whoever asks
        self.goes_on = True
        self.expect()

    def expect(self, until: float | None = None) -> None:
        """What comes next answers a new command."""
        self._lines = 0
        self._taken = 0
        self._is_silent = True
        # A new stretch of time, which begins when somebody waits.
        self._octets = 0
        self._until = until
        self._is_fixed = until is not None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """As `io.RawIOBase`. None: nothing is there, of a socket that does not wait."""
        acknowledge_at_once(self._sock)
        if self.is_early:  # little by little, so that lines are counted before octets run out
            buffer = memoryview(buffer)[:_PAGE]
        if self._sock.gettimeout() != self._own_timeout:
            return self._by_callers_timeout(buffer)
        try:
            remaining = self._remaining()
            # A new stretch, mostly: the socket's own time-out is right, and nothing has to be set.
            is_right = remaining == self._own_timeout
            count = self._take(buffer) if is_right else self._take_within(remaining, buffer)
        except TimeoutError:
            raise self._on_end(self._too_slow()) from None
        self._account(buffer, count)
        return count

    def _take_within(self, seconds: float | None, buffer: Any) -> int:
        self._sock.settimeout(seconds)
        try:
            return self._take(buffer)
        finally:
            with contextlib.suppress(OSError):  # it may have been closed
                self._sock.settimeout(self._own_timeout)

    def _take(self, buffer: Any) -> int:
        """`recv_into`, which an `SSLSocket` only passes on to its `read`."""
        sock = self._sock
        if not self._is_tls:
            return int(sock.recv_into(buffer))
        tls_below(sock)  # a standard socket would raise a ValueError, which is no end of anything
        until = self._until
        if until is None and self._longest is not None:
            until = time.monotonic() + self._longest
        watch = Watch(sock, until)
        try:
            with watch:
                count = int(sock.read(len(buffer), buffer))
        except OSError:
            if watch.has_ended:
                raise TimeoutError("records without data came without end") from None
            raise
        if watch.has_ended and not count:
            raise TimeoutError("records without data came without end")
        return count

    def _by_callers_timeout(self, buffer: Any) -> int | None:
        """Somebody waits in his own way, as IDLE does: his time-out is no dead connection."""
        try:
            count = self._take(buffer)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            self.ran_out = True  # not raised from here: the buffer above would lose what it has
            return None
        self.expect()
        return count

    def _remaining(self) -> float | None:
        """Seconds until the reply is too slow; raises `TimeoutError` when it is."""
        if self._until is None:
            if self._longest is None:
                return None
            self._until = time.monotonic() + self._longest
            return self._longest
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining

    def _account(self, buffer: Any, count: int) -> None:
        """`count` octets have come into `buffer`: is that too much, and is it progress?"""
        self._is_silent = False
        self._taken += count
        most = min(_SMALL, self._limits.reply) if self.is_early else self._limits.reply
        if self._taken > most:
            raise self._on_end(self._too_large(most))
        if self._is_fixed or not self.goes_on:
            return
        self._octets += count
        if self.in_literal or self.is_bulk:
            is_progress = self._octets >= _PROGRESS
        else:
            is_progress = b"\n" in bytes(memoryview(buffer)[:count])
        if is_progress:
            self._octets, self._until = 0, None

    def count_lines(self, lines: int) -> None:
        """So many were read."""
        self._lines += lines
        if self._lines > self._limits.lines:
            raise self._too_many(self._limits.lines, "", "Limits(lines=...) allows more.")
        if self.is_opening and self._lines > _FEW:
            hint = "Mail servers have some twenty there: this is none, or means harm."
            raise self._too_many(_FEW, ", before anybody signed in", hint)

    def _too_many(self, lines: int, when: str, hint: str) -> LimitExceeded:
        said = f"the server sent more than {lines:,} lines in one reply{when}."
        return self._on_end(LimitExceeded(said, code="limit-lines", hint=hint))

    def _too_large(self, most: int) -> LimitExceeded:
        if self.is_early:
            said = f"the server sent more than {most:,} octets in one reply, before a sign-in."
            hint = "Mail servers have some hundred there: this is none, or means harm."
        else:
            said = f"the server sent more than {most:,} octets in one reply."
            hint = "Ask for less at once, or allow more: Limits(reply=...)."
        return LimitExceeded(said, code="limit-reply", hint=hint)

    def _too_slow(self) -> TimeLimitExceeded:
        if self._is_silent:
            return TimeLimitExceeded(
                f"the server said nothing for {say_seconds(self._limits.read)}.",
                hint="It may be overloaded; Limits(read=...) waits longer.",
            )
        return TimeLimitExceeded(
            f"the server was not done with its answer after {say_seconds(self._limits.read)}.",
            hint="Limits(read=...) waits longer.",
        )


class Reader:
    """Lines and octets off one socket, within `Limits`; the only buffer there is."""

    def __init__(
        self, sock: Any, limits: Limits, on_end: Callable[[LimitExceeded], LimitExceeded]
    ) -> None:
        self.sock = sock
        self._limits = limits
        self._on_end = on_end
        self._longest = limits.line
        self._raw = Incoming(sock, limits, on_end)
        self._buffered = io.BufferedReader(self._raw, _BUFFER)

    def expect(
        self,
        *,
        is_opening: bool = False,
        is_early: bool = False,
        goes_on: bool = True,
        until: float | None = None,
    ) -> None:
        """What comes next answers a new command: in few lines, where the classes ask by themselves
        before a sign-in (`is_opening`); in few octets, where there was none yet (`is_early`). It
        may take its time where it `goes_on` with mail; else it has `Limits.read`, or until
        `until`."""
        raw = self._raw
        raw.is_opening, raw.is_early, raw.goes_on = is_opening, is_early, goes_on
        raw.expect(until)

    def readline(self, most: int = -1) -> bytes:
        """A line with its end; nothing at the end of the connection, and `EOFError` where that came
        within the line: half of one may read as another. `most`: octets that a caller wants at
        the most, as in `io`; a line over `Limits.line` is an error."""
        bound = self._longest + 1 if most < 0 else min(most, self._longest + 1)
        line = self._buffered.readline(bound)
        if self._begun or not line.endswith(b"\n"):
            line = self._go_on(line)
            if line and not line.endswith(b"\n") and len(line) < bound:
                raise EOFError("the connection ended within a line")
        if len(line) > self._longest:
            raise self._over(f"a line of more than {self._longest:,} octets", "line")
        self._raw.count_lines(1)
        return line

    def read_until_dot(self, line_end: bytes = CRLF) -> bytes:
        """A multi-line reply (RFC 1939, 3) without its last line, which is a dot alone between two
        of the server's line ends, and nothing like it: else a mail's sender could end it, and say
        what follows in the server's place. Raises `EOFError` where the connection ends before. In
        blocks: a line at a time is slow."""
        data, self._begun = bytearray(self._begun), b""
        self._raw.is_bulk = True
        try:
            while (end := self._more(data, line_end)) < 0:
                pass
        finally:
            self._raw.is_bulk = False
        return bytes(memoryview(data)[:end])

    def _more(self, data: bytearray, line_end: bytes) -> int:
        """Move to `data` what is buffered, up to a dot alone; where that is, or -1."""
        start = max(len(data) - 4, 0)  # a dot may come in pieces
        block = self._buffered.peek(1)
        if self._raw.ran_out:  # a time-out of the caller's own: the rest of it would be misread
            raise self._on_end(
                TimeLimitExceeded(
                    "the server was not done within the time-out that was set on the socket."
                )
            )
        if not block:
            raise EOFError
        self._require_short_lines(len(data) - data.rfind(b"\n") - 1, block)
        before = len(data)
        data += block
        end = _find_dot(data, start, line_end)
        if end >= 0:
            del data[end + 1 + len(line_end) :]
        self._buffered.read(len(data) - before)
        self._raw.count_lines(data.count(b"\n", before))
        return end

    def _require_short_lines(self, begun: int, block: bytes) -> None:
        """`begun`: octets of a line that goes on in `block`."""
        line = begun + (block.find(b"\n") + 1 or len(block))
        if self._limits.line < len(block):  # else no line within the block is over the bound
            line = max(line, *(len(one) + 1 for one in block.split(b"\n")[:-1]), 0)
        if line > self._limits.line:
            raise self._over(f"a line of more than {self._limits.line:,} octets", "line")

    _begun = b""  # of a line or literal, when a time-out of the caller's own came in between

    def _go_on(self, octets: bytes) -> bytes:
        """What was begun before and `octets`; kept for the next time if time ran out again."""
        self._begun, octets = b"", self._begun + octets
        if self._raw.ran_out:
            self._raw.ran_out = False
            self._begun = octets
            raise TimeoutError("timed out")
        return octets

    def read(self, size: int) -> bytes:
        """`size` octets, fewer at the end of the connection; memory grows with what came."""
        if size > self._limits.literal:
            raise self._over(f"a literal of {size:,} octets", "literal")
        if size < len(self._begun):  # the half of a line that was begun, and other ideas since
            octets, self._begun = self._begun[:size], self._begun[size:]
            return octets
        self._raw.in_literal = True
        size -= len(self._begun)
        try:
            if size <= _CHUNK:
                return self._go_on(self._buffered.read(size) or b"")
            return self._go_on(b"".join(self._chunks(size)))
        finally:
            self._raw.in_literal = False

    def _chunks(self, size: int) -> Iterator[bytes]:
        while size > 0 and (chunk := self._buffered.read(min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Nothing to release: the socket is its owner's. (A bound that is crossed closes the
        connection from inside a read, where a buffered reader cannot be closed.)"""

    def leftover(self) -> bytes:
        """What came already and nobody has read. Does not wait, and takes nothing."""
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            return self._begun + self._buffered.peek(1)
        finally:
            self._raw.ran_out = False
            self.sock.settimeout(timeout)

    def _over(self, what: str, limit: str) -> LimitExceeded:
        return self._on_end(
            LimitExceeded(
                f"the server sent {what}.",
                code=f"limit-{limit}",
                hint=f"Limits({limit}=...) allows more.",
            )
        )


def _find_dot(data: bytearray, start: int, line_end: bytes = CRLF) -> int:
    """Where the line begins that is a dot alone, or -1."""
    last = b"." + line_end
    if start == 0 and data.startswith(last):
        return 0
    at = data.find(line_end + last, start)
    return at + len(line_end) if at >= 0 else -1


def octets_of(value: Any, encoding: str = "ascii") -> bytes:
    """What a caller gives to be sent, as octets and nothing else, so that what is looked at is what
    goes out: a `bytearray` has other ways to be asked, and may change meanwhile; an `array` has
    items that are no octets. Raises `TypeError`, and `UnicodeEncodeError` as the standard modules.
    """
    if isinstance(value, str):
        return str.encode(value, encoding)
    if isinstance(value, int):
        return b"%d" % value
    try:
        return memoryview(value).tobytes()
    except TypeError:
        pass
    raise TypeError(f"{type(value).__name__} cannot be sent: text, octets or a number is wanted")


def require_line(line: bytes) -> None:
    """The one line writer's rule: no CR, LF or NUL of a caller's reaches the wire."""
    if any(octet in line for octet in _FORBIDDEN):
        raise PolicyError(
            "a line to be sent has a line break or a NUL in it.",
            code="line-break",
            hint="It would be another command to the server; nothing of it was sent.",
        )


def send_in_pieces(sock: Any, data: bytes) -> None:
    """Send all of `data`. The time-out of `sendall` is for the whole of what it is given: here
    it is for each piece, so that a long message may take its time on a slow line."""
    rest = memoryview(data)
    while rest:
        _send_piece(sock, rest[:_PIECE])
        rest = rest[_PIECE:]


def _send_piece(sock: Any, data: Any) -> None:
    """Where TLS is, all goes through it or nothing. A standard `SSLSocket`, of a context of the
    caller's own, goes on in clear once TLS has ended; so it is not asked, but the TLS below it."""
    is_standard = isinstance(sock, ssl.SSLSocket) and type(sock).send is ssl.SSLSocket.send
    if not is_standard:
        sock.sendall(data)  # in clear, gated, or of somebody's own making
        return
    while data:
        data = data[tls_below(sock).write(data) :]


def send_secret(channel: Channel | Excepted, sock: socket.socket | None, line: Secret) -> None:
    """Send `line` and its end, if `channel` is verified on `sock`, the connection's socket now, or
    the policy excepts this very sign-in.

    Raises `CredentialsRefused`, or the socket's error, without the frames that held the secret.
    """
    require_admitted(channel, sock)
    assert sock is not None
    require_line(line.reveal())
    try:
        send_in_pieces(sock, line.reveal() + CRLF)
        return
    except BaseException as error:  # noqa: BLE001 - raised again below
        # Frames below hold the octets: a traceback that shows locals would show them.
        failed = error.with_traceback(None)
        failed.__context__ = failed.__cause__ = None
    raise failed
