"""Uses the public names as a program would; it is type-checked by scripts/check, not run."""

import imaplib
import io
import logging
import poplib
import smtplib
import socket
import ssl
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import securemail
from securemail import (
    IMAP4,
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP,
    SMTP_SSL,
    SMTP_STARTTLS,
    Anonymous,
    AuthenticationFailed,
    AuthPolicy,
    CATrust,
    CertificateRejected,
    CertifiTrust,
    ClientCertificate,
    ConnectionReport,
    ExactCertificate,
    External,
    FirstUseTrust,
    Limits,
    Mechanism,
    NativeTrust,
    Password,
    Peer,
    Pin,
    SecureMailError,
    SystemTrust,
    Terms,
    TLSPolicy,
    TLSReport,
    Token,
    TranscriptLine,
    TrustStore,
    UnknownServer,
    Vouched,
    Waive,
)
from securemail import smtp as smtp_module
from securemail.imap import IMAP4_stream

version: str = securemail.__version__

exact = ExactCertificate("server.pem", waive=Waive.EXPIRY("why", until=date(2030, 1, 1)))
policy = TLSPolicy(
    minimum_version=ssl.TLSVersion.TLSv1_3,
    trust=SystemTrust() | CATrust("corp.pem") | CertifiTrust(),
    pins=(Pin("sha256/"), Pin.certificate("AB"), Pin.from_pem("server.pem")),
    strict_x509=True,
    legacy_ciphers="why",
    channel_binding="require",
    client_certificate=ClientCertificate("me.pem", "me.key", password=lambda: "secret"),
)
pinned: TLSPolicy = TLSPolicy(trust=ExactCertificate(pin="sha256/", acknowledge="why"))
context: ssl.SSLContext = policy.ssl_context()
words: str = policy.describe()

known = FirstUseTrust(Path("known-servers"), acknowledge="why")
of_one: ssl.SSLContext = TLSPolicy(trust=known).ssl_context(endpoint=("imap", "a.example", 993))


def first_use(unknown: UnknownServer) -> None:
    shown: str = unknown.fingerprint
    known.learn(unknown, fingerprint=unknown.fingerprint)
    known.expect(("imap", "a.example", 993), pin=unknown.pin + shown)
    for one in known.known():
        when: datetime = one.learned
        print(one.endpoint, one.pin, one.fingerprint, when)
    known.remove(("imap", "a.example", 993), pin=Pin("sha256/"))


class Mine:
    """A store that a user writes."""

    def prepare(self, context: ssl.SSLContext) -> None:
        context.load_default_certs()

    def verify(self, peer: Peer) -> Vouched | None:
        host: str | None = peer.host
        return Vouched("me", not_checked=(host or "",))


store: TrustStore = Mine()
also: TLSPolicy = TLSPolicy(trust=store)
native: TrustStore = NativeTrust()

with IMAP4_SSL("imap.example.org", policy=policy, limits=Limits(connect=5, read=10)) as imap:
    standard_imap: imaplib.IMAP4_SSL = imap
    status, data = imap.login("alice", "secret")
    imap.authenticate(Password("alice", "secret"))
    imap.authenticate("PLAIN", lambda challenge: b"")
    imap_report: ConnectionReport = imap.report

pop: poplib.POP3_SSL = POP3_SSL("pop3.example.org", 995, timeout=10, server_hostname="a.example")
answer: bytes = POP3_SSL("pop3.example.org").login("alice", "secret")

with SMTP_SSL("smtp.example.org", 465, auth=AuthPolicy(mechanisms=("PLAIN",))) as smtp:
    standard_smtp: smtplib.SMTP = smtp
    code, message = smtp.authenticate(Password("alice", "secret"))
    number: int = code


def provider(refused: bool) -> str:
    return "renewed" if refused else "token"


async def waiting_provider(refused: bool) -> str:
    return provider(refused)


class Ours:
    """A mechanism that a user writes."""

    name = "X-OURS"
    takes = Password
    is_complete = True

    def __init__(self, credentials: Password, terms: Terms) -> None:
        self.service: str = terms.service

    def start(self) -> bytes | None:
        return None

    def answer(self, challenge: bytes) -> bytes | None:
        return challenge


