"""From what failed in a handshake to the error that is raised: each kind, by a socket that is made
up. Real handshakes: tests/test_error_messages.py, tests/test_client_certificate.py."""

import asyncio
import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from securemail import (
    CertificateRejected,
    CredentialsRefused,
    ExactCertificate,
    PinMismatch,
    PolicyError,
    SystemTrust,
    TLSError,
)
from securemail.reasons import NameMismatch, NotPinned, SelfSigned
from securemail.tls.handshake import CLOSED, TOO_OLD_FOR_13, known
from securemail.tls.refusal import CALLERS_RULES, refusal, tls_error
from securemail.tls.verify import Rules
from securemail.trust.base import Peer, TrustStore
from servers.pki import PKI

PIN = "sha256/" + "A" * 43 + "="
WHERE = ("mail.example.org", 993, "IMAP over TLS")
NAME = NameMismatch("mail.example.org", ("mx.example.net",))
SELF_SIGNED = SelfSigned("mail", "AB:CD")


def refused(
    error: BaseException,
    *,
    presented: tuple[bytes, ...] = (),
    trust: TrustStore | None = None,
    least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    offered: str | None = None,
    rules: Rules | None = None,
) -> Any:
    """What is raised for `error`, by a socket that has got so far."""
    items = [SimpleNamespace(public_bytes=lambda _, der=der: der) for der in presented]
    chain = SimpleNamespace(
        server_hostname=WHERE[0],
        get_unverified_chain=lambda: items,
        get_verified_chain=lambda: (),
    )
    context = SimpleNamespace(verify_mode=ssl.CERT_REQUIRED, minimum_version=least)
    sock = SimpleNamespace(_sslobj=chain, context=context, endpoint=WHERE[1:])
    made = Rules(
        trust=trust or SystemTrust(),
        pins=(),
        in_handshake=True,
        names=True,
        strong=True,
        client_certificate=offered,
    )
    found = refusal(sock, error, rules or made)
    if found is not error:
        assert (found.host, found.port, found.protocol) == WHERE
        assert found.credentials_sent is False
    return found


# -- a store, or a pin, was not content


def test_a_refusal_with_reasons_says_them_and_what_to_do(pki: PKI) -> None:
    leaf = pki["good"].leaf_der
    found = refused(CertificateRejected("", reasons=(NAME, SELF_SIGNED)), presented=(leaf,))
    assert type(found) is CertificateRejected
    assert found.message == f"the server's certificate {NAME}; it {SELF_SIGNED}."
    assert found.code == "name-mismatch", "the first one's"
    assert "If this is your own server, compare its fingerprint" in found.hint
    assert (found.reasons, found.chain) == ((NAME, SELF_SIGNED), (leaf,))


def test_a_refusal_with_words_of_its_own_keeps_them() -> None:
    error = CertificateRejected("not today.", code="closed", hint="Come back tomorrow.")
    found = refused(error)
    assert (found.message, found.code, found.hint) == ("not today.", "closed", error.hint)
    found = refused(CertificateRejected("not today.", reasons=(NAME,)))
    assert found.message == "not today."
    assert found.hint.startswith("Only if you know 'mx.example.net'")


def test_a_refused_pin_stays_one() -> None:
    found = refused(PinMismatch("", reasons=(NotPinned((PIN,), ("sha256/other",)),)))
    assert type(found) is PinMismatch
    assert found.code == "pin-mismatch"


# -- OpenSSL was not


