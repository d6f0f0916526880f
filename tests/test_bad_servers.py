"""Servers with old TLS, no TLS, no words or wrong words, and hosts that are none.

Whatever a server does before a sign-in, each of the three classes raises a typed error in bounded
time, says nothing that it should not, and leaves no socket open.
"""

import contextlib
import errno
import imaplib
import select
import smtplib
import socket
import ssl
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securemail import (
    CATrust,
    CertificateRejected,
    ConnectFailed,
    LegacyCiphersWarning,
    LimitExceeded,
    Limits,
    PolicyError,
    ProtocolViolation,
    TimeLimitExceeded,
    TLSError,
    TLSPolicy,
)
from securemail import connection as connection_module
from securemail.hosts import Host
from securemail.tls.gate import GatedSocket
from servers import rude, scripts
from servers.attempts import (
    MAIL,
    PASSWORD,
    Failure,
    Mail,
    assert_nothing_said,
    assert_survives_pickling,
    failing,
)
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer, Script
from servers.rude import Answer, Scripted, after_client_hello, says, to_all

Factory = Callable[..., RecordingServer]
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)

SOON = Limits(connect=0.5, read=0.5)
SLACK = 2.0  # seconds that a busy computer may add to a limit


@pytest.fixture(autouse=True)
def as_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No policy from the environment; and imap_tools, once imported, raises imaplib's limit."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)


@pytest.fixture
def policy(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


def attempt_and_fail(
    server: RecordingServer, mail: Mail, connections: int = 1, **arguments: Any
) -> Failure:
    with failing(server, connections) as failure:
        mail.attempt(server, **arguments)
    error = failure.error
    assert error.credentials_sent is False
    assert "No password was sent." in failure.text
    assert error.hint
    assert error.hint in failure.text
    assert error.port == server.port
    assert error.protocol == mail.says
    assert f":{server.port} ({mail.says}): " in failure.text
    assert_survives_pickling(error)
    return failure


# -- TLS: versions and suites


OLD_VERSIONS = {
    "TLS 1.0": (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1),
    "TLS 1.1": (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1),
    "TLS 1.0 and 1.1": (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1),
}


@every_class
@pytest.mark.parametrize("legacy", [None, "an old server"], ids=["modern", "legacy"])
@pytest.mark.parametrize("versions", OLD_VERSIONS)
def test_a_server_with_old_tls_only(
    versions: str, legacy: str | None, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    lowest, highest = OLD_VERSIONS[versions]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions' names
        context = pki["good_rsa"].server_context(
            minimum_version=lowest, maximum_version=highest, ciphers="ALL:@SECLEVEL=0"
        )
    server = recording_server(scripts.POLITE[mail.protocol], context=context)
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), legacy_ciphers=legacy)
    failure = attempt_and_fail(server, mail, policy=policy)
    assert_nothing_said(failure.records)
    assert type(failure.error) is TLSError
    assert failure.error.code == "tls-too-old"
    assert "probably knows only TLS 1.0 or 1.1" in failure.text
    assert "no setting here goes lower" in failure.error.hint


