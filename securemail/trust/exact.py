"""Exactly one server: the explicit opt-in for self-signed certificates."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Hashable
from datetime import UTC, datetime

from .. import pem
from ..certificate import Certificate
from ..errors import CertificateRejected, PinMismatch, PolicyError, SelfSignedWarning, printable
from ..files import fixed
from ..pins import Pin
from ..reasons import NotPinned, Reason
from ..report import Vouched
from ..values import reason_of
from .base import Peer, Store
from .key_facts import leaf_facts, malformed
from .malformed import malformed_facts, not_checked
from .waive import EXPIRY, FORM, Waiver

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME; Python has no name for it


class ExactCertificate(Store):
    """Believes one certificate (`ExactCertificate("server.pem")`) or one key
    (`ExactCertificate(pin="sha256/…")`), self-signed or not.

    Checked: that the server has the private key of exactly this certificate (or of a certificate
    that the pin fits), the dates, the key's size, and that the certificate is for TLS servers.
    Not checked, and in the report as such: the name (the key is the identity), revocation, and,
    with a pin, who issued the certificate.

    `waive=Waive.EXPIRY("why", until=date)` accepts it although expired, `Waive.MALFORMED` although
    its form is wrong (both: a tuple); each warns, and needs one certificate, not a key's pin.
    `acknowledge="why"` silences the `SelfSignedWarning`. Raises `PolicyError`.
    """

    certificate: pem.Source | None = None
    pin: Pin | str | None = None
    waive: Waiver | tuple[Waiver, ...] | None = ()
    acknowledge: str | None = None

    def _check(self) -> None:
        if (self.certificate is None) == (self.pin is None):
            raise PolicyError(
                "ExactCertificate takes a certificate or a pin, one of the two.",
                code="exact-certificate",
                hint='ExactCertificate("server.pem") or ExactCertificate(pin="sha256/...").',
            )
        if not all(isinstance(waiver, Waiver) for waiver in self._waivers):
            raise PolicyError(
                f"waive={self.waive!r} is not a waiver.",
                code="waiver",
                hint='Write waive=Waive.EXPIRY("why", until=date).',
            )
        self._set("waive", self._waivers)
        self._set("acknowledge", reason_of(self.acknowledge, "acknowledge", code="acknowledge"))
        if self.pin is not None:
            pin = self.pin if isinstance(self.pin, Pin) else Pin(self.pin)
            self._set("pin", pin)
            if self._waivers and not pin.is_certificate:
                raise PolicyError(
                    "a waiver is for one certificate, and this pin fits every certificate with "
                    "the same key.",
                    code="waiver",
                    hint='Name the certificate: ExactCertificate("server.pem", waive=...), or '
                    'pin=Pin.certificate("AB:CD:...").',
                )
        else:
            self._check_certificate()

    def _check_certificate(self) -> None:
        assert self.certificate is not None
        if not pem.is_pem(self.certificate):
            self._set("certificate", fixed(self.certificate))
        try:
            der = self._der()
            if self._waiver(FORM):
                return  # what it is cannot be told from what it says
            found = Certificate(der)
            is_authority = found.is_ca and not (found.may_do_tls and found.is_self_issued)
        except ValueError as error:
            refused = self._malformed(error)
            if refused.code == "private-key":
                self._set("certificate", None)  # it is in there, and a traceback may show this
            raise refused from None
        if is_authority:
            raise PolicyError(
                f"{pem.name_of(self.certificate)} is a certificate authority ({found.subject}), "
                "not a server.",
                code="not-a-server",
                hint="To believe what it issued: trust=CATrust(...), or SystemTrust() | "
                "CATrust(...). For a device that shows it as its own, and cannot get another: "
                'ExactCertificate(..., waive=Waive.MALFORMED("why", until=date)).',
            )

    def _malformed(self, error: ValueError) -> PolicyError:
        if isinstance(error, PolicyError) and error.code != "damaged-certificate":
            return error
        assert self.certificate is not None
        return PolicyError(
            f"the certificate in {pem.name_of(self.certificate)} is damaged, or malformed: "
            f"{printable(getattr(error, 'message', str(error))).rstrip('.')}.",
            code="damaged-certificate",
            hint="Copy the file again, whole. If it is right, and the device that shows it cannot "
            'get another: ExactCertificate(..., waive=Waive.MALFORMED("why", until=date)).',
        )

    def _der(self) -> bytes:
        assert self.certificate is not None
        return pem.one_certificate(self.certificate, readable=not self._waiver(FORM))

    @property
    def _waivers(self) -> tuple[Waiver, ...]:
        given = self.waive
        return given if isinstance(given, tuple) else () if given is None else (given,)

    def _waiver(self, what: str) -> Waiver | None:
        return next((waiver for waiver in self._waivers if waiver.what == what), None)

    def prepare(self, context: ssl.SSLContext) -> None:
        context.check_hostname = False
        if self.certificate is None or self._waiver(FORM):
            # There is no anchor to give to OpenSSL, or none that it takes: `verify` is the only
            # check.
            context.verify_mode = ssl.CERT_NONE
            return
        context.load_verify_locations(cadata=self._der())
        if self._waiver(EXPIRY):
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
        der, now = peer.presented[0], datetime.now(UTC)
        used = self._verify_facts(der, peer, now)
        return Vouched(
            self.describe(),
            identified_by="certificate" if self._wanted().is_certificate else "key",
            not_checked=(
                "the name (the key is the identity)",
                *(() if self.certificate is not None else ("the issuer",)),
                *(not_checked(der) if self._waiver(FORM) else ()),
            ),
            waivers=tuple(str(waiver) for waiver, _ in used),
            warnings=(
                *self._self_signed(der, peer),
                *(waiver.warning(peer.host, found, now) for waiver, found in used),
            ),
            acknowledged=self.acknowledge,
        )

    def _verify_facts(self, der: bytes, peer: Peer, now: datetime) -> list[tuple[Waiver, str]]:
        """Dates, key and purpose. Which waivers were needed, each with what it was needed for."""
        reasons = self._facts(der, now)
        used: list[tuple[Waiver, str]] = []
        for waiver in self._waivers:
            found = [str(reason) for reason in reasons if waiver.covers(reason)]
            if found or waiver.what == FORM:
                reasons = waiver.apply(reasons, now)
                found = found or ["was accepted whatever its form"]
                used.append((waiver, f"the certificate {' and '.join(found)}"))
        if reasons:
            raise CertificateRejected("", reasons=reasons, chain=peer.presented)
        return used

    def _facts(self, der: bytes, now: datetime) -> tuple[Reason, ...]:
        try:
            if self._waiver(FORM):
                return tuple(malformed_facts(der, now))
        except ValueError as error:
            return (malformed(error),)
        return leaf_facts(der, now)

    def _self_signed(self, der: bytes, peer: Peer) -> tuple[Warning, ...]:
        if self.acknowledge is not None:
            return ()
        try:
            is_self_signed = Certificate(der).is_self_signed
        except ValueError:
            return ()  # its form is waived, with a warning of its own
        return (self_signed_warning(peer, "the name, revocation"),) if is_self_signed else ()

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
