"""Certificates signed in ways that no library signs them any more, or written otherwise than one
writes them: made properly first, then changed element by element and signed again.
"""

import base64
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from servers.certificates import PrivateKey
from servers.malformed import BIT_STRING, OCTET_STRING, SEQUENCE, tlv

# AlgorithmIdentifiers (RFC 3279, RFC 4055, RFC 5758), by the kind of the key and the hash.
_ALGORITHMS = {
    ("EC", "sha1"): bytes.fromhex("300906072a8648ce3d0401"),
    ("EC", "sha256"): bytes.fromhex("300a06082a8648ce3d040302"),
    ("RSA", "md5"): bytes.fromhex("300d06092a864886f70d0101040500"),
    ("RSA", "sha1"): bytes.fromhex("300d06092a864886f70d0101050500"),
    ("RSA", "sha256"): bytes.fromhex("300d06092a864886f70d01010b0500"),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),  # noqa: S303
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha256": hashes.SHA256(),
}
_RSASSA_PSS = bytes.fromhex("300b06092a864886f70d01010a")  # RFC 4055, 1.2: without parameters

# The parts of TBSCertificate (RFC 5280, 4.1), as a list.
Parts = list[bytes]


def signed_again(
    certificate: x509.Certificate,
    key: PrivateKey,
    hash_: str = "sha256",
    change: Callable[[Parts], Parts] = lambda parts: parts,
) -> x509.Certificate:
    """The same with another signature, by `key`, and with what `change` makes of its parts."""
    parts = list(_elements(_content(certificate.tbs_certificate_bytes)))
    algorithm = _ALGORITHMS["RSA" if isinstance(key, rsa.RSAPrivateKey) else "EC", hash_]
    parts[2] = algorithm
    signed = tlv(SEQUENCE, b"".join(change(parts)))
    signature = tlv(BIT_STRING, b"\x00" + _sign(key, signed, _HASHES[hash_]))
    return x509.load_der_x509_certificate(tlv(SEQUENCE, signed + algorithm + signature))


def version_1(parts: Parts) -> Parts:
    """Without version (the default is 1) and extensions."""
    return parts[1:7]


def with_key(public: bytes) -> Callable[[Parts], Parts]:
    """With that SubjectPublicKeyInfo."""
    return lambda parts: [*parts[:6], public, *parts[7:]]


def public(key: PrivateKey) -> bytes:
    """SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def pss_public(key: rsa.RSAPrivateKey) -> bytes:
    """SubjectPublicKeyInfo of a key for RSASSA-PSS alone (RFC 4055, 1.2)."""
    numbers = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.PKCS1
    )
    return tlv(SEQUENCE, _RSASSA_PSS + tlv(BIT_STRING, b"\x00" + numbers))


def pss_private(key: rsa.RSAPrivateKey) -> bytes:
    """PKCS #8 of the same."""
    numbers = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return tlv(SEQUENCE, b"\x02\x01\x00" + _RSASSA_PSS + tlv(OCTET_STRING, numbers))


def key_pem(der: bytes) -> bytes:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{text}-----END PRIVATE KEY-----\n".encode()


def _sign(key: PrivateKey, data: bytes, hash_: hashes.HashAlgorithm) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hash_)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(data, ec.ECDSA(hash_))


def _elements(data: bytes) -> Iterator[bytes]:
    while data:
        _, end = _bounds(data)
        yield data[:end]
        data = data[end:]


def _content(element: bytes) -> bytes:
    start, end = _bounds(element)
    return element[start:end]


def _bounds(data: bytes) -> tuple[int, int]:
    """Where the content of the first element begins and ends (X.690, 8.1.3)."""
    if data[1] < 0x80:
        return 2, 2 + data[1]
    start = 2 + (data[1] & 0x7F)
    return start, start + int.from_bytes(data[2:start], "big")
