"""Every kind of certificate, shown to each of the three classes, under each kind of trust.

An accepted one is the control: the same code path, and the server gets the password, over TLS
only. A refused one gets nothing, and the error says what was found, in numbers and in words.
"""

import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securemail import (
    CATrust,
    CertificateRejected,
    ExactCertificate,
    LegacyCiphersWarning,
    Pin,
    PinMismatch,
    PolicyError,
    SelfSignedWarning,
    SystemTrust,
    TLSPolicy,
    reasons,
)
from securemail.reasons import Reason
from servers import scripts
from servers.attempts import (
    MAIL,
    PASSWORD,
    Failure,
    Mail,
    assert_nothing_said,
    assert_survives_pickling,
    failing,
)
from servers.kinds import GOOD_NAMES, HOST, KINDS
from servers.leaks import leaks
from servers.pki import PKI, Issued
from servers.recording import RecordingServer

Factory = Callable[..., RecordingServer]
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)


@pytest.fixture(autouse=True)
def names_are_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is this computer, as the certificates have it."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)


@dataclass(frozen=True)
class Refused:
    """The reasons in order, each with its numbers, and words of the message."""

    found: dict[type[Reason], dict[str, Any]]
    words: tuple[str, ...]
    hint: tuple[str, ...]

    @property
    def first_code(self) -> str:
        return next(iter(self.found)).code


SELF_SIGNED_HINT = ("your own server", "by another way than this connection", "intercepting")
CA_HINT = ("intermediate", 'CATrust("ca.pem")')
PURPOSE_HINT = ("made for TLS servers",)
USAGE_HINT = ("key usage has digitalSignature",)
NEW_KEY_HINT = ("new key", "no setting here accepts")

EXPIRED = {reasons.Expired: {"days": 30}}
FUTURE = {reasons.NotYetValid: {"days": 29}}
WEAK_KEY = {reasons.WeakKey: {"kind": "RSA", "bits": 1024, "minimum": 2048}}
SIGNS_ONLY = {reasons.WrongKeyUsage: {"usages": ("key_cert_sign", "crl_sign")}}
CLIENT_ONLY = {reasons.WrongPurpose: {"purposes": ("clientAuth",)}}
SELF_SIGNED = {reasons.SelfSigned: {"subject": f"CN={HOST}"}}
CN_ONLY = {reasons.CommonNameOnly: {"asked": HOST, "common_name": HOST}}
FORGED = {reasons.BadSignature: {"subject": "CN=Test server"}}


def mismatch(asked: str, *names: str) -> dict[type[Reason], dict[str, Any]]:
    return {reasons.NameMismatch: {"asked": asked, "names": names}}


def not_strict(what: str) -> dict[type[Reason], dict[str, Any]]:
    return {reasons.NotStrict: {"what": what}}


EXPIRED_CASE = Refused(EXPIRED, ("expired on ", "30 days ago"), ("new certificate",))
FUTURE_CASE = Refused(FUTURE, ("is not valid before ", "29 days from now"), ("computer's clock",))
WEAK_KEY_CASE = Refused(WEAK_KEY, ("1024-bit RSA", "at least 2048"), NEW_KEY_HINT)
PURPOSE_CASE = Refused(CLIENT_ONLY, ("not for servers", "clientAuth"), PURPOSE_HINT)
USAGE_CASE = Refused(SIGNS_ONLY, ("not for TLS", "key_cert_sign, crl_sign"), USAGE_HINT)
FORGED_CASE = Refused(FORGED, ("forged or damaged", "did not sign"), ("Do not go on",))

