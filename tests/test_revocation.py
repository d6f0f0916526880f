"""`TLSPolicy(crls=…)`: the server's certificate against the lists of its authority."""

import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from securemail import CATrust, ExactCertificate, PolicyError, SystemTrust, TLSPolicy, reasons
from servers import scripts
from servers.attempts import MAIL, PASSWORD, Mail, assert_nothing_said, failing
from servers.certificates import Issuer
from servers.leaks import leaks
from servers.malformed import SEQUENCE, UTC_TIME, tlv
from servers.pki import PKI, Issued
from servers.recording import RecordingServer
from servers.revocation import DAY, NOW, issuer_of, revocation_list

Factory = Callable[..., RecordingServer]
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)


@pytest.fixture(autouse=True)
def no_policy_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)


@pytest.fixture
def root(pki: PKI) -> Issuer:
    return issuer_of(pki._workshop.root)


def written(path: Path, *lists: Any, encoding: Encoding = Encoding.PEM) -> Path:
    path.write_bytes(b"".join(one.public_bytes(encoding) for one in lists))
    return path


def serve(recording_server: Factory, issued: Issued, mail: Mail) -> RecordingServer:
    return recording_server(scripts.POLITE[mail.protocol], context=issued.server_context())


def policy(pki: PKI, *lists: Any, **more: Any) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem), crls=lists, **more)


def sign_in(server: RecordingServer, issued: Issued, mail: Mail, policy: TLSPolicy) -> None:
    mail.attempt(server, server_hostname=issued.asked_as, policy=policy)
    (record,) = server.wait()
    assert leaks(record.received_tls, PASSWORD) != []


def refuse(server: RecordingServer, issued: Issued, mail: Mail, policy: TLSPolicy) -> Any:
    with failing(server) as failure:
        mail.attempt(server, server_hostname=issued.asked_as, policy=policy)
    assert_nothing_said(failure.records)
    assert "No password was sent." in failure.text
    return failure.error


@every_class
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER], ids=["pem", "der"])
def test_a_revoked_certificate(
    encoding: Encoding,
    mail: Mail,
    pki: PKI,
    root: Issuer,
    tmp_path: Path,
    recording_server: Factory,
) -> None:
    issued = pki["good"]
    path = written(tmp_path / "ca.crl", revocation_list(root, issued), encoding=encoding)
    error = refuse(serve(recording_server, issued, mail), issued, mail, policy(pki, path))
    assert error.code == "revoked"
    (reason,) = error.reasons
    assert type(reason) is reasons.Revoked
    assert (reason.since, reason.why) == (NOW - 3 * DAY, "keyCompromise")
    assert f"was revoked by its authority on {NOW - 3 * DAY:%Y-%m-%d} (keyCompromise)" in str(error)
    assert "Do not go on" in error.hint

    # The control: a list without it.
    good = written(tmp_path / "good.crl", revocation_list(root), encoding=encoding)
    sign_in(serve(recording_server, issued, mail), issued, mail, policy(pki, good))


def test_it_is_said_in_the_report(
    pki: PKI, root: Issuer, tmp_path: Path, recording_server: Factory
) -> None:
    issued, mail = pki["good"], MAIL["imap"]
    path = written(tmp_path / "ca.crl", revocation_list(root))
    for wanted in (policy(pki, path), policy(pki)):
        server = serve(recording_server, issued, mail)
        client = mail.cls("127.0.0.1", server.port, server_hostname=issued.asked_as, policy=wanted)
        tls = client.report.tls
        client.shutdown()
        if wanted.crls:
            assert f"is good until {NOW + 7 * DAY:%Y-%m-%d}" in tls.revocation
            assert "revocation of the authorities" in tls.not_checked
            assert "revocation" not in tls.not_checked
            assert "the server's own certificate, by " in wanted.describe()
        else:
            assert tls.revocation is None
            assert "revocation" in tls.not_checked
            assert "revocation:  not checked" in wanted.describe()


@pytest.mark.parametrize(
    ("dates", "code"),
    [
        ({"last": NOW - 9 * DAY, "due": NOW - DAY}, "crl-stale"),
        ({"last": NOW + DAY, "due": NOW + 9 * DAY}, "crl-stale"),
    ],
    ids=["old", "from the future"],
)
def test_a_list_that_is_not_of_now(
    dates: dict[str, datetime],
    code: str,
    pki: PKI,
    root: Issuer,
    tmp_path: Path,
    recording_server: Factory,
) -> None:
    issued, mail = pki["good"], MAIL["imap"]
    path = written(tmp_path / "ca.crl", revocation_list(root, **dates))
    error = refuse(serve(recording_server, issued, mail), issued, mail, policy(pki, path))
    assert error.code == code
    assert "newest list" in error.hint
    assert f"{dates['due']:%Y-%m-%d}" in str(error)


def test_a_stale_list_is_replaced(
    pki: PKI, root: Issuer, tmp_path: Path, recording_server: Factory
) -> None:
    """Under the same name: the next connection takes it."""
    issued, mail, path = pki["good"], MAIL["imap"], tmp_path / "ca.crl"
    wanted = policy(pki, written(path, revocation_list(root, due=NOW - DAY / 2)))
    assert refuse(serve(recording_server, issued, mail), issued, mail, wanted).code == "crl-stale"
    written(path, revocation_list(root))
    sign_in(serve(recording_server, issued, mail), issued, mail, wanted)
    written(path, revocation_list(root, issued))
    assert refuse(serve(recording_server, issued, mail), issued, mail, wanted).code == "revoked"