contract: type[Mechanism] = Ours
ranked = AuthPolicy(
    mechanisms=(Ours, "SCRAM-SHA-256", "APOP"),
    iterations=(4096, 100_000),
    seconds=2,
    saslprep="prefer",
    apop_in_clear="why",
    clear_on_loopback="why",
)
with POP3_SSL("pop3.example.org", auth=ranked) as listing:
    names: tuple[str, ...] = listing.mechanisms()
    for who in (
        Password("alice", "secret", keep_salted=True),
        Token("alice", "token"),
        Token("alice", provider),
        Token("alice", waiting_provider),
        External(),
        Anonymous("trace"),
    ):
        said: bytes = listing.authenticate(who)

with SMTP_STARTTLS("smtp.example.org", policy=policy, timeout=10) as starttls:
    starttls.login("alice", "secret")
with IMAP4_STARTTLS("imap.example.org") as upgraded, POP3_STARTTLS("pop3.example.org") as pop3:
    upgraded_imap: imaplib.IMAP4 = upgraded
    standard_pop3: poplib.POP3 = pop3
relay = SMTP("relay.example.org", plaintext="why", limits=Limits(read=None))


def by_proxy(host: str, port: int, timeout: float | None) -> socket.socket:
    return socket.create_connection((host, port), timeout)


POP3("pop3.example.org", connector=by_proxy)
POP3_SSL("pop3.example.org", connector=by_proxy)
POP3_STARTTLS("pop3.example.org", connector=by_proxy)
IMAP4("imap.example.org", connector=by_proxy)
IMAP4_SSL("imap.example.org", connector=by_proxy)
IMAP4_STARTTLS("imap.example.org", connector=by_proxy)
SMTP("smtp.example.org", connector=lambda host, port, timeout: by_proxy(host, port, timeout))
SMTP_SSL("smtp.example.org", connector=by_proxy)
SMTP_STARTTLS("smtp.example.org", connector=by_proxy)
smtp_module.LMTP("lmtp.example.org", connector=by_proxy)
shown: list[TranscriptLine] = []
POP3("pop3.example.org", transcript="pop3.txt")
POP3_SSL("pop3.example.org", transcript=Path("pop3.txt"))
POP3_STARTTLS("pop3.example.org", transcript=sys.stderr)
IMAP4("imap.example.org", transcript=logging.getLogger("securemail.wire"))
IMAP4_SSL("imap.example.org", transcript=shown.append)
IMAP4_STARTTLS("imap.example.org", transcript=print)
SMTP("smtp.example.org", transcript=None)
SMTP_SSL("smtp.example.org", transcript=io.StringIO())
SMTP_STARTTLS("smtp.example.org", transcript=lambda line: shown.append(line))
smtp_module.LMTP("lmtp.example.org", transcript="lmtp.txt")
IMAP4_stream("imapd", transcript="imap.txt")
text: str = f"{shown[0].at:%H:%M} {shown[0].seconds:.3f} {shown[0].side} {shown[0].text}"
relay.starttls()
plain_imap = IMAP4("imap.example.org", 143, 10.0, policy=policy)
plain_imap.starttls()
POP3("pop3.example.org").stls()
stand_ins: tuple[type[smtplib.SMTP], type[imaplib.IMAP4]] = (smtp_module.LMTP, IMAP4_stream)

tls: TLSReport | None = imap_report.tls
plain: dict[str, Any] = imap_report.as_dict()
offered: str | None = tls.client_certificate if tls else None
in_one_file = ClientCertificate(Path("me.pem"), password=b"secret")

try:
    IMAP4_SSL("imap.example.org", ssl_context=ssl.create_default_context())
except AuthenticationFailed as declined:
    tried: tuple[str, tuple[str, ...], str] = (declined.mechanism, declined.offered, declined.sent)
except CertificateRejected as error:
    chain: Sequence[bytes] = error.chain
    verify_code: int = error.verify_code
except SecureMailError as error:
    where: tuple[str | None, int | None] = (error.host, error.port)
    hint: str = error.hint
    sent: bool | None = error.credentials_sent
