"""The bounded reader: each bound, on each protocol, and what is left of a connection after it."""

import contextlib
import imaplib
import io
import poplib
import re
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from securemail import (
    IMAP4_SSL,
    POP3_SSL,
    SMTP_SSL,
    CATrust,
    LimitExceeded,
    Limits,
    PolicyError,
    TimeLimitExceeded,
    TLSPolicy,
)
from securemail.errors import SecureMailError
from securemail.pop3.lines import _split
from securemail.wire import Reader, require_line
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer

SOON = Limits(read=0.4, line=10_000, literal=50_000, lines=100)


@contextlib.contextmanager
def pair(limits: Limits = SOON) -> Iterator[tuple[socket.socket, Reader]]:
    """One end to write to, and a reader of the other."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(limits.read)
        yield theirs, Reader(ours, limits, lambda error: error)


def test_lines_and_octets_come_as_they_were_sent() -> None:
    with pair() as (server, reader):
        server.sendall(b"one\r\ntwo\nthree")
        assert reader.readline() == b"one\r\n"
        assert reader.readline() == b"two\n"
        assert reader.read(3) == b"thr"
        server.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError, match="within a line"):
            reader.readline()
        assert reader.readline() == b""
        assert reader.read(5) == b""


def test_a_line_may_be_as_long_as_its_bound_and_no_longer() -> None:
    with pair() as (server, reader):
        server.sendall(b"x" * 9_998 + b"\r\n" + b"y" * 9_999 + b"\r\n")
        assert len(reader.readline()) == 10_000
        with pytest.raises(LimitExceeded, match="a line of more than 10,000 octets") as caught:
            reader.readline()
        assert caught.value.code == "limit-line"


def test_a_literal_over_its_bound_is_refused_before_it_is_read() -> None:
    with pair() as (server, reader):
        server.sendall(b"z" * 50_000)
        assert len(reader.read(50_000)) == 50_000
        with pytest.raises(LimitExceeded, match=r"a literal of 50,001 octets"):
            reader.read(50_001)


def test_the_lines_of_one_reply_are_counted_and_the_next_starts_anew() -> None:
    with pair() as (server, reader):
        for _ in range(3):
            server.sendall(b"a\r\n" * 100)
            for _ in range(100):
                reader.readline()
            reader.expect()
        server.sendall(b"a\r\n" * 101)
        with pytest.raises(LimitExceeded, match="more than 100 lines") as caught:
            for _ in range(101):
                reader.readline()
        assert caught.value.code == "limit-lines"


def test_lines_within_a_literal_do_not_count() -> None:
    with pair() as (server, reader):
        server.sendall(b"a\r\n" * 1000)
        assert len(reader.read(3000)) == 3000


def test_a_line_that_drips_ends_at_the_bound() -> None:
    """Each octet in time is not a line in time."""
    with pair() as (server, reader):
        started = time.monotonic()
        with pytest.raises(TimeLimitExceeded):
            for _ in range(100):
                server.sendall(b"x")
                server.settimeout(0.05)
                _read_one(reader)
        assert 0.3 < time.monotonic() - started < 1.5


def _read_one(reader: Reader) -> None:
    assert len(reader.read(1)) == 1
    time.sleep(0.03)


def test_data_that_makes_progress_may_take_longer_than_the_bound() -> None:
    with pair(Limits(read=0.3)) as (server, reader):
        for _ in range(6):
            server.sendall(b"x" * 1100)
            assert len(reader.read(1100)) == 1100
            time.sleep(0.1)


def test_a_server_at_long_work_may_say_so_line_by_line() -> None:
    """As IMAP servers do ("* OK Still here"): less than 1 KiB in all, each line in time."""
    with pair(Limits(read=0.3)) as (server, reader):
        for _ in range(6):
            server.sendall(b"* OK Still here\r\n")
            assert reader.readline() == b"* OK Still here\r\n"
            time.sleep(0.1)


def test_a_message_that_drips_line_by_line_ends_at_the_bound() -> None:
    with pair(Limits(read=0.3)) as (server, reader):
        sending = threading.Thread(target=_send_slowly, args=(server, b"line\r\n", 10))
        sending.start()
        with pytest.raises(TimeLimitExceeded, match="not done with its answer"):
            reader.read_until_dot()
        sending.join()


def _send_slowly(sock: socket.socket, data: bytes, times: int) -> None:
    for _ in range(times):
        sock.sendall(data)
        time.sleep(0.1)


def test_a_short_timeout_of_the_callers_own_is_no_end() -> None:
    """IDLE waits like that: nothing came, the line goes on later, and nothing is lost."""
    with pair() as (server, reader):
        server.sendall(b"half ")
        reader.sock.settimeout(0.05)
        with pytest.raises(TimeoutError) as caught:
            reader.readline()
        assert not isinstance(caught.value, SecureMailError)
        server.sendall(b"a line\r\n")
        assert reader.readline() == b"half a line\r\n"


def test_what_is_left_over_is_seen_without_waiting() -> None:
    with pair() as (server, reader):
        assert reader.leftover() == b""
        server.sendall(b"+OK\r\n* injected\r\n")
        assert reader.readline() == b"+OK\r\n"
        assert reader.leftover().startswith(b"* injected")
        assert reader.readline() == b"* injected\r\n", "a look takes nothing"
        assert reader.sock.gettimeout() == SOON.read


@pytest.mark.parametrize("bad", [b"A\r\nB", b"A\nB", b"A\0B", b"\r"])
def test_the_line_writer_refuses_line_breaks_and_nul(bad: bytes) -> None:
    with pytest.raises(PolicyError, match="line break or a NUL"):
        require_line(bad)
    require_line(b"A B \xff")


# -- multi-line replies, beside the standard module's reading of the same octets


class Standard(poplib.POP3):
    """`poplib` reading from memory."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self._debugging = 0


