"""More kinds of certificates, for the table of docs/certificates.md: `MORE_KINDS`.

As in `kinds`, each with what OpenSSL says of it (RFC 5280 to the letter, `anchor` alone trusted).
"""

import datetime
import ipaddress
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from servers import by_hand, certificates
from servers.certificates import (
    CURRENT,
    DAY,
    EXPIRED,
    NOW,
    Dates,
    Extension,
    Issuer,
    PrivateKey,
    basic_constraints,
    common_name,
    extended_key_usage,
    identifiers,
    key_usage,
)
from servers.kinds import (
    CA_TRUE,
    HOST,
    Kind,
    Made,
    Maker,
    Workshop,
    ec_key,
    rsa_key,
    self_signed,
    sent_with,
)
from servers.kinds import _certificate_of as certificate_of
from servers.kinds import _issuer_of as issuer_of

HOUR = datetime.timedelta(hours=1)
NO_NAME = x509.Name([])
TEST_SERVER = common_name("Test server")
CA_USAGE = key_usage(ca=True)
NO_CA, SIGNS = basic_constraints(ca=False), key_usage(server=True)
SERVER = extended_key_usage(server=True)
Signs = Callable[[x509.Certificate, PrivateKey], x509.Certificate]


def as_it_is(certificate: x509.Certificate, key: PrivateKey) -> x509.Certificate:
    return certificate


def with_hash(name: str) -> Signs:
    return lambda certificate, key: by_hand.signed_again(certificate, key, name)


def authority(
    subject: str,
    *,
    by: str | None = "root",
    key: Callable[[], PrivateKey] = ec_key,
    dates: Dates = CURRENT,
    constraints: Extension = CA_TRUE,
    usage: Extension = CA_USAGE,
    more: Sequence[Extension] = (),
    signed: Signs = as_it_is,
) -> Maker:
    """An authority by that other one (None: by itself), and what its servers send above it."""

    def make(shop: Workshop) -> Made:
        own, name = key(), common_name(subject)
        itself = Issuer(name, own, x509.SubjectKeyIdentifier.from_public_key(own.public_key()))
        signer, above = (itself, ()) if by is None else _signer(shop, by)
        extensions = [constraints, usage, *identifiers(own, signer), *more]
        made = certificates.sign(name, own.public_key(), signer, extensions, dates)
        return Made(own, signed(made, signer.key), above)

    return make


def server(
    names: Sequence[x509.GeneralName | str] = (HOST,),
    *,
    by: str = "root",
    subject: x509.Name = TEST_SERVER,
    key: Callable[[], PrivateKey] = ec_key,
    dates: Dates = CURRENT,
    constraints: Extension = NO_CA,
    usage: Extension | None = SIGNS,
    purposes: Extension | None = SERVER,
    more: Sequence[Extension] = (),
    signed: Signs = as_it_is,
) -> Maker:
    """A server's certificate by that authority; sent with all between it and the root."""

    def make(shop: Workshop) -> Made:
        own, (signer, above) = key(), _signer(shop, by)
        wanted = [constraints, usage, purposes, *_san(names, subject), *identifiers(own, signer)]
        extensions = [one for one in (*wanted, *more) if one is not None]
        leaf = certificates.sign(subject, own.public_key(), signer, extensions, dates)
        return Made(own, signed(leaf, signer.key), above)

    return make


def _san(names: Sequence[x509.GeneralName | str], subject: x509.Name) -> list[Extension]:
    """Critical where there is no subject (RFC 5280, 4.2.1.6)."""
    given = [n if isinstance(n, x509.GeneralName) else x509.DNSName(n) for n in names]
    return [(x509.SubjectAlternativeName(given), subject == NO_NAME)] if given else []


def _signer(shop: Workshop, name: str) -> tuple[Issuer, Sequence[x509.Certificate]]:
    """Who signs, and what is sent above what it signed."""
    if name == "root":
        return issuer_of(shop.root), ()
    if name == "intermediate":
        return issuer_of(shop.intermediate), (certificate_of(shop.intermediate),)
    made = shop.made(name)
    identifier = made.leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    is_anchor = made.leaf.issuer == made.leaf.subject
    return Issuer(made.leaf.subject, made.key, identifier), (
        () if is_anchor else (made.leaf, *made.chain)
    )


