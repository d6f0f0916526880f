"""The checks of a certificate that need no chain: key, signature hash, purpose, dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..certificate import Certificate
from ..reasons import (
    Expired,
    NotYetValid,
    Reason,
    WeakKey,
    WeakSignature,
    WrongKeyUsage,
    WrongPurpose,
)

_BROKEN_HASHES = ("md5", "sha1")


def key_facts(leaf: Certificate) -> Iterator[Reason]:
    """What makes `leaf` unfit for a TLS server."""
    yield from weak_key(leaf)
    if not leaf.may_be_server:
        yield WrongPurpose(leaf.purposes or ())
    if not leaf.may_do_tls:
        yield WrongKeyUsage(leaf.key_usages or ())


def date_facts(leaf: Certificate, now: datetime) -> Iterator[Reason]:
    """Its first day has not come, or its last one has passed."""
    if leaf.not_before > now:
        yield NotYetValid(leaf.not_before, now)
    if leaf.not_after < now:
        yield Expired(leaf.not_after, now)


def weak_key(certificate: Certificate) -> Iterator[Reason]:
    kind, bits, minimum = certificate.key
    if bits < minimum:
        yield WeakKey(kind, bits, minimum, certificate.subject)


def weak_signature(certificate: Certificate) -> Iterator[Reason]:
    """Only of a certificate that somebody else signed: on an anchor nobody reads it."""
    algorithm = certificate.signature_hash
    if algorithm in _BROKEN_HASHES and not certificate.is_self_issued:
        yield WeakSignature(algorithm, certificate.subject)
