"""`securemail check --suggest`: what it prints is true. Its lines are executed: they accept this
server and no other one; and where it has none, no way of ours would have accepted it.
"""

import hashlib
import json
import re
import shlex
import shutil
import socket
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

import securemail
from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    CertificateRejected,
    ExactCertificate,
    FirstUseTrust,
    Pin,
    SecureMailWarning,
    TLSError,
    TLSPolicy,
    Waive,
    reasons,
)
from securemail.cli import main
from securemail.cli.suggest import suggestion_for
from securemail.cli.suggest.found import Refused
from securemail.cli.visit import PROTOCOLS, Place, Protocol, Way
from securemail.policy_file import ServerSettings
from servers import scripts
from servers.certificates import (
    Issuer,
    common_name,
    identifiers,
    pem,
    private_key_pem,
    san,
    sign,
)
from servers.kinds import HOST, KINDS
from servers.malformed import MALFORMED, device
from servers.pki import PKI, Issued
from servers.recording import RecordingServer
from servers.revocation import issuer_of, revocation_list

Factory = Callable[..., RecordingServer]
REFUSED = sorted(name for name, kind in KINDS.items() if kind.verify_code)
EXPLANATIONS = Path(securemail.__file__).parent / "explanations"
LONG = re.compile(r"([0-9A-F]{2}:){31}|sha256/[A-Za-z0-9+/]{43}=")  # fingerprint or pin
COMPARE = "First compare the certificate by another way than this connection."


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pki: PKI) -> None:
    """Every name is this computer; the system's authorities are the tests' root."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def other_pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """The same kinds and names, by other keys."""
    return PKI(tmp_path_factory.mktemp("other-pki"))


@dataclass
class Suggested:
    """What the command printed about one server, for people and for programs."""

    status: int
    text: str
    found: dict[str, Any]

    @property
    def said(self) -> str:
        """The suggestion alone, without line breaks."""
        return " ".join(self.text.partition("What would accept it")[2].split())

    def one(self, name: str) -> list[str]:
        return [way[name] for way in self.found["ways"]]


Suggest = Callable[..., Suggested]


@pytest.fixture
def suggest(capsys: pytest.CaptureFixture[str]) -> Suggest:
    def suggest(host: str, port: int, *options: object, protocol: str = "imap") -> Suggested:
        place = [f"--{protocol}", f"{host}:{port}", "--suggest"]
        arguments = ["check", *place, *map(str, options)]
        status = main(arguments)
        text = capsys.readouterr().out
        assert main([*arguments, "--json"]) == status
        (found,) = json.loads(capsys.readouterr().out)["results"]
        return Suggested(status, text, found["suggestion"])

    return suggest


def assert_copied_as_printed(suggested: Suggested) -> None:
    """What a program gets is on the screen, line by line, and no pin comes before the advice."""
    for way in suggested.found["ways"]:
        for line in (*way["python"].split("\n"), *way["toml"].split("\n")):
            assert f"    {line}\n" in suggested.text or not line
    before, pin = suggested.said, LONG.search(suggested.said)
    if pin:
        before = suggested.said[: pin.start()]
        assert COMPARE in before or "its SHA-256 fingerprint must be the owner's own" in before
    for sentence in suggested.found["administrator"]:
        assert sentence in suggested.said.replace(" > ", " ")


# --- the lines, executed


def by_python(code: str) -> None:
    """As a program's lines."""
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecureMailWarning)
        exec(code, names)  # noqa: S102  - that is what it is for
    names["imap"].logout()


