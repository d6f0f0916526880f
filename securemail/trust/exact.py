"""Exactly one server: the explicit opt-in for self-signed certificates."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Hashable
from datetime import UTC, datetime

from .. import pem
from ..certificate import Certificate
from ..errors import CertificateRejected, PinMismatch, PolicyError, SelfSignedWarning, WaiverWarning
from ..pins import Pin
from ..reasons import Expired, NotPinned, NotYetValid, Reason, WaiverEnded
from ..report import Vouched
from .base import Peer, Store
from .key_facts import key_facts
from .waive import Waiver

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME; Python has no name for it


class ExactCertificate(Store):
    """Believes one certificate (`ExactCertificate("server.pem")`) or one key
    (`ExactCertificate(pin="sha256/…")`), self-signed or not.

    Checked: that the server has the private key of exactly this certificate (or of a certificate
    that the pin fits), the dates, the key's size, and that the certificate is for TLS servers.
    Not checked, and in the report as such: the name (the key is the identity), revocation, and,
    with a pin, who issued the certificate.

    `waive=Waive.EXPIRY("why", until=date)` accepts it although expired, and warns.
    `acknowledge="why"` silences the `SelfSignedWarning`. Raises `PolicyError`.
    """

    certificate: pem.Source | None = None
    pin: Pin | str | None = None
    waive: Waiver | None = None
    acknowledge: str | None = None

    def _check(self) -> None:
        if (self.certificate is None) == (self.pin is None):
            raise PolicyError(
                "ExactCertificate takes a certificate or a pin, one of the two.",
                code="exact-certificate",
                hint='ExactCertificate("server.pem") or ExactCertificate(pin="sha256/...").',
            )
        if self.waive is not None and not isinstance(self.waive, Waiver):
            raise PolicyError(
                f"waive={self.waive!r} is not a waiver.",
                code="waiver",
                hint='Write waive=Waive.EXPIRY("why", until=date).',
            )
        if self.acknowledge is not None and not str(self.acknowledge).strip():
            raise PolicyError("acknowledge= needs a reason in words.", code="acknowledge")
        if self.pin is not None:
            self._set("pin", self.pin if isinstance(self.pin, Pin) else Pin(self.pin))
        else:
            self._check_certificate()

    def _check_certificate(self) -> None:
        assert self.certificate is not None
        if not pem.is_pem(self.certificate):
            self._set("certificate", os.fspath(self.certificate))
        found = Certificate(self._der())
        if found.is_ca and not (found.may_do_tls and found.is_self_issued):
            raise PolicyError(
                f"{pem.name_of(self.certificate)} is a certificate authority ({found.subject}), "
                "not a server.",
                code="not-a-server",
                hint="To believe what it issued: trust=CATrust(...), "
                "or SystemTrust() | CATrust(...).",
            )

    def _der(self) -> bytes:
        assert self.certificate is not None
        return pem.one_certificate(self.certificate)

    def prepare(self, context: ssl.SSLContext) -> None:
        context.check_hostname = False
        if self.certificate is None:
            # There is no anchor to give to OpenSSL: `verify` is the only check.
            context.verify_mode = ssl.CERT_NONE
            return
        context.load_verify_locations(cadata=self._der())
        if self.waive is not None:
            context.verify_flags |= _NO_CHECK_TIME  # `verify` checks the dates

    def content(self) -> Hashable:
        return (
            None
            if self.certificate is None
            else hashlib.sha256(pem.read(self.certificate)).digest()
        )

    def describe(self) -> str:
        if self.certificate is None:
            return f"the pin {self.pin}"
        return f"exactly the certificate in {pem.name_of(self.certificate)}"

    def objections(self, peer: Peer) -> tuple[Reason, ...]:
        if not peer.presented or self._fits(peer.presented[0]):
            return ()
        wanted = self._wanted()
        return (NotPinned((str(wanted),), (str(wanted.like(peer.presented[0])),)),)

    def verify(self, peer: Peer) -> Vouched:
        """The compare after the handshake. With a certificate it is needed as well as the anchor:
        a pinned CA:TRUE key could have signed another leaf, which OpenSSL accepts."""
        wrong = self.objections(peer)
        if wrong or not peer.presented:
            raise PinMismatch(
                "", reasons=wrong or (NotPinned((str(self._wanted()),), ()),), chain=peer.presented
            )
        leaf = Certificate(peer.presented[0])
        waived = self._verify_facts(leaf, peer)
        return Vouched(
            self.describe(),
            not_checked=("the name (the key is the identity)",)
            + (() if self.certificate is not None else ("the issuer",)),
            waivers=(str(self.waive),) if waived else (),
            warnings=self._warnings(leaf, peer, waived),
            acknowledged=self.acknowledge,
        )

    def _verify_facts(self, leaf: Certificate, peer: Peer) -> bool:
        """Dates, key and purpose; whether the waiver was needed."""
        now = datetime.now(UTC)
        reasons: list[Reason] = list(key_facts(leaf))
        expired = leaf.not_after < now
        if leaf.not_before > now:
            reasons.append(NotYetValid(leaf.not_before, now))
        if expired and self.waive is None:
            reasons.append(Expired(leaf.not_after, now))
        elif expired and self.waive is not None and now.date() > self.waive.until:
            ended = WaiverEnded(self.waive.what, str(self.waive.until), self.waive.reason)
            reasons += [Expired(leaf.not_after, now), ended]
        if reasons:
            raise CertificateRejected("", reasons=tuple(reasons), chain=peer.presented)
        return expired

    def _warnings(self, leaf: Certificate, peer: Peer, waived: bool) -> tuple[Warning, ...]:
        found: list[Warning] = []
        if leaf.is_self_signed and self.acknowledge is None:
            found.append(self_signed_warning(peer, "the name, revocation"))
        if waived and self.waive is not None:
            found.append(
                WaiverWarning(
                    f"{peer.host or 'the server'}: the certificate expired on "
                    f"{leaf.not_after:%Y-%m-%d}; accepted until {self.waive.until} "
                    f"({self.waive.reason})"
                )
            )
        return tuple(found)

    def key_pin(self) -> Pin:
        """The pin of the certificate's key."""
        return Pin.of_key(self._der())

    def is_issuer_of(self, der: bytes) -> bool:
        """Whether the pinned certificate's key signed the certificate `der`."""
        return Certificate(der).is_signed_by(Certificate(self._der()))

    def _wanted(self) -> Pin:
        return self.pin if isinstance(self.pin, Pin) else Pin.of_certificate(self._der())

    def _fits(self, der: bytes) -> bool:
        if self.certificate is not None:
            return der == self._der()
        return self._wanted().matches(der)


def self_signed_warning(peer: Peer, not_checked: str) -> SelfSignedWarning:
    """For a self-signed certificate that was accepted."""
    shown = Certificate(peer.presented[0]).fingerprint
    return SelfSignedWarning(
        f"{peer.host or 'the server'}: accepted a self-signed certificate (SHA-256 {shown}), "
        f"because the policy names it; not checked: {not_checked}. "
        'To silence this: trust=ExactCertificate(..., acknowledge="why").'
    )
