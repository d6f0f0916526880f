"""The advice for each kind of refusal, by reasons that are made up. What real certificates lead to:
tests/test_error_messages.py and tests/test_bad_certificates.py."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from securemail import ExactCertificate, Pin, SystemTrust, reasons
from securemail.tls.explain import _ADVICE, advise, say
from securemail.trust.base import Peer
from servers.pki import PKI

NOW = datetime(2026, 11, 22, 9, 5, tzinfo=UTC)
FINGERPRINT = "AB:CD"
PIN = "sha256/" + "A" * 43 + "="
HERE = Peer(host="mail.example.org", port=993, protocol="IMAP over TLS", presented=(b"leaf",))
SELF_SIGNED = reasons.SelfSigned("mail", FINGERPRINT)
ROOT = reasons.UntrustedRoot("The Root", "the system's store")
ISSUER = reasons.UnknownIssuer("The CA", 1, "the system's store")
NAME = reasons.NameMismatch("mail.example.org", ("mx.example.net",))
NOT_PINNED = reasons.NotPinned((PIN,), ("sha256/other",))
DEVICE = (
    "For a device of yours that cannot get another: "
    'ExactCertificate("server.pem", waive=Waive.MALFORMED("why", until=date)).'
)


def advice(
    *found: reasons.Reason, peer: Peer = HERE, store: object = None, pins: tuple[Pin, ...] = ()
) -> str:
    return advise(found, peer, store or SystemTrust(), pins)


def expired(days: int) -> reasons.Expired:
    return reasons.Expired(NOW.fromtimestamp(NOW.timestamp() - days * 86400, UTC), NOW)


def not_known(server: str, file: str = "known") -> reasons.NotKnown:
    return reasons.NotKnown(server, file, FINGERPRINT, PIN)


SAID: dict[reasons.Reason, str] = {
    NOT_PINNED: "If the server got a new key, ask its administrator for the new pin and compare; "
    "do not copy it from this message. If it did not, somebody is intercepting the connection.",
    reasons.Revoked("mail", None, "keyCompromise"): "Do not go on: its key may be in other hands. "
    "The server needs a new key and certificate; tell its administrator.",
    reasons.KeyChanged("imap://a", "known", (), FINGERPRINT, PIN, NOW, NOW): "Unless the server's "
    "administrator confirms the new fingerprint by another way than this connection, somebody is "
    "intercepting it. If he does: store.remove(...) in Python, or securemail known remove, takes "
    "the old key out, and the server can be learned again. A next key can be entered beforehand: "
    "store.expect(...).",
    not_known("imap://mail.example.org"): "If this is your own server, compare the SHA-256 "
    "fingerprint with the server's own by another way than this connection: securemail known learn "
    'known --imap mail.example.org; in Python: store.learn(error, fingerprint="AB:CD:..."), as its '
    "administrator says it. If it is a public provider, somebody is intercepting the connection.",
    reasons.BadSignature("mail", "The CA"): "Do not go on: somebody may be between you and the "
    "server. Tell its administrator.",
    reasons.AuthorityUnfit("path length", 25): "Its administrator needs a certificate from an "
    "authority that may issue it, or must send the right intermediate certificates. A single "
    'known server can be trusted by ExactCertificate(pin=Pin.from_pem("server.pem")).',
    ROOT: "Get that CA's certificate from its owner, and use TLSPolicy(trust=SystemTrust() | "
    'CATrust("ca.pem")). If the server is a public provider, a proxy or an antivirus program is '
    "reading along: its CA is your administrator's decision.",
    ISSUER: "One of two: the server must send its intermediate certificate (its administrator "
    "mends that), or its CA is a private one: then use TLSPolicy(trust=SystemTrust() | "
    'CATrust("ca.pem")). A single known server can be trusted by ExactCertificate("server.pem").',
    NAME: "Only if you know 'mx.example.net' for a name of your server: connect to it, or keep the "
    "address and pass server_hostname='mx.example.net'. Otherwise somebody else has answered.",
    reasons.CommonNameOnly("a", "a"): "The server needs a certificate with a subjectAltName. Until "
    'then, for a server you know: TLSPolicy(trust=ExactCertificate("server.pem")).',
    reasons.WaiverEnded("expiry", "2026-01-01", "why"): "Install the new certificate, or give the "
    "waiver a new date if that is still right.",
    expired(730): "The server needs a new certificate; tell its administrator.",
    expired(731): "The server needs a new certificate; tell its administrator. Or this computer's "
    "clock is wrong: it says 2026-11-22.",
    reasons.NotYetValid(NOW, NOW): "Check this computer's clock: it says 2026-11-22 09:05 UTC.",
    reasons.WeakKey("RSA", 1024, 2048, "mail"): "The server needs a new key and certificate; no "
    "setting here accepts this one.",
    reasons.WeakSignature("SHA1", "mail"): "The CA must issue the certificate again, signed with "
    "SHA-256 or better.",
    reasons.WrongPurpose(("clientAuth",)): "The server needs a certificate that is made for TLS "
    f"servers (serverAuth). {DEVICE}",
    reasons.WrongKeyUsage(("keyEncipherment",)): "The server needs a certificate whose key usage "
    f"has digitalSignature. {DEVICE}",
    reasons.NotStrict("no key identifier", "mail"): "Python 3.12 and older accept this CA, Python "
    "3.13 and newer do not. Best: make the CA again. Otherwise TLSPolicy(strict_x509=False): "
    "chain, name and dates are still checked.",
    reasons.Malformed("odd"): "The server needs a new certificate, made by other software. "
    f"{DEVICE}",
    reasons.CRLMissing("The CA", ()): "Add that authority's list to crls=. Servers of authorities "
    "that publish none need a policy without crls=.",
    reasons.CRLStale("The CA", None, NOW): "Download the authority's newest list in its place; if "
    "there is none, tell the authority. Or this computer's clock is wrong: it says 2026-11-22.",
    reasons.Unexplained(999, "odd"): "Nothing more is known here: do not go on before the server's "
    "administrator can say what it is. He sees the same by: openssl s_client -verify_return_error "
    "-showcerts.",
}


@pytest.mark.parametrize("reason", SAID, ids=lambda reason: type(reason).__name__)
def test_each_kind_has_its_advice(reason: reasons.Reason) -> None:
    assert advice(reason) == SAID[reason]


def test_all_kinds_are_here() -> None:
    assert {type(reason) for reason in SAID} | {reasons.SelfSigned} == set(_ADVICE)


def test_facts_are_one_sentence() -> None:
    assert say((NAME,)) == f"the server's certificate {NAME}."
    assert say((NAME, SELF_SIGNED)) == f"the server's certificate {NAME}; it {SELF_SIGNED}."


def test_a_self_signed_one_comes_with_the_pin_of_the_leaf(pki: PKI) -> None:
    leaf, other = pki["good"], pki["good_rsa"]
    said = advice(
        SELF_SIGNED, peer=Peer(host="a.example.org", presented=(leaf.leaf_der, other.leaf_der))
    )
    assert f'ExactCertificate(pin="{leaf.spki_pin}")' in said
    assert "compare its fingerprint with the server's own by another way" in said


@pytest.mark.parametrize("reason", [SELF_SIGNED, ROOT, ISSUER])
def test_pins_admit_nobody(reason: reasons.Reason, pki: PKI) -> None:
    peer = Peer(host="a.example.org", presented=(pki["good"].leaf_der,))
    words = "pins= only narrow what trust= accepts: they never admit a server."
    assert words in advice(reason, peer=peer, pins=(Pin(PIN),))
    assert words not in advice(reason, peer=peer)
    assert words not in advice(NAME, peer=peer, pins=(Pin(PIN),))


@pytest.mark.parametrize(
    ("server", "protocol", "command"),
    [
        ("imap://mail.example.org", "IMAP", "--imap mail.example.org"),
        ("imap://mail.example.org:1993", "IMAP over TLS", "--imap mail.example.org:1993"),
        ("smtp://[::1]:587", "SMTP with STARTTLS", "--smtp --starttls [::1]:587"),
        ("pop3://mail.example.org", None, "--pop3 mail.example.org"),
    ],
)
def test_a_server_that_is_not_known_is_learned_by_a_command(
    server: str, protocol: str | None, command: str
) -> None:
    peer = Peer(host="mail.example.org", protocol=protocol)
    said = advice(not_known(server, "my servers"), peer=peer)
    assert f"this connection: securemail known learn 'my servers' {command}; in Python" in said


def test_but_no_lmtp_server() -> None:
    said = advice(not_known("lmtp://mail.example.org:24"))
    assert "by another way than this connection; in Python: store.learn(error, " in said


# -- beside each other


def test_the_deepest_trouble_comes_first_and_what_is_moot_is_left_out() -> None:
    weak = reasons.WeakKey("RSA", 1024, 2048, "mail")
    assert advice(expired(1), NAME) == f"{SAID[NAME]} {SAID[expired(730)]}"
    assert advice(NAME, NOT_PINNED) == SAID[NOT_PINNED]
    assert advice(SELF_SIGNED, weak) == SAID[weak]
    assert advice() == ""


def kin(pki: PKI) -> Iterator[tuple[str, Any, tuple[bytes, ...]]]:
    """What is presented, its kin last where it counts for nothing; and the pinned certificate."""
    good, other = pki["good"], pki["good_rsa"]
    yield "its renewal", good.cert.read_bytes(), (good.leaf_der, other.leaf_der)
    yield "issued this one", pki.ca_pem.read_bytes(), (pki["good_ecdsa"].leaf_der, other.leaf_der)
    yield "", good.cert.read_bytes(), (other.leaf_der, good.leaf_der)
    yield "", pki.ca_pem.read_bytes(), (pki["self_signed"].leaf_der, pki["good_ecdsa"].leaf_der)
    yield "", good.cert.read_bytes(), (b"\x30\x03abc",)
    yield "", good.cert.read_bytes(), ()


@pytest.mark.parametrize("number", range(6))
def test_what_is_presented_may_be_kin_of_what_is_pinned(number: int, pki: PKI) -> None:
    words, pinned, presented = list(kin(pki))[number]
    store = ExactCertificate(pinned, acknowledge="a test")
    said = advice(NOT_PINNED, peer=Peer(host="a.example.org", presented=presented), store=store)
    assert said.startswith(SAID[NOT_PINNED])
    rest = said.removeprefix(SAID[NOT_PINNED])
    assert words in rest
    assert bool(rest) is bool(words)


def test_a_name_with_an_underscore_fits_no_wildcard() -> None:
    said = advice(reasons.NameMismatch("mail_1.corp.example", ("*.Corp.example",)))
    assert said == (
        "*.corp.example does not stand for a name with an underscore: connect by a name of the "
        "server without one, or pass it as server_hostname=."
    )
    other = advice(reasons.NameMismatch("mail_1.corp.example", ("mail.corp.example",)))
    assert "underscore" not in other


def test_a_name_with_a_comma_is_one_name_and_no_advice() -> None:
    odd = "mail.example.org, mx.example.net"
    found = reasons.NameMismatch("other.example", (odd, "c.example"))
    assert str(found) == f"is for '{odd}', c.example, you asked for 'other.example'"
    assert odd not in advice(found)
    assert "Only if you know 'c.example'" in advice(found)
    forged = "a.example, 192.0.2.1 (as a name, not as an address)"
    assert repr(forged) in str(reasons.NameMismatch("other.example", (forged,)))
    noted = "192.0.2.1 (as a name, not as an address)"
    assert str(reasons.NameMismatch("x.example", (noted,))).startswith(f"is for {noted}, ")


LONG = tuple(f"*.{number}.example.org" for number in range(3000))


@pytest.mark.parametrize(
    "found",
    [
        reasons.NameMismatch("other.example", LONG),
        reasons.WrongPurpose(LONG),
        reasons.WrongKeyUsage(LONG),
        reasons.NotPinned(LONG, LONG),
        reasons.CRLMissing("CN=a", LONG),
    ],
    ids=lambda found: type(found).__name__,
)
def test_thousands_of_anything_are_a_sentence_all_the_same(found: reasons.Reason) -> None:
    said = say((found,)) + advice(found)
    assert "and 2990 more" in said
    assert len(said) < 1500
    assert LONG[9] in said
    assert LONG[10] not in said


def test_so_are_thousands_of_reasons() -> None:
    found = tuple(expired(number) for number in range(3000))
    assert say(found).endswith(" and 2990 more.")
    assert len(say(found)) < 1500
