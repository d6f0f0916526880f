"""Every scenario of the hostile servers, played to a client that falls for it, and to ours.

Each is seen to say LEAK, FOOLED or STUCK of somebody, and "refused" or "fine" of our classes, by
all its protocols and modes. Controls say "fine" of both.
"""

import poplib
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP_SSL,
    SMTP_STARTTLS,
    CATrust,
    Limits,
    SecureMailError,
    TLSPolicy,
)
from securemail.testing import SCENARIOS, Authority, HostileServer
from securemail.testing.hostile.scenario import Mode, Protocol, Scenario
from securemail.testing.hostile.scenarios import FAMILIES, cases
from securemail.testing.hostile.verdict import Verdict
from servers.naive import Naive

Case = tuple[Scenario, Protocol, Mode]

CLASSES: dict[tuple[str, str], Any] = {
    ("imap", "tls"): IMAP4_SSL,
    ("imap", "starttls"): IMAP4_STARTTLS,
    ("pop3", "tls"): POP3_SSL,
    ("pop3", "starttls"): POP3_STARTTLS,
    ("smtp", "tls"): SMTP_SSL,
    ("smtp", "starttls"): SMTP_STARTTLS,
}
OCTETS = 1 << 20
FEW_OCTETS = 1 << 17
AT_ONCE = 16  # they wait, mostly
NAMES = [family.FAMILY for family in FAMILIES]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def policy(authority: Authority) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(authority.ca_pem))


def played(family: str, play: Any) -> Iterator[tuple[Case, Any]]:
    """All of a family's, several at once."""
    of_family = list(cases(family))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from zip(of_family, pool.map(lambda case: play(*case), of_family), strict=True)


# -- our own classes


def limits(scenario: Scenario) -> Limits:
    seconds = 0.3 if scenario.family == "resources" else 10.0
    return Limits(connect=seconds, read=seconds, line=1 << 16, lines=10_000, literal=1 << 16)


def use_ours(server: HostileServer, policy: TLSPolicy) -> None:
    """Signs in, looks at the mail, and leaves."""
    cls = CLASSES[server.protocol, server.mode]
    client = cls(server.host, server.port, policy=policy, limits=limits(server.scenario))
    try:
        client.login(server.user, server.password)
        if server.protocol == "imap":
            client.select()
            client.list()
            client.fetch("1", "(BODY[])")
            client.logout()
        elif server.protocol == "pop3":
            client.stat()
            client.uidl()
            client.retr(1)
            client.quit()
        else:
            client.sendmail("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\nx\r\n")
            client.quit()
    finally:
        client._close_now()


@pytest.mark.parametrize("family", NAMES)
def test_our_classes_fall_for_none(family: str, authority: Authority, policy: TLSPolicy) -> None:
    def play(scenario: Scenario, protocol: Protocol, mode: Mode) -> Verdict:
        with HostileServer(
            scenario, protocol, mode=mode, authority=authority, octets=OCTETS
        ) as server:
            if scenario.is_control:
                use_ours(server, policy)
            else:
                with suppress(SecureMailError, poplib.error_proto, smtplib.SMTPException):
                    use_ours(server, policy)
            server.require_no_leak()
            return server.verdict()

    for (scenario, protocol, mode), verdict in played(family, play):
        assert verdict.as_expected, f"{scenario.name}, {protocol}, {mode}: {verdict}"


# -- somebody who believes everything

# Where what a client does next is the attack. Elsewhere the first connection is to show it.
DIALS_AGAIN = {"endings", "stripping"}
# What a server cannot see: the words are kept by the client, and shown to people.
SHOWN_BY = {
    "inject-with-consent": "took words that were injected in clear",
    "inject-after-consent": "took words that were injected in clear",
    "inject-before-verb": "took words that were injected in clear",
    "inject-with-greeting": "took words that were injected in clear",
    "inject-capabilities": "offered in clear alone",
    "inject-referral": "in clear",
    "preauth": "went on to mail in clear",
    "downgrade-after-cram": "gave the password itself",
    "downgrade-after-scram": "gave the password itself",
    "strip-offer-cram": "CRAM-MD5 digest",
    "strip-offer-scram": "SCRAM-SHA-256 proof",
    "apop-in-clear": "APOP digest",
    "apop-collision": "APOP digest",
    "scram-one-iteration": "for 1 iterations",
    "scram-wrong-signature": "went on after this",
    "scram-early-success": "went on after this",
    "clear-on-tls-port": "in clear",
    "expired": "certificate that is 'expired'",
}
UNSEEN = {name for name in SCENARIOS if name.startswith(("inject-mailbox-", "inject-alert-"))}


@pytest.mark.parametrize("family", NAMES)
def test_each_scenario_catches_somebody(family: str, authority: Authority) -> None:
    def play(scenario: Scenario, protocol: Protocol, mode: Mode) -> tuple[Verdict, bool]:
        with HostileServer(
            scenario, protocol, mode=mode, authority=authority, seconds=0.4, octets=FEW_OCTETS
        ) as server:
            patient, reads_on = family not in DIALS_AGAIN, family == "injection"
            client = Naive(server, patient=patient, reads_on=reads_on)
            client.run()
            return server.verdict(), server.marker.encode() in client.kept

    for (scenario, protocol, mode), (verdict, keeps_marker) in played(family, play):
        which = f"{scenario.name}, {protocol}, {mode}: {verdict}"
        if scenario.is_control:
            assert verdict.kind == "fine", which
        elif family == "resources":
            assert verdict.kind == "STUCK", which
        elif scenario.name in UNSEEN:
            assert verdict.kind == "fine", which
            assert keeps_marker, which
        else:
            assert verdict.kind in ("LEAK", "FOOLED"), which
            assert not verdict.as_expected, which
            assert SHOWN_BY.get(scenario.name, "") in verdict.says, which
