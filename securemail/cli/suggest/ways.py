"""Which way accepts a certificate that was refused. Pure.

A way is there only if it accepts this server and no other one, or lets a check be done that failed
for want of a file. What is not looked at then is said in `Suggestion.warning`.
"""

from __future__ import annotations

import ssl
from datetime import timedelta

from ...certificate import Certificate
from ...client_certificate import ClientCertificate
from ...errors import PolicyError
from ...hosts import Host
from ...pins import Pin, fingerprint
from ...reasons import (
    Expired,
    Malformed,
    NameMismatch,
    NotKnown,
    NotStrict,
    Reason,
    UnknownIssuer,
    UntrustedRoot,
    WrongKeyUsage,
    WrongPurpose,
)
from ...trust.base import CAStore
from ...trust.exact import ExactCertificate
from ...trust.key_facts import leaf_facts, malformed
from ...trust.malformed import malformed_facts
from ...trust.waive import EXPIRY, FORM, Waive, Waiver
from ..visit import Place
from . import written
from .found import Refused, Way
from .written import Settings, Written

_FOR_NOW = timedelta(days=14)  # how long a waiver that is suggested lasts
_OF_THE_FORM = (Malformed, WrongPurpose, WrongKeyUsage)
_ISSUER = (UntrustedRoot, UnknownIssuer)
_COPIED = (
    "server.pem: the certificate, copied from the server itself, not from this connection, and "
    "not its private key"
)


def ways_of(refused: Refused) -> tuple[Way, ...]:
    """The most fitting first; empty where nothing of ours accepts it."""
    if refused.kinds == {NotKnown}:
        return (_learned(refused),)
    if refused.kinds == {NotStrict}:
        return (_tolerant(refused),)
    if refused.kinds == {NameMismatch} and (way := _other_name(refused)):
        return (way,)
    exact = exact_way(refused)
    others = (exact,) if exact else ()
    if len(refused.kinds) == 1 and isinstance(refused.reasons[0], _ISSUER):
        return (_authority(refused, refused.reasons[0]), *others)
    return others


def way(title: str, place: Place, settings: Settings, *needs: str) -> Way:
    """As it is written in both languages."""
    return Way(
        title=title,
        needs=needs,
        python=written.python(place, settings),
        toml=written.toml(place, settings),
    )


def _learned(refused: Refused) -> Way:
    reason = next(one for one in refused.reasons if isinstance(one, NotKnown))
    path = written.quoted(reason.file) if " " in reason.file else reason.file
    settings = written.settings_of(refused.settings)
    found = way("Learn its key, on a terminal; the policy stays as it is", refused.place, settings)
    command = f"securemail known learn {path} {refused.place.arguments}"
    return Way(title=found.title, command=command, python=found.python, toml=found.toml)


def _tolerant(refused: Refused) -> Way:
    settings = written.settings_of(refused.settings) | {"strict_x509": written.TOLERANT}
    return way("Tolerate the old authority", refused.place, settings)


def usable_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those that a host can have: whoever answered may have written anything there."""
    return tuple(name for name in names if "*" not in name and _is_host(name))


def _is_host(name: str) -> bool:
    try:
        return Host.parse(name).name == name.lower()
    except PolicyError:
        return False


def _other_name(refused: Refused) -> Way | None:
    reason = next(one for one in refused.reasons if isinstance(one, NameMismatch))
    names = usable_names(reason.names)
    if not names:
        return None
    settings = written.settings_of(refused.settings)
    settings["server_hostname"] = written.same(names[0])
    return way(
        "Ask for the name that the certificate is for, or connect to that host",
        refused.place,
        settings,
    )


def _authority(refused: Refused, reason: Reason) -> Way:
    settings = written.settings_of(refused.settings)
    held = settings.get("trust", written.store(None))
    name = "other-ca.pem" if '/ca.pem"' in held.toml else "ca.pem"
    settings["trust"] = written.joined(held, written.authorities(written.beside(name)))
    needs = f"{name}: the certificate of {_issuer(reason)}, from its owner"
    if root := _root(refused.chain, reason):
        needs += (
            f"; its SHA-256 fingerprint must be the owner's own (this connection showed one with "
            f"{fingerprint(root)})"
        )
    return way("Believe its authority, if you know it", refused.place, settings, needs)


def _issuer(reason: Reason) -> str:
    return repr(reason.root if isinstance(reason, UntrustedRoot) else getattr(reason, "issuer", ""))


def _root(chain: tuple[bytes, ...], reason: Reason) -> bytes | None:
    """The authority's certificate, where the server sent it."""
    if not isinstance(reason, UntrustedRoot):
        return None
    subjects = {Certificate(der).subject: der for der in chain[1:]}
    return subjects.get(reason.root)


# -- exactly this certificate


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
    if "client_certificate" in settings and not needs:
        return None  # it is shown only to servers that OpenSSL verified
    title = "Believe exactly this certificate, until a day" if waivers else "Believe its key alone"
    if not waivers and needs:
        title = "Believe exactly this certificate"
    if isinstance(base, CAStore) and "strict_x509" not in settings and NotStrict in refused.kinds:
        settings["strict_x509"] = written.TOLERANT
    settings["trust"] = trust
    return way(title, refused.place, settings, *needs)


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
        return written.exactly(written.beside("server.pem"), waivers, said), (_COPIED,)
    return written.exactly_pinned(Pin.of_certificate(der), waivers, said), ()


def _may_be_a_file(der: bytes, waivers: tuple[Waiver, ...]) -> bool:
    try:
        ExactCertificate(ssl.DER_cert_to_PEM_cert(der), waive=waivers)
    except PolicyError:
        return False
    return True


# -- what is not about the certificate


def legacy(refused: Refused) -> Way:
    settings = written.settings_of(refused.settings) | {"legacy_ciphers": written.same("why")}
    return way("Allow cipher suites without forward secrecy", refused.place, settings)


def older(refused: Refused) -> Way:
    settings = written.settings_of(refused.settings)
    settings.pop("minimum_version", None)
    return way("Take TLS 1.2 as well, if it has that", refused.place, settings)


def with_own_certificate(refused: Refused) -> Way:
    settings = written.settings_of(refused.settings)
    settings["client_certificate"] = Written(
        f"{ClientCertificate.__name__}({written.quoted('me.pem')}, {written.quoted('me.key')})",
        '{ certificate = "me.pem", key = "me.key" }',
    )
    needs = ["me.pem and me.key: your own certificate and its key, from the server's administrator"]
    trust = refused.settings.policy.trust
    if isinstance(trust, ExactCertificate) and trust.certificate is None:
        # It is shown only to servers that OpenSSL verified, and it cannot by a pin.
        settings["trust"] = written.exactly(written.beside("server.pem"), (), trust.acknowledge)
        needs.append(_COPIED)
    return way("Show it a certificate of your own", refused.place, settings, *needs)


def elsewhere(refused: Refused, other: Place) -> Way:
    """The policy file has no word for the way into a protocol: the program chooses it."""
    settings = written.settings_of(refused.settings)
    how = "with STARTTLS" if other.starttls else "with TLS from the first byte"
    return Way(
        title=f"Go there {how}, on port {other.port}",
        command=f"securemail check --suggest {other.arguments}",
        python=written.python(other, settings),
    )
