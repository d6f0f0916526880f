"""The real servers work, as the standard library's own clients see them.

This is the control of the tests that need them: where something fails here, the server is wrong
and not the library.
"""

import base64
import imaplib
import poplib
import smtplib
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from servers.aiosmtpd_server import AiosmtpdServer, Received
from servers.dovecot import Dovecot
from servers.pki import PKI
from servers.postfix import Postfix
from servers.processes import (
    REQUIRED,
    ServerUnavailable,
    free_ports,
    require_program,
    skipped_where_unavailable,
)

Found = TypeVar("Found")

real_server = pytest.mark.real_server

BODY = (
    b"plain text\r\n"
    b"gr\xc3\xbc\xc3\x9fe, and latin-1 \xe4\xf6\xfc\r\n"
    b".\r\n"
    b"..two dots\r\n"
    b".one dot\r\n"
    b"From the start of a line\r\n"
    b"spaces at the end   \r\n"
    b"\ttab\t\r\n"
    b"\r\n"
    b"\r\n" + b"x" * 900 + b"\r\n"
    b"the end\r\n"
)


@contextmanager
def imap_client(
    server: Dovecot, context: ssl.SSLContext, where: str = "imaps"
) -> Iterator[imaplib.IMAP4]:
    """Connected with TLS; `where` is "imaps", or the address at which STARTTLS is used."""
    if where == "imaps":
        client: imaplib.IMAP4 = imaplib.IMAP4_SSL(
            server.host, server.ports["imaps"], ssl_context=context, timeout=20
        )
    else:
        client = imaplib.IMAP4(where, server.ports["imap"], timeout=20)
    with client:
        if where != "imaps":
            client.starttls(context)
        yield client


@contextmanager
def pop3_client(
    server: Dovecot, context: ssl.SSLContext, where: str = "pop3s"
) -> Iterator[poplib.POP3]:
    """Connected with TLS; `where` is "pop3s", or the address at which STLS is used."""
    if where == "pop3s":
        client: poplib.POP3 = poplib.POP3_SSL(
            server.host, server.ports["pop3s"], context=context, timeout=20
        )
    else:
        client = poplib.POP3(where, server.ports["pop3"], timeout=20)
    try:
        if where != "pop3s":
            client.stls(context)
        yield client
        client.quit()
    finally:
        client.close()


@contextmanager
def smtp_client(server: Postfix, context: ssl.SSLContext, port: str) -> Iterator[smtplib.SMTP]:
    """Connected with TLS, at the port "submission" or "submissions"."""
    if port == "submissions":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.ports[port], context=context, timeout=20
        )
    else:
        client = smtplib.SMTP(server.host, server.ports[port], timeout=20)
    with client:
        if port == "submission":
            client.starttls(context=context)
        yield client


imap_places = pytest.mark.parametrize("where", ["imaps", Dovecot.host, Dovecot.remote_host])
pop3_places = pytest.mark.parametrize("where", ["pop3s", Dovecot.host, Dovecot.remote_host])
smtp_ports = pytest.mark.parametrize("port", ["submission", "submissions"])


def sasl_plain(user: str, password: str) -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode("ascii")


@real_server
@imap_places
def test_imap_signs_in(where: str, dovecot: Dovecot, client_context: ssl.SSLContext) -> None:
    for user in ("alice", "bob"):
        with imap_client(dovecot, client_context, where) as imap:
            imap.login(user, dovecot.users[user])
            assert imap.select()[0] == "OK"


@real_server
@pop3_places
def test_pop3_signs_in(where: str, dovecot: Dovecot, client_context: ssl.SSLContext) -> None:
    for user in ("alice", "bob"):
        with pop3_client(dovecot, client_context, where) as pop3:
            pop3.user(user)
            pop3.pass_(dovecot.users[user])
            assert pop3.stat()[0] >= 0


@real_server
@smtp_ports
def test_smtp_signs_in(
    port: str, postfix: Postfix, dovecot: Dovecot, client_context: ssl.SSLContext
) -> None:
    for user in ("alice", "bob"):
        with smtp_client(postfix, client_context, port) as smtp:
            assert smtp.login(user, dovecot.users[user])[0] == 235


@real_server
@pytest.mark.parametrize("user", ["user", "jürgen"])
def test_passwords_and_users_beyond_ascii_by_sasl_plain(
    user: str, postfix: Postfix, dovecot: Dovecot, client_context: ssl.SSLContext
) -> None:
    password = dovecot.users[user]
    assert not password.isascii()
    plain = sasl_plain(user, password)
    with imap_client(dovecot, client_context) as imap:
        imap.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        assert imap.state == "AUTH"
    with pop3_client(dovecot, client_context) as pop3:
        answer = pop3._shortcmd(f"AUTH PLAIN {plain}")  # type: ignore[attr-defined]
        assert answer.startswith(b"+OK")
    with smtp_client(postfix, client_context, "submission") as smtp:
        smtp.ehlo()
        assert smtp.docmd("AUTH", f"PLAIN {plain}")[0] == 235


