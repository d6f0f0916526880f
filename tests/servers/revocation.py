"""Revocation lists (RFC 5280, 5), as an authority publishes them."""

from datetime import UTC, datetime, timedelta

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from servers.certificates import Issuer
from servers.pki import Issued

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def issuer_of(authority: trustme.CA) -> Issuer:
    return Issuer.from_pem(authority.cert_pem.bytes(), authority.private_key_pem.bytes())


def revocation_list(
    issuer: Issuer,
    *revoked: Issued,
    last: datetime = NOW - DAY,
    due: datetime = NOW + 7 * DAY,
) -> x509.CertificateRevocationList:
    """All of them three days ago, because their keys were stolen."""
    ders = (issued.leaf_der for issued in revoked)
    serials = (x509.load_der_x509_certificate(der).serial_number for der in ders)
    return list_of(issuer, *serials, last=last, due=due)


def list_of(
    issuer: Issuer, *serials: int, last: datetime = NOW - DAY, due: datetime = NOW + 7 * DAY
) -> x509.CertificateRevocationList:
    """The same, by the certificates' numbers."""
    builder = x509.CertificateRevocationListBuilder(issuer.name, last, due)
    for serial in serials:
        reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
        entry = x509.RevokedCertificateBuilder(serial, NOW - 3 * DAY)
        builder = builder.add_revoked_certificate(entry.add_extension(reason, False).build())
    return builder.sign(issuer.key, hashes.SHA256())