# Under the root that issued them, or claims to. Those that are not here are accepted.
BY_A_CA: dict[str, Refused] = {
    "expired": EXPIRED_CASE,
    "not_yet_valid": FUTURE_CASE,
    "wrong_name": Refused(
        mismatch(HOST, "other.example.net"),
        ("is for other.example.net", "you asked for 'mail.example.org'"),
        ("server_hostname='other.example.net'",),
    ),
    "cn_only": Refused(CN_ONLY, ("only a common name ('mail.example.org')",), ("subjectAltName",)),
    "wrong_ip": Refused(
        mismatch("127.0.0.1", "127.0.0.9"),
        ("is for 127.0.0.9", "you asked for '127.0.0.1'"),
        ("server_hostname='127.0.0.9'",),
    ),
    "wildcard_partial": Refused(
        mismatch(HOST, "m*il.example.org"), ("is for m*il.example.org",), ("certificate for",)
    ),
    "wildcard_two_labels": Refused(
        mismatch("a.b.example.org", "*.example.org"),
        ("is for *.example.org", "you asked for 'a.b.example.org'"),
        ("a name that fits *.example.org",),
    ),
    "wildcard_top_level": Refused(
        mismatch("example.org", "*.org"), ("is for *.org",), ("certificate for 'example.org'",)
    ),
    "wildcard_all": Refused(
        mismatch(HOST, "*"), ("is for *,",), ("certificate for 'mail.example.org'",)
    ),
    "unknown_ca": Refused(
        {reasons.UnknownIssuer: {"sent": 1}},
        ("Somebody else's root", "the trust store used does not have"),
        CA_HINT,
    ),
    "unknown_ca_with_root_sent": Refused(
        {reasons.UntrustedRoot: {}},
        ("comes from", "Somebody else's root", "not in the trust store used"),
        ("from its owner", 'CATrust("ca.pem")'),
    ),
    "missing_intermediate": Refused(
        {reasons.UnknownIssuer: {"sent": 1}}, ("the server did not send (it sent 1)",), CA_HINT
    ),
    "forged_issuer": FORGED_CASE,
    "no_aki": Refused(
        not_strict("Missing Authority Key Identifier"),
        ("breaks RFC 5280", "Missing Authority Key Identifier"),
        ("strict_x509=False",),
    ),
    "ca_not_critical": Refused(
        not_strict("Basic Constraints of CA cert not marked critical"),
        ("breaks RFC 5280", "not marked critical"),
        ("strict_x509=False",),
    ),
    "wrong_eku": PURPOSE_CASE,
    "wrong_key_usage": Refused(
        {**SIGNS_ONLY, reasons.NotStrict: {}}, ("not for TLS", "key_cert_sign"), USAGE_HINT
    ),
    "weak_key": WEAK_KEY_CASE,
    "weak_signature": Refused(
        {reasons.WeakSignature: {"algorithm": "sha1"}}, ("signed with SHA1",), ("SHA-256",)
    ),
    "self_signed": Refused(SELF_SIGNED, ("is self-signed",), SELF_SIGNED_HINT),
    "renewed_same_key": Refused(SELF_SIGNED, ("is self-signed",), SELF_SIGNED_HINT),
    "self_signed_cn_only": Refused(
        {**SELF_SIGNED, **CN_ONLY}, ("is self-signed", "it carries only"), SELF_SIGNED_HINT
    ),
    "self_signed_no_extensions": Refused(
        {**SELF_SIGNED, **CN_ONLY}, ("is self-signed", "it carries only"), SELF_SIGNED_HINT
    ),
    "self_signed_expired": Refused(
        {**SELF_SIGNED, **EXPIRED}, ("is self-signed", "it expired on"), SELF_SIGNED_HINT
    ),
    "self_signed_wrong_name": Refused(
        {
            reasons.SelfSigned: {"subject": "CN=other.example.net"},
            **mismatch(HOST, "other.example.net"),
        },
        ("is self-signed", "it is for other.example.net"),
        SELF_SIGNED_HINT,
    ),
    "self_signed_weak_key": Refused(
        {**SELF_SIGNED, **WEAK_KEY}, ("is self-signed", "1024-bit RSA"), NEW_KEY_HINT
    ),
    "self_signed_cert_sign_only": Refused(
        {**SELF_SIGNED, **SIGNS_ONLY}, ("is self-signed", "not for TLS"), USAGE_HINT
    ),
    "self_signed_ca": Refused(SELF_SIGNED, ("is self-signed",), SELF_SIGNED_HINT),
    "child_of_self_signed": Refused(
        {reasons.UnknownIssuer: {"issuer": f"CN={HOST}", "sent": 1}}, ("did not send",), CA_HINT
    ),
    "child_of_self_signed_ca": Refused(
        {reasons.UnknownIssuer: {"issuer": f"CN={HOST}", "sent": 1}}, ("did not send",), CA_HINT
    ),
}