PIECES = [b"a", b".", b"..", b"\r\n", b"\n", b"\r\n.", b"\r\n..x", b"\x00\xff", b"\r", b"long" * 10]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30), st.integers(1, 40))
@example([b"\r\n", b"\r", b"."], 1)
def test_a_multi_line_reply_is_read_as_poplib_reads_it(pieces: list[bytes], size: int) -> None:
    """Whatever its dots, however it is cut, and nothing after it is taken: where all lines end as a
    server ends them. (Others end a message for poplib, and not here: tests/test_reader.py.)"""
    text = re.sub(rb"\r*\n|\r+", b"\r\n", b"".join(pieces)) + b"\r\n.\r\n"
    text = text.replace(b"\r\n.\r\n", b"\r\n..\r\n").removesuffix(b"..\r\n") + b".\r\n"
    text = text if not text.startswith(b".\r\n") else b"." + text
    standard = Standard(b"+OK\r\n" + text)
    _, lines, octets = standard._getlongresp()  # type: ignore[attr-defined]
    with pair(Limits(read=5)) as (server, reader):
        sending = threading.Thread(target=_send_in_parts, args=(server, text, size))
        sending.start()
        got, stuffed = _split(read := reader.read_until_dot())
        sending.join()
        assert (got, len(read) - stuffed) == (lines, octets)
        assert reader.readline() == standard.file.readline()


