"""Trust stores: what they take, what they refuse, and what they say of themselves."""

import datetime
import os
import pickle
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    CATrust,
    CertificateRejected,
    CertifiTrust,
    ExactCertificate,
    Pin,
    PolicyError,
    SystemTrust,
    TLSPolicy,
    Vouched,
    Waive,
)
from securemail.trust.base import Peer
from servers import scripts
from servers.pki import PKI
from servers.recording import RecordingServer

PIN = "sha256/" + "A" * 43 + "="
CERTIFICATE_PIN = Pin.certificate("AB" * 32)
UNTIL = datetime.date(2031, 1, 1)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


def loaded(policy: TLSPolicy) -> int:
    return len(policy.ssl_context().get_ca_certs())


# -- what is refused, when the policy is made


def refused(make: Callable[[], object]) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        make()
    assert caught.value.hint, "every refusal says what to do"
    return caught.value


def test_a_leaf_is_no_ca_and_is_told_the_right_store(pki: PKI) -> None:
    error = refused(lambda: CATrust(pki["good"].leaf_pem))
    assert error.code == "not-a-ca"
    assert "ExactCertificate" in error.hint


def test_a_bundle_with_one_leaf_in_it_is_refused(pki: PKI, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pki.ca_pem.read_bytes() + pki["good"].leaf_pem.read_bytes())
    assert refused(lambda: CATrust(bundle)).code == "not-a-ca"


def test_a_ca_is_no_server_and_is_told_the_right_store(pki: PKI) -> None:
    error = refused(lambda: ExactCertificate(pki.intermediate_pem))
    assert error.code == "not-a-server"
    assert "CATrust" in error.hint


@pytest.mark.parametrize("store", [CATrust, ExactCertificate])
def test_a_private_key_is_refused(store: Any, pki: PKI) -> None:
    assert refused(lambda: store(pki["good"].key)).code == "private-key"
    both = pki["good"].leaf_pem.read_text() + pki["good"].key.read_text()
    assert refused(lambda: store(both)).code == "private-key"


@pytest.mark.parametrize("store", [CATrust, ExactCertificate])
def test_a_file_without_a_certificate_is_refused(store: Any, tmp_path: Path) -> None:
    odd = tmp_path / "odd.pem"
    odd.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    error = refused(lambda: store(odd))
    assert error.code == "no-certificate"
    assert "only PUBLIC KEY" in str(error)
    odd.write_bytes(b"")
    assert refused(lambda: store(odd)).code == "no-certificate"


@pytest.mark.parametrize("store", [CATrust, ExactCertificate])
def test_a_damaged_certificate_is_refused(store: Any, pki: PKI) -> None:
    lines = pki.ca_pem.read_text().splitlines()
    cut = "\n".join([*lines[:3], *lines[5:]])
    assert refused_code(lambda: store(cut)) == "damaged-certificate"
    lines[2] = "*" + lines[2][1:]
    assert refused_code(lambda: store("\n".join(lines))) == "damaged-certificate"


def refused_code(make: Callable[[], object]) -> str:
    with pytest.raises(PolicyError) as caught:
        make()
    return caught.value.code


@pytest.mark.parametrize("store", [CATrust, ExactCertificate])
def test_an_unreadable_file_is_refused(store: Any, tmp_path: Path) -> None:
    assert refused(lambda: store(tmp_path / "none.pem")).code == "file-unreadable"


def test_a_directory_without_certificates_is_an_empty_store(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("nothing here")
    assert refused(lambda: CATrust(tmp_path)).code == "empty-store"


def test_exact_certificate_takes_one_of_two() -> None:
    assert refused_code(lambda: ExactCertificate()) == "exact-certificate"
    assert refused_code(lambda: ExactCertificate("x.pem", pin=PIN)) == "exact-certificate"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Waive.EXPIRY("", until=UNTIL),
        lambda: Waive.EXPIRY("  ", until=UNTIL),
        lambda: Waive.EXPIRY("why", until="2031-01-01"),  # type: ignore[arg-type]
        lambda: ExactCertificate(pin=PIN, waive="expiry"),  # type: ignore[arg-type]
        lambda: ExactCertificate(pin=PIN, acknowledge=" "),
    ],
)
def test_an_exception_needs_its_reason_and_its_day(make: Callable[[], object]) -> None:
    with pytest.raises(PolicyError):
        make()


ODD_PAIRS: dict[str, Callable[[], object]] = {
    "exact on the right": lambda: SystemTrust() | ExactCertificate(pin=PIN),
    "exact on the left": lambda: ExactCertificate(pin=PIN) | SystemTrust(),
    "two exact": lambda: ExactCertificate(pin=PIN) | ExactCertificate(pin=PIN),
    "a path": lambda: SystemTrust() | "corp.pem",
    "a path on the left": lambda: "corp.pem" | SystemTrust(),
    "nothing": lambda: CertifiTrust() | None,
}