# As `ExactCertificate`, by the certificate or by its pin: the name and the issuer do not matter.
EXACTLY: dict[str, Refused] = {
    "expired": EXPIRED_CASE,
    "not_yet_valid": FUTURE_CASE,
    "wrong_eku": PURPOSE_CASE,
    "wrong_key_usage": USAGE_CASE,
    "weak_key": WEAK_KEY_CASE,
    "self_signed_expired": EXPIRED_CASE,
    "self_signed_weak_key": WEAK_KEY_CASE,
}
BY_CERTIFICATE = EXACTLY | {"forged_issuer": FORGED_CASE}
BY_PIN = EXACTLY | {"self_signed_cert_sign_only": USAGE_CASE}
# OpenSSL's code where the certificate is its own anchor; by a pin it is always 0.
CODES = {reasons.Expired: 10, reasons.NotYetValid: 9, reasons.WrongPurpose: 26}
CODES |= {reasons.WrongKeyUsage: 26, reasons.WeakKey: 66, reasons.BadSignature: 7}


def serve(recording_server: Factory, issued: Issued, mail: Mail) -> RecordingServer:
    return recording_server(scripts.POLITE[mail.protocol], context=issued.server_context())


def assert_signs_in(server: RecordingServer, issued: Issued, mail: Mail, policy: TLSPolicy) -> None:
    """The control: accepted, and the password went to the server, over TLS only."""
    mail.attempt(server, host=issued.asked_as, policy=policy)
    (record,) = server.wait()
    assert leaks(record.received_tls, PASSWORD) != []
    assert leaks(bytes(record.wire), PASSWORD) == []
    assert record.received_clear == b""


def refuse(server: RecordingServer, issued: Issued, mail: Mail, policy: TLSPolicy) -> Failure:
    """Refused, with nothing said, and the error knows what and where."""
    with failing(server) as failure:
        mail.attempt(server, host=issued.asked_as, policy=policy)
    assert_nothing_said(failure.records)
    error = failure.error
    assert isinstance(error, CertificateRejected)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert error.host == issued.asked_as
    assert error.port == server.port
    assert error.protocol == mail.says
    assert error.credentials_sent is False
    assert error.chain[0] == issued.leaf_der
    assert failure.text.startswith(f"{issued.asked_as}:{server.port} ({mail.says}): ")
    assert "No password was sent." in failure.text
    assert error.hint
    assert failure.text.endswith(f" {error.hint} More: securemail explain {error.code}.")
    assert_survives_pickling(error)
    return failure


def assert_explained(failure: Failure, expected: Refused, verify_code: int) -> None:
    error = failure.error
    assert [type(reason) for reason in error.reasons] == list(expected.found)
    for reason, numbers in zip(error.reasons, expected.found.values(), strict=True):
        assert {name: getattr(reason, name) for name in numbers} == numbers
        assert str(reason) in error.message
    assert error.code == expected.first_code
    assert error.verify_code == verify_code
    for word in expected.words:
        assert word in error.message
    for word in expected.hint:
        assert word in error.hint