def test_the_old_servers_do_serve(pki: PKI, recording_server: Factory) -> None:
    """The control of the test above: a client that takes TLS 1.0 gets through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = pki["good_rsa"].server_context(
            minimum_version=ssl.TLSVersion.TLSv1,
            maximum_version=ssl.TLSVersion.TLSv1,
            ciphers="ALL:@SECLEVEL=0",
        )
        client = ssl.create_default_context(cafile=str(pki.ca_pem))
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.set_ciphers("ALL:@SECLEVEL=0")
    server = recording_server(scripts.imap_ok, context=context)
    with (
        socket.create_connection((server.host, server.port), timeout=10) as raw,
        client.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        assert tls.version() == "TLSv1"


WEAK_SUITES = {
    "static RSA, CBC": ("good_rsa", "AES128-SHA"),
    "static RSA, CBC, SHA-256": ("good_rsa", "AES256-SHA256"),
    "static RSA, GCM": ("good_rsa", "AES128-GCM-SHA256"),
    "ECDHE, CBC": ("good_rsa", "ECDHE-RSA-AES128-SHA"),
    "ECDHE, ECDSA, CBC": ("good_ecdsa", "ECDHE-ECDSA-AES256-SHA384"),
}


@every_class
@pytest.mark.parametrize("suite", WEAK_SUITES)
def test_a_server_with_weak_suites_only(
    suite: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    name, ciphers = WEAK_SUITES[suite]
    context = pki[name].server_context(maximum_version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers)
    server = recording_server(scripts.POLITE[mail.protocol], context=context)
    failure = attempt_and_fail(server, mail, policy=policy)
    assert_nothing_said(failure.records)
    assert type(failure.error) is TLSError
    assert failure.error.code == "no-common-cipher"
    assert "no cipher suite in common" in failure.text
    assert 'legacy_ciphers="why"' in failure.error.hint

    legacy = TLSPolicy(trust=CATrust(pki.ca_pem), legacy_ciphers="an old server")
    with pytest.warns(LegacyCiphersWarning, match="an old server"):
        mail.attempt(server, policy=legacy)
    assert leaks(server.wait(2)[1].received_tls, PASSWORD) != []


@every_class
@pytest.mark.parametrize("suite", ["NULL-SHA256", "ADH-AES128-SHA"])
def test_no_setting_takes_a_broken_suite(
    suite: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    context = pki["good_rsa"].server_context(
        maximum_version=ssl.TLSVersion.TLSv1_2, ciphers=f"{suite}:@SECLEVEL=0"
    )
    server = recording_server(scripts.POLITE[mail.protocol], context=context)
    legacy = TLSPolicy(trust=CATrust(pki.ca_pem), legacy_ciphers="an old server")
    failure = attempt_and_fail(server, mail, policy=legacy)
    assert_nothing_said(failure.records)
    assert failure.error.code == "no-common-cipher"


@every_class
def test_a_policy_of_tls_13_only(mail: Mail, pki: PKI, recording_server: Factory) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), minimum_version="1.3")  # type: ignore[arg-type]
    context = pki["good"].server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    server = recording_server(scripts.POLITE[mail.protocol], context=context)
    failure = attempt_and_fail(server, mail, policy=policy)
    assert_nothing_said(failure.records)
    assert failure.error.code == "tls-too-old"
    assert "TLS 1.3" in failure.text
    assert "1.0" not in failure.text, "the server has TLS 1.2"
    mail.attempt(
        recording_server(scripts.POLITE[mail.protocol], context=pki["good"].server_context()),
        policy=policy,
    )


@every_class
@pytest.mark.parametrize(
    ("alert", "code"),
    [
        (ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME, "unrecognized-name"),
        (ssl.ALERT_DESCRIPTION_INTERNAL_ERROR, "tls"),
        (ssl.ALERT_DESCRIPTION_ACCESS_DENIED, "tls"),
    ],
)
def test_a_server_that_has_nothing_under_the_name(
    alert: int,
    code: str,
    mail: Mail,
    pki: PKI,
    policy: TLSPolicy,
    recording_server: Factory,
) -> None:
    context = pki["good"].server_context(own=True)
    context.sni_callback = lambda sock, name, context: alert
    server = recording_server(scripts.POLITE[mail.protocol], context=context)
    failure = attempt_and_fail(server, mail, policy=policy)
    assert_nothing_said(failure.records)
    assert failure.error.code == code
    assert "[SSL" not in failure.text
    assert "server_hostname=" in failure.error.hint


OAKLEY_2 = Path(__file__).parent / "vectors" / "dh1024.pem"  # RFC 2409, 6.2


@every_class
def test_diffie_hellman_parameters_that_are_too_small(
    mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    context = pki["good_rsa"].server_context(
        maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"
    )
    context.load_dh_params(str(OAKLEY_2))
    server = recording_server(scripts.POLITE[mail.protocol], context=context)
    failure = attempt_and_fail(server, mail, policy=policy)
    assert_nothing_said(failure.records)
    assert failure.error.code == "weak-dh"
    assert "Diffie-Hellman parameters that are too small" in failure.text
    assert "does without DHE" in failure.error.hint


@every_class
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_server_that_demands_a_client_certificate(
    version: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    number = ssl.TLSVersion[version]
    context = pki["good"].server_context(minimum_version=number, maximum_version=number)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca_pem)
    server = recording_server(scripts.POLITE[mail.protocol], context=context)
    failure = attempt_and_fail(server, mail, policy=policy)
    assert_nothing_said(failure.records)
    assert isinstance(failure.error, TLSError)
    assert "demands a client certificate" in failure.text


# -- a port that does not speak TLS


@dataclass(frozen=True)
class Clear:
    """What is said in clear, and how the message puts it."""

    said: bytes
    quoted: str
    words: str
    hint: str


IN_CLEAR = {
    "SMTP": Clear(b"220 mx ESMTP\r\n", '"220 mx ESMTP"', "SMTP is spoken on this port", "STARTTLS"),
    "SMTP, declining": Clear(
        b"554 no\r\n", '"554 no"', "the server declines, in clear", "administrator"
    ),
    "POP3": Clear(b"+OK hello\r\n", '"+OK hello"', "POP3 is spoken on this port", "STLS"),
    "IMAP": Clear(b"* OK hello\r\n", '"* OK hello"', "IMAP is spoken on this port", "STARTTLS"),
    "HTTP": Clear(
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        '"HTTP/1.1 400 Bad Request"',
        "HTTP is spoken on this port",
        "web server",
    ),
    "SSH": Clear(b"SSH-2.0-OpenSSH_9.2\r\n", '"SSH-2.0-OpenSSH_9.2"', "not TLS", "993"),
    "garbage": Clear(b"What a day\r\n", '"What a day"', "not TLS", "993"),
    "an empty line": Clear(b"\r\n", '""', "not TLS", "993"),
    "binary": Clear(b"\x80\xff\x00\x1b[2J", r'"\x80\xff\x00\x1b[2J"', "not TLS", "993"),
    "no line end": Clear(b"hello", '"hello"', "not TLS", "993"),
    "very long": Clear(b"a" * 100_000, f'"{"a" * 80}"', "not TLS", "993"),
}


def slowly(data: bytes) -> Script:
    """Answers ClientHello, and not before the client is waiting for an answer."""

    def answer(conversation: Conversation, *_: Any) -> None:
        time.sleep(0.05)
        conversation.send(data)
        conversation.sleep_until_closed(30)

    return after_client_hello(b"", answer)


def assert_named(failure: Failure, expected: Clear) -> None:
    assert_nothing_said(failure.records)
    assert type(failure.error) is TLSError
    assert isinstance(failure.error, ssl.SSLError)
    assert failure.error.code == "plaintext-port"
    assert expected.quoted in failure.text
    assert expected.words in failure.text
    assert expected.hint in failure.error.hint
    assert failure.text.isprintable()


@every_class
@pytest.mark.parametrize("greeting", IN_CLEAR)
def test_an_answer_in_clear_is_named(
    greeting: str, mail: Mail, policy: TLSPolicy, recording_server: Factory
) -> None:
    server = recording_server(slowly(IN_CLEAR[greeting].said))
    # OpenSSL waits for five octets: fewer are named when the time is over.
    failure = attempt_and_fail(server, mail, policy=policy, limits=SOON)
    assert_named(failure, IN_CLEAR[greeting])


@every_class
@pytest.mark.parametrize("greeting", IN_CLEAR)
def test_a_greeting_in_clear_is_named(
    greeting: str,
    mail: Mail,
    policy: TLSPolicy,
    recording_server: Factory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is there before this side has said hello."""
    said = IN_CLEAR[greeting].said
    pause_after_connecting(monkeypatch, until_there=min(len(said), 200))
    server = recording_server(scripts.says(said))
    failure = attempt_and_fail(server, mail, policy=policy, limits=Limits(connect=5))
    assert_named(failure, IN_CLEAR[greeting])


