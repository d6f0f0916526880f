"""The table of certificates and rungs, docs/certificates.md: each cell is an attempt to sign in.

Accepted is: the server got the password, over TLS only. Refused is: it got nothing. What is in a
cell must be what the document has, on every Python, and what `ladder_rows` says that should be.
"""

import os
import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import ladder_table
from ladder_rows import ENDED, NAME, ROWS, SELF, UNREADABLE, WEAK, Row
from ladder_rungs import RUNGS, Rung, Shown
from ladder_table import accepts
from securemail import (
    CATrust,
    LegacyCiphersWarning,
    Peer,
    PolicyError,
    SecureMailError,
    SecureMailWarning,
)
from securemail.certificate import Certificate
from securemail.tls.facts import find_facts
from servers import by_hand, scripts
from servers.attempts import MAIL, PASSWORD, assert_nothing_said
from servers.certificates import Issuer
from servers.kinds import KINDS, ec_key, rsa_key
from servers.leaks import leaks
from servers.malformed import HOST, MALFORMED, device
from servers.more_kinds import AUTHORITIES, MORE_KINDS
from servers.pki import PKI
from servers.recording import RecordingServer
from servers.revocation import issuer_of, revocation_list

IMAP = MAIL["imap"]
ROW = {row.name: row for row in ROWS}


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return PKI(tmp_path_factory.mktemp("ladder"), KINDS | MORE_KINDS | AUTHORITIES)


@pytest.fixture(scope="module", autouse=True)
def _written_at_the_end() -> Iterator[None]:
    yield
    ladder_table.write()


@pytest.fixture(autouse=True)
def no_policy_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)


def shown(row: Row, pki: PKI, folder: Path) -> Shown:
    if row.name in MALFORMED:
        made = device(folder, **MALFORMED[row.name])
        crls = _lists(folder, issuer_of(pki._workshop.root))
        known = made.cert, made.der
        return Shown(made.server_context, HOST, pki.ca_pem, *known, crls, folder)
    issued, known_as = pki[row.name], pki[row.known or row.name]
    return Shown(
        issued.server_context,
        issued.asked_as,
        issued.anchor_pem,
        known_as.leaf_pem,
        known_as.leaf_der,
        _lists_for(row, pki, folder),
        folder,
    )


def _lists_for(row: Row, pki: PKI, folder: Path) -> Path:
    """Of the authority that signed it; for `no_list` of another one, and `revoked` is in its."""
    shop, leaf = pki._workshop, x509.load_der_x509_certificate(pki[row.name].leaf_der)
    root = issuer_of(shop.root)
    issuers = [root, *map(issuer_of, (shop.intermediate, shop.other_root))]
    for name in AUTHORITIES:
        made = shop.made(name)
        issuers.append(Issuer(made.leaf.subject, made.key, None))
    signer = next((one for one in issuers if one.name == leaf.issuer), root)
    revoked = [pki[row.name]] if row.name == "revoked" else []
    return _lists(folder, root if row.name == "no_list" else signer, *revoked)


def _lists(folder: Path, issuer: Issuer, *revoked: Any) -> Path:
    path = folder / "lists.crl"
    path.write_bytes(revocation_list(issuer, *revoked).public_bytes(Encoding.PEM))
    return path


def attempt(server: RecordingServer, rung: Rung, given: Shown) -> str:
    """The cell: one connection, or none where there is no such policy."""
    before = server.connections
    with mock.patch.dict(os.environ, rung.environment(given)):
        try:
            policy = rung.policy(given, server.port)
        except PolicyError as error:
            return f"no policy: {error.code}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            error = _sign_in(server, given, policy)
    record = server.wait(before + 1)[before]
    if error is not None:
        assert_nothing_said([record])
        assert error.credentials_sent is False
        assert "No password was sent." in str(error)
        assert caught == []
        codes = dict.fromkeys(reason.code for reason in getattr(error, "reasons", ()))
        return f"no: {', '.join(codes) or error.code}"
    assert leaks(record.received_tls, PASSWORD)
    assert leaks(bytes(record.wire), PASSWORD) == []
    assert record.received_clear == b""
    kinds = {one.category for one in caught}
    assert all(issubclass(kind, SecureMailWarning) for kind in kinds)
    assert (LegacyCiphersWarning in kinds) == (policy.legacy_ciphers is not None)
    told = sorted(kind.__name__ for kind in kinds - {LegacyCiphersWarning})
    return ", ".join(["yes", *told])


def _sign_in(server: RecordingServer, given: Shown, policy: Any) -> SecureMailError | None:
    try:
        IMAP.attempt(server, policy=policy, server_hostname=given.asked_as)
    except SecureMailError as error:
        return error
    return None


def _context(row: Row, given: Shown) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = given.server_context()
    except ssl.SSLError:
        assert row.name in UNREADABLE
        assert ssl.OPENSSL_VERSION_INFO >= (3, 1)
        pytest.skip("this OpenSSL cannot read the certificate, as a server or as a client")
    return context


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_each_rung(row: Row, all_kinds: PKI, tmp_path: Path) -> None:
    given = shown(row, all_kinds, tmp_path)
    with RecordingServer(scripts.POLITE["imap"], context=_context(row, given)) as server:
        cells = {rung.letter: attempt(server, rung, given) for rung in RUNGS}
    ladder_table.saw(row, cells)
    assert {letter for letter, cell in cells.items() if accepts(cell)} == row.accepted_by


