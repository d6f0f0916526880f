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

if TYPE_CHECKING:
    from cryptography import x509

Source = str | bytes | os.PathLike[str]

_BLOCK = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]+)-----\s*(?P<body>.*?)-----END (?P=label)-----", re.DOTALL
)
_CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")


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
        return source.encode()
    try:
        with open(source, "rb") as file:
            return file.read()
    except (OSError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or error
        raise PolicyError(
            f"the {what} file {name_of(source)} cannot be read: {why}.",
            code="file-unreadable",
            hint="Check the path and that this user may read it.",
        ) from None


def has_key(data: bytes) -> bool:
    """Whether there is a private key in PEM text, encrypted or not."""
    return any(match["label"].endswith(b"PRIVATE KEY") for match in _BLOCK.finditer(data))


def certificates(source: Source, *, beside_key: bool = False) -> tuple[bytes, ...]:
    """Every certificate in `source`, DER, in order. None is an error, and so is a private key,
    unless they may be `beside_key`."""
    data = read(source)
    found = [(match["label"], match["body"]) for match in _BLOCK.finditer(data)]
    if not beside_key and has_key(data):
        raise PolicyError(
            f"{name_of(source)} holds a private key; only the certificate belongs here.",
            code="private-key",
            hint="Take the certificate alone: openssl x509 -in FILE -out certificate.pem. "
            "A server's private key should never leave the server.",
        )
    ders = [_decode(body, source) for label, body in found if label in _CERTIFICATES]
    if not ders and _looks_like_der(data):
        ders = [data]
    if not ders:
        what = _what_instead(found)
        raise PolicyError(
            f"{name_of(source)} holds no certificate{what}.",
            code="no-certificate",
            hint="A PEM certificate begins with -----BEGIN CERTIFICATE-----.",
        )
    return tuple(ders)


def one_certificate(source: Source, *, readable: bool = True) -> bytes:
    """The single certificate in `source`, DER, and parsed once unless it need not be `readable`.
    Several are an error."""
    first, *more = certificates(source)
    if more:
        raise PolicyError(
            f"{name_of(source)} holds {1 + len(more)} certificates; "
            "one is wanted, the server's own.",
            code="several-certificates",
            hint="In a chain file the server's own is the first: "
            "openssl x509 -in FILE -out certificate.pem takes it out.",
        )
    if readable:
        parse(first, source)
    return first


def parse(der: bytes, source: Source = b"") -> x509.Certificate:
    """`der` as a `cryptography.x509.Certificate`; `PolicyError` where it is not one."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise PolicyError(
            f"{name_of(source)} holds a damaged certificate ({error}).", code="damaged-certificate"
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
    return "the PEM text" if is_pem(source) else repr(os.fspath(source))


def _decode(body: bytes, source: Source) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise PolicyError(
            f"{name_of(source)} holds a damaged certificate (its base64 is broken).",
            code="damaged-certificate",
            hint="Copy the file again, whole.",
        ) from None


def _looks_like_der(data: bytes) -> bool:
    """An ASN.1 SEQUENCE with a long length that fits the data (X.690, 8.1.3)."""
    return data[:2] == b"\x30\x82" and int.from_bytes(data[2:4], "big") + 4 == len(data)


def _what_instead(found: list[tuple[bytes, bytes]]) -> str:
    labels = sorted({label.decode() for label, _ in found})
    return f", only {', '.join(labels)}" if labels else ""