def test_the_list_of_another_authority(pki: PKI, tmp_path: Path, recording_server: Factory) -> None:
    issued, mail, other = pki["good"], MAIL["imap"], pki._workshop.other_root
    path = written(tmp_path / "other.crl", revocation_list(issuer_of(other)))
    error = refuse(serve(recording_server, issued, mail), issued, mail, policy(pki, path))
    assert error.code == "crl-missing"
    assert "Somebody else's root" in str(error)


def test_a_list_that_somebody_else_signed(
    pki: PKI, root: Issuer, tmp_path: Path, recording_server: Factory
) -> None:
    """In the authority's name, by another key."""
    issued, mail = pki["good"], MAIL["imap"]
    forger = Issuer(root.name, pki._workshop.made("self_signed").key, None)
    path = written(tmp_path / "forged.crl", revocation_list(forger))
    error = refuse(serve(recording_server, issued, mail), issued, mail, policy(pki, path))
    assert error.verify_code == 8
    assert "CRL signature failure" in str(error)


def test_all_that_is_wrong(
    pki: PKI, root: Issuer, tmp_path: Path, recording_server: Factory
) -> None:
    """OpenSSL stops at one."""
    issued, mail = pki["expired"], MAIL["imap"]
    path = written(tmp_path / "ca.crl", revocation_list(root, issued))
    error = refuse(serve(recording_server, issued, mail), issued, mail, policy(pki, path))
    assert {type(reason) for reason in error.reasons} == {reasons.Expired, reasons.Revoked}


def test_the_same_number_in_the_list_of_another_authority(
    pki: PKI, root: Issuer, tmp_path: Path, recording_server: Factory
) -> None:
    """Each authority numbers its own: a certificate is not revoked by it, nor called so."""
    other = issuer_of(pki._workshop.other_root)
    for name in ("good", "expired"):
        issued = pki[name]
        lists = revocation_list(root), revocation_list(other, issued)
        wanted = policy(pki, written(tmp_path / f"{name}.crl", *lists))
        server = serve(recording_server, issued, MAIL["imap"])
        if name == "good":
            sign_in(server, issued, MAIL["imap"], wanted)
        else:
            error = refuse(server, issued, MAIL["imap"], wanted)
            assert [type(reason) for reason in error.reasons] == [reasons.Expired]


def test_a_list_that_never_ends(root: Issuer, tmp_path: Path) -> None:
    """Without nextUpdate OpenSSL would take it for ever."""
    der = revocation_list(root).public_bytes(Encoding.DER)
    parsed = revocation_list(root)
    due = parsed.next_update_utc
    assert due is not None
    time = tlv(UTC_TIME, due.strftime("%y%m%d%H%M%SZ").encode())
    signed = parsed.tbs_certlist_bytes
    start = 4 if signed[1] == 0x82 else 3 if signed[1] == 0x81 else 2
    shorter = tlv(SEQUENCE, signed[start:].replace(time, b"", 1))
    path = tmp_path / "ca.crl"
    rest = der[der.index(signed) + len(signed) :]
    path.write_bytes(tlv(SEQUENCE, shorter + rest))
    with pytest.raises(PolicyError, match="until when it is good") as caught:
        TLSPolicy(crls=path)  # type: ignore[arg-type]
    assert caught.value.code == "crl"


def test_several_lists_in_one_file_and_pem_text(
    pki: PKI, root: Issuer, tmp_path: Path, recording_server: Factory
) -> None:
    issued, mail, other = pki["good"], MAIL["imap"], pki._workshop.other_root
    path = written(
        tmp_path / "both.crl", revocation_list(issuer_of(other)), revocation_list(root, issued)
    )
    for source in (path, path.read_text(), path.read_bytes()):
        wanted = TLSPolicy(trust=CATrust(pki.ca_pem), crls=source)  # type: ignore[arg-type]
        error = refuse(serve(recording_server, issued, mail), issued, mail, wanted)
        assert error.code == "revoked"


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "certificate"],
    ids=["nothing", "junk", "damaged", "a certificate"],
)
def test_what_is_no_list(content: Any, pki: PKI, tmp_path: Path) -> None:
    path = tmp_path / "ca.crl"
    path.write_bytes(pki.ca_pem.read_bytes() if content == "certificate" else content)
    with pytest.raises(PolicyError) as caught:
        TLSPolicy(crls=path)  # type: ignore[arg-type]
    assert caught.value.code == "crl"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("thing", [None, 7, (None,), [b"", 7]])
def test_what_is_not_even_a_path(thing: Any) -> None:
    with pytest.raises(PolicyError) as caught:
        TLSPolicy(crls=thing)
    assert caught.value.code == "crl"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"revocation list file .* cannot be read"):
        TLSPolicy(crls=tmp_path / "none.crl")  # type: ignore[arg-type]


def test_a_store_without_authorities(pki: PKI, root: Issuer, tmp_path: Path) -> None:
    path = written(tmp_path / "ca.crl", revocation_list(root))
    issued = pki["self_signed"]
    for trust in (ExactCertificate(issued.leaf_pem), ExactCertificate(pin=issued.spki_pin)):
        with pytest.raises(PolicyError, match="no authority is asked") as caught:
            TLSPolicy(trust=trust, crls=path)  # type: ignore[arg-type]
        assert caught.value.code == "crl"
    assert TLSPolicy(trust=SystemTrust() | CATrust(pki.ca_pem), crls=path)  # type: ignore[arg-type]


def test_openssl_has_been_asked(pki: PKI, root: Issuer, tmp_path: Path) -> None:
    """And without lists it has not: then nothing is refused for want of one."""
    path = written(tmp_path / "ca.crl", revocation_list(root))
    asked = policy(pki, path).ssl_context().verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    assert asked
    assert not policy(pki).ssl_context().verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
