"""One certificate, read: the facts that decisions and messages need, nothing decided here.

`cryptography` does the reading, imported when the first certificate is looked into: a connection
that a certificate authority vouches for needs none of this.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import printable
from .pem import parse, public_key
from .pins import fingerprint

if TYPE_CHECKING:
    from cryptography import x509

    _E = TypeVar("_E", bound=x509.ExtensionType)

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_TLS_USAGES = {"digital_signature", "key_encipherment", "key_agreement"}
_NETSCAPE_TYPE = "2.16.840.1.113730.1.1"
BROKEN_HASHES = ("md5", "sha1")
_SERVER_AUTH = "1.3.6.1.5.5.7.3.1"  # id-kp-serverAuth, RFC 5280, 4.2.1.12


class Certificate:
    """A view of one DER certificate. Making it raises `PolicyError` where it cannot be parsed;
    its properties raise `ValueError` where the part they read is malformed."""

    def __init__(self, der: bytes) -> None:
        self.der = der
        self.parsed: x509.Certificate = parse(der)

    @property
    def subject(self) -> str:
        """The subject as RFC 4514 text, safe to print."""
        return printable(self.parsed.subject.rfc4514_string()) or "no subject"

    @property
    def issuer(self) -> str:
        """The issuer as RFC 4514 text, safe to print."""
        return printable(self.parsed.issuer.rfc4514_string()) or "no issuer"

    @property
    def common_name(self) -> str:
        """The last common name of the subject, or empty."""
        from cryptography.x509.oid import NameOID

        found = self.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return printable(str(found[-1].value)) if found else ""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.der)

    @property
    def not_before(self) -> datetime:
        return self.parsed.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        return self.parsed.not_valid_after_utc

    @property
    def names(self) -> tuple[str, ...]:
        """DNS names and IP addresses of subjectAltName, in order."""
        from cryptography import x509

        names = self._extension(x509.SubjectAlternativeName)
        if names is None:
            return ()
        kinds = (x509.DNSName, x509.IPAddress)
        return tuple(printable(str(name.value)) for name in names if isinstance(name, kinds))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those of `names` that are iPAddress entries: an address counts as such alone."""
        from cryptography import x509

        names = self._extension(x509.SubjectAlternativeName) or ()
        return tuple(str(name.value) for name in names if isinstance(name, x509.IPAddress))

    @property
    def is_ca(self) -> bool:
        """basicConstraints says so, or a self-signed version 1 certificate (which OpenSSL takes
        for a CA)."""
        from cryptography import x509

        constraints = self._extension(x509.BasicConstraints)
        if constraints is not None:
            return bool(constraints.ca)
        return self.parsed.version is x509.Version.v1 and self.is_self_issued

    @property
    def is_self_issued(self) -> bool:
        return self.parsed.issuer == self.parsed.subject

    @property
    def is_self_signed(self) -> bool:
        """Issued by itself, and the signature is really its own."""
        return self.is_self_issued and self.is_signed_by(self)

    def is_signed_by(self, issuer: Certificate) -> bool:
        """Whether `issuer`'s key made this signature (names alone prove nothing)."""
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        try:
            if self.signature_hash in BROKEN_HASHES:
                self._verify_old_signature(issuer)
            else:
                self.parsed.verify_directly_issued_by(issuer.parsed)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True

    def _verify_old_signature(self, issuer: Certificate) -> None:
        """What `verify_directly_issued_by` does, which takes no MD5 and no SHA-1: one who signed
        himself in that way is self-signed all the same, and whom a CA signed so is not forged."""
        if self.parsed.issuer != issuer.parsed.subject:
            raise ValueError("another issuer")
        from cryptography.hazmat.primitives.asymmetric import ec, padding

        key = public_key(issuer.parsed)
        hash_: Any = self.parsed.signature_hash_algorithm
        is_ec = isinstance(key, ec.EllipticCurvePublicKey)
        how = (ec.ECDSA(hash_),) if is_ec else (padding.PKCS1v15(), hash_)
        key.verify(self.parsed.signature, self.parsed.tbs_certificate_bytes, *how)

    @property
    def key(self) -> tuple[str, int, int]:
        """Kind of the public key, its bits, and the least that is accepted (112-bit security,
        NIST SP 800-57 part 1, table 2). `bits` is 0 where the kind has one size only."""
        return key_size(public_key(self.parsed))

    @property
    def signature_hash(self) -> str | None:
        """The name of the hash that was signed; None for Ed25519 and the like."""
        from cryptography.exceptions import UnsupportedAlgorithm

        try:
            algorithm = self.parsed.signature_hash_algorithm
        except UnsupportedAlgorithm as error:
            raise ValueError(f"its kind of signature is not known ({error})") from None
        return algorithm.name if algorithm else None

    @property
    def key_usages(self) -> tuple[str, ...] | None:
        """The bits of keyUsage, or None without the extension."""
        from cryptography import x509

        usage = self._extension(x509.KeyUsage)
        return None if usage is None else tuple(n for n in _USAGES if getattr(usage, n))

    @property
    def may_do_tls(self) -> bool:
        """keyUsage lets the key sign or exchange keys in TLS (RFC 5280, 4.2.1.3)."""
        usages = self.key_usages
        return usages is None or not _TLS_USAGES.isdisjoint(usages)

    @property
    def purposes(self) -> tuple[str, ...] | None:
        """The names of extendedKeyUsage, or None without the extension."""
        from cryptography import x509

        usage = self._extension(x509.ExtendedKeyUsage)
        return None if usage is None else tuple(_purpose(oid) for oid in usage)

    @property
    def may_be_server(self) -> bool:
        """extendedKeyUsage names serverAuth, or is absent."""
        purposes = self.purposes
        return purposes is None or "serverAuth" in purposes

    @property
    def not_understood(self) -> tuple[str, ...]:
        """The critical extensions that nobody here knows, dotted: with one of these a certificate
        must be refused (RFC 5280, 4.2). OpenSSL knows Netscape's old one."""
        from cryptography import x509

        try:
            found = [one for one in self.parsed.extensions if one.critical]
        except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise ValueError(str(error)) from None
        unknown = [one for one in found if isinstance(one.value, x509.UnrecognizedExtension)]
        return tuple(oid for one in unknown if (oid := one.oid.dotted_string) != _NETSCAPE_TYPE)

    def _extension(self, kind: type[_E]) -> _E | None:
        from cryptography import x509

        try:
            return self.parsed.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None
        except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise ValueError(str(error)) from None


def key_size(key: object) -> tuple[str, int, int]:
    """As `Certificate.key`, of a public key."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    if isinstance(key, (rsa.RSAPublicKey, dsa.DSAPublicKey)):
        return ("RSA" if isinstance(key, rsa.RSAPublicKey) else "DSA", key.key_size, 2048)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ("EC", key.key_size, 224)
    return (type(key).__name__.lstrip("_").removesuffix("PublicKey"), 0, 0)


def _purpose(oid: x509.ObjectIdentifier) -> str:
    if oid.dotted_string == _SERVER_AUTH:
        return "serverAuth"
    return oid._name if oid._name != "Unknown OID" else oid.dotted_string
