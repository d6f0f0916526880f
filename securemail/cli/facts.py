"""A certificate's facts and pins, for people and for machines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..certificate import Certificate
from ..pins import Pin
from ..reasons import say_names
from ..values import Value


class Facts(Value, kw_only=True):
    """What a certificate says of itself. Whether that is true is for a handshake to find out."""

    subject: str
    issuer: str
    self_signed: bool
    ca: bool
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key: str
    fingerprint: str
    key_pin: Pin
    certificate_pin: Pin

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            **{name: getattr(self, name) for name in self._fields},
            "names": list(self.names),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "key_pin": str(self.key_pin),
            "certificate_pin": str(self.certificate_pin),
        }

    def lines(self) -> list[tuple[str, str]]:
        """Label and text, for a person; the fingerprint stands elsewhere."""
        return [
            ("subject", self.subject),
            ("issued by", "itself: it is self-signed" if self.self_signed else self.issuer),
            ("names", self._names()),
            ("valid", self._dates()),
            ("key", self.key),
        ]

    def _names(self) -> str:
        return say_names(self.names) if self.names else "none"

    def _dates(self) -> str:
        now = datetime.now(UTC)
        span = f"{self.not_before:%Y-%m-%d} to {self.not_after:%Y-%m-%d}"
        if now > self.not_after:
            return f"{span}: EXPIRED {_days((now - self.not_after).days)} ago"
        if now < self.not_before:
            return f"{span}: NOT YET VALID for {_days((self.not_before - now).days)}"
        return f"{span}, {_days((self.not_after - now).days)} left"


def fact_rows(der: bytes) -> list[tuple[str, str]]:
    """Label and text of what the certificate `der` says, or why it cannot be read."""
    try:
        return read_facts(der).lines()
    except ValueError as error:
        return [("certificate", f"cannot be read: {error}")]


def read_facts(der: bytes) -> Facts:
    """Raises `ValueError` where the certificate is malformed."""
    read = Certificate(der)
    kind, bits, _ = read.key
    return Facts(
        subject=read.subject,
        issuer=read.issuer,
        self_signed=read.is_self_signed,
        ca=read.is_ca,
        names=read.names,
        not_before=read.not_before,
        not_after=read.not_after,
        key=f"{bits}-bit {kind}" if bits else kind,
        fingerprint=read.fingerprint,
        key_pin=Pin.of_key(der),
        certificate_pin=Pin.of_certificate(der),
    )


def _days(count: int) -> str:
    if count > 3650:
        return f"{count // 365} years"
    return f"{count} day{'s' * (count != 1)}"
