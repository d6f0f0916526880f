"""`Waive.EXPIRY` and `Waive.MALFORMED`: for one exact certificate, with a reason, until a day."""

import traceback
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from securemail import (
    CertificateRejected,
    ClientCertificate,
    ExactCertificate,
    Peer,
    Pin,
    PinMismatch,
    PolicyError,
    SecureMailWarning,
    TLSPolicy,
    Waive,
    WaiverWarning,
    reasons,
)
from securemail.tls.facts import find_facts
from securemail.trust.key_facts import leaf_facts
from securemail.trust.malformed import malformed_facts
from servers import scripts
from servers.attempts import MAIL, PASSWORD, Mail, assert_nothing_said, failing
from servers.leaks import leaks
from servers.malformed import HOST, MALFORMED, UTC_TIME, Device, device, tlv
from servers.pki import PKI
from servers.recording import RecordingServer

Factory = Callable[..., RecordingServer]
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
every_form = pytest.mark.parametrize("form", MALFORMED)

TODAY = datetime.now(UTC).date()
SOON = TODAY + timedelta(days=90)
LONG_AGO = tlv(UTC_TIME, b"210101000000Z")
WHY = "the printer in the hall"
FORM = Waive.MALFORMED(WHY, until=SOON)
EXPIRY = Waive.EXPIRY(WHY, until=SOON)


def serve(recording_server: Factory, shown: Any, mail: Mail) -> RecordingServer:
    return recording_server(scripts.POLITE[mail.protocol], context=shown.server_context())


