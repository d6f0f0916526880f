"""What can be wrong with a server's certificate: one class each, with its numbers.

`str(reason)` is a clause that follows "the certificate"; `reason.code` is stable.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import ClassVar

from .values import Value

_SHOWN = 10  # of a list, in a sentence; the reason's own field has all of it
# Without commas or quotes; with blanks only in the words that `tls.facts` puts behind an address.
_PLAIN = re.compile(r"[^\s,'\"]+( \(as a name, not as an address\))?")


class Reason(Value):
    """Base of all reasons."""

    code: ClassVar[str] = "certificate"


class Expired(Reason):
    """The last day has passed (RFC 5280, 4.1.2.5)."""

    code = "certificate-expired"
    not_after: datetime
    now: datetime

    @property
    def days(self) -> int:
        return (self.now - self.not_after).days

    def __str__(self) -> str:
        return f"expired on {self.not_after:%Y-%m-%d}, {_days(self.days)} ago"


class NotYetValid(Reason):
    """The first day has not come (RFC 5280, 4.1.2.5)."""

    code = "certificate-not-yet-valid"
    not_before: datetime
    now: datetime

    @property
    def days(self) -> int:
        return (self.not_before - self.now).days

    def __str__(self) -> str:
        return f"is not valid before {self.not_before:%Y-%m-%d}, {_days(self.days)} from now"


class SelfSigned(Reason):
    """Signed with its own key, and nobody else's."""

    code = "self-signed"
    subject: str
    fingerprint: str

    def __str__(self) -> str:
        return f"is self-signed ({self.subject}, SHA-256 {self.fingerprint})"


class UntrustedRoot(Reason):
    """The chain that was sent ends in a root that the trust store lacks."""

    code = "untrusted-root"
    root: str
    store: str

    def __str__(self) -> str:
        return f"comes from {self.root!r}, which is not in the trust store used ({self.store})"


class UnknownIssuer(Reason):
    """No path to a trusted CA: the server left an intermediate out, or the CA is unknown."""

    code = "unknown-issuer"
    issuer: str
    sent: int
    store: str

    def __str__(self) -> str:
        return (
            f"was issued by {self.issuer!r}, whose own certificate the server did not send (it "
            f"sent {self.sent}) and the trust store used does not have ({self.store})"
        )


class BadSignature(Reason):
    """The certificate claims an issuer whose key did not sign it."""

    code = "bad-signature"
    subject: str
    issuer: str

    def __str__(self) -> str:
        return (
            f"is forged or damaged: {self.subject!r} says it was issued by {self.issuer!r}, "
            "whose key did not sign it"
        )


class NameMismatch(Reason):
    """Valid for other names than the one asked for (RFC 9525)."""

    code = "name-mismatch"
    asked: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"is for {say_names(self.names)}, you asked for {self.asked!r}"


class CommonNameOnly(Reason):
    """No subjectAltName: the common name is not a host name any more (RFC 9525, 2)."""

    code = "common-name-only"
    asked: str
    common_name: str

    def __str__(self) -> str:
        named = f"only a common name ({self.common_name!r})" if self.common_name else "no name"
        return f"carries {named} and no subjectAltName, so it cannot be checked for {self.asked!r}"


class AuthorityUnfit(Reason):
    """An authority on the way to the root may not vouch for it: it has ended, is weak, is no
    authority at all, or not one for such names (RFC 5280, 4.2.1.9 and 4.2.1.10)."""

    code = "authority-unfit"
    said: str
    verify_code: int

    def __str__(self) -> str:
        return (
            "comes by way of an authority that is not fit for it: OpenSSL says "
            f'"{self.said}" (code {self.verify_code})'
        )


class WeakKey(Reason):
    """The public key is too short (RFC 9325, 4.5)."""

    code = "weak-key"
    kind: str
    bits: int
    minimum: int
    subject: str

    def __str__(self) -> str:
        return (
            f"has a weak key: {self.bits}-bit {self.kind}, at least {self.minimum} wanted "
            f"({self.subject})"
        )


class WeakSignature(Reason):
    """Signed with a broken hash."""

    code = "weak-signature"
    algorithm: str
    subject: str

    def __str__(self) -> str:
        return f"is signed with {self.algorithm.upper()}, which can be forged ({self.subject})"


class WrongPurpose(Reason):
    """extendedKeyUsage without serverAuth (RFC 5280, 4.2.1.12)."""

    code = "wrong-purpose"
    purposes: tuple[str, ...]

    def __str__(self) -> str:
        return f"is not for servers: its extended key usage is {say_names(self.purposes)}"


