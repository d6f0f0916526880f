"""The verdict: what was negotiated and presented, against what the policy wants. No I/O.

`judge` is pure. `channel_of` is the only maker of `Verified`.
"""

from __future__ import annotations

import _ssl
import ssl
from typing import Any

from ..certificate import Certificate
from ..channel import _MAKER, TLS_HAS_ENDED, Channel, Plaintext, Verified, has_ended
from ..crl import CRL
from ..errors import CertificateRejected, PinMismatch, SelfSignedWarning, TLSError
from ..hosts import Host
from ..pins import Pin
from ..reasons import NotPinned
from ..report import TLSReport, Vouched
from ..trust.base import Peer, TrustStore, describe
from ..trust.exact import self_signed_warning
from ..trust.key_facts import weak_key
from ..values import Value
from .gate import GatedSocket

_NEVER_CHECKED = ("certificate transparency", "DANE")
_NOT_CHECKED = ("revocation", *_NEVER_CHECKED)


class Rules(Value, kw_only=True):
    """What a policy wants of a peer. `in_handshake`: OpenSSL verified the chain already;
    `names`: and the name; `strong`: and key sizes (its security level is 2 or more)."""

    trust: TrustStore
    pins: tuple[Pin, ...]
    in_handshake: bool
    names: bool
    strong: bool
    warnings: tuple[Warning, ...] = ()
    client_certificate: str | None = None  # the fingerprint of what is offered to the server
    crls: tuple[CRL, ...] = ()


class Negotiated(Value, kw_only=True):
    """What the handshake agreed on."""

    version: str
    cipher: str
    group: str | None
    resumed: bool


def judge(peer: Peer, found: Negotiated, rules: Rules) -> TLSReport:
    """The report, or `TLSError`, `CertificateRejected`, `PinMismatch` (with reasons, no text)."""
    _require_fresh(peer, found, rules)
    vouched = rules.trust.verify(peer) or _default(rules)
    identity = _identified_by(vouched, rules)
    chain = peer.verified or peer.presented[:1]
    pinned = _require_pin(chain, rules.pins)
    if rules.in_handshake and not rules.strong:
        _require_strong_keys(chain)
    return TLSReport(
        host=peer.host,
        version=found.version,
        cipher=found.cipher,
        group=found.group,
        chain=chain,
        trusted_by=vouched.by,
        identified_by=identity,
        pinned=pinned,
        waivers=vouched.waivers,
        client_certificate=rules.client_certificate,
        revocation=_lists(chain, rules.crls),
        not_checked=(*vouched.not_checked, *_left_out(rules.crls)),
        warnings=(*vouched.warnings, *rules.warnings, *_self_signed(peer, vouched, rules)),
    )


def _identified_by(vouched: Vouched, rules: Rules) -> str:
    """What was compared. OpenSSL compares the name where it is told to, and nothing else does."""
    by_openssl = rules.in_handshake and rules.names
    return vouched.identified_by or ("name" if by_openssl else "trust store")


def _lists(chain: tuple[bytes, ...], crls: tuple[CRL, ...]) -> str | None:
    """By which list OpenSSL found the leaf not to be revoked."""
    if not crls:
        return None
    issuer = Certificate(chain[0]).issuer
    due = max((f"{one.next_update:%Y-%m-%d}" for one in crls if one.is_of(issuer)), default="")
    return f"the server's certificate is not in the list of {issuer}, which is good until {due}"


def _left_out(crls: tuple[CRL, ...]) -> tuple[str, ...]:
    return ("revocation of the authorities", *_NEVER_CHECKED) if crls else _NOT_CHECKED


def _require_fresh(peer: Peer, found: Negotiated, rules: Rules) -> None:
    if found.resumed:
        # A resumed session skips verification completely, in every version of Python.
        raise TLSError("a resumed TLS session was not verified.", code="session-resumed")
    if not peer.presented or (rules.in_handshake and not peer.verified):
        raise CertificateRejected("the server presented no certificate that was verified.")


def _default(rules: Rules) -> Vouched:
    """For a store that answered None: allowed where OpenSSL did all the work."""
    if not (rules.in_handshake and rules.names):
        raise CertificateRejected(
            "the trust store turned verification off and did not say what it verified itself.",
            hint="Its verify(peer) must return a Vouched.",
        )
    return Vouched(describe(rules.trust))