@every_class
@pytest.mark.parametrize("name", KINDS)
def test_under_a_certificate_authority(
    name: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki[name]
    server = serve(recording_server, issued, mail)
    policy = TLSPolicy(trust=CATrust(issued.anchor_pem))
    if name not in BY_A_CA:
        assert_signs_in(server, issued, mail, policy)
    else:
        failure = refuse(server, issued, mail, policy)
        assert_explained(failure, BY_A_CA[name], issued.verify_code)
        assert type(failure.error) is CertificateRejected


@every_class
@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"self_signed_cert_sign_only"}))
def test_as_exactly_that_certificate(
    name: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki[name]
    server = serve(recording_server, issued, mail)
    policy = TLSPolicy(trust=ExactCertificate(issued.leaf_pem, acknowledge="a test"))
    if name not in BY_CERTIFICATE:
        assert_signs_in(server, issued, mail, policy)
    else:
        expected = BY_CERTIFICATE[name]
        (kind,) = expected.found
        assert_explained(refuse(server, issued, mail, policy), expected, CODES[kind])


@every_class
@pytest.mark.parametrize("name", KINDS)
def test_as_exactly_that_key(name: str, mail: Mail, pki: PKI, recording_server: Factory) -> None:
    issued = pki[name]
    server = serve(recording_server, issued, mail)
    policy = TLSPolicy(trust=ExactCertificate(pin=issued.spki_pin, acknowledge="a test"))
    if name not in BY_PIN:
        assert_signs_in(server, issued, mail, policy)
    else:
        assert_explained(refuse(server, issued, mail, policy), BY_PIN[name], 0)


def test_the_tables_name_kinds_that_there_are() -> None:
    assert BY_A_CA.keys() | BY_PIN.keys() | BY_CERTIFICATE.keys() <= KINDS.keys()
    assert {name for name, kind in KINDS.items() if kind.verify_code} == BY_A_CA.keys()


@pytest.mark.parametrize("name", ["expired", "not_yet_valid"])
def test_dates_are_the_certificates_own(name: str, pki: PKI, recording_server: Factory) -> None:
    issued = pki[name]
    server = serve(recording_server, issued, MAIL["imap"])
    failure = refuse(server, issued, MAIL["imap"], TLSPolicy(trust=CATrust(pki.ca_pem)))
    certificate = x509.load_der_x509_certificate(issued.leaf_der)
    (reason,) = failure.error.reasons
    if name == "expired":
        assert reason.not_after == certificate.not_valid_after_utc < reason.now
        assert f"{certificate.not_valid_after_utc:%Y-%m-%d}" in failure.text
    else:
        assert reason.not_before == certificate.not_valid_before_utc > reason.now
        assert f"{certificate.not_valid_before_utc:%Y-%m-%d}" in failure.text


def test_a_fingerprint_stands_only_beside_the_advice_to_compare(
    pki: PKI, recording_server: Factory
) -> None:
    """And it is the right one, and so is the pin."""
    issued, mail = pki["self_signed"], MAIL["pop3"]
    server = serve(recording_server, issued, mail)
    failure = refuse(server, issued, mail, TLSPolicy(trust=CATrust(pki.ca_pem)))
    assert failure.error.reasons[0].fingerprint in failure.text
    assert Pin.certificate(failure.error.reasons[0].fingerprint).matches(issued.leaf_der)
    before, found, _ = failure.text.partition(issued.spki_pin)
    assert found
    assert "compare its fingerprint with the server's own by another way" in before


# -- the system's store, replaced


@every_class
@pytest.mark.parametrize("name", ["good", "with_intermediate", "unknown_ca", "self_signed"])
def test_under_the_systems_store(
    name: str, mail: Mail, pki: PKI, recording_server: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    issued = pki[name]
    server = serve(recording_server, issued, mail)
    policy = TLSPolicy(trust=SystemTrust())
    if name not in BY_A_CA:
        assert_signs_in(server, issued, mail, policy)
    else:
        failure = refuse(server, issued, mail, policy)
        assert_explained(failure, BY_A_CA[name], issued.verify_code)
        if name == "unknown_ca":
            assert f"SSL_CERT_FILE={pki.ca_pem}" in failure.text


@every_class
def test_with_no_arguments_a_private_certificate_is_refused(
    mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    server = serve(recording_server, pki["good"], mail)
    with failing(server) as failure:
        mail.attempt(server, host=HOST)
    assert_nothing_said(failure.records)
    assert [type(reason) for reason in failure.error.reasons] == [reasons.UnknownIssuer]


# -- rules that a policy can relax, and how far


@every_class
@pytest.mark.parametrize("name", ["no_aki", "ca_not_critical"])
def test_old_private_authorities_are_tolerated_when_asked(
    name: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki[name]
    policy = TLSPolicy(trust=CATrust(issued.anchor_pem), strict_x509=False)
    assert_signs_in(serve(recording_server, issued, mail), issued, mail, policy)


TOLERANT_CODES = {"wrong_key_usage": 26}  # 82 is a rule of the strict kind


@pytest.mark.parametrize(
    "name", [name for name in BY_A_CA if name not in ("no_aki", "ca_not_critical")]
)
def test_tolerance_goes_no_further(name: str, pki: PKI, recording_server: Factory) -> None:
    issued, mail = pki[name], MAIL["smtp"]
    policy = TLSPolicy(trust=CATrust(issued.anchor_pem), strict_x509=False)
    failure = refuse(serve(recording_server, issued, mail), issued, mail, policy)
    assert failure.error.verify_code == TOLERANT_CODES.get(name, issued.verify_code)


@every_class
@pytest.mark.parametrize("name", ["weak_key", "self_signed_weak_key"])
@pytest.mark.parametrize("trust", ["CATrust", "certificate", "pin"])
def test_legacy_ciphers_do_not_let_a_weak_key_in(
    trust: str, name: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki[name]
    stores = {
        "CATrust": lambda: CATrust(pki.ca_pem),
        "certificate": lambda: ExactCertificate(issued.leaf_pem),
        "pin": lambda: ExactCertificate(pin=issued.spki_pin),
    }
    policy = TLSPolicy(trust=stores[trust](), legacy_ciphers="an old server")
    failure = refuse(serve(recording_server, issued, mail), issued, mail, policy)
    found = {type(reason): reason for reason in failure.error.reasons}
    if not (trust == "CATrust" and name == "self_signed_weak_key"):  # 18 comes first there
        assert found[reasons.WeakKey].bits == 1024


@pytest.mark.parametrize("name", [name for name in BY_A_CA if not KINDS[name].weak])
def test_legacy_ciphers_leave_verification_as_it_is(
    name: str, pki: PKI, recording_server: Factory
) -> None:
    issued, mail = pki[name], MAIL["pop3"]
    policy = TLSPolicy(trust=CATrust(issued.anchor_pem), legacy_ciphers="an old server")
    failure = refuse(serve(recording_server, issued, mail), issued, mail, policy)
    assert_explained(failure, BY_A_CA[name], issued.verify_code)


@every_class
def test_legacy_ciphers_still_serve(mail: Mail, pki: PKI, recording_server: Factory) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), legacy_ciphers="an old server")
    server = serve(recording_server, pki["good"], mail)
    with pytest.warns(LegacyCiphersWarning, match="an old server"):
        assert_signs_in(server, pki["good"], mail, policy)


def test_legacy_ciphers_do_not_let_sha1_in(pki: PKI, recording_server: Factory) -> None:
    issued, mail = pki["weak_signature"], MAIL["imap"]
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), legacy_ciphers="an old server")
    failure = refuse(serve(recording_server, issued, mail), issued, mail, policy)
    assert reasons.WeakSignature in [type(reason) for reason in failure.error.reasons]


# -- pins


def pin_of(path: Path) -> str:
    return str(Pin.from_pem(path))


@every_class
@pytest.mark.parametrize("pinned", ["leaf", "intermediate", "root", "one of several"])
def test_a_pin_fits_anywhere_in_the_verified_chain(
    pinned: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki["with_intermediate"]
    pins = {
        "leaf": [issued.spki_pin],
        "intermediate": [pin_of(pki.intermediate_pem)],
        "root": [pin_of(pki.ca_pem)],
        "one of several": [pin_of(pki.other_ca_pem), issued.spki_pin],
    }
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), pins=pins[pinned])
    assert_signs_in(serve(recording_server, issued, mail), issued, mail, policy)


