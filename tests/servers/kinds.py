"""Every kind of server certificate the tests know, each with what OpenSSL makes of it.

`KINDS` is the table; the functions above it make the certificates that its lines describe.
"""

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from servers import certificates
from servers.certificates import (
    CURRENT,
    EXPIRED,
    NOT_YET_VALID,
    Dates,
    Extension,
    Issuer,
    PrivateKey,
    basic_constraints,
    common_name,
    extended_key_usage,
    identifiers,
    key_usage,
    san,
)

HOST = "mail.example.org"
GOOD_NAMES = (
    HOST,
    "imap.example.org",
    "pop.example.org",
    "smtp.example.org",
    "localhost",
    "127.0.0.1",
    "127.0.0.2",
    "::1",
)


@dataclass(frozen=True)
class Made:
    """A certificate with its key, and what else the server sends after it. `key_pem`: where the
    key is written in another way than usual."""

    key: PrivateKey
    leaf: x509.Certificate
    chain: Sequence[x509.Certificate] = ()
    key_pem: bytes | None = None


class Workshop:
    """The authorities, and the certificates made so far: each is made once, when first wanted."""

    def __init__(self, kinds: "Mapping[str, Kind] | None" = None) -> None:
        self._kinds = KINDS if kinds is None else kinds
        self._made: dict[str, Made] = {}

    def made(self, name: str) -> Made:
        if name not in self._made:
            self._made[name] = self._kinds[name].make(self)
        return self._made[name]

    @cached_property
    def root(self) -> trustme.CA:
        return trustme.CA(organization_name="Root of the tests")

    @cached_property
    def other_root(self) -> trustme.CA:
        return trustme.CA(organization_name="Somebody else's root")

    @cached_property
    def intermediate(self) -> trustme.CA:
        return self.root.create_child_ca()

    @cached_property
    def root_without_identifier(self) -> Made:
        """A CA without subjectKeyIdentifier, as old `openssl ca` recipes make them."""
        extensions = [basic_constraints(ca=True), key_usage(ca=True)]
        return _self_signed_by(ec_key(), "Old private CA", extensions)

    @cached_property
    def root_not_critical(self) -> Made:
        """A CA whose basicConstraints extension is not marked critical."""
        key = ec_key()
        extensions = [
            basic_constraints(ca=True, critical=False),
            key_usage(ca=True),
            (_identifier_of(key), False),
        ]
        return _self_signed_by(key, "Sloppy private CA", extensions)


Maker = Callable[[Workshop], Made]


CA_TRUE = basic_constraints(ca=True)


def ec_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int) -> PrivateKey:
    return rsa.generate_private_key(65537, bits)


