"""Pins in their three spellings, compared with the openssl command."""

import base64
import hashlib
import pickle
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securemail import Pin, PolicyError
from servers.pki import PKI


def openssl(*arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


@pytest.mark.parametrize("kind", ["good_rsa", "good_ecdsa", "ed25519", "self_signed"])
def test_the_key_pin_is_what_openssl_computes(kind: str, pki: PKI, tmp_path: Path) -> None:
    """RFC 7469, 2.4: SHA-256 of SubjectPublicKeyInfo, base64."""
    pem = str(pki[kind].leaf_pem)
    (tmp_path / "key.pem").write_bytes(openssl("x509", "-in", pem, "-noout", "-pubkey"))
    spki = openssl("pkey", "-pubin", "-in", str(tmp_path / "key.pem"), "-outform", "DER")
    expected = "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode()
    assert str(Pin.from_pem(pem)) == expected
    assert Pin(expected).matches(pki[kind].leaf_der)


def test_the_certificate_pin_is_what_openssl_prints(pki: PKI) -> None:
    pem = str(pki["good"].leaf_pem)
    printed = openssl("x509", "-in", pem, "-noout", "-fingerprint", "-sha256").decode()
    fingerprint = printed.strip().partition("=")[2]
    assert Pin.certificate(fingerprint).matches(pki["good"].leaf_der)
    assert not Pin.certificate(fingerprint).matches(pki["good_rsa"].leaf_der)


def test_a_key_pin_outlives_a_renewal_and_a_certificate_pin_does_not(pki: PKI) -> None:
    old, renewed = pki["self_signed"].leaf_der, pki["renewed_same_key"].leaf_der
    assert Pin.of_key(old).matches(renewed)
    assert not Pin.of_certificate(old).matches(renewed)


@pytest.mark.parametrize("spelling", ["AB" * 32, "ab" * 32, ":".join(["Ab"] * 32), "AB " * 32])
def test_fingerprints_are_taken_as_people_write_them(spelling: str) -> None:
    assert Pin.certificate(spelling) == Pin.certificate("ab" * 32)


def test_pins_are_equal_by_what_they_pin_and_can_be_pickled() -> None:
    pin = Pin(" sha256/" + base64.b64encode(b"k" * 32).decode() + "\n")
    assert pin == Pin(str(pin))
    assert pickle.loads(pickle.dumps(pin)) == pin
    assert eval(repr(pin), {"Pin": Pin}) == pin
    certificate = Pin.certificate("ab" * 32)
    assert eval(repr(certificate), {"Pin": Pin}) == certificate


MALFORMED = {
    "empty": "",
    "no kind": "AAAA",
    "sha1": "sha1/2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    "too short": "sha256/AAAA",
    "not base64": "sha256/" + "*" * 44,
    "hex": "sha256/" + "ab" * 32,
    "double slash": "sha256//" + "A" * 43 + "=",
    "a number": 5,
    "nothing": None,
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_pin_is_refused_with_the_right_spelling(kind: str) -> None:
    with pytest.raises(PolicyError, match="sha256/BASE64") as caught:
        Pin(MALFORMED[kind])  # type: ignore[arg-type]
    assert caught.value.code == "pin-malformed"


def test_a_sha1_fingerprint_is_named_as_one() -> None:
    with pytest.raises(PolicyError, match="SHA-1 or MD5"):
        Pin.certificate("ab" * 20)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    for make in (Pin, Pin.certificate):
        with suppress(PolicyError):
            assert make(text).text


FILES = {
    "key": ("private-key", "private key"),
    "cert": ("several-certificates", "the first"),
}


@pytest.mark.parametrize("attribute", FILES)
def test_a_file_that_is_not_one_certificate_is_told_so(attribute: str, pki: PKI) -> None:
    code, words = FILES[attribute]
    with pytest.raises(PolicyError, match=words) as caught:
        Pin.from_pem(getattr(pki["with_intermediate"], attribute))
    assert caught.value.code == code


def test_a_missing_file_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read: No such file") as caught:
        Pin.from_pem(tmp_path / "missing.pem")
    assert caught.value.code == "file-unreadable"