@real_server
def test_imap_refuses_a_wrong_password(dovecot: Dovecot, client_context: ssl.SSLContext) -> None:
    with (
        imap_client(dovecot, client_context) as imap,
        pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
    ):
        imap.login("alice", "wrong")


@real_server
def test_pop3_refuses_a_wrong_password(dovecot: Dovecot, client_context: ssl.SSLContext) -> None:
    with pop3_client(dovecot, client_context) as pop3:
        pop3.user("alice")
        with pytest.raises(poplib.error_proto, match="Authentication failed"):
            pop3.pass_("wrong")


@real_server
@smtp_ports
def test_smtp_refuses_a_wrong_password(
    port: str, postfix: Postfix, client_context: ssl.SSLContext
) -> None:
    with (
        smtp_client(postfix, client_context, port) as smtp,
        pytest.raises(smtplib.SMTPAuthenticationError) as raised,
    ):
        smtp.login("alice", "wrong")
    assert raised.value.smtp_code == 535


@real_server
def test_refusals_are_in_dovecot_s_log(dovecot: Dovecot, client_context: ssl.SSLContext) -> None:
    user = f"nobody-{uuid.uuid4().hex}"
    with imap_client(dovecot, client_context) as imap, pytest.raises(imaplib.IMAP4.error):
        imap.login(user, "wrong")
    assert_soon(lambda: f"passwd-file({user}" in dovecot.log())


@real_server
def test_passwords_in_clear_are_refused_from_the_network_only(dovecot: Dovecot) -> None:
    def capabilities(host: str) -> tuple[str, ...]:
        with imaplib.IMAP4(host, dovecot.ports["imap"], timeout=20) as imap:
            found: tuple[str, ...] = imap.capabilities
            return found

    assert "LOGINDISABLED" in capabilities(dovecot.remote_host)
    assert "AUTH=PLAIN" not in capabilities(dovecot.remote_host)
    assert "LOGINDISABLED" not in capabilities(dovecot.host)
    assert "AUTH=PLAIN" in capabilities(dovecot.host)


@real_server
def test_submission_offers_auth_and_takes_mail_after_tls_only(postfix: Postfix) -> None:
    with smtplib.SMTP(postfix.host, postfix.ports["submission"], timeout=20) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("starttls")
        assert not smtp.has_extn("auth")
        assert smtp.mail("alice@example.org")[0] == 530


@real_server
@smtp_ports
def test_submission_takes_no_mail_without_signing_in(
    port: str, postfix: Postfix, client_context: ssl.SSLContext
) -> None:
    with (
        smtp_client(postfix, client_context, port) as smtp,
        pytest.raises(smtplib.SMTPRecipientsRefused),
    ):
        smtp.sendmail("alice@example.org", ["bob@example.org"], b"Subject: no\r\n\r\nno\r\n")


@real_server
@smtp_ports
def test_what_is_sent_arrives_byte_for_byte(
    port: str, postfix: Postfix, dovecot: Dovecot, client_context: ssl.SSLContext
) -> None:
    message_id = f"<{uuid.uuid4().hex}@example.org>"
    message = (
        "From: alice@example.org\r\nTo: bob@example.org\r\nSubject: as it is\r\n"
        f"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: {message_id}\r\n\r\n"
    ).encode() + BODY
    with smtp_client(postfix, client_context, port) as smtp:
        smtp.login("alice", dovecot.users["alice"])
        smtp.sendmail("alice@example.org", ["bob@example.org"], message, ["BODY=8BITMIME"])
    by_imap = fetch_by_imap(dovecot, client_context, message_id)
    assert by_imap.endswith(b"\r\n" + message)
    assert fetch_by_pop3(dovecot, client_context, message_id) == by_imap


def fetch_by_imap(dovecot: Dovecot, context: ssl.SSLContext, message_id: str) -> bytes:
    """Bob's message with that Message-ID, once it has been delivered."""
    with imap_client(dovecot, context) as imap:
        imap.login("bob", dovecot.users["bob"])
        imap.select()

        def search() -> bytes:
            imap.noop()
            found: bytes = imap.search(None, "HEADER", "Message-ID", f'"{message_id}"')[1][0]
            return found

        number = assert_soon(search)
        part = imap.fetch(number.decode(), "(BODY.PEEK[])")[1][0]
        assert isinstance(part, tuple)
        return part[1]


def fetch_by_pop3(dovecot: Dovecot, context: ssl.SSLContext, message_id: str) -> bytes:
    with pop3_client(dovecot, context) as pop3:
        pop3.user("bob")
        pop3.pass_(dovecot.users["bob"])
        for number in range(1, pop3.stat()[0] + 1):
            lines = pop3.retr(number)[1]
            if f"Message-ID: {message_id}".encode() in lines:
                return b"".join(line + b"\r\n" for line in lines)
    raise AssertionError(f"{message_id} is not in the mailbox")


