"""Exactly this certificate: the way that asks for no name and no authority. Pure."""

from __future__ import annotations

import ssl
from datetime import timedelta

from ...errors import PolicyError
from ...pins import Pin
from ...reasons import Expired, Malformed, NotStrict, Reason, WrongKeyUsage, WrongPurpose
from ...trust.base import CAStore
from ...trust.exact import ExactCertificate
from ...trust.key_facts import leaf_facts, malformed
from ...trust.malformed import malformed_facts
from ...trust.waive import EXPIRY, FORM, Waive, Waiver
from . import written
from .found import Refused, Way
from .written import Written

_FOR_NOW = timedelta(days=14)  # how long a waiver that is suggested lasts
_OF_THE_FORM = (Malformed, WrongPurpose, WrongKeyUsage)
COPIED = (
    "server.pem: the certificate, copied from the server itself, not from this connection, and "
    "not its private key"
)


def exact_way(refused: Refused) -> Way | None:
    """`ExactCertificate`, with the waivers that it needs: it asks for no name and no authority."""
    if not refused.chain or objections(refused):
        return None
    if refused.settings.policy.pins and not is_pinned(refused, refused.chain[0]):
        return None
    base, waivers = refused.settings.policy.trust, _waivers(refused)
    trust, needs = _store(refused, waivers)
    settings = written.settings_of(refused.settings)
    for gone in ("crls", "server_hostname"):  # it asks for no authority and no name
        settings.pop(gone, None)
    if "client_certificate" in settings and not _in_handshake(trust, waivers):
        return None  # it is shown only to servers that OpenSSL verified
    title = "Believe exactly this certificate, until a day" if waivers else "Believe its key alone"
    if not waivers and needs:
        title = "Believe exactly this certificate"
    if isinstance(base, CAStore) and "strict_x509" not in settings and NotStrict in refused.kinds:
        settings["strict_x509"] = written.TOLERANT
    settings["trust"] = trust
    return written.way(title, refused.place, settings, *needs)


def _in_handshake(trust: Written, waivers: tuple[Waiver, ...]) -> bool:
    """Whether OpenSSL verifies the server: by a file, and where its form is not waived."""
    by_pin = trust.toml.startswith("{ pin")
    return not by_pin and all(waiver.what != FORM for waiver in waivers)


def is_pinned(refused: Refused, der: bytes) -> bool:
    """Whether one of the policy's pins fits `der`."""
    try:
        return any(pin.matches(der) for pin in refused.settings.policy.pins)
    except ValueError:
        return False


def objections(refused: Refused) -> tuple[Reason, ...]:
    """What stays wrong with the server's certificate whoever believes it, dates that a waiver
    covers and a form that it covers apart."""
    reasons = _facts(refused.chain[0], refused, waived=_is_odd(refused))
    return tuple(reason for reason in reasons if not isinstance(reason, Expired))


def _facts(der: bytes, refused: Refused, *, waived: bool) -> tuple[Reason, ...]:
    if not waived:
        return leaf_facts(der, refused.now)
    try:
        return tuple(malformed_facts(der, refused.now))
    except ValueError as error:  # not even its key can be read
        return (malformed(error),)


def _is_odd(refused: Refused) -> bool:
    """Whether its form, or its purpose, needs a waiver."""
    own = leaf_facts(refused.chain[0], refused.now)
    return any(isinstance(reason, _OF_THE_FORM) for reason in (*refused.reasons, *own))


def _waivers(refused: Refused) -> tuple[Waiver, ...]:
    """Those that it needs now, beside those that the policy has."""
    odd, until = _is_odd(refused), (refused.now + _FOR_NOW).date()
    trust = refused.settings.policy.trust
    held = trust.waive if isinstance(trust, ExactCertificate) else ()
    waivers = {one.what: one for one in held} if isinstance(held, tuple) else {}
    if odd:
        waivers.setdefault(FORM, Waive.MALFORMED("why", until=until))
    if any(isinstance(one, Expired) for one in _facts(refused.chain[0], refused, waived=odd)):
        waivers.setdefault(EXPIRY, Waive.EXPIRY("why", until=until))
    return tuple(waivers.values())


def is_waived(refused: Refused) -> bool:
    """Whether `exact_way` needs a waiver."""
    return bool(refused.chain) and bool(_waivers(refused))


def _store(refused: Refused, waivers: tuple[Waiver, ...]) -> tuple[Written, tuple[str, ...]]:
    """The store, and the files that it needs. A key's pin where there is nothing to waive."""
    base, der = refused.settings.policy.trust, refused.chain[0]
    said = base.acknowledge if isinstance(base, ExactCertificate) else None
    if isinstance(base, ExactCertificate) and base.certificate is not None:
        return written.exactly(written.file(base.certificate), waivers, said), ()
    if isinstance(base, ExactCertificate) and isinstance(base.pin, Pin) and base.pin.is_certificate:
        return written.exactly_pinned(base.pin, waivers, said), ()
    if not waivers and refused.settings.policy.client_certificate is None:
        return written.exactly_pinned(Pin.of_key(der), (), said), ()
    if _may_be_a_file(der, waivers):
        return written.exactly(written.beside("server.pem"), waivers, said), (COPIED,)
    return written.exactly_pinned(Pin.of_certificate(der), waivers, said), ()


def _may_be_a_file(der: bytes, waivers: tuple[Waiver, ...]) -> bool:
    try:
        ExactCertificate(ssl.DER_cert_to_PEM_cert(der), waive=waivers)
    except PolicyError:
        return False
    return True
