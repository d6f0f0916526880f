"""Waits and memory that had no end: each reply has one time, all that is said while a connection is
opened has one together, and before a sign-in there are few octets. Interruptions end a
connection."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3_STARTTLS,
    SMTP_STARTTLS,
    CATrust,
    LimitExceeded,
    Limits,
    ProtocolViolation,
    SecureMailError,
    TimeLimitExceeded,
    TLSPolicy,
)
from servers.attempts import MAIL, PASSWORD, USER, Mail
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.scripts import GREETINGS

Factory = Callable[..., RecordingServer]
Talk = Callable[[Conversation], None]
STARTTLS = {"imap": IMAP4_STARTTLS, "pop3": POP3_STARTTLS, "smtp": SMTP_STARTTLS}
each_protocol = pytest.mark.parametrize("protocol", STARTTLS)
SOON = Limits(connect=5, read=1)


def a_line_now_and_then(protocol: str) -> Talk:
    """Which is never the last one; each comes before the limit."""
    lines = {"imap": b"* OK wait\r\n", "pop3": b"X-WAIT\r\n", "smtp": b"250-WAIT\r\n"}

    def talk(conversation: Conversation) -> None:
        conversation.send(GREETINGS[protocol])
        conversation.read_line()
        if protocol == "pop3":
            conversation.send(b"+OK\r\n")
        with suppress(OSError):
            while not conversation.sleep_until_closed(0.3):
                conversation.send(lines[protocol])

    return talk


def little_by_little(protocol: str) -> Talk:
    """One line, of which a kibibyte comes before each limit."""

    def talk(conversation: Conversation) -> None:
        conversation.send(GREETINGS[protocol][:4])
        with suppress(OSError):
            while not conversation.sleep_until_closed(0.3):
                conversation.send(b"x" * 1024)

    return talk


@each_protocol
@pytest.mark.parametrize("drips", [a_line_now_and_then, little_by_little])
def test_in_clear_nobody_holds_a_constructor(
    drips: Callable[[str], Talk], protocol: str, pki: PKI, recording_server: Factory
) -> None:
    server = recording_server(drips(protocol))
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with pytest.raises(TimeLimitExceeded) as raised:
        STARTTLS[protocol]("127.0.0.1", server.port, policy=policy, limits=SOON)
    assert raised.value.credentials_sent is False
    assert server.connections == 1


class SignsInSlowly:
    """A sign-in whose reply is lines without end, each before the limit."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    def __call__(self, conversation: Conversation) -> None:
        protocol = self.protocol
        conversation.send(GREETINGS[protocol])
        while line := conversation.read_line():
            tag = line.split()[0]
            if b"AUTH" in line.upper():
                break
            conversation.send(
                {
                    "imap": b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n"
                    + tag
                    + b" OK done\r\n",
                    "pop3": b"+OK\r\nSASL PLAIN\r\n.\r\n",
                    "smtp": b"250-me\r\n250 AUTH PLAIN\r\n",
                }[protocol]
            )
        with suppress(OSError):
            while not conversation.sleep_until_closed(0.3):
                conversation.send(
                    {"imap": b"* OK wait\r\n", "smtp": b"235-wait\r\n"}.get(protocol, b"x")
                )


@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_nor_a_sign_in(mail: Mail, pki: PKI, recording_server: Factory) -> None:
    server = recording_server(SignsInSlowly(mail.protocol), context=pki["good"].server_context())
    client = mail.cls(
        "127.0.0.1", server.port, policy=TLSPolicy(trust=CATrust(pki.ca_pem)), limits=SOON
    )
    with pytest.raises(TimeLimitExceeded):
        client.login(USER, PASSWORD)
    assert client.sock is None


