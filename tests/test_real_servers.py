"""Our classes with TLS, from the first byte and by STARTTLS, against Dovecot, Postfix and aiosmtpd.

`test_servers.py` is the control: the same servers as the standard library's clients see them.
"""

import contextlib
import functools
import imaplib
import json
import logging
import poplib
import re
import smtplib
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP_SSL,
    SMTP_STARTTLS,
    AuthenticationFailed,
    AuthPolicy,
    CATrust,
    CertificateRejected,
    CredentialsRefused,
    Limits,
    Password,
    PolicyError,
    TimeLimitExceeded,
    TLSError,
    TLSPolicy,
)
from servers import scripts
from servers.aiosmtpd_server import AiosmtpdServer
from servers.dovecot import USERS, Dovecot
from servers.leaks import leaks
from servers.pki import PKI
from servers.postfix import Postfix
from servers.processes import open_folder, skipped_where_unavailable

real_server = pytest.mark.real_server

Found = TypeVar("Found")
Connect = Callable[..., Any]

ALICE = USERS["alice"]


@dataclass(frozen=True)
class Kind:
    """One of our classes, and what of the standard it stands for."""

    ours: type
    standard: type
    protocol: str  # as reports name it
    context: str  # the argument that takes a context
    standard_error: type[Exception]  # of a sign-in that was declined


IMAP = Kind(IMAP4_SSL, imaplib.IMAP4_SSL, "IMAP over TLS", "ssl_context", imaplib.IMAP4.error)
POP3 = Kind(POP3_SSL, poplib.POP3_SSL, "POP3 over TLS", "context", poplib.error_proto)
SMTP = Kind(SMTP_SSL, smtplib.SMTP_SSL, "SMTP over TLS", "context", smtplib.SMTPAuthenticationError)
KINDS = {"imap": IMAP, "pop3": POP3, "smtp": SMTP}
IMAP_STARTTLS = Kind(
    IMAP4_STARTTLS, imaplib.IMAP4, "IMAP with STARTTLS", "ssl_context", imaplib.IMAP4.error
)
POP3_STLS = Kind(POP3_STARTTLS, poplib.POP3, "POP3 with STLS", "context", poplib.error_proto)
SUBMISSION = Kind(
    SMTP_STARTTLS,
    smtplib.SMTP,
    "SMTP with STARTTLS",
    "context",
    smtplib.SMTPAuthenticationError,
)


@dataclass(frozen=True)
class Place:
    """A server's port with TLS, or with STARTTLS."""

    kind: Kind
    host: str
    port: int
    strongest: str = "SCRAM-SHA-256"  # of what the server offers


PLACES: dict[str, Callable[[Any], Place]] = {
    "imaps": lambda get: Place(IMAP, get("dovecot").host, get("dovecot").ports["imaps"]),
    "pop3s": lambda get: Place(POP3, get("dovecot").host, get("dovecot").ports["pop3s"]),
    "submissions": lambda get: Place(
        SMTP, get("postfix").host, get("postfix").ports["submissions"]
    ),
    # Not at `.host`: there Dovecot takes a connection for private, and passwords in clear.
    "imap": lambda get: Place(
        IMAP_STARTTLS, get("dovecot").remote_host, get("dovecot").ports["imap"]
    ),
    "pop3": lambda get: Place(POP3_STLS, get("dovecot").remote_host, get("dovecot").ports["pop3"]),
    "submission": lambda get: Place(
        SUBMISSION, get("postfix").host, get("postfix").ports["submission"]
    ),
    "aiosmtpd": lambda get: Place(
        SMTP, get("aiosmtpd_server").host, get("aiosmtpd_server").port, "PLAIN"
    ),
}
EVERYWHERE = [
    pytest.param(name, marks=() if name == "aiosmtpd" else real_server) for name in PLACES
]
everywhere = pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
each_kind = pytest.mark.parametrize("name", list(KINDS))


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    return PLACES[request.param](request.getfixturevalue)


