"""The loopback servers, met by the standard modules and by other clients over verified TLS."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import imaplib
import logging
import os
import poplib
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("aiosmtpd")
pytest.importorskip("trustme")

from securemail.testing import Authority, Mailbox, MailServers
from securemail.testing.authority import CertificateKind
from securemail.testing.connection import LINE_LIMIT, LITERAL_LIMIT
from securemail.testing.imap_syntax import Bad, parse, sequence_set
from servers.asynchronous import to_the_end

USERS = {"alice": "secret", "björn": "pässwörd €"}
MESSAGE = b"From: a@example.org\r\nSubject: hello\r\n\r\nfirst\r\nsecond\r\n"
BEYOND_ASCII = base64.b64encode("\0björn\0pässwörd €".encode())
HARMLESS = {"imaps": b"a NOOP", "pop3s": b"CAPA", "submissions": b"NOOP"}
PROTOCOLS = tuple(HARMLESS)
BAD_KINDS: tuple[CertificateKind, ...] = ("expired", "wrong_name", "self_signed")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def context(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    """A client's context that trusts the CA, and nobody else."""
    authority.write_ca(tmp_path / "ca.pem")
    return ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))


@pytest.fixture(autouse=True)
def no_mistake_of_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may make a server log a mistake, nor anybody a password."""
    caplog.set_level(logging.DEBUG)
    yield
    logged = [record.getMessage() for record in caplog.records]
    assert [text for text in logged if "secret" in text or "AGFsaWNl" in text] == []
    assert [record for record in caplog.records if record.name == "securemail.testing"] == []
    ours = [record for record in caplog.records if record.threadName == "securemail.testing"]
    assert [record.getMessage() for record in ours if record.levelno >= logging.WARNING] == []
    assert [record.getMessage() for record in ours if record.name != "asyncio"] == []


@pytest.fixture
def servers(authority: Authority) -> Iterator[MailServers]:
    with MailServers(users=USERS, authority=authority) as servers:
        yield servers


class Clients:
    """The standard clients, connected to the servers and closed at the end of a with block."""

    def __init__(self, servers: MailServers, context: ssl.SSLContext) -> None:
        self.servers = servers
        self.context = context

    @contextmanager
    def imap(self) -> Iterator[imaplib.IMAP4_SSL]:
        port = self.servers.ports["imaps"]
        with imaplib.IMAP4_SSL("localhost", port, ssl_context=self.context, timeout=10) as imap:
            yield imap

    @contextmanager
    def pop3(self) -> Iterator[poplib.POP3_SSL]:
        port = self.servers.ports["pop3s"]
        pop3 = poplib.POP3_SSL("localhost", port, context=self.context, timeout=10)
        try:
            yield pop3
            pop3.quit()
        finally:
            pop3.close()

    @contextmanager
    def smtp(self) -> Iterator[smtplib.SMTP_SSL]:
        port = self.servers.ports["submissions"]
        with smtplib.SMTP_SSL(
            "localhost", port, local_hostname="client", context=self.context, timeout=10
        ) as smtp:
            yield smtp

    @contextmanager
    def raw(self, protocol: str) -> Iterator[ssl.SSLSocket]:
        address = ("127.0.0.1", self.servers.ports[protocol])
        with (
            socket.create_connection(address, timeout=10) as plain,
            self.context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.recv(1000)  # the greeting
            yield tls


@pytest.fixture
def clients(servers: MailServers, context: ssl.SSLContext) -> Clients:
    return Clients(servers, context)


def say(connection: ssl.SSLSocket, line: bytes) -> bytes:
    """Send a line and tell the line of the answer that says how it went."""
    connection.sendall(line + b"\r\n")
    while True:
        answer = b""
        while not answer.endswith(b"\n"):
            byte = connection.recv(1)
            if not byte:
                return answer
            answer += byte
        if not answer.startswith(b"* ") or answer.startswith((b"* BAD", b"* BYE")):
            return answer


class TestAuthority:
    @pytest.mark.parametrize("kind", BAD_KINDS)
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_bad_certificates_are_refused_and_nothing_is_sent(
        self,
        authority: Authority,
        context: ssl.SSLContext,
        kind: CertificateKind,
        protocol: str,
    ) -> None:
        with MailServers(users=USERS, authority=authority, certificate=kind) as servers:
            clients = Clients(servers, context)
            with pytest.raises(ssl.SSLCertVerificationError), clients.raw(protocol):
                pass
        assert [(protocol, b"")] == servers.received

    def test_each_kind_fails_for_its_own_reason_only(
        self, authority: Authority, context: ssl.SSLContext
    ) -> None:
        """OpenSSL's numbers: expired, self-signed, host name mismatch."""
        codes = {}
        for kind in BAD_KINDS:
            with MailServers(users=USERS, authority=authority, certificate=kind) as servers:
                clients = Clients(servers, context)
                with pytest.raises(ssl.SSLCertVerificationError) as caught, clients.raw("imaps"):
                    pass
                codes[kind] = caught.value.verify_code
        assert codes == {"expired": 10, "self_signed": 18, "wrong_name": 62}

    def test_strict_checking_accepts_the_good_certificate(
        self, servers: MailServers, context: ssl.SSLContext
    ) -> None:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        with Clients(servers, context).raw("imaps") as connection:
            assert b"OK" in say(connection, b"a NOOP")

    @pytest.mark.parametrize("kind", ["good", *BAD_KINDS])
    def test_certificate_is_the_one_on_the_wire(
        self, authority: Authority, kind: CertificateKind
    ) -> None:
        with MailServers(users=USERS, authority=authority, certificate=kind) as servers:
            pem = ssl.get_server_certificate((servers.host, servers.ports["imaps"]))
        assert servers.certificate_pem.decode().strip() == pem.strip()
        assert authority.certificate_der(kind, *servers.hostnames) == ssl.PEM_cert_to_DER_cert(pem)

    def test_default_names_are_the_servers_own(self, authority: Authority) -> None:
        with MailServers(users=USERS, authority=authority) as servers:
            assert authority.certificate_pem("good", *servers.hostnames) == servers.certificate_pem

    def test_unknown_kind_is_named(self, authority: Authority) -> None:
        with pytest.raises(ValueError, match="'odd': expected one of good, expired"):
            authority.context_for("odd")  # type: ignore[arg-type]

    @pytest.mark.parametrize("missing", ["aiosmtpd", "trustme"])
    def test_missing_package_says_what_to_install(self, missing: str) -> None:
        code = (
            f"import sys; sys.modules[{missing!r}] = None; "
            "from securemail.testing import MailServers"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "pip install 'securemail[testing]'" in done.stderr.splitlines()[-1]


class TestSignIn:
    def test_right_password(self, clients: Clients) -> None:
        with clients.imap() as imap:
            assert imap.login("alice", "secret")[0] == "OK"
        with clients.pop3() as pop3:
            pop3.user("alice")
            assert pop3.pass_("secret").startswith(b"+OK")
        with clients.smtp() as smtp:
            assert smtp.login("alice", "secret")[0] == 235

    def test_wrong_password(self, clients: Clients) -> None:
        with clients.imap() as imap, pytest.raises(imaplib.IMAP4.error, match="wrong"):
            imap.login("alice", "wrong")
        with clients.pop3() as pop3:
            pop3.user("alice")
            with pytest.raises(poplib.error_proto, match="wrong"):
                pop3.pass_("wrong")
            with pytest.raises(poplib.error_proto, match="not in this state"):
                pop3.stat()
        with clients.smtp() as smtp, pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("alice", "wrong")

    def test_unknown_user(self, clients: Clients) -> None:
        with clients.imap() as imap, pytest.raises(imaplib.IMAP4.error, match="wrong"):
            imap.login("nobody", "secret")

    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    def test_smtp_mechanisms(self, clients: Clients, mechanism: str) -> None:
        with clients.smtp() as smtp:
            smtp.ehlo()
            assert mechanism in smtp.esmtp_features["auth"].split()
            smtp.user, smtp.password = "alice", "secret"
            method = getattr(smtp, f"auth_{mechanism.lower()}")
            assert smtp.auth(mechanism, method)[0] == 235
            assert smtp.docmd("AUTH", "PLAIN AGEAYg==")[0] == 503

    @pytest.mark.parametrize(
        ("protocol", "command", "accepted"),
        [
            ("imaps", b"a AUTHENTICATE PLAIN", b"a OK"),
            ("pop3s", b"AUTH PLAIN", b"+OK"),
        ],
    )
    @pytest.mark.parametrize("initial", [True, False])
    def test_sasl_plain_with_a_password_beyond_ascii(
        self, clients: Clients, protocol: str, command: bytes, accepted: bytes, initial: bool
    ) -> None:
        with clients.raw(protocol) as connection:
            if initial:
                answer = say(connection, command + b" " + BEYOND_ASCII)
            else:
                assert say(connection, command) == b"+ \r\n"
                answer = say(connection, BEYOND_ASCII)
            assert answer.startswith(accepted)

    @pytest.mark.parametrize("initial", [True, False])
    def test_smtp_plain_with_a_password_beyond_ascii(self, clients: Clients, initial: bool) -> None:
        with clients.smtp() as smtp:
            smtp.ehlo()
            if initial:
                assert smtp.docmd("AUTH PLAIN", BEYOND_ASCII.decode())[0] == 235
            else:
                assert smtp.docmd("AUTH PLAIN")[0] == 334
                assert smtp.docmd(BEYOND_ASCII.decode())[0] == 235

    @pytest.mark.parametrize("response", [b"*", b"no base64!", b"YQ==", b"YWxpY2UAYgBzZWNyZXQ="])
    def test_sasl_plain_cancelled_or_wrong(self, clients: Clients, response: bytes) -> None:
        with clients.raw("imaps") as connection:
            assert say(connection, b"a AUTHENTICATE PLAIN") == b"+ \r\n"
            assert say(connection, response).startswith((b"a BAD", b"a NO"))
        with clients.raw("pop3s") as connection:
            assert say(connection, b"AUTH PLAIN") == b"+ \r\n"
            assert say(connection, response).startswith(b"-ERR")

    def test_authorization_identity_must_be_the_user(self, clients: Clients) -> None:
        for identity, verdict in ((b"alice", b"+OK"), (b"bob", b"-ERR")):
            response = base64.b64encode(identity + b"\0alice\0secret")
            with clients.raw("pop3s") as connection:
                assert say(connection, b"AUTH PLAIN " + response).startswith(verdict)

    def test_mail_needs_a_sign_in(self, clients: Clients) -> None:
        with clients.smtp() as smtp, pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            smtp.sendmail("a@example.org", ["b@example.org"], MESSAGE)

    def test_long_password(self, authority: Authority, context: ssl.SSLContext) -> None:
        with MailServers(users={"alice": "x" * 5000}, authority=authority) as servers:
            with Clients(servers, context).smtp() as smtp:
                assert smtp.login("alice", "x" * 5000)[0] == 235
            with Clients(servers, context).imap() as imap:
                assert imap.login("alice", "x" * 5000)[0] == "OK"

    def test_apop_is_off_unless_asked_for(
        self, clients: Clients, authority: Authority, context: ssl.SSLContext
    ) -> None:
        with clients.pop3() as pop3:
            assert b"<" not in pop3.getwelcome()
        with clients.raw("pop3s") as connection:
            digest = hashlib.md5(b"secret", usedforsecurity=False).hexdigest().encode()
            assert say(connection, b"APOP alice " + digest).startswith(b"-ERR")
        with MailServers(users=USERS, authority=authority, apop=True) as servers:
            with Clients(servers, context).pop3() as pop3:
                assert pop3.apop("alice", "secret").startswith(b"+OK")
            wrong = pytest.raises(poplib.error_proto, match="wrong")
            with Clients(servers, context).pop3() as pop3, wrong:
                pop3.apop("alice", "wrong")

    def test_no_password_is_ever_shown(self, servers: MailServers) -> None:
        for thing in (servers, servers._site, servers._site.accounts, servers.mailbox):
            assert "secret" not in repr(thing) + str(thing)


def send(clients: Clients, message: bytes) -> None:
    with clients.smtp() as smtp:
        smtp.login("alice", "secret")
        smtp.sendmail("a@example.org", ["b@example.org"], message)


def read_by_imap(clients: Clients) -> bytes:
    with clients.imap() as imap:
        imap.login("alice", "secret")
        imap.select("INBOX")
        _, data = imap.fetch("1", "(BODY.PEEK[])")
        assert isinstance(data[0], tuple)
        return data[0][1]


def read_by_pop3(clients: Clients) -> bytes:
    with clients.pop3() as pop3:
        pop3.user("alice")
        pop3.pass_("secret")
        return b"".join(line + b"\r\n" for line in pop3.retr(1)[1])


LARGE = MESSAGE + b"".join(b"%070d\r\n" % number for number in range(5 * 1024 * 1024 // 72))


class TestDelivery:
    @pytest.mark.parametrize(
        "message",
        [
            MESSAGE,
            MESSAGE + b".\r\n..\r\n.hidden\r\n...\r\n",
            MESSAGE + bytes(range(128, 256)) + b"\r\n",
            MESSAGE + b"long " * 200 + b"\r\n",
            b".\r\n\r\n.\r\n",
            b"{5}\r\n{5+}\r\n\r\n{5}\r\n",
            LARGE,
        ],
        ids=["plain", "dots", "8-bit", "long line", "only dots", "looks like literals", "5 MB"],
    )
    def test_what_is_sent_is_read_back_to_the_byte(self, clients: Clients, message: bytes) -> None:
        send(clients, message)
        assert [message] == [stored.data for stored in clients.servers.mailbox.messages()]
        assert message == read_by_imap(clients)
        assert message == read_by_pop3(clients)

    def test_very_long_line(self, clients: Clients) -> None:
        """Longer than poplib would read."""
        message = MESSAGE + b"long " * 10_000 + b"\r\n"
        send(clients, message)
        assert message == read_by_imap(clients)

    def test_append_is_read_back_to_the_byte(self, clients: Clients) -> None:
        with clients.imap() as imap:
            imap.login("alice", "secret")
            when = '"01-Feb-2026 10:00:00 +0100"'
            assert imap.append("INBOX", r"(\Seen)", when, LARGE)[0] == "OK"
            imap.select()
            _, data = imap.fetch("1", "(FLAGS INTERNALDATE RFC822)")
            assert isinstance(data[0], tuple)
            description, content = data[0]
            assert content == LARGE
            assert b"\\Seen" in description
            expected = imaplib.Internaldate2tuple(b'INTERNALDATE "01-Feb-2026 09:00:00 +0000"')
            assert expected == imaplib.Internaldate2tuple(description)

    def test_pop3_does_not_let_a_message_end_early(self, clients: Clients) -> None:
        """A bare LF and a dot would be the end for a client that ends lines at LF."""
        clients.servers.mailbox.deliver(b"a\n.\r\n+OK forged\r\nend")
        assert read_by_pop3(clients) == b"a\r\n.\r\n+OK forged\r\nend\r\n"


class TestPOP3:
    @pytest.fixture
    def pop3(self, clients: Clients) -> Iterator[poplib.POP3_SSL]:
        for number in range(3):
            clients.servers.mailbox.deliver(MESSAGE + b"%d\r\n" % number)
        with clients.pop3() as pop3:
            pop3.user("alice")
            pop3.pass_("secret")
            yield pop3

    def test_listings(self, pop3: poplib.POP3_SSL) -> None:
        size = len(MESSAGE) + 3
        assert (3, 3 * size) == pop3.stat()
        assert [b"%d %d" % (n, size) for n in (1, 2, 3)] == pop3.list()[1]
        only: object = pop3.list(2)
        assert b"+OK 2 %d" % size == only
        assert pop3.uidl()[1] == [b"1 uid-1", b"2 uid-2", b"3 uid-3"]
        assert pop3.uidl(2) == b"+OK 2 uid-2"
        assert pop3.capa()["SASL"] == ["SCRAM-SHA-256", "PLAIN"]

    def test_top(self, pop3: poplib.POP3_SSL) -> None:
        header = [b"From: a@example.org", b"Subject: hello", b""]
        assert header == pop3.top(1, 0)[1]
        assert [*header, b"first"] == pop3.top(1, 1)[1]
        assert [*header, b"first", b"second", b"0"] == pop3.top(1, 99)[1]

    def test_deletion_happens_at_quit(self, pop3: poplib.POP3_SSL, servers: MailServers) -> None:
        pop3.dele(2)
        assert pop3.uidl()[1] == [b"1 uid-1", b"3 uid-3"]
        with pytest.raises(poplib.error_proto, match="no such message"):
            pop3.retr(2)
        pop3.rset()
        assert pop3.stat()[0] == 3
        pop3.dele(1)
        assert len(servers.mailbox) == 3
        pop3.quit()
        assert [message.uid for message in servers.mailbox.messages()] == [2, 3]
        pop3.quit = lambda: b""  # type: ignore[method-assign]

    def test_hanging_up_deletes_nothing(self, clients: Clients) -> None:
        clients.servers.mailbox.deliver(MESSAGE)
        with clients.raw("pop3s") as connection:
            say(connection, b"USER alice")
            say(connection, b"PASS secret")
            assert say(connection, b"DELE 1") == b"+OK\r\n"
        clients.servers.stop()
        assert len(clients.servers.mailbox) == 1

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b" ",
            b"RETR",
            b"RETR x",
            b"RETR 0",
            b"RETR 4",
            b"RETR -1",
            b"RETR " + b"9" * 5000,
            b"TOP 1",
            b"TOP 1 x",
            b"FETCH 1",
            b"USER alice",
            b"\xff\xfe\x00",
        ],
    )
    def test_garbage_is_an_error(self, clients: Clients, line: bytes) -> None:
        clients.servers.mailbox.deliver(MESSAGE)
        with clients.raw("pop3s") as connection:
            say(connection, b"USER alice")
            say(connection, b"PASS secret")
            assert say(connection, line).startswith(b"-ERR")
            assert say(connection, b"NOOP").startswith(b"+OK")


class TestIMAP:
    @pytest.fixture
    def imap(self, clients: Clients) -> Iterator[imaplib.IMAP4_SSL]:
        for number in range(3):
            clients.servers.mailbox.deliver(MESSAGE + b"%d\r\n" % number)
        with clients.imap() as imap:
            imap.login("alice", "secret")
            imap.select()
            yield imap

    def test_mailboxes(self, imap: imaplib.IMAP4_SSL) -> None:
        assert imap.list()[1] == [b'(\\HasNoChildren) "/" "INBOX"']
        assert imap.list('""', "Sent")[1] == [None]
        assert (imap.status("INBOX", "(MESSAGES UNSEEN UIDNEXT)")[1]) == [
            b'"INBOX" (MESSAGES 3 UNSEEN 3 UIDNEXT 4)'
        ]
        assert imap.select("inbox")[1] == [b"3"]
        assert imap.select("Sent")[0] == "NO"
        assert {"SASL-IR", "LITERAL+", "AUTH=PLAIN"} <= set(imap.capabilities)

    def test_search(self, imap: imaplib.IMAP4_SSL) -> None:
        imap.store("2", "+FLAGS", r"(\Seen)")
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        assert imap.search(None, "ALL")[1] == [b"1 2"]
        assert imap.uid("SEARCH", "ALL")[1] == [b"2 3"]
        assert imap.search("UTF-8", "UNSEEN")[1] == [b"2"]
        assert imap.search(None, "UID", "2")[1] == [b"1"]
        assert imap.uid("SEARCH", "UID", "3:*", "UNDELETED")[1] == [b"3"]
        assert imap.search(None, "(1:* DELETED)")[1] == [b""]

    def test_fetch_parts(self, imap: imaplib.IMAP4_SSL) -> None:
        header, text = b"From: a@example.org\r\nSubject: hello\r\n\r\n", b"first\r\nsecond\r\n0\r\n"
        expected = {
            "BODY[]": header + text,
            "RFC822": header + text,
            "BODY.PEEK[HEADER]": header,
            "RFC822.HEADER": header,
            "BODY[TEXT]": text,
            "BODY[]<5.9>": (header + text)[5:14],
        }
        for item, content in expected.items():
            data = imap.uid("FETCH", "1", item)[1][0]
            assert content == data[1]
        size = len(header + text)
        assert [b"1 (UID 1 RFC822.SIZE %d)" % size] == imap.fetch("1", "(UID RFC822.SIZE)")[1]

    def test_reading_sets_seen_and_peeking_does_not(self, imap: imaplib.IMAP4_SSL) -> None:
        imap.fetch("1", "BODY.PEEK[]")
        assert imap.search(None, "UNSEEN")[1] == [b"1 2 3"]
        imap.fetch("1", "BODY[]")
        assert imap.search(None, "UNSEEN")[1] == [b"2 3"]
        imap.select(readonly=True)
        imap.fetch("2", "BODY[]")
        assert imap.search(None, "UNSEEN")[1] == [b"2 3"]

    def test_flags_and_expunge(self, imap: imaplib.IMAP4_SSL, servers: MailServers) -> None:
        assert imap.store("1", "FLAGS", r"(\Seen \Flagged)")[1] == [b"1 (FLAGS (\\Flagged \\Seen))"]
        assert imap.store("1", "-FLAGS", r"\Flagged")[1] == [b"1 (FLAGS (\\Seen))"]
        assert imap.store("1:2", "+FLAGS.SILENT", r"(\Deleted)")[1] == [None]
        assert imap.expunge()[1] == [b"2", b"1"]
        assert [message.uid for message in servers.mailbox.messages()] == [3]
        assert imap.fetch("1", "(UID)")[1] == [b"1 (UID 3)"]

    def test_read_only_changes_nothing(self, imap: imaplib.IMAP4_SSL, servers: MailServers) -> None:
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.select(readonly=True)
        assert imap.store("1", "+FLAGS", r"(\Seen)")[0] == "NO"
        assert imap.expunge()[0] == "NO"
        imap.close()
        assert len(servers.mailbox) == 3

    def test_close_expunges_and_unselect_does_not(
        self, imap: imaplib.IMAP4_SSL, servers: MailServers
    ) -> None:
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.unselect()
        assert len(servers.mailbox) == 3
        imap.select()
        imap.close()
        assert len(servers.mailbox) == 2

    def test_news_arrive_with_noop(self, imap: imaplib.IMAP4_SSL, servers: MailServers) -> None:
        servers.mailbox.remove([1])
        servers.mailbox.deliver(MESSAGE)
        servers.mailbox.deliver(MESSAGE)
        imap.noop()
        assert imap.response("EXPUNGE")[1] == [b"1"]
        assert imap.response("EXISTS")[1][-1] == b"4"
        assert imap.fetch("4", "(UID)")[1] == [b"4 (UID 5)"]

    def test_literals_with_and_without_waiting(self, clients: Clients) -> None:
        with clients.raw("imaps") as connection:
            assert say(connection, b"a LOGIN {5}") == b"+ go on\r\n"
            assert say(connection, b"alice {6}") == b"+ go on\r\n"
            assert say(connection, b"secret").startswith(b"a OK")
        with clients.raw("imaps") as connection:
            answer = say(connection, b"a LOGIN {5+}\r\nalice {6+}\r\nsecret")
            assert answer.startswith(b"a OK")

    @pytest.mark.parametrize(
        "line",
        [
            b"a FETCH 1",
            b"a FETCH x FLAGS",
            b"a FETCH 1 BODY[9]",
            b"a FETCH 1 ()",
            b"a FETCH 1 (FLAGS",
            b"a FETCH 1)",
            b"a FETCH " + b"9" * 5000 + b" FLAGS",
            b"a STORE 1 +FLAGS",
            b"a SEARCH UID",
            b"a STATUS INBOX (WEATHER)",
            b"a APPEND INBOX",
            b"a APPEND INBOX atom",
            b'a APPEND INBOX "no date" {1+}\r\nx',
            b"a LOGIN alice secret",
            b"a JUMP",
            b"a UID",
            b"a UID JUMP 1",
            b'a LIST "" "x',
        ],
    )
    def test_garbage_is_bad(self, clients: Clients, line: bytes) -> None:
        clients.servers.mailbox.deliver(MESSAGE)
        with clients.raw("imaps") as connection:
            say(connection, b"a LOGIN alice secret")
            say(connection, b"a SELECT INBOX")
            assert say(connection, line).startswith(b"a BAD")
            assert b"b OK" in say(connection, b"b NOOP")

    @pytest.mark.parametrize("line", [b"", b" ", b"x", b"\xff\x00", b"* OK", b"GET / HTTP/1.1"])
    def test_no_command_at_all_is_bad_too(self, clients: Clients, line: bytes) -> None:
        with clients.raw("imaps") as connection:
            assert b"BAD" in say(connection, line)
            assert b"b OK" in say(connection, b"b NOOP")

    def test_syntax(self) -> None:
        parsed = parse(rb'A "q\"\\ x" (B (C) BODY[X Y]<0.1>) {3}' + b"\r\n(\n) D")
        assert parsed == ["A", b'q"\\ x', ["B", ["C"], "BODY[X Y]<0.1>"], b"(\n)", "D"]
        for garbage in (b"(", b")", b'"', b"{3}", b"\0x\n", b"(" * 5000):
            with pytest.raises(Bad):
                parse(garbage)

    def test_sequence_sets(self) -> None:
        chosen = sequence_set("2,4:5,9:*", 10)
        assert [number for number in range(1, 20) if chosen(number)] == [2, 4, 5, 9, 10]
        assert sequence_set("99:*", 10)(10)  # RFC 3501: the order of the ends does not matter
        for garbage in ("", ",", "1:", "a", "1:2:3", "\u0661"):
            with pytest.raises(Bad):
                sequence_set(garbage, 10)


class TestOtherClients:
    def test_imapclient(self, clients: Clients) -> None:
        imapclient = pytest.importorskip("imapclient")
        clients.servers.mailbox.deliver(MESSAGE)
        port = clients.servers.ports["imaps"]
        with imapclient.IMAPClient("localhost", port, ssl_context=clients.context) as client:
            client.plain_login("björn", "pässwörd €")
            assert client.list_folders() == [((b"\\HasNoChildren",), b"/", "INBOX")]
            assert client.select_folder("INBOX")[b"EXISTS"] == 1
            assert client.search("UNSEEN") == [1]
            fetched = client.fetch([1], ["RFC822", "FLAGS", "INTERNALDATE"])[1]
            assert fetched[b"RFC822"] == MESSAGE
            client.append("INBOX", MESSAGE, [imapclient.SEEN])
            client.delete_messages([1])
            client.expunge()
        assert [message.uid for message in clients.servers.mailbox.messages()] == [2]

    def test_imap_tools(self, clients: Clients) -> None:
        imap_tools = pytest.importorskip("imap_tools")
        clients.servers.mailbox.deliver(MESSAGE)
        port = clients.servers.ports["imaps"]
        mailbox = imap_tools.MailBox("localhost", port, ssl_context=clients.context)
        with mailbox.login("alice", "secret"):
            assert [folder.name for folder in mailbox.folder.list()] == ["INBOX"]
            assert [message.subject for message in mailbox.fetch()] == ["hello"]
            assert [m.subject for m in mailbox.fetch(headers_only=True, bulk=True)] == ["hello"]

    def test_aiosmtplib(self, clients: Clients) -> None:
        aiosmtplib = pytest.importorskip("aiosmtplib")
        sending = aiosmtplib.send(
            MESSAGE,
            sender="a@example.org",
            recipients=["b@example.org"],
            hostname="localhost",
            port=clients.servers.ports["submissions"],
            username="björn",
            password="pässwörd €",
            use_tls=True,
            tls_context=clients.context,
        )
        asyncio.run(to_the_end(sending))
        assert [message.data for message in clients.servers.mailbox.messages()] == [MESSAGE]


class TestRoughClients:
    """Whatever one client does, the next one is served."""

    def still_serving(self, clients: Clients) -> None:
        for protocol in PROTOCOLS:
            with clients.raw(protocol) as connection:
                assert say(connection, HARMLESS[protocol]).startswith((b"a OK", b"+OK", b"250"))

    @pytest.mark.parametrize(
        "data", [b"", b"a LOGIN alice secret\r\n", b"\x16\x03\x01\x00\x05hello"]
    )
    def test_no_tls(self, clients: Clients, data: bytes) -> None:
        for protocol in PROTOCOLS:
            address = ("127.0.0.1", clients.servers.ports[protocol])
            with socket.create_connection(address, timeout=10) as plain:
                plain.sendall(data)
        self.still_serving(clients)
        clients.servers.stop()
        assert not any(b"secret" in received for _, received in clients.servers.received)

    @pytest.mark.parametrize("within_tls", [False, True])
    def test_reset(self, clients: Clients, within_tls: bool) -> None:
        linger = (1).to_bytes(4, sys.byteorder) + (0).to_bytes(4, sys.byteorder)
        for protocol in PROTOCOLS:
            address = ("127.0.0.1", clients.servers.ports[protocol])
            connection = socket.create_connection(address, timeout=10)
            if within_tls:
                connection = clients.context.wrap_socket(connection, server_hostname="localhost")
                connection.sendall(b"a NOOP\r\n" * 100)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
        self.still_serving(clients)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_garbage_then_hang_up(self, clients: Clients, protocol: str) -> None:
        with clients.raw(protocol) as connection:
            connection.sendall(os.urandom(5000))
        self.still_serving(clients)

    @pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
    def test_endless_line(self, clients: Clients, protocol: str) -> None:
        with clients.raw(protocol) as connection:
            connection.sendall(b"x" * (LINE_LIMIT + 1))
            assert b"too long" in connection.recv(1000)
            assert connection.recv(1000) == b""

    def test_enormous_literal(self, clients: Clients) -> None:
        with clients.raw("imaps") as connection:
            assert b"too long" in say(connection, b"a LOGIN alice {%d}" % LITERAL_LIMIT)
            assert connection.recv(1000) == b""

    def test_two_at_once(self, clients: Clients) -> None:
        with clients.imap() as one, clients.imap() as other, clients.pop3() as third:
            for imap in (one, other):
                imap.login("alice", "secret")
                imap.select()
            third.user("alice")
            third.pass_("secret")
            one.append("INBOX", "", "", MESSAGE)
            other.noop()
            assert other.search(None, "ALL")[1] == [b"1"]
            assert third.stat()[0] == 0

    def test_many_at_once(self, clients: Clients) -> None:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(send, clients, MESSAGE) for _ in range(24)]:
                done.result()
        assert [message.data for message in clients.servers.mailbox.messages()] == [MESSAGE] * 24


