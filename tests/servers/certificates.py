"""Signs certificates of any shape, the wrong ones included.

trustme makes what a careful CA makes, and nothing else; what a test needs beyond that is signed
here, extension by extension.
"""

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Extension = tuple[x509.ExtensionType, bool]  # and whether it is critical
Dates = tuple[datetime.datetime, datetime.datetime]  # valid from, and until

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)

CURRENT = (NOW - DAY, NOW + 365 * DAY)
EXPIRED = (NOW - 395 * DAY, NOW - 30 * DAY)
NOT_YET_VALID = (NOW + 30 * DAY, NOW + 395 * DAY)


@dataclass(frozen=True)
class Issuer:
    """Who signs: a name, a key, and the key's identifier where the issuer's certificate has one."""

    name: x509.Name
    key: PrivateKey
    key_identifier: x509.SubjectKeyIdentifier | None

    @classmethod
    def from_pem(cls, certificate_pem: bytes, key_pem: bytes) -> "Issuer":
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
        assert isinstance(key, PrivateKey)
        ski = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return cls(certificate.subject, key, ski.value)


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def sign(
    subject: x509.Name,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    issuer: Issuer,
    extensions: Iterable[Extension] = (),
    dates: Dates = CURRENT,
) -> x509.Certificate:
    """A version 3 certificate with exactly the given extensions."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dates[0])
        .not_valid_after(dates[1])
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    is_ed25519 = isinstance(issuer.key, ed25519.Ed25519PrivateKey)
    return builder.sign(issuer.key, None if is_ed25519 else hashes.SHA256())


def san(names: Sequence[str]) -> list[Extension]:
    """subjectAltName for host names and IP addresses, as they are written; none for no names."""
    if not names:
        return []
    return [(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def identifiers(key: PrivateKey, issuer: Issuer) -> list[Extension]:
    """subjectKeyIdentifier, and authorityKeyIdentifier where the issuer has an identifier."""
    found: list[Extension] = [(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)]
    if issuer.key_identifier is not None:
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            issuer.key_identifier
        )
        found.append((authority, False))
    return found


def basic_constraints(*, ca: bool, critical: bool = True) -> Extension:
    return x509.BasicConstraints(ca=ca, path_length=None), critical


def key_usage(*, server: bool = False, ca: bool = False) -> Extension:
    """keyUsage of a server (digitalSignature), of a CA (keyCertSign and cRLSign), or of both."""
    return (
        x509.KeyUsage(
            digital_signature=server,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=ca,
            crl_sign=ca,
            encipher_only=False,
            decipher_only=False,
        ),
        True,
    )


def extended_key_usage(*, server: bool) -> Extension:
    """extendedKeyUsage serverAuth, or clientAuth only."""
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    return x509.ExtendedKeyUsage([usage]), False


def private_key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
