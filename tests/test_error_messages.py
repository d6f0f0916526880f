"""What people see today, and what they should see: one test for each message that the standard
modules, OpenSSL or a server give, as quoted in public threads. Each error comes from a real socket.
"""

import imaplib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    IMAP4,
    IMAP4_SSL,
    POP3_SSL,
    SMTP,
    SMTP_SSL,
    SMTP_STARTTLS,
    CATrust,
    ExactCertificate,
    Limits,
    Password,
    PolicyError,
    SecureMailError,
    SystemTrust,
    TLSPolicy,
    Token,
)
from securemail.modes import spoken_instead
from servers import scripts
from servers.kinds import HOST
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.rude import Scripted, asks, says

Factory = Callable[..., RecordingServer]
SECRET = "Tr0ub4dor and 3 horses"


@pytest.fixture(autouse=True)
def names_are_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server is called, it is here."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)


@dataclass
class Scene:
    """What the rows are made of."""

    pki: PKI
    start: Factory

    def serve(self, kind: str = "good", script: Any = scripts.imap_ok, **context: Any) -> int:
        issued = self.pki[kind]
        return self.start(script, context=issued.server_context(**context)).port

    def plain(self, script: Any) -> int:
        return self.start(script).port

    @property
    def policy(self) -> TLSPolicy:
        return TLSPolicy(trust=CATrust(self.pki.ca_pem))

    def over_tls(self, script: Any) -> int:
        return self.start(script, context=self.pki["good"].server_context()).port

    def imap(self, script: Any, host: str = HOST) -> IMAP4_SSL:
        return IMAP4_SSL(host, self.over_tls(script), policy=self.whatever_its_name)

    def smtp(self, script: Any, host: str = HOST) -> SMTP_SSL:
        return SMTP_SSL(host, self.over_tls(script), policy=self.whatever_its_name)

    @property
    def whatever_its_name(self) -> TLSPolicy:
        return TLSPolicy(trust=ExactCertificate(self.pki["good"].leaf_pem))


@pytest.fixture
def scene(pki: PKI, recording_server: Factory) -> Iterator[Scene]:
    servers: list[RecordingServer] = []

    def start(*args: Any, **kwargs: Any) -> RecordingServer:
        servers.append(recording_server(*args, **kwargs))
        return servers[-1]

    yield Scene(pki, start)
    for server in servers:
        for record in server.records:
            assert leaks(record.received_clear, SECRET) == []


@dataclass(frozen=True)
class Row:
    """`seen`: today. `code`, `words`: of our message. `never`: what must not be advised."""

    seen: str
    code: str
    words: tuple[str, ...]
    raises: Callable[[Scene], object]
    never: tuple[str, ...] = ()


ROWS: list[Row] = []


def row(seen: str, code: str, *words: str, never: tuple[str, ...] = ()) -> Any:
    def add(raises: Callable[[Scene], object]) -> Callable[[Scene], object]:
        ROWS.append(Row(seen, code, words, raises, never))
        return raises

    return add


def chain(name: str, kind: str, *words: str, host: str = HOST, code: str = "", **more: Any) -> None:
    """A certificate of `kind`, under the root of the tests."""

    def raises(scene: Scene) -> None:
        IMAP4_SSL(host, scene.serve(kind), policy=scene.policy)

    row(name, code, *words, **more)(raises)


# -- certificates

ACCEPTS = ("ExactCertificate", "CATrust", "sha256/")
chain(
    "certificate verify failed: self-signed certificate",
    "self_signed",
    "is self-signed (CN=mail.example.org, SHA-256 ",
    "If this is your own server, compare its fingerprint",
    "by another way than this connection",
    'ExactCertificate(pin="sha256/',
    "If it is a public provider, somebody is intercepting",
    code="self-signed",
)
chain(
    "the same, of a provider",
    "self_signed",
    "imap.gmail.com is Google's",
    "this one is not theirs",
    "a proxy or an antivirus program that reads along",
    "a network that wants a sign-in first, or an attacker",
    "Do not accept it",
    host="imap.gmail.com",
    code="self-signed",
    never=ACCEPTS,
)
chain(
    "certificate verify failed: self-signed certificate in certificate chain",
    "unknown_ca_with_root_sent",
    "Somebody else's root",
    "not in the trust store used",
    "Get that CA's certificate from its owner",
    'SystemTrust() | CATrust("ca.pem")',
    "a proxy or an antivirus program is reading along",
    code="untrusted-root",
)
chain(
    "the same, of a provider: an inspecting proxy",
    "unknown_ca_with_root_sent",
    "outlook.office365.com is Microsoft's",
    "a proxy or an antivirus program probably reads along",
    "Otherwise do not go on",
    host="outlook.office365.com",
    code="untrusted-root",
    never=ACCEPTS,
)
chain(
    "certificate verify failed: unable to get local issuer certificate",
    "missing_intermediate",
    "whose own certificate the server did not send (it sent 1)",
    "One of two: the server must send its intermediate certificate",
    "or its CA is a private one",
    code="unknown-issuer",
)
chain(
    "the same, of a provider: old store, or an inspecting proxy",
    "unknown_ca",
    "imap.gmx.net is GMX's",
    "something on the way answers in their name",
    "this computer's store of authorities is old",
    host="imap.gmx.net",
    code="unknown-issuer",
    never=ACCEPTS,
)


