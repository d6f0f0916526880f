"""The verdict, by peers that are made up: what is judged, by which part of the chain, and what is
reported. By real handshakes: tests/test_gate.py, tests/test_trust.py, tests/test_revocation.py."""

import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securemail import (
    CertificateRejected,
    Pin,
    PinMismatch,
    SelfSignedWarning,
    SystemTrust,
    TLSError,
)
from securemail.certificate import Certificate
from securemail.crl import CRL
from securemail.report import TLSReport, Vouched
from securemail.tls.verify import Negotiated, Rules, judge, negotiated, peer_of
from securemail.trust.base import Peer
from servers.pki import PKI
from servers.revocation import DAY, NOW, issuer_of, revocation_list

NAME = "mail.example.org"
FOUND = Negotiated(
    version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", group="x25519", resumed=False
)
OTHER_PIN = Pin("sha256/" + "A" * 43 + "=")


class Answers:
    """A trust store that answers this."""

    def __init__(self, answer: Vouched | None = None) -> None:
        self.answer = answer

    def prepare(self, context: ssl.SSLContext) -> None: ...

    def verify(self, peer: Peer) -> Vouched | None:
        return self.answer


def root_of(pki: PKI) -> bytes:
    return x509.load_pem_x509_certificate(pki.ca_pem.read_bytes()).public_bytes(Encoding.DER)


def chain(pki: PKI, *names: str) -> tuple[bytes, ...]:
    return tuple(pki[name].leaf_der for name in names)


def judged(
    presented: tuple[bytes, ...],
    verified: tuple[bytes, ...] | None,
    *,
    resumed: bool = False,
    **rules: Any,
) -> TLSReport:
    given: dict[str, Any] = {
        "trust": Answers(Vouched("the test")),
        "pins": (),
        "in_handshake": verified is not None,
        "names": True,
        "strong": True,
        **rules,
    }
    found = Negotiated(
        version=FOUND.version, cipher=FOUND.cipher, group=FOUND.group, resumed=resumed
    )
    peer = Peer(host=NAME, presented=presented, verified=verified)
    return judge(peer, found, Rules(**given))


def test_the_report_says_what_was_found(pki: PKI) -> None:
    sent, verified = chain(pki, "good", "good_rsa"), (pki["good"].leaf_der, root_of(pki))
    warning = UserWarning("from the policy")
    report = judged(sent, verified, warnings=(warning,), client_certificate="AB:CD")
    assert (report.host, report.version, report.cipher) == (NAME, FOUND.version, FOUND.cipher)
    assert (report.group, report.chain, report.pinned) == ("x25519", verified, None)
    assert (report.trusted_by, report.waivers, report.warnings) == ("the test", (), (warning,))
    assert (report.client_certificate, report.revocation) == ("AB:CD", None)
    assert report.not_checked == ("revocation", "certificate transparency", "DANE")


def test_what_a_store_says_more_is_in_the_report(pki: PKI) -> None:
    own, other = UserWarning("from the store"), UserWarning("from the policy")
    answer = Vouched("the test", ("the name",), ("expiry, until then",), (own,))
    report = judged(chain(pki, "good"), None, trust=Answers(answer), warnings=(other,))
    assert report.chain == chain(pki, "good"), "without a verified chain the leaf alone counts"
    assert report.waivers == ("expiry, until then",)
    assert report.warnings == (own, other)
    assert report.not_checked == ("the name", "revocation", "certificate transparency", "DANE")


def test_rules_and_findings_are_made_by_name() -> None:
    """There are too many of one kind."""
    with pytest.raises(TypeError):
        Rules(SystemTrust(), (), True, True, True)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Negotiated("TLSv1.3", "a suite", None, False)  # type: ignore[misc]


# -- what is no verdict


@pytest.mark.parametrize("verified", [True, False])
def test_a_resumed_session_is_refused_whatever_else(verified: bool, pki: PKI) -> None:
    leaf = chain(pki, "good")
    with pytest.raises(TLSError, match="resumed") as caught:
        judged(leaf, leaf if verified else None, resumed=True)
    assert caught.value.code == "session-resumed"


