"""Certificates out of files and PEM text (RFC 7468), with errors that say what was found."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import PolicyError
from .files import read_file, short
from .secret import Secret

if TYPE_CHECKING:
    from cryptography import x509

Source = str | bytes | os.PathLike[str]

_LINE = re.compile(rb"-----(BEGIN|END) ([A-Z0-9 ]{1,64})-----")
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_PKCS7 = bytes.fromhex("06092a864886f70d0107")  # the OID pkcs-7 (RFC 2315, 14)


def is_pem(source: Source) -> bool:
    """Whether `source` is PEM text itself, not the path of a file."""
    if isinstance(source, bytes):
        return True
    return isinstance(source, str) and "-----BEGIN" in source


def read(source: Source, what: str = "certificate") -> bytes:
    """The octets of PEM text, or of the file at a path. `what`: for the `PolicyError`."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str) and is_pem(source):
        # From a variable of the environment, where line breaks are often written out.
        return (source if "\n" in source else source.replace("\\n", "\n")).encode()
    try:
        return _as_ascii(read_file(source))
    except PolicyError:
        raise
    except (OSError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or error
        raise PolicyError(
            f"the {what} file {name_of(source)} cannot be read: {why}.",
            code="file-unreadable",
            hint="Check the path and that this user may read it.",
        ) from None


def _as_ascii(data: bytes) -> bytes:
    """PowerShell writes text as UTF-16, and editors show it as they show any other."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").encode("ascii", "replace")
    return data


def blocks(data: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Of each block of PEM text (RFC 7468, 2): its label, the base64 within, and all of it. A
    beginning without an end is passed over; the work grows with the octets and no faster."""
    begun: re.Match[bytes] | None = None
    for line in _LINE.finditer(data):
        if line[1] == b"BEGIN":
            begun = line
        elif begun is not None and begun[2] == line[2]:
            yield (
                line[2].decode(),
                data[begun.end() : line.start()],
                data[begun.start() : line.end()],
            )
            begun = None


def has_key(data: bytes) -> bool:
    """Whether there is a private key in PEM text, encrypted or not, whole or not."""
    return any(line[2].endswith(b"PRIVATE KEY") for line in _LINE.finditer(data))


def certificates(source: Source, *, beside_key: bool = False) -> tuple[bytes, ...]:
    """Every certificate in `source`, DER, in order. None is an error, and so is a private key,
    unless they may be `beside_key`."""
    name, held = name_of(source), Secret(read(source))  # there may be a key, by mistake or not
    del source
    if not beside_key and has_key(held.reveal()):
        raise PolicyError(
            f"{name} holds a private key; only the certificate belongs here.",
            code="private-key",
            hint="Take the certificate alone: openssl x509 -in FILE -out certificate.pem. "
            "A server's private key should never leave the server.",
        )
    labels: list[str] = []
    ders: list[bytes] = []
    for label, body, _ in blocks(held.reveal()):
        labels.append(label)
        if label in _CERTIFICATES:
            ders.append(_decode(body, name, len(ders) + 1))
    if not ders and _looks_like_der(held.reveal()) and _PKCS7 not in held.reveal()[:32]:
        ders = [held.reveal()]
    if not ders:
        raise _none(name, labels, is_pkcs7=_PKCS7 in held.reveal()[:32] or "PKCS7" in labels)
    return tuple(ders)


def _none(name: str, labels: list[str], *, is_pkcs7: bool) -> PolicyError:
    if is_pkcs7:
        return PolicyError(
            f"{name} is a collection of certificates in PKCS #7, which is not read here.",
            code="no-certificate",
            hint="openssl pkcs7 -print_certs -in FILE -out certificates.pem makes PEM of it; "
            "with -inform DER where it is not text.",
        )
    only = f", only {', '.join(sorted(set(labels))[:5])}" if labels else ""
    return PolicyError(
        f"{name} holds no certificate{only}.",
        code="no-certificate",
        hint="A PEM certificate begins with -----BEGIN CERTIFICATE----- and ends with "
        "-----END CERTIFICATE-----.",
    )


def one_certificate(source: Source, *, readable: bool = True) -> bytes:
    """The single certificate in `source`, DER, and parsed once unless it need not be `readable`.
    Several are an error."""
    name, held = name_of(source), Secret(source)
    del source
    first, *more = certificates(held.reveal())
    if more:
        raise PolicyError(
            f"{name} holds {1 + len(more)} certificates; one is wanted, the server's own.",
            code="several-certificates",
            hint="In a chain file the server's own is the first: "
            "openssl x509 -in FILE -out certificate.pem takes it out.",
        )
    if readable:
        parse(first, held.reveal())
    return first


def parse(der: bytes, source: Source = b"", number: int = 1) -> x509.Certificate:
    """`der` as a `cryptography.x509.Certificate`; `PolicyError` where it is not one. `number`:
    which of those in `source` it is."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        why = "its ASN.1 is broken" if "asn1" in str(error) else str(error)
        raise PolicyError(
            f"{name_of(source)} holds a damaged certificate ({why}, number {number}).",
            code="damaged-certificate",
            hint="Copy the file again, whole.",
        ) from None


def public_key(parsed: x509.Certificate) -> Any:
    """Its key. Raises `ValueError` for a kind that `cryptography` does not know."""
    with known_key():
        return parsed.public_key()


@contextmanager
def known_key() -> Iterator[None]:
    """Reading a key: another kind than is known is a `ValueError`, as other bad ones are."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except UnsupportedAlgorithm as error:
        raise ValueError(f"its kind of key is not known ({error})") from None


def name_of(source: Source) -> str:
    """`source` for a message: the path, or "the PEM text"."""
    return "the PEM text" if isinstance(source, bytes) or is_pem(source) else repr(short(source))


def _decode(body: bytes, name: str, number: int) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise PolicyError(
            f"{name} holds a damaged certificate (its base64 is broken, number {number}).",
            code="damaged-certificate",
            hint="Copy the file again, whole.",
        ) from None


def _looks_like_der(data: bytes) -> bool:
    """An ASN.1 SEQUENCE with a long length that fits the data (X.690, 8.1.3)."""
    return data[:2] == b"\x30\x82" and int.from_bytes(data[2:4], "big") + 4 == len(data)
