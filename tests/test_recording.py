"""The recording server records everything, and its polite scripts satisfy the standard clients."""

import base64
import imaplib
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest

from servers import scripts
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, Record, RecordingServer

PASSWORD = 'pass"word\\1'
Factory = Callable[..., RecordingServer]


def imap_sign_in(server: RecordingServer, context: ssl.SSLContext | None, starttls: bool) -> None:
    if context is None or starttls:
        client = imaplib.IMAP4(server.host, server.port, timeout=10)
    else:
        client = imaplib.IMAP4_SSL(server.host, server.port, ssl_context=context, timeout=10)
    with client:
        if starttls:
            client.starttls(context)
        client.login("user", PASSWORD)
        client.select()


def pop3_sign_in(server: RecordingServer, context: ssl.SSLContext | None, starttls: bool) -> None:
    if context is None or starttls:
        client = poplib.POP3(server.host, server.port, timeout=10)
    else:
        client = poplib.POP3_SSL(server.host, server.port, context=context, timeout=10)
    try:
        if starttls:
            client.stls(context)
        client.user("user")
        client.pass_(PASSWORD)
        assert client.stat() == (0, 0)
        client.quit()
    finally:
        client.close()


def smtp_sign_in(server: RecordingServer, context: ssl.SSLContext | None, starttls: bool) -> None:
    if context is None or starttls:
        client = smtplib.SMTP(server.host, server.port, timeout=10)
    else:
        client = smtplib.SMTP_SSL(server.host, server.port, context=context, timeout=10)
    with client:
        if starttls:
            client.starttls(context=context)
        client.login("user", PASSWORD)
        client.sendmail(
            "user@example.org", ["user@example.org"], b"Subject: hello\r\n\r\nhello\r\n"
        )


SIGN_IN = {"imap": imap_sign_in, "pop3": pop3_sign_in, "smtp": smtp_sign_in}
ERRORS = {"imap": imaplib.IMAP4.error, "pop3": poplib.error_proto, "smtp": smtplib.SMTPException}

every_protocol = pytest.mark.parametrize("protocol", SIGN_IN)


@every_protocol
def test_signs_in_over_tls(
    protocol: str, pki: PKI, client_context: ssl.SSLContext, recording_server: Factory
) -> None:
    server = recording_server(scripts.POLITE[protocol], context=pki["good"].server_context())
    SIGN_IN[protocol](server, client_context, False)
    (record,) = server.wait()
    assert leaks(record.received_tls, PASSWORD) != []
    assert leaks(bytes(record.wire), PASSWORD) == []
    assert record.received_clear == b""
    assert record.handshake_error is record.script_error is None


@every_protocol
def test_signs_in_after_starttls(
    protocol: str, pki: PKI, client_context: ssl.SSLContext, recording_server: Factory
) -> None:
    polite = scripts.POLITE[protocol].with_starttls(pki["good"].server_context())
    server = recording_server(polite)
    SIGN_IN[protocol](server, client_context, True)
    (record,) = server.wait()
    assert record.received_clear.endswith((b"STARTTLS\r\n", b"STLS\r\n"))
    assert leaks(record.received_tls, PASSWORD) != []
    assert leaks(bytes(record.wire), PASSWORD) == []


@every_protocol
def test_signs_in_in_clear(protocol: str, recording_server: Factory) -> None:
    server = recording_server(scripts.POLITE[protocol])
    SIGN_IN[protocol](server, None, False)
    (record,) = server.wait()
    assert leaks(record.received_clear, PASSWORD) != []
    assert record.received_clear == bytes(record.wire)
    assert record.received_tls == b""


@every_protocol
def test_refuses_in_the_words_it_was_given(protocol: str, recording_server: Factory) -> None:
    server = recording_server(replace(scripts.POLITE[protocol], refusal="no, and no again"))
    with pytest.raises(ERRORS[protocol], match="no, and no again"):
        SIGN_IN[protocol](server, None, False)