def sending(make: Maker, change: Callable[[Made, Workshop], Sequence[x509.Certificate]]) -> Maker:
    """The same, followed by something else."""

    def made(shop: Workshop) -> Made:
        one = make(shop)
        return Made(one.key, one.leaf, change(one, shop))

    return made


def _cross_signed(shop: Workshop) -> Made:
    """By the authority of another root, which our root has signed as well."""
    other, root = issuer_of(shop.other_root), issuer_of(shop.root)
    leaf = server(by="root")(shop)
    extensions = [
        x for x in _extensions(leaf.leaf) if not isinstance(x[0], x509.AuthorityKeyIdentifier)
    ]
    extensions += identifiers(leaf.key, other)[1:]
    signed = certificates.sign(leaf.leaf.subject, leaf.key.public_key(), other, extensions)
    itself = [CA_TRUE, CA_USAGE, *identifiers(other.key, root)]
    crossed = certificates.sign(other.name, other.key.public_key(), root, itself)
    return Made(leaf.key, signed, [crossed])


def _extensions(certificate: x509.Certificate) -> list[Extension]:
    return [(one.value, one.critical) for one in certificate.extensions]


def _pss_key(shop: Workshop) -> Made:
    """A key for RSASSA-PSS alone."""
    own, root = rsa_key(2048), issuer_of(shop.root)
    assert isinstance(own, rsa.RSAPrivateKey)
    made = server(key=lambda: own)(shop)
    change = by_hand.with_key(by_hand.pss_public(own))
    leaf = by_hand.signed_again(made.leaf, root.key, change=change)
    return Made(own, leaf, key_pem=by_hand.key_pem(by_hand.pss_private(own)))


def _copied(shop: Workshop) -> Made:
    """`self_signed_ca` in all but the key: names, serial number, dates, key identifiers."""
    real, own = shop.made("self_signed_ca"), ec_key()
    change = by_hand.with_key(by_hand.public(own))
    return Made(own, by_hand.signed_again(real.leaf, own, change=change))


def _usage(**bits: bool) -> Extension:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    more = ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: bits.get(name, False) for name in (*names, *more)}), True


def _purposes(*given: x509.ObjectIdentifier) -> Extension:
    return x509.ExtendedKeyUsage(given), False


def _constrained(**trees: list[x509.GeneralName]) -> list[Extension]:
    """RFC 5280, 4.2.1.10."""
    both = {
        "permitted_subtrees": trees.get("permitted"),
        "excluded_subtrees": trees.get("excluded"),
    }
    return [(x509.NameConstraints(**both), True)]


def _years(count: int) -> Dates:
    return NOW - DAY, NOW + count * 365 * DAY


def _path_length(length: int) -> Extension:
    return x509.BasicConstraints(ca=True, path_length=length), True


EXAMPLE_ORG: list[x509.GeneralName] = [x509.DNSName("example.org")]
EXAMPLE_NET: list[x509.GeneralName] = [x509.DNSName("example.net")]
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5.6"), b"\x05\x00")
STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])
SRV_ID = x509.OtherName(
    x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), b"\x16\x17_imaps.mail.example.org"
)
CLIENTS, SERVERS = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
BRIDGE = "127.0.0.1"
LOOPBACK_6 = x509.IPAddress(ipaddress.ip_address("::1"))

# Those that sign the servers' certificates below; no server shows them.
AUTHORITIES: dict[str, Kind] = {
    "rsa_root": Kind("", authority("RSA root", by=None, key=lambda: rsa_key(2048))),
    "expired_root": Kind("", authority("Old root", by=None, dates=EXPIRED)),
    "weak_root": Kind("", authority("Short root", by=None, key=lambda: rsa_key(1024))),
    "permits_org": Kind("", authority("P", more=_constrained(permitted=EXAMPLE_ORG))),
    "permits_net": Kind("", authority("N", more=_constrained(permitted=EXAMPLE_NET))),
    "excludes_org": Kind("", authority("X", more=_constrained(excluded=EXAMPLE_ORG))),
    "signs_leaves": Kind("", authority("Path length 0", constraints=_path_length(0))),
    "below_it": Kind("", authority("One too many", by="signs_leaves")),
    "second": Kind("", authority("Second intermediate", by="intermediate")),
    "no_authority": Kind("", authority("No CA", constraints=basic_constraints(ca=False))),
    "no_cert_sign": Kind("", authority("No keyCertSign", usage=key_usage(server=True))),
    "expired_between": Kind("", authority("Old intermediate", dates=EXPIRED)),
    "weak_between": Kind("", authority("Short intermediate", key=lambda: rsa_key(1024))),
    "sha1_between": Kind("", authority("SHA-1 intermediate", signed=with_hash("sha1"))),
    "clients_between": Kind("", authority("For clients", more=[_purposes(CLIENTS)])),
}