def test_no_certificate_is_refused(pki: PKI) -> None:
    leaf = chain(pki, "good")
    for presented, verified, in_handshake in [
        ((), None, False),
        ((), leaf, True),
        (leaf, None, True),
        (leaf, (), True),
    ]:
        with pytest.raises(CertificateRejected, match="no certificate that was verified"):
            judged(presented, verified, in_handshake=in_handshake)
    assert judged(leaf, None, in_handshake=False), "the control: the store verified it"


@pytest.mark.parametrize(("in_handshake", "names"), [(True, False), (False, True), (False, False)])
def test_a_store_that_says_nothing_has_left_all_to_openssl(
    in_handshake: bool, names: bool, pki: PKI
) -> None:
    leaf = chain(pki, "good")
    with pytest.raises(CertificateRejected, match="did not say what it verified") as caught:
        judged(leaf, leaf, trust=Answers(), in_handshake=in_handshake, names=names)
    assert caught.value.hint == "Its verify(peer) must return a Vouched."
    report = judged(leaf, leaf, trust=SystemTrust(), in_handshake=True, names=True)
    assert report.trusted_by == SystemTrust().describe()


# -- pins


def test_a_pin_fits_anywhere_in_the_chain_that_was_verified(pki: PKI) -> None:
    verified = (pki["good"].leaf_der, root_of(pki))
    for der in verified:
        pin = Pin(str(Pin.of_key(der)))
        report = judged(chain(pki, "good"), verified, pins=(OTHER_PIN, pin))
        assert report.pinned == str(pin)


@pytest.mark.parametrize("in_handshake", [True, False])
def test_and_never_in_what_was_only_sent(in_handshake: bool, pki: PKI) -> None:
    sent = chain(pki, "good", "good_rsa")
    verified = sent[:1] if in_handshake else None
    pin = Pin(pki["good_rsa"].spki_pin)
    with pytest.raises(PinMismatch) as caught:
        judged(sent, verified, pins=(pin,))
    (reason,) = caught.value.reasons
    assert reason.expected == (str(pin),)  # type: ignore[attr-defined]
    assert reason.found == (pki["good"].spki_pin,)  # type: ignore[attr-defined]
    assert caught.value.chain == sent[:1]


@pytest.mark.parametrize("kinds", [("key", "certificate"), ("certificate", "key")])
def test_what_was_found_is_told_in_the_form_of_the_first_pin(
    kinds: tuple[str, str], pki: PKI
) -> None:
    leaf, other = chain(pki, "good")[0], chain(pki, "good_rsa")[0]
    make = {"key": Pin.of_key, "certificate": Pin.of_certificate}
    pins = tuple(make[kind](other) for kind in kinds)
    with pytest.raises(PinMismatch) as caught:
        judged((leaf,), (leaf,), pins=pins)
    (reason,) = caught.value.reasons
    assert reason.found == (str(make[kinds[0]](leaf)),)  # type: ignore[attr-defined]


# -- keys


def test_below_the_security_level_keys_are_looked_at(pki: PKI) -> None:
    weak = chain(pki, "weak_key")
    for verified in (weak, (pki["good"].leaf_der, *weak)):
        with pytest.raises(CertificateRejected) as caught:
            judged(weak, verified, strong=False)
        assert [reason.code for reason in caught.value.reasons] == ["weak-key"]
        assert caught.value.chain == verified
    assert judged(weak, weak, strong=True), "OpenSSL has looked at them"
    assert judged(weak, None, strong=False), "a store has"
    assert judged(chain(pki, "good"), chain(pki, "good"), strong=False)


# -- revocation


def test_of_revocation_is_said_by_which_list_and_until_when(pki: PKI) -> None:
    leaf, root = chain(pki, "good"), issuer_of(pki._workshop.root)
    early, late = (CRL(revocation_list(root, due=NOW + days * DAY)) for days in (3, 9))
    other = CRL(revocation_list(issuer_of(pki._workshop.other_root), due=NOW + 90 * DAY))
    issuer = Certificate(leaf[0]).issuer
    words = f"the server's certificate is not in the list of {issuer}, which is good until "
    for lists, due in [
        ((early,), NOW + 3 * DAY),
        ((early, late, other), NOW + 9 * DAY),
        ((late, early), NOW + 9 * DAY),
    ]:
        report = judged(leaf, (*leaf, root_of(pki)), crls=lists)
        assert report.revocation == f"{words}{due:%Y-%m-%d}"
        left = ("revocation of the authorities", "certificate transparency", "DANE")
        assert report.not_checked == left