def _require_pin(chain: tuple[bytes, ...], pins: tuple[Pin, ...]) -> str | None:
    """The pin that fits, anywhere in the chain that was verified. Never over what was sent."""
    for pin in pins:
        if any(pin.matches(der) for der in chain):
            return str(pin)
    if not pins:
        return None
    found = tuple(str(pins[0].like(der)) for der in chain)
    raise PinMismatch("", reasons=(NotPinned(tuple(map(str, pins)), found),), chain=chain)


def _require_strong_keys(chain: tuple[bytes, ...]) -> None:
    """Below security level 2 OpenSSL accepts keys that the policy does not."""
    reasons = tuple(reason for der in chain for reason in weak_key(Certificate(der)))
    if reasons:
        raise CertificateRejected("", reasons=reasons, chain=chain)


def _self_signed(peer: Peer, vouched: Vouched, rules: Rules) -> tuple[Warning, ...]:
    """A chain of one is a certificate that is its own anchor, in whatever store."""
    told = any(isinstance(warning, SelfSignedWarning) for warning in vouched.warnings)
    if told or vouched.acknowledged or peer.verified is None or len(peer.verified) != 1:
        return ()
    if not Certificate(next(iter(peer.verified))).is_self_signed:
        return ()
    return (self_signed_warning(peer, "revocation"),)


def peer_of(sock: Any) -> Peer:
    """What the TLS object under `sock` knows of the other side."""
    port, protocol = getattr(sock, "endpoint", None) or (None, None)
    checked = sock.context.verify_mode == ssl.CERT_REQUIRED
    return Peer(
        host=sock._sslobj.server_hostname,
        port=port,
        protocol=protocol,
        presented=_chain(sock._sslobj.get_unverified_chain),
        # Without verification OpenSSL's "verified" chain is a chain that nobody verified.
        verified=_chain(sock._sslobj.get_verified_chain) if checked else None,
    )


def negotiated(sock: Any) -> Negotiated:
    """What the TLS object under `sock` agreed on."""
    group = getattr(sock._sslobj, "group", None)  # Python 3.15
    return Negotiated(
        version=sock._sslobj.version() or "unknown",
        cipher=(sock._sslobj.cipher() or ("unknown",))[0],
        group=group() if group else None,
        resumed=bool(sock._sslobj.session_reused),
    )


def _chain(get: Any) -> tuple[bytes, ...]:
    # On the object below: SSLSocket has these two in public from Python 3.13 on only.
    return tuple(item.public_bytes(_ssl.ENCODING_DER) for item in get() or ())


def channel_of(sock: object, host: Host) -> Channel:
    """What may travel over `sock` now, whoever wrapped it. Asks the socket, not the caller."""
    if has_ended(sock):
        return Plaintext(TLS_HAS_ENDED)
    if isinstance(sock, GatedSocket):
        if sock.report is None:
            return Plaintext("the server was not verified")
        if sock.server_hostname not in (host.name, None):
            return Plaintext(f"the server was verified as {sock.server_hostname}, not {host.name}")
        return Verified(_MAKER, sock, sock.report)
    if isinstance(sock, ssl.SSLSocket):
        return _of_callers_context(sock, host)
    return Plaintext()


def _of_callers_context(sock: ssl.SSLSocket, host: Host) -> Channel:
    """A context that the caller made: the least that any secret needs, read from the socket."""
    objections = {
        "its context does not require certificates": sock.context.verify_mode == ssl.CERT_REQUIRED,
        "its context does not check host names": sock.context.check_hostname,
        "TLS is older than 1.2": sock.version() in ("TLSv1.2", "TLSv1.3"),
        "the session was resumed, and so not verified": not sock.session_reused,
        "no certificate was verified": bool(sock.getpeercert()),
        f"it was verified for another name than {host.name}": sock.server_hostname == host.name,
    }
    for why, is_met in objections.items():
        if not is_met:
            return Plaintext(f"TLS is there, but {why}")
    return Verified(_MAKER, sock, _callers_report(sock))


def _callers_report(sock: ssl.SSLSocket) -> TLSReport:
    peer, found = peer_of(sock), negotiated(sock)
    return TLSReport(
        host=peer.host,
        version=found.version,
        cipher=found.cipher,
        group=found.group,
        chain=peer.verified or (),
        trusted_by="the caller's context, not gated",
        identified_by="name",  # `channel_of` refuses a context that does not compare it
        not_checked=_NOT_CHECKED,
        gated=False,
    )
