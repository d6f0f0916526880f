"""Every kind of certificate can be served, and OpenSSL judges it as the table says."""

import socket
import ssl

import pytest

from servers import scripts
from servers.clients import strict_context
from servers.kinds import KINDS
from servers.pki import PKI
from servers.recording import RecordingServer

# What OpenSSL says when the very certificate is the trust anchor, where that is not 0.
ANCHORED_ON_ITSELF = {
    "expired": 10,
    "self_signed_expired": 10,
    "not_yet_valid": 9,
    "wrong_name": 62,
    "cn_only": 62,
    "wrong_ip": 64,
    "wildcard_partial": 62,
    "wildcard_two_labels": 62,
    "wildcard_top_level": 62,
    "wildcard_all": 62,
    "forged_issuer": 7,
    "wrong_eku": 26,
    "wrong_key_usage": 26,
    "weak_key": 66,
    "self_signed_weak_key": 66,
    "self_signed_cn_only": 62,
    "self_signed_no_extensions": 62,
    "self_signed_wrong_name": 62,
    "self_signed_cert_sign_only": 26,
}


def verify_code(server: RecordingServer, context: ssl.SSLContext, host: str) -> int:
    """0, or why the client refused the server's certificate."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=host) as tls:
                assert tls.recv(4) == b"* OK"
        except ssl.SSLCertVerificationError as error:
            return error.verify_code
    return 0


@pytest.mark.parametrize("name", KINDS)
def test_verdict_of_openssl(name: str, pki: PKI) -> None:
    issued = pki[name]
    context = strict_context(issued.anchor_pem)
    with RecordingServer(scripts.imap_ok, context=issued.server_context()) as server:
        assert verify_code(server, context, issued.asked_as) == issued.verify_code, (
            issued.description
        )
    (record,) = server.records
    assert (record.handshake_error is None) == (issued.verify_code == 0)
    assert record.received_clear == record.received_tls == b""


@pytest.mark.parametrize("name", KINDS)
def test_verdict_of_openssl_anchored_on_itself(name: str, pki: PKI) -> None:
    issued = pki[name]
    context = strict_context(issued.leaf_pem)
    with RecordingServer(scripts.imap_ok, context=issued.server_context()) as server:
        found = verify_code(server, context, issued.asked_as)
    assert found == ANCHORED_ON_ITSELF.get(name, 0), issued.description


@pytest.mark.parametrize(
    ("anchor", "child", "strict", "verdict"),
    [
        ("self_signed_ca", "child_of_self_signed_ca", True, 0),
        ("self_signed_cn_only", "child_of_self_signed", True, 92),  # a CA without keyUsage
        ("self_signed_cn_only", "child_of_self_signed", False, 0),
    ],
)
def test_an_anchor_vouches_for_what_its_key_signs(
    anchor: str, child: str, strict: bool, verdict: int, pki: PKI
) -> None:
    """Why anchoring alone does not pin a certificate."""
    context = strict_context(pki[anchor].leaf_pem)
    if not strict:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with RecordingServer(scripts.imap_ok, context=pki[child].server_context()) as server:
        assert verify_code(server, context, pki[child].asked_as) == verdict


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1"])
def test_good_is_good_for_every_address(
    host: str, pki: PKI, client_context: ssl.SSLContext
) -> None:
    context = pki["good"].server_context()
    address = "127.0.0.1" if host == "localhost" else host
    with RecordingServer(scripts.imap_ok, context=context, host=address) as server:
        assert verify_code(server, client_context, host) == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_version_can_be_chosen(
    version: ssl.TLSVersion, pki: PKI, client_context: ssl.SSLContext
) -> None:
    context = pki["good"].server_context(minimum_version=version, maximum_version=version)
    with (
        RecordingServer(scripts.silence, context=context) as server,
        socket.create_connection((server.host, server.port), timeout=10) as connection,
        client_context.wrap_socket(connection, server_hostname="localhost") as tls,
    ):
        assert tls.version() == version.name.replace("_", ".")


def test_pins_follow_the_key(pki: PKI) -> None:
    assert pki["self_signed"].spki_pin == pki["renewed_same_key"].spki_pin
    assert pki["self_signed"].leaf_der != pki["renewed_same_key"].leaf_der
    assert len({pki[name].spki_pin for name in pki.names()}) == len(pki.names()) - 1


def test_certificates_are_made_once(pki: PKI) -> None:
    assert pki["good"] is pki["good"]
    assert pki.ca_pem.read_bytes() != pki.other_ca_pem.read_bytes()
