"""Pins: exactly which key, or exactly which certificate."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re

from .errors import PolicyError
from .values import Value

_SPELLINGS = (
    'Write Pin("sha256/BASE64") for a public key, Pin.certificate("AB:CD:...") for one '
    "certificate's SHA-256 fingerprint, or Pin.from_pem(path)."
)
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class Pin(Value):
    """A SHA-256 of a public key (`Pin("sha256/BASE64")`, as in RFC 7469, 2.4) or of one
    certificate (`Pin.certificate("AB:CD:…")`).

    A key pin outlives a renewal under the same key; a certificate pin does not. A pin says *which*
    key, and nothing of dates, names or key size. `str(pin)` is its spelling. Raises `PolicyError`.
    """

    text: str

    def _check(self) -> None:
        kind, _, value = str(self.text).strip().partition("/")
        if kind == "sha256":
            self._set("text", f"sha256/{_base64_digest(value, self.text)}")
        elif kind == "certificate-sha256":
            self._set("text", f"certificate-sha256/{_hex_digest(value)}")
        else:
            raise PolicyError(f"{self.text!r} is not a pin.", code="pin-malformed", hint=_SPELLINGS)

    @classmethod
    def certificate(cls, fingerprint: str) -> Pin:
        """The pin of one certificate, by its SHA-256 fingerprint in hex (64 digits, colons or
        blanks between them or not)."""
        return cls(f"certificate-sha256/{_hex_digest(fingerprint)}")

    @classmethod
    def from_pem(cls, path: str | os.PathLike[str]) -> Pin:
        """The key pin of the one certificate in the PEM file at `path`."""
        from .pem import one_certificate

        return cls.of_key(one_certificate(path))

    @classmethod
    def of_key(cls, der: bytes) -> Pin:
        """The key pin of the certificate `der`."""
        return cls("sha256/" + base64.b64encode(hashlib.sha256(spki(der)).digest()).decode())

    @classmethod
    def of_certificate(cls, der: bytes) -> Pin:
        """The certificate pin of the certificate `der`."""
        return cls.certificate(fingerprint(der))

    @property
    def is_certificate(self) -> bool:
        """Whether one certificate is meant, and not a key."""
        return self.text.startswith("certificate-")

    def matches(self, der: bytes) -> bool:
        """Whether the certificate `der` is, or has the key of, the one pinned."""
        return self.like(der) == self

    def like(self, der: bytes) -> Pin:
        """The pin of `der`, of the same kind as this one."""
        return Pin.of_certificate(der) if self.is_certificate else Pin.of_key(der)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        kind, _, value = self.text.partition("/")
        return f"Pin({self.text!r})" if kind == "sha256" else f"Pin.certificate({value!r})"


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, as people compare it: `AB:CD:…`."""
    return hashlib.sha256(der).digest().hex(":").upper()


def spki(der: bytes) -> bytes:
    """SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) of the certificate `der`, DER."""
    from .pem import parse

    # As it stands there, and as openssl hashes it: a key that is written anew may lose its
    # parameters (RSA-PSS has some).
    return _spki_in(parse(der).tbs_certificate_bytes)


def _spki_in(tbs: bytes) -> bytes:
    """The field in a TBSCertificate (RFC 5280, 4.1): after version, serial number, signature,
    issuer, validity and subject. `tbs` was parsed before, so its lengths are right."""
    at, _ = _content(tbs, 0)
    if tbs[at] == 0xA0:  # the version, which may be left out
        at = sum(_content(tbs, at))
    for _ in range(5):
        at = sum(_content(tbs, at))
    return tbs[at : sum(_content(tbs, at))]


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins, and its octets (X.690, 8.1.3)."""
    length, at = der[at + 1], at + 2
    if length < 0x80:
        return at, length
    octets = length & 0x7F
    return at + octets, int.from_bytes(der[at : at + octets], "big")


def _base64_digest(value: str, text: str) -> str:
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise PolicyError(
            f"{text!r} is not a pin: after sha256/ come 44 characters of base64.",
            code="pin-malformed",
            hint=_SPELLINGS,
        )
    return base64.b64encode(digest).decode()


def _hex_digest(value: str) -> str:
    digits = re.sub(r"[:\s]", "", str(value)).lower()
    if not _HEX.match(digits):
        hint = "It may be a SHA-1 or MD5 fingerprint: ask for the SHA-256 one. " * (
            len(digits) in (32, 40)
        )
        raise PolicyError(
            f"{value!r} is not a SHA-256 fingerprint: 64 hexadecimal digits.",
            code="pin-malformed",
            hint=hint + _SPELLINGS,
        )
    return bytes.fromhex(digits).hex(":").upper()
