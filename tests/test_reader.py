"""The rules of `wire`, each alone and to the octet: over a socket that plays a list, by a clock
that is moved by hand. Over real sockets: tests/test_wire.py."""

import itertools
import re
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from securemail import (
    CredentialsRefused,
    LimitExceeded,
    Limits,
    PolicyError,
    TimeLimitExceeded,
    wire,
)
from securemail.channel import _MAKER, Plaintext, Verified
from securemail.sasl.credentials import Secret
from securemail.wire import Incoming, Reader, hold_little_back, send_in_pieces, send_secret

LIMITS = Limits(read=10.0, line=100, literal=5_000_000, lines=50)
LATE, END = TimeoutError("timed out"), b""


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(wire, "time", made)
    return made


class Plays:
    """A socket that gives what is in the list: octets, an error, or what a function returns."""

    def __init__(self, *script: Any, timeout: float | None = 10.0) -> None:
        self.script, self.timeout = list(script), timeout
        self.waited: list[float | None] = []  # by which time-out each was waited for
        self.options: list[tuple[int, int, int]] = []
        self.sent: list[bytes] = []

    def gettimeout(self) -> float | None:
        return self.timeout

    def settimeout(self, seconds: float | None) -> None:
        self.timeout = seconds

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)  # type: ignore[arg-type]

    def recv_into(self, buffer: Any) -> int:
        self.waited.append(self.timeout)
        item = self.script.pop(0) if self.script else END
        item = item() if callable(item) else item
        if isinstance(item, Exception):
            raise item
        taken, rest = item[: len(buffer)], item[len(buffer) :]
        if rest:
            self.script.insert(0, rest)
        buffer[: len(taken)] = taken
        return len(taken)

    def sendall(self, data: Any) -> None:
        self.sent.append(bytes(data))


class Ended:
    """What is told of a bound that was crossed."""

    def __init__(self) -> None:
        self.errors: list[LimitExceeded] = []

    def __call__(self, error: LimitExceeded) -> LimitExceeded:
        self.errors.append(error)
        return error


def reader(*script: Any, limits: Limits = LIMITS, **socket_: Any) -> tuple[Reader, Plays]:
    plays = Plays(*script, **socket_)
    return Reader(plays, limits, Ended()), plays


def after(clock: Clock, seconds: float, item: Any) -> Callable[[], Any]:
    """What comes when so much time has passed."""

    def give() -> Any:
        clock.now += seconds
        return item

    return give


# -- lines


def test_a_line_of_the_bound_is_a_line_and_one_octet_more_is_none() -> None:
    fits, over = b"x" * 99 + b"\n", b"x" * 100 + b"\n"
    one, _ = reader(fits + fits)
    assert (one.readline(), one.readline(), one.readline()) == (fits, fits, b"")
    one, _ = reader(over)
    with pytest.raises(
        LimitExceeded, match=r"^the server sent a line of more than 100 octets\."
    ) as e:
        one.readline()
    assert (e.value.code, e.value.hint) == ("limit-line", "Limits(line=...) allows more.")


@pytest.mark.parametrize("most", [0, 1, 5, 99, 100, 101, 102, 500])
def test_a_caller_may_ask_for_a_part_of_a_line(most: int) -> None:
    line = b"x" * 99 + b"\n"
    one, _ = reader(line)
    assert one.readline(most) == line[:most]
    assert one.readline() == (line[most:] if most < 100 else b"")


@pytest.mark.parametrize("most", [101, 102, 500])
def test_who_asks_for_more_than_the_bound_does_not_get_it(most: int) -> None:
    with pytest.raises(LimitExceeded, match="a line of more than 100 octets"):
        reader(b"x" * 101 + b"\n")[0].readline(most)


def test_a_part_that_is_asked_for_is_no_line_that_broke_off() -> None:
    one, _ = reader(b"abc")
    assert one.readline(3) == b"abc"
    with pytest.raises(EOFError, match="within a line"):
        reader(b"abc")[0].readline(4)
    with pytest.raises(EOFError, match="within a line"):
        reader(b"abc")[0].readline()
    assert reader()[0].readline() == b""


def test_fifty_lines_of_a_reply_and_not_one_more() -> None:
    one, _ = reader(b"x\n" * 51)
    for _ in range(50):
        assert one.readline() == b"x\n"
    with pytest.raises(LimitExceeded, match=r"more than 50 lines in one reply\.") as met:
        one.readline()
    assert (met.value.code, met.value.hint) == ("limit-lines", "Limits(lines=...) allows more.")
    one, _ = reader(b"x\n" * 100)
    for _ in range(2):
        one.expect()
        assert [one.readline() for _ in range(50)] == [b"x\n"] * 50


