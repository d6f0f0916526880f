"""From the handshake's exception to the error that is raised: the failed connection's own chain,
never a second, unverified connection."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

from ..errors import CertificateRejected, PinMismatch, PolicyError, SecureMailError, TLSError
from ..reasons import NotPinned
from ..trust.base import Peer, Store
from .explain import advise, say
from .facts import find_facts
from .handshake import CLOSED, NO_CIPHER_AT_ALL, TOO_OLD_FOR_13, Known, known
from .verify import Rules, peer_of


def refusal(sock: Any, error: BaseException, rules: Rules) -> BaseException:
    """The error to raise for `error`. What is not TLS (a reset, a time-out) stays as it is."""
    if isinstance(error, CertificateRejected):
        return _of_policy(_peer(sock), error, rules)
    if isinstance(error, ssl.SSLError) and hasattr(error, "reason"):  # else Python code raised it
        if isinstance(error, ssl.SSLCertVerificationError):
            return _of_openssl(_peer(sock), error, rules)
        return _of_tls(sock, _peer(sock), error, rules)
    if isinstance(error, PolicyError):
        # As a refusal: asyncio knows no other errors of a handshake, and would wait on.
        return CertificateRejected(
            error.message, code=error.code, hint=error.hint, **_where(_peer(sock))
        )
    is_other = isinstance(error, (OSError, SecureMailError)) and not isinstance(error, ssl.SSLError)
    if isinstance(error, Exception) and not is_other:
        # Whatever a store of somebody else raised is a refusal; asyncio knows only SSLError.
        return CertificateRejected(
            f"the trust store raised {type(error).__name__}: {error}.", **_where(_peer(sock))
        )
    return error


def _of_policy(peer: Peer, error: CertificateRejected, rules: Rules) -> CertificateRejected:
    """OpenSSL was content, a store or a pin was not. An error with a text of its own keeps it."""
    message = error.message or say(error.reasons)
    hint = error.hint or advise(error.reasons, peer, rules.trust, rules.pins)
    code = error.reasons[0].code if error.reasons else error.code
    return type(error)(
        message,
        code=code,
        hint=hint,
        reasons=error.reasons,
        chain=peer.presented,
        **error.particulars(),
        **_where(peer),
    )


def _of_openssl(
    peer: Peer, error: ssl.SSLCertVerificationError, rules: Rules
) -> CertificateRejected:
    own = rules.trust.objections(peer) if isinstance(rules.trust, Store) else ()
    facts = find_facts(
        peer,
        rules.trust,
        error.verify_code,
        error.verify_message,
        names=rules.names,
        now=datetime.now(UTC),
        crls=rules.crls,
    )
    reasons = (*own, *facts)
    pinned = any(isinstance(reason, NotPinned) for reason in own)
    return (PinMismatch if pinned else CertificateRejected)(
        say(reasons),
        code=reasons[0].code,
        hint=advise(reasons, peer, rules.trust, rules.pins),
        reasons=reasons,
        chain=peer.presented,
        verify_code=error.verify_code,
        **_where(peer),
    )


def _of_tls(sock: Any, peer: Peer, error: ssl.SSLError, rules: Rules) -> TLSError:
    meaning = known(
        error.reason or "", offered=rules.client_certificate, presented=bool(peer.presented)
    )
    least = sock.context.minimum_version
    if meaning and meaning.code == TOO_OLD_FOR_13.code and least == ssl.TLSVersion.TLSv1_3:
        meaning = TOO_OLD_FOR_13
    if meaning and meaning.code == NO_CIPHER_AT_ALL.code and not rules.strong:
        meaning = NO_CIPHER_AT_ALL
    return _say(error, meaning, _where(peer))


def tls_error(error: ssl.SSLError, where: dict[str, Any], offered: str | None = None) -> TLSError:
    """For an error on a connection that was verified: a TLS 1.3 server looks at its client after
    the handshake. `where`: the details of a `SecureMailError`; `offered`: `TLSReport` has it."""
    return _say(error, known(error.reason or "", offered=offered), where)


def refused_by_its_own(
    error: ssl.SSLCertVerificationError, where: dict[str, Any]
) -> CertificateRejected:
    """For the refusal of a context of the caller's own, by a socket that a subclass brought."""
    return CertificateRejected(
        f"the server's certificate was refused by the program's own TLS context: "
        f"{error.verify_message} (code {error.verify_code}).",
        verify_code=error.verify_code,
        hint="Nothing was sent. securemail check HOST says what is wrong with it.",
        **where,
    )


def _say(error: ssl.SSLError, meaning: Known | None, where: dict[str, Any]) -> TLSError:
    if isinstance(error, TLSError):
        return error
    if meaning is None and isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        meaning = CLOSED
    if meaning is None:
        meaning = Known("tls", f"TLS failed: {error}.", "The server's log may say more.")
    found = TLSError(meaning.message, code=meaning.code, hint=meaning.hint, **where)
    found.reason = error.reason or ""
    return found


def _where(peer: Peer) -> dict[str, Any]:
    return {
        "host": peer.host,
        "port": peer.port,
        "protocol": peer.protocol,
        "credentials_sent": False,
    }


def _peer(sock: Any) -> Peer:
    """The peer as far as it is known. OpenSSL keeps the chain of a failed handshake; should a
    version not, there is the code alone."""
    try:
        return peer_of(sock)
    except (AttributeError, ValueError, ssl.SSLError):
        port, protocol = sock.endpoint or (None, None)
        return Peer(host=getattr(sock, "server_hostname", None), port=port, protocol=protocol)


class _CallersContext(Store):
    """Stands for the trust of a context that the caller made."""

    def describe(self) -> str:
        return "the caller's own context"


CALLERS_RULES = Rules(trust=_CallersContext(), pins=(), in_handshake=True, names=True, strong=True)