def _identifier_of(key: PrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _certificate_of(ca: trustme.CA) -> x509.Certificate:
    return x509.load_pem_x509_certificate(ca.cert_pem.bytes())


def _issuer_of(ca: trustme.CA) -> Issuer:
    return Issuer.from_pem(ca.cert_pem.bytes(), ca.private_key_pem.bytes())


def _self_signed_by(
    key: PrivateKey, subject: str, extensions: Sequence[Extension], dates: Dates = CURRENT
) -> Made:
    name = common_name(subject)
    issuer = Issuer(name, key, None)
    return Made(key, certificates.sign(name, key.public_key(), issuer, extensions, dates))


def proper(
    *names: str,
    ca: Callable[[Workshop], trustme.CA] = lambda shop: shop.root,
    dates: Dates = CURRENT,
    rsa: bool = False,
) -> Maker:
    """What a careful CA issues; an intermediate's certificate is sent along."""

    def make(shop: Workshop) -> Made:
        issuer = ca(shop)
        key_type = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        issued = issuer.issue_cert(
            *names, not_before=dates[0], not_after=dates[1], key_type=key_type
        )
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        assert isinstance(key, PrivateKey)
        certs = [x509.load_pem_x509_certificate(blob.bytes()) for blob in issued.cert_chain_pems]
        return Made(key, certs[0], certs[1:])

    return make


def _server_extensions(
    names: Sequence[str],
    key: PrivateKey,
    issuer: Issuer,
    usage: Extension | None = None,
    purpose: Extension | None = None,
) -> list[Extension]:
    return [
        basic_constraints(ca=False),
        usage or key_usage(server=True),
        purpose or extended_key_usage(server=True),
        *san(names),
        *identifiers(key, issuer),
    ]


def odd(
    *names: str,
    subject: str = "Test server",
    usage: Extension | None = None,
    purpose: Extension | None = None,
    key: Callable[[], PrivateKey] = ec_key,
    issuer: Callable[[Workshop], Issuer] = lambda shop: _issuer_of(shop.root),
) -> Maker:
    """A server's certificate with something about it that trustme does not do."""

    def make(shop: Workshop) -> Made:
        signer, leaf_key = issuer(shop), key()
        extensions = _server_extensions(names, leaf_key, signer, usage, purpose)
        leaf = certificates.sign(common_name(subject), leaf_key.public_key(), signer, extensions)
        return Made(leaf_key, leaf)

    return make


def self_signed(
    *names: str,
    subject: str = HOST,
    extensions: Sequence[Extension] = (),
    dates: Dates = CURRENT,
    key: Callable[[Workshop], PrivateKey] = lambda shop: ec_key(),
) -> Maker:
    """A certificate signed with its own key, with a subjectAltName where names are given."""

    def make(shop: Workshop) -> Made:
        return _self_signed_by(key(shop), subject, [*san(names), *extensions], dates)

    return make


def _own_ca(extensions: Sequence[Extension]) -> Maker:
    """A server's self-signed certificate that is a CA, with both identifiers."""

    def make(shop: Workshop) -> Made:
        key = ec_key()
        itself = Issuer(common_name(HOST), key, _identifier_of(key))
        return _self_signed_by(key, HOST, [*identifiers(key, itself), CA_TRUE, *extensions])

    return make


def sent_with(make_leaf: Maker, *extra: Callable[[Workshop], x509.Certificate]) -> Maker:
    """That certificate, followed by exactly these instead of its own chain."""

    def make(shop: Workshop) -> Made:
        made = make_leaf(shop)
        return Made(made.key, made.leaf, [certificate(shop) for certificate in extra])

    return make


def _issuer_forged(shop: Workshop) -> Issuer:
    """Our intermediate's name and key identifier, with a key that is not its own."""
    real = _issuer_of(shop.intermediate)
    return Issuer(real.name, ec_key(), real.key_identifier)


def signed_with_sha1(*names: str) -> Maker:
    """A server's certificate signed by the root with SHA-1.

    cryptography refuses to, so the openssl command does it: from a certificate that the key has
    signed for itself, whose extensions it keeps, adding the authority's identifier.
    """

    def make(shop: Workshop) -> Made:
        key = ec_key()
        itself = Issuer(common_name("Test server"), key, None)
        own = _self_signed_by(key, "Test server", _server_extensions(names, key, itself))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "leaf.pem").write_bytes(certificates.pem(own.leaf))
            (folder / "added.cnf").write_text("authorityKeyIdentifier = keyid:always\n")
            shop.root.cert_pem.write_to_path(folder / "ca.pem")
            shop.root.private_key_pem.write_to_path(folder / "ca.key")
            command = (
                "openssl x509 -in leaf.pem -CA ca.pem -CAkey ca.key -sha1"
                f" -days 365 -set_serial {own.leaf.serial_number} -extfile added.cnf"
            )
            signed = subprocess.run(
                command.split(), cwd=folder, check=True, capture_output=True, timeout=30
            )
        return Made(key, x509.load_pem_x509_certificate(signed.stdout))

    return make