def test_it_is_the_list_of_the_leaf_s_authority_that_counts(pki: PKI) -> None:
    leaf = chain(pki, "with_intermediate")
    intermediate = x509.load_pem_x509_certificate(pki.intermediate_pem.read_bytes())
    verified = (*leaf, intermediate.public_bytes(Encoding.DER), root_of(pki))
    own = CRL(revocation_list(issuer_of(pki._workshop.intermediate), due=NOW + 3 * DAY))
    root = CRL(revocation_list(issuer_of(pki._workshop.root), due=NOW + 9 * DAY))
    said = judged(leaf, verified, crls=(own, root)).revocation or ""
    assert f"in the list of {Certificate(leaf[0]).issuer}, which" in said
    assert said.endswith(f"until {NOW + 3 * DAY:%Y-%m-%d}")


# -- self-signed


def warned(report: TLSReport) -> list[type]:
    return [type(warning) for warning in report.warnings]


def test_its_own_anchor_warns_in_whatever_store(pki: PKI) -> None:
    own = chain(pki, "self_signed")
    assert warned(judged(own, own)) == [SelfSignedWarning]
    report = judged(own, own)
    assert "not checked: revocation" in str(report.warnings[0])
    # its controls
    assert warned(judged(own, None)) == [], "a store that verified it says so itself"
    assert warned(judged(own, (*own, root_of(pki)))) == [], "it is not its own anchor"
    assert warned(judged(chain(pki, "good"), chain(pki, "good"))) == []
    reason = Vouched("the test", acknowledged="a router")
    assert warned(judged(own, own, trust=Answers(reason))) == []
    told = Vouched("the test", warnings=(SelfSignedWarning("told already"),))
    assert warned(judged(own, own, trust=Answers(told))) == [SelfSignedWarning]
    assert judged(own, own, trust=Answers(told)).warnings == told.warnings
    another = Vouched("the test", warnings=(UserWarning("of something else"),))
    assert warned(judged(own, own, trust=Answers(another))) == [UserWarning, SelfSignedWarning]


# -- what is read from a TLS object


class Item:
    def __init__(self, der: bytes) -> None:
        self.der = der

    def public_bytes(self, encoding: int) -> bytes:
        return self.der


def tls_object(**more: Any) -> Any:
    given = {
        "server_hostname": NAME,
        "get_unverified_chain": lambda: [Item(b"leaf"), Item(b"more")],
        "get_verified_chain": lambda: [Item(b"leaf"), Item(b"root")],
        "version": lambda: "TLSv1.2",
        "cipher": lambda: ("ECDHE", "TLSv1.2", 128),
        "session_reused": False,
        **more,
    }
    return SimpleNamespace(**given)


@pytest.mark.parametrize("mode", list(ssl.VerifyMode))
def test_a_verified_chain_is_one_only_where_it_was_verified(mode: ssl.VerifyMode) -> None:
    sock = SimpleNamespace(
        _sslobj=tls_object(), context=SimpleNamespace(verify_mode=mode), endpoint=(993, "IMAP")
    )
    peer = peer_of(sock)
    assert (peer.host, peer.port, peer.protocol) == (NAME, 993, "IMAP")
    assert peer.presented == (b"leaf", b"more")
    assert peer.verified == ((b"leaf", b"root") if mode == ssl.CERT_REQUIRED else None)
    sock.endpoint = None
    sock._sslobj = tls_object(get_unverified_chain=lambda: None)
    peer = peer_of(sock)
    assert (peer.port, peer.protocol, peer.presented) == (None, None, ())


def test_what_was_negotiated_and_what_python_does_not_know() -> None:
    found = negotiated(SimpleNamespace(_sslobj=tls_object()))
    assert (found.version, found.cipher, found.group) == ("TLSv1.2", "ECDHE", None)
    assert found.resumed is False
    sock = tls_object(group=lambda: "x25519", session_reused=None)
    found = negotiated(SimpleNamespace(_sslobj=sock))
    assert (found.group, found.resumed) == ("x25519", False)
    sock = tls_object(version=lambda: None, cipher=lambda: None, session_reused=True)
    found = negotiated(SimpleNamespace(_sslobj=sock))
    assert (found.version, found.cipher, found.resumed) == ("unknown", "unknown", True)