def test_a_thousand_lines_before_a_sign_in_and_not_one_more() -> None:
    """Whatever `Limits` allow; fewer, where they allow fewer."""
    many = Limits(read=10.0, lines=1_000_000)
    one, _ = reader(b"x\n" * 3000, limits=many)
    one.expect(is_opening=True)
    assert [one.readline() for _ in range(1000)] == [b"x\n"] * 1000
    with pytest.raises(LimitExceeded, match=r"than 1,000 lines in one reply, before any") as met:
        one.readline()
    assert met.value.code == "limit-lines"
    assert met.value.hint == "Mail servers have some twenty there: this is none, or means harm."
    one, _ = reader(b"x\n" * 3000, limits=many)
    one.expect(is_opening=True)
    one.readline()
    one.expect()
    assert [one.readline() for _ in range(2500)] == [b"x\n"] * 2500, "the control"
    one, _ = reader(b"x\n" * 2500, limits=many)
    assert [one.readline() for _ in range(2500)] == [b"x\n"] * 2500, "nor where nobody said so"
    one, _ = reader(b"x\n" * 60)
    one.expect(is_opening=True)
    with pytest.raises(LimitExceeded, match=r"more than 50 lines in one reply\."):
        [one.readline() for _ in range(60)]


# -- octets


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1, 3_000_000])
def test_as_many_octets_as_are_asked_for(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 2)
    one, _ = reader(data)
    assert one.read(size) == data[:size]
    assert one.read(10) == data[size : size + 10]


def test_fewer_at_the_end_of_the_connection() -> None:
    one, _ = reader(b"abc")
    assert (one.read(10), one.read(10)) == (b"abc", b"")
    one, _ = reader(b"abc", limits=Limits(literal=3_000_000))
    assert one.read(2_000_000) == b"abc"


def test_memory_for_a_literal_is_taken_as_it_comes() -> None:
    """A mebibyte at a time: announced is not sent."""
    asked: list[int] = []
    one, _ = reader(b"x" * 10)
    standard = one._buffered.read
    one._buffered = type(
        "Buffered", (), {"read": lambda _, size: (asked.append(size), standard(size))[1]}
    )()
    assert one.read(4_000_000) == b"x" * 10
    assert asked == [1024 * 1024, 1024 * 1024]


def test_a_literal_of_the_bound_and_not_one_octet_more() -> None:
    small = Limits(literal=5)
    assert reader(b"abcde", limits=small)[0].read(5) == b"abcde"
    one, plays = reader(b"abcdef", limits=small)
    with pytest.raises(LimitExceeded, match=r"^the server sent a literal of 6 octets\.") as met:
        one.read(6)
    assert met.value.code == "limit-literal"
    assert plays.waited == []


def test_lines_in_a_literal_are_no_progress_and_no_lines(clock: Clock) -> None:
    one, _ = reader(*[after(clock, 4, b"\n")] * 5)
    with pytest.raises(TimeLimitExceeded):
        one.read(5)
    one, _ = reader(b"ab", *[after(clock, 4, b"\n")] * 5)
    one.read(2)
    assert [one.readline() for _ in range(5)] == [b"\n"] * 5, "the control: lines are"


# -- time


@pytest.mark.parametrize(("seconds", "fits"), [(9.9, True), (10.0, False), (10.1, False)])
def test_a_line_has_ten_seconds_however_it_comes(seconds: float, fits: bool, clock: Clock) -> None:
    one, plays = reader(b"a", after(clock, seconds, b"b"), b"c\n")
    if fits:
        assert one.readline() == b"abc\n"
        assert plays.waited == [10.0, 10.0, pytest.approx(10 - seconds)]
    else:
        with pytest.raises(TimeLimitExceeded, match=r"was not done with its answer after 10 s"):
            one.readline()
        assert plays.waited == [10.0, 10.0]
    assert plays.timeout == 10.0


def test_silence_is_called_silence() -> None:
    with pytest.raises(TimeLimitExceeded, match=r"^the server said nothing for 10 s\."):
        reader(LATE)[0].readline()
    one, _ = reader(b"a\n", LATE)
    one.readline()
    with pytest.raises(TimeLimitExceeded, match="was not done with its answer after 10 s"):
        one.readline()
    one, _ = reader(b"a\n", LATE)
    one.readline()
    one.expect()
    with pytest.raises(TimeLimitExceeded, match="said nothing for 10 s") as met:
        one.readline()
    assert met.value.hint == "It may be overloaded; Limits(read=...) waits longer."


@pytest.mark.parametrize("octets", [1023, 1024, 1025])
def test_bulk_data_has_ten_seconds_for_each_kibibyte(octets: int, clock: Clock) -> None:
    """Six seconds have gone by when it comes; what is left after that is what there was, or all."""
    one, plays = reader(after(clock, 6, b"x" * octets), b"y")
    assert one.read(octets + 1) == b"x" * octets + b"y"
    assert plays.waited == [10.0, 10.0 if octets >= 1024 else 4.0]


