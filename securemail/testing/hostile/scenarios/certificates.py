"""Certificates, and TLS, that a client must not take: who shows them may be anybody.

To each of the certificates any credential is a LEAK, and any word FOOLED. Over weak TLS both are
FOOLED: the right server is at the other end. Revocation is not among them.
"""

from __future__ import annotations

from ..scenario import Scenario

FAMILY = "certificates"

_KINDS = (
    ("expired", "expired", "ran out yesterday"),
    ("not-yet-valid", "not_yet_valid", "begins tomorrow"),
    ("wrong-name", "wrong_name", "is for another host"),
    ("self-signed", "self_signed", "is signed by its own key"),
    ("unknown-ca", "unknown_ca", "is by an authority of the right name that is not trusted"),
    ("missing-intermediate", "missing_intermediate", "comes without the one that signed it"),
    (
        "no-san",
        "no_san",
        "has but a common name, localhost (RFC 9525 2): connect to that",
    ),
    ("client-only", "client_only", "is for clients alone (RFC 5280 4.2.1.12)"),
    ("weak-key", "weak_key", "has an RSA key of 1024 bits"),
    ("sha1-signature", "sha1_signature", "is signed with SHA-1"),
)

_PROTOCOLS = (
    ("tls-1.0", "TLS 1.0 and nothing newer (RFC 8996)"),
    ("tls-1.1", "TLS 1.1 and nothing newer (RFC 8996)"),
    ("static-rsa", "ciphers without forward secrecy alone (RFC 9325 4.1)"),
    ("cbc", "ciphers with CBC and HMAC alone (RFC 9325 4.2)"),
)

SCENARIOS = (
    *(
        Scenario(
            name=name,
            family=FAMILY,
            says=f"a certificate that {what}",
            certificate=kind,
            may_get="nothing",
        )
        for name, kind, what in _KINDS
    ),
    *(
        Scenario(name=kind, family=FAMILY, says=f"a good certificate, and {what}", certificate=kind)
        for kind, what in _PROTOCOLS
    ),
)
