"""The loopback servers' ports with STARTTLS, and the relay, met by the standard modules.

The control is `upgraded`: the same clients, after the upgrade, may do everything.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import imaplib
import logging
import poplib
import smtplib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiosmtpd")
pytest.importorskip("trustme")

from securemail.testing import Authority, MailServers
from securemail.testing.recording import Recording
from servers.leaks import leaks

PASSWORD = "correct horse"
USERS = {"alice": PASSWORD}
MESSAGE = b"From: a@example.org\r\nSubject: hello\r\n\r\nfirst\r\n.second\r\n"
PLAIN = base64.b64encode(f"\0alice\0{PASSWORD}".encode())
SIGNED_IN = {"imap": b"c OK", "pop3": b"+OK", "submission": b"235"}


@dataclass(frozen=True)
class Wire:
    """The same steps as octets. `upgrade` is the whole request; `ready` begins the answer to it."""

    upgrade: bytes
    ready: bytes
    noop: bytes
    goes_well: bytes
    sign_in: bytes
    refused: bytes


WIRE = {
    "imap": Wire(
        b"a STARTTLS\r\n",
        b"a OK",
        b"b NOOP\r\n",
        b"b OK",
        b'c LOGIN alice "correct horse"\r\n',
        b"c NO [PRIVACYREQUIRED]",
    ),
    "pop3": Wire(
        b"STLS\r\n",
        b"+OK",
        b"CAPA\r\n",
        b"+OK",
        b"AUTH PLAIN " + PLAIN + b"\r\n",
        b"-ERR STLS first",
    ),
    "submission": Wire(
        b"STARTTLS\r\n",
        b"220",
        b"NOOP\r\n",
        b"250",
        b"AUTH PLAIN " + PLAIN + b"\r\n",
        b"538 5.7.11",
    ),
}
each_port = pytest.mark.parametrize("protocol", WIRE)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def context(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    authority.write_ca(tmp_path / "ca.pem")
    return ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))


@pytest.fixture(autouse=True)
def no_mistake_of_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may make a server log a mistake, nor anybody a password."""
    caplog.set_level(logging.DEBUG)
    yield
    logged = [record.getMessage() for record in caplog.records]
    assert [text for text in logged if PASSWORD in text or PLAIN.decode() in text] == []
    assert [record for record in caplog.records if record.name == "securemail.testing"] == []
    ours = [record for record in caplog.records if record.threadName == "securemail.testing"]
    assert [record.getMessage() for record in ours if record.name != "asyncio"] == []
    assert [record.getMessage() for record in ours if record.levelno >= logging.WARNING] == []


@pytest.fixture
def servers(authority: Authority) -> Iterator[MailServers]:
    with MailServers(users=USERS, authority=authority, relay=True) as servers:
        yield servers