def by_openssl(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    error.verify_code, error.verify_message = code, "OpenSSL's words"
    return error


def test_openssl_s_refusal_has_its_number_and_the_reasons(pki: PKI) -> None:
    issued = pki["expired"]
    found = refused(by_openssl(10), presented=(issued.leaf_der,))
    assert type(found) is CertificateRejected
    assert (found.code, found.verify_code) == ("certificate-expired", 10)
    assert "tell its administrator" in found.hint
    assert found.chain == (issued.leaf_der,)


def test_what_a_store_objects_comes_first(pki: PKI) -> None:
    """A pin that does not fit is a `PinMismatch`, whatever OpenSSL says besides."""
    exact = ExactCertificate(pki["good"].cert, acknowledge="a test")
    found = refused(by_openssl(18), presented=(pki["self_signed"].leaf_der,), trust=exact)
    assert type(found) is PinMismatch
    assert [reason.code for reason in found.reasons] == ["pin-mismatch", "self-signed"]


def test_a_store_of_somebody_else_s_is_asked_nothing(pki: PKI) -> None:
    class Own:
        def prepare(self, context: ssl.SSLContext) -> None: ...

        def verify(self, peer: Peer) -> None: ...

    found = refused(by_openssl(18), presented=(pki["self_signed"].leaf_der,), trust=Own())
    assert found.code == "self-signed"


def test_of_a_context_of_the_caller_s_own_the_same_is_said(pki: PKI) -> None:
    found = refused(by_openssl(62), presented=(pki["wrong_name"].leaf_der,), rules=CALLERS_RULES)
    assert found.code == "name-mismatch"
    found = refused(by_openssl(20), presented=(pki["good"].leaf_der,), rules=CALLERS_RULES)
    assert "does not have (the caller's own context)" in found.message


# -- no certificate was the matter


def tls(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}] some words")
    error.reason = reason
    return error


def test_a_handshake_that_failed_says_what_that_means() -> None:
    found = refused(tls("DH_KEY_TOO_SMALL"))
    assert type(found) is TLSError
    assert (found.code, found.reason) == ("weak-dh", "DH_KEY_TOO_SMALL")
    assert "2048 bits" in found.hint
    found = refused(tls("A_REASON_OF_TOMORROW"))
    assert (found.code, found.hint) == ("tls", "The server's log may say more.")
    assert "TLS failed: " in found.message
    assert "A_REASON_OF_TOMORROW" in found.message


def test_a_name_that_the_server_does_not_know_is_its_own_code() -> None:
    found = refused(tls("TLSV1_UNRECOGNIZED_NAME"))
    assert found.code == "unrecognized-name"
    assert "does not know the name" in found.message
    assert "server_hostname=" in found.hint


@pytest.mark.parametrize("word", ["INTERNAL_ERROR", "ACCESS_DENIED"])
def test_an_alert_that_says_little_has_words_of_ours(word: str) -> None:
    found = refused(tls(f"TLSV1_ALERT_{word}"))
    assert found.code == "tls"
    assert word.replace("_", " ").lower() in found.message
    assert "[SSL" not in found.message
    assert "server_hostname=" in found.hint


@pytest.mark.parametrize("reason", ["SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER"])
def test_legacy_ciphers_are_not_advised_to_who_has_them(reason: str) -> None:
    rules = Rules(trust=SystemTrust(), pins=(), in_handshake=True, names=True, strong=False)
    found = refused(tls(reason), rules=rules)
    assert found.code == "no-common-cipher"
    assert "No setting here helps" in found.hint
    assert "TLSPolicy(" not in found.hint
    assert "or no curve" in found.message
    assert 'legacy_ciphers="why"' in refused(tls(reason)).hint, "the control"


@pytest.mark.parametrize("kind", [ssl.SSLEOFError, ssl.SSLZeroReturnError])
def test_an_end_is_an_end_whatever_its_reason(kind: type[ssl.SSLError]) -> None:
    assert refused(tls("A_REASON_OF_TOMORROW", kind)).message == CLOSED.message


