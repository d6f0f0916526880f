"""What a failed handshake means, and what to do. Pure."""

from __future__ import annotations

from ..values import Value


class Known(Value):
    """What a failed handshake means, and what to do."""

    code: str
    message: str
    hint: str


_OLD = Known(
    "tls-too-old",
    "the server refused TLS 1.2 and 1.3; it probably knows only TLS 1.0 or 1.1, "
    "which RFC 8996 retired.",
    "Its administrator must enable TLS 1.2 or newer; no setting here goes lower.",
)
TOO_OLD_FOR_13 = Known(
    "tls-too-old",
    "the server refused TLS 1.3, the least that this policy takes; it may know TLS 1.2.",
    'Its administrator must enable TLS 1.3, or the policy take minimum_version="1.2".',
)
_NO_CIPHER = Known(
    "no-common-cipher",
    "the server and this policy have no cipher suite in common. (The server's alert may say SSLv3: "
    "that is only its old name.)",
    "The server should offer ECDHE with AES-GCM or ChaCha20. If it cannot be upgraded: "
    'TLSPolicy(legacy_ciphers="why").',
)
# As above, where the policy has `legacy_ciphers` already. Servers send the same alert for a missing
# curve or kind of signature, which no suite makes good.
NO_CIPHER_AT_ALL = Known(
    "no-common-cipher",
    "the server and this policy have no cipher suite in common, or no curve, or no kind of "
    "signature, though the policy has legacy_ciphers.",
    "No setting here helps. Its administrator must upgrade it: ECDHE (P-256 or X25519) with "
    "AES-GCM or ChaCha20, and signatures with SHA-256.",
)
_NAME = Known(
    "unrecognized-name",
    "the server does not know the name that it was asked for.",
    "Connect by a name that it knows, or keep the address and pass that name as server_hostname=. "
    "If the name is right, its administrator must add it to the server.",
)
_INTERNAL = Known(
    "tls",
    "the server ended the TLS handshake because of an internal error of its own.",
    "Perhaps it has no certificate for the name that it was asked for: try another name of it, by "
    "server_hostname=. Its log says more.",
)
_DENIED = Known(
    "tls",
    "the server ended the TLS handshake: access denied.",
    "Perhaps it wants a client certificate, another name (server_hostname=), or no connections "
    "from this address. Its log says more.",
)
_WEAK_DH = Known(
    "weak-dh",
    "the server uses Diffie-Hellman parameters that are too small.",
    "Its administrator must make new ones (2048 bits or more) or prefer ECDHE. Until then: "
    'TLSPolicy(legacy_ciphers="why"), which does without DHE.',
)
_CLIENT_CERTIFICATE = Known(
    "client-certificate-wanted",
    "the server demands a client certificate.",
    "If you were given one: TLSPolicy(client_certificate=ClientCertificate(...)). Otherwise ask "
    "its administrator for one, or for a port that takes a password alone.",
)
_REFUSED = Known(
    "client-certificate-refused",
    "the server does not accept the client certificate{which}{alert}.",
    "Ask its administrator which certificates it takes. Perhaps this one has expired, is from "
    "another authority, or comes without its intermediate certificate, which belongs into the same "
    "file, after it.",
)
_RENEGOTIATION = Known(
    "unsafe-renegotiation",
    "the server lacks secure renegotiation (RFC 5746), which every server has had since 2010.",
    "It must be upgraded; no setting here does without.",
)
_UNPROVED = Known(
    "key-unproved",
    "the server showed a certificate and could not prove that it has its key.",
    "Do not go on: somebody else may be showing it. Or the server was given a key that does not "
    "belong to its certificate; its administrator finds that in its log.",
)
_NOT_TLS = Known(
    "not-tls",
    "the other side does not speak TLS on this port.",
    "The port probably expects STARTTLS, or no TLS at all. TLS from the first byte is on port 465 "
    "(SMTP), 993 (IMAP) and 995 (POP3).",
)
CLOSED = Known(
    "handshake-closed",
    "the server ended the TLS handshake without a word.",
    "It may not speak TLS on this port, be overloaded, or have too many connections from this "
    "computer: look into its log.",
)
# Alerts about a client's certificate (RFC 8446, 6.2), in words.
_REFUSALS = {
    "TLSV1_ALERT_UNKNOWN_CA": "unknown certificate authority",
    "SSLV3_ALERT_BAD_CERTIFICATE": "bad certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "unsupported certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "certificate revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "certificate expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "certificate unknown",
}
# These are about it where there is one, and can have other causes.
_PERHAPS = {
    "TLSV1_ALERT_ACCESS_DENIED": "access denied",
    "TLSV1_ALERT_DECRYPT_ERROR": "a signature does not fit",
}
# By `ssl.SSLError.reason`, which is stable where the text is not.
HANDSHAKE = {
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "UNSUPPORTED_PROTOCOL": _OLD,
    "NO_PROTOCOLS_AVAILABLE": _OLD,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _NO_CIPHER,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _NO_CIPHER,
    "NO_SHARED_CIPHER": _NO_CIPHER,
    "WRONG_CIPHER_RETURNED": _NO_CIPHER,
    "TLSV1_UNRECOGNIZED_NAME": _NAME,
    "TLSV1_ALERT_INTERNAL_ERROR": _INTERNAL,
    "TLSV1_ALERT_ACCESS_DENIED": _DENIED,
    "DH_KEY_TOO_SMALL": _WEAK_DH,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _CLIENT_CERTIFICATE,
    **dict.fromkeys(_REFUSALS, _REFUSED),
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": _RENEGOTIATION,
    "BAD_SIGNATURE": _UNPROVED,
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
    "RECORD_LAYER_FAILURE": _NOT_TLS,
    "HTTP_REQUEST": _NOT_TLS,
    "UNEXPECTED_EOF_WHILE_READING": CLOSED,
}
# Of these, the ones that a greeting in clear causes.
NOT_TLS = tuple(reason for reason, known in HANDSHAKE.items() if known in (_NOT_TLS, CLOSED))


def known(reason: str, *, offered: str | None = None, presented: bool = False) -> Known | None:
    """What `reason` means, None where that is not known. `offered`: the fingerprint of the client
    certificate that we have; `presented`: the server had shown its own by then, so the suite was
    agreed on, and what it does not like is the client's."""
    found = HANDSHAKE.get(reason)
    if presented and reason == "SSLV3_ALERT_HANDSHAKE_FAILURE":
        found = _CLIENT_CERTIFICATE
    is_ours = found is _CLIENT_CERTIFICATE or reason in _PERHAPS
    if found is _REFUSED or (is_ours and offered is not None):
        return _refused(offered, _REFUSALS.get(reason) or _PERHAPS.get(reason))
    return found


def _refused(offered: str | None, alert: str | None) -> Known:
    """`offered` is None with a context of the caller's own: he knows which it was."""
    said = _REFUSED.message.format(
        which=f" {offered} that it was offered" if offered else "",
        alert=f" ({alert})" * bool(alert),
    )
    return Known(_REFUSED.code, said, _REFUSED.hint)