@every_class
@pytest.mark.parametrize("greeting", [one for one in IN_CLEAR if one != "an empty line"])
def test_a_greeting_in_clear_that_comes_while_we_say_hello(
    greeting: str, mail: Mail, policy: TLSPolicy, recording_server: Factory
) -> None:
    """At the worst moment OpenSSL has swallowed its beginning: then it is not quoted."""
    server = recording_server(scripts.says(IN_CLEAR[greeting].said))
    failure = attempt_and_fail(server, mail, policy=policy, limits=Limits(connect=5))
    assert_nothing_said(failure.records)
    assert failure.error.code in ("plaintext-port", "not-tls")
    assert "port" in failure.error.hint


@every_class
def test_a_server_that_answers_in_pieces_is_no_greeting_in_clear(
    mail: Mail,
    pki: PKI,
    policy: TLSPolicy,
    recording_server: Factory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenSSL may have taken the beginning of a record when the answer is looked at: as if this
    computer had been stopped between saying hello and listening."""
    real_flush, real_handshake = Conversation._flush, GatedSocket.do_handshake
    shaken = []

    def in_pieces(conversation: Conversation) -> None:
        data = conversation._outgoing.read()
        for piece in (data[:7], data[7:]) if data else ():
            conversation._outgoing.write(piece)
            real_flush(conversation)
            time.sleep(0.2)

    def shake(sock: GatedSocket, block: bool = False) -> None:
        if not shaken:
            shaken.append(sock)
            with contextlib.suppress(ssl.SSLWantReadError):
                real_handshake(sock)
            time.sleep(0.1)
        real_handshake(sock, block)

    monkeypatch.setattr(Conversation, "_flush", in_pieces)
    monkeypatch.setattr(GatedSocket, "do_handshake", shake)
    server = serve_tls(recording_server, pki, scripts.POLITE[mail.protocol])
    client = mail.cls("127.0.0.1", server.port, policy=policy)
    mail.close(client)
    assert shaken


def pause_after_connecting(monkeypatch: pytest.MonkeyPatch, until_there: int = 0) -> None:
    """Connecting takes until that many octets have come, or the end of the connection."""
    real = connection_module.dial

    def dial(*arguments: Any) -> socket.socket:
        sock = real(*arguments)
        if until_there:
            sock.settimeout(10)
            sock.recv(until_there, socket.MSG_PEEK | socket.MSG_WAITALL)
        else:
            select.select([sock], [], [], 10)  # leaves the error, if that is what comes
        return sock

    monkeypatch.setattr(connection_module, "dial", dial)


# -- silence, and ends


@every_class
@pytest.mark.parametrize("said", [b"", rude.HALF_A_SERVER_HELLO], ids=["at all", "in the middle"])
def test_silence_instead_of_a_handshake(
    said: bytes, mail: Mail, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = after_client_hello(said, rude.says_nothing)
    failure = attempt_and_fail(recording_server(script), mail, policy=policy, limits=SOON)
    assert_nothing_said(failure.records)
    assert 0.5 <= failure.seconds < 0.5 + SLACK
    assert isinstance(failure.error, TimeLimitExceeded)
    assert isinstance(failure.error, TimeoutError)
    assert failure.error.errno == errno.ETIMEDOUT
    assert "no TLS within 0.5 s" in failure.text


@every_class
def test_nobody_accepts(mail: Mail, policy: TLSPolicy) -> None:
    """The system has connected, and no program takes the connection up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(TimeLimitExceeded, match=r"no TLS within 0\.5 s"):
            mail.cls("127.0.0.1", port, policy=policy, limits=SOON)


@every_class
def test_the_standard_timeout_sets_the_limits(
    mail: Mail, policy: TLSPolicy, recording_server: Factory
) -> None:
    failure = attempt_and_fail(recording_server(scripts.silence), mail, policy=policy, timeout=0.5)
    assert failure.seconds < 0.5 + SLACK
    assert "no TLS within 0.5 s" in failure.text


@every_class
def test_a_trickle_does_not_prolong_the_handshake(
    mail: Mail, policy: TLSPolicy, recording_server: Factory
) -> None:
    """One octet at a time of a record that would take hours."""
    script = after_client_hello(b"\x16\x03\x03\x40\x00", rude.trickles(b"\x16", 3))
    failure = attempt_and_fail(recording_server(script), mail, policy=policy, limits=SOON)
    assert failure.seconds < 0.5 + SLACK
    assert isinstance(failure.error, TimeLimitExceeded)


ENDS: dict[str, Script] = {
    "closed at once": scripts.close_at_once,
    "reset at once": scripts.reset_at_once,
    "closed after ClientHello": after_client_hello(b"", rude.closes),
    "reset after ClientHello": after_client_hello(b"", rude.resets),
    "closed in ServerHello": after_client_hello(rude.HALF_A_SERVER_HELLO, rude.closes),
    "reset in ServerHello": after_client_hello(rude.HALF_A_SERVER_HELLO, rude.resets),
    "closed after garbage": after_client_hello(b"\x16\x03\x03\x00\x05hello", rude.closes),
}


@every_class
@pytest.mark.parametrize(
    ("end", "late"),
    [(end, False) for end in ENDS] + [("closed at once", True), ("reset at once", True)],
)
def test_a_handshake_that_breaks_off(
    end: str,
    late: bool,
    mail: Mail,
    policy: TLSPolicy,
    recording_server: Factory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if late:  # seen before we say hello
        pause_after_connecting(monkeypatch)
    server = recording_server(ENDS[end])
    failure = attempt_and_fail(server, mail, policy=policy, limits=Limits(connect=5))
    assert_nothing_said(failure.records)
    assert failure.seconds < SLACK
    assert isinstance(failure.error, (TLSError, ConnectFailed))
    assert isinstance(failure.error, OSError)
    if end.startswith("reset at once"):
        assert isinstance(failure.error, ConnectionResetError)
        # It can be seen while still connecting.
        assert "hung up" in failure.text or "Connection reset by peer" in failure.text


# -- after the handshake


def serve_tls(recording_server: Factory, pki: PKI, script: Script) -> RecordingServer:
    return recording_server(script, context=pki["good"].server_context())


BREAKS: dict[str, Answer] = {"reset": rude.resets, "closed": rude.closes}
PLACES: dict[str, Callable[[str, Answer], Scripted]] = {
    "handshake": lambda protocol, end: Scripted(protocol, greeting=end),
    "greeting": lambda protocol, end: Scripted(
        protocol,
        greeting=lambda conversation, *rest: (
            conversation.send(scripts.GREETINGS[protocol]),
            end(conversation, *rest),
        )[1],
    ),
    "opening": lambda protocol, end: Scripted(protocol, opening=end),
    "half the answer": lambda protocol, end: Scripted(
        protocol,
        opening=lambda conversation, *rest: (
            says(b"* CAPABILITY IMA", b"+OK\r\nSASL", b"250-mail.example.org\r\n250-AU")(
                conversation, *rest
            ),
            end(conversation, *rest),
        )[1],
    ),
}


@every_class
@pytest.mark.parametrize("end", BREAKS)
@pytest.mark.parametrize("after", PLACES)
def test_the_server_hangs_up(
    after: str, end: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    server = serve_tls(recording_server, pki, PLACES[after](mail.protocol, BREAKS[end]))
    failure = attempt_and_fail(server, mail, policy=policy)
    assert leaks(failure.records[0].everything, PASSWORD) == []
    assert failure.seconds < SLACK
    assert isinstance(failure.error, ConnectFailed)
    assert isinstance(failure.error, ConnectionResetError)
    assert isinstance(failure.error, mail.standard_error)
    if mail.protocol == "smtp":
        assert isinstance(failure.error, smtplib.SMTPServerDisconnected)
    if mail.protocol == "imap":
        assert isinstance(failure.error, imaplib.IMAP4.abort)
    assert "the server hung up" in failure.text


@every_class
@pytest.mark.parametrize("after", PLACES)
def test_the_server_goes_silent(
    after: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    server = serve_tls(recording_server, pki, PLACES[after](mail.protocol, rude.says_nothing))
    failure = attempt_and_fail(server, mail, policy=policy, limits=SOON)
    assert leaks(failure.records[0].everything, PASSWORD) == []
    assert 0.5 <= failure.seconds < 0.5 + SLACK
    assert isinstance(failure.error, TimeLimitExceeded)
    assert isinstance(failure.error, TimeoutError)
    started = after == "half the answer"
    words = "was not done with its answer after" if started else "said nothing for"
    assert f"{words} 0.5 s" in failure.text


GREETINGS: dict[str, Answer] = {
    "garbage": to_all(b"What a lovely day it is\r\n"),
    "binary": to_all(bytes(range(256)) * 16 + b"\r\n"),
    "not UTF-8": says(b"* \xff\xfe\xe9\r\n", b"\xff\xfeOK\r\n", b"2\xe90 \xff\xfe\r\n"),
    "empty line": to_all(b"\r\n"),
    "NUL": to_all(b"\0\r\n"),
    "a number that is none": to_all(b"abc hello\r\n"),
    "another number": to_all(b"250 hello\r\n"),
    "half a number": to_all(b"22 hello\r\n"),
    "digits of another script": to_all("٢٢٠ hello\r\n".encode()),
    "another protocol": says(b"+OK\r\n", b"220 x\r\n", b"* OK x\r\n"),
    "an endless line": to_all(b"+" * 3_000_000),
    "a terminal's sequence": to_all(b"\x1b]0;gone\x07\x1b[2J\r\n"),
    "a literal without end": says(
        b"* OK {99999999999999999999999}\r\n", b"+\r\n" * 0 + b"-\r\n", b"22\r\n"
    ),
    "a literal of a terabyte": says(b"* OK {999999999999999}\r\n", b"-\r\n", b"22\r\n"),
    "a tag that was not given": says(b"a1 OK\r\n", b"OK\r\n", b"OK\r\n"),
}


@every_class
@pytest.mark.parametrize("greeting", GREETINGS)
def test_a_greeting_in_no_protocol(
    greeting: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = Scripted(mail.protocol, greeting=GREETINGS[greeting])
    failure = attempt_and_fail(serve_tls(recording_server, pki, script), mail, policy=policy)
    assert_nothing_said(failure.records)
    if isinstance(failure.error, LimitExceeded):
        assert greeting in ENDLESS
    elif (greeting, mail.protocol) == ("empty line", "imap"):
        assert "hung up" in failure.text  # it is passed over, and the next one waited for
    else:
        assert isinstance(failure.error, ProtocolViolation)
        assert isinstance(failure.error, mail.standard_error)
        assert f"does not speak as {mail.says.split()[0]} does" in failure.text
    assert failure.text.isprintable()
    assert len(failure.text) < 800


# More than our limits allow; SMTP's standard reader has a shorter line of its own.
ENDLESS = ("an endless line", "a literal without end", "a literal of a terabyte")


@every_class
def test_a_greeting_in_no_protocol_is_quoted_as_it_was(
    mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = Scripted(mail.protocol, greeting=GREETINGS["garbage"])
    failure = attempt_and_fail(serve_tls(recording_server, pki, script), mail, policy=policy)
    # smtplib takes the first four characters for the number; imaplib makes the sentence.
    shown = {
        "imap": "unexpected response: b'What a lovely day it is'",
        "pop3": '"What a lovely day it is"',
        "smtp": '"What a lovely day it is"',
    }
    assert shown[mail.protocol] in failure.text


DECLINES: dict[str, Answer] = {
    "busy": says(b"* BYE too busy\r\n", b"-ERR too busy\r\n", b"554 too busy\r\n"),
    "for now": says(
        b"* BYE [UNAVAILABLE] later\r\n", b"-ERR [SYS/TEMP] later\r\n", b"421 later\r\n"
    ),
    "not UTF-8": says(b"* BYE \xe9\xff\r\n", b"-ERR \xe9\xff\r\n", b"554 \xe9\xff\r\n"),
    "several lines": says(b"* BYE a\r\n", b"-ERR a\r\n", b"554-a\r\n554-b\r\n554 c\r\n"),
    "no words": says(b"* BYE\r\n", b"-ERR\r\n", b"554\r\n"),
}


@every_class
@pytest.mark.parametrize("words", DECLINES)
def test_a_server_that_declines(
    words: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = Scripted(mail.protocol, greeting=DECLINES[words])
    failure = attempt_and_fail(serve_tls(recording_server, pki, script), mail, policy=policy)
    assert_nothing_said(failure.records)
    assert isinstance(failure.error, ConnectFailed)
    assert failure.error.code == "unavailable"
    assert isinstance(failure.error, mail.standard_error)
    assert "the server declines" in failure.text
    assert failure.text.isprintable()
    if mail.protocol == "smtp":
        assert isinstance(failure.error, smtplib.SMTPConnectError)
        assert failure.error.smtp_code in (421, 554)
        assert failure.error.args == (failure.error.smtp_code, failure.error.smtp_error)
    if words == "busy":
        assert "too busy" in failure.text


OPENINGS: dict[str, Answer] = {
    "not UTF-8": says(
        b"* CAPABILITY \xff\xe9\r\n%t OK\r\n", b"+OK\r\n\xff\xe9\r\n.\r\n", b"250 \xff\xe9\r\n"
    ),
    "no such command": says(b"%t BAD what?\r\n", b"-ERR what?\r\n", b"502 what?\r\n"),
    "go away": says(b"* BYE away\r\n", b"-ERR what?\r\n", b"421 away\r\n"),
    "nothing in it": says(b"%t OK\r\n", b"+OK\r\n.\r\n", b"250 \r\n"),
    "garbage": to_all(b"What a lovely day it is\r\n"),
    "binary": to_all(bytes(range(256)) * 16 + b"\r\n"),
    "an endless line": to_all(b"+" * 3_000_000),
    "no IMAP4": says(b"* CAPABILITY X\r\n%t OK\r\n", b"+OK\r\n\r\n.\r\n", b"250\r\n"),
}
# What of these is nothing to fail for: the server just offers nothing, and is not told anything.
OFFERS_NOTHING = {
    ("not UTF-8", "smtp"),
    ("nothing in it", "smtp"),
    ("no IMAP4", "smtp"),
}
DECLINED = {("no such command", "smtp"), ("go away", "smtp"), ("go away", "imap")}
# POP3 servers without CAPA, or without SASL in it, take USER and PASS (RFC 1939): as it should be.
TAKES_USER = {
    ("no such command", "pop3"),
    ("go away", "pop3"),
    ("nothing in it", "pop3"),
    ("no IMAP4", "pop3"),
}


@pytest.mark.parametrize(
    ("answer", "mail"),
    [
        pytest.param(answer, MAIL[name], id=f"{name}, {answer}")
        for answer in OPENINGS
        for name in MAIL
        if (answer, name) not in TAKES_USER
    ],
)
def test_bad_capabilities(
    answer: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = Scripted(mail.protocol, opening=OPENINGS[answer])
    server = serve_tls(recording_server, pki, script)
    failure = attempt_and_fail(server, mail, policy=policy)
    assert leaks(failure.records[0].everything, PASSWORD) == []
    if (answer, mail.protocol) in OFFERS_NOTHING:
        assert failure.error.code == "no-mechanism"
    elif (answer, mail.protocol) in DECLINED:
        assert failure.error.code == "unavailable"
        assert isinstance(failure.error, mail.standard_error)
    elif isinstance(failure.error, LimitExceeded):
        assert answer == "an endless line"
    else:
        assert isinstance(failure.error, ProtocolViolation)
        assert isinstance(failure.error, mail.standard_error)


def test_one_that_greets_without_asking_for_a_sign_in(
    pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    """PREAUTH over TLS is allowed (RFC 9051, 7.1.4), and then there is nothing to sign in to."""
    mail = MAIL["imap"]
    greeting = to_all(b"* PREAUTH welcome back\r\n")
    server = serve_tls(recording_server, pki, Scripted("imap", greeting=greeting))
    client = mail.cls("127.0.0.1", server.port, policy=policy)
    try:
        assert client.state == "AUTH"
        with pytest.raises(imaplib.IMAP4.error, match="illegal in state AUTH"):
            client.login("user", PASSWORD)
    finally:
        mail.close(client)
    assert leaks(server.wait()[0].everything, PASSWORD) == []


SLOWLY: dict[str, Answer] = {
    "a line that comes slowly": rude.trickles(b"+", 1.5),
    "lines without end": rude.without_end(b"* OK x\r\n", b"+\r\n", b"220-x\r\n", 1.5),
}


@every_class
@pytest.mark.parametrize("how", SLOWLY)
def test_a_reply_has_limits_of_time_and_of_lines(
    how: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    def greets_and(conversation: Conversation, protocol: str, tag: bytes) -> None:
        if "end" in how and protocol != "smtp":
            conversation.send(scripts.GREETINGS[protocol])
            conversation.read_line()
            says(b"* OK x\r\n", b"+OK\r\n", b"")(conversation, protocol, tag)
        SLOWLY[how](conversation, protocol, tag)

    server = serve_tls(recording_server, pki, Scripted(mail.protocol, greeting=greets_and))
    limits = Limits(read=0.3, lines=100)  # the server sends 1,000 a second
    failure = attempt_and_fail(server, mail, policy=policy, limits=limits)
    assert failure.seconds < 1.2
    assert isinstance(failure.error, LimitExceeded)


LINES = {"imap": b"* OK x\r\n", "pop3": b"+\r\n", "smtp": b"220-x\r\n"}


@every_class
@pytest.mark.parametrize("number", [900, 1100])
def test_before_a_sign_in_a_thousand_lines_are_enough(
    number: int, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    """Each costs the client more than the server; afterwards `Limits.lines` holds alone."""

    def greets_and(conversation: Conversation, protocol: str, tag: bytes) -> None:
        if protocol != "smtp":
            conversation.send(scripts.GREETINGS[protocol])
            conversation.read_line()
            says(b"* OK x\r\n", b"+OK\r\n", b"")(conversation, protocol, tag)
        conversation.send(LINES[protocol] * number)

    server = serve_tls(recording_server, pki, Scripted(mail.protocol, greeting=greets_and))
    failure = attempt_and_fail(server, mail, policy=policy, limits=Limits(read=0.3))
    if number > 1000:
        assert failure.error.code == "limit-lines"
        assert "more than 1,000 lines in one reply, before anybody signed in." in failure.text
    else:
        assert failure.error.code == "time-limit", "the control: it waited for more"


# -- no server at all


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@every_class
def test_connection_refused(mail: Mail, policy: TLSPolicy) -> None:
    port = closed_port()
    with pytest.raises(ConnectFailed) as raised:
        mail.cls("127.0.0.1", port, policy=policy)
    error = raised.value
    assert isinstance(error, ConnectionRefusedError)
    assert error.errno == errno.ECONNREFUSED
    assert error.code == "connect-refused"
    assert (error.host, error.port, error.credentials_sent) == ("127.0.0.1", port, False)
    assert "\n  127.0.0.1: Connection refused" in str(error)
    assert "No password was sent." in str(error)
    assert_survives_pickling(error)


@every_class
def test_a_name_that_is_not_known(
    mail: Mail, policy: TLSPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*arguments: Any, **keywords: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(ConnectFailed) as raised:
        mail.cls("mail.example.org", 993, policy=policy)
    error = raised.value
    assert isinstance(error, socket.gaierror)
    assert error.errno == socket.EAI_NONAME
    assert error.code == "name-not-found"
    assert "mail.example.org:993" in str(error)
    assert "Name or service not known" in str(error)
    assert "spelling" in error.hint
    assert_survives_pickling(error)


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every name have these addresses, in this order."""

    def are(*wanted: tuple[str, int]) -> None:
        def look_up(*arguments: Any, **keywords: Any) -> Any:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
                for address in wanted
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return are


@every_class
def test_the_next_address_is_tried(
    mail: Mail,
    pki: PKI,
    policy: TLSPolicy,
    recording_server: Factory,
    addresses: Callable[..., None],
) -> None:
    server = serve_tls(recording_server, pki, scripts.POLITE[mail.protocol])
    addresses(("127.0.0.2", closed_port()), ("127.0.0.1", server.port))
    mail.attempt(server, host="mail.example.org", policy=policy)
    assert leaks(server.wait()[0].received_tls, PASSWORD) != []


@every_class
def test_every_address_that_fails_has_its_line(
    mail: Mail, policy: TLSPolicy, addresses: Callable[..., None]
) -> None:
    addresses(("127.0.0.2", closed_port()), ("127.0.0.3", closed_port()))
    with pytest.raises(ConnectionRefusedError) as raised:
        mail.cls("mail.example.org", 993, policy=policy)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"mail.example.org:993 ({mail.says}): could not connect."
    assert lines[1:3] == ["  127.0.0.2: Connection refused", "  127.0.0.3: Connection refused"]
    assert lines[3].strip().startswith("No password was sent.")
    assert len(lines) == 4


FINAL: dict[str, tuple[str, Script | None]] = {
    "certificate": ("expired", None),
    "clear text": ("", scripts.says(b"* OK in clear\r\n")),
    "reset": ("", after_client_hello(b"", rude.resets)),
    "silence": ("", scripts.silence),
}


@every_class
@pytest.mark.parametrize("trouble", FINAL)
def test_after_tls_began_no_other_address_is_tried(
    trouble: str,
    mail: Mail,
    pki: PKI,
    policy: TLSPolicy,
    recording_server: Factory,
    addresses: Callable[..., None],
) -> None:
    name, script = FINAL[trouble]
    polite = scripts.POLITE[mail.protocol]
    first = recording_server(
        script or polite, context=pki[name].server_context() if name else None, host="127.0.0.2"
    )
    second = serve_tls(recording_server, pki, polite)
    addresses(("127.0.0.2", first.port), ("127.0.0.1", second.port))
    with failing(first) as failure:
        mail.attempt(first, host="mail.example.org", policy=policy, limits=SOON)
    assert_nothing_said(failure.records)
    assert second.connections == 0
    if trouble == "certificate":
        assert type(failure.error) is CertificateRejected


@every_class
def test_an_address_that_swallows_everything_leaves_time_for_the_next(
    mail: Mail,
    pki: PKI,
    policy: TLSPolicy,
    recording_server: Factory,
    addresses: Callable[..., None],
) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # the queue of a server that accepts nobody
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        try:
            server = serve_tls(recording_server, pki, scripts.POLITE[mail.protocol])
            addresses(full.getsockname(), ("127.0.0.1", server.port))
            mail.attempt(server, host="mail.example.org", policy=policy, limits=Limits(connect=1))
            addresses(full.getsockname())
            with pytest.raises(ConnectFailed, match="no answer in time") as raised:
                mail.cls("mail.example.org", 993, policy=policy, limits=Limits(connect=0.5))
        finally:
            for one in waiting:
                one.close()
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.code == "connect-timed-out"


# -- hosts


GOOD_HOSTS = {
    "plain": ("mail.example.org", "mail.example.org"),
    "one label": ("localhost", "localhost"),
    "upper case": ("MAIL.Example.ORG", "mail.example.org"),
    "final dot": ("mail.example.org.", "mail.example.org"),
    "one label and a dot": ("localhost.", "localhost"),
    "underscore": ("mail_server.internal_net", "mail_server.internal_net"),
    "digits first": ("1und1.example", "1und1.example"),
    "a label of digits inside": ("mail.123.example", "mail.123.example"),
    "sharp s": ("straße.example.org", "xn--strae-oqa.example.org"),
    "sharp s, upper case": ("STRASSE.example.org", "strasse.example.org"),
    "umlaut": ("bücher.example", "xn--bcher-kva.example"),
    "umlaut, upper case": ("BÜCHER.example", "xn--bcher-kva.example"),
    "umlaut, decomposed": ("bu\u0308cher.example", "xn--bcher-kva.example"),
    "full width": ("\uff4d\uff41\uff49\uff4c.example.org", "mail.example.org"),
    "ideographic dot": ("mail。example。org", "mail.example.org"),
    "full-width dot": ("mail\uff0eexample\uff0eorg", "mail.example.org"),
    "final ideographic dot": ("mail.example.org。", "mail.example.org"),
    "A-label": ("xn--strae-oqa.example.org", "xn--strae-oqa.example.org"),
    "A-label, upper case": ("XN--STRAE-OQA.example.org", "xn--strae-oqa.example.org"),
    "greek final sigma": ("βόλος.example", "xn--nxasmm1c.example"),
    "63 octets": ("a" * 63 + ".example", "a" * 63 + ".example"),
    "253 octets": (".".join(["a" * 63] * 3 + ["a" * 61]), ".".join(["a" * 63] * 3 + ["a" * 61])),
    "IPv4": ("192.0.2.1", "192.0.2.1"),
    "IPv6": ("2001:DB8::1", "2001:db8::1"),
    "IPv6 in full": ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
    "IPv6 in brackets": ("[2001:db8::1]", "2001:db8::1"),
    "loopback in brackets": ("[::1]", "::1"),
    "zone": ("fe80::1%eth0", "fe80::1"),
    "zone in brackets": ("[fe80::1%eth0]", "fe80::1"),
}


@pytest.mark.parametrize("kind", GOOD_HOSTS)
def test_a_host_in_its_one_form(kind: str) -> None:
    text, name = GOOD_HOSTS[kind]
    host = Host.parse(text)
    assert host.name == name
    assert host.address.partition("%")[0] == name
    assert Host.parse(host.name).name == name
    assert Host.parse(host.address) == host


def test_a_zone_is_dialled_and_not_verified() -> None:
    assert Host.parse("fe80::1%eth0").address == "fe80::1%eth0"


@pytest.mark.parametrize("text", ["::ffff:127.0.0.1", "[::ffff:127.0.0.1]", "::ffff:7f00:1"])
def test_a_mapped_address_has_one_form_on_every_python(text: str) -> None:
    assert Host.parse(text) == Host.parse("::ffff:127.0.0.1")
    assert Host.parse(text).is_ip
    assert Host.parse(text).name == "::ffff:127.0.0.1"


BAD_HOSTS = {
    "empty": "",
    "blank": " ",
    "dot": ".",
    "two dots": "..",
    "leading dot": ".example.org",
    "two final dots": "mail.example.org..",
    "two dots inside": "mail..example.org",
    "ideographic dot alone": "。",
    "short IPv4": "127.1",
    "IPv4 as a number": "2130706433",
    "IPv4 in hexadecimal": "0x7f000001",
    "IPv4 in hexadecimal, dotted": "0x7f.0.0.1",
    "IPv4 in octal": "0177.0.0.1",
    "IPv4 with zeros": "127.0.0.01",
    "IPv4 and a dot": "127.0.0.1.",
    "IPv4 of five": "127.0.0.0.1",
    "IPv4 too large": "256.1.1.1",
    "IPv4 in full-width digits": "\uff11\uff12\uff17.0.0.1",
    "IPv4 in brackets": "[127.0.0.1",
    "port": "mail.example.org:993",
    "IPv4 and port": "127.0.0.1:993",
    "IPv6 and port": "[::1]:993",
    "one bracket": "[::1",
    "brackets around a name": "[mail.example.org]",
    "empty brackets": "[]",
    "two brackets": "[[::1]]",
    "empty zone on a name": "mail%eth0",
    "zone on IPv4": "127.0.0.1%eth0",
    "zone with a blank": "fe80::1%eth 0",
    "zone with a line break": "fe80::1%eth0\r\n",
    "zone with NUL": "fe80::1%eth\0",
    "blank before": " mail.example.org",
    "blank after": "mail.example.org ",
    "blank inside": "mail example.org",
    "line break": "mail.example.org\n",
    "tab": "mail\t.example.org",
    "NUL": "mail\0.example.org",
    "NUL at the end": "mail.example.org\0",
    "user": "user@mail.example.org",
    "URL": "imaps://mail.example.org",
    "path": "mail.example.org/inbox",
    "query": "mail.example.org?x",
    "wildcard": "*.example.org",
    "hyphen first": "-mail.example.org",
    "hyphen last": "mail-.example.org",
    "64 octets": "a" * 64 + ".example",
    "254 octets": ".".join(["a" * 63] * 3 + ["a" * 62]),
    "very long": "a." * 100_000,
    "very long, not ASCII": "ä." * 100_000,
    "long when encoded": "ä" * 63 + ".example",
    "emoji": "📮.example.org",
    "zero-width joiner": "ma\u200dil.example.org",
    "right-to-left mark": "mail\u202e.example.org",
    "half a character": "mail\ud800.example.org",
    "A-label of nothing": "xn--.example.org",
    "A-label that decodes to nothing": "xn--a.example.org",
    "A-label of ASCII": "xn--mail-.example.org",
    "A-label not canonical": "xn--strae-OQA\u00e4.example.org",
    "A-label of an emoji": "xn--i-7iq.example.org",
    "superscript": "mail².\u2488example.org",
    "slash in full width": "mail.example.org\uff0fx",
    "at sign in full width": "user\uff20mail.example.org",
}


@pytest.mark.parametrize("kind", BAD_HOSTS)
def test_a_host_that_is_none(kind: str) -> None:
    with pytest.raises(PolicyError) as raised:
        Host.parse(BAD_HOSTS[kind])
    assert raised.value.code == "host-name"
    assert isinstance(raised.value, ValueError)
    assert len(str(raised.value)) < 500
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("thing", [None, b"mail.example.org", 1, 1.5, ["mail"], object()])
def test_a_host_that_is_no_text(thing: Any) -> None:
    with pytest.raises(PolicyError, match="is not text"):
        Host.parse(thing)


@given(st.text() | st.text(alphabet="a1.-_:[]%xn0f\u3002ß\u0661 \0/@\u200d", max_size=40))
def test_any_text_is_a_host_or_a_policy_error(text: str) -> None:
    assert_parses_cleanly(text)


@given(st.ip_addresses().map(str) | st.from_regex(r"[0-9a-fx.:%\[\]]{1,30}", fullmatch=True))
def test_any_address_is_a_host_or_a_policy_error(text: str) -> None:
    assert_parses_cleanly(text)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4).map(".".join))
def test_any_labels_are_a_host_or_a_policy_error(text: str) -> None:
    assert_parses_cleanly(text)


def assert_parses_cleanly(text: str) -> None:
    try:
        host = Host.parse(text)
    except PolicyError:
        return
    assert Host.parse(host.name).name == host.name
    assert Host.parse(host.address) == host
    assert host.name.isascii()
    assert host.name == host.name.lower()
    assert not set(host.name) & set(" []%/@\0\r\n")
    assert len(host.name) <= 253
    assert host.is_ip == (":" in host.name or host.name.rpartition(".")[2].isdigit())


@every_class
@pytest.mark.parametrize("kind", BAD_HOSTS)
def test_nothing_is_connected_for_a_host_that_is_none(
    kind: str, mail: Mail, policy: TLSPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("looked up")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    text = BAD_HOSTS[kind]
    # To the standard classes "" is localhost for IMAP, and for SMTP a connect() later on.
    if text or mail.protocol == "pop3":
        with pytest.raises(PolicyError) as raised:
            mail.cls(text, 993, policy=policy)
        assert raised.value.code == "host-name"
    with pytest.raises(PolicyError):
        mail.cls("mail.example.org", 993, policy=policy, server_hostname=text)


@every_class
@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "127.0.0.1"])
def test_connects_to_any_spelling(
    host: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    server = serve_tls(recording_server, pki, scripts.POLITE[mail.protocol])
    mail.attempt(server, host=host, policy=policy)
    assert leaks(server.wait()[0].received_tls, PASSWORD) != []


@every_class
@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_connects_to_ipv6(
    host: str, mail: Mail, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    try:
        server = recording_server(
            scripts.POLITE[mail.protocol], context=pki["good"].server_context(), host="::1"
        )
    except OSError:
        pytest.skip("this computer has no ::1")
    mail.attempt(server, host=host, policy=policy)
    assert leaks(server.wait()[0].received_tls, PASSWORD) != []


@pytest.mark.parametrize("port", [0, -1, 65536, "imaps", "", 1.5, None])
@pytest.mark.parametrize("name", ["imap", "pop3"])
def test_a_port_that_is_none(name: str, port: Any, policy: TLSPolicy) -> None:
    with pytest.raises(PolicyError, match="port") as raised:
        MAIL[name].cls("127.0.0.1", port, policy=policy)
    assert raised.value.code == "port"


@pytest.mark.parametrize("host", ["mail.example.org:imaps", "mail.example.org:99999"])
def test_smtp_takes_a_port_after_the_host_as_the_standard_does(
    host: str, policy: TLSPolicy
) -> None:
    with pytest.raises(PolicyError) as raised:
        MAIL["smtp"].cls(host, policy=policy)
    assert raised.value.credentials_sent is None