@pytest.mark.parametrize("pair", ODD_PAIRS)
def test_only_stores_of_authorities_can_be_joined(pair: str) -> None:
    assert refused(ODD_PAIRS[pair]).code == "trust-join"


# -- what is taken


def test_authorities_come_from_a_file_text_octets_or_der(pki: PKI, tmp_path: Path) -> None:
    text = pki.ca_pem.read_text()
    der = tmp_path / "ca.der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(text))
    for source in (pki.ca_pem, str(pki.ca_pem), text, text.encode(), der):
        assert loaded(TLSPolicy(trust=CATrust(source))) == 1


def test_authorities_come_from_a_directory_hashed_or_not(pki: PKI, tmp_path: Path) -> None:
    shutil.copy(pki.ca_pem, tmp_path / "one.pem")
    shutil.copy(pki.other_ca_pem, tmp_path / "two.crt")
    (tmp_path / "README").write_text("not a certificate")
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True)
    assert loaded(TLSPolicy(trust=CATrust(tmp_path))) == 2


def test_joined_stores_believe_what_either_does(pki: PKI) -> None:
    trust = CATrust(pki.ca_pem) | CATrust(pki.other_ca_pem) | CertifiTrust()
    assert loaded(TLSPolicy(trust=trust)) > 100
    assert "certifi" in trust.describe()
    for name in ("good", "unknown_ca"):
        assert str(greeted(pki, name, TLSPolicy(trust=trust)))


def greeted(pki: PKI, name: str, policy: TLSPolicy, **options: Any) -> Any:
    """Connect and return the report."""
    issued = pki[name]
    with RecordingServer(scripts.imap_ok, context=issued.server_context()) as server:
        options.setdefault("server_hostname", issued.asked_as)
        with IMAP4_SSL(server.host, server.port, policy=policy, **options) as imap:
            return imap.report


def test_stores_are_equal_by_path_hashable_and_picklable(pki: PKI) -> None:
    stores = [
        SystemTrust(),
        CertifiTrust(),
        CATrust(pki.ca_pem),
        SystemTrust() | CATrust(pki.ca_pem),
        ExactCertificate(pki["self_signed"].leaf_pem, acknowledge="bridge"),
        ExactCertificate(pin=CERTIFICATE_PIN, waive=Waive.EXPIRY("why", until=UNTIL)),
    ]
    assert len(set(stores)) == len(stores)
    for store in stores:
        assert pickle.loads(pickle.dumps(store)) == store
    assert CATrust(pki.ca_pem) == CATrust(str(pki.ca_pem))
    assert ExactCertificate(pin=PIN) == ExactCertificate(pin=Pin(PIN))


# -- the system's store


def test_the_system_store_is_named_in_words() -> None:
    described = SystemTrust().describe()
    assert "system's store" in described or "certifi" in described
    assert "SSL_CERT" not in described