@pytest.mark.parametrize(("octets", "then"), [(1023, 4.0), (1024, 10.0)])
def test_each_kibibyte_is_counted_from_the_last_one(octets: int, then: float, clock: Clock) -> None:
    one, plays = reader(b"x" * 1024, after(clock, 6, b"x" * octets), b"y")
    one.read(1024 + octets + 1)
    assert plays.waited == [10.0, 10.0, then]


def test_for_ever_is_for_ever(clock: Clock) -> None:
    one, plays = reader(
        *[after(clock, 9999, b"x")] * 3, b"\n", limits=Limits(read=None), timeout=None
    )
    assert one.readline() == b"xxx\n"
    assert plays.waited == [None] * 4


# -- a time-out of the caller's own


def test_a_time_out_of_the_caller_s_own_loses_nothing() -> None:
    one, plays = reader(b"ab", LATE, b"c\n", LATE, b"d\n")
    plays.timeout = 0.1
    for expected in (None, b"abc\n", None, b"d\n"):
        if expected is None:
            with pytest.raises(TimeoutError, match=r"^timed out$") as met:
                one.readline()
            assert not isinstance(met.value, TimeLimitExceeded)
        else:
            assert one.readline() == expected
    assert plays.timeout == 0.1


def test_octets_that_were_begun_come_first() -> None:
    one, plays = reader(b"abc", LATE, BlockingIOError(), b"def\n")
    plays.timeout = 0.1
    with pytest.raises(TimeoutError):
        one.readline()
    assert one.leftover() == b"abc"
    assert one.read(2) == b"ab"
    assert one.read(1) == b"c"
    assert one.read(2) == b"de"
    one, plays = reader(b"abc", LATE, b"def\n")
    plays.timeout = 0.1
    with pytest.raises(TimeoutError):
        one.readline()
    assert one.read(5) == b"abcde"


def test_the_clock_begins_anew_when_the_caller_s_time_out_is_over(clock: Clock) -> None:
    one, plays = reader(b"a", after(clock, 60, b"b"), after(clock, 9, b"c\n"))
    assert one._buffered.peek(1) == b"a"
    plays.timeout = 99.0
    assert one._buffered.read(2) == b"ab"
    plays.timeout = 10.0
    assert one.readline() == b"c\n"


def test_what_is_left_over_is_neither_waited_for_nor_taken() -> None:
    one, plays = reader(b"ab\ncd", BlockingIOError())
    assert one.leftover() == b"ab\ncd"
    assert plays.waited == [0]
    assert plays.timeout == 10.0
    assert one.readline() == b"ab\n"
    one, plays = reader(BlockingIOError(), b"ab\n")
    assert one.leftover() == b""
    assert one.readline() == b"ab\n", "that nothing had come is no time-out"


# -- multi-line replies


BODIES = [b"", b"a\r\n", b"..\r\n", b".a\r\n", b"a\r\n.b\r\n", b"a\r\n..\r\n", b"a\n.\nb\r\n"]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("body", BODIES)
def test_a_multi_line_reply_ends_at_its_dot_however_it_comes(body: bytes, end: bytes) -> None:
    if end == b"\n":
        body = body.replace(b"\n.\n", b"\n").replace(b"\r\n", b"\n")
    said = body + b"." + end + b"+OK next\r\n"
    for cut in range(1, len(said)):
        one, _ = reader(said[:cut], said[cut:])
        assert one.read_until_dot(end) == body
        assert one.readline() == b"+OK next\r\n"


ENDS_OF_REPLY = {
    b"\r\n": re.compile(rb"(?:\A|(?<=\r\n))\.\r\n"),
    b"\n": re.compile(rb"(?:\A|(?<=\n))\.\n"),
}


@pytest.mark.parametrize("end", ENDS_OF_REPLY)
def test_the_dot_is_found_between_two_line_ends_of_the_server_s_and_nowhere_else(
    end: bytes,
) -> None:
    """In all that can be said in seven octets of these. (The standard module takes any line end:
    so whoever writes a mail can end it there, and say what follows in the server's place.)"""
    for size in range(8):
        for octets in itertools.product(b"\r\n.x", repeat=size):
            said = bytes(octets)
            found = ENDS_OF_REPLY[end].search(said)
            expected = -1 if found is None else found.start()
            assert wire._find_dot(bytearray(said), 0, end) == expected, said


def parts(said: bytes, cut: int) -> tuple[bytes, bytes]:
    return said[:cut], said[cut:]


