"""What the servers of `docs_cases` show, and the files that a document has of each."""

import ssl
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from docs_world import World
from securemail.testing.authority import Authority
from servers import certificates, kinds, malformed
from servers.certificates import DAY, NOW, Issuer, PrivateKey, pem
from servers.revocation import list_of

YEAR = 365 * DAY
_BROKEN_DH = Path(__file__).parent / "vectors" / "dh1024.pem"


@dataclass(frozen=True)
class Made:
    context: ssl.SSLContext
    files: dict[str, bytes] = field(default_factory=dict)
    alerts: bool = False  # says by an alert why there is no TLS, which asyncio's servers do not


Case = Callable[[World], Made]


def _bridge(world: World) -> Made:
    """As Proton Mail Bridge makes it, and one of last year."""
    key, shown = _bridges_own()
    _, before = _bridges_own()
    return Made(
        _context(key, shown), {"cert.pem": pem(shown), "cert-of-last-year.pem": pem(before)}
    )


def _bridges_own() -> tuple[PrivateKey, x509.Certificate]:
    key = kinds.rsa_key(2048)
    said = {
        NameOID.COUNTRY_NAME: "CH",
        NameOID.ORGANIZATION_NAME: "Proton AG",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "Proton Mail",
        NameOID.COMMON_NAME: "127.0.0.1",
    }
    name = x509.Name([x509.NameAttribute(*one) for one in said.items()])
    extensions = [
        certificates.key_usage(server=True, ca=True),
        certificates.extended_key_usage(server=True),
        certificates.basic_constraints(ca=True),
        *certificates.san(["127.0.0.1"]),
        *certificates.identifiers(key, Issuer(name, key, None)),
    ]
    dates = (NOW - DAY, NOW + 20 * YEAR)
    itself = Issuer(name, key, None)
    return key, certificates.sign(name, key.public_key(), itself, extensions, dates)


def _old_authority(world: World) -> Made:
    """Made by a recipe of long ago: no identifiers, and basicConstraints not critical."""
    root_key, key = kinds.ec_key(), kinds.ec_key()
    name = certificates.common_name("Old Corp CA")
    itself = Issuer(name, root_key, None)
    extensions = [certificates.basic_constraints(ca=True, critical=False)]
    dates = (NOW - 9 * YEAR, NOW + YEAR)
    root = certificates.sign(name, root_key.public_key(), itself, extensions, dates)
    shown = _leaf(key, itself, "old.corp.example.org")
    return Made(_context(key, shown), {"old-corp.pem": pem(root)})


def _branch(world: World) -> Made:
    """Its authority has its certificate from the company's, and the server does not send that."""
    branch = world.corp._ca.create_child_ca()
    issued = branch.issue_cert("branch.corp.example.org")
    shown = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    return Made(
        _context_of_pem(issued.private_key_pem.bytes() + pem(shown)),
        {"branch-ca.pem": branch.cert_pem.bytes()},
    )


def _revoked(world: World) -> Made:
    """By the company's authority, with its lists of today and of last month."""
    issuer, key = _issuer(world.corp), kinds.ec_key()
    shown = _leaf(key, issuer, "stolen.corp.example.org")
    today = list_of(issuer, shown.serial_number)
    old = list_of(issuer, last=NOW - 40 * DAY, due=NOW - 10 * DAY)
    lists = {"corp.crl": today, "last-month.crl": old}
    files = {name: one.public_bytes(Encoding.PEM) for name, one in lists.items()}
    return Made(_context(key, shown), files)


def _expired(world: World) -> Made:
    key = kinds.ec_key()
    dates = (NOW - 90 * DAY, NOW - 2 * DAY)
    shown = _leaf(key, _issuer(world.public), "expired.example.org", dates=dates)
    return Made(_context(key, shown), {"expired.pem": pem(shown)})


def _printer(world: World) -> Made:
    otherwise = malformed.MALFORMED["a critical extension nobody knows"]
    with tempfile.TemporaryDirectory() as folder:
        device = malformed.device(Path(folder), **otherwise)
        return Made(device.server_context(), {"printer.pem": device.cert.read_bytes()})


def _removed(world: World) -> Made:
    """By an authority that the system believed once; the server sends it along."""
    shop = kinds.Workshop()
    issued = shop.other_root.issue_cert("removed.example.org")
    chain = issued.cert_chain_pems[0].bytes() + shop.other_root.cert_pem.bytes()
    return Made(_context_of_pem(issued.private_key_pem.bytes() + chain))


def _nameless(world: World) -> Made:
    key = kinds.ec_key()
    return Made(_context(key, _leaf(key, _issuer(world.public), subject="nameless.example.org")))


def _short_key(world: World) -> Made:
    key = kinds.rsa_key(1024)
    shown = _leaf(key, _issuer(world.public), "camera.example.org")
    return Made(_context(key, shown, ciphers="DEFAULT:@SECLEVEL=0"))


def _before_tls_12(world: World) -> Made:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions' names
        context = _rsa_context(world, "ancient.example.org", "ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return Made(context, alerts=True)


def _old_suites(world: World) -> Made:
    context = _rsa_context(world, "appliance.example.org", "AES128-SHA")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return Made(context, alerts=True)


def _short_dh(world: World) -> Made:
    context = _rsa_context(world, "dh.example.org", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_dh_params(str(_BROKEN_DH))
    return Made(context, alerts=True)


CASES: dict[str, Case] = {
    "127.0.0.1": _bridge,
    "old.corp.example.org": _old_authority,
    "branch.corp.example.org": _branch,
    "stolen.corp.example.org": _revoked,
    "expired.example.org": _expired,
    "printer.example.org": _printer,
    "removed.example.org": _removed,
    "nameless.example.org": _nameless,
    "camera.example.org": _short_key,
    "ancient.example.org": _before_tls_12,
    "appliance.example.org": _old_suites,
    "dh.example.org": _short_dh,
}


def _leaf(
    key: PrivateKey,
    issuer: Issuer,
    *names: str,
    subject: str = "",
    dates: certificates.Dates = certificates.CURRENT,
) -> x509.Certificate:
    extensions = [
        certificates.basic_constraints(ca=False),
        certificates.extended_key_usage(server=True),
        *certificates.san(names),
        *certificates.identifiers(key, issuer),
    ]
    whose = certificates.common_name(subject or names[0])
    return certificates.sign(whose, key.public_key(), issuer, extensions, dates)


def _issuer(authority: Authority) -> Issuer:
    ca = authority._ca
    return Issuer.from_pem(ca.cert_pem.bytes(), ca.private_key_pem.bytes())


def _rsa_context(world: World, host: str, ciphers: str) -> ssl.SSLContext:
    key = kinds.rsa_key(2048)
    return _context(key, _leaf(key, _issuer(world.public), host), ciphers=ciphers)


def _context(
    key: PrivateKey, shown: x509.Certificate, *, ciphers: str | None = None
) -> ssl.SSLContext:
    return _context_of_pem(certificates.private_key_pem(key) + pem(shown), ciphers)


def _context_of_pem(key_and_chain: bytes, ciphers: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_bytes(key_and_chain)
        context.load_cert_chain(path)
    return context
