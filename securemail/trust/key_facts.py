"""The checks of one certificate that need no chain: dates, key, signature hash, purpose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..certificate import BROKEN_HASHES, Certificate
from ..errors import printable
from ..reasons import (
    Expired,
    Malformed,
    NotYetValid,
    Reason,
    WeakKey,
    WeakSignature,
    WrongKeyUsage,
    WrongPurpose,
)


def leaf_facts(der: bytes, now: datetime) -> tuple[Reason, ...]:
    """All that is wrong with a server's certificate that is believed by itself."""
    try:
        leaf = Certificate(der)
        dates = date_facts(leaf.not_before, leaf.not_after, now)
        return (*key_facts(leaf), *form_facts(leaf), *dates)
    except ValueError as error:
        return (malformed(error),)


def form_facts(leaf: Certificate) -> Iterator[Reason]:
    """For where OpenSSL has not looked: what must not be passed over (RFC 5280, 4.2)."""
    for oid in leaf.not_understood:
        yield Malformed(f"it has a critical extension that nobody here knows ({oid})")


def malformed(error: ValueError) -> Malformed:
    """`error`: of reading a certificate, or a part of it."""
    return Malformed(printable(getattr(error, "message", str(error))))


def date_facts(not_before: datetime, not_after: datetime, now: datetime) -> Iterator[Reason]:
    """Of its first and its last moment."""
    if not_after < now:
        yield Expired(not_after, now)
    if not_before > now:
        yield NotYetValid(not_before, now)


def key_facts(leaf: Certificate) -> Iterator[Reason]:
    """What makes `leaf` unfit for a TLS server."""
    yield from weak_key(leaf)
    if not leaf.may_be_server:
        yield WrongPurpose(leaf.purposes or ())
    if not leaf.may_do_tls:
        yield WrongKeyUsage(leaf.key_usages or ())


def weak_key(certificate: Certificate) -> Iterator[Reason]:
    yield from small_key(certificate.key, certificate.subject)


def small_key(key: tuple[str, int, int], subject: str) -> Iterator[Reason]:
    """`key`: kind, bits, and the least that is wanted."""
    kind, bits, minimum = key
    if bits < minimum:
        yield WeakKey(kind, bits, minimum, subject)


def weak_signature(certificate: Certificate) -> Iterator[Reason]:
    """Only of a certificate that somebody else signed: on an anchor nobody reads it."""
    algorithm = certificate.signature_hash
    if algorithm in BROKEN_HASHES and not certificate.is_self_issued:
        yield WeakSignature(algorithm, certificate.subject)