def sign_in(server: RecordingServer, mail: Mail, trust: ExactCertificate) -> list[str]:
    """Accepted, and the password went over TLS only. The warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mail.attempt(server, policy=TLSPolicy(trust=trust))
    (record,) = server.wait()
    assert leaks(record.received_tls, PASSWORD) != []
    assert leaks(bytes(record.wire), PASSWORD) == []
    assert all(issubclass(one.category, SecureMailWarning) for one in caught)
    return [str(one.message) for one in caught if one.category is WaiverWarning]


def refuse(server: RecordingServer, mail: Mail, trust: ExactCertificate) -> Any:
    with failing(server) as failure:
        mail.attempt(server, policy=TLSPolicy(trust=trust))
    assert_nothing_said(failure.records)
    return failure.error


@every_form
@every_class
def test_a_malformed_certificate(
    form: str, mail: Mail, tmp_path: Path, recording_server: Factory
) -> None:
    """With the waiver exactly this one is accepted: said in the warning and in the report."""
    shown = device(tmp_path, **MALFORMED[form])
    server = serve(recording_server, shown, mail)
    (warning,) = sign_in(server, mail, ExactCertificate(shown.cert, waive=FORM))
    assert warning.startswith("127.0.0.1: the certificate was accepted whatever its form; ")
    assert f"accepted until {SOON} ({WHY})" in warning


@every_form
def test_without_the_waiver_it_is_refused(
    form: str, tmp_path: Path, recording_server: Factory
) -> None:
    """When the policy is made, or by OpenSSL, or by what is looked at after the handshake."""
    shown = device(tmp_path, **MALFORMED[form])
    server = serve(recording_server, shown, MAIL["imap"])
    found = None
    try:
        trust = ExactCertificate(shown.cert)
    except PolicyError as at_once:
        found = at_once
    if found is not None:
        assert found.code in ("damaged-certificate", "not-a-server")
        assert "Waive.MALFORMED(" in found.hint
        return
    error = refuse(server, MAIL["imap"], trust)
    assert error.reasons
    kinds = (reasons.Malformed, reasons.WrongPurpose, reasons.WrongKeyUsage, reasons.NotStrict)
    assert all(isinstance(reason, kinds) for reason in error.reasons)
    assert "Waive.MALFORMED(" in error.hint


@every_form
def test_another_certificate_of_the_same_form_and_key_is_refused(
    form: str, tmp_path: Path, recording_server: Factory
) -> None:
    """The waiver is of one certificate: neither its key nor its form is enough."""
    (tmp_path / "other").mkdir()
    other = device(tmp_path / "other", not_before=tlv(UTC_TIME, b"200102000000Z"))
    shown = device(tmp_path, **MALFORMED[form])
    server = serve(recording_server, shown, MAIL["pop3"])
    error = refuse(server, MAIL["pop3"], ExactCertificate(other.cert, waive=FORM))
    assert type(error) is PinMismatch


def test_the_report(tmp_path: Path, recording_server: Factory) -> None:
    found = {}
    for form in ("version 4", "an end that is no time"):
        shown = device(tmp_path, **MALFORMED[form])
        server = serve(recording_server, shown, MAIL["imap"])
        policy = TLSPolicy(trust=ExactCertificate(shown.cert, waive=FORM))
        with pytest.warns(WaiverWarning):
            client = MAIL["imap"].cls("127.0.0.1", server.port, policy=policy)
        found[form] = client.report.tls
        client.shutdown()
    for tls in found.values():
        assert tls.waivers == (f"malformed form until {SOON} ({WHY})",)
        assert {"its form", "its purpose"} <= set(tls.not_checked)
        assert "malformed form until" in "\n".join(map(str, tls.lines()))
    unread = "its dates: they cannot be read"
    assert unread not in found["version 4"].not_checked
    assert unread in found["an end that is no time"].not_checked


def test_by_the_fingerprint_of_the_certificate(tmp_path: Path, recording_server: Factory) -> None:
    shown = device(tmp_path, **MALFORMED["version 4"])
    server = serve(recording_server, shown, MAIL["smtp"])
    pin = Pin.of_certificate(shown.der)
    assert sign_in(server, MAIL["smtp"], ExactCertificate(pin=pin, waive=FORM))


# -- what no waiver of the form covers


@pytest.mark.parametrize("version", [2, 3])
def test_a_weak_key(version: int, tmp_path: Path, recording_server: Factory) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    shown = device(tmp_path, key=key, version=version)
    server = serve(recording_server, shown, MAIL["imap"])
    error = refuse(server, MAIL["imap"], ExactCertificate(shown.cert, waive=FORM))
    assert [(r.kind, r.bits, r.minimum) for r in error.reasons] == [("RSA", 1024, 2048)]


@pytest.mark.parametrize("version", [2, 3])
def test_an_expired_one_needs_both(version: int, tmp_path: Path, recording_server: Factory) -> None:
    shown = device(tmp_path, version=version, not_after=LONG_AGO)
    server = serve(recording_server, shown, MAIL["imap"])
    error = refuse(server, MAIL["imap"], ExactCertificate(shown.cert, waive=FORM))
    assert [type(reason) for reason in error.reasons] == [reasons.Expired]

    server = serve(recording_server, shown, MAIL["imap"])
    both = ExactCertificate(shown.cert, waive=(EXPIRY, FORM))
    expired, form = sign_in(server, MAIL["imap"], both)
    assert "the certificate expired on 2021-01-01" in expired
    assert "whatever its form" in form


def test_one_that_is_not_valid_yet(tmp_path: Path, recording_server: Factory) -> None:
    shown = device(tmp_path, version=3, not_before=tlv(UTC_TIME, b"480101000000Z"))
    server = serve(recording_server, shown, MAIL["imap"])
    error = refuse(server, MAIL["imap"], ExactCertificate(shown.cert, waive=(FORM, EXPIRY)))
    assert [type(reason) for reason in error.reasons] == [reasons.NotYetValid]


# -- its day


@pytest.mark.parametrize("what", ["expiry", "form"])
def test_after_its_day(what: str, tmp_path: Path, recording_server: Factory) -> None:
    shown = device(tmp_path, not_after=LONG_AGO) if what == "expiry" else _malformed(tmp_path)
    make = Waive.EXPIRY if what == "expiry" else Waive.MALFORMED
    yesterday, server = TODAY - timedelta(days=1), serve(recording_server, shown, MAIL["imap"])
    trust = ExactCertificate(shown.cert, waive=make(WHY, until=yesterday))
    error = refuse(server, MAIL["imap"], trust)
    assert type(error.reasons[-1]) is reasons.WaiverEnded
    assert f"until {yesterday} only ({WHY})" in str(error)
    assert "No password was sent." in str(error)


@pytest.mark.parametrize("what", ["expiry", "form"])
@pytest.mark.parametrize(
    ("days", "says"),
    [(0, "today is its last day"), (1, "it ends in 1 day"), (14, "it ends in 14 days"), (15, "")],
)
def test_in_its_last_days_it_says_so(
    what: str, days: int, says: str, tmp_path: Path, recording_server: Factory
) -> None:
    shown = device(tmp_path, not_after=LONG_AGO) if what == "expiry" else _malformed(tmp_path)
    make = Waive.EXPIRY if what == "expiry" else Waive.MALFORMED
    server = serve(recording_server, shown, MAIL["imap"])
    trust = ExactCertificate(shown.cert, waive=make(WHY, until=TODAY + timedelta(days=days)))
    (warning,) = sign_in(server, MAIL["imap"], trust)
    assert warning.endswith(f"({WHY}): {says}" if says else f"({WHY})")


def test_a_waiver_that_is_not_needed_says_nothing(pki: PKI, recording_server: Factory) -> None:
    """Of the expiry: nobody can know that a form will not be needed."""
    issued = pki["self_signed"]
    server = serve(recording_server, issued, MAIL["imap"])
    ended = Waive.EXPIRY(WHY, until=TODAY - timedelta(days=1))
    assert sign_in(server, MAIL["imap"], ExactCertificate(issued.leaf_pem, waive=ended)) == []


# -- what cannot be asked for


def test_a_waiver_is_of_one_certificate_and_not_of_a_key(tmp_path: Path) -> None:
    key_pin = Pin.of_key(device(tmp_path).der)
    for waiver in (FORM, EXPIRY):
        with pytest.raises(PolicyError, match="every certificate with the same key") as caught:
            ExactCertificate(pin=key_pin, waive=waiver)
        assert caught.value.code == "waiver"


@pytest.mark.parametrize("make", [Waive.EXPIRY, Waive.MALFORMED])
def test_reason_and_day_are_required(make: Any) -> None:
    with pytest.raises(PolicyError, match="needs a reason"):
        make(" ", until=date(2030, 1, 1))
    with pytest.raises(PolicyError, match="needs its last day as a date"):
        make("why", until="2030-01-01")
    with pytest.raises(TypeError):
        make("why")


def test_a_client_certificate_is_shown_to_nobody_unverified(pki: PKI, tmp_path: Path) -> None:
    own = ClientCertificate(pki.client_certificate("alice"))
    trust = ExactCertificate(device(tmp_path).cert, waive=FORM)
    with pytest.raises(PolicyError) as caught:
        TLSPolicy(trust=trust, client_certificate=own)
    assert caught.value.code == "client-certificate-trust"


@pytest.mark.parametrize("cut", [0, 1, 2, 10, 40, 100])
def test_octets_that_are_no_certificate(
    cut: int, tmp_path: Path, recording_server: Factory
) -> None:
    """With the waiver anything may be named; it fits nobody."""
    shown = device(tmp_path, **MALFORMED["version 4"])
    named = tmp_path / "cut.der"
    named.write_bytes(shown.der[:4] + b"\x00" * (len(shown.der) - 4 - cut) + shown.der[:cut])
    server = serve(recording_server, shown, MAIL["imap"])
    error = refuse(server, MAIL["imap"], ExactCertificate(named, waive=FORM))
    assert isinstance(error, CertificateRejected)


def test_no_cut_certificate_is_read(tmp_path: Path) -> None:
    der = device(tmp_path, **MALFORMED["version 4"]).der
    now = datetime.now(UTC)
    assert tuple(malformed_facts(der, now)) == ()
    for length in range(len(der)):
        with pytest.raises(ValueError, match=r"is cut|is not there"):
            tuple(malformed_facts(der[:length], now))


def test_a_kind_of_key_that_nobody_knows(tmp_path: Path) -> None:
    """Is an error like others of reading, wherever the key is looked at."""
    known = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey
    der = device(tmp_path).der.replace(known, known[:-1] + b"\x7f")
    now = datetime.now(UTC)
    assert [type(reason) for reason in leaf_facts(der, now)] == [reasons.Malformed]
    with pytest.raises(ValueError, match="kind of key is not known"):
        tuple(malformed_facts(der, now))
    assert Pin.of_key(der) == Pin.of_key(der), "a pin is of its octets, whatever they mean"
    peer = Peer(host=HOST, presented=(der,))
    found = find_facts(peer, None, 18, "self-signed certificate", names=True, now=now)
    assert [type(reason) for reason in found] == [reasons.Malformed]


def test_a_refusal_is_told_once(tmp_path: Path, recording_server: Factory) -> None:
    """What the store raised has no words of its own, and a traceback shows none of it."""
    shown = device(tmp_path, not_after=LONG_AGO)
    server = serve(recording_server, shown, MAIL["imap"])
    error = refuse(server, MAIL["imap"], ExactCertificate(pin=Pin.of_key(shown.der)))
    lines = "".join(traceback.format_exception(error)).splitlines()
    told = [line for line in lines if line.startswith("securemail.errors.")]
    assert len(told) == 1
    assert "expired on 2021-01-01" in told[0]


def test_by_its_fingerprint_alone_a_malformed_one_is_refused(
    tmp_path: Path, recording_server: Factory
) -> None:
    """OpenSSL is not asked there, and what cannot be read is no certificate."""
    shown = device(tmp_path, **MALFORMED["version 4"])
    server = serve(recording_server, shown, MAIL["imap"])
    error = refuse(server, MAIL["imap"], ExactCertificate(pin=Pin.of_certificate(shown.der)))
    assert [type(reason) for reason in error.reasons] == [reasons.Malformed]
    assert "3 is not a valid X509 version" in str(error)


def _malformed(folder: Path) -> Device:
    return device(folder, **MALFORMED["version 4"])