class Line:
    """A connection of octets, that reads one line at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            octet = self.socket.recv(1)
            if not octet:
                break
            line += octet
        return line

    def say(self, octets: bytes) -> bytes:
        self.send(octets)
        return self.line()

    def many(self, octets: bytes, last: bytes) -> bytes:
        """All lines of the answer, up to the one that begins so."""
        self.send(octets)
        lines = [self.line()]
        while not lines[-1].startswith(last):
            assert lines[-1], lines
            lines.append(self.line())
        return b"".join(lines)


@contextlib.contextmanager
def in_clear(servers: MailServers, protocol: str) -> Iterator[Line]:
    """Connected and greeted; SMTP has said its EHLO."""
    address = (servers.host, servers.ports[protocol])
    with socket.create_connection(address, timeout=10) as connection:
        line = Line(connection)
        line.line()
        if protocol in ("submission", "relay"):
            line.many(b"EHLO me\r\n", b"250 ")
        yield line


@contextlib.contextmanager
def upgraded(
    servers: MailServers, protocol: str, context: ssl.SSLContext, extra: bytes = b""
) -> Iterator[Line]:
    """Upgraded, though something more was sent in clear together with the request."""
    with in_clear(servers, protocol) as line:
        wire = WIRE[protocol]
        assert line.say(wire.upgrade + extra).startswith(wire.ready)
        with context.wrap_socket(line.socket, server_hostname="localhost") as tls:
            within = Line(tls)
            yield within


def sign_in(line: Line, protocol: str) -> bytes:
    if protocol == "submission":
        line.many(b"EHLO me\r\n", b"250 ")
    return line.say(WIRE[protocol].sign_in)


def received(servers: MailServers) -> tuple[bytes, bytes]:
    """Of the one connection: what came within TLS, and outside it, when nothing is on its way."""
    servers.stop()
    (_, within), (_, outside) = *servers.received, *servers.received_clear
    return within, outside


class TestOffers:
    def test_imap(self, servers: MailServers, context: ssl.SSLContext) -> None:
        port = servers.ports["imap"]
        with imaplib.IMAP4("localhost", port, timeout=10) as imap:
            assert {"STARTTLS", "LOGINDISABLED"} <= set(imap.capabilities)
            assert not any(each.startswith("AUTH=") for each in imap.capabilities)
            greeted = imap.welcome
            assert b"STARTTLS LOGINDISABLED" in greeted
            imap.starttls(context)
            assert "AUTH=PLAIN" in imap.capabilities
            assert not {"STARTTLS", "LOGINDISABLED"} & set(imap.capabilities)

    def test_pop3(self, servers: MailServers, context: ssl.SSLContext) -> None:
        with closing_pop3(servers) as pop3:
            assert set(pop3.capa()) == {"TOP", "UIDL", "STLS"}
            pop3.stls(context)
            assert {"USER", "SASL"} <= set(pop3.capa())
            assert "STLS" not in pop3.capa()

    def test_submission(self, servers: MailServers, context: ssl.SSLContext) -> None:
        with smtplib.SMTP("localhost", servers.ports["submission"], "client", timeout=10) as smtp:
            smtp.ehlo()
            assert smtp.has_extn("starttls")
            assert not smtp.has_extn("auth")
            smtp.starttls(context=context)
            assert smtp.esmtp_features == {}
            smtp.ehlo()
            assert not smtp.has_extn("starttls")
            assert smtp.has_extn("auth")

    @each_port
    def test_certificate_is_that_of_the_tls_ports(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        with upgraded(servers, protocol, context) as line:
            assert isinstance(line.socket, ssl.SSLSocket)
            pem = ssl.DER_cert_to_PEM_cert(line.socket.getpeercert(binary_form=True) or b"")
        assert pem.split() == servers.certificate_pem.decode().split()


@contextlib.contextmanager
def closing_pop3(servers: MailServers) -> Iterator[poplib.POP3]:
    pop3 = poplib.POP3("localhost", servers.ports["pop3"], timeout=10)
    try:
        yield pop3
        pop3.quit()
    finally:
        pop3.close()


class TestBeforeTLS:
    @each_port
    def test_signing_in_is_refused_and_works_after_the_upgrade(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        with in_clear(servers, protocol) as line:
            assert line.say(WIRE[protocol].sign_in).startswith(WIRE[protocol].refused)
        with upgraded(servers, protocol, context) as line:
            assert sign_in(line, protocol).startswith(SIGNED_IN[protocol])

    @pytest.mark.parametrize(
        ("protocol", "command", "refusal"),
        [
            ("imap", b"x AUTHENTICATE PLAIN\r\n", b"x NO [PRIVACYREQUIRED]"),
            ("imap", b"x AUTHENTICATE PLAIN " + PLAIN + b"\r\n", b"x NO [PRIVACYREQUIRED]"),
            ("imap", b"x LOGIN\r\n", b"x NO [PRIVACYREQUIRED]"),
            ("imap", b"x SELECT INBOX\r\n", b"x BAD"),
            ("imap", b"x STARTTLS now\r\n", b"x BAD"),
            ("pop3", b"USER alice\r\n", b"-ERR STLS first"),
            ("pop3", b"PASS correct horse\r\n", b"-ERR STLS first"),
            ("pop3", b"APOP alice 0123456789abcdef0123456789abcdef\r\n", b"-ERR STLS first"),
            ("pop3", b"AUTH PLAIN\r\n", b"-ERR STLS first"),
            ("pop3", b"STLS now\r\n", b"-ERR"),
            ("pop3", b"STAT\r\n", b"-ERR"),
            ("submission", b"AUTH PLAIN\r\n", b"538 5.7.11"),
            ("submission", b"AUTH LOGIN\r\n", b"538 5.7.11"),
            (
                "submission",
                b"MAIL FROM:<a@example.org>\r\n",
                b"530 5.7.0 Must issue a STARTTLS command first",
            ),
            ("submission", b"RCPT TO:<a@example.org>\r\n", b"503"),
            ("submission", b"STARTTLS now\r\n", b"501"),
        ],
    )
    def test_refusals(
        self, servers: MailServers, protocol: str, command: bytes, refusal: bytes
    ) -> None:
        with in_clear(servers, protocol) as line:
            assert line.say(command).startswith(refusal)
            assert line.say(WIRE[protocol].noop).startswith(WIRE[protocol].goes_well)

    def test_apop_goes_on_with_the_timestamp_of_the_greeting(
        self, authority: Authority, context: ssl.SSLContext
    ) -> None:
        with (
            MailServers(users=USERS, authority=authority, apop=True) as servers,
            closing_pop3(servers) as pop3,
        ):
            with pytest.raises(poplib.error_proto, match="STLS first"):
                pop3.apop("alice", PASSWORD)
            pop3.stls(context)
            assert pop3.apop("alice", PASSWORD).startswith(b"+OK")


class TestUpgrade:
    @each_port
    def test_what_was_sent_along_with_the_request_is_dropped(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        """CVE-2011-0411: the answer to an injected command would be taken for that to our own."""
        wire = WIRE[protocol]
        with upgraded(servers, protocol, context, extra=wire.noop + wire.sign_in) as line:
            if protocol == "submission":
                assert line.say(wire.sign_in).startswith(b"503 Error: send EHLO first")
                assert line.many(b"EHLO me\r\n", b"250 ").startswith(b"250-localhost")
            else:
                assert line.say(b"nonsense\r\n").startswith((b"* BAD", b"-ERR"))
            assert line.say(wire.sign_in).startswith(SIGNED_IN[protocol])

    @each_port
    def test_what_comes_in_clear_after_the_ok_ends_the_connection(
        self, servers: MailServers, protocol: str
    ) -> None:
        wire = WIRE[protocol]
        with in_clear(servers, protocol) as line:
            assert line.say(wire.upgrade).startswith(wire.ready)
            line.send(wire.sign_in)
            assert read_to_the_end(line.socket) == b""
        within, outside = received(servers)
        assert within == b""
        assert outside.endswith(wire.upgrade + wire.sign_in)

    @pytest.mark.parametrize("protocol", ["imap", "pop3"])
    def test_a_handshake_that_is_quicker_than_the_server(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What comes after the OK waits for the TLS layer, however long that takes to begin."""
        go_on = MailServers._go_on_within_tls

        async def later(*arguments: Any) -> None:
            await asyncio.sleep(0.1)
            await go_on(*arguments)

        monkeypatch.setattr(MailServers, "_go_on_within_tls", later)
        with upgraded(servers, protocol, context) as line:
            assert sign_in(line, protocol).startswith(SIGNED_IN[protocol])

    @each_port
    def test_no_second_upgrade(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        wire = WIRE[protocol]
        with upgraded(servers, protocol, context) as line:
            assert line.say(wire.upgrade).startswith((b"a BAD", b"-ERR", b"503"))
            assert line.say(wire.noop).startswith(wire.goes_well)

    def test_smtp_forgets_its_ehlo_and_its_sender(
        self, servers: MailServers, context: ssl.SSLContext
    ) -> None:
        """RFC 3207 4.2."""
        with upgraded(servers, "submission", context) as line:
            assert line.say(b"MAIL FROM:<a@example.org>\r\n").startswith(b"503")
            line.many(b"EHLO me\r\n", b"250 ")
            assert line.say(b"MAIL FROM:<a@example.org>\r\n").startswith(b"530 5.7.0 Auth")
            assert line.say(b"RCPT TO:<a@example.org>\r\n").startswith(b"503")

    @each_port
    def test_commands_right_behind_the_handshake(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        """In one segment with the end of the handshake, as TLS 1.3 lets an eager client do."""
        wire = WIRE[protocol]
        with in_clear(servers, protocol) as line:
            assert line.say(wire.upgrade).startswith(wire.ready)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    line.send(outgoing.read())
                    incoming.write(line.socket.recv(65536))
            tls.write(wire.noop)
            line.send(outgoing.read())
            answer = b""
            while not answer.endswith(b"\n"):
                with contextlib.suppress(ssl.SSLWantReadError):
                    answer += tls.read(1)
                    continue
                incoming.write(line.socket.recv(65536))
            assert answer.startswith(wire.goes_well)
        within, outside = received(servers)
        assert within == wire.noop
        assert outside.endswith(wire.upgrade)


def read_to_the_end(connection: socket.socket) -> bytes:
    octets = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(1000):
            octets += more
    return octets


def use_imap(servers: MailServers, context: ssl.SSLContext) -> None:
    with imaplib.IMAP4("localhost", servers.ports["imap"], timeout=10) as imap:
        imap.starttls(context)
        imap.login("alice", PASSWORD)
        imap.select()
        data: Any = imap.fetch("1", "(BODY.PEEK[])")[1]
        assert data[0][1] == MESSAGE


def use_pop3(servers: MailServers, context: ssl.SSLContext) -> None:
    with closing_pop3(servers) as pop3:
        pop3.stls(context)
        pop3.user("alice")
        pop3.pass_(PASSWORD)
        assert b"\r\n".join([*pop3.retr(1)[1], b""]) == MESSAGE


def use_submission(servers: MailServers, context: ssl.SSLContext) -> None:
    with smtplib.SMTP("localhost", servers.ports["submission"], "client", timeout=10) as smtp:
        smtp.starttls(context=context)
        smtp.login("alice", PASSWORD)
        assert smtp.sendmail("a@example.org", ["b@example.org"], MESSAGE) == {}


USE: dict[str, Callable[[MailServers, ssl.SSLContext], None]] = {
    "imap": use_imap,
    "pop3": use_pop3,
    "submission": use_submission,
}


class TestRecording:
    def test_octets_within_tls_show_that_there_was_a_handshake(self) -> None:
        """They may be there before anybody has told so, and be the last."""
        recording = Recording("imap")
        recording.add_from_socket(b"a STARTTLS\r\n")
        recording.add_in_clear(b"a STARTTLS\r\n")
        recording.add_from_socket(b"handshake")
        assert recording.outside_tls == b"a STARTTLS\r\nhandshake"
        recording.add_within_tls(b"b NOOP\r\n")
        assert recording.outside_tls == b"a STARTTLS\r\n"

    @each_port
    def test_a_good_client_leaves_its_password_within_tls(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        servers.mailbox.deliver(MESSAGE)
        USE[protocol](servers, context)
        within, outside = received(servers)
        assert leaks(within, PASSWORD) != []
        assert leaks(outside, PASSWORD) == []
        # Python 3.14 takes IMAP's capabilities from the greeting.
        first_word = {"imap": b" STARTTLS", "pop3": b"STLS", "submission": b"ehlo client"}
        assert first_word[protocol] in outside
        assert WIRE[protocol].upgrade.split()[-1] in outside
        assert outside.isascii(), "something of the handshake"
        assert servers.mailbox.messages()[-1].data == MESSAGE

    @each_port
    def test_a_bad_one_does_not(self, servers: MailServers, protocol: str) -> None:
        with in_clear(servers, protocol) as line:
            line.say(WIRE[protocol].sign_in)
        within, outside = received(servers)
        assert within == b""
        assert leaks(outside, PASSWORD) != []

    @each_port
    def test_what_is_sent_along_with_the_request_is_recorded_though_it_is_dropped(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        wire = WIRE[protocol]
        with upgraded(servers, protocol, context, extra=wire.sign_in):
            pass
        within, outside = received(servers)
        assert within == b""
        assert outside.endswith(wire.upgrade + wire.sign_in)

    @pytest.mark.parametrize("protocol", ["imaps", "pop3s", "submissions"])
    def test_clear_words_to_a_tls_port(self, servers: MailServers, protocol: str) -> None:
        address = (servers.host, servers.ports[protocol])
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(b"a LOGIN alice secret\r\n")
            read_to_the_end(connection)
        assert received(servers) == (b"", b"a LOGIN alice secret\r\n")

    @pytest.mark.parametrize("protocol", ["imaps", "pop3s", "submissions"])
    def test_nothing_of_a_good_handshake(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        address = (servers.host, servers.ports[protocol])
        with (
            socket.create_connection(address, timeout=10) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as tls,
        ):
            line = Line(tls)
            line.line()
            line.say(b"NOOP\r\n")
        assert received(servers) == (b"NOOP\r\n", b"")


class TestRelay:
    def test_takes_mail_in_clear_and_offers_nothing_else(self, servers: MailServers) -> None:
        with smtplib.SMTP("localhost", servers.ports["relay"], "client", timeout=10) as smtp:
            smtp.ehlo()
            assert not smtp.has_extn("starttls")
            assert not smtp.has_extn("auth")
            assert smtp.sendmail("a@example.org", ["b@example.org"], MESSAGE) == {}
        assert [message.data for message in servers.mailbox.messages()] == [MESSAGE]
        within, outside = received(servers)
        assert within == b""
        assert b"Subject: hello" in outside

    def test_knows_neither_starttls_nor_auth(self, servers: MailServers) -> None:
        with in_clear(servers, "relay") as line:
            assert line.say(b"STARTTLS\r\n").startswith(b"502")
            assert line.say(b"AUTH PLAIN " + PLAIN + b"\r\n").startswith(b"503")
            assert line.say(b"NOOP\r\n").startswith(b"250")

    def test_is_there_only_if_asked_for(self, authority: Authority) -> None:
        with MailServers(users=USERS, authority=authority) as servers:
            assert set(servers.ports) == {
                *("imaps", "pop3s", "submissions", "imap", "pop3", "submission")
            }


def hang_up(line: Line) -> None:
    line.socket.close()


def reset(line: Line) -> None:
    linger = struct.pack("ii", 1, 0)
    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    line.socket.close()


def garbage(line: Line) -> None:
    line.send(b"\x16\x03\x01\x00\x05hello")
    line.socket.close()


def distrust(line: Line) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(line.socket, server_hostname="localhost")


def half_a_handshake(line: Line) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    line.send(outgoing.read())
    line.socket.close()


def is_over(servers: MailServers) -> bool:
    """Whether no connection is left."""
    end = time.monotonic() + 5
    while servers._conversations and time.monotonic() < end:
        time.sleep(0.01)
    return not servers._conversations


class TestLife:
    @each_port
    @pytest.mark.parametrize("misbehave", [hang_up, reset, garbage, distrust, half_a_handshake])
    def test_an_upgrade_that_fails_ends_the_connection_and_nothing_else(
        self,
        servers: MailServers,
        context: ssl.SSLContext,
        protocol: str,
        misbehave: Callable[[Line], None],
    ) -> None:
        with in_clear(servers, protocol) as line:
            assert line.say(WIRE[protocol].upgrade).startswith(WIRE[protocol].ready)
            misbehave(line)
            assert is_over(servers)
        with upgraded(servers, protocol, context) as line:
            assert sign_in(line, protocol).startswith(SIGNED_IN[protocol])

    @each_port
    def test_stop_in_clear_in_the_handshake_and_within_tls(
        self, servers: MailServers, context: ssl.SSLContext, protocol: str
    ) -> None:
        with (
            in_clear(servers, protocol),
            in_clear(servers, protocol) as waiting,
            upgraded(servers, protocol, context) as within,
        ):
            waiting.say(WIRE[protocol].upgrade)
            within.say(WIRE[protocol].noop)
            began = time.monotonic()
            servers.stop()
            assert time.monotonic() - began < 2
            assert "securemail.testing" not in {thread.name for thread in threading.enumerate()}
            assert read_to_the_end(waiting.socket) == b""

    def test_nothing_is_left_behind(self, authority: Authority, context: ssl.SSLContext) -> None:
        def use() -> None:
            with MailServers(users=USERS, authority=authority) as servers:
                servers.mailbox.deliver(MESSAGE)
                for protocol, client in USE.items():
                    client(servers, context)
                    with in_clear(servers, protocol) as line:
                        line.say(WIRE[protocol].upgrade)
                        distrust(line)

        before = open_descriptors()
        for _ in range(3):
            use()
        assert open_descriptors() == before


def open_descriptors() -> list[str]:
    gc.collect()
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    names = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this very listing
            names.append(str(path.readlink()))
    return sorted(name for name in names if "/proc/" not in name)
