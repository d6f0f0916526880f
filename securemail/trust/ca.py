"""Certificate authorities of one's own."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Hashable

from .. import pem
from ..certificate import Certificate
from ..errors import PolicyError
from ..files import fixed
from ..standard_ssl import scratch_context
from .base import CAStore


class CATrust(CAStore):
    """Believes the certificate authorities in `source`: a PEM (or DER) file, a directory of such
    files, or PEM text. Raises `PolicyError` for anything that is not a CA certificate."""

    source: pem.Source

    def _check(self) -> None:
        if not pem.is_pem(self.source):
            self._set("source", fixed(self.source))
        _require_authorities(self._ders(), self.source)

    def prepare(self, context: ssl.SSLContext) -> None:
        ders = self._ders()
        context.load_verify_locations(cadata=b"".join(ders))

    def content(self) -> Hashable:
        # The octets as they are: this is asked at every connection.
        return hashlib.sha256(b"".join(map(pem.read, self._files()))).digest()

    def describe(self) -> str:
        return f"CA certificates in {pem.name_of(self.source)}"

    def _ders(self) -> tuple[bytes, ...]:
        if self._is_directory():
            return _in_directory(self.source)
        return pem.certificates(self.source)

    def _files(self) -> list[pem.Source]:
        return [*_files_in(self.source)] if self._is_directory() else [self.source]

    def _is_directory(self) -> bool:
        return not pem.is_pem(self.source) and os.path.isdir(self.source)

    def __repr__(self) -> str:
        return f"CATrust({pem.name_of(self.source)})"


def _in_directory(folder: pem.Source) -> tuple[bytes, ...]:
    """Every certificate below `folder`, one level; files without one (a README) are passed over."""
    ders: dict[bytes, None] = {}  # a hashed directory names each file twice
    for path in _files_in(folder):
        try:
            ders.update(dict.fromkeys(pem.certificates(path)))
        except PolicyError as error:
            if error.code != "no-certificate":
                raise
    if not ders:
        raise PolicyError(
            f"the directory {folder!r} holds no certificate, so nobody would be believed.",
            code="empty-store",
            hint="Put the CA's PEM file there, or name the file itself.",
        )
    return tuple(ders)


def _files_in(folder: pem.Source) -> list[str]:
    with os.scandir(str(folder)) as entries:
        return sorted(entry.path for entry in entries if entry.is_file())


def _all_authorities(ders: tuple[bytes, ...]) -> bool:
    context = scratch_context()
    try:
        context.load_verify_locations(cadata=b"".join(ders))
    except ssl.SSLError:
        return False
    stored = context.cert_store_stats()
    return stored["x509"] == stored["x509_ca"]


def _require_authorities(ders: tuple[bytes, ...], source: pem.Source) -> None:
    """OpenSSL's own count first: it costs no further import where all is well."""
    if _all_authorities(ders):
        return
    for number, der in enumerate(ders, start=1):
        pem.parse(der, source, number)
        certificate = Certificate(der)
        if not certificate.is_ca:
            raise PolicyError(
                f"{pem.name_of(source)} holds {certificate.subject}, "
                "which is a server's certificate and not a certificate authority's.",
                code="not-a-ca",
                hint=f"To trust exactly this server: trust=ExactCertificate"
                f"({'PEM' if pem.is_pem(source) else repr(source)}).",
            )