@row(
    "unable to get local issuer certificate: an empty store",
    "empty-store",
    "so nobody would be believed",
    "Unset SSL_CERT_FILE to use the system's store, or correct it",
)
def _(scene: Scene) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", "/nowhere.pem")
        IMAP4_SSL(HOST, scene.serve(), policy=TLSPolicy(trust=SystemTrust()))


@row(
    "unable to get local issuer certificate: a server's certificate as cafile",
    "not-a-ca",
    "which is a server's certificate and not a certificate authority's",
    "trust=ExactCertificate(",
)
def _(scene: Scene) -> None:
    TLSPolicy(trust=CATrust(scene.pki["good"].leaf_pem))


@row(
    "Hostname mismatch, certificate is not valid for 'localhost'",
    "name-mismatch",
    "is for other.example.net, you asked for 'localhost'",
    "connect to it, or keep the address and pass server_hostname='other.example.net'",
    "Only if you know",
)
def _(scene: Scene) -> None:
    IMAP4_SSL("localhost", scene.serve("wrong_name"), policy=scene.policy)


@row(
    "IP address mismatch, certificate is not valid for '127.0.0.1'",
    "name-mismatch",
    "is for 127.0.0.9, you asked for '127.0.0.1'",
    "server_hostname='127.0.0.9'",
)
def _(scene: Scene) -> None:
    IMAP4_SSL("127.0.0.1", scene.serve("wrong_ip"), policy=scene.policy)


chain(
    "certificate has expired",
    "expired",
    "expired on ",
    "30 days ago",
    "The server needs a new certificate",
    code="certificate-expired",
    never=("clock",),
)
chain(
    "certificate is not yet valid",
    "not_yet_valid",
    "is not valid before ",
    "Check this computer's clock: it says ",
    code="certificate-not-yet-valid",
)


def strict(name: str, kind: str, anchor: str) -> None:
    @row(
        name,
        "not-strict",
        "breaks RFC 5280, or its CA does",
        "Python 3.12 and older accept this CA, Python 3.13 and newer do not",
        "Best: make the CA again. Otherwise TLSPolicy(strict_x509=False)",
        "chain, name and dates are still checked",
    )
    def _(scene: Scene) -> None:
        trust = CATrust(getattr(scene.pki, anchor))
        IMAP4_SSL(HOST, scene.serve(kind), policy=TLSPolicy(trust=trust))


strict("Basic Constraints of CA cert not marked critical", "ca_not_critical", "ca_not_critical_pem")
strict("Missing Authority Key Identifier", "no_aki", "no_aki_ca_pem")
chain(
    "EE certificate key too weak",
    "weak_key",
    "1024-bit RSA",
    "The server needs a new key and certificate",
    code="weak-key",
)
chain(
    "CA md too weak",
    "weak_signature",
    "signed with SHA1, which can be forged",
    code="weak-signature",
)


# -- TLS


@row(
    "[SSL: WRONG_VERSION_NUMBER] wrong version number",
    "plaintext-port",
    'the server answered "',  # its first octets may be gone, where it comes at a bad moment
    'ail.example.org ESMTP" in clear',
    "It expects STARTTLS: use SMTP_STARTTLS here, or SMTP_SSL on port 465",
)
def _(scene: Scene) -> None:
    SMTP_SSL(HOST, scene.plain(scripts.smtp_ok), policy=scene.policy)


@row(
    "SMTPServerDisconnected: Connection unexpectedly closed: timed out",
    "time-limit",
    "the server said nothing for 0.3 s",
    "If it speaks TLS from the first byte on this port, use SMTP_SSL (port 465)",
)
def _(scene: Scene) -> None:
    SMTP_STARTTLS(HOST, scene.serve(), policy=scene.policy, timeout=0.3)


