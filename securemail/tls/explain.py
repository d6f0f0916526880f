"""The next right step for each kind of refusal, in words. Pure.

A fingerprint only ever stands next to the advice to compare it by another way than this
connection: a hint must not be "paste this to make it go away".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

from ..pins import Pin
from ..reasons import (
    AuthorityUnfit,
    BadSignature,
    CommonNameOnly,
    CRLMissing,
    CRLStale,
    Expired,
    KeyChanged,
    Malformed,
    NameMismatch,
    NotKnown,
    NotPinned,
    NotStrict,
    NotYetValid,
    Reason,
    Revoked,
    SelfSigned,
    Unexplained,
    UnknownIssuer,
    UntrustedRoot,
    WaiverEnded,
    WeakKey,
    WeakSignature,
    WrongKeyUsage,
    WrongPurpose,
    say_names,
    say_some,
)
from ..trust.base import Peer
from ..trust.exact import ExactCertificate
from ..well_known import provider_of

_HOST_NAME = re.compile(r"[\w-]+(\.[\w-]+)*|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*[0-9a-fA-F:]", re.ASCII)
_YEARS = 2 * 365  # days; beyond, a wrong clock is likelier than a forgotten certificate
_ELSEWHERE = "From another network it may be another certificate."
_DEVICE = (
    "For a device of yours that cannot get another: "
    'ExactCertificate("server.pem", waive=Waive.MALFORMED("why", until=date)).'
)
_COMPARE = "compare its fingerprint with the server's own by another way than this connection"


def say(reasons: tuple[Reason, ...]) -> str:
    """The facts as one sentence."""
    clauses = (str(reasons[0]), *(f"it {reason}" for reason in reasons[1:]))
    return f"the server's certificate {say_some(clauses, '; ')}."


def advise(reasons: tuple[Reason, ...], peer: Peer, store: object, pins: tuple[Pin, ...]) -> str:
    """What to do about `reasons`, the deepest trouble first, one sentence or two for each."""
    found = {type(reason): reason for reason in reversed(reasons)}
    moot = {other for kind in found for other in _MOOT.get(kind, ())}
    said = [kind for kind in _ADVICE if kind in found and kind not in moot]
    hints = [_ADVICE[kind](found[kind], peer) for kind in said]
    if pins and (SelfSigned in found or UntrustedRoot in found or UnknownIssuer in found):
        hints.append("pins= only narrow what trust= accepts: they never admit a server.")
    if NotPinned in found and isinstance(store, ExactCertificate):
        hints.append(_kin_of_pinned(peer, store))
    return " ".join(dict.fromkeys(hint for hint in hints if hint))


def _self_signed(reason: Any, peer: Peer) -> str:
    if provider := provider_of(peer.host):
        return (
            f"{peer.host} is {provider}'s, whose servers have certificates of public authorities: "
            "this one is not theirs. Something on the way to them answers in their name: a proxy "
            "or an antivirus program that reads along, a network that wants a sign-in first, or an "
            f"attacker. Do not accept it. {_ELSEWHERE}"
        )
    return (
        f"If this is your own server, {_COMPARE}, and then use "
        f'TLSPolicy(trust=ExactCertificate(pin="{Pin.of_key(peer.presented[0])}")), the pin of the '
        "key presented here. If it is a public provider, somebody is intercepting the connection."
    )


def _untrusted_root(reason: Any, peer: Peer) -> str:
    if provider := provider_of(peer.host):
        return (
            f"{peer.host} is {provider}'s, and this authority is not one of those that vouch for "
            "it: a proxy or an antivirus program probably reads along. If your administrator put "
            "it there, he has its CA's certificate; whether your mail may be read by it is his "
            f"decision and yours. Otherwise do not go on. {_ELSEWHERE}"
        )
    return (
        "Get that CA's certificate from its owner, and use "
        'TLSPolicy(trust=SystemTrust() | CATrust("ca.pem")). If the server is a public provider, '
        "a proxy or an antivirus program is reading along: its CA is your administrator's decision."
    )


def _unknown_issuer(reason: Any, peer: Peer) -> str:
    if provider := provider_of(peer.host):
        return (
            f"{peer.host} is {provider}'s, whose servers send their intermediate certificates: "
            "more likely something on the way answers in their name, a proxy or an antivirus "
            f"program that reads along. {_ELSEWHERE} Or this computer's store of authorities is "
            "old: update it (on Debian the package ca-certificates)."
        )
    return (
        "One of two: the server must send its intermediate certificate (its administrator mends "
        'that), or its CA is a private one: then use TLSPolicy(trust=SystemTrust() | CATrust("ca.'
        'pem")). A single known server can be trusted by ExactCertificate("server.pem").'
    )


def _authority_unfit(reason: Any, peer: Peer) -> str:
    return (
        "Its administrator needs a certificate from an authority that may issue it, or must send "
        "the right intermediate certificates. A single known server can be trusted by "
        'ExactCertificate(pin=Pin.from_pem("server.pem")).'
    )


def _bad_signature(reason: Any, peer: Peer) -> str:
    return "Do not go on: somebody may be between you and the server. Tell its administrator."


def _not_pinned(reason: Any, peer: Peer) -> str:
    return (
        "If the server got a new key, ask its administrator for the new pin and compare; do not "
        "copy it from this message. If it did not, somebody is intercepting the connection."
    )


def _not_known(reason: Any, peer: Peer) -> str:
    server = reason.server.replace("://", " ", 1).split()
    starttls = " --starttls" if " with " in (peer.protocol or "") else ""
    command = (
        f"securemail known learn {shlex.quote(reason.file)} --{server[0]}{starttls} {server[1]}"
    )
    by_command = "" if server[0] == "lmtp" else f": {command}"
    return (
        "If this is your own server, compare the SHA-256 fingerprint with the server's own by "
        f"another way than this connection{by_command}; in Python: store.learn(error, "
        'fingerprint="AB:CD:..."), as its administrator says it. If it is a public provider, '
        "somebody is intercepting the connection."
    )


def _key_changed(reason: Any, peer: Peer) -> str:
    return (
        "Unless the server's administrator confirms the new fingerprint by another way than this "
        "connection, somebody is intercepting it. If he does: store.remove(...) in Python, or "
        "securemail known remove, takes the old key out, and the server can be learned again. A "
        "next key can be entered beforehand: store.expect(...)."
    )


def _name(reason: Any, peer: Peer) -> str:
    label, _, parent = reason.asked.partition(".")
    if "_" in label and f"*.{parent}".lower() in map(str.lower, reason.names):
        return (
            f"*.{parent} does not stand for a name with an underscore: connect by a name of the "
            "server without one, or pass it as server_hostname=."
        )
    name = next((one for one in reason.names if _can_be_asked_for(one)), None)
    if name is None:
        # RFC 9525, 6.3: one whole left-most label, and OpenSSL wants two more after it.
        usable = [one for one in reason.names if one.startswith("*.") and one.count(".") > 1]
        if not usable:
            return f"The server needs a certificate for {reason.asked!r}: no name fits this one."
        fits = say_names(tuple(usable))
        return f"If that is your server, connect by a name that fits {fits}."
    # Whoever answered chose the name: a hint to copy it must not be all.
    return (
        f"Only if you know {name!r} for a name of your server: connect to it, or keep the address "
        f"and pass server_hostname={name!r}. Otherwise somebody else has answered."
    )


def _can_be_asked_for(name: str) -> bool:
    """A host name or an address: no pattern, no final dot, nothing that reads as two names."""
    return _HOST_NAME.fullmatch(name) is not None


def _common_name(reason: Any, peer: Peer) -> str:
    return (
        "The server needs a certificate with a subjectAltName. Until then, for a server you know: "
        'TLSPolicy(trust=ExactCertificate("server.pem")).'
    )


def _expired(reason: Any, peer: Peer) -> str:
    hint = "The server needs a new certificate; tell its administrator."
    if reason.days > _YEARS:
        hint += f" Or this computer's clock is wrong: it says {reason.now:%Y-%m-%d}."
    return hint


def _not_yet_valid(reason: Any, peer: Peer) -> str:
    return f"Check this computer's clock: it says {reason.now:%Y-%m-%d %H:%M} UTC."


def _weak_key(reason: Any, peer: Peer) -> str:
    return "The server needs a new key and certificate; no setting here accepts this one."


def _weak_signature(reason: Any, peer: Peer) -> str:
    return "The CA must issue the certificate again, signed with SHA-256 or better."


def _purpose(reason: Any, peer: Peer) -> str:
    return f"The server needs a certificate that is made for TLS servers (serverAuth). {_DEVICE}"


def _key_usage(reason: Any, peer: Peer) -> str:
    return f"The server needs a certificate whose key usage has digitalSignature. {_DEVICE}"


def _malformed(reason: Any, peer: Peer) -> str:
    return f"The server needs a new certificate, made by other software. {_DEVICE}"


def _revoked(reason: Any, peer: Peer) -> str:
    return (
        "Do not go on: its key may be in other hands. The server needs a new key and certificate; "
        "tell its administrator."
    )


def _crl_missing(reason: Any, peer: Peer) -> str:
    return (
        "Add that authority's list to crls=. Servers of authorities that publish none need a "
        "policy without crls=."
    )


def _crl_stale(reason: Any, peer: Peer) -> str:
    return (
        "Download the authority's newest list in its place; if there is none, tell the authority. "
        f"Or this computer's clock is wrong: it says {reason.now:%Y-%m-%d}."
    )


def _not_strict(reason: Any, peer: Peer) -> str:
    return (
        "Python 3.12 and older accept this CA, Python 3.13 and newer do not. Best: make the CA "
        "again. Otherwise TLSPolicy(strict_x509=False): chain, name and dates are still checked."
    )


def _waiver_ended(reason: Any, peer: Peer) -> str:
    return "Install the new certificate, or give the waiver a new date if that is still right."


def _unexplained(reason: Any, peer: Peer) -> str:
    return (
        "Nothing more is known here: do not go on before the server's administrator can say what "
        "it is. He sees the same by: openssl s_client -verify_return_error -showcerts."
    )


# In the order in which they are said.
_ADVICE: dict[type[Reason], Callable[[Any, Peer], str]] = {
    NotPinned: _not_pinned,
    Revoked: _revoked,
    KeyChanged: _key_changed,
    NotKnown: _not_known,
    BadSignature: _bad_signature,
    AuthorityUnfit: _authority_unfit,
    SelfSigned: _self_signed,
    UntrustedRoot: _untrusted_root,
    UnknownIssuer: _unknown_issuer,
    NameMismatch: _name,
    CommonNameOnly: _common_name,
    WaiverEnded: _waiver_ended,
    Expired: _expired,
    NotYetValid: _not_yet_valid,
    WeakKey: _weak_key,
    WeakSignature: _weak_signature,
    WrongPurpose: _purpose,
    WrongKeyUsage: _key_usage,
    NotStrict: _not_strict,
    Malformed: _malformed,
    CRLMissing: _crl_missing,
    CRLStale: _crl_stale,
    Unexplained: _unexplained,
}
# Advice that would not help, or is not needed, beside the advice for another reason.
_MOOT: dict[type[Reason], tuple[type[Reason], ...]] = {
    NotPinned: (SelfSigned, UntrustedRoot, UnknownIssuer, NameMismatch, CommonNameOnly),
    SelfSigned: (NameMismatch, CommonNameOnly),  # an exact certificate needs no name
    **dict.fromkeys((WeakKey, WrongPurpose, WrongKeyUsage), (SelfSigned, NotStrict)),
    Malformed: (SelfSigned,),
}


def _kin_of_pinned(peer: Peer, store: ExactCertificate) -> str:
    """The one presented may be the pinned one renewed, or issued by it."""
    if not peer.presented or store.certificate is None:
        return ""
    try:
        return _kin(peer, store)
    except ValueError:  # one of the two is malformed
        return ""


def _kin(peer: Peer, store: ExactCertificate) -> str:
    key = store.key_pin()
    if key.matches(peer.presented[0]):
        return (
            "It carries the pinned certificate's key, so it may be its renewal: "
            f'ExactCertificate(pin="{key}") goes by the key and outlives renewals.'
        )
    if store.is_issuer_of(peer.presented[0]):
        return "The pinned certificate issued this one: to trust what it issues, use CATrust."
    return ""