class TestLife:
    def open_descriptors(self) -> list[str]:
        """What is open, by name, so that a number that is used again counts as another one."""
        gc.collect()
        if not Path("/proc/self/fd").is_dir():
            pytest.skip("needs /proc")
        names = []
        for path in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # the descriptor of this very listing
                names.append(str(path.readlink()))
        return sorted(name for name in names if "/proc/" not in name)

    def talk_on(self, connection: ssl.SSLSocket) -> None:
        for _ in range(5):  # the first bytes to a closed connection are still taken
            say(connection, b"a NOOP")

    def test_starts_quickly(self) -> None:
        began = time.perf_counter()
        with MailServers(users=USERS):
            assert time.perf_counter() - began < 0.5

    def test_stop_while_clients_are_connected(self, clients: Clients) -> None:
        before = threading.active_count()
        servers = clients.servers
        address = ("127.0.0.1", servers.ports["pop3s"])
        with (
            clients.raw("imaps") as idle,
            clients.raw("submissions"),
            clients.raw("pop3s"),
            socket.create_connection(address, timeout=10),  # never says hello
        ):
            began = time.perf_counter()
            servers.stop()
            assert time.perf_counter() - began < 2
            assert before - 1 == threading.active_count()
            with pytest.raises(OSError):
                self.talk_on(idle)

    def test_stop_while_a_client_does_not_read(self, clients: Clients) -> None:
        clients.servers.mailbox.deliver(LARGE)
        with clients.raw("pop3s") as connection:
            say(connection, b"USER alice")
            say(connection, b"PASS secret")
            connection.sendall(b"RETR 1\r\n" * 5 + b"QUIT\r\n")
            time.sleep(0.1)
            began = time.perf_counter()
            clients.servers.stop()
            assert time.perf_counter() - began < 2

    def test_nothing_is_left_behind(self, authority: Authority, context: ssl.SSLContext) -> None:
        def use() -> None:
            with MailServers(users=USERS, authority=authority) as servers:
                clients = Clients(servers, context)
                send(clients, MESSAGE)
                read_by_imap(clients)
                with (
                    pytest.raises(ssl.SSLError),
                    socket.create_connection(
                        ("127.0.0.1", servers.ports["imaps"]), timeout=10
                    ) as plain,
                ):
                    ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
                silent = socket.create_connection(("127.0.0.1", servers.ports["imaps"]))
            silent.close()

        threads, descriptors = threading.active_count(), self.open_descriptors()
        for _ in range(5):
            use()
        assert threads == threading.active_count()
        assert descriptors == self.open_descriptors()
        assert logging.getLogger("mail.log").filters == []

    def test_stopping_what_never_ran(self, authority: Authority) -> None:
        MailServers(users=USERS, authority=authority).stop()

    def test_stopping_twice_and_connecting_after(self, servers: MailServers) -> None:
        servers.stop()
        servers.stop()
        for port in servers.ports.values():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((servers.host, port), timeout=1)

    def test_received_is_what_was_sent(self, clients: Clients) -> None:
        with clients.raw("pop3s") as connection:
            say(connection, b"USER alice")
        with clients.raw("submissions") as connection:
            say(connection, b"EHLO me")
        clients.servers.stop()
        assert clients.servers.received == [
            ("pop3s", b"USER alice\r\n"),
            ("submissions", b"EHLO me\r\n"),
        ]

    def test_both_address_families(self, authority: Authority, context: ssl.SSLContext) -> None:
        hosts = ("127.0.0.1", "::1")
        try:
            servers = MailServers(users=USERS, authority=authority, hosts=hosts)
            servers.start()
        except OSError:
            pytest.skip("no IPv6 here")
        try:
            for host in hosts:
                with imaplib.IMAP4_SSL(host, servers.ports["imaps"], ssl_context=context) as imap:
                    assert imap.login("alice", "secret")[0] == "OK"
        finally:
            servers.stop()

    @pytest.mark.parametrize(
        "hosts",
        [(), ("0.0.0.0",), ("127.0.0.1", "::"), ("192.0.2.1",)],  # noqa: S104 - is refused
    )
    def test_only_loopback(self, hosts: tuple[str, ...]) -> None:
        with pytest.raises(ValueError, match="loopback"):
            MailServers(users=USERS, hosts=hosts)

    def test_a_mailbox_of_ones_own(self, authority: Authority, context: ssl.SSLContext) -> None:
        mailbox = Mailbox()
        mailbox.deliver(MESSAGE)
        with MailServers(users=USERS, authority=authority, mailbox=mailbox) as servers:
            assert read_by_pop3(Clients(servers, context)) == MESSAGE