def test_literals_before_a_sign_in_have_a_bound_together(
    pki: PKI, recording_server: Factory
) -> None:
    sent = []

    def talk(conversation: Conversation) -> None:
        conversation.send(GREETINGS["imap"])
        conversation.read_line()
        with suppress(OSError):
            for _ in range(1000):
                conversation.send(b"* LIST () NIL {60000}\r\n" + b"x" * 60_000 + b"\r\n")
                sent.append(60_000)

    server = recording_server(talk)
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with pytest.raises(
        LimitExceeded, match="65,536 octets in one reply, before a sign-in"
    ) as raised:
        IMAP4_STARTTLS("127.0.0.1", server.port, policy=policy, timeout=5)
    assert raised.value.code == "limit-reply"
    server.wait()
    assert sum(sent) < 50_000_000, "it went on taking them"


def fetching(conversation: Conversation) -> None:
    """Signs in anybody, and has one message of three literals."""
    conversation.send(GREETINGS["imap"])
    while line := conversation.read_line():
        tag = line.split()[0]
        if b"FETCH" in line:
            for _ in range(3):
                conversation.send(b"* 1 FETCH (BODY[] {40000}\r\n" + b"x" * 40_000 + b")\r\n")
        capability = b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n" * (b"CAPABILITY" in line)
        conversation.send(capability + tag + b" OK done\r\n")