def by_toml(text: str, host: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file that SECUREMAIL_POLICY names, of a script that says nothing itself."""
    Path("securemail.toml").write_text(text)
    with monkeypatch.context() as patched, warnings.catch_warnings():
        patched.setenv("SECUREMAIL_POLICY", "securemail.toml")
        warnings.simplefilter("ignore", SecureMailWarning)
        IMAP4_SSL(host, port).logout()


def assert_accepts(
    way: dict[str, Any], host: str, port: int, other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server on `port` and not the one on `other`, which differs by its key alone."""
    by_python(way["python"])
    by_toml(way["toml"], host, port, monkeypatch)
    with pytest.raises(CertificateRejected):
        by_python(way["python"].replace(str(port), str(other)))
    with pytest.raises(CertificateRejected):
        by_toml(way["toml"].replace(str(port), str(other)), host, other, monkeypatch)


PINNED = "ExactCertificate(pin="
WAIVED = 'ExactCertificate("server.pem", waive=Waive.'
AUTHORITY = ' | CATrust("ca.pem")'
FORM, EXPIRY = f"{WAIVED}MALFORMED", f"{WAIVED}EXPIRY"

# What the first way has, by kind, where the issuer that it names is trusted; and a sentence for the
# administrator.
WAYS: dict[str, tuple[str, str]] = {
    "expired": (EXPIRY, "; please renew it."),
    "wrong_name": ('server_hostname="other.example.net"', "is for other.example.net; people con"),
    "cn_only": (PINNED, "has no subjectAltName"),
    "wrong_ip": ('server_hostname="127.0.0.9"', "people connect to 127.0.0.1;"),
    "wildcard_partial": (PINNED, "is for m*il.example.org;"),
    "wildcard_two_labels": (PINNED, "people connect to a.b.example.org"),
    "wildcard_top_level": (PINNED, "is for *.org"),
    "wildcard_all": (PINNED, "is for *;"),
    "unknown_ca": (AUTHORITY, "sends only its own certificate: please send the intermediate"),
    "unknown_ca_with_root_sent": (AUTHORITY, "comes from"),
    "missing_intermediate": (AUTHORITY, "please send the intermediate"),
    "no_aki": ("strict_x509=False", "is not as RFC 5280 has it"),
    "ca_not_critical": ("strict_x509=False", "is not as RFC 5280 has it"),
    "wrong_eku": (FORM, "please get one with serverAuth"),
    "wrong_key_usage": (FORM, "please get one with digitalSignature"),
    "weak_signature": (PINNED, "is signed with SHA1"),
    "self_signed": (PINNED, "is self-signed"),
    "renewed_same_key": (PINNED, "is self-signed"),
    "self_signed_cn_only": (PINNED, "is self-signed"),
    "self_signed_no_extensions": (PINNED, "is self-signed"),
    "self_signed_expired": (EXPIRY, "; please renew it."),
    "self_signed_wrong_name": (PINNED, "is for other.example.net"),
    "self_signed_cert_sign_only": (FORM, "is not for TLS"),
    "self_signed_ca": (PINNED, "is self-signed"),
    "child_of_self_signed": (AUTHORITY, "please send the intermediate"),
    "child_of_self_signed_ca": (AUTHORITY, "please send the intermediate"),
}
NOTHING = {  # why, and a sentence for the administrator
    "not_yet_valid": ("Check this computer's clock", "is not valid before"),
    "forged_issuer": ("Look at what is between you and the server", "did not sign"),
    "weak_key": ("a 1024-bit RSA key can be computed", "its key is 1024-bit RSA; please make"),
    "self_signed_weak_key": ("a 1024-bit RSA key can be", "its key is 1024-bit RSA; please make"),
}
ISSUERS: dict[str, Callable[[PKI], Path]] = {
    "unknown_ca": lambda pki: pki.other_ca_pem,
    "unknown_ca_with_root_sent": lambda pki: pki.other_ca_pem,
    "missing_intermediate": lambda pki: pki.intermediate_pem,
    "child_of_self_signed": lambda pki: pki["self_signed_cn_only"].leaf_pem,
    "child_of_self_signed_ca": lambda pki: pki["self_signed_ca"].leaf_pem,
    "no_aki": lambda pki: pki.no_aki_ca_pem,
    "ca_not_critical": lambda pki: pki.ca_not_critical_pem,
}


def put_files(issued: Issued, pki: PKI) -> None:
    """Those that the lines name: from the real server, and from the real authority."""
    shutil.copy(issued.leaf_pem, "server.pem")
    if issued.name in ISSUERS:
        shutil.copy(ISSUERS[issued.name](pki), "ca.pem")


def test_the_tables_have_all_that_is_refused() -> None:
    assert sorted(WAYS.keys() | NOTHING.keys()) == REFUSED


# Under the system's store, which has one root of the tests: where that is another one, and some.
UNDER_THE_SYSTEM = ("no_aki", "ca_not_critical", "unknown_ca", "expired", "self_signed")


@pytest.mark.parametrize(
    ("name", "trust"),
    [
        *((name, "its authority") for name in sorted(WAYS)),
        *((name, "the system") for name in UNDER_THE_SYSTEM),
    ],
)
def test_every_way_accepts_this_server_and_no_other(
    name: str,
    trust: str,
    pki: PKI,
    other_pki: PKI,
    recording_server: Factory,
    suggest: Suggest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = pki[name]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    other = recording_server(scripts.imap_ok, context=other_pki[name].server_context())
    shutil.copy(issued.anchor_pem, "trusted.pem")
    options = ["--ca", "trusted.pem", "--only-ca"] if trust == "its authority" else []
    suggested = suggest(issued.asked_as, server.port, *options)

    assert suggested.status == 2
    for record in server.wait(2):
        assert (record.received_tls, record.received_clear) == (b"", b"")
    assert_copied_as_printed(suggested)
    words, sentence = WAYS[name]
    assert sentence in " ".join(suggested.found["administrator"]) or trust == "the system"
    ways = suggested.found["ways"]
    if trust == "its authority" or name not in ("no_aki", "ca_not_critical"):
        assert words in ways[0]["python"]
    put_files(issued, pki)
    for way in ways:
        if AUTHORITY in way["python"] and name in NOT_STRICT_AUTHORITIES:
            assert_asks_again(way, issued, server, suggest, monkeypatch)
        else:
            place = issued.asked_as, server.port
            assert_accepts(way, *place, other.port, monkeypatch)


# With the authority's certificate at hand it is seen that it breaks RFC 5280.
NOT_STRICT_AUTHORITIES = ("no_aki", "ca_not_critical", "child_of_self_signed")


def assert_asks_again(
    way: dict[str, Any],
    issued: Issued,
    server: RecordingServer,
    suggest: Suggest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(CertificateRejected) as caught:
        by_python(way["python"])
    assert caught.value.code == "not-strict"
    place = issued.asked_as, server.port
    (again,) = suggest(*place, "--ca", "ca.pem").found["ways"]
    assert "strict_x509=False" in again["python"]
    by_python(again["python"])
    by_toml(again["toml"], *place, monkeypatch)


TOMORROW = datetime.now(UTC).date() + timedelta(days=2)
EVERYTHING = (
    Waive.MALFORMED("a test", until=TOMORROW),
    Waive.EXPIRY("a test", until=TOMORROW),
)


def rungs(issued: Issued) -> list[TLSPolicy]:
    """All that comes next to turning verification off."""
    exact = [
        ExactCertificate(issued.leaf_pem),
        ExactCertificate(pin=issued.spki_pin),
        ExactCertificate(issued.leaf_pem, waive=EVERYTHING),
    ]
    return [TLSPolicy(trust=one, strict_x509=False, legacy_ciphers="a test") for one in exact]


@pytest.mark.parametrize("name", sorted(NOTHING))
def test_where_nothing_is_suggested_nothing_would_accept_it(
    name: str, pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    issued = pki[name]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    suggested = suggest(issued.asked_as, server.port)
    why, sentence = NOTHING[name]

    assert (suggested.status, suggested.found["ways"], suggested.found["compare"]) == (2, [], None)
    assert why in suggested.found["none"]
    assert why in suggested.said
    assert sentence in suggested.said.replace(" > ", " ")
    assert not LONG.search(suggested.said)
    if name == "forged_issuer":
        return  # a pin would: so it says why it must not
    for policy in rungs(issued):
        with pytest.raises(CertificateRejected):
            IMAP4_SSL(issued.asked_as, server.port, policy=policy)


@pytest.mark.parametrize("name", MALFORMED)
def test_certificates_of_devices(
    name: str,
    tmp_path: Path,
    recording_server: Factory,
    suggest: Suggest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, another = device(tmp_path, **MALFORMED[name]), tmp_path / "another"
    another.mkdir()
    with_key = device(another, key=ec.generate_private_key(ec.SECP256R1()), **MALFORMED[name])
    server = recording_server(scripts.imap_ok, context=made.server_context())
    other = recording_server(scripts.imap_ok, context=with_key.server_context())
    suggested = suggest(HOST, server.port)

    assert_copied_as_printed(suggested)
    shutil.copy(made.cert, "server.pem")
    (way,) = suggested.found["ways"]
    assert_accepts(way, HOST, server.port, other.port, monkeypatch)
    if "MALFORMED" in way["python"]:
        assert (
            f"until={date_in_python(datetime.now(UTC).date() + timedelta(days=14))}"
            in (way["python"])
        )


def date_in_python(day: date) -> str:
    return f"date({day.year}, {day.month}, {day.day})"


# --- what a suggestion starts from


def test_it_starts_from_the_options(pki: PKI, recording_server: Factory, suggest: Suggest) -> None:
    """They stay in the lines; and what was asked for by the options of before is found."""
    server = recording_server(scripts.imap_ok, context=pki["wrong_name"].server_context())
    shutil.copy(pki.ca_pem, "ca.pem")
    old = ["--ca", "ca.pem", "--only-ca", "--minimum-version", "1.3", "--legacy-ciphers", "old"]
    (way,) = suggest(HOST, server.port, *old).found["ways"]

    policy = 'TLSPolicy(minimum_version="1.3", trust=CATrust("ca.pem"), legacy_ciphers="old")'
    assert policy in way["python"]
    assert f'trust = {{ ca = "{Path("ca.pem").resolve()}" }}' in way["toml"]
    by_python(way["python"])


def test_a_second_authority_has_a_name_of_its_own(
    pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["unknown_ca"].server_context())
    shutil.copy(pki.ca_pem, "ca.pem")
    way, _ = suggest(HOST, server.port, "--ca", "ca.pem").found["ways"]

    assert 'SystemTrust() | CATrust("ca.pem") | CATrust("other-ca.pem")' in way["python"]
    shutil.copy(pki.other_ca_pem, "other-ca.pem")
    by_python(way["python"])


def test_an_exact_certificate_keeps_its_file(
    pki: PKI, recording_server: Factory, suggest: Suggest, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = pki["self_signed_expired"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    shutil.copy(issued.leaf_pem, "mine.pem")
    (way,) = suggest(HOST, server.port, "--certificate", "mine.pem").found["ways"]

    assert 'ExactCertificate("mine.pem", waive=Waive.EXPIRY' in way["python"]
    by_python(way["python"])
    by_toml(way["toml"], HOST, server.port, monkeypatch)


@pytest.mark.parametrize("pin", ["of the certificate", "of its key"])
def test_a_pinned_certificate_keeps_its_pin(
    pin: str,
    pki: PKI,
    recording_server: Factory,
    suggest: Suggest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key's has no waivers."""
    issued = pki["expired"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    fingerprint = hashlib.sha256(issued.leaf_der).hexdigest()
    given, words = {
        "of the certificate": (fingerprint, "ExactCertificate(pin=Pin.certificate("),
        "of its key": (issued.spki_pin, EXPIRY),
    }[pin]
    (way,) = suggest(HOST, server.port, "--pin", given).found["ways"]

    assert words in way["python"]
    put_files(issued, pki)
    by_python(way["python"])
    by_toml(way["toml"], HOST, server.port, monkeypatch)


@pytest.mark.parametrize("kind", ["self_signed", "expired"])
def test_another_key_than_the_pinned_one_is_not_suggested(
    kind: str, pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    server = recording_server(scripts.imap_ok, context=pki[kind].server_context())
    pin = pki["good"].spki_pin
    for options in (["--pin", pin], ["--also-pin", pin]):
        suggested = suggest(HOST, server.port, *options)
        assert suggested.found["ways"] == []
        assert "pin" in suggested.found["none"]
        assert pki[kind].spki_pin not in suggested.said


@pytest.mark.parametrize("kind", ["self_signed", "expired"])
def test_a_second_pin_stays(
    kind: str, pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    issued = pki[kind]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    (way,) = suggest(HOST, server.port, "--also-pin", issued.spki_pin).found["ways"]

    assert f'pins=("{issued.spki_pin}",)' in way["python"]
    put_files(issued, pki)
    by_python(way["python"])


def test_a_pin_of_an_authority_leaves_no_way_around_it(
    pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    """Anybody can send an authority's certificate after his own."""
    context = pki["unknown_ca_with_root_sent"].server_context()
    server = recording_server(scripts.imap_ok, context=context)
    root = Pin.from_pem(pki.other_ca_pem)
    (way,) = suggest(HOST, server.port, "--also-pin", root).found["ways"]

    assert f'CATrust("ca.pem"), pins=("{root}",)' in way["python"]
    shutil.copy(pki.other_ca_pem, "ca.pem")
    by_python(way["python"])


@pytest.mark.parametrize("host", ["imap.gmail.com", "outlook.office365.com"])
@pytest.mark.parametrize("kind", ["self_signed", "unknown_ca", "wrong_name", "expired"])
def test_for_a_provider_nothing_is_suggested(
    kind: str, host: str, pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    server = recording_server(scripts.imap_ok, context=pki[kind].server_context())
    suggested = suggest(host, server.port)

    assert (suggested.found["ways"], suggested.found["administrator"]) == ([], [])
    assert "Look who is in between" in suggested.said
    assert not LONG.search(suggested.said)
    assert suggest("mail.example.org", server.port).found["ways"]  # the control


def test_a_server_of_a_policy_file(
    pki: PKI, recording_server: Factory, suggest: Suggest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["wrong_name"].server_context())
    Path("before.toml").write_text('[default]\nminimum_version = "1.3"\n')
    with monkeypatch.context() as patched:
        patched.setenv("SECUREMAIL_POLICY", "before.toml")
        suggested = suggest(HOST, server.port)

    assert "The settings start from" in suggested.said
    (way,) = suggested.found["ways"]
    assert 'minimum_version = "1.3"' in way["toml"]
    by_python(way["python"])
    by_toml(way["toml"], HOST, server.port, monkeypatch)


def test_an_unknown_server_is_to_be_learned(
    pki: PKI, recording_server: Factory, suggest: Suggest, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = pki["self_signed"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    suggested = suggest(HOST, server.port, "--known", "known-servers")
    assert_copied_as_printed(suggested)
    (way,) = suggested.found["ways"]
    assert f"    {way['command']}\n" in suggested.text
    with pytest.raises(CertificateRejected):
        by_python(way["python"])

    _, *command = shlex.split(way["command"])
    assert main([*command, "--pin", pki["good"].spki_pin]) != 0
    with pytest.raises(CertificateRejected):
        by_python(way["python"])
    assert main([*command, "--pin", issued.spki_pin]) == 0  # as it was got by another way
    by_python(way["python"])
    by_toml(way["toml"], HOST, server.port, monkeypatch)


def test_a_known_server_with_another_key_is_not_learned_anew(
    pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    known = FirstUseTrust("known-servers")
    known.expect(("imap", HOST, server.port), pki["good"].spki_pin)
    suggested = suggest(HOST, server.port, "--known", "known-servers")

    assert (suggested.found["ways"], suggested.found["compare"]) == ([], None)
    assert "confirms the new one, by another way than this connection" in suggested.said
    assert "Did you change it?" in suggested.found["administrator"][0]


def test_no_name_of_a_certificate_becomes_code(recording_server: Factory, suggest: Suggest) -> None:
    """Whoever answers writes what he wants there."""
    names = ('");import os;os.abort()#', "a b", "x\n[default]", "*.example.net", "ok.example.net")
    authority = trustme.CA()
    Path("ca.pem").write_bytes(authority.cert_pem.bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = Issuer.from_pem(authority.cert_pem.bytes(), authority.private_key_pem.bytes())
    leaf = sign(
        common_name("x"), key.public_key(), issuer, [*san(names), *identifiers(key, issuer)]
    )
    Path("leaf.pem").write_bytes(pem(leaf))
    Path("leaf.key").write_bytes(private_key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("leaf.pem", "leaf.key")
    server = recording_server(scripts.imap_ok, context=context)
    (way,) = suggest(HOST, server.port, "--ca", "ca.pem").found["ways"]

    assert 'server_hostname="ok.example.net")' in way["python"]
    assert "abort" not in way["python"] + way["toml"]
    by_python(way["python"])


def test_revocation_lists(pki: PKI, recording_server: Factory, suggest: Suggest) -> None:
    """Revoked: nothing. And an exact certificate asks no authority, so they go."""
    root = issuer_of(pki._workshop.root)
    lists = {"revoked.crl": [pki["good"]], "none.crl": []}
    for name, revoked in lists.items():
        found = revocation_list(root, *revoked)
        Path(name).write_bytes(found.public_bytes(Encoding.DER))

    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    suggested = suggest(HOST, server.port, "--crl", "revoked.crl")
    assert suggested.found["ways"] == []
    assert "called the certificate back" in suggested.said
    assert "was revoked by its authority on" in suggested.found["administrator"][0]

    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    suggested = suggest(HOST, server.port, "--crl", "none.crl")
    (way,) = suggested.found["ways"]
    assert "Revocation is not looked up then." in suggested.said
    by_python(way["python"])

    server = recording_server(scripts.imap_ok, context=pki["wrong_name"].server_context())
    (way,) = suggest(HOST, server.port, "--crl", "none.crl").found["ways"]
    assert 'crls=("none.crl",)' in way["python"]
    by_python(way["python"])


# --- what the handshake did not get past


CODES = sorted(path.stem for path in EXPLANATIONS.glob("*.md"))


@pytest.mark.parametrize("code", CODES)
def test_every_error_has_a_way_or_a_reason_why_not(code: str) -> None:
    """Also those that no server of these tests causes."""
    error = TLSError("it failed.", code=code, hint="Look there.", credentials_sent=False)
    place = Place(protocol="imap", host=HOST, port=993)
    settings = ServerSettings(policy=TLSPolicy())
    refused = Refused(place=place, settings=settings, error=error, now=datetime.now(UTC))
    found = suggestion_for(refused)

    assert bool(found.ways) != bool(found.none)
    assert found.compare is None
    if code in ("weak-dh", "no-common-cipher"):
        assert 'legacy_ciphers="why"' in found.ways[0].python


def test_old_ciphers(
    pki: PKI, recording_server: Factory, suggest: Suggest, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = pki["good_rsa"].server_context(
        maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="AES128-GCM-SHA256"
    )
    server = recording_server(scripts.imap_ok, context=context)
    suggested = suggest(HOST, server.port)
    (way,) = suggested.found["ways"]

    assert 'legacy_ciphers="why"' in way["python"]
    (sentence,) = suggested.found["administrator"]
    assert sentence.startswith(f"The server {HOST}:{server.port} has no current cipher suite; ")
    by_python(way["python"])
    by_toml(way["toml"], HOST, server.port, monkeypatch)
    assert "Nothing to suggest" in suggest(HOST, server.port, "--legacy-ciphers", "old").text


def test_old_tls(
    pki: PKI, recording_server: Factory, suggest: Suggest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS 1.2 where 1.3 was asked for; nothing for TLS 1.1."""
    newer = pki["good"].server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    server = recording_server(scripts.imap_ok, context=newer)
    (way,) = suggest(HOST, server.port, "--minimum-version", "1.3").found["ways"]
    assert "minimum_version" not in way["python"] + way["toml"]
    by_python(way["python"])
    by_toml(way["toml"], HOST, server.port, monkeypatch)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = pki["good"].server_context(
            minimum_version=ssl.TLSVersion.TLSv1,
            maximum_version=ssl.TLSVersion.TLSv1_1,
            ciphers="ALL:@SECLEVEL=0",
        )
    server = recording_server(scripts.imap_ok, context=old)
    suggested = suggest(HOST, server.port)
    assert suggested.found["ways"] == []
    assert "nothing here speaks them" in suggested.said
    assert suggested.found["administrator"] == [
        f"The server {HOST}:{server.port} refuses TLS 1.2 and 1.3; please enable both."
    ]


@pytest.mark.parametrize("trust", ["the system", "a pin"])
def test_a_server_that_wants_a_certificate_of_ours(
    trust: str,
    pki: PKI,
    recording_server: Factory,
    suggest: Suggest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = pki["good"]
    context = issued.server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca_pem)
    server = recording_server(scripts.imap_ok, context=context)
    options = ["--pin", issued.spki_pin] if trust == "a pin" else []
    (way,) = suggest(HOST, server.port, *options).found["ways"]

    for name in ("me.pem", "me.key"):
        shutil.copy(pki.client_certificate("me"), name)
    put_files(issued, pki)
    by_python(way["python"])
    by_toml(way["toml"], HOST, server.port, monkeypatch)


def test_a_certificate_of_ours_is_shown_to_verified_servers_alone(
    pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    """So the server's is named by its file; where OpenSSL cannot verify that, there is no way."""
    shutil.copy(pki.client_certificate("me"), "me.pem")
    ours = ["--client-certificate", "me.pem"]
    issued = pki["self_signed"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    (way,) = suggest(HOST, server.port, *ours).found["ways"]
    assert 'ExactCertificate("server.pem")' in way["python"]
    put_files(issued, pki)
    by_python(way["python"])

    server = recording_server(scripts.imap_ok, context=pki["wrong_eku"].server_context())
    assert suggest(HOST, server.port).found["ways"]
    assert "No one setting" in suggest(HOST, server.port, *ours).found["none"]


def test_starttls_where_it_is_not_offered_and_tls_where_it_is_clear(
    pki: PKI, recording_server: Factory, suggest: Suggest, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = recording_server(scripts.imap_ok)
    found = suggest(HOST, clear.port, "--starttls").found
    assert (found["ways"], "does not offer STARTTLS" in found["administrator"][0]) == ([], True)

    tls = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    known = PROTOCOLS["imap"]
    monkeypatch.setitem(
        PROTOCOLS,
        "imap",
        Protocol(
            tls=Way(IMAP4_SSL, tls.port, known.tls.name),
            starttls=Way(IMAP4_STARTTLS, clear.port, known.starttls.name),
            goodbye=known.goodbye,
        ),
    )
    (way,) = suggest(HOST, clear.port, "--starttls").found["ways"]
    assert (way["toml"], f"--imap {HOST}:{tls.port}" in way["command"]) == ("", True)
    by_python(way["python"])


def test_a_port_where_nobody_listens(suggest: Suggest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    suggested = suggest(HOST, port)
    assert (suggested.status, suggested.found["ways"]) == (3, [])
    assert "Nothing in a policy would help here." in suggested.said


# --- STARTTLS, and the other protocols


UPGRADING = {"imap": b"STARTTLS", "pop3": b"STLS", "smtp": b"STARTTLS"}


@pytest.mark.parametrize("protocol", UPGRADING)
@pytest.mark.parametrize("starttls", [False, True])
def test_in_every_protocol(
    protocol: str, starttls: bool, pki: PKI, recording_server: Factory, suggest: Suggest
) -> None:
    """Nothing but TLS is said to a server that is refused."""
    context, script = pki["self_signed"].server_context(), scripts.POLITE[protocol]
    if starttls:
        server = recording_server(script.with_starttls(context))
    else:
        server = recording_server(script, context=context)
    options = ["--starttls"] * starttls
    suggested = suggest(HOST, server.port, *options, protocol=protocol)
    for record in server.wait(2):
        assert record.received_tls == b""
        said = record.received_clear.replace(b"\r\n", b" ").split(b" ")
        assert (UPGRADING[protocol] in said, said == [b""]) == (starttls, not starttls)
        assert not set(said) & {b"LOGIN", b"AUTH", b"USER", b"AUTHENTICATE"}

    (way,) = suggested.found["ways"]
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecureMailWarning)
        exec(way["python"], names)  # noqa: S102
    assert names[protocol].report.tls.trusted_by == f"the pin {pki['self_signed'].spki_pin}"
    (names[protocol].logout if protocol == "imap" else names[protocol].quit)()


# --- a server that is accepted


def test_stricter_policies_are_tried(pki: PKI, recording_server: Factory, suggest: Suggest) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    suggested = suggest(HOST, server.port)
    first, second, *_ = server.wait(4)

    assert suggested.status == 0
    answers = {one["question"]: one["works"] for one in suggested.found["stricter"]}
    assert answers == {"TLS 1.3 only": True, "Days left": True}
    assert "TLS 1.3 only: yes" in suggested.text
    assert "LOGIN" not in (first.received_tls + second.received_tls).decode()

    old = pki["good"].server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    server = recording_server(scripts.imap_ok, context=old)
    suggested = suggest(HOST, server.port)
    assert suggested.found["stricter"][0]["works"] is False
    assert "TLS 1.3 only: no: the server refused TLS 1.3" in suggested.text
    assert suggested.status == 0


def test_only_what_the_policy_is_laxer_in_is_asked(
    pki: PKI, recording_server: Factory, suggest: Suggest, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = pki["ca_not_critical"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    lax = ["--no-strict-x509", "--legacy-ciphers", "old", "--minimum-version", "1.3"]
    found = suggest(HOST, server.port, "--ca", issued.anchor_pem, *lax).found["stricter"]
    assert {one["question"]: one["works"] for one in found} == {
        "Strict X.509": False,
        "Without old cipher suites": True,
        "Days left": True,
    }

    issued = pki["expired"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    put_files(issued, pki)
    waiver = f'{{ reason = "new one on Monday", until = {TOMORROW} }}'
    trust = f'trust = {{ certificate = "server.pem", waive_expiry = {waiver} }}'
    Path("policy.toml").write_text(f'[default]\nminimum_version = "1.3"\n{trust}\n')
    monkeypatch.setenv("SECUREMAIL_POLICY", "policy.toml")
    suggested = suggest(HOST, server.port)
    assert {one["question"]: one["works"] for one in suggested.found["stricter"]} == {
        "Without its waivers": False,
        "Days left": False,
    }
    assert suggested.status == 1


@pytest.mark.parametrize(("days", "words"), [(31, ""), (30, "soon"), (15, "soon"), (14, "NOW")])
def test_days_left(days: int, words: str, recording_server: Factory, suggest: Suggest) -> None:
    authority, now = trustme.CA(), datetime.now(UTC)
    end = now + timedelta(days=days, hours=1)
    issued = authority.issue_cert(HOST, not_before=now - timedelta(days=1), not_after=end)
    Path("ca.pem").write_bytes(authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    server = recording_server(scripts.imap_ok, context=context)
    answer = suggest(HOST, server.port, "--ca", "ca.pem").found["stricter"][-1]

    assert answer["text"].startswith(f"{days} day")
    assert (words in answer["text"], answer["works"]) == (True, not words)


def test_without_the_option_nothing_of_it_is_said(
    pki: PKI, recording_server: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    assert main(["check", "--imap", f"{HOST}:{server.port}"]) == 0
    assert "stricter" not in capsys.readouterr().out
    assert main(["check", "--imap", f"{HOST}:{server.port}", "--json"]) == 0
    assert "suggestion" not in json.loads(capsys.readouterr().out)["results"][0]
    assert server.connections == 2


def test_the_administrator_reads_whose_certificate_it_is(pki: PKI) -> None:
    """Of what the server sends with its own, not of its own."""
    now, leaf = datetime.now(UTC), pki["with_intermediate"].leaf_der
    of_authority = (
        reasons.Expired(now - timedelta(days=3), now),
        reasons.WeakKey("RSA", 1024, 2048, "CN=Some authority"),
        reasons.AuthorityUnfit("path length constraint exceeded", 25),
    )
    error = CertificateRejected("", reasons=of_authority, chain=(leaf,))
    place = Place(protocol="imap", host=HOST, port=993)
    settings = ServerSettings(policy=TLSPolicy())
    found = suggestion_for(
        Refused(place=place, settings=settings, error=error, chain=(leaf,), now=now)
    )

    first, second, third = found.administrator
    assert first.startswith(
        f"An authority's certificate that {HOST}:993 sends with its own expired"
    )
    assert second.startswith(f"The authority of {HOST}:993, CN=Some authority: its key is 1024-bit")
    assert third.startswith(f"An authority above the certificate of {HOST}:993 is refused by")
    assert '"path length constraint exceeded"' in third
    (way,) = found.ways  # by its own key, which nothing is wrong with
    assert (PINNED in way.python, "waive" in way.python) == (True, False)
