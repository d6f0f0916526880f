"""What is said of each verdict of OpenSSL's, by its number. Real refusals, with their numbers:
tests/test_bad_certificates.py and tests/test_certificates.py."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securemail import ExactCertificate, SystemTrust
from securemail.certificate import Certificate
from securemail.crl import CRL
from securemail.reasons import (
    AuthorityUnfit,
    BadSignature,
    CommonNameOnly,
    CRLMissing,
    CRLStale,
    Expired,
    Malformed,
    NameMismatch,
    NotStrict,
    NotYetValid,
    Reason,
    Revoked,
    SelfSigned,
    Unexplained,
    UnknownIssuer,
    UntrustedRoot,
    WeakKey,
    WeakSignature,
    WrongKeyUsage,
    WrongPurpose,
)
from securemail.tls.facts import _as_name, find_facts
from securemail.trust.base import Peer
from servers.pki import PKI
from servers.revocation import issuer_of, revocation_list

NAME = "mail.example.org"
SAID = "OpenSSL's words"
# X509_V_ERR_... of OpenSSL's x509_vfy.h, of a chain in which nothing can be seen to be wrong.
BY_NUMBER: dict[int, type[Reason]] = {
    **dict.fromkeys((2, 20, 21, 27), UnknownIssuer),  # no issuer's certificate, or not trusted
    **dict.fromkeys((13, 14), Malformed),  # a date that cannot be read
    **dict.fromkeys((34, 41), Malformed),  # an extension nobody knows; one that cannot be read
    18: SelfSigned,
    19: UntrustedRoot,
    **dict.fromkeys((9, 10), AuthorityUnfit),  # the authority's dates
    **dict.fromkeys((25, 26), AuthorityUnfit),  # its path length, its purpose
    **dict.fromkeys((47, 48, 49, 50, 51, 52, 53), AuthorityUnfit),  # its name constraints
    **dict.fromkeys((67, 68), AuthorityUnfit),  # its key, its signature
    79: AuthorityUnfit,  # it is none
    **dict.fromkeys(range(80, 95), NotStrict),
}
OF_THE_CA = (80, 81, 83, 89, 92)  # rules for CA certificates, of these


def facts(
    pki: PKI, *names: str, code: int = 0, store: Any = None, **more: Any
) -> tuple[Reason, ...]:
    """Of the leaves of these, as one chain."""
    presented = tuple(pki[name].leaf_der for name in names)
    given = {"names": True, "now": datetime.now(UTC), **more}
    peer = Peer(host=NAME, presented=presented)
    return find_facts(peer, store or SystemTrust(), code, SAID, **given)


def kinds(found: tuple[Reason, ...]) -> list[type[Reason]]:
    return [type(reason) for reason in found]


def test_of_a_good_one_there_is_nothing_to_say(pki: PKI) -> None:
    assert facts(pki, "good") == ()
    assert facts(pki) == ()


@pytest.mark.parametrize("code", range(1, 100))
def test_each_number_has_its_reason(code: int, pki: PKI) -> None:
    (found,) = facts(pki, "good", code=code)
    assert type(found) is BY_NUMBER.get(code, Unexplained)
    if isinstance(found, (AuthorityUnfit, Unexplained)):
        assert (found.said, found.verify_code) == (SAID, code)


@pytest.mark.parametrize("code", range(80, 95))
def test_a_rule_is_the_authority_s_or_the_server_s(code: int, pki: PKI) -> None:
    for names in (("good",), ("good", "wrong_name")):
        (found,) = facts(pki, *names, code=code)
        assert isinstance(found, NotStrict)
        leaf = Certificate(pki["good"].leaf_der)
        whose = leaf.issuer if code in OF_THE_CA else leaf.subject
        assert (found.what, found.subject) == (SAID, whose)


def test_no_authority_is_its_form_where_it_is_its_own_anchor(pki: PKI) -> None:
    store = ExactCertificate(pki["self_signed"].cert, acknowledge="a test")
    assert kinds(facts(pki, "self_signed", code=79, store=store)) == [Malformed]
    assert Malformed not in kinds(facts(pki, "self_signed", code=79))
    assert Malformed not in kinds(facts(pki, "good", "good_rsa", code=79, store=store))


# -- what is wrong with a certificate, beside OpenSSL's number


OF_A_KIND: dict[str, tuple[type[Reason], ...]] = {
    **dict.fromkeys(("good", "ed25519", "with_intermediate", "wildcard", "idn"), ()),
    "junk_appended": (),
    "expired": (Expired,),
    "not_yet_valid": (NotYetValid,),
    **dict.fromkeys(("wrong_name", "wrong_ip", "wildcard_partial"), (NameMismatch,)),
    **dict.fromkeys(("wildcard_two_labels", "wildcard_top_level", "wildcard_all"), (NameMismatch,)),
    "cn_only": (CommonNameOnly,),
    **dict.fromkeys(("unknown_ca", "missing_intermediate"), (UnknownIssuer,)),
    "unknown_ca_with_root_sent": (UntrustedRoot,),
    "forged_issuer": (BadSignature,),
    "ca_not_critical": (NotStrict,),
    "wrong_eku": (WrongPurpose,),
    "wrong_key_usage": (WrongKeyUsage, NotStrict),
    "weak_key": (WeakKey,),
    "weak_signature": (WeakSignature,),
    "self_signed": (SelfSigned,),
    "self_signed_cn_only": (SelfSigned, CommonNameOnly),
    "self_signed_expired": (SelfSigned, Expired),
    "self_signed_wrong_name": (SelfSigned, NameMismatch),
    "self_signed_weak_key": (SelfSigned, WeakKey),
    "self_signed_cert_sign_only": (SelfSigned, WrongKeyUsage),
    "child_of_self_signed": (UnknownIssuer,),
}
ABOUT_NAMES = (NameMismatch, CommonNameOnly)


def of_kind(pki: PKI, kind: str, **more: Any) -> tuple[Reason, ...]:
    """With all that its server sends, the name by which it is asked, and OpenSSL's number."""
    issued = pki[kind]
    sent = x509.load_pem_x509_certificates(issued.cert.read_bytes())
    presented = tuple(one.public_bytes(Encoding.DER) for one in sent)
    given: dict[str, Any] = {
        "code": issued.verify_code,
        "names": True,
        "now": datetime.now(UTC),
        **more,
    }
    peer = Peer(host=given.pop("host", issued.asked_as), presented=presented)
    code, store = given.pop("code"), given.pop("store", SystemTrust())
    return find_facts(peer, store, code, SAID, **given)