# -- rules, over what the document says, which is what was seen


def rows(*is_: str) -> Iterator[tuple[Row, dict[str, str]]]:
    for row in ROWS:
        if set(is_) <= set(row.is_):
            yield row, ladder_table.known()[row.name]


def accepted(cells: dict[str, str]) -> set[str]:
    return {letter for letter, cell in cells.items() if accepts(cell)}


def test_every_cell_is_there() -> None:
    assert len(ROWS) >= 100
    assert {row.name for row in ROWS if row.known is None} >= {"good", "bridge", "revoked"}
    for row, cells in rows():
        assert list(cells) == [rung.letter for rung in RUNGS], row.name
        assert accepted(cells) == row.accepted_by, row.name
        for cell in cells.values():
            assert cell.startswith(("yes", "no: ", "no policy: ")), row.name


def test_what_stands_side_by_side_is_what_the_tables_say() -> None:
    text = ladder_table.DOCUMENT.read_text(encoding="utf-8")
    assert ladder_table.at_a_glance(ladder_table.known()) in text


def test_a_wrong_name_is_accepted_by_the_certificate_or_the_key_alone() -> None:
    for row, cells in rows(NAME):
        assert accepted(cells) <= set("FKDEMBN"), row.name


def test_an_expired_one_is_accepted_with_the_waiver_alone_and_warns() -> None:
    for row, cells in rows(ENDED):
        assert accepted(cells) <= set("EB"), row.name
        assert all("WaiverWarning" in cells[letter] for letter in accepted(cells)), row.name


def test_nothing_accepts_a_weak_key() -> None:
    for row, cells in rows(WEAK):
        assert accepted(cells) == set(), row.name
        assert all("weak-key" in cell for cell in cells.values()), row.name


def test_pins_and_lists_never_widen() -> None:
    for row, cells in rows():
        narrower = accepted(cells) & set("PWR")
        assert not narrower or "C" in accepted(cells), row.name
        assert not accepts(cells["W"]), row.name


def test_a_system_store_beside_a_ca_changes_nothing_for_it_and_strictness_only_refuses() -> None:
    for row, cells in rows():
        assert cells["S"] == cells["G"] == cells["C"], row.name
        assert accepts(cells["L"]) == accepts(cells["C"]), row.name
        assert accepts(cells["T"]) >= accepts(cells["C"]), row.name


def test_a_self_signed_one_is_accepted_by_no_authority_and_always_warns() -> None:
    for row, cells in rows(SELF):
        assert accepted(cells) <= set("FKDEMBN"), row.name
        for letter in accepted(cells):
            unread = row.name in MALFORMED and letter in "MB"  # its form is waived, which warns
            assert ("WaiverWarning" if unread else "SelfSignedWarning") in cells[letter], row.name


def test_a_waiver_of_the_form_warns_and_none_makes_another_certificate_fit() -> None:
    for row, cells in rows():
        for letter in accepted(cells) & set("MB"):
            assert "WaiverWarning" in cells[letter], row.name
        if row.known is not None:
            assert not accepted(cells) & set("FDEMB"), row.name
            assert accepted(cells) in (set(), set("KN")), row.name


def test_first_use_accepts_nobody_by_itself() -> None:
    for row, cells in rows():
        assert not accepted(cells) & set("UO"), row.name


def test_one_certificate_is_no_more_than_its_pin() -> None:
    """With the file OpenSSL looks as well; the waivers excepted, it can only refuse more."""
    for row, cells in rows():
        if row.name != "version_1":
            assert accepts(cells["F"]) <= accepts(cells["D"]) == accepts(cells["K"]) or row.known


# -- what came to light


@pytest.mark.parametrize("name", ["weak_signature", "by_sha1", "md5"])
def test_an_old_signature_is_weak_and_not_forged(name: str, all_kinds: PKI, tmp_path: Path) -> None:
    """`cryptography` verifies neither SHA-1 nor MD5; whoever signed so is named all the same."""
    given = shown(ROW[name], all_kinds, tmp_path)
    issuer = Certificate(ssl.PEM_cert_to_DER_cert(given.anchor.read_text()))
    sent = [*_blocks(all_kinds[name].cert), issuer.der]
    lower, upper = map(Certificate, sent[-2:])
    assert lower.is_signed_by(upper)
    assert not lower.is_signed_by(Certificate(_twin_of(upper)))
    assert not lower.is_signed_by(Certificate(all_kinds["good"].leaf_der))
    peer = Peer(host=HOST, presented=tuple(sent))
    found = find_facts(peer, CATrust(given.anchor), 68, "", names=True, now=datetime.now(UTC))
    assert {reason.code for reason in found} == {"weak-signature"}


def _twin_of(authority: Certificate) -> bytes:
    """The same name, another key."""
    own = rsa_key(2048) if authority.key[0] == "RSA" else ec_key()
    change = by_hand.with_key(by_hand.public(own))
    return by_hand.signed_again(authority.parsed, own, change=change).public_bytes(Encoding.DER)


def _blocks(path: Path) -> list[bytes]:
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return [one.public_bytes(Encoding.DER) for one in found]
