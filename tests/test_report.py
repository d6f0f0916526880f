"""What a report says a server was identified by: a name only where it was compared."""

import json
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    CATrust,
    ExactCertificate,
    FirstUseTrust,
    Pin,
    SystemTrust,
    TLSPolicy,
)
from securemail.report import TLSReport, Vouched
from securemail.trust.base import Peer
from servers import scripts
from servers.pki import PKI
from servers.recording import RecordingServer

NAME = "mail.example.org"


class OfMyOwn:
    """A trust store that turns verification off, and answers this."""

    def __init__(self, answer: Vouched) -> None:
        self.answer = answer

    def prepare(self, context: ssl.SSLContext) -> None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def verify(self, peer: Peer) -> Vouched | None:
        return self.answer


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def report_of(pki: PKI, trust: Any, **options: Any) -> Any:
    policy = TLSPolicy(trust=trust, pins=options.pop("pins", ()))
    with (
        RecordingServer(scripts.imap_ok, context=pki["good"].server_context()) as server,
        IMAP4_SSL(server.host, server.port, policy=policy, server_hostname=NAME) as imap,
    ):
        return imap.report


def stores(pki: PKI, folder: Path) -> dict[str, tuple[str, Any]]:
    leaf = pki["good"]
    return {
        "an authority": ("name", CATrust(pki.ca_pem)),
        "joined": ("name", SystemTrust() | CATrust(pki.ca_pem)),
        "a certificate": ("certificate", ExactCertificate(leaf.leaf_pem)),
        "its pin": ("certificate", ExactCertificate(pin=Pin.of_certificate(leaf.leaf_der))),
        "a key's pin": ("key", ExactCertificate(pin=Pin.of_key(leaf.leaf_der))),
        "one's own": ("trust store", OfMyOwn(Vouched("the Monday list"))),
        "one's own, of names": ("name", OfMyOwn(Vouched("Monday", identified_by="name"))),
    }


KINDS = (
    "an authority",
    "joined",
    "a certificate",
    "its pin",
    "a key's pin",
    "one's own",
    "one's own, of names",
)


@pytest.mark.parametrize("kind", KINDS)
def test_no_server_is_verified_as_a_name_that_nobody_compared(
    kind: str, pki: PKI, tmp_path: Path
) -> None:
    by, trust = stores(pki, tmp_path)[kind]
    report = report_of(pki, trust)
    assert json.loads(json.dumps(report.as_dict()))["tls"]["identified_by"] == by
    if by == "name":
        assert f"verified as: {NAME}" in str(report)
        assert "not by the name" not in str(report) + report.line()
    else:
        assert "verified as" not in str(report)
        assert f"verified:    by its {by}, not by the name {NAME}\n" in str(report)
        assert report.line().endswith(f", by its {by} and not by the name")


def test_a_known_server_is_known_by_its_key(pki: PKI, tmp_path: Path) -> None:
    store = FirstUseTrust(tmp_path / "known")
    with RecordingServer(scripts.imap_ok, context=pki["good"].server_context()) as server:
        store.expect(("imap", "127.0.0.1", server.port), Pin.of_key(pki["good"].leaf_der))
        with IMAP4_SSL("127.0.0.1", server.port, policy=TLSPolicy(trust=store)) as imap:
            report = imap.report
    assert report.tls.identified_by == "key"
    assert "verified:    by its key, not by the name 127.0.0.1\n" in str(report)


def test_pins_narrow_and_the_name_is_compared_all_the_same(pki: PKI) -> None:
    report = report_of(pki, CATrust(pki.ca_pem), pins=(Pin.of_key(pki["good"].leaf_der),))
    assert report.tls.identified_by == "name"


def test_who_identified_the_server_cannot_be_left_out() -> None:
    with pytest.raises(TypeError, match="needs identified_by"):
        TLSReport(host=NAME, version="TLSv1.3", cipher="x", trusted_by="somebody")


def test_a_repr_has_no_certificates_in_it(pki: PKI) -> None:
    report = report_of(pki, CATrust(pki.ca_pem))
    peer = Peer(host=NAME, presented=report.tls.chain, verified=None)
    assert "chain=<2 certificates>" in repr(report.tls)
    assert repr(report.tls) in repr(report), "and neither has one that contains a report"
    assert repr(peer).endswith("presented=<2 certificates>, verified=None)")
    for shown in (repr(report), repr(report.tls), repr(peer)):
        assert len(shown) < 1500
        assert "\\x" not in shown