def assert_soon(look: Callable[[], Found], seconds: float = 20) -> Found:
    """What `look` finds, as soon as it finds anything."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing found in {seconds} s"
        time.sleep(0.02)
    return found


@real_server
def test_dovecot_by_its_options(
    pki: PKI, server_folder: Path, client_context: ssl.SSLContext
) -> None:
    with skipped_where_unavailable():
        dovecot = Dovecot(
            server_folder,
            pki["good_rsa"],
            mechanisms=("plain", "apop"),
            users={"carol": "another password"},
            ssl_min_protocol="TLSv1.3",
            login_service="service_count = 0",
        )
    with dovecot:
        with pop3_client(dovecot, client_context) as pop3:
            assert pop3.apop("carol", "another password").startswith(b"+OK")
        with imap_client(dovecot, client_context) as imap:
            assert [word for word in imap.capabilities if "AUTH" in word] == ["AUTH=PLAIN"]
        client_context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError), imap_client(dovecot, client_context):
            pass
    assert_nothing_listens(dovecot.host, dovecot.ports)
    assert_nothing_listens(dovecot.remote_host, dovecot.ports)


@real_server
def test_dovecot_starts_again_after_it_was_stopped(pki: PKI, server_folder: Path) -> None:
    with skipped_where_unavailable():
        dovecot = Dovecot(server_folder, pki["good"])
    for _ in range(2):
        with dovecot, imaplib.IMAP4(dovecot.host, dovecot.ports["imap"], timeout=20):
            pass
        assert_nothing_listens(dovecot.host, dovecot.ports)


@real_server
def test_postfix_by_its_options(
    pki: PKI, server_folder: Path, dovecot: Dovecot, client_context: ssl.SSLContext
) -> None:
    with skipped_where_unavailable():
        postfix = Postfix(server_folder, pki["good"], dovecot, tls_protocols="TLSv1.2")
    with postfix:
        with smtp_client(postfix, client_context, "submission") as smtp:
            assert isinstance(smtp.sock, ssl.SSLSocket)
            assert smtp.sock.version() == "TLSv1.2"
        assert_soon(lambda: "TLSv1.2" in postfix.log())
    assert_nothing_listens(postfix.host, postfix.ports)


def assert_nothing_listens(host: str, ports: dict[str, int]) -> None:
    for port in ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port), timeout=5)


def test_free_ports_are_free_and_different() -> None:
    ports = free_ports(10, ["127.0.0.1", "127.0.0.2"])
    assert len(set(ports)) == 10
    with socket.create_server(("127.0.0.2", ports[0])):
        assert ports[0] not in free_ports(900, ["127.0.0.1", "127.0.0.2"])


def test_a_missing_server_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="advice"), skipped_where_unavailable():
        require_program("no-such-server", "advice")
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="advice"), skipped_where_unavailable():
        require_program("no-such-server", "advice")


def test_another_dovecot_than_2_3_is_unavailable(
    tmp_path: Path, pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "dovecot"
    program.write_text("#!/bin/sh\necho 2.4.1-4 '(7d8c0e5759)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ServerUnavailable, match=r"2\.3 is needed, not 2\.4\.1"):
        Dovecot(tmp_path, pki["good"])


def test_aiosmtpd_keeps_what_it_is_sent(
    aiosmtpd_server: AiosmtpdServer, client_context: ssl.SSLContext
) -> None:
    content = b"Subject: as it is\r\n\r\n" + BODY
    with smtplib.SMTP_SSL(
        aiosmtpd_server.host, aiosmtpd_server.port, context=client_context, timeout=20
    ) as smtp:
        smtp.login("alice", aiosmtpd_server.users["alice"])
        smtp.sendmail("alice@example.org", ["bob@example.org"], content)
    assert aiosmtpd_server.messages[-1] == Received(
        "alice", "alice@example.org", ["bob@example.org"], content
    )


def test_aiosmtpd_wants_a_password(
    aiosmtpd_server: AiosmtpdServer, client_context: ssl.SSLContext
) -> None:
    before = len(aiosmtpd_server.messages)
    with smtplib.SMTP_SSL(
        aiosmtpd_server.host, aiosmtpd_server.port, context=client_context, timeout=20
    ) as smtp:
        with pytest.raises(smtplib.SMTPSenderRefused) as raised:
            smtp.sendmail("alice@example.org", ["bob@example.org"], b"Subject: no\r\n\r\n")
        assert raised.value.smtp_code == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("alice", "wrong")
    assert len(aiosmtpd_server.messages) == before


def test_aiosmtpd_speaks_nothing_but_tls(aiosmtpd_server: AiosmtpdServer) -> None:
    address = (aiosmtpd_server.host, aiosmtpd_server.port)
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"EHLO localhost\r\n")
        assert not client.recv(100).startswith(b"220")