@pytest.mark.parametrize("kind", OF_A_KIND)
def test_each_kind_of_certificate_has_its_reasons(kind: str, pki: PKI) -> None:
    assert kinds(of_kind(pki, kind)) == [*OF_A_KIND[kind]]


@pytest.mark.parametrize("kind", OF_A_KIND)
def test_names_are_no_matter_where_the_policy_does_not_check_them(kind: str, pki: PKI) -> None:
    expected = [one for one in OF_A_KIND[kind] if one not in ABOUT_NAMES]
    only_names = bool(OF_A_KIND[kind]) and not expected
    for more in ({"names": False}, {"host": None}):
        found = kinds(of_kind(pki, kind, **more))
        assert found == ([Unexplained] if only_names else expected)


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("192.0.2.7", False),
        ("MAIL.EXAMPLE.ORG", True),
        ("mail.example.org.", False),
        ("example.org", False),
    ],
)
def test_names_and_addresses_are_compared_as_openssl_does(host: str, fits: bool, pki: PKI) -> None:
    found = of_kind(pki, "good", host=host, code=0)
    assert (found == ()) is fits
    if not fits:
        (mismatch,) = found
        assert isinstance(mismatch, NameMismatch)
        assert mismatch.asked == host
        assert {"mail.example.org", "127.0.0.1", "::1"} <= set(mismatch.names)


@pytest.mark.parametrize(
    ("host", "fits"),
    [("a.example.org", True), ("A.Example.ORG", True), ("a.b.example.org", False)],
)
def test_a_wildcard_is_one_label(host: str, fits: bool, pki: PKI) -> None:
    assert (of_kind(pki, "wildcard", host=host) == ()) is fits


def test_an_address_that_was_entered_as_a_name_is_told_apart() -> None:
    assert _as_name("192.0.2.1") == "192.0.2.1 (as a name, not as an address)"
    assert _as_name("mail.example.org") == "mail.example.org"


# -- the path


def test_a_root_that_nobody_trusts_is_named(pki: PKI) -> None:
    (found,) = of_kind(pki, "unknown_ca_with_root_sent")
    assert isinstance(found, UntrustedRoot)
    assert "Somebody else's root" in found.root
    (found,) = of_kind(pki, "good", code=19)
    assert isinstance(found, UntrustedRoot)
    assert found.root == Certificate(pki["good"].leaf_der).subject, "no root is sent: the last"
    (found,) = of_kind(pki, "with_intermediate", code=19)
    assert isinstance(found, UntrustedRoot)
    assert found.root == Certificate(pki["with_intermediate"].leaf_der).issuer


def test_self_signed_is_the_leaf(pki: PKI) -> None:
    found = facts(pki, "self_signed", "good_rsa", code=18)
    leaf = Certificate(pki["self_signed"].leaf_der)
    assert found == (SelfSigned(leaf.subject, leaf.fingerprint),)


def test_the_issuer_that_is_missing_is_that_of_the_last_of_the_path(pki: PKI) -> None:
    """Not of what else was sent."""
    for kind, number in (("with_intermediate", 2), ("junk_appended", 3), ("unknown_ca", 1)):
        (found,) = of_kind(pki, kind, code=20)
        assert isinstance(found, UnknownIssuer)
        root = x509.load_pem_x509_certificate(pki.ca_pem.read_bytes())
        if kind != "unknown_ca":
            assert found.issuer == root.subject.rfc4514_string()
        assert found.sent == number


