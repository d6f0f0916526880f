"""Certificates whose form is wrong, as devices make them, written octet by octet: no library makes
them. All are self-signed for `mail.example.org`, and a server on OpenSSL shows them.
"""

import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

HOST = "mail.example.org"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
SAN, KEY_USAGE, CONSTRAINTS, PURPOSES, PRIVATE = (
    bytes.fromhex(text) for text in ("551d11", "551d0f", "551d13", "551d25", "2a03040506")
)


def tlv(tag: int, content: bytes) -> bytes:
    """One element of DER."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def extension(oid: bytes, value: bytes, *, critical: bool = False) -> bytes:
    flag = b"\x01\x01\xff" if critical else b""
    return tlv(SEQUENCE, tlv(OID, oid) + flag + tlv(OCTET_STRING, value))


NAMED = extension(SAN, tlv(SEQUENCE, tlv(0x82, HOST.encode())))
SIGNS_CERTIFICATES = extension(KEY_USAGE, bytes.fromhex("03020106"))
FOR_CLIENTS = extension(PURPOSES, bytes.fromhex("300a06082b06010505070302"))

# What each does otherwise than a good one; see `certificate`.
MALFORMED: dict[str, dict[str, Any]] = {
    "version 1, with extensions": {"version": 0},
    "version 4": {"version": 3},
    "an end without seconds": {"not_after": tlv(UTC_TIME, b"4901010000Z")},
    "an end with an offset": {"not_after": tlv(UTC_TIME, b"490101000000+0100")},
    "an end that is no time": {"not_after": tlv(UTC_TIME, b"never")},
    "a critical extension nobody knows": {
        "extensions": (NAMED, extension(PRIVATE, b"\x05\x00", critical=True))
    },
    "no purpose at all": {"extensions": (NAMED, extension(PURPOSES, tlv(SEQUENCE, b"")))},
    "for clients": {"extensions": (NAMED, FOR_CLIENTS)},
    "a key that signs certificates alone": {"extensions": (NAMED, SIGNS_CERTIFICATES)},
    "a path length of no authority": {
        "extensions": (NAMED, extension(CONSTRAINTS, bytes.fromhex("3003020101")))
    },
    "an address of three octets": {
        "extensions": (extension(SAN, tlv(SEQUENCE, tlv(0x87, b"\x7f\x00\x00"))),)
    },
}


@dataclass(frozen=True)
class Device:
    """A certificate and its key, in files."""

    der: bytes
    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        try:
            context.load_cert_chain(self.cert, self.key)
        except ssl.SSLError:  # OpenSSL 3.6 reads no dates in another form: no server of it has such
            pytest.skip("this OpenSSL shows no such certificate")
        return context


def device(folder: Path, *, key: PrivateKey | None = None, **otherwise: Any) -> Device:
    """With its files in `folder`. `otherwise`: as `certificate` takes it."""
    signs = key or _key()
    der = certificate(signs, **otherwise)
    written = Device(der, folder / "device.pem", folder / "device.key")
    written.cert.write_text(ssl.DER_cert_to_PEM_cert(der))
    written.key.write_bytes(
        signs.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return written


def certificate(
    key: PrivateKey,
    *,
    version: int = 2,
    not_before: bytes = tlv(UTC_TIME, b"200101000000Z"),
    not_after: bytes = tlv(UTC_TIME, b"490101000000Z"),
    extensions: tuple[bytes, ...] = (NAMED,),
) -> bytes:
    """RFC 5280, 4.1, one field after the other."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    algorithm = RSA_SHA256 if is_rsa else ECDSA_SHA256
    name = tlv(
        SEQUENCE,
        tlv(SET, tlv(SEQUENCE, bytes.fromhex("0603550403") + tlv(0x0C, b"device"))),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = tlv(
        SEQUENCE,
        (tlv(0xA0, tlv(INTEGER, bytes([version]))) if version else b"")
        + tlv(INTEGER, b"\x05")
        + algorithm
        + name
        + tlv(SEQUENCE, not_before + not_after)
        + name
        + public
        + tlv(0xA3, tlv(SEQUENCE, b"".join(extensions))),
    )
    return tlv(SEQUENCE, signed + algorithm + tlv(BIT_STRING, b"\x00" + _sign(key, signed)))


def _sign(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        from cryptography.hazmat.primitives.asymmetric import padding

        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