@row(
    "[SSL: TLSV1_ALERT_PROTOCOL_VERSION]",
    "tls-too-old",
    "it probably knows only TLS 1.0 or 1.1, which RFC 8996 retired",
)
def _(scene: Scene) -> None:
    IMAP4_SSL(HOST, scene.plain(alerts(70)), policy=scene.policy)


@row(
    "[SSL: UNSUPPORTED_PROTOCOL]",
    "tls-too-old",
    "it probably knows only TLS 1.0 or 1.1, which RFC 8996 retired",
)
def _(scene: Scene) -> None:
    hello = server_hello(b"\x03\x01", b"\xc0\x2f")
    IMAP4_SSL(HOST, scene.plain(answers_the_hello(hello)), policy=scene.policy)


@row(
    "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE]",
    "no-common-cipher",
    "no cipher suite in common",
    "The server's alert may say SSLv3: that is only its old name",
    'legacy_ciphers="why"',
)
def _(scene: Scene) -> None:
    port = scene.serve(ciphers="AES256-SHA:@SECLEVEL=1", maximum_version=ssl.TLSVersion.TLSv1_2)
    IMAP4_SSL(HOST, port, policy=scene.policy)


@row(
    "[SSL: DH_KEY_TOO_SMALL] dh key too small",
    "weak-dh",
    "Diffie-Hellman parameters that are too small",
    "prefer ECDHE",
    'TLSPolicy(legacy_ciphers="why"), which does without DHE',
)
def _(scene: Scene) -> None:
    context = scene.pki["good_rsa"].server_context(
        ciphers="DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0", maximum_version=ssl.TLSVersion.TLSv1_2
    )
    context.load_dh_params(str(Path(__file__).parent / "vectors" / "dh1024.pem"))
    IMAP4_SSL(HOST, scene.start(scripts.imap_ok, context=context).port, policy=scene.policy)


@row(
    "[SSL: UNSAFE_LEGACY_RENEGOTIATION_DISABLED]",
    "unsafe-renegotiation",
    "the server lacks secure renegotiation (RFC 5746)",
    "It must be upgraded; no setting here does without",
)
def _(scene: Scene) -> None:
    hello = server_hello(b"\x03\x03", b"\xc0\x2f")  # without renegotiation_info
    IMAP4_SSL(HOST, scene.plain(answers_the_hello(hello)), policy=scene.policy)


# -- STARTTLS and signing in


@row(
    "STARTTLS extension not supported by server.",
    "starttls-not-offered",
    "the server does not offer STARTTLS",
    "somebody",
    "SMTP_SSL (port 465)",
    "No password was sent",
)
def _(scene: Scene) -> None:
    SMTP_STARTTLS(HOST, scene.plain(scripts.smtp_ok), policy=scene.policy)


@row(
    "SMTP AUTH extension not supported by server.",
    "no-mechanism",
    "no way to sign in with a password that both sides accept",
    "This port takes no sign-in (a relay): is it the right one?",
    "No password was sent",
)
def _(scene: Scene) -> None:
    no_auth = scripts.PoliteSMTP(mechanisms=())
    with scene.smtp(no_auth) as smtp:
        smtp.login("alice", SECRET)


@row(
    "530 5.7.0 Must issue a STARTTLS command first",
    "channel-not-verified",
    "nothing secret is sent here: the connection is not encrypted",
    "Upgrade first (starttls, stls), or connect again with one of the _SSL or _STARTTLS classes",
)
def _(scene: Scene) -> None:
    with SMTP(HOST, scene.plain(scripts.smtp_ok), policy=scene.policy) as smtp:
        smtp.login("alice", SECRET)


@row(
    "[PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure connections.",
    "channel-not-verified",
    "nothing secret is sent here: the connection is not encrypted",
    "Upgrade first (starttls, stls), or connect again with one of the _SSL or _STARTTLS classes",
)
def _(scene: Scene) -> None:
    imap = IMAP4(HOST, scene.plain(scripts.imap_ok), policy=scene.policy)
    try:
        imap.login("alice", SECRET)
    finally:
        imap.shutdown()