@pytest.mark.parametrize(
    ("reason", "least", "of_13"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", ssl.TLSVersion.TLSv1_3, True),
        ("TLSV1_ALERT_PROTOCOL_VERSION", ssl.TLSVersion.TLSv1_2, False),
        ("NO_SHARED_CIPHER", ssl.TLSVersion.TLSv1_3, False),
        ("A_REASON_OF_TOMORROW", ssl.TLSVersion.TLSv1_3, False),
    ],
)
def test_a_server_without_tls_1_3_is_not_called_an_old_one(
    reason: str, least: ssl.TLSVersion, of_13: bool
) -> None:
    found = refused(tls(reason), least=least)
    assert (found.message == TOO_OLD_FOR_13.message) is of_13


def test_a_server_that_wants_a_certificate_and_one_that_does_not_like_it(pki: PKI) -> None:
    reason, leaf = "SSLV3_ALERT_HANDSHAKE_FAILURE", pki["good"].leaf_der
    assert refused(tls(reason)).code == "no-common-cipher"
    assert refused(tls(reason), presented=(leaf,)).code == "client-certificate-wanted"
    found = refused(tls(reason), presented=(leaf,), offered="AB:CD")
    assert found.code == "client-certificate-refused"
    assert "AB:CD that it was offered" in found.message


@pytest.mark.parametrize("offered", [None, "AB:CD"])
def test_the_meaning_of_a_reason_by_itself(offered: str | None) -> None:
    """Without a word of what the server presented: it presented nothing."""
    meaning = known("SSLV3_ALERT_HANDSHAKE_FAILURE", offered=offered)
    assert meaning is not None
    assert meaning.code == "no-common-cipher"


def test_an_error_of_ours_after_the_handshake_stays_itself() -> None:
    ours = TLSError("there is no verified TLS.", code="gate-closed")
    assert tls_error(ours, {}) is ours
    found = tls_error(tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), {"host": "mail.example.org"})
    assert (found.code, found.host) == ("client-certificate-wanted", "mail.example.org")


# -- what is no TLS


def test_a_mistake_in_the_policy_refuses_the_server() -> None:
    """asyncio knows no other errors of a handshake than TLS's, and would wait on."""
    found = refused(PolicyError("the file is gone.", code="store-unreadable", hint="Look for it."))
    assert type(found) is CertificateRejected
    assert (found.message, found.code, found.hint) == (
        "the file is gone.",
        "store-unreadable",
        "Look for it.",
    )


@pytest.mark.parametrize(
    "error",
    [
        *(KeyError("x"), ValueError("x"), RuntimeError("x")),
        *(ssl.SSLError("x"), ssl.SSLCertVerificationError("x"), ssl.SSLEOFError("x")),
    ],
)
def test_whatever_a_store_raises_refuses_the_server(error: Exception) -> None:
    found = refused(error)
    assert type(found) is CertificateRejected
    assert found.message == f"the trust store raised {type(error).__name__}: {error}."


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "reset"),
        TimeoutError("timed out"),
        KeyboardInterrupt(),
        SystemExit(),
        CredentialsRefused("no."),
        asyncio.CancelledError(),
    ],
)
def test_the_rest_stays_as_it_is(error: BaseException) -> None:
    assert refused(error) is error


@pytest.mark.parametrize("missing", [AttributeError, ValueError, ssl.SSLError])
def test_without_the_chain_there_are_the_place_and_the_number(missing: type[Exception]) -> None:
    """Should a version of Python not keep it after a failure."""

    class Gone:
        server_hostname = WHERE[0]

        def get_unverified_chain(self) -> None:
            raise missing

    context = SimpleNamespace(verify_mode=ssl.CERT_REQUIRED)
    rules = Rules(trust=SystemTrust(), pins=(), in_handshake=True, names=True, strong=True)
    for endpoint in (WHERE[1:], None):
        sock = SimpleNamespace(
            _sslobj=Gone(), server_hostname=WHERE[0], context=context, endpoint=endpoint
        )
        found: Any = refusal(sock, by_openssl(10), rules)
        assert (found.host, found.port, found.protocol) == (
            WHERE if endpoint else (WHERE[0], None, None)
        )
        assert found.verify_code == 10