def test_a_weak_key_stops_openssl_before_the_path(pki: PKI) -> None:
    """That it is self-signed is seen here; unless it is what the policy wants."""
    store = ExactCertificate(pki["self_signed_weak_key"].cert, acknowledge="a test")
    assert kinds(of_kind(pki, "self_signed_weak_key", store=store)) == [WeakKey]
    assert kinds(of_kind(pki, "self_signed_weak_key", code=0)) == [WeakKey]
    assert kinds(facts(pki, "weak_key", "self_signed", code=66)) == [WeakKey]


def test_a_weak_or_outdated_authority_is_found_too(pki: PKI) -> None:
    """Dates and keys of what else is sent count where it is an authority; signatures always."""
    leaf = pki["good"].leaf_der
    for name, expected in {
        "self_signed_weak_key": [WeakKey],
        "weak_signature": [WeakSignature],
        "self_signed_expired": [],
        "not_yet_valid": [],
        "wrong_eku": [],
    }.items():
        code = 67 if name == "self_signed_weak_key" else 0
        peer = Peer(host=NAME, presented=(leaf, pki[name].leaf_der))
        found = find_facts(peer, SystemTrust(), code, SAID, names=True, now=datetime.now(UTC))
        assert kinds(found) == expected, name
    late = datetime(3500, 1, 1, tzinfo=UTC)
    (root,) = x509.load_pem_x509_certificates(pki.ca_pem.read_bytes())
    peer = Peer(host=NAME, presented=(leaf, root.public_bytes(Encoding.DER)))
    found = find_facts(peer, SystemTrust(), 10, SAID, names=True, now=late)
    assert kinds(found) == [Expired, Expired]


def test_what_cannot_be_read_is_malformed(pki: PKI) -> None:
    peer = Peer(host=NAME, presented=(b"\x30\x03abc",))
    (found,) = find_facts(peer, SystemTrust(), 13, SAID, names=True, now=datetime.now(UTC))
    assert isinstance(found, Malformed)
    assert found.what.endswith(f"; OpenSSL says: {SAID}")
    (found,) = find_facts(peer, SystemTrust(), 0, SAID, names=True, now=datetime.now(UTC))
    assert isinstance(found, Malformed)
    assert SAID not in found.what


# -- revocation


def test_revocation_is_of_the_leaf_and_by_its_authority_s_list(pki: PKI) -> None:
    good, root = pki["good"], issuer_of(pki._workshop.root)
    lists = {
        "revoked": CRL(revocation_list(root, good)),
        "other": CRL(revocation_list(root, pki["good_rsa"])),
        "another authority's": CRL(revocation_list(issuer_of(pki._workshop.other_root), good)),
    }

    def found(code: int, *names: str) -> list[type[Reason]]:
        return kinds(facts(pki, "good", code=code, crls=tuple(lists[name] for name in names)))

    assert found(23, "other", "revoked") == [Revoked]
    assert found(0, "revoked") == [Revoked]
    assert kinds(facts(pki, "good", "good_rsa", crls=(lists["revoked"],))) == [Revoked]
    assert kinds(facts(pki, "good", "good_rsa", crls=(lists["other"],))) == []
    assert found(0, "other", "another authority's") == []
    assert found(23, "another authority's") == [Unexplained]
    assert found(23) == [Unexplained]
    assert facts(pki, code=3, crls=(lists["revoked"],)) != ()


def test_a_list_that_is_missing_or_old(pki: PKI) -> None:
    root, other = issuer_of(pki._workshop.root), issuer_of(pki._workshop.other_root)
    mine, theirs = CRL(revocation_list(root)), CRL(revocation_list(other))
    leaf = Certificate(pki["good"].leaf_der)
    for code in (11, 12):
        (stale,) = facts(pki, "good", code=code, crls=(theirs, mine))
        assert isinstance(stale, CRLStale)
        assert (stale.issuer, stale.next_update) == (leaf.issuer, mine.next_update)
        (stale,) = facts(pki, "good", code=code, crls=(theirs,))
        assert isinstance(stale, CRLStale)
        assert stale.next_update is None
    (missing,) = facts(pki, "good", code=3, crls=(theirs,))
    assert isinstance(missing, CRLMissing)
    assert (missing.issuer, missing.held) == (leaf.issuer, (theirs.issuer,))
    for code in (10, 13):
        assert not {CRLStale, CRLMissing} & set(kinds(facts(pki, "good", code=code, crls=(mine,))))


def test_no_wildcard_stands_for_an_underscore(pki: PKI) -> None:
    """As OpenSSL has it; by name such a host is fine."""
    (found,) = of_kind(pki, "wildcard", host="mail_1.example.org", code=62)
    assert isinstance(found, NameMismatch)
    assert found.code == "name-mismatch"
