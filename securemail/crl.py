"""Certificate revocation lists (RFC 5280, 5) out of files, DER or PEM."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
from collections.abc import Hashable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .errors import PolicyError, printable
from .files import fixed
from .pem import Source, blocks, is_pem, name_of, read

if TYPE_CHECKING:
    from cryptography import x509


class CRL:
    """One list. Its signature and its dates are OpenSSL's to check, in the handshake."""

    def __init__(self, parsed: x509.CertificateRevocationList) -> None:
        self.parsed = parsed

    @property
    def issuer(self) -> str:
        """As `Certificate.issuer` has it."""
        return printable(self.parsed.issuer.rfc4514_string()) or "no issuer"

    @property
    def next_update(self) -> datetime:
        """From then on the list is stale."""
        due = self.parsed.next_update_utc
        assert due is not None  # `read_crls` asks
        return due

    def is_of(self, issuer: str) -> bool:
        return self.issuer == issuer

    def entry(self, serial: int) -> tuple[datetime | None, str] | None:
        """Since when, and why, the certificate with this number is revoked; None if it is not."""
        from cryptography import x509

        found = self.parsed.get_revoked_certificate_by_serial_number(serial)
        if found is None:
            return None
        try:
            reason = found.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        except (x509.ExtensionNotFound, ValueError):
            reason = ""
        return found.revocation_date_utc, reason


def read_crls(source: Source) -> tuple[CRL, ...]:
    """Every list in `source`; none is a `PolicyError`, and so is one that is damaged."""
    from cryptography import x509

    data = read(source, "revocation list")
    try:
        if b"-----BEGIN" not in data:
            found: tuple[CRL, ...] = (CRL(x509.load_der_x509_crl(data)),)
        else:
            lists = (whole for label, _, whole in blocks(data) if label == "X509 CRL")
            found = tuple(CRL(x509.load_pem_x509_crl(one)) for one in lists)
        for one in found:
            _ = one.issuer  # read when it is asked for, which is in the middle of a handshake
    except (ValueError, x509.InvalidVersion) as error:
        raise _unusable(source, f"cannot be read as one ({error})") from None
    if not found:
        raise _unusable(source, "holds none")
    if any(one.parsed.next_update_utc is None for one in found):
        raise _unusable(source, "does not say until when it is good (RFC 5280, 5.1.2.5)")
    return found


def load_crls(context: ssl.SSLContext, crls: tuple[CRL, ...]) -> None:
    """Have OpenSSL ask them about the server's certificate: revoked, no list of its authority, or
    a list that is stale: refused. It reads lists from files only."""
    from cryptography.hazmat.primitives.serialization import Encoding

    with tempfile.TemporaryDirectory(prefix="securemail-") as folder:
        path = os.path.join(folder, "crls.pem")
        with open(path, "wb") as file:
            file.writelines(crl.parsed.public_bytes(Encoding.PEM) for crl in crls)
        context.load_verify_locations(cafile=path)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def crl_sources(given: Any) -> tuple[Source, ...]:
    """One source or several, checked: each can be read and holds a list."""
    is_one = isinstance(given, (str, bytes, os.PathLike))
    sources = tuple(given) if isinstance(given, Iterable) and not is_one else (given,)
    for source in sources:
        if not isinstance(source, (str, bytes, os.PathLike)):
            raise PolicyError(
                f"crls={printable(repr(source), 60)} is no revocation list.",
                code="crl",
                hint='Name its file, crls="corp.crl", or a tuple of several.',
            )
        read_crls(source)
    return tuple(one if is_pem(one) else fixed(one) for one in sources)


def content(sources: tuple[Source, ...]) -> Hashable:
    """Changes when a file does: a newer list is taken at the next connection."""
    return tuple(hashlib.sha256(read(one, "revocation list")).digest() for one in sources)


def names_of(sources: tuple[Source, ...]) -> str:
    return ", ".join(map(name_of, sources))


def _unusable(source: Source, why: str) -> PolicyError:
    return PolicyError(
        f"{name_of(source)} is to be a revocation list, and {why}.",
        code="crl",
        hint="Download the list that the authority publishes: DER, or PEM with "
        "-----BEGIN X509 CRL-----.",
    )
