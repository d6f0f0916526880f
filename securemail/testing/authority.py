"""A throw-away certificate authority, and the good and bad server certificates it hands out."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CertificateKind = Literal["good", "expired", "wrong_name", "self_signed"]

#: Names that a certificate is made out to when the caller names none. The ``example.org`` ones
#: are for clients that connect to loopback and verify another name.
DEFAULT_NAMES = (
    "localhost",
    "127.0.0.1",
    "::1",
    "mail.example.org",
    "imap.example.org",
    "pop3.example.org",
    "smtp.example.org",
)
WRONG_NAME = "another-host.example.net"
DAY = timedelta(days=1)


class Authority:
    """A CA that lives as long as this object. Keys are on P-256, which are quick to make.

    One certificate is made for each kind and set of names, so :meth:`certificate_pem` tells what a
    server with the context of the same arguments shows.
    """

    def __init__(self) -> None:
        self._ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._leaves: dict[tuple[CertificateKind, tuple[str, ...]], tuple[bytes, bytes]] = {}

    @property
    def ca_pem(self) -> bytes:
        """The CA's certificate: what a client should trust."""
        return self._ca.cert_pem.bytes()

    def write_ca(self, path: str | os.PathLike[str]) -> None:
        """Write the CA's certificate to a file."""
        Path(path).write_bytes(self.ca_pem)

    def server_context(self, *names: str) -> ssl.SSLContext:
        """A server's context with a good certificate."""
        return self.context_for("good", *names)

    def context_for(self, kind: CertificateKind, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate of that kind."""
        key, certificate = self._leaf(kind, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # The ssl module reads certificates from files only (bpo-16487); the folder is private.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "server.pem")
            path.write_bytes(key + certificate)
            context.load_cert_chain(path)
        return context

    def certificate_pem(self, kind: CertificateKind = "good", *names: str) -> bytes:
        """The certificate that :meth:`context_for` presents, for pins and exact trust."""
        return self._leaf(kind, names)[1]

    def certificate_der(self, kind: CertificateKind = "good", *names: str) -> bytes:
        """The same in DER, for fingerprints."""
        return ssl.PEM_cert_to_DER_cert(self.certificate_pem(kind, *names).decode("ascii"))

    def _leaf(self, kind: CertificateKind, names: tuple[str, ...]) -> tuple[bytes, bytes]:
        """The key and the certificate in PEM, made on first use."""
        names = names or DEFAULT_NAMES
        if (kind, names) not in self._leaves:
            if kind not in _MAKERS:
                raise ValueError(f"certificate kind {kind!r}: expected one of {', '.join(_MAKERS)}")
            self._leaves[kind, names] = _MAKERS[kind](self._ca, names)
        return self._leaves[kind, names]


def _good(ca: trustme.CA, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    # A week, not trustme's thousand years: what the demo prints should look like a certificate.
    now = datetime.now(UTC)
    return _issue(ca, names, now - DAY, now + 7 * DAY)


def _expired(ca: trustme.CA, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    now = datetime.now(UTC)
    return _issue(ca, names, now - 90 * DAY, now - DAY)


def _wrong_name(ca: trustme.CA, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    return _good(ca, (WRONG_NAME,))


def _issue(
    ca: trustme.CA, names: tuple[str, ...], not_before: datetime, not_after: datetime
) -> tuple[bytes, bytes]:
    leaf = ca.issue_cert(
        *names, not_before=not_before, not_after=not_after, key_type=trustme.KeyType.ECDSA
    )
    return leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()


def _self_signed(ca: trustme.CA, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Trustme has no self-signed leaf. Its fields are borrowed from a leaf that it did issue."""
    _, model_pem = _good(ca, names)
    model = x509.load_pem_x509_certificate(model_pem)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
        .add_extension(
            model.extensions.get_extension_for_class(x509.SubjectAlternativeName).value,
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem, certificate.public_bytes(Encoding.PEM)


_MAKERS: dict[str, Callable[[trustme.CA, tuple[str, ...]], tuple[bytes, bytes]]] = {
    "good": _good,
    "expired": _expired,
    "wrong_name": _wrong_name,
    "self_signed": _self_signed,
}