@every_class
@pytest.mark.parametrize("spelling", ["key", "certificate"])
def test_junk_that_the_server_appends_satisfies_no_pin(
    spelling: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki["junk_appended"]
    junk = x509.load_pem_x509_certificate(pki.other_ca_pem.read_bytes())
    der = junk.public_bytes(Encoding.DER)
    pin = Pin.of_key(der) if spelling == "key" else Pin.of_certificate(der)
    assert pin.matches(der)
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), pins=pin)
    failure = refuse(serve(recording_server, issued, mail), issued, mail, policy)
    assert type(failure.error) is PinMismatch
    assert failure.error.code == "pin-mismatch"
    assert der in failure.error.chain  # presented, and yet
    (reason,) = failure.error.reasons
    assert reason.expected == (str(pin),)
    assert str(pin) not in reason.found
    assert "do not copy it from this message" in failure.error.hint


TRUST: dict[str, Callable[[PKI], Any]] = {
    "root": lambda pki: CATrust(pki.ca_pem),
    "intermediate": lambda pki: CATrust(pki.intermediate_pem),
    "both": lambda pki: CATrust(pki.ca_pem) | CATrust(pki.intermediate_pem),
    "pin of the intermediate": lambda pki: ExactCertificate(pin=pin_of(pki.intermediate_pem)),
}