def _send_in_parts(sock: socket.socket, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        sock.sendall(data[start : start + size])
    sock.shutdown(socket.SHUT_WR)


def test_a_multi_line_reply_without_its_end_is_an_end_of_the_connection() -> None:
    with pair() as (server, reader):
        server.sendall(b"one\r\ntwo\r\n")
        server.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            reader.read_until_dot()


def test_the_bounds_hold_within_a_multi_line_reply() -> None:
    with pair() as (server, reader):
        server.sendall(b"x" * 5_000)
        threading.Timer(0.05, server.sendall, (b"x" * 6_000 + b"\r\n.\r\n",)).start()
        with pytest.raises(LimitExceeded, match="a line of more than 10,000 octets"):
            reader.read_until_dot()
    with pair() as (server, reader):
        server.sendall(b"x\r\n" * 150)
        with pytest.raises(LimitExceeded, match="more than 100 lines"):
            reader.read_until_dot()


def test_a_callers_timeout_within_a_message_is_a_time_out_and_no_end() -> None:
    with pair() as (server, reader):
        server.sendall(b"half a message\r\n")
        reader.sock.settimeout(0.05)
        with pytest.raises(TimeLimitExceeded, match="set on the socket"):
            reader.read_until_dot()


def test_the_systems_own_time_out_needs_no_limit_of_ours() -> None:
    """Without `Limits.read` the kernel may still give up (ETIMEDOUT)."""

    class GivesUp:
        def gettimeout(self) -> None:
            """None: it waits."""

        def setsockopt(self, *_: object) -> None:
            """Nothing to set."""

        def recv_into(self, _: object) -> int:
            raise TimeoutError(110, "Connection timed out")

    reader = Reader(GivesUp(), Limits(read=None), lambda error: error)
    with pytest.raises(TimeLimitExceeded, match="the system's own time limit"):
        reader.readline()


# -- over TLS, under the inherited methods

GREETING = {
    "imap": b"* OK ready\r\n",
    "pop3": b"+OK ready\r\n",
    "smtp": b"220 ready\r\n",
}
Talk = Callable[[Conversation, bytes], None]


def says(protocol: str, talk: Talk) -> Callable[[Conversation], None]:
    """Greets, answers CAPABILITY, and then talks as told."""

    def script(conversation: Conversation) -> None:
        conversation.send(GREETING[protocol])
        line = conversation.read_line()
        if protocol == "imap":
            tag = line.split()[0]
            conversation.send(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")
            line = conversation.read_line()
        talk(conversation, (line.split() or [b""])[0])
        conversation.sleep_until_closed(5)

    return script


CLASSES: dict[str, tuple[Any, Callable[[Any], object], type[Exception]]] = {
    "imap": (IMAP4_SSL, lambda client: client.noop(), imaplib.IMAP4.error),
    "pop3": (POP3_SSL, lambda client: client.list(), poplib.error_proto),
    "smtp": (SMTP_SSL, lambda client: client.noop(), smtplib.SMTPException),
}


def silent(conversation: Conversation, tag: bytes) -> None:
    """Nothing."""


def flood(protocol: str) -> Talk:
    lines = {"imap": b"* X\r\n", "pop3": b"+OK\r\n", "smtp": b"250-x\r\n"}[protocol]
    return lambda conversation, tag: conversation.send(lines * 500)


def long_line(protocol: str) -> Talk:
    start = {"imap": b"* OK ", "pop3": b"+OK\r\n", "smtp": b"250 "}[protocol]
    return lambda conversation, tag: conversation.send(start + b"x" * 20_000 + b"\r\n")


@pytest.mark.parametrize("protocol", CLASSES)
@pytest.mark.parametrize("how", ["silence", "too many lines", "too long a line"])
def test_a_bound_that_is_crossed_ends_the_connection_for_good(
    how: str, protocol: str, pki: PKI
) -> None:
    """`sock` is None, and every later verb raises the same error again."""
    cls, verb, _ = CLASSES[protocol]
    talk = {"silence": silent, "too many lines": flood(protocol)}.get(how, long_line(protocol))
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with RecordingServer(says(protocol, talk), context=pki["good"].server_context()) as server:
        client = cls("127.0.0.1", server.port, policy=policy, limits=SOON)
        with pytest.raises(LimitExceeded) as caught:
            verb(client)
        assert isinstance(caught.value, TimeLimitExceeded) == (how == "silence")
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", server.port)
        assert client.sock is None
        for _ in range(2):
            with pytest.raises(LimitExceeded) as again:
                verb(client)
            assert again.value is caught.value


@pytest.mark.parametrize("protocol", CLASSES)
def test_control_the_same_verbs_within_the_bounds(protocol: str, pki: PKI) -> None:
    cls, verb, _ = CLASSES[protocol]

    def polite(conversation: Conversation, tag: bytes) -> None:
        answer = {
            "imap": tag + b" OK done\r\n",
            "pop3": b"+OK\r\n1 5\r\n.\r\n",
            "smtp": b"250 ok\r\n",
        }
        conversation.send(answer[protocol])

    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with RecordingServer(says(protocol, polite), context=pki["good"].server_context()) as server:
        client = cls("127.0.0.1", server.port, policy=policy, limits=SOON)
        assert verb(client)
        (client.close if protocol != "imap" else client.shutdown)()


def test_a_reconnected_smtp_object_starts_anew(pki: PKI) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with RecordingServer(says("smtp", silent), context=pki["good"].server_context()) as server:
        client = SMTP_SSL("127.0.0.1", server.port, policy=policy, limits=SOON)
        with pytest.raises(TimeLimitExceeded):
            client.noop()
        code, _ = client.connect("127.0.0.1", server.port)
        assert code == 220
        client.close()


@pytest.mark.parametrize("name", ["line", "literal", "lines"])
@pytest.mark.parametrize("value", [0, -1, "5", 2.5])
def test_limits_of_size_are_whole_numbers_above_zero(name: str, value: object) -> None:
    with pytest.raises(PolicyError, match="a number above 0"):
        Limits(**{name: value})  # type: ignore[arg-type]