def declined(
    seen: str,
    reply: bytes,
    *words: str,
    protocol: str = "smtp",
    host: str = HOST,
    credentials: Any = None,
    never: tuple[str, ...] = (),
) -> None:
    """A sign-in that a server declines in these words."""
    given = credentials or Password("alice", SECRET)

    def raises(scene: Scene) -> None:
        script = Scripted(protocol, (says(reply, reply, reply),))
        client: Any = scene.smtp(script, host) if protocol == "smtp" else scene.imap(script, host)
        try:
            client.authenticate(given)
        finally:
            client._close_now()

    row(seen, "authentication", *words, never=never)(raises)


declined(
    "535 5.7.139 ... basic authentication is disabled",
    b"535 5.7.139 Authentication unsuccessful, basic authentication is disabled.\r\n",
    "The password is not the problem",
    "Token(user, access_token)",
    host="smtp.office365.com",
)
declined(
    "550 5.7.30 Basic authentication is not supported for Client Submission.",
    b"550 5.7.30 Basic authentication is not supported for Client Submission.\r\n",
    "The password is not the problem",
    "Token(user, access_token)",
    host="smtp.office365.com",
)
declined(
    "SmtpClientAuthentication is disabled for the Tenant",
    b"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
    b"Tenant.\r\n",
    "switched off for the whole organisation",
    "Its administrator can switch it on",
    host="smtp.office365.com",
)
declined(
    "534 5.7.9 Application-specific password required",
    b"534 5.7.9 Application-specific password required.\r\n",
    "create an app password",
    "or use a Token",
    host="smtp.gmail.com",
)
declined(
    "[ALERT] Application-specific password required",
    b"%t NO [ALERT] Application-specific password required: https://support.google.com\r\n",
    "create an app password",
    protocol="imap",
    host="imap.gmail.com",
)
declined(
    "NO LOGIN failed. (GMX)",
    b"%t NO LOGIN failed.\r\n",
    "Is access by POP3 and IMAP switched on in the mailbox's settings on the web?",
    protocol="imap",
    host="imap.gmx.net",
)
declined(
    "[AUTHENTICATIONFAILED] (WEB.DE)",
    b"%t NO [AUTHENTICATIONFAILED] authentication failed\r\n",
    "Is access by POP3 and IMAP switched on",
    protocol="imap",
    host="imap.web.de",
)


@row(
    "BAD User is authenticated but not connected.",
    "authentication",
    "the sign-in succeeded, and the mailbox stays closed",
    "Check that the user name is the mailbox's own address",
    "that the token's scope is IMAP.AccessAsUser.All",
    "that its service principal may use the mailbox",
)
def _(scene: Scene) -> None:
    shut = says(imap=b"%t BAD User is authenticated but not connected.\r\n")
    signed_in = says(imap=b"%t OK AUTHENTICATE completed.\r\n")
    script = Scripted("imap", (asks(b""), signed_in, shut), ("XOAUTH2",))
    imap = scene.imap(script, "outlook.office365.com")
    try:
        imap.authenticate(Token("alice@example.org", "ya29.token"))
        with pytest.raises(imaplib.IMAP4.error) as caught:
            imap.select()
    finally:
        imap.shutdown()
    raise caught.value


@row(
    "'ascii' codec can't encode character '\\xfc' in position 4",
    "no-mechanism",
    "PLAIN",
    "No password was sent",
)
def _(scene: Scene) -> None:
    """By PLAIN it is sent (RFC 4616); a server that has LOGIN's command alone is told so."""
    with scene.smtp(scripts.smtp_ok) as smtp:
        smtp.login("alice", "schlüssel")
    only_cram = scripts.PoliteSMTP(mechanisms=("CRAM-MD5",))
    with scene.smtp(only_cram) as smtp:
        smtp.login("alice", "schlüssel")


# -- the rest


@row(
    "got more than 1000000 bytes / line too long",
    "limit-line",
    "Limits(line=",
)
def _(scene: Scene) -> None:
    port = scene.over_tls(scripts.endless_greeting_line)
    IMAP4_SSL(HOST, port, policy=scene.policy, limits=Limits(line=10_000))


@row(
    "Cannot set verify_mode to CERT_NONE when check_hostname is enabled.",
    "sealed",
    "would change what it enforces",
    "Make another TLSPolicy",
)
def _(scene: Scene) -> None:
    scene.policy.ssl_context().verify_mode = ssl.CERT_NONE


@row(
    "command: UID => ... unexpected response",
    "protocol",
    "the server does not speak as IMAP does",
    "That is POP3: use POP3_SSL (port 995) or POP3_STARTTLS (port 110) there",
)
def _(scene: Scene) -> None:
    IMAP4_SSL(HOST, scene.over_tls(scripts.pop3_ok), policy=scene.policy)