@pytest.mark.parametrize(("most", "is_refused"), [(100_000, True), (130_000, False)])
def test_later_limits_reply_is_that_bound(
    most: int, is_refused: bool, pki: PKI, recording_server: Factory
) -> None:
    server = recording_server(fetching, context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with IMAP4_SSL("127.0.0.1", server.port, policy=policy, limits=Limits(reply=most)) as imap:
        imap.login(USER, PASSWORD)
        imap.select()
        if is_refused:
            with pytest.raises(LimitExceeded, match="100,000 octets in one reply"):
                imap.fetch("1", "(BODY[])")
        else:
            assert len(imap.fetch("1", "(BODY[])")[1]) == 6


# --- records without data, without end ------------------------------------------------------------

HELLO_REQUEST = b"\x16\x03\x03\x00\x04" + bytes(4)  # RFC 5246, 7.4.1.1: needs no certificate


@pytest.fixture
def flood() -> Iterator[int]:
    """A server in a process of its own, that sends them for ever; its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if not child:
        try:
            sock, _ = listening.accept()
            sock.recv(65536)
            while True:
                sock.sendall(HELLO_REQUEST * 100_000)
        finally:
            os._exit(0)
    yield listening.getsockname()[1]
    listening.close()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_flood_within_the_handshake_ends_with_the_limits(flood: int, pki: PKI) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with pytest.raises(TimeLimitExceeded, match="no TLS within 1 s"):
        IMAP4_SSL("127.0.0.1", flood, policy=policy, limits=Limits(connect=1, read=1))
    deadline = time.monotonic() + 20
    while any(one.name == "securemail watch" for one in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread that ended it does not end"
        time.sleep(0.1)


# --- an exception in the middle -------------------------------------------------------------------


class TooSlow(Exception):
    """What a signal's handler raises, as the usual alarm() does."""


HALF = {
    "imap": b"* 1 FETCH (BODY[] {100}\r\nhalf a message\r\n",
    "pop3": b"+OK\r\nhalf a message\r\n",
    "smtp": b"250-half a reply\r\n",
}
READS: dict[str, Callable[[Any], Any]] = {
    "imap": lambda imap: imap.fetch("1", "(BODY[])"),
    "pop3": lambda pop: pop.retr(1),
    "smtp": lambda smtp: smtp.docmd("VRFY", "ada"),
}


class HalfAnAnswer:
    """Polite, until something is read; then the rest never comes."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.has_begun = threading.Event()

    def __call__(self, conversation: Conversation) -> None:
        protocol = self.protocol
        conversation.send(GREETINGS[protocol])
        while line := conversation.read_line():
            tag = line.split()[0]
            if any(word in line.upper() for word in (b"FETCH", b"RETR", b"VRFY")):
                conversation.send(HALF[protocol])
                self.has_begun.set()
                conversation.sleep_until_closed(30)
                return
            said = {
                "imap": b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n" + tag + b" OK done\r\n",
                "pop3": b"+OK\r\nSASL PLAIN\r\n.\r\n" if b"CAPA" in line else b"+OK\r\n",
                "smtp": b"235 in\r\n" if b"AUTH" in line else b"250-me\r\n250 AUTH PLAIN\r\n",
            }
            conversation.send(said[protocol])


def interrupt_when(event: threading.Event) -> threading.Thread:
    """A signal to this thread, once the answer has begun, and again until it is heard."""

    def send() -> None:
        assert event.wait(30)
        while signal.getsignal(signal.SIGUSR1) is raise_too_slow:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.2)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def raise_too_slow(*_: object) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # once
    raise TooSlow


@pytest.fixture
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, raise_too_slow)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("leaves_with", [False, True])
@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_an_exception_in_the_middle_of_a_reply_ends_the_connection(
    mail: Mail, leaves_with: bool, pki: PKI, recording_server: Factory
) -> None:
    script = HalfAnAnswer(mail.protocol)
    server = recording_server(script, context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = mail.cls("127.0.0.1", server.port, policy=policy, timeout=30)
    client.login(USER, PASSWORD)
    if mail.protocol == "imap":
        client.select()
    thread = interrupt_when(script.has_begun)
    with pytest.raises(TooSlow):
        if leaves_with:
            with client:
                READS[mail.protocol](client)
        else:
            READS[mail.protocol](client)
    thread.join()
    assert client.sock is None
    with pytest.raises(mail.standard_error) as later:
        client.noop()
    assert isinstance(later.value, SecureMailError)
    assert later.value.code == "interrupted"
    (record,) = server.wait()
    last = bytes(record.tls).splitlines()[-1].upper()
    assert any(word in last for word in (b"FETCH", b"RETR", b"VRFY")), "something went out after it"


# --- replies that are none ------------------------------------------------------------------------


def answers(protocol: str, said: bytes) -> Talk:
    """`said` to NOOP; polite otherwise."""

    def talk(conversation: Conversation) -> None:
        conversation.send(GREETINGS[protocol])
        while line := conversation.read_line():
            polite = {"pop3": b"+OK\r\n", "smtp": b"250-me\r\n250 AUTH PLAIN\r\n"}[protocol]
            conversation.send(said if b"NOOP" in line.upper() else polite)

    return talk


NO_REPLIES = [
    ("pop3", b"+OKAY\r\n"),
    ("pop3", b"+\r\n"),
    ("pop3", b"fine\r\n"),
    ("smtp", b"2500 ok\r\n"),
    ("smtp", b"250ok\r\n"),
    ("smtp", b"250-one\r\n251 two\r\n"),
    ("smtp", b"199 ok\r\n"),
    ("smtp", b"ok\r\n"),
]


@pytest.mark.parametrize(("protocol", "said"), NO_REPLIES)
def test_what_is_no_reply_is_none(
    protocol: str, said: bytes, pki: PKI, recording_server: Factory
) -> None:
    server = recording_server(answers(protocol, said), context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = MAIL[protocol].cls("127.0.0.1", server.port, policy=policy, timeout=5)
    with pytest.raises(ProtocolViolation):
        client.noop()
    assert client.sock is None


@pytest.mark.parametrize("protocol", ["pop3", "smtp"])
def test_a_reply_too_many_answers_nothing(
    protocol: str, pki: PKI, recording_server: Factory
) -> None:
    twice = {"pop3": b"+OK\r\n+OK deleted\r\n", "smtp": b"250 ok\r\n250 queued\r\n"}[protocol]
    server = recording_server(answers(protocol, twice), context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = MAIL[protocol].cls("127.0.0.1", server.port, policy=policy, timeout=5)
    client.noop()
    with pytest.raises(ProtocolViolation, match="without being asked"):
        client.rset()
    assert b"RSET" not in bytes(server.wait()[0].tls).upper()


@pytest.mark.parametrize(("protocol", "said"), [("pop3", b"+OK\r\n"), ("smtp", b"250 ok\r\n")])
def test_control_one_reply_each(
    protocol: str, said: bytes, pki: PKI, recording_server: Factory
) -> None:
    server = recording_server(answers(protocol, said), context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = MAIL[protocol].cls("127.0.0.1", server.port, policy=policy, timeout=5)
    client.noop()
    client.rset()
    client.close()
