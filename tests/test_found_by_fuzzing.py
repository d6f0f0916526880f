"""What `scripts/fuzz` found, one named test each, with its control.

The cases themselves are in `fuzz/cases`.
"""

import base64
import imaplib
import poplib
import smtplib
import socket
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fuzz.der import certificates
from fuzz.fake_socket import FakeSocket
from fuzz.tls import faked
from securemail import (
    IMAP4,
    IMAP4_SSL,
    POP3_SSL,
    SMTP_SSL,
    ConnectFailed,
    ExactCertificate,
    Limits,
    Pin,
    PolicyError,
    ProtocolViolation,
    SecureMailError,
    TimeLimitExceeded,
    TLSPolicy,
    UpgradeRefused,
)
from securemail.crl import read_crls
from securemail.hosts import split_port
from securemail.reasons import Malformed, Unexplained
from securemail.redact import hide
from securemail.tls.explain import advise
from securemail.tls.facts import find_facts
from securemail.trust.base import Peer
from securemail.trust.malformed import malformed_facts, not_checked
from securemail.wire import Reader
from servers.attempts import PASSWORD, USER
from servers.leaks import leaks

POLICY = TLSPolicy(trust=ExactCertificate(pin="sha256/" + "A" * 43 + "="))
STORE = ExactCertificate(pin=Pin("sha256/" + "A" * 43 + "="))


class Says:
    """Answers one line after another, and then hangs up by a reset, or says nothing more."""

    tls_version = "TLSv1.3"

    def __init__(self, *answers: bytes, then: type[OSError] = ConnectionResetError) -> None:
        self.sockets: list[Any] = []
        self._answers, self._then = list(answers), then
        self._said = self._answers.pop(0)
        self._last = b""

    def upgraded(self) -> None:
        """The greeting waits already; it counts as said over TLS."""

    def has_more(self) -> bool:
        return False

    @property
    def ended(self) -> str:
        return ""

    choices = type("Polite", (), {"is_rude": lambda self: False})()

    def hear(self, octets: bytes, is_tls: bool) -> None:
        if not self._answers:
            raise self._then(104, "as the test wants it")
        words = octets.split()
        answer = self._answers.pop(0).replace(b"%t", words[0]).replace(b"%l", octets.strip())
        self._said += answer.replace(b"%w", words[-1])

    def next_octets(self, most: int) -> bytes | None:
        taken, self._said = self._said[:most], self._said[most:]
        return taken or None


def connected(cls: Any, server: Says, **more: Any) -> Any:
    return cls(
        "mail.example.org",
        connector=lambda *_: FakeSocket.to(server),
        policy=POLICY,
        limits=Limits(connect=5, read=5),
        **more,
    )