def _issuer_self_signed(name: str) -> Callable[[Workshop], Issuer]:
    """The self-signed certificate of that name as the issuer of others."""

    def issuer(shop: Workshop) -> Issuer:
        made = shop.made(name)
        return Issuer(made.leaf.subject, made.key, _identifier_of(made.key))

    return issuer


def _issuer_root_without_identifier(shop: Workshop) -> Issuer:
    made = shop.root_without_identifier
    return Issuer(made.leaf.subject, made.key, None)


def _issuer_root_not_critical(shop: Workshop) -> Issuer:
    made = shop.root_not_critical
    return Issuer(made.leaf.subject, made.key, _identifier_of(made.key))


@cache
def _unrelated_certificate() -> x509.Certificate:
    return _self_signed_by(ec_key(), "unrelated.example.com", san(["unrelated.example.com"])).leaf


@dataclass(frozen=True)
class Kind:
    """One line of the table.

    `verify_code` is OpenSSL's verdict, the first that it finds, for a client that asks for
    `asked_as`, trusts `anchor` alone, ignores common names, and verifies with VERIFY_X509_STRICT
    and VERIFY_X509_PARTIAL_CHAIN. `weak` kinds can be served at security level 0 only.
    """

    description: str
    make: Maker
    verify_code: int = 0
    asked_as: str = HOST
    anchor: str = "ca_pem"
    weak: bool = False


INTERMEDIATE_LEAF = proper(*GOOD_NAMES, ca=lambda shop: shop.intermediate)
OTHER_LEAF = proper(*GOOD_NAMES, ca=lambda shop: shop.other_root)

