"""What the server's administrator should mend: one sentence to send for each thing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...certificate import Certificate
from ...reasons import (
    AuthorityUnfit,
    BadSignature,
    CommonNameOnly,
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
    UnknownIssuer,
    UntrustedRoot,
    WeakKey,
    WeakSignature,
    WrongKeyUsage,
    WrongPurpose,
)
from .found import Refused

_TELL = "please tell me the SHA-256 fingerprint of the certificate that it should show"


def sentences(refused: Refused) -> tuple[str, ...]:
    """In the order of the reasons."""
    address = refused.place.address
    found = [_SAY[type(one)](one, address, refused) for one in refused.reasons if type(one) in _SAY]
    if not refused.reasons and (said := _OF_TLS.get(refused.error.code)):
        found.append(said.format(address))
    return tuple(dict.fromkeys(found))


def _whose(refused: Refused, address: str, belongs: Callable[[Certificate], bool]) -> str:
    """Whose certificate it is about: the server's, or one of those that it sends with it."""
    try:
        if not refused.chain or belongs(Certificate(refused.chain[0])):
            return f"The certificate of {address}"
    except ValueError:
        return f"The certificate of {address}"
    return f"An authority's certificate that {address} sends with its own"


def _expired(reason: Any, address: str, refused: Refused) -> str:
    whose = _whose(refused, address, lambda leaf: leaf.not_after == reason.not_after)
    mend = "please renew it" if whose.startswith("The") else "please send the one that replaced it"
    return f"{whose} expired on {reason.not_after:%Y-%m-%d}; {mend}."


def _not_yet_valid(reason: Any, address: str, refused: Refused) -> str:
    whose = _whose(refused, address, lambda leaf: leaf.not_before == reason.not_before)
    return (
        f"{whose} is not valid before {reason.not_before:%Y-%m-%d}; my clock says "
        f"{reason.now:%Y-%m-%d}. Please check its dates."
    )


def _self_signed(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"The certificate of {address} is self-signed; {_TELL}, so that I can compare it, or get "
        "one from a certificate authority."
    )


def _untrusted_root(reason: Any, address: str, refused: Refused) -> str:
    return (
        f'The certificate of {address} comes from "{reason.root}", which my computer does not '
        "know; please give me that authority's certificate, or get one from a public authority."
    )


def _unknown_issuer(reason: Any, address: str, refused: Refused) -> str:
    sends = (
        "sends only its own certificate"
        if reason.sent == 1
        else f"sends {reason.sent} certificates, but not all that are needed"
    )
    return (
        f'The server {address} {sends}: please send the intermediate "{reason.issuer}" as well. If '
        "that is an authority of your own, please give me its certificate."
    )


def _authority_unfit(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"An authority above the certificate of {address} is refused by OpenSSL "
        f'("{reason.said}"); please send the current intermediate certificates, or get a '
        "certificate from an authority that may issue it."
    )


def _bad_signature(reason: Any, address: str, refused: Refused) -> str:
    return (
        f'The server {address} shows me a certificate in the name of "{reason.issuer}" that this '
        f"authority did not sign. Is that yours? If so it is damaged; {_TELL}."
    )


def _name(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"The certificate of {address} is for {', '.join(reason.names)}; people connect to "
        f"{reason.asked}; please get one that has this name in subjectAltName."
    )


def _common_name(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"The certificate of {address} has no subjectAltName, and programs do not read the common "
        f"name any more; please get one that has {reason.asked} in subjectAltName."
    )


def _weak_key(reason: Any, address: str, refused: Refused) -> str:
    whose = _whose(refused, address, lambda leaf: leaf.subject == reason.subject)
    key = f"key is {reason.bits}-bit {reason.kind}"
    if whose.startswith("The"):
        return (
            f"The server {address}: its {key}; please make a new one with at least "
            f"{reason.minimum} bits, and a certificate for it."
        )
    return (
        f"The authority of {address}, {reason.subject}: its {key}; please get a certificate from "
        f"one with at least {reason.minimum} bits."
    )


def _weak_signature(reason: Any, address: str, refused: Refused) -> str:
    whose = _whose(refused, address, lambda leaf: leaf.subject == reason.subject)
    return (
        f"{whose} is signed with {reason.algorithm.upper()}; please have it issued again, signed "
        "with SHA-256 or better."
    )


def _purpose(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"The certificate of {address} is not for servers: its extended key usage is "
        f"{', '.join(reason.purposes) or 'empty'}; please get one with serverAuth."
    )


def _key_usage(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"The certificate of {address} is not for TLS: its key usage is "
        f"{', '.join(reason.usages) or 'empty'}; please get one with digitalSignature."
    )


def _not_strict(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"The certificate of {address}, or its authority's, is not as RFC 5280 has it "
        f"({reason.what}; {reason.subject}), and Python 3.13 and newer refuse it; please make the "
        "authority and its certificates again with current software."
    )


def _malformed(reason: Any, address: str, refused: Refused) -> str:
    return (
        f"The certificate of {address} does not have the form of a certificate for TLS "
        f"({reason.what}); please make a new one with other software."
    )


def _revoked(reason: Any, address: str, refused: Refused) -> str:
    since = f" on {reason.since:%Y-%m-%d}" if reason.since else ""
    return (
        f"The certificate of {address} was revoked by its authority{since}; please make a new key "
        "and get a certificate for it."
    )


def _other_key(reason: Any, address: str, refused: Refused) -> str:
    return f"The server {address} shows another key than I know. Did you change it? If so, {_TELL}."


def _not_known(reason: Any, address: str, refused: Refused) -> str:
    return f"I use {address} for the first time; {_TELL}."


_SAY: dict[type[Reason], Callable[[Any, str, Refused], str]] = {
    Expired: _expired,
    NotYetValid: _not_yet_valid,
    SelfSigned: _self_signed,
    UntrustedRoot: _untrusted_root,
    UnknownIssuer: _unknown_issuer,
    AuthorityUnfit: _authority_unfit,
    BadSignature: _bad_signature,
    NameMismatch: _name,
    CommonNameOnly: _common_name,
    WeakKey: _weak_key,
    WeakSignature: _weak_signature,
    WrongPurpose: _purpose,
    WrongKeyUsage: _key_usage,
    NotStrict: _not_strict,
    Malformed: _malformed,
    Revoked: _revoked,
    NotPinned: _other_key,
    KeyChanged: _other_key,
    NotKnown: _not_known,
}
# By the code of an error that is not about a certificate; {} is host and port.
_OF_TLS = {
    "tls-too-old": "The server {} refuses TLS 1.2 and 1.3; please enable both.",
    "no-common-cipher": "The server {} has no current cipher suite; please enable ECDHE with "
    "AES-GCM or ChaCha20-Poly1305.",
    "weak-dh": "The server {} uses Diffie-Hellman parameters that are too small; please make new "
    "ones with 2048 bits or more, or prefer ECDHE.",
    "unsafe-renegotiation": "The server {} lacks secure renegotiation (RFC 5746); please upgrade "
    "its TLS library.",
    "starttls-not-offered": "The server {} does not offer STARTTLS; please enable it, or tell me "
    "the port that has TLS from the first byte.",
    "client-certificate-wanted": "The server {} demands a certificate of mine; please give me one, "
    "or tell me a port that takes a password alone.",
    "client-certificate-refused": "The server {} does not accept my certificate; please tell me "
    "which ones it takes.",
}