OPENINGS: dict[str, tuple[Any, tuple[bytes, ...]]] = {
    "imap": (
        IMAP4_SSL,
        (b"* OK hi\r\n", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n%t OK done\r\n"),
    ),
    "pop3": (POP3_SSL, (b"+OK hi\r\n",)),
    "smtp": (SMTP_SSL, (b"220 hi\r\n", b"250-mx\r\n250 AUTH PLAIN\r\n")),
}
SPELLED: dict[str, Callable[[Any], object]] = {
    "imap": lambda c: c.xatom("LOGIN", USER, "a-password"),
    "pop3": lambda c: c.mechanisms(),
    "smtp": lambda c: (c.ehlo(), c.docmd("AUTH", "PLAIN AHgAeA==")),
}
STANDARD = {
    "imap": imaplib.IMAP4.error,
    "pop3": poplib.error_proto,
    "smtp": smtplib.SMTPException,
}
every_protocol = pytest.mark.parametrize("protocol", OPENINGS)


@every_protocol
def test_a_line_that_cannot_be_sent_ends_a_sign_in_that_is_spelled(protocol: str) -> None:
    """It was the bare `ConnectionResetError`, and the connection stayed open."""
    cls, answers = OPENINGS[protocol]
    with faked():
        client = connected(cls, Says(*answers))
        with pytest.raises(ConnectFailed) as raised:
            SPELLED[protocol](client)
        assert isinstance(raised.value, STANDARD[protocol])
        assert client.sock is None
        with pytest.raises(ConnectFailed) as again:
            client.noop()
        assert again.value is raised.value


@every_protocol
def test_a_line_that_is_not_taken_in_time_does_so_too(protocol: str) -> None:
    cls, answers = OPENINGS[protocol]
    with faked():
        client = connected(cls, Says(*answers, then=TimeoutError))
        with pytest.raises(TimeLimitExceeded):
            SPELLED[protocol](client)
        assert client.sock is None


def shown(error: BaseException) -> bytes:
    """All that may be shown of it, and of those before it, as a traceback does."""
    return "".join((*traceback.format_exception(error), repr(vars(error)), repr(error))).encode()


REPEATS = {
    "imap": (b"garbage %l\r\n",),
    "pop3": (b"+OK\r\nSASL PLAIN\r\n.\r\n", b"garbage %l\r\n"),
    "smtp": (b"999 %l\r\n",),
}


@every_protocol
def test_a_server_that_repeats_the_password_where_no_reply_is_due(protocol: str) -> None:
    """The error quotes what was said without it; as base64, as here, or as it is."""
    cls, answers = OPENINGS[protocol]
    for word in (b"%l", b"%w", PASSWORD.encode()):
        said = tuple(answer.replace(b"%l", word) for answer in REPEATS[protocol])
        with faked():
            client = connected(cls, Says(*answers, *said))
            with pytest.raises(ProtocolViolation) as raised:
                client.login(USER, PASSWORD)
        assert leaks(shown(raised.value), PASSWORD) == []
        assert "<secret>" in str(raised.value), "the control: it was quoted"


PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
LOGIN = ("LOGIN", USER, f'"{PASSWORD}"')
BY_HAND: dict[str, tuple[Any, Callable[[Any], object], tuple[bytes, ...]]] = {
    "imap LOGIN, NO": (IMAP4_SSL, lambda c: c.xatom(*LOGIN), (b"%t NO %l\r\n",)),
    "imap LOGIN, BAD": (IMAP4_SSL, lambda c: c.xatom(*LOGIN), (b"%t BAD %l\r\n",)),
    "imap, a callable": (
        IMAP4_SSL,
        lambda c: c.authenticate("XTHIS", lambda _: f"\0{USER}\0{PASSWORD}"),
        (b"+ \r\n", b"A1 NO %l\r\n"),
    ),
    "imap, garbage": (IMAP4_SSL, lambda c: c.xatom(*LOGIN), (b"garbage %l\r\n",)),
    "imap, BYE": (IMAP4_SSL, lambda c: c.xatom(*LOGIN), (b"* BYE %l\r\n%t NO\r\n",)),
    "imap, BYE and the end": (IMAP4_SSL, lambda c: c.xatom(*LOGIN), (b"* BYE %l\r\n",)),
    "pop3 PASS": (
        POP3_SSL,
        lambda c: (c._shortcmd(f"USER {USER}"), c._shortcmd(f"PASS {PASSWORD}")),
        (b"+OK\r\n", b"-ERR %l\r\n"),
    ),
    "smtp AUTH": (SMTP_SSL, lambda c: c.docmd("AUTH", f"PLAIN {PLAIN}"), (b"535 %l\r\n",)),
    "smtp AUTH, asked": (
        SMTP_SSL,
        lambda c: (c.docmd("AUTH", "PLAIN"), c.docmd(PLAIN)),
        (b"334 \r\n", b"535 %l\r\n"),
    ),
    "smtp AUTH, garbage": (SMTP_SSL, lambda c: c.docmd("AUTH", f"PLAIN {PLAIN}"), (b"999 %l\r\n",)),
    "smtp, a callable": (
        SMTP_SSL,
        lambda c: c.auth("PLAIN", lambda _=None: f"\0{USER}\0{PASSWORD}"),
        (b"535 %l\r\n",),
    ),
}


@pytest.mark.parametrize("repeated", [b"%l", PASSWORD.encode()])
@pytest.mark.parametrize("way", BY_HAND)
def test_a_sign_in_that_is_spelled_is_not_repeated_either(way: str, repeated: bytes) -> None:
    """Nor in the error of the next attempt, which tells how this one ended; and it is not kept."""
    cls, sign_in, answers = BY_HAND[way]
    protocol = way.split()[0].strip(",")
    opening = OPENINGS[protocol][1]
    said = (answer.replace(b"%l", repeated) for answer in answers)
    seen: list[BaseException] = []
    with faked(), ExitStack() as at_the_end:
        client = connected(cls, Says(*opening, *said))
        at_the_end.callback(client._close_now)
        if protocol == "smtp":
            client.ehlo()
        for attempt in (sign_in, lambda c: c.login(USER, PASSWORD)):
            try:
                attempt(client)
            except (SecureMailError, *STANDARD.values()) as error:
                seen.append(error)
    told = b"".join(shown(error) for error in seen)
    assert leaks(told, PASSWORD) == []
    assert b"<secret>" in told, "the control: it was quoted"
    assert client._secrets() == (), "and kept no longer than that"


@pytest.mark.parametrize(
    "secret", [b"pla1n pass", b"o'neill\\s", b'a"b"c', b"\"it's\\", "pässw".encode()]
)
def test_a_secret_is_hidden_within_a_repr_as_well(secret: bytes) -> None:
    """As `imaplib` quotes what it does not understand."""
    quoted = secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for line in (secret, quoted, b"'" + secret, b'"' + quoted, b"\"'" + secret):
        hidden = hide(repr(b"x " + line + b" y").encode(), (secret,))
        assert b"<secret>" in hidden
        assert repr(secret).encode()[2:-1] not in hidden
    assert hide(b"another", (secret,)) == b"another"


def test_starttls_where_the_session_is_signed_in_already() -> None:
    """It said that the server declines, who was never asked."""
    server = Says(b"* PREAUTH hi\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS\r\n%t OK done\r\n")
    client = connected(IMAP4, server, plaintext="the test's reason")
    with pytest.raises(UpgradeRefused, match="signed in already") as raised:
        client.starttls()
    assert raised.value.code == "preauth"
    assert client.sock is None


# -- files and certificates


def damaged_list(octets: bytes, other: bytes) -> bytes:
    """A list of revocations, with something else in its place."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 11, 22, tzinfo=UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "The authority")])
    builder = x509.CertificateRevocationListBuilder(name, now, now.replace(year=2030))
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert octets in der
    assert read_crls(der), "the control"
    return der.replace(octets, other, 1)


@pytest.mark.parametrize(
    ("octets", "other"),
    [(b"\x02\x01\x01", b"\x02\x01\x00"), (b"The", b"\xff\xfe\xff")],
    ids=["version 1 in the form of 2", "an issuer that cannot be read"],
)
def test_a_damaged_revocation_list_is_told_when_it_is_read(octets: bytes, other: bytes) -> None:
    """Not by a bare error, nor in the middle of a handshake."""
    with pytest.raises(PolicyError, match="is to be a revocation list"):
        read_crls(damaged_list(octets, other))


def test_a_signature_of_an_unknown_kind_is_a_reason() -> None:
    """It was the bare `UnsupportedAlgorithm`, out of the handshake."""
    ecdsa_with_sha256 = bytes.fromhex("06082a8648ce3d040302")
    der = certificates()[0]
    assert der.count(ecdsa_with_sha256) == 2
    odd = der.replace(ecdsa_with_sha256, bytes.fromhex("06082a8648ce3d04037f"))
    reasons = _reasons(odd, 7)
    assert isinstance(reasons[0], Malformed)
    assert "kind of signature is not known" in str(reasons[0])
    assert not any(isinstance(one, Malformed) for one in _reasons(der, 7)), "the control"


@pytest.mark.parametrize("der", [b"", b"0\0", b"0\x020\0", b"0\x040\x02\xa0\0"])
def test_a_certificate_with_nothing_in_it_cannot_be_read(der: bytes) -> None:
    """By a waiver of its form too. It was the bare `IndexError`."""
    for read in (lambda: list(malformed_facts(der, datetime.now(UTC))), lambda: not_checked(der)):
        with pytest.raises(ValueError, match="a part that every certificate has is not there"):
            read()
    assert not_checked(certificates()[0]) == ("its form", "its purpose"), "the control"


def test_a_refusal_that_only_openssl_knows_has_advice() -> None:
    peer = Peer(host="mail.example.org", presented=certificates()[:1])
    reasons = _reasons(certificates()[0], 999)
    assert [type(reason) for reason in reasons] == [Unexplained]
    assert "administrator" in advise(reasons, peer, STORE, ())


def _reasons(der: bytes, code: int) -> Any:
    peer = Peer(host="mail.example.org", presented=(der,))
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return find_facts(peer, STORE, code, "OpenSSL's words", names=False, now=now)


def test_a_bracket_that_is_not_closed() -> None:
    with pytest.raises(PolicyError, match=r"is not \[IPV6\]:PORT"):
        split_port("[::1")
    assert split_port("[::1]") == ("[::1]", None)


# -- the reader, after a time-out of the caller's own in the middle of a line


def begun(half: bytes) -> tuple[socket.socket, Reader]:
    """A reader that has `half` of a line, and the server's end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    reader = Reader(ours, Limits(read=5), lambda error: error)
    theirs.sendall(half)
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        reader.readline()
    ours.settimeout(5)
    return theirs, reader


def test_fewer_octets_than_were_begun() -> None:
    """One fewer was -1, which means all until the end."""
    theirs, reader = begun(b"half")
    with theirs, reader.sock:
        assert reader.read(3) == b"hal"
        theirs.sendall(b" a line\r\n")
        assert reader.readline() == b"f a line\r\n"


def test_half_a_line_is_left_over_as_well() -> None:
    """Before TLS begins: somebody said it, and nobody has read it."""
    theirs, reader = begun(b"* forged")
    with theirs, reader.sock:
        assert reader.leftover() == b"* forged"


def test_half_a_line_is_the_beginning_of_a_message() -> None:
    theirs, reader = begun(b"Subj")
    with theirs, reader.sock:
        theirs.sendall(b"ect: x\r\n.\r\n")
        assert reader.read_until_dot() == b"Subject: x\r\n"