KINDS: dict[str, Kind] = {
    # accepted
    "good": Kind("good, for every name and address the tests use", proper(*GOOD_NAMES)),
    "good_ecdsa": Kind("good, ECDSA P-256 key", proper(*GOOD_NAMES)),
    "good_rsa": Kind("good, RSA 2048 key", proper(*GOOD_NAMES, rsa=True)),
    "ed25519": Kind("good, Ed25519 key", odd(*GOOD_NAMES, key=ed25519.Ed25519PrivateKey.generate)),
    "with_intermediate": Kind("good, by an intermediate that is sent", INTERMEDIATE_LEAF),
    "wildcard": Kind("good, *.example.org", proper("*.example.org")),
    "idn": Kind(
        "good, for straße.example.org as IDNA 2008 spells it",
        proper("xn--strae-oqa.example.org"),
        asked_as="xn--strae-oqa.example.org",
    ),
    "junk_appended": Kind(
        "good, followed by unrelated certificates",
        sent_with(
            proper(*GOOD_NAMES),
            lambda shop: _unrelated_certificate(),
            lambda shop: _certificate_of(shop.other_root),
        ),
    ),
    # dates
    "expired": Kind("ended 30 days ago", proper(*GOOD_NAMES, dates=EXPIRED), 10),
    "not_yet_valid": Kind("starts in 30 days", proper(*GOOD_NAMES, dates=NOT_YET_VALID), 9),
    # names
    "wrong_name": Kind("for other.example.net only", proper("other.example.net"), 62),
    "cn_only": Kind("the name as common name only, no SAN", odd(subject=HOST), 62),
    "wrong_ip": Kind("for 127.0.0.9 only", proper("127.0.0.9"), 64, asked_as="127.0.0.1"),
    "wildcard_partial": Kind("m*il.example.org", odd("m*il.example.org"), 62),
    "wildcard_two_labels": Kind(
        "*.example.org, asked as a.b.example.org",
        proper("*.example.org"),
        62,
        asked_as="a.b.example.org",
    ),
    "wildcard_top_level": Kind(
        "*.org, asked as example.org", proper("*.org"), 62, asked_as="example.org"
    ),
    "wildcard_all": Kind("* alone", odd("*"), 62),
    # issuers
    "unknown_ca": Kind("issued by a CA that is not trusted", OTHER_LEAF, 20),
    "unknown_ca_with_root_sent": Kind(
        "issued by a CA that is not trusted, whose root is sent",
        sent_with(OTHER_LEAF, lambda shop: _certificate_of(shop.other_root)),
        19,
    ),
    "missing_intermediate": Kind(
        "issued by an intermediate that is not sent", sent_with(INTERMEDIATE_LEAF), 20
    ),
    "forged_issuer": Kind(
        "names our intermediate as issuer, signed with another key, the real intermediate sent",
        sent_with(
            odd(*GOOD_NAMES, issuer=_issuer_forged), lambda shop: _certificate_of(shop.intermediate)
        ),
        7,
    ),
    "no_aki": Kind(
        "by a private CA (pki.no_aki_ca_pem), without authorityKeyIdentifier",
        odd(*GOOD_NAMES, issuer=_issuer_root_without_identifier),
        85,
        anchor="no_aki_ca_pem",
    ),
    "ca_not_critical": Kind(
        "by a private CA (pki.ca_not_critical_pem) whose basicConstraints is not critical",
        odd(*GOOD_NAMES, issuer=_issuer_root_not_critical),
        89,
        anchor="ca_not_critical_pem",
    ),
    # purpose and strength
    "wrong_eku": Kind(
        "for clients only (extendedKeyUsage clientAuth)",
        odd(*GOOD_NAMES, purpose=extended_key_usage(server=False)),
        26,
    ),
    "wrong_key_usage": Kind(
        "for signing certificates only (keyUsage keyCertSign, cRLSign); 26 when not strict",
        odd(*GOOD_NAMES, usage=key_usage(ca=True)),
        82,
    ),
    "weak_key": Kind("RSA 1024 key", odd(*GOOD_NAMES, key=lambda: rsa_key(1024)), 66, weak=True),
    "weak_signature": Kind("signed with SHA-1", signed_with_sha1(*GOOD_NAMES), 68, weak=True),
    # self-signed
    "self_signed": Kind("self-signed with SAN", self_signed(*GOOD_NAMES), 18),
    "renewed_same_key": Kind(
        "self-signed with SAN, the key of `self_signed`",
        self_signed(*GOOD_NAMES, key=lambda shop: shop.made("self_signed").key),
        18,
    ),
    "self_signed_cn_only": Kind(
        "self-signed like `openssl req -x509`: CA:TRUE, common name only",
        _own_ca([]),
        18,
    ),
    "self_signed_no_extensions": Kind("self-signed, no extensions at all", self_signed(), 18),
    "self_signed_expired": Kind(
        "self-signed with SAN, ended 30 days ago", self_signed(*GOOD_NAMES, dates=EXPIRED), 18
    ),
    "self_signed_wrong_name": Kind(
        "self-signed for other.example.net",
        self_signed("other.example.net", subject="other.example.net"),
        18,
    ),
    "self_signed_weak_key": Kind(
        "self-signed with SAN, RSA 1024 key",
        self_signed(*GOOD_NAMES, key=lambda shop: rsa_key(1024)),
        66,
        weak=True,
    ),
    "self_signed_cert_sign_only": Kind(
        "self-signed with SAN, for signing certificates only (keyUsage keyCertSign, cRLSign)",
        self_signed(*GOOD_NAMES, extensions=[CA_TRUE, key_usage(ca=True)]),
        18,
    ),
    "self_signed_ca": Kind(
        "self-signed with SAN, also a proper CA: CA:TRUE, keyUsage with keyCertSign",
        _own_ca([*san(GOOD_NAMES), key_usage(server=True, ca=True)]),
        18,
    ),
    "child_of_self_signed": Kind(
        "another certificate, signed by the key of `self_signed_cn_only`",
        odd(*GOOD_NAMES, issuer=_issuer_self_signed("self_signed_cn_only")),
        20,
    ),
    "child_of_self_signed_ca": Kind(
        "another certificate, signed by the key of `self_signed_ca`",
        odd(*GOOD_NAMES, issuer=_issuer_self_signed("self_signed_ca")),
        20,
    ),
}