class WrongKeyUsage(Reason):
    """keyUsage that forbids a TLS server key (RFC 5280, 4.2.1.3)."""

    code = "wrong-key-usage"
    usages: tuple[str, ...]

    def __str__(self) -> str:
        return f"has a key that is not for TLS: its key usage is {say_names(self.usages)}"


class NotStrict(Reason):
    """Breaks RFC 5280 in a way that Python 3.13 and newer refuse by default."""

    code = "not-strict"
    what: str
    subject: str

    def __str__(self) -> str:
        return f"breaks RFC 5280, or its CA does: {self.what} ({self.subject})"


class NotPinned(Reason):
    """Not one of the pinned keys or certificates."""

    code = "pin-mismatch"
    expected: tuple[str, ...]
    found: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"is not the pinned one: expected {say_some(self.expected, ' or ')}, "
            f"found {say_some(self.found) or 'no chain at all'}"
        )


class NotKnown(Reason):
    """First use: the server is not in the file of known servers. `server`: its line's beginning,
    `imap://mail.example.org:993`."""

    code = "unknown-server"
    server: str
    file: str
    fingerprint: str
    pin: str

    def __str__(self) -> str:
        return (
            f"is of a server that is not known yet, {self.server} (SHA-256 {self.fingerprint}, "
            f"key {self.pin}; known are those in {self.file})"
        )


class KnownKey(Value):
    """A key under which a server is known; `fingerprint` is None where it was entered by hand."""

    pin: str
    fingerprint: str | None
    learned: datetime

    def __str__(self) -> str:
        how = f"SHA-256 {self.fingerprint}" if self.fingerprint else "entered by hand"
        return f"{self.pin} ({how}, {self.learned:%Y-%m-%d})"


class KeyChanged(Reason):
    """The server is known by another key."""

    code = "key-changed"
    server: str
    file: str
    known: tuple[KnownKey, ...]
    fingerprint: str
    pin: str
    not_before: datetime
    not_after: datetime

    def __str__(self) -> str:
        return (
            f"has another key than {self.server} is known by: expected "
            f"{say_some(self.known, ' or ')}, found {self.pin} (SHA-256 {self.fingerprint}, "
            f"valid from {self.not_before:%Y-%m-%d} to {self.not_after:%Y-%m-%d}); "
            f"known are those in {self.file}"
        )


class WaiverEnded(Reason):
    """A dated exception was over."""

    code = "waiver-ended"
    what: str
    until: str
    reason: str

    def __str__(self) -> str:
        return f"was accepted in spite of its {self.what} until {self.until} only ({self.reason})"


class Malformed(Reason):
    """Not in the form that RFC 5280 gives a certificate, or with something that OpenSSL does not
    know and must not pass over."""

    code = "malformed"
    what: str

    def __str__(self) -> str:
        return f"does not have the form of a certificate for TLS: {self.what}"


class Revoked(Reason):
    """Its CA has called it back (RFC 5280, 5)."""

    code = "revoked"
    subject: str
    since: datetime | None
    why: str

    def __str__(self) -> str:
        since = f" on {self.since:%Y-%m-%d}" if self.since else ""
        why = f" ({self.why})" if self.why else ""
        return f"was revoked by its authority{since}{why}: {self.subject}"


class CRLMissing(Reason):
    """The policy asks for revocation, and has no list of this authority's."""

    code = "crl-missing"
    issuer: str
    held: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"was issued by {self.issuer!r}, of which the policy has no revocation list (it has: "
            f"{say_some(self.held) or 'none'})"
        )


class CRLStale(Reason):
    """The revocation list should have been replaced by a newer one (RFC 5280, 5.1.2.5)."""

    code = "crl-stale"
    issuer: str
    next_update: datetime | None
    now: datetime

    def __str__(self) -> str:
        due = f", which was due for renewal on {self.next_update:%Y-%m-%d}"
        return (
            f"cannot be checked against the revocation list of {self.issuer!r}"
            f"{due if self.next_update else ', which is not valid now'}"
        )


class Unexplained(Reason):
    """OpenSSL refused it, and our own facts do not say why."""

    code = "certificate"
    verify_code: int
    said: str

    def __str__(self) -> str:
        return f"was refused by OpenSSL: {self.said} (code {self.verify_code})"


def _days(count: int) -> str:
    return f"{count} day{'s' * (count != 1)}"


def say_names(names: tuple[str, ...]) -> str:
    """Names out of a certificate in one sentence; one that could be taken for two is quoted."""
    return say_some(tuple(one if _PLAIN.fullmatch(one) else repr(one) for one in names)) or "empty"


def say_some(items: tuple[object, ...], between: str = ", ") -> str:
    """Not all of them: a certificate may have thousands, and an error is one paragraph."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return between.join(map(str, items[:_SHOWN])) + more
