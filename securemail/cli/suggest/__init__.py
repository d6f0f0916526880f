"""From a refusal to what would accept that server: the policy's lines, and what to do first. Pure.

`stricter` is the other direction: whether an accepted server would be accepted under a stricter
policy. It connects again; nothing else here does.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from ...pins import Pin, fingerprint
from ...policy_file import ServerSettings
from ...reasons import NameMismatch, NotStrict
from ...trust.exact import ExactCertificate
from ...trust.first_use import FirstUseTrust
from ..other_way import other_way
from ..visit import Outcome
from . import ways
from .administrator import sentences
from .exact import is_waived
from .found import Comparison, Refused, Suggestion, Way
from .nothing import provider_in_the_way, why_nothing

_BY_KEY = (
    "Only if what you compared was equal, and the server is your own. A public provider has no "
    "such certificate: there, somebody is in between."
)
_LASTS = (
    "Until its day, and with a warning each time: a waiver is for the time until the server has "
    'another certificate. Put your reason in the place of "why".'
)
_NAME = (
    "Whoever answered chose the name: only if you know {} for a name of your server. Otherwise "
    "somebody else has answered."
)
_STRICT = "Chain, name and dates are checked as ever. Better is a new authority."
_LEGACY = (
    "Whoever records such a connection, and gets at the server's key later, can read it. Put your "
    'reason in the place of "why". If it is refused then too, nothing here accepts it.'
)
_CLIENT = "The certificate is shown to this server, once it is verified; its key stays here."
_OLDER = "TLS 1.2 is the least that is ever taken."
_ELSEWHERE = "Nobody has looked yet whether the server is there, and whether it is accepted."

_NO_ONE_WAY = "No one setting accepts all of that. What can be mended must be mended first."
_MOST_NAMES = 10


def suggestion_for(refused: Refused) -> Suggestion:
    """What would accept the server that was refused, or why nothing does."""
    found, warning = _of_certificate(refused) if refused.reasons else _of_tls(refused)
    return Suggestion(
        facts=_facts(refused),
        compare=_comparison(refused) if found and not _vouched_for(refused) else None,
        ways=found,
        warning=warning if found else "",
        none="" if found else why_nothing(refused) or _NO_ONE_WAY,
        administrator=() if provider_in_the_way(refused) else sentences(refused),
    )


def refused_of(outcome: Outcome, settings: ServerSettings) -> Refused:
    """What there is to judge of a visit that failed."""
    assert outcome.error is not None
    return Refused(
        place=outcome.place,
        settings=settings,
        error=outcome.error,
        chain=outcome.chain,
        now=datetime.now(UTC),
    )


def _facts(refused: Refused) -> tuple[str, ...]:
    if refused.reasons:
        return tuple(f"the certificate {reason}" for reason in refused.reasons)
    return (refused.error.message.rstrip("\n"),)


def _of_certificate(refused: Refused) -> tuple[tuple[Way, ...], str]:
    if why_nothing(refused):
        return (), ""
    return ways.ways_of(refused), _warning(refused)


def _vouched_for(refused: Refused) -> bool:
    """Whether an authority still has to vouch for the server, on the way that is suggested."""
    return refused.kinds == {NotStrict} or bool(_names(refused))


def _names(refused: Refused) -> tuple[str, ...]:
    """Of the certificate, where it is its name alone that does not fit."""
    alone = refused.kinds == {NameMismatch}
    found = next((one for one in refused.reasons if isinstance(one, NameMismatch)), None)
    return ways.usable_names(found.names) if found and alone else ()


def _comparison(refused: Refused) -> Comparison | None:
    if not refused.chain:
        return None
    try:
        pin = str(Pin.of_key(refused.chain[0]))
    except ValueError:  # it cannot be read; but it can be compared
        pin = None
    return Comparison(fingerprint=fingerprint(refused.chain[0]), pin=pin)


def _warning(refused: Refused) -> str:
    if refused.kinds == {NotStrict}:
        return _STRICT
    if names := _names(refused):
        return _NAME.format(" or ".join(map(repr, names[:_MOST_NAMES])))
    lasts = f" {_LASTS}" * is_waived(refused)
    crls = " Revocation is not looked up then." * bool(refused.settings.policy.crls)
    return _BY_KEY + lasts + crls


def _of_tls(refused: Refused) -> tuple[tuple[Way, ...], str]:
    """What the handshake did not get to, or not past."""
    code, policy = refused.error.code, refused.settings.policy
    if code in ("no-common-cipher", "weak-dh") and policy.legacy_ciphers is None:
        return (ways.legacy(refused),), _LEGACY
    if code == "tls-too-old" and policy.minimum_version == ssl.TLSVersion.TLSv1_3:
        return (ways.older(refused),), _OLDER
    if code == "client-certificate-wanted" and _may_show_its_own(refused):
        return (ways.with_own_certificate(refused),), _CLIENT
    if other := other_way(refused.place, code):
        return (ways.elsewhere(refused, other),), _ELSEWHERE
    return (), ""


def _may_show_its_own(refused: Refused) -> bool:
    """Not to servers that OpenSSL cannot verify: those of a file, and malformed ones."""
    trust = refused.settings.policy.trust
    waived = isinstance(trust, ExactCertificate) and bool(trust.waive)
    return not (waived or isinstance(trust, FirstUseTrust))