MORE_KINDS: dict[str, Kind] = {
    # keys
    "rsa_3072": Kind("RSA 3072 key", server(key=lambda: rsa_key(3072))),
    "rsa_4096": Kind("RSA 4096 key", server(key=lambda: rsa_key(4096))),
    "rsa_pss": Kind("a key for RSASSA-PSS alone", _pss_key),
    "p224": Kind("ECDSA P-224 key", server(key=lambda: ec.generate_private_key(ec.SECP224R1()))),
    "p384": Kind("ECDSA P-384 key", server(key=lambda: ec.generate_private_key(ec.SECP384R1()))),
    "p521": Kind("ECDSA P-521 key", server(key=lambda: ec.generate_private_key(ec.SECP521R1()))),
    "by_rsa": Kind("signed by an RSA root", server(by="rsa_root"), anchor="rsa_root"),
    # names
    "ipv6": Kind("for the address ::1", server([LOOPBACK_6]), asked_as="::1"),
    "upper_case": Kind("for MAIL.EXAMPLE.ORG", server(["MAIL.EXAMPLE.ORG"])),
    "trailing_dot": Kind("for mail.example.org. with a dot", server([f"{HOST}."]), 62),
    "leading_dot": Kind("for .example.org", server([".example.org"]), 62),
    "name_in_cn": Kind(
        "the name as common name, another in SAN",
        server(["other.example.net"], subject=common_name(HOST)),
        62,
    ),
    "no_subject": Kind("no subject, SAN critical", server(subject=NO_NAME)),
    "uri_only": Kind(
        "the name in a URI and an e-mail address of SAN",
        server([x509.UniformResourceIdentifier(f"imaps://{HOST}"), x509.RFC822Name(f"me@{HOST}")]),
        62,
    ),
    "srv_only": Kind("as SRV-ID `_imaps.` alone (RFC 4985)", server([SRV_ID]), 62),
    "address_as_name": Kind(
        "for 127.0.0.1 spelled as a DNS name", server(["127.0.0.1"]), 64, asked_as="127.0.0.1"
    ),
    "nul_in_name": Kind("for mail.example.org, NUL, .evil.net", server([f"{HOST}\0.evil.net"]), 62),
    # dates
    "begun": Kind("began an hour ago", server(dates=(NOW - HOUR, NOW + DAY))),
    "ends_soon": Kind("ends in an hour", server(dates=(NOW - DAY, NOW + HOUR))),
    "twenty_years": Kind("good for 20 years", server(dates=_years(20))),
    # chains
    "two_between": Kind("by the second of two intermediates", server(by="second")),
    "wrong_order": Kind(
        "the same, sent in the wrong order",
        sending(server(by="second"), lambda made, shop: made.chain[::-1]),
    ),
    "root_sent": Kind(
        "the root sent as well",
        sending(server(), lambda made, shop: [certificate_of(shop.root)]),
    ),
    "leaf_twice": Kind("sent twice", sending(server(), lambda made, shop: [made.leaf])),
    "cross_signed": Kind("by another root, which ours has signed", _cross_signed),
    "constraints_permit": Kind("the CA may name example.org", server(by="permits_org")),
    "constraints_other": Kind("the CA may name example.net alone", server(by="permits_net"), 47),
    "constraints_exclude": Kind("the CA must not name example.org", server(by="excludes_org"), 48),
    "path_too_long": Kind("one intermediate more than allowed", server(by="below_it"), 25),
    "by_no_authority": Kind("the intermediate is no CA", server(by="no_authority"), 79),
    "by_no_cert_sign": Kind("the intermediate lacks keyCertSign", server(by="no_cert_sign"), 79),
    "by_expired": Kind("the intermediate ended 30 days ago", server(by="expired_between"), 10),
    "by_weak": Kind(
        "the intermediate has an RSA 1024 key", server(by="weak_between"), 67, weak=True
    ),
    "by_sha1": Kind(
        "the intermediate is signed with SHA-1", server(by="sha1_between"), 68, weak=True
    ),
    "by_clients": Kind("the intermediate is for clients", server(by="clients_between"), 26),
    "by_expired_root": Kind(
        "the root ended 30 days ago", server(by="expired_root"), 10, anchor="expired_root"
    ),
    "by_weak_root": Kind(
        "the root has an RSA 1024 key", server(by="weak_root"), 67, anchor="weak_root", weak=True
    ),
    # revocation
    "revoked": Kind("revoked", server()),
    "no_list": Kind("its CA has no list", server(by="intermediate")),
    "must_staple": Kind("must-staple (RFC 7633)", server(more=[(STAPLE, False)])),
    # purpose and form
    "eku_any": Kind(
        "for anything (anyExtendedKeyUsage)", server(purposes=_purposes(ANY_PURPOSE)), 26
    ),
    "eku_both": Kind("for servers and clients", server(purposes=_purposes(SERVERS, CLIENTS))),
    "eku_none": Kind("no extendedKeyUsage, no keyUsage", server(usage=None, purposes=None)),
    "encipher_ec": Kind(
        "ECDSA, keyEncipherment alone", server(usage=_usage(key_encipherment=True))
    ),
    "encipher_rsa": Kind(
        "RSA, keyEncipherment alone",
        server(usage=_usage(key_encipherment=True), key=lambda: rsa_key(2048)),
    ),
    "agreement": Kind("ECDSA, keyAgreement alone", server(usage=_usage(key_agreement=True))),
    "ca_by_root": Kind(
        "a CA certificate of the root, shown by a server",
        server(constraints=CA_TRUE, usage=key_usage(server=True, ca=True)),
    ),
    "critical_unknown": Kind(
        "a critical extension nobody knows", server(more=[(UNKNOWN, True)]), 34
    ),
    "version_1": Kind(
        "version 1, no extensions",
        server(signed=lambda one, key: by_hand.signed_again(one, key, change=by_hand.version_1)),
        62,
    ),
    "md5": Kind(
        "signed with MD5",
        server(by="rsa_root", signed=with_hash("md5")),
        68,
        anchor="rsa_root",
        weak=True,
    ),
    # self-signed
    "bridge": Kind(
        "as Proton Mail Bridge makes it: 127.0.0.1, CA:TRUE, 20 years",
        self_signed(
            BRIDGE,
            subject=BRIDGE,
            dates=_years(20),
            extensions=[
                CA_TRUE,
                _usage(digital_signature=True, key_encipherment=True, key_cert_sign=True),
                SERVER,
            ],
            key=lambda shop: rsa_key(2048),
        ),
        18,
        asked_as=BRIDGE,
    ),
    "self_signed_sha1": Kind(
        "self-signed with SHA-1",
        lambda shop: _signed_by_itself(shop, "sha1"),
        18,
        weak=True,
    ),
    "self_signed_md5": Kind(
        "self-signed with MD5",
        lambda shop: _signed_by_itself(shop, "md5"),
        18,
        weak=True,
    ),
    "child_and_parent": Kind(
        "signed by the key of `self_signed_ca`, which is sent after it",
        sending(
            lambda shop: shop.made("child_of_self_signed_ca"),
            lambda made, shop: [shop.made("self_signed_ca").leaf],
        ),
        19,
    ),
    "known_appended": Kind(
        "somebody else's, with `self_signed_ca` appended",
        sent_with(self_signed(HOST), lambda shop: shop.made("self_signed_ca").leaf),
        18,
    ),
    "copied": Kind("`self_signed_ca` copied, serial number and all; another key", _copied, 18),
    "known_key_expired": Kind(
        "the key of `self_signed` in another one, ended 30 days ago",
        self_signed(HOST, dates=EXPIRED, key=lambda shop: shop.made("self_signed").key),
        18,
    ),
    "known_key_for_clients": Kind(
        "the key of `self_signed` in another one, for clients",
        self_signed(
            HOST,
            extensions=[extended_key_usage(server=False)],
            key=lambda shop: shop.made("self_signed").key,
        ),
        18,
    ),
}


def _signed_by_itself(shop: Workshop, hash_: str) -> Made:
    own = rsa_key(2048)
    made = self_signed(HOST, key=lambda _: own)(shop)
    return Made(own, by_hand.signed_again(made.leaf, own, hash_))
