"""Server certificates that are good, and bad in one way each, by an authority of trustme's.

Each maker gives the key, the certificate, and what is sent after it, in PEM.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

WRONG_NAME = "another-host.example.net"
DAY = timedelta(days=1)

Names = tuple[str, ...]
Made = tuple[bytes, bytes, bytes]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def good(ca: trustme.CA, names: Names) -> Made:
    # A week, not trustme's thousand years: what the demo prints should look like a certificate.
    now = datetime.now(UTC)
    return _issue(ca, names, now - DAY, now + 7 * DAY)


def expired(ca: trustme.CA, names: Names) -> Made:
    now = datetime.now(UTC)
    return _issue(ca, names, now - 90 * DAY, now - DAY)


def not_yet_valid(ca: trustme.CA, names: Names) -> Made:
    now = datetime.now(UTC)
    return _issue(ca, names, now + DAY, now + 7 * DAY)


def wrong_name(ca: trustme.CA, names: Names) -> Made:
    return good(ca, (WRONG_NAME,))


def unknown_ca(ca: trustme.CA, names: Names) -> Made:
    """By an authority of the same name, which nobody trusts."""
    return good(trustme.CA(key_type=trustme.KeyType.ECDSA), names)


def intermediate(ca: trustme.CA, names: Names) -> Made:
    """Good: signed by an intermediate authority, which is sent along."""
    now = datetime.now(UTC)
    leaf = ca.create_child_ca(key_type=trustme.KeyType.ECDSA).issue_cert(
        *names, not_before=now - DAY, not_after=now + 7 * DAY, key_type=trustme.KeyType.ECDSA
    )
    certificate, *chain = (each.bytes() for each in leaf.cert_chain_pems)
    return leaf.private_key_pem.bytes(), certificate, b"".join(chain)


def missing_intermediate(ca: trustme.CA, names: Names) -> Made:
    key, certificate, _ = intermediate(ca, names)
    return key, certificate, b""


def _issue(ca: trustme.CA, names: Names, not_before: datetime, not_after: datetime) -> Made:
    leaf = ca.issue_cert(
        *names, not_before=not_before, not_after=not_after, key_type=trustme.KeyType.ECDSA
    )
    return leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes(), b""


# -- what trustme does not make


def rsa_key(ca: trustme.CA, names: Names) -> Made:
    """Good, with an RSA key of 2048 bits, for ciphers that need one."""
    return _built(ca, names, key=_rsa(2048))


def weak_key(ca: trustme.CA, names: Names) -> Made:
    """RSA with 1024 bits; 2048 are the least today (RFC 9325 4.5)."""
    return _built(ca, names, key=_rsa(1024))


def sha1_signature(ca: trustme.CA, names: Names) -> Made:
    """RFC 8446 4.2.3: SHA-1 is not to be signed with. cryptography does not, for certificates."""
    key, good_pem, chain = _built(ca, names)
    certificate = x509.load_pem_x509_certificate(good_pem)
    _, signer = _signer(ca)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    body = _content(certificate.tbs_certificate_bytes).replace(_WITH_SHA256, _WITH_SHA1, 1)
    to_be_signed = _der(0x30, body)
    signature = signer.sign(to_be_signed, ec.ECDSA(hashes.SHA1()))  # noqa: S303
    whole = _der(0x30, to_be_signed + _WITH_SHA1 + _der(0x03, b"\0" + signature))
    return key, ssl.DER_cert_to_PEM_cert(whole).encode("ascii"), chain


# ecdsa-with-SHA256 (RFC 5758 3.2) and ecdsa-with-SHA1 (RFC 3279 2.2.3), as AlgorithmIdentifier.
_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_WITH_SHA1 = bytes.fromhex("300906072a8648ce3d0401")


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _content(der: bytes) -> bytes:
    """What is within the outermost tag and length."""
    return der[2 + (der[1] & 0x7F if der[1] & 0x80 else 0) :]


def no_san(ca: trustme.CA, names: Names) -> Made:
    """A common name alone, which is not to be looked at (RFC 9525 2)."""
    return _built(ca, (), common_name=names[0])


def client_only(ca: trustme.CA, names: Names) -> Made:
    """For clients, by its extended key usage (RFC 5280 4.2.1.12)."""
    return _built(ca, names, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)


def self_signed(ca: trustme.CA, names: Names) -> Made:
    return _built(None, names)


def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _built(
    ca: trustme.CA | None,
    names: Names,
    *,
    key: PrivateKey | None = None,
    common_name: str | None = None,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> Made:
    """Good but for what is asked; without a CA, signed by its own key."""
    own: PrivateKey = key or ec.generate_private_key(ec.SECP256R1())
    subject = _name(common_name or names[0])
    issuer, signer = (subject, own) if ca is None else _signer(ca)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 7 * DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
    )
    if ca is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if names:
        builder = builder.add_extension(_alternative_names(names), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    key_pem = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem, certificate.public_bytes(Encoding.PEM), b""


def _signer(ca: trustme.CA) -> tuple[x509.Name, PrivateKey]:
    certificate = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    key = load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return certificate.subject, key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative_name(name) for name in names])


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


MAKERS: dict[str, Callable[[trustme.CA, Names], Made]] = {
    "good": good,
    "expired": expired,
    "wrong_name": wrong_name,
    "self_signed": self_signed,
    "not_yet_valid": not_yet_valid,
    "unknown_ca": unknown_ca,
    "no_san": no_san,
    "client_only": client_only,
    "rsa": rsa_key,
    "weak_key": weak_key,
    "sha1_signature": sha1_signature,
    "intermediate": intermediate,
    "missing_intermediate": missing_intermediate,
}