@every_class
@pytest.mark.parametrize("trust", TRUST)
@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not pinned"])
def test_a_forged_signature_gains_nothing_from_the_real_intermediate(
    pinned: bool, trust: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki["forged_issuer"]
    pins = (pin_of(pki.intermediate_pem),) if pinned else ()
    policy = TLSPolicy(trust=TRUST[trust](pki), pins=pins)
    refuse(serve(recording_server, issued, mail), issued, mail, policy)


@every_class
def test_pins_never_admit_a_server(mail: Mail, pki: PKI, recording_server: Factory) -> None:
    issued = pki["self_signed"]
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), pins=issued.spki_pin)
    failure = refuse(serve(recording_server, issued, mail), issued, mail, policy)
    assert "they never admit a server" in failure.error.hint
    assert "ExactCertificate(pin=" in failure.error.hint


# -- exactly one, and another comes


@pytest.mark.parametrize(
    ("pinned", "shown", "by", "hint"),
    [
        ("self_signed", "renewed_same_key", "certificate", "outlives renewals"),
        ("self_signed_ca", "child_of_self_signed_ca", "certificate", "use CATrust"),
        ("self_signed_cn_only", "child_of_self_signed", "certificate", "use CATrust"),
        ("self_signed", "self_signed_ca", "certificate", "intercepting"),
        ("self_signed", "self_signed_ca", "pin", "intercepting"),
        ("good", "good_ecdsa", "certificate", "intercepting"),
        ("good", "good_ecdsa", "pin", "intercepting"),
        ("self_signed", "good", "pin", "intercepting"),
    ],
)
@every_class
def test_exactly_means_exactly(
    pinned: str, shown: str, by: str, hint: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    known, issued = pki[pinned], pki[shown]
    trust = (
        ExactCertificate(known.leaf_pem)
        if by == "certificate"
        else ExactCertificate(pin=known.spki_pin)
    )
    failure = refuse(serve(recording_server, issued, mail), issued, mail, TLSPolicy(trust=trust))
    assert type(failure.error) is PinMismatch
    assert failure.error.code == "pin-mismatch"
    assert hint in failure.error.hint
    reason = failure.error.reasons[0]
    expected = Pin(known.spki_pin)
    if by == "certificate":
        expected = Pin.of_certificate(known.leaf_der)
    assert reason.expected == (str(expected),)
    assert reason.found == (str(expected.like(issued.leaf_der)),)


def test_a_renewal_under_the_same_key_fits_the_pin(pki: PKI, recording_server: Factory) -> None:
    issued, mail = pki["renewed_same_key"], MAIL["imap"]
    trust = ExactCertificate(pin=pki["self_signed"].spki_pin, acknowledge="a test")
    assert_signs_in(serve(recording_server, issued, mail), issued, mail, TLSPolicy(trust=trust))


@every_class
@pytest.mark.parametrize("by", ["certificate", "pin"])
def test_a_self_signed_certificate_is_accepted_with_a_warning(
    by: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki["self_signed"]
    trust = (
        ExactCertificate(issued.leaf_pem)
        if by == "certificate"
        else ExactCertificate(pin=issued.spki_pin)
    )
    server = serve(recording_server, issued, mail)
    with pytest.warns(SelfSignedWarning, match=re.escape(HOST)) as warned:
        assert_signs_in(server, issued, mail, TLSPolicy(trust=trust))
    assert len(warned) == 1


# -- a self-signed certificate that is an authority


def test_an_authority_that_serves_is_accepted_with_a_warning(
    pki: PKI, recording_server: Factory
) -> None:
    issued, mail = pki["self_signed_ca"], MAIL["pop3"]
    server = serve(recording_server, issued, mail)
    with pytest.warns(SelfSignedWarning):
        assert_signs_in(server, issued, mail, TLSPolicy(trust=CATrust(issued.leaf_pem)))


@every_class
def test_what_a_trusted_authority_signs_is_accepted(
    mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    issued = pki["child_of_self_signed_ca"]
    policy = TLSPolicy(trust=CATrust(pki["self_signed_ca"].leaf_pem))
    assert_signs_in(serve(recording_server, issued, mail), issued, mail, policy)


def test_an_authority_without_key_usage_is_not_strict(pki: PKI, recording_server: Factory) -> None:
    issued, mail = pki["child_of_self_signed"], MAIL["imap"]
    trust = CATrust(pki["self_signed_cn_only"].leaf_pem)
    failure = refuse(serve(recording_server, issued, mail), issued, mail, TLSPolicy(trust=trust))
    assert failure.error.verify_code == 92
    assert failure.error.code == "not-strict"
    assert_signs_in(
        serve(recording_server, issued, mail),
        issued,
        mail,
        TLSPolicy(trust=trust, strict_x509=False),
    )


def test_a_server_is_no_authority(pki: PKI) -> None:
    with pytest.raises(PolicyError, match="ExactCertificate") as raised:
        TLSPolicy(trust=CATrust(pki["self_signed"].leaf_pem))
    assert raised.value.code == "not-a-ca"


def test_an_authority_is_no_server(pki: PKI) -> None:
    with pytest.raises(PolicyError, match="CATrust") as raised:
        TLSPolicy(trust=ExactCertificate(pki["self_signed_cert_sign_only"].leaf_pem))
    assert raised.value.code == "not-a-server"


# -- names


@every_class
@pytest.mark.parametrize("host", [name for name in GOOD_NAMES if name != "::1"])
def test_every_name_of_a_good_certificate_serves(
    host: str, mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    server = serve(recording_server, pki["good"], mail)
    mail.attempt(server, host=host, policy=TLSPolicy(trust=CATrust(pki.ca_pem)))


@every_class
def test_the_name_to_verify_can_be_another_than_the_one_dialled(
    mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    server = serve(recording_server, pki["wrong_name"], mail)
    mail.attempt(server, host=HOST, policy=policy, server_hostname="other.example.net")
    with failing(server, 2) as failure:
        mail.attempt(server, host="other.example.net", policy=policy, server_hostname=HOST)
    assert failure.error.reasons[0].asked == HOST
