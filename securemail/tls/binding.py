"""Channel bindings: what ties a sign-in to this very TLS connection, or why there is nothing.

A SASL mechanism that is bound (SCRAM-...-PLUS) fails where somebody in between speaks TLS with
either side. A binding that the TLS version leaves undefined is none: it is never guessed.
"""

from __future__ import annotations

import hashlib
import ssl

from ..certificate import Certificate
from ..errors import PolicyError
from ..secret import Secret
from ..values import Value
from .exporter import ExportingSocket

WANTED = ("prefer", "require", "end-point", "never")

_FINISHED = 12  # octets of a Finished message in TLS 1.2: RFC 5246, 7.4.9


class Binding(Value):
    """A channel binding. `type`: its IANA name. `data`: its octets, which nothing shows."""

    type: str
    data: Secret


class NoBinding(Value):
    """There is none. `why`: a clause for an error's text."""

    why: str


def binding_of(sock: ssl.SSLSocket, wanted: str) -> Binding | NoBinding:
    """The binding of the verified connection `sock`, ours or of a context that the caller made.

    `wanted`: `TLSPolicy.channel_binding`. "prefer" and "require": tls-unique on TLS 1.2; on 1.3,
    for "require" alone, tls-exporter. "end-point": tls-server-end-point. "never": none.
    Whether its absence matters is for the caller to say. Asks the socket, and nobody else.
    """
    if wanted == "never":
        return NoBinding('the policy says channel_binding="never"')
    version = sock.version()
    if version not in ("TLSv1.2", "TLSv1.3"):
        return NoBinding("there is no TLS of version 1.2 or newer")
    if wanted == "end-point":
        return _end_point(sock.getpeercert(binary_form=True))
    if version == "TLSv1.2":
        return _unique(sock)
    if wanted != "require":
        return NoBinding('TLS 1.3 has tls-exporter only, which channel_binding="require" turns on')
    return _exporter(sock)


def _unique(sock: ssl.SSLSocket) -> Binding | NoBinding:
    """The first Finished message (RFC 5929, 3). On a resumed session it can be the same on two
    connections (RFC 7627, 1); on TLS 1.3 it is not defined, and Python answers all the same."""
    if sock.session_reused:
        return NoBinding("the TLS session was resumed, where tls-unique proves nothing")
    data = Secret(sock.get_channel_binding("tls-unique") or b"")
    if len(data.reveal()) != _FINISHED:
        return NoBinding("OpenSSL has no tls-unique for this connection")
    return Binding("tls-unique", data)


def _exporter(sock: ssl.SSLSocket) -> Binding | NoBinding:
    if not isinstance(sock, ExportingSocket):
        return NoBinding(
            "TLS 1.3 has tls-exporter only, which needs a TLS context that this library made for "
            "this one connection"
        )
    if sock.exported is None:
        return NoBinding(f"TLS 1.3 has tls-exporter only, and {sock.why}")
    return Binding("tls-exporter", sock.exported)


def _end_point(leaf: bytes | None) -> Binding | NoBinding:
    """The hash of the server's certificate, by the hash of its signature: RFC 5929, 4.1."""
    if not leaf:
        return NoBinding("the server showed no certificate")
    name = _signature_hash(leaf)
    if name in ("md5", "sha1"):
        name = "sha256"
    try:
        data = Secret(hashlib.new((name or "").replace("-", "_"), leaf).digest())
    except ValueError:
        return NoBinding(
            "the server's certificate is signed without a hash, or with one that is not known "
            f"({name or 'none'}), where tls-server-end-point is not defined"
        )
    return Binding("tls-server-end-point", data)


def _signature_hash(leaf: bytes) -> str | None:
    """None where the signature has no hash of its own (Ed25519), or is not known."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return Certificate(leaf).signature_hash
    except (PolicyError, ValueError, UnsupportedAlgorithm):
        return None
