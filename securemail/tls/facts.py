"""All that is wrong with a chain, not only what OpenSSL met first. Pure.

The judgement is OpenSSL's: these facts explain a refusal, and never make an acceptance.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from ..certificate import Certificate
from ..crl import CRL
from ..reasons import (
    AuthorityUnfit,
    BadSignature,
    CommonNameOnly,
    CRLMissing,
    CRLStale,
    Expired,
    Malformed,
    NameMismatch,
    NotStrict,
    NotYetValid,
    Reason,
    Revoked,
    SelfSigned,
    Unexplained,
    UnknownIssuer,
    UntrustedRoot,
    WeakKey,
    WeakSignature,
    WrongKeyUsage,
    WrongPurpose,
)
from ..trust.base import Peer, describe
from ..trust.exact import ExactCertificate
from ..trust.key_facts import date_facts, key_facts, malformed, weak_key, weak_signature

# X509_V_ERR_… of OpenSSL 3 (x509_vfy.h), and the reasons that explain each.
_NO_ISSUER = (2, 20, 21, 27)
_FORM = (13, 14, 34, 41)  # dates that cannot be read, a critical extension nobody knows, ...
_NOT_A_CA = 79  # of a certificate that is its own anchor: its form; else somebody who may not issue
_OF_THE_CA = (80, 81, 83, 89, 92)  # rules that only a CA certificate can break
# Where nothing is wrong with the server's own: dates, path length, purpose, name constraints, key,
# signature, and one that is no authority.
_OF_AN_AUTHORITY = (9, 10, 25, 26, *range(47, 54), 67, 68, _NOT_A_CA)
_EXPLAINED_BY: dict[int, tuple[type[Reason], ...]] = {
    3: (CRLMissing,),
    7: (BadSignature,),
    9: (NotYetValid,),
    10: (Expired,),
    11: (CRLStale,),
    12: (CRLStale,),
    18: (SelfSigned,),
    19: (UntrustedRoot,),
    23: (Revoked,),
    26: (WrongPurpose, WrongKeyUsage),
    62: (NameMismatch, CommonNameOnly),
    64: (NameMismatch, CommonNameOnly),
    66: (WeakKey,),
    67: (WeakKey,),
    68: (WeakSignature,),
    **dict.fromkeys(_FORM, (Malformed,)),
    _NOT_A_CA: (Malformed,),
    **dict.fromkeys(_NO_ISSUER, (UnknownIssuer, BadSignature)),
    **dict.fromkeys(range(80, 95), (NotStrict,)),
}


def find_facts(
    peer: Peer,
    store: object,
    code: int,
    said: str,
    *,
    names: bool,
    now: datetime,
    crls: tuple[CRL, ...] = (),
) -> tuple[Reason, ...]:
    """Every reason why the chain that `peer` presented is refused. `code` and `said` are OpenSSL's
    (0 where OpenSSL was content); `names`: whether the policy checks names."""
    try:
        facts = _facts(peer, store, code, said, names, now)
        revocation = _revocation(peer, crls, code, now)
        reasons = tuple(dict.fromkeys((*facts, *revocation)))
    except ValueError as error:  # a certificate that cannot be read whole
        found = malformed(error)
        return (Malformed(f"{found.what}; OpenSSL says: {said}") if code else found,)
    wanted = _EXPLAINED_BY.get(code, ())
    if code and not any(isinstance(reason, wanted) for reason in reasons):
        of_authority = code in _OF_AN_AUTHORITY
        reasons += (AuthorityUnfit(said, code) if of_authority else Unexplained(code, said),)
    return reasons


def _facts(
    peer: Peer, store: object, code: int, said: str, names: bool, now: datetime
) -> Iterator[Reason]:
    chain = [Certificate(der) for der in peer.presented]
    if not chain:
        return
    yield from _path(chain, code, store)
    for certificate in chain[:1] + [one for one in chain[1:] if one.is_ca]:
        yield from date_facts(certificate.not_before, certificate.not_after, now)
    if names and peer.host is not None:
        yield from _name(chain[0], peer.host)
    yield from key_facts(chain[0])
    for certificate in chain[1:]:
        yield from weak_key(certificate)
    for certificate in chain:
        yield from weak_signature(certificate)
    is_own_anchor = isinstance(store, ExactCertificate) and len(chain) == 1
    if code in _FORM or (code == _NOT_A_CA and is_own_anchor):
        yield Malformed(said)
    if code in range(80, 95):
        yield NotStrict(said, _top(chain).issuer if code in _OF_THE_CA else chain[0].subject)


def _revocation(peer: Peer, crls: tuple[CRL, ...], code: int, now: datetime) -> Iterator[Reason]:
    """Of the leaf alone, as OpenSSL is asked to look."""
    if not (crls and peer.presented):
        return
    leaf = Certificate(peer.presented[0])
    lists = [crl for crl in crls if crl.is_of(leaf.issuer)]
    for crl in lists:
        if entry := crl.entry(leaf.parsed.serial_number):
            yield Revoked(leaf.subject, *entry)
    if code in (11, 12):
        yield CRLStale(leaf.issuer, next((crl.next_update for crl in lists), None), now)
    if code == 3:
        yield CRLMissing(leaf.issuer, tuple(crl.issuer for crl in crls))


def _path(chain: list[Certificate], code: int, store: object) -> Iterator[Reason]:
    """Whether, and where, the path to an anchor breaks. OpenSSL reports this before all else but
    a weak key (66), where it has not looked for a path yet."""
    for lower, upper in pairwise(chain):
        claims = lower.parsed.issuer == upper.parsed.subject
        if claims and not lower.is_signed_by(upper):
            yield BadSignature(lower.subject, lower.issuer)
    not_looked = code == 66 and not isinstance(store, ExactCertificate)
    if code == 18 or (not_looked and chain[0].is_self_signed):
        yield SelfSigned(chain[0].subject, chain[0].fingerprint)
    elif code == 19:
        root = next((one for one in reversed(chain) if one.is_self_issued), chain[-1])
        yield UntrustedRoot(root.subject, describe(store))
    elif code in _NO_ISSUER:
        yield UnknownIssuer(_top(chain).issuer, len(chain), describe(store))


def _top(chain: list[Certificate]) -> Certificate:
    """The end of the path that starts at the leaf; what else was sent does not belong to it."""
    top = chain[0]
    for upper in chain[1:]:
        if top.parsed.issuer == upper.parsed.subject and not top.is_self_issued:
            top = upper
    return top


def _name(leaf: Certificate, host: str) -> Iterator[Reason]:
    if not leaf.names:
        yield CommonNameOnly(host, leaf.common_name)
        return
    addresses = leaf.addresses
    named = [name for name in leaf.names if name not in addresses]
    if not (_is_among(addresses, host) if _is_address(host) else _is_named(named, host)):
        yield NameMismatch(host, (*map(_as_name, named), *addresses))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_among(addresses: tuple[str, ...], host: str) -> bool:
    wanted = ipaddress.ip_address(host)
    return any(ipaddress.ip_address(one) == wanted for one in addresses if _is_address(one))


def _is_named(names: list[str], host: str) -> bool:
    """RFC 9525, 6.3: whole labels; a wildcard stands for one whole left-most label, which OpenSSL
    takes of letters, digits and hyphens alone. A final dot in a certificate fits nobody: OpenSSL
    takes the names as they are."""
    label, _, parent = host.lower().partition(".")
    stands = "." in parent and re.fullmatch(r"[a-z0-9-]+", label)
    wanted = {host.lower(), *([f"*.{parent}"] if stands else [])}
    return any(name.lower() in wanted for name in names)


def _as_name(name: str) -> str:
    """As a message has it: an address that was entered as a name fits no address."""
    return f"{name} (as a name, not as an address)" if _is_address(name) else name
