"""Which way accepts a certificate that was refused. Pure.

A way is there only if it accepts this server and no other one, or lets a check be done that failed
for want of a file. What is not looked at then is said in `Suggestion.warning`.
"""

from __future__ import annotations

import shlex

from ...certificate import Certificate
from ...client_certificate import ClientCertificate
from ...errors import PolicyError
from ...hosts import Host
from ...pins import fingerprint
from ...reasons import (
    NameMismatch,
    NotKnown,
    NotStrict,
    Reason,
    UnknownIssuer,
    UntrustedRoot,
)
from ...trust.exact import ExactCertificate
from ..visit import Place
from . import written
from .exact import COPIED, exact_way
from .found import Refused, Way
from .written import Written

_ISSUER = (UntrustedRoot, UnknownIssuer)


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


def _learned(refused: Refused) -> Way:
    reason = next(one for one in refused.reasons if isinstance(one, NotKnown))
    settings = written.settings_of(refused.settings)
    found = written.way(
        "Learn its key, on a terminal; the policy stays as it is", refused.place, settings
    )
    command = f"securemail known learn {shlex.quote(reason.file)} {refused.place.arguments}"
    return Way(title=found.title, command=command, python=found.python, toml=found.toml)


def _tolerant(refused: Refused) -> Way:
    settings = written.settings_of(refused.settings) | {"strict_x509": written.TOLERANT}
    return written.way("Tolerate the old authority", refused.place, settings)


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
    return written.way(
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
    return written.way("Believe its authority, if you know it", refused.place, settings, needs)


def _issuer(reason: Reason) -> str:
    return repr(reason.root if isinstance(reason, UntrustedRoot) else getattr(reason, "issuer", ""))


def _root(chain: tuple[bytes, ...], reason: Reason) -> bytes | None:
    """The authority's certificate, where the server sent it."""
    if not isinstance(reason, UntrustedRoot):
        return None
    subjects = {Certificate(der).subject: der for der in chain[1:]}
    return subjects.get(reason.root)


# -- what is not about the certificate


def legacy(refused: Refused) -> Way:
    settings = written.settings_of(refused.settings) | {"legacy_ciphers": written.same("why")}
    return written.way("Allow cipher suites without forward secrecy", refused.place, settings)


def older(refused: Refused) -> Way:
    settings = written.settings_of(refused.settings)
    settings.pop("minimum_version", None)
    return written.way("Take TLS 1.2 as well, if it has that", refused.place, settings)


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
        needs.append(COPIED)
    return written.way("Show it a certificate of your own", refused.place, settings, *needs)


def elsewhere(refused: Refused, other: Place) -> Way:
    """The policy file has no word for the way into a protocol: the program chooses it."""
    settings = written.settings_of(refused.settings)
    how = "with STARTTLS" if other.starttls else "with TLS from the first byte"
    return Way(
        title=f"Go there {how}, on port {other.port}",
        command=f"securemail check --suggest {other.arguments}",
        python=written.python(other, settings),
    )