@row(
    "socket error: EOF (an IMAP class at an SMTP port)",
    "protocol",
    "That is SMTP: use SMTP_SSL (port 465) or SMTP_STARTTLS (port 587) there",
)
def _(scene: Scene) -> None:
    IMAP4_SSL(HOST, scene.over_tls(scripts.smtp_ok), policy=scene.policy)


@row(
    "error_proto(b'* OK ready') (a POP3 class at an IMAP port)",
    "protocol",
    "That is IMAP: use IMAP4_SSL (port 993) or IMAP4_STARTTLS (port 143) there",
)
def _(scene: Scene) -> None:
    POP3_SSL(HOST, scene.over_tls(scripts.imap_ok), policy=scene.policy)


@row(
    "TimeoutError connecting to port 25",
    "connect-timed-out",
    "no answer in time",
    "Many access providers block port 25",
    "465 (SMTP_SSL) or 587 (SMTP_STARTTLS)",
)
def _(scene: Scene) -> None:
    """Nothing may listen on port 25 here: a socket whose queue is full stands in its place."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(address)
        time.sleep(0.05)
        real = socket.getaddrinfo
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", lambda h, p, **k: real(*address, **k))
            try:
                SMTP(HOST, 25, timeout=0.3, plaintext="a test")
            finally:
                for one in waiting:
                    one.close()


# -- servers that say a part of TLS in so many octets


def record(kind: int, version: bytes, body: bytes) -> bytes:
    """RFC 5246, 6.2.1."""
    return struct.pack(">B2sH", kind, version, len(body)) + body


def server_hello(version: bytes, suite: bytes) -> bytes:
    """RFC 5246, 7.4.1.3, without extensions."""
    body = version + b"\x00" * 32 + b"\x00" + suite + b"\x00"
    return record(22, version, b"\x02" + len(body).to_bytes(3, "big") + body)


def alerts(description: int) -> Callable[[Conversation], None]:
    return answers_the_hello(record(21, b"\x03\x01", bytes([2, description])))


def answers_the_hello(data: bytes) -> Callable[[Conversation], None]:
    def script(conversation: Conversation) -> None:
        head = conversation.read(5)
        conversation.read(int.from_bytes(head[3:], "big"))
        conversation.send(data)
        conversation.sleep_until_closed(10)

    return script


@pytest.mark.parametrize("wanted", ROWS, ids=lambda one: one.seen[:60])
def test_what_they_see(wanted: Row, scene: Scene) -> None:
    with pytest.raises(SecureMailError) as caught:
        wanted.raises(scene)
    error, text = caught.value, str(caught.value)
    assert error.code == wanted.code, text
    for words in wanted.words:
        assert words in text
    for words in wanted.never:
        assert words not in text
    assert text.endswith(f"More: securemail explain {error.code}.")
    assert SECRET not in text
    if not isinstance(error, PolicyError):
        assert error.credentials_sent is not None
        assert (error.host, "No password was sent." in text) != (None, bool(error.credentials_sent))


def test_a_host_given_later_is_the_name_that_is_checked(scene: Scene) -> None:
    """Today: "server_hostname cannot be an empty string or start with a leading dot."."""
    smtp = SMTP(policy=scene.policy)
    port = scene.plain(scripts.smtp_ok.with_starttls(scene.pki["good"].server_context()))
    smtp.connect(HOST, port)
    smtp.starttls()
    assert smtp.report.tls is not None
    assert smtp.report.tls.host == HOST
    smtp.quit()


def test_of_a_server_of_ones_own_nothing_is_said_of_interception_alone(scene: Scene) -> None:
    """The control of the providers' rows: the same certificate, pinned, is accepted."""
    issued = scene.pki["self_signed"]
    policy = TLSPolicy(trust=ExactCertificate(issued.leaf_pem, acknowledge="mine"))
    with IMAP4_SSL("imap.gmail.com", scene.serve("self_signed"), policy=policy) as imap:
        assert imap.report.tls is not None


def test_words_of_the_protocol_that_was_wanted_are_no_other() -> None:
    assert spoken_instead('"220 later"', "SMTP over TLS") == ""
    assert spoken_instead('"220 mail.example.org"', "IMAP over TLS").startswith("That is SMTP")
    assert spoken_instead('"HTTP/1.1 400 Bad Request"', "SMTP").startswith("That is a web server")
    assert spoken_instead('"pleased to meet you"', "SMTP") == ""