@pytest.fixture
def policy(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


@pytest.fixture
def connect(policy: TLSPolicy) -> Iterator[Connect]:
    """Our connection to a place, with the tests' CA unless told otherwise; closed in the end."""
    with contextlib.ExitStack() as opened:

        def open_(place: Place, **options: Any) -> Any:
            if not options.keys() & {"policy", "context", "ssl_context"}:
                options["policy"] = policy
            options.setdefault("timeout", 20)
            client = place.kind.ours(place.host, place.port, **options)
            opened.callback(hang_up, client)
            return client

        yield open_


def hang_up(client: Any) -> None:
    """Close without a word, whatever state it is in."""
    if isinstance(client, imaplib.IMAP4):
        if client.sock is not None and client.sock.fileno() != -1:
            client.shutdown()
    else:
        client.close()


def is_signed_in(client: Any) -> bool:
    """Asks the server for something that it gives to those who signed in only."""
    if isinstance(client, imaplib.IMAP4):
        answer: Any = client.select()
        return bool(answer[0] == "OK")
    if isinstance(client, poplib.POP3):
        return client.stat()[0] >= 0
    code, _ = client.mail("alice@example.org")
    code = code if code != 250 else client.rcpt("bob@example.org")[0]
    return bool(code == 250)


def assert_soon(look: Callable[[], Found], seconds: float = 20) -> Found:
    """What `look` finds, as soon as it finds anything."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing found in {seconds} s"
        time.sleep(0.02)
    return found


# -- signing in


@everywhere
def test_login_signs_in(place: Place, connect: Connect) -> None:
    client = connect(place)
    client.login("alice", ALICE)
    assert is_signed_in(client)
    assert client.report.auth.user == "alice"


@everywhere
def test_authenticate_signs_in_by_the_strongest(place: Place, connect: Connect) -> None:
    client = connect(place)
    client.authenticate(Password("bob", USERS["bob"]))
    assert is_signed_in(client)
    assert client.report.auth.mechanism == place.strongest


@everywhere
def test_authenticate_signs_in_by_plain_where_that_is_wanted(
    place: Place, connect: Connect
) -> None:
    client = connect(place, auth=AuthPolicy(mechanisms=("PLAIN",)))
    client.authenticate(Password("bob", USERS["bob"]))
    assert is_signed_in(client)
    assert client.report.auth.mechanism == "PLAIN"


@everywhere
def test_authenticate_signs_in_by_login_where_that_is_wanted(
    place: Place, connect: Connect
) -> None:
    client = connect(place, auth=AuthPolicy(mechanisms=("LOGIN",)))
    client.authenticate(Password("bob", USERS["bob"]))
    assert is_signed_in(client)
    assert client.report.auth.mechanism == "LOGIN"


@real_server
@pytest.mark.parametrize(("port", "service"), [("imaps", "imap"), ("pop3s", "pop3")])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_the_mechanism_in_the_report_is_the_one_in_dovecot_s_log(
    port: str, service: str, mechanism: str, dovecot: Dovecot, connect: Connect
) -> None:
    user = f"nobody-{uuid.uuid4().hex}"
    kind = KINDS[service]
    client = connect(
        Place(kind, dovecot.host, dovecot.ports[port]), auth=AuthPolicy(mechanisms=(mechanism,))
    )
    with pytest.raises(AuthenticationFailed, match=mechanism):
        client.login(user, "never mind")
    line = rf"{service}-login: .*user=<{user}>, method={mechanism},"
    hang_up(client)
    assert_soon(lambda: re.search(line, dovecot.log()))


@everywhere
@pytest.mark.parametrize("user", ["user", "jürgen"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_users_and_passwords_beyond_ascii_sign_in(
    user: str, mechanism: str, place: Place, connect: Connect
) -> None:
    assert not USERS[user].isascii()
    client = connect(place, auth=AuthPolicy(mechanisms=(mechanism,)))
    client.login(user, USERS[user])
    assert is_signed_in(client)


@everywhere
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_wrong_password_is_a_typed_and_a_standard_error(
    mechanism: str, place: Place, connect: Connect
) -> None:
    client = connect(place, auth=AuthPolicy(mechanisms=(mechanism,)))
    with pytest.raises(AuthenticationFailed) as raised:
        client.authenticate(Password("alice", "not the password"))
    error = raised.value
    assert isinstance(error, place.kind.standard_error)
    assert error.credentials_sent is True
    assert (error.host, error.port) == (place.host, place.port)
    assert "not the password" not in str(error)
    assert client.report.auth is None


@everywhere
def test_the_error_of_a_wrong_password_has_the_standard_one_s_arguments(
    place: Place, connect: Connect, client_context: ssl.SSLContext
) -> None:
    def declined(client: Any) -> Any:
        if isinstance(client, poplib.POP3):
            client.user("alice")
            sign_in = functools.partial(client.pass_, "wrong")
        else:
            sign_in = functools.partial(client.login, "alice", "wrong")
        with pytest.raises(place.kind.standard_error) as raised:
            sign_in()
        hang_up(client)
        return raised.value

    theirs = declined(standard(place, client_context))
    ours = declined(connect(place, auth=AuthPolicy(mechanisms=("PLAIN",))))
    assert no_times(ours.args) == no_times(theirs.args)


@everywhere
def test_a_connection_takes_no_second_sign_in_after_a_refusal(
    place: Place, connect: Connect
) -> None:
    client = connect(place)
    with pytest.raises(AuthenticationFailed):
        client.login("alice", "wrong")
    with pytest.raises(CredentialsRefused, match="declined"):
        client.login("alice", ALICE)
    assert client.report.auth is None


@pytest.fixture(scope="module")
def dovecot_with(pki: PKI) -> Iterator[Callable[..., Dovecot]]:
    """A Dovecot with these mechanisms alone; started once for each set."""
    started: dict[tuple[str, ...], Dovecot] = {}
    with contextlib.ExitStack() as running:

        def start(*mechanisms: str) -> Dovecot:
            if mechanisms not in started:
                folder = running.enter_context(open_folder())
                with skipped_where_unavailable():
                    server = Dovecot(folder, pki["good"], mechanisms=mechanisms)
                started[mechanisms] = running.enter_context(server)
            return started[mechanisms]

        yield start


@real_server
@pytest.mark.parametrize(("name", "port"), [("imap", "imaps"), ("pop3", "pop3s")])
def test_a_server_with_login_alone_is_signed_in_to_by_login(
    name: str, port: str, dovecot_with: Callable[..., Dovecot], connect: Connect
) -> None:
    server = dovecot_with("login")
    client = connect(Place(KINDS[name], server.host, server.ports[port]))
    client.login("jürgen", USERS["jürgen"])
    assert is_signed_in(client)
    assert client.report.auth.mechanism == "LOGIN"


@real_server
def test_what_a_server_does_not_offer_is_not_tried(
    dovecot_with: Callable[..., Dovecot], connect: Connect
) -> None:
    server = dovecot_with("digest-md5", "cram-md5")
    client = connect(Place(IMAP, server.host, server.ports["imaps"]))
    before = server.log()
    with pytest.raises(CredentialsRefused) as raised:
        client.login("alice", ALICE)
    assert raised.value.credentials_sent is False
    assert "DIGEST-MD5" in str(raised.value)
    client.logout()
    # The log is written in order: the end of the session comes after all that was in it.
    log = assert_soon(lambda: new_lines(server, before, "imap-login: ") or None)
    assert "no auth attempts" in log
    assert "client in: AUTH" not in log


def new_lines(server: Dovecot | Postfix, before: str, wanted: str) -> str:
    """What was logged since `before`, once `wanted` is among it."""
    log = server.log().removeprefix(before)
    return log if wanted in log else ""


@real_server
def test_postfix_that_offers_only_what_we_lack_gets_no_password(
    pki: PKI, server_folder: Path, dovecot_with: Callable[..., Dovecot], connect: Connect
) -> None:
    behind = dovecot_with("digest-md5", "cram-md5")
    with skipped_where_unavailable():
        server = Postfix(server_folder, pki["good"], behind)
    with server:
        client = connect(Place(SMTP, server.host, server.ports["submissions"]))
        with pytest.raises(CredentialsRefused, match="CRAM-MD5"):
            client.login("alice", ALICE)
        client.quit()
        log = assert_soon(lambda: new_lines(server, "", "disconnect from"))
    assert "auth=" not in log


@real_server
def test_the_login_command_is_the_last_resort_in_imap(
    dovecot: Dovecot, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(Place(IMAP, dovecot.host, dovecot.ports["imaps"]))
    monkeypatch.setattr(client, "capabilities", ("IMAP4REV1",))
    client.login("bob", USERS["bob"])
    assert is_signed_in(client)
    assert client.report.auth.mechanism == "LOGIN"


@real_server
def test_user_and_pass_are_the_last_resort_in_pop3(
    dovecot: Dovecot, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(Place(POP3, dovecot.host, dovecot.ports["pop3s"]))
    monkeypatch.setattr(client, "capa", lambda: {"USER": []})
    client.login("bob", USERS["bob"])
    assert is_signed_in(client)
    assert client.report.auth.mechanism == "USER"


@real_server
def test_user_and_pass_sign_in_as_in_the_standard_module(
    dovecot: Dovecot, connect: Connect
) -> None:
    client = connect(Place(POP3, dovecot.host, dovecot.ports["pop3s"]))
    assert client.user("alice") == b"+OK"
    assert client.pass_(ALICE) == b"+OK Logged in."
    assert is_signed_in(client)
    assert (client.report.auth.user, client.report.auth.mechanism) == ("alice", "USER")


@real_server
def test_imap_s_standard_pair_signs_in(dovecot: Dovecot, connect: Connect) -> None:
    client = connect(Place(IMAP, dovecot.host, dovecot.ports["imaps"]))
    kind, _ = client.authenticate("PLAIN", lambda _: f"\0alice\0{ALICE}".encode())
    assert kind == "OK"
    assert is_signed_in(client)
    assert client.report.auth.mechanism == "PLAIN"


# -- mail

BODY = (
    b"gr\xc3\xbc\xc3\x9fe, and latin-1 \xe4\xf6\xfc\r\n"
    b".\r\n"
    b"..two dots\r\n"
    b".one dot\r\n"
    b"From the start of a line\r\n"
    b"spaces at the end   \r\n"
    b"\ttab\t\r\n"
    b"\r\n\r\n"
    b"QUIT\r\n"
    b"+OK\r\n"
    b"* BYE\r\n"
    b"a1 OK {5}\r\n" + b"x" * 998 + b"\r\n" + b"." * 997 + b"\r\n" + b"\xff" * 900 + b"\r\n"
    b"\r\n"
)


def letter(body: bytes = BODY) -> tuple[str, bytes]:
    """A Message-ID, and a message with it."""
    message_id = f"<{uuid.uuid4().hex}@example.org>"
    head = (
        "From: alice@example.org\r\nTo: bob@example.org\r\nSubject: as it is\r\n"
        f"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: {message_id}\r\n\r\n"
    )
    return message_id, head.encode() + body


@real_server
def test_a_message_sent_by_smtp_is_read_back_byte_for_byte(
    postfix: Postfix, dovecot: Dovecot, connect: Connect
) -> None:
    message_id, message = letter()
    smtp = connect(Place(SMTP, postfix.host, postfix.ports["submissions"]))
    smtp.login("alice", ALICE)
    sent = smtp.sendmail("alice@example.org", ["bob@example.org"], message, ["BODY=8BITMIME"])
    assert sent == {}
    assert smtp.quit()[0] == 221

    imap = connect(Place(IMAP, dovecot.host, dovecot.ports["imaps"]))
    imap.login("bob", USERS["bob"])
    imap.select()
    search = ("HEADER", "Message-ID", f'"{message_id}"')
    number = assert_soon(lambda: imap.noop() and imap.search(None, *search)[1][0])
    by_imap = imap.fetch(number, "(BODY.PEEK[])")[1][0][1]
    assert by_imap.endswith(b"\r\n" + message)

    pop3 = connect(Place(POP3, dovecot.host, dovecot.ports["pop3s"]))
    pop3.login("bob", USERS["bob"])
    messages = [pop3.retr(number + 1) for number in range(pop3.stat()[0])]
    by_pop3 = [b"".join(line + b"\r\n" for line in lines) for _, lines, _ in messages]
    assert by_imap in by_pop3


def test_a_message_sent_to_aiosmtpd_arrives_byte_for_byte(
    aiosmtpd_server: AiosmtpdServer, connect: Connect
) -> None:
    _, message = letter()
    smtp = connect(Place(SMTP, aiosmtpd_server.host, aiosmtpd_server.port))
    smtp.login("alice", ALICE)
    smtp.sendmail("alice@example.org", ["bob@example.org"], message)
    assert aiosmtpd_server.messages[-1].content == message
    assert aiosmtpd_server.messages[-1].user == "alice"


# -- TLS and the report


@everywhere
def test_the_report_says_what_was_found(place: Place, connect: Connect, pki: PKI) -> None:
    client = connect(place)
    report = client.report
    assert (report.protocol, report.host, report.port) == (
        place.kind.protocol,
        place.host,
        place.port,
    )
    assert report.address == client.sock.getpeername()[0]
    assert report.auth is None
    assert report.tls.version == client.sock.version() == "TLSv1.3"
    assert report.tls.cipher == client.sock.cipher()[0]
    assert report.tls.chain[0] == pki["good"].leaf_der
    assert report.tls.chain[-1] == ssl.PEM_cert_to_DER_cert(pki.ca_pem.read_text())
    assert str(pki.ca_pem) in report.tls.trusted_by
    assert report.tls.gated
    assert "revocation" in report.tls.not_checked
    client.login("alice", ALICE)
    assert client.report.tls == report.tls
    assert client.report.auth.mechanism == place.strongest


@everywhere
def test_the_report_prints_in_a_few_lines_without_a_secret(place: Place, connect: Connect) -> None:
    client = connect(place)
    client.login("alice", ALICE)
    shown = str(client.report)
    assert 5 <= len(shown.splitlines()) <= 10
    for part in (place.host, str(place.port), "TLSv1.3", client.report.tls.fingerprint, "'alice'"):
        assert part in shown
    assert leaks(shown.encode(), ALICE) == []


@everywhere
def test_the_report_is_plain_data_for_machines(place: Place, connect: Connect) -> None:
    client = connect(place)
    client.login("alice", ALICE)
    plain = client.report.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["tls"]["version"] == "TLSv1.3"
    assert plain["auth"]["mechanism"] == place.strongest
    assert leaks(json.dumps(plain).encode(), ALICE) == []


@everywhere
def test_the_report_stays_after_the_end_of_the_connection(place: Place, connect: Connect) -> None:
    client = connect(place)
    client.login("alice", ALICE)
    before = client.report
    say_goodbye(client)
    assert client.report == before


@real_server
def test_version_and_cipher_in_the_report_are_those_in_postfix_s_log(
    postfix: Postfix, connect: Connect
) -> None:
    before = postfix.log()
    client = connect(Place(SMTP, postfix.host, postfix.ports["submissions"]))
    log = assert_soon(lambda: new_lines(postfix, before, "TLS connection established"))
    tls = client.report.tls
    assert f"{tls.version} with cipher {tls.cipher} " in log


@real_server
def test_postfix_with_tls_1_2_alone(
    pki: PKI, server_folder: Path, dovecot: Dovecot, connect: Connect
) -> None:
    with skipped_where_unavailable():
        server = Postfix(server_folder, pki["good"], dovecot, tls_protocols="TLSv1.2")
    with server:
        place = Place(SMTP, server.host, server.ports["submissions"])
        client = connect(place)
        client.login("alice", ALICE)
        assert client.report.tls.version == "TLSv1.2"
        assert client.report.tls.cipher.startswith("ECDHE-")
        with pytest.raises(TLSError) as raised:
            connect(place, policy=TLSPolicy(minimum_version="1.3", trust=CATrust(pki.ca_pem)))
        assert raised.value.code == "tls-too-old"
        hang_up(client)


@real_server
def test_dovecot_with_tls_1_3_alone(pki: PKI, server_folder: Path, connect: Connect) -> None:
    with skipped_where_unavailable():
        server = Dovecot(server_folder, pki["good"], ssl_min_protocol="TLSv1.3")
    with server:
        for kind, port in ((IMAP, "imaps"), (POP3, "pop3s")):
            client = connect(Place(kind, server.host, server.ports[port]))
            client.login("alice", ALICE)
            assert client.report.tls.version == "TLSv1.3"
            hang_up(client)


@real_server
def test_dovecot_with_tls_1_2_suites(pki: PKI, server_folder: Path, connect: Connect) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with skipped_where_unavailable():
        server = Dovecot(
            server_folder, pki["good_rsa"], ssl_cipher_list="ECDHE-RSA-CHACHA20-POLY1305"
        )
    with server:
        context = ssl.create_default_context(cafile=pki.ca_pem)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        place = Place(IMAP, server.host, server.ports["imaps"])
        old = connect(place, ssl_context=context)
        assert old.report.tls.version == "TLSv1.2"
        assert old.report.tls.cipher == "ECDHE-RSA-CHACHA20-POLY1305"
        hang_up(old)
        new = connect(place, policy=policy)
        assert new.report.tls.version == "TLSv1.3"
        hang_up(new)  # Dovecot waits for its clients when it ends


@everywhere
def test_another_ca_than_the_server_s_is_refused(place: Place, pki: PKI) -> None:
    with pytest.raises(CertificateRejected) as raised:
        place.kind.ours(
            place.host, place.port, policy=TLSPolicy(trust=CATrust(pki.other_ca_pem)), timeout=20
        )
    assert raised.value.credentials_sent is False


@everywhere
def test_one_line_is_logged_for_a_connection_and_no_secret(
    place: Place, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client = connect(place)
        line = client.report.line()
        client.login("alice", ALICE)
        say_goodbye(client)
    ours = [record for record in caplog.records if record.name.startswith("securemail")]
    assert [(record.levelname, record.getMessage()) for record in ours] == [("INFO", line)]
    assert leaks(caplog.text.encode(), ALICE) == []
    assert place.kind.protocol in line


# -- ends


def say_goodbye(client: Any) -> None:
    if isinstance(client, imaplib.IMAP4):
        client.logout()
    else:
        client.quit()


@real_server
def test_with_says_goodbye_to_dovecot(dovecot: Dovecot, policy: TLSPolicy) -> None:
    with IMAP4_SSL(
        dovecot.host, dovecot.ports["imaps"], policy=policy, auth=AuthPolicy(), timeout=20
    ) as imap:
        imap.authenticate(Password("alice", ALICE))
        assert is_signed_in(imap)
    assert imap.state == "LOGOUT"
    assert imap.sock.fileno() == -1


@pytest.mark.parametrize(
    "place", [pytest.param("submissions", marks=real_server), "aiosmtpd"], indirect=True
)
def test_with_says_goodbye_to_an_smtp_server(place: Place, policy: TLSPolicy) -> None:
    with SMTP_SSL(place.host, place.port, policy=policy, timeout=20) as smtp:
        smtp.authenticate(Password("alice", ALICE))
        assert is_signed_in(smtp)
    assert smtp.sock is None


@pytest.mark.parametrize(
    "place", [pytest.param("submissions", marks=real_server), "aiosmtpd"], indirect=True
)
def test_the_same_smtp_object_connects_again_and_signs_in_anew(
    place: Place, connect: Connect
) -> None:
    client = connect(place)
    client.login("alice", ALICE)
    client.quit()
    assert client.connect(place.host, place.port)[0] == 220
    assert client.report.tls is not None
    assert client.report.auth is None
    assert not is_signed_in(client)
    client.rset()
    client.login("bob", USERS["bob"])
    assert client.report.auth.user == "bob"
    assert is_signed_in(client)
    assert client.quit()[0] == 221


@pytest.mark.parametrize(
    "place", [pytest.param("submissions", marks=real_server), "aiosmtpd"], indirect=True
)
def test_a_refused_sign_in_does_not_outlive_its_connection(place: Place, connect: Connect) -> None:
    client = connect(place)
    with pytest.raises(AuthenticationFailed):
        client.login("alice", "wrong")
    client.quit()
    client.connect(place.host, place.port)
    client.login("alice", ALICE)
    assert is_signed_in(client)


@everywhere
@pytest.mark.parametrize("end", [say_goodbye, hang_up])
def test_no_sign_in_after_the_end_of_the_connection(
    end: Callable[[Any], None], place: Place, connect: Connect
) -> None:
    client = connect(place)
    end(client)
    with pytest.raises((CredentialsRefused, TLSError, place.kind.standard_error)):
        client.authenticate(Password("alice", ALICE))
    assert client.report.auth is None


@each_kind
@pytest.mark.parametrize("end", [say_goodbye, hang_up])
def test_nothing_is_sent_after_the_end_of_the_connection(
    end: Callable[[Any], None],
    name: str,
    pki: PKI,
    connect: Connect,
    recording_server: Callable[..., Any],
) -> None:
    kind = KINDS[name]
    server = recording_server(scripts.POLITE[name], context=pki["good"].server_context())
    client = connect(Place(kind, server.host, server.port))
    end(client)
    with pytest.raises((CredentialsRefused, TLSError, kind.standard_error)):
        client.authenticate(Password("alice", ALICE))
    (record,) = server.wait()
    assert b"AUTH" not in record.received_tls.upper()
    assert leaks(record.everything, ALICE) == []


# -- as the standard modules


def standard(place: Place, context: ssl.SSLContext) -> Any:
    """The standard module's connection to the same server."""
    options: dict[str, Any] = {place.kind.context: context}
    if "over TLS" in place.kind.protocol:
        return place.kind.standard(place.host, place.port, timeout=20, **options)
    client = place.kind.standard(place.host, place.port, timeout=20)
    (client.stls if place.kind is POP3_STLS else client.starttls)(**options)
    return client


def no_times(result: Any) -> str:
    """A result as text, without the times that Dovecot puts into its answers."""
    return re.sub(r"\([0-9.]+ \+ [0-9.]+( \+ [0-9.]+)? secs\)", "(… secs)", repr(result))


def imap_verbs(imap: Any) -> Iterator[Any]:
    yield imap.welcome
    yield imap.PROTOCOL_VERSION
    yield imap.capabilities
    yield imap.login("alice", ALICE)
    yield imap.state
    yield imap.capability()
    yield imap.noop()
    yield imap.namespace()
    yield imap.create("verbs")
    yield imap.list()
    yield imap.lsub()
    yield imap.append("verbs", r"(\Seen)", None, b"Subject: hello\r\n\r\n.hello\r\n")[0]
    yield imap.status("verbs", "(MESSAGES)")
    yield imap.select("verbs")
    yield imap.state
    yield imap.check()
    yield imap.search(None, "SUBJECT", "hello")
    yield imap.fetch("1", "(FLAGS BODY[TEXT])")
    yield imap.store("1", "+FLAGS", r"(\Deleted)")
    yield imap.expunge()
    yield imap.close()
    yield imap.delete("verbs")
    yield imap.logout()
    yield imap.state


def pop3_verbs(pop3: Any) -> Iterator[Any]:
    yield pop3.getwelcome()
    yield pop3.capa()
    yield pop3.user("alice")
    yield pop3.pass_(ALICE)
    yield pop3.noop()
    yield pop3.stat()
    yield pop3.list()
    yield pop3.list(1)
    yield pop3.uidl()
    yield pop3.top(1, 1)
    yield pop3.retr(1)
    yield pop3.dele(1)
    yield pop3.rset()
    yield pop3.quit()


def smtp_verbs(smtp: Any) -> Iterator[Any]:
    yield smtp.ehlo("client.example.org")
    yield smtp.esmtp_features
    yield smtp.has_extn("8BITMIME")
    yield smtp.login("alice", ALICE)
    yield smtp.noop()
    yield smtp.verify("alice")
    yield smtp.mail("alice@example.org")
    yield smtp.rcpt("user@example.org")
    yield smtp.rset()
    yield smtp.docmd("NONSENSE")
    yield smtp.sendmail("alice@example.org", "user@example.org", b"Subject: hi\r\n\r\n.hello\n")
    yield smtp.does_esmtp
    yield smtp.quit()


VERBS: dict[Kind, Callable[[Any], Iterator[Any]]] = {
    IMAP: imap_verbs,
    POP3: pop3_verbs,
    SMTP: smtp_verbs,
    IMAP_STARTTLS: imap_verbs,
    POP3_STLS: pop3_verbs,
    SUBMISSION: smtp_verbs,
}


@everywhere
def test_standard_verbs_return_what_the_standard_module_returns(
    place: Place,
    connect: Connect,
    client_context: ssl.SSLContext,
    request: pytest.FixtureRequest,
) -> None:
    if place.kind in (POP3, POP3_STLS):
        give_mail_to_alice(request.getfixturevalue("dovecot"), connect)
    verbs = VERBS[place.kind]
    with contextlib.closing(Closing(standard(place, client_context))) as theirs:
        expected = [no_times(result) for result in verbs(theirs.client)]
    if place.kind is IMAP_STARTTLS:
        expected[0] = "b''"  # `welcome`: it was said in clear
    if place.kind is POP3_STLS:
        expected[0] = "b'+OK'"  # likewise
    assert [no_times(result) for result in verbs(connect(place))] == expected


@dataclass
class Closing:
    client: Any

    def close(self) -> None:
        hang_up(self.client)


def give_mail_to_alice(dovecot: Dovecot, connect: Connect) -> None:
    imap = connect(Place(IMAP, dovecot.host, dovecot.ports["imaps"]))
    imap.login("alice", ALICE)
    assert imap.append("INBOX", None, None, letter()[1])[0] == "OK"
    imap.logout()


@everywhere
def test_our_connections_are_the_standard_ones(place: Place, connect: Connect) -> None:
    client = connect(place)
    assert isinstance(client, place.kind.standard)
    assert isinstance(client.sock, ssl.SSLSocket)


# -- arguments


@everywhere
def test_timeout_holds_for_every_answer(place: Place, connect: Connect) -> None:
    assert connect(place, timeout=7).sock.gettimeout() == 7


@everywhere
def test_no_timeout_means_the_limits(place: Place, connect: Connect) -> None:
    assert connect(place, timeout=None).sock.gettimeout() == Limits().read
    assert connect(place, timeout=None, limits=Limits(read=33)).sock.gettimeout() == 33


@everywhere
def test_the_default_timeout_of_the_socket_module_holds(place: Place, policy: TLSPolicy) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(9)
    try:
        client: Any = place.kind.ours(place.host, place.port, policy=policy)
    finally:
        socket.setdefaulttimeout(before)
    found = client.sock.gettimeout()
    hang_up(client)
    assert found == 9


@each_kind
def test_a_silent_server_ends_in_the_given_time(
    name: str, pki: PKI, connect: Connect, recording_server: Callable[..., Any]
) -> None:
    server = recording_server(scripts.silence, context=pki["good"].server_context())
    start = time.monotonic()
    with pytest.raises(TimeLimitExceeded):
        connect(Place(KINDS[name], server.host, server.port), timeout=0.5)
    assert time.monotonic() - start < 5


def test_source_address_is_where_the_connection_comes_from(
    aiosmtpd_server: AiosmtpdServer, connect: Connect
) -> None:
    place = Place(SMTP, aiosmtpd_server.host, aiosmtpd_server.port)
    client = connect(place, source_address=("127.0.0.3", 0))
    assert client.sock.getsockname()[0] == "127.0.0.3"
    assert client.local_hostname == "[127.0.0.3]"
    client.login("alice", ALICE)
    assert is_signed_in(client)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this computer has no ::1")


@ipv6
@each_kind
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6(
    host: str, name: str, pki: PKI, connect: Connect, recording_server: Callable[..., Any]
) -> None:
    script = scripts.POLITE[name]
    server = recording_server(script, context=pki["good"].server_context(), host="::1")
    client = connect(Place(KINDS[name], host, server.port))
    client.login("alice", ALICE)
    assert client.report.address == "::1"
    assert client.report.tls.host == "::1"
    say_goodbye(client)


@ipv6
def test_ehlo_over_ipv6_names_an_address(pki: PKI, connect: Connect) -> None:
    with AiosmtpdServer(pki["good"], host="::1") as server:
        client = connect(Place(SMTP, server.host, server.port))
        assert client.local_hostname == "[IPv6:::1]"
        client.login("alice", ALICE)
        assert is_signed_in(client)


@everywhere
def test_server_hostname_is_the_name_that_is_verified(place: Place, connect: Connect) -> None:
    client = connect(place, server_hostname="mail.example.org")
    assert client.report.tls.host == "mail.example.org"
    with pytest.raises(CertificateRejected):
        connect(place, server_hostname="mail.example.com")


@real_server
def test_ehlo_needs_no_name_and_postfix_accepts_the_address(
    postfix: Postfix, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_up(*arguments: object) -> None:
        raise AssertionError(f"looked up: {arguments}")

    for name in ("getfqdn", "gethostname", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, looked_up)
    before = postfix.log()
    client = connect(Place(SMTP, postfix.host, postfix.ports["submissions"]))
    assert client.local_hostname == "[127.0.0.1]"
    assert client.ehlo()[0] == 250
    client.login("alice", ALICE)
    _, message = letter()
    assert client.sendmail("alice@example.org", ["bob@example.org"], message) == {}
    client.quit()
    # Not any such line: an earlier connection's may come late.
    wanted = re.compile(r"disconnect from .* ehlo=\d auth=1 mail=1 rcpt=1 data=1 quit=1")
    assert_soon(lambda: wanted.search(postfix.log().removeprefix(before)))


def test_a_given_ehlo_name_is_used(
    pki: PKI, connect: Connect, recording_server: Callable[..., Any]
) -> None:
    server = recording_server(scripts.smtp_ok, context=pki["good"].server_context())
    client = connect(Place(SMTP, server.host, server.port), local_hostname="laptop.example.org")
    client.login("alice", ALICE)
    client.quit()
    (record,) = server.wait()
    assert record.received_tls.startswith(b"ehlo laptop.example.org\r\n")


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux only")
@each_kind
def test_every_answer_is_acknowledged_at_once(
    name: str,
    pki: PKI,
    connect: Connect,
    recording_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A delayed acknowledgement costs 40 ms where the server waits for it, as Postfix does."""
    done: list[str] = []

    def setsockopt(self: socket.socket, level: int, option: int, value: Any) -> None:
        if (level, option, value) == (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1):
            done.append("acknowledge")
        super(socket.socket, self).setsockopt(level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)
    server = recording_server(scripts.POLITE[name], context=pki["good"].server_context())
    client = connect(Place(KINDS[name], server.host, server.port))
    # Once for the handshake and once for the greeting; the handshake takes a second look where
    # the server's answer was not there at once.
    assert len(done) >= 2
    for _ in range(3):
        done.clear()
        client.noop()
        assert "acknowledge" in done


# -- a context of the caller's own


def own(place_or_kind: Place | Kind, context: ssl.SSLContext) -> dict[str, Any]:
    kind = place_or_kind.kind if isinstance(place_or_kind, Place) else place_or_kind
    return {kind.context: context}


@everywhere
def test_a_context_of_the_caller_s_own_works_and_the_report_says_so(
    place: Place, connect: Connect, pki: PKI
) -> None:
    context = ssl.create_default_context(cafile=pki.ca_pem)
    client = connect(place, **own(place, context))
    client.login("alice", ALICE)
    assert is_signed_in(client)
    tls = client.report.tls
    assert not tls.gated
    assert tls.version == client.sock.version()
    assert tls.chain[0] == pki["good"].leaf_der
    assert str(client.report).count("not gated") == 1
    assert "the caller's context, not gated" in client.report.line()
    assert client.sock.context is context


@everywhere
def test_a_context_of_the_caller_s_own_refuses_what_it_does_not_trust(
    place: Place, connect: Connect, pki: PKI
) -> None:
    context = ssl.create_default_context(cafile=pki.other_ca_pem)
    with pytest.raises(CertificateRejected):
        connect(place, **own(place, context))


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def nameless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def optional() -> ssl.SSLContext:
    context = nameless()
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@each_kind
@pytest.mark.parametrize("make", [unverified, nameless, optional])
def test_a_context_that_does_not_verify_is_refused_before_connecting(
    make: Callable[[], ssl.SSLContext],
    name: str,
    pki: PKI,
    connect: Connect,
    recording_server: Callable[..., Any],
) -> None:
    server = recording_server(scripts.POLITE[name], context=pki["good"].server_context())
    kind = KINDS[name]
    with pytest.raises(PolicyError) as raised:
        connect(Place(kind, server.host, server.port), **own(kind, make()))
    assert raised.value.code == "context-unverified"
    assert server.connections == 0


@each_kind
def test_a_policy_and_a_context_together_are_refused_before_connecting(
    name: str,
    pki: PKI,
    policy: TLSPolicy,
    connect: Connect,
    recording_server: Callable[..., Any],
) -> None:
    server = recording_server(scripts.POLITE[name], context=pki["good"].server_context())
    kind = KINDS[name]
    with pytest.raises(PolicyError) as raised:
        connect(
            Place(kind, server.host, server.port),
            policy=policy,
            **own(kind, ssl.create_default_context()),
        )
    assert raised.value.code == "policy-and-context"
    assert server.connections == 0