@every_protocol
def test_a_certificate_refused_by_the_client_is_in_the_record(
    protocol: str, pki: PKI, client_context: ssl.SSLContext, recording_server: Factory
) -> None:
    server = recording_server(scripts.POLITE[protocol], context=pki["unknown_ca"].server_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        SIGN_IN[protocol](server, client_context, False)
    (record,) = server.wait()
    assert isinstance(record.handshake_error, ssl.SSLError)
    assert record.handshake_error.reason == "TLSV1_ALERT_UNKNOWN_CA"
    assert leaks(record.everything, PASSWORD) == []


def test_imap_capabilities_follow_the_options(recording_server: Factory) -> None:
    script = scripts.PoliteIMAP(mechanisms=("CRAM-MD5",), login_disabled=True)
    server = recording_server(script)
    with imaplib.IMAP4(server.host, server.port, timeout=10) as client:
        assert client.capabilities == ("IMAP4REV1", "SASL-IR", "AUTH=CRAM-MD5", "LOGINDISABLED")
        with pytest.raises(imaplib.IMAP4.error, match="LOGIN is disabled"):
            client.login("user", PASSWORD)
        client.login_cram_md5("user", PASSWORD)
        assert client.state == "AUTH"


def test_imap_literals_are_recorded(recording_server: Factory) -> None:
    server = recording_server(scripts.imap_ok)
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        lines = client.makefile("rb")
        with lines:
            lines.readline()
            client.sendall(b"a LOGIN {4}\r\n")
            assert lines.readline() == b"+ go on\r\n"
            client.sendall(b"user {11+}\r\n" + PASSWORD.encode() + b"\r\n")
            assert lines.readline() == b"a OK signed in\r\n"
    (record,) = server.wait()
    assert leaks(record.received_clear, PASSWORD) == ["utf-8"]


@pytest.mark.parametrize("mechanisms", [(), ("CRAM-MD5",), ("PLAIN", "XOAUTH2")])
def test_smtp_and_pop3_offer_what_they_are_told_to(
    mechanisms: tuple[str, ...], recording_server: Factory
) -> None:
    server = recording_server(scripts.PoliteSMTP(mechanisms=mechanisms))
    with smtplib.SMTP(server.host, server.port, timeout=10) as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features.get("auth", "").split() == list(mechanisms)
    server = recording_server(scripts.PolitePOP3(mechanisms=mechanisms))
    pop3 = poplib.POP3(server.host, server.port, timeout=10)
    try:
        assert pop3.capa().get("SASL", []) == list(mechanisms)
        pop3.quit()
    finally:
        pop3.close()


@pytest.mark.parametrize("name", scripts.RUDE)
def test_a_rude_server_greets_in_no_protocol(name: str, recording_server: Factory) -> None:
    server = recording_server(scripts.RUDE[name])
    try:
        with socket.create_connection((server.host, server.port), timeout=0.2) as client:
            found = client.recv(4096)
    except (ConnectionResetError, TimeoutError):
        found = b""
    assert not found.startswith((b"* OK", b"+OK", b"220 "))
    server.wait()


def test_silence_is_silent_and_listens(recording_server: Factory) -> None:
    server = recording_server(scripts.silence)
    with socket.create_connection((server.host, server.port), timeout=0.1) as client:
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.sendall(b"anybody there?")
    (record,) = server.wait()
    assert record.received_clear == b"anybody there?"


@pytest.mark.parametrize("name", scripts.RUDE_AFTER_GREETING)
@every_protocol
def test_a_server_that_resets(protocol: str, name: str, recording_server: Factory) -> None:
    server = recording_server(scripts.RUDE_AFTER_GREETING[name](protocol))

    def talk() -> None:
        with (
            socket.create_connection((server.host, server.port), timeout=10) as client,
            client.makefile("rb") as lines,
        ):
            if name == "reset_after_command":
                assert lines.readline() == scripts.GREETINGS[protocol]
                client.sendall(b"NOOP\r\n")
            lines.read()

    with pytest.raises(ConnectionResetError):
        talk()


@every_protocol
def test_a_server_that_greets_in_clear_on_a_tls_port(
    protocol: str, client_context: ssl.SSLContext, recording_server: Factory
) -> None:
    server = recording_server(scripts.says(scripts.GREETINGS[protocol]))
    with pytest.raises(ssl.SSLError) as raised:
        SIGN_IN[protocol](server, client_context, False)
    assert raised.value.reason == "WRONG_VERSION_NUMBER"


def test_what_comes_instead_of_a_handshake_is_recorded(pki: PKI, recording_server: Factory) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        client.sendall(b"a LOGIN user " + PASSWORD.encode() + b"\r\n")
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    (record,) = server.wait()
    assert isinstance(record.handshake_error, ssl.SSLError)
    assert leaks(record.everything, PASSWORD) == ["utf-8"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_comes_in_clear_after_tls_is_recorded(
    version: ssl.TLSVersion, pki: PKI, client_context: ssl.SSLContext, recording_server: Factory
) -> None:
    context = pki["good"].server_context(maximum_version=version)
    server = recording_server(scripts.silence, context=context)
    with socket.create_connection((server.host, server.port), timeout=10) as raw:
        tls = client_context.wrap_socket(raw.dup(), server_hostname="localhost")
        with tls:
            tls.sendall(b"inside")
            tls.settimeout(0.1)
            with pytest.raises(TimeoutError):
                tls.unwrap()  # sends close_notify; the server answers none
            raw.sendall(PASSWORD.encode())
            raw.shutdown(socket.SHUT_WR)
            (record,) = server.wait()
    assert record.received_tls == b"inside"
    assert leaks(bytes(record.wire), PASSWORD) == ["utf-8"]


def test_a_mistake_in_a_script_is_raised() -> None:
    def script(conversation: Conversation) -> None:
        raise ZeroDivisionError("a mistake")

    with (
        pytest.raises(ZeroDivisionError, match="a mistake"),
        RecordingServer(script) as server,
        socket.create_connection((server.host, server.port), timeout=10) as client,
    ):
        assert client.recv(1) == b""


def test_every_connection_has_its_record(recording_server: Factory) -> None:
    server = recording_server(scripts.says(b"hello"))
    for number in range(5):
        with socket.create_connection((server.host, server.port), timeout=10) as client:
            client.sendall(str(number).encode())
    records: list[Record] = server.wait(5)
    assert server.connections == 5
    assert sorted(record.received_clear for record in records) == [b"0", b"1", b"2", b"3", b"4"]


def test_reads_exact_sizes_and_ends(recording_server: Factory) -> None:
    found: list[bytes] = []

    def script(conversation: Conversation) -> None:
        found.append(conversation.read(3))
        found.append(conversation.read_line())
        found.append(conversation.read_line())
        found.append(conversation.read(1))

    server = recording_server(script)
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        client.sendall(b"abcdef\r\nunfinished")
    server.wait()
    assert found == [b"abc", b"def\r\n", b"unfinished", b""]


def test_closing_ends_connections_that_are_still_open() -> None:
    server = RecordingServer(scripts.silence)
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(10)
        server.close()
        assert client.recv(1) == b""
    assert server.records[0].finished


def test_base64_of_plain_is_recognised_in_a_recorded_exchange(recording_server: Factory) -> None:
    server = recording_server(scripts.smtp_ok)
    plain = base64.b64encode(f"\0user\0{PASSWORD}".encode()).decode()
    with smtplib.SMTP(server.host, server.port, timeout=10) as client:
        client.ehlo()
        assert client.docmd("AUTH", f"PLAIN {plain}")[0] == 235
    (record,) = server.wait()
    assert leaks(record.received_clear, PASSWORD) == ["utf-8, base64 at offset 0"]