def test_lines_and_bounds_within_a_multi_line_reply() -> None:
    fits = b"x" * 98 + b"\r\n"
    assert reader(fits * 49 + b".\r\n")[0].read_until_dot() == fits * 49
    with pytest.raises(LimitExceeded, match="more than 50 lines"):
        reader(fits * 50 + b".\r\n")[0].read_until_dot()
    over = b"y\r\n" + b"x" * 99 + b"\r\n.\r\n"
    for cut in range(1, len(over)):
        assert reader(*parts(fits * 3 + b".\r\n", cut))[0].read_until_dot() == fits * 3
        with pytest.raises(LimitExceeded, match="a line of more than 100 octets"):
            reader(*parts(over, cut))[0].read_until_dot()
    with pytest.raises(EOFError):
        reader(fits)[0].read_until_dot()


def test_lines_of_a_message_are_no_progress_and_those_after_it_are(clock: Clock) -> None:
    drip = [after(clock, 6, b"x\r\n")] * 3
    with pytest.raises(TimeLimitExceeded):
        reader(*drip, b".\r\n")[0].read_until_dot()
    one, _ = reader(b".\r\n", *drip)
    one.read_until_dot()
    assert [one.readline() for _ in range(3)] == [b"x\r\n"] * 3


def test_a_time_out_of_the_caller_s_within_a_message_is_the_end() -> None:
    one, plays = reader(b"a\r\n", LATE, b".\r\n")
    plays.timeout = 0.1
    with pytest.raises(TimeLimitExceeded, match="within the time-out that was set on the socket"):
        one.read_until_dot()


# -- the socket's options


def test_acknowledgements_are_asked_for_before_each_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_QUICKACK", 12)
    one, plays = reader(b"a", b"b\n")
    one.readline()
    assert plays.options == [(socket.IPPROTO_TCP, 12, 1)] * 2
    monkeypatch.setattr(wire, "_QUICKACK", None)
    one, plays = reader(b"a\n")
    one.readline()
    assert plays.options == []


def test_little_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_NOTSENT_LOWAT", 25)
    hold_little_back(plays := Plays())
    assert plays.options == [(socket.IPPROTO_TCP, 25, 128 * 1024)]
    monkeypatch.setattr(wire, "_NOTSENT_LOWAT", None)
    hold_little_back(plays := Plays())
    assert plays.options == []


def test_a_socket_without_such_options_is_read_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Without(Plays):
        def setsockopt(self, *option: int) -> None:
            raise OSError("no such option")

    monkeypatch.setattr(wire, "_QUICKACK", 12)
    monkeypatch.setattr(wire, "_NOTSENT_LOWAT", 25)
    hold_little_back(Without())
    assert Reader(Without(b"a\n"), LIMITS, Ended()).readline() == b"a\n"


def test_it_is_readable_and_nothing_else() -> None:
    raw = Incoming(Plays(), LIMITS, Ended())
    assert raw.readable() is True
    assert raw.writable() is False


# -- sending


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 40_000])
def test_a_message_goes_out_in_pieces_of_16_kib(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    send_in_pieces(plays := Plays(), data[:size])
    assert b"".join(plays.sent) == data[:size]
    assert [len(piece) for piece in plays.sent[:-1]] == [16_384] * (max(size - 1, 0) // 16_384)


def verified(sock: object) -> Verified:
    return Verified(_MAKER, sock, None)  # type: ignore[arg-type]


def test_a_secret_is_a_line_over_a_channel_that_fits() -> None:
    plays: Any = Plays()
    send_secret(verified(plays), plays, Secret(b"PASS hunter2"))
    assert plays.sent == [b"PASS hunter2\r\n"]
    for channel, sock in (
        (Plaintext(), plays),
        (verified(Plays()), plays),
        (verified(plays), None),
    ):
        with pytest.raises(CredentialsRefused):
            send_secret(channel, sock, Secret(b"PASS hunter2"))
    for line in (b"PASS a\r", b"PASS a\nb", b"PASS \0"):
        with pytest.raises(PolicyError) as met:
            send_secret(verified(plays), plays, Secret(line))
        assert met.value.code == "line-break"
    assert plays.sent == [b"PASS hunter2\r\n"]


def test_the_socket_s_error_comes_without_what_was_sent() -> None:
    class Broken(Plays):
        def sendall(self, data: Any) -> None:
            try:
                raise ValueError(data)
            except ValueError:
                raise ConnectionResetError("reset")  # noqa: B904 - with a context, on purpose

    plays: Any = Broken()
    with pytest.raises(ConnectionResetError, match=r"^reset$") as met:
        send_secret(verified(plays), plays, Secret(b"PASS hunter2"))
    assert met.value.__context__ is None
    shown = traceback.TracebackException.from_exception(met.value, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.filename == wire.__file__]
    assert frames != []
    assert "hunter2" not in str([frame.locals for frame in frames])
    assert "sendall" not in [frame.name for frame in shown.stack]