def test_the_environment_is_honoured_and_shown(
    pki: PKI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(CertificateRejected):
        greeted(pki, "good", TLSPolicy())
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
    report = greeted(pki, "good", TLSPolicy())
    assert f"SSL_CERT_FILE={pki.ca_pem}" in report.tls.trusted_by


def test_a_directory_from_the_environment_is_honoured_and_shown(
    pki: PKI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copy(pki.ca_pem, tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert refused(lambda: TLSPolicy()).code == "empty-store", "not hashed: OpenSSL finds nothing"
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True)
    report = greeted(pki, "good", TLSPolicy())
    assert f"SSL_CERT_DIR={tmp_path}" in report.tls.trusted_by


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("value", ["", " ", "/nowhere/at/all", "empty"])
def test_a_variable_that_leads_to_no_certificate_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if value == "empty":
        value = str(tmp_path / "empty")
        (tmp_path / "empty").mkdir() if variable.endswith("DIR") else Path(value).touch()
    monkeypatch.setenv(variable, value)
    error = refused(lambda: TLSPolicy())
    assert error.code == "empty-store"
    assert variable in str(error)


def test_certifi_stands_in_only_where_the_system_has_no_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A system without a store: OpenSSL's built-in paths lead nowhere."""
    program = """
import ssl, collections
real = ssl.get_default_verify_paths()
nowhere = real._replace(openssl_cafile="/nowhere/cert.pem", openssl_capath="/nowhere/certs")
ssl.get_default_verify_paths = lambda: nowhere
ssl.SSLContext.load_default_certs = lambda self, purpose=None: None  # finds nothing, says nothing
from securemail import TLSPolicy
policy = TLSPolicy()
print(len(policy.ssl_context().get_ca_certs()) > 100, policy.trust.describe())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stdout.startswith("True certifi 2"), done.stdout
    assert "because this system has no store" in done.stdout


# -- stores that others write


class OnlyOnMondays:
    """A store of somebody else's: vouches by the private CA, on the condition it was given."""

    def __init__(self, ca: Path, answer: Callable[[Peer], Vouched | None]) -> None:
        self.ca, self.answer, self.seen = ca, answer, list[Peer]()

    def prepare(self, context: ssl.SSLContext) -> None:
        context.load_verify_locations(cafile=self.ca)

    def verify(self, peer: Peer) -> Vouched | None:
        self.seen.append(peer)
        return self.answer(peer)

    def __repr__(self) -> str:
        return "OnlyOnMondays()"


def test_a_store_of_ones_own_is_asked_after_the_handshake(pki: PKI) -> None:
    store = OnlyOnMondays(pki.ca_pem, lambda peer: None)
    report = greeted(pki, "with_intermediate", TLSPolicy(trust=store))
    (peer,) = store.seen
    assert peer.host == "mail.example.org"
    assert peer.protocol == "IMAP over TLS"
    assert peer.port == report.port
    assert peer.presented[0] == pki["with_intermediate"].leaf_der
    assert len(peer.presented) == 2
    assert peer.verified is not None
    assert len(peer.verified) == 3
    assert report.tls.trusted_by == "OnlyOnMondays()"


def test_a_store_of_ones_own_can_say_more(pki: PKI) -> None:
    said = Vouched("the Monday list", not_checked=("the weather",))
    report = greeted(pki, "good", TLSPolicy(trust=OnlyOnMondays(pki.ca_pem, lambda peer: said)))
    assert report.tls.trusted_by == "the Monday list"
    assert "the weather" in report.tls.not_checked


def test_a_store_of_ones_own_can_refuse(pki: PKI) -> None:
    def refuse(peer: Peer) -> Vouched | None:
        raise CertificateRejected("it is not Monday.", hint="Come back on Monday.")

    with pytest.raises(CertificateRejected, match="it is not Monday") as caught:
        greeted(pki, "good", TLSPolicy(trust=OnlyOnMondays(pki.ca_pem, refuse)))
    assert caught.value.hint == "Come back on Monday."
    assert caught.value.host == "mail.example.org"


def test_a_store_that_breaks_is_a_refusal(pki: PKI) -> None:
    def broken(peer: Peer) -> Vouched | None:
        raise KeyError("calendar")

    with pytest.raises(CertificateRejected, match="the trust store raised KeyError"):
        greeted(pki, "good", TLSPolicy(trust=OnlyOnMondays(pki.ca_pem, broken)))


def test_a_policy_error_of_a_store_is_a_refusal(pki: PKI) -> None:
    """In a handshake asyncio knows `ssl.SSLError` alone; with another it would wait on."""

    def asks_for_more(peer: Peer) -> Vouched | None:
        raise PolicyError("the calendar is missing.", code="calendar", hint="Hang one up.")

    with pytest.raises(CertificateRejected, match="the calendar is missing") as caught:
        greeted(pki, "good", TLSPolicy(trust=OnlyOnMondays(pki.ca_pem, asks_for_more)))
    assert (caught.value.code, caught.value.hint) == ("calendar", "Hang one up.")
    assert caught.value.host == "mail.example.org"


class NoVerification:
    """What people try: turn it off, and say nothing."""

    def __init__(self, *, names_only: bool = False) -> None:
        self.names_only = names_only

    def prepare(self, context: ssl.SSLContext) -> None:
        context.check_hostname = False
        if not self.names_only:
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_default_certs()

    def verify(self, peer: Peer) -> None:
        return None


def test_turning_verification_off_without_an_answer_is_a_refusal(pki: PKI) -> None:
    with pytest.raises(CertificateRejected, match="turned verification off"):
        greeted(pki, "self_signed", TLSPolicy(trust=NoVerification()))


def test_turning_names_off_without_an_answer_is_a_refusal(
    pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
    with pytest.raises(CertificateRejected, match="turned verification off"):
        greeted(pki, "good", TLSPolicy(trust=NoVerification(names_only=True)))


class Weakening(OnlyOnMondays):
    """Tries to take the TLS parameters along."""

    def prepare(self, context: ssl.SSLContext) -> None:
        super().prepare(context)
        context.options |= 0x4  # OP_LEGACY_SERVER_CONNECT
        context.options &= ~ssl.OP_NO_RENEGOTIATION
        context.hostname_checks_common_name = True
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED


def test_tls_parameters_set_by_a_store_do_not_last(pki: PKI) -> None:
    context = TLSPolicy(trust=Weakening(pki.ca_pem, lambda peer: None)).ssl_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.security_level == 2
    assert not context.hostname_checks_common_name
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & 0x4
    assert not any("CBC" in suite["name"] for suite in context.get_ciphers())


def test_something_that_is_no_store_is_refused() -> None:
    assert refused(lambda: TLSPolicy(trust="corp.pem")).code == "trust"  # type: ignore[arg-type]


def test_a_store_that_cannot_be_hashed_is_told_so(pki: PKI) -> None:
    class Unhashable(OnlyOnMondays):
        __hash__ = None  # type: ignore[assignment]

    error = refused(
        lambda: TLSPolicy(trust=Unhashable(pki.ca_pem, lambda peer: None))  # type: ignore[arg-type]
    )
    assert "hash" in str(error)
