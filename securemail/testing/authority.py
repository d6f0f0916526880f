"""A throw-away certificate authority, and the good and bad server certificates it hands out."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Literal

import trustme

from .certificates import MAKERS, WRONG_NAME, Made

__all__ = ["Authority", "CertificateKind", "DEFAULT_NAMES", "WRONG_NAME"]

CertificateKind = Literal[
    "good",
    "expired",
    "wrong_name",
    "self_signed",
    "not_yet_valid",
    "unknown_ca",
    "no_san",
    "client_only",
    "rsa",
    "weak_key",
    "sha1_signature",
    "intermediate",
    "missing_intermediate",
]

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
#: At OpenSSL's usual security level a server cannot even load these.
_WEAK: frozenset[CertificateKind] = frozenset({"weak_key", "sha1_signature"})


class Authority:
    """A CA that lives as long as this object. Keys are on P-256, which are quick to make.

    One certificate is made for each kind and set of names, so :meth:`certificate_pem` tells what a
    server with the context of the same arguments shows.
    """

    def __init__(self) -> None:
        self._ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._leaves: dict[tuple[CertificateKind, tuple[str, ...]], Made] = {}

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
        key, certificate, chain = self._leaf(kind, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if kind in _WEAK:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        # The ssl module reads certificates from files only (bpo-16487); the folder is private.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "server.pem")
            path.write_bytes(key + certificate + chain)
            context.load_cert_chain(path)
        return context

    def certificate_pem(self, kind: CertificateKind = "good", *names: str) -> bytes:
        """The certificate that :meth:`context_for` presents, for pins and exact trust."""
        return self._leaf(kind, names)[1]

    def certificate_der(self, kind: CertificateKind = "good", *names: str) -> bytes:
        """The same in DER, for fingerprints."""
        return ssl.PEM_cert_to_DER_cert(self.certificate_pem(kind, *names).decode("ascii"))

    def _leaf(self, kind: CertificateKind, names: tuple[str, ...]) -> Made:
        """The key, the certificate and what is sent after it in PEM, made on first use."""
        names = names or DEFAULT_NAMES
        if (kind, names) not in self._leaves:
            if kind not in MAKERS:
                raise ValueError(f"certificate kind {kind!r}: expected one of {', '.join(MAKERS)}")
            self._leaves[kind, names] = MAKERS[kind](self._ca, names)
        return self._leaves[kind, names]
