"""Why nothing is suggested: because nothing accepts it, or because nothing should. Pure."""

from __future__ import annotations

from typing import Any

from ...reasons import (
    BadSignature,
    CRLMissing,
    CRLStale,
    KeyChanged,
    NotPinned,
    NotYetValid,
    Reason,
    Revoked,
    Unexplained,
    WaiverEnded,
    WeakKey,
)
from ...trust.base import CAStore
from ...well_known import provider_of
from .exact import is_pinned, objections
from .found import Refused

# The deepest trouble first.
_NEVER: dict[type[Reason], str] = {
    Revoked: "its authority called the certificate back, perhaps because somebody has its key. "
    "The server needs a new key.",
    BadSignature: "an authority's name stands on the certificate, and that authority's key did "
    "not sign it. Somebody may have put it there. Look at what is between you and the server, and "
    "ask its administrator.",
    KeyChanged: "the server is known by another key. Only if its administrator confirms the new "
    "one, by another way than this connection: take the old one out with `securemail known "
    "remove`, and learn the new one.",
    NotPinned: "it is not the pinned key. Only if the server's administrator tells you that there "
    "is a new one, by another way than this connection, put his pin in the old one's place; "
    "do not copy it from here.",
    WaiverEnded: "the exception was to end on its day, and that has passed. The server needs the "
    "new certificate.",
    CRLMissing: "the policy asks for a revocation list of every authority, and has none of this "
    "one's. Download it from the authority, and add it to crls=.",
    CRLStale: "the authority's revocation list is too old to say anything. Download its newest one "
    "in its place.",
    Unexplained: "it is not known well enough what is wrong with it.",
}


def why_nothing(refused: Refused) -> str:
    """Empty where something may be suggested."""
    if refused.reasons:
        return _of_certificate(refused)
    if refused.error.code == "tls-too-old":
        return (
            "Nothing accepts it: TLS 1.0 and 1.1 can be broken (RFC 8996), and nothing here speaks "
            "them. The server must be upgraded."
        )
    return f"Nothing in a policy would help here. {refused.error.hint}".rstrip()


def _of_certificate(refused: Refused) -> str:
    policy = refused.settings.policy
    if provider := provider_in_the_way(refused):
        return (
            f"Nothing should accept it: {refused.place.host} is {provider}'s, whose servers have "
            "certificates of public authorities for their own names, and this is no such one. "
            "Look who is in between: a proxy or an antivirus program that reads along, a network "
            "that wants a sign-in first, an attacker. From another network it may be another "
            "certificate."
        )
    for kind, why in _NEVER.items():
        if kind in refused.kinds:
            return f"Nothing should accept it: {why}"
    if policy.pins and not _is_pinned(refused):
        return (
            "Nothing should accept it: none of the certificates that it sent has one of the pins "
            "of this policy. It may be another server, or somebody in between; if it is a new key, "
            "ask its administrator for the new pin."
        )
    if refused.chain and (left := objections(refused)):
        return f"Nothing accepts it, not even as an exact certificate: {_say(left)}"
    return ""


def provider_in_the_way(refused: Refused) -> str | None:
    """The provider in whose name another certificate was shown than its own."""
    if not refused.reasons or not isinstance(refused.settings.policy.trust, CAStore):
        return None
    return provider_of(refused.settings.server_hostname) or provider_of(refused.place.host)


def _is_pinned(refused: Refused) -> bool:
    """Perhaps only by what follows the server's own, which anybody may have sent: then a way by an
    authority keeps the pins, and there is no way by the certificate alone."""
    return any(is_pinned(refused, der) for der in refused.chain)


def _say(left: tuple[Reason, ...]) -> str:
    return " ".join(_why(reason) for reason in left)


def _why(reason: Any) -> str:
    if isinstance(reason, WeakKey):
        return (
            f"a {reason.bits}-bit {reason.kind} key can be computed by others, who could then "
            "answer in its name. The server needs a new key and certificate."
        )
    if isinstance(reason, NotYetValid):
        return (
            f"it {reason}. Check this computer's clock, which says {reason.now:%Y-%m-%d %H:%M} UTC;"
            " if that is right, wait for the day, or ask for another certificate."
        )
    return f"it {reason}. The server needs a new certificate."
