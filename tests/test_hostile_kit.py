"""Every scenario of the hostile servers, played to a client that falls for it.

Each is seen to say LEAK, FOOLED or STUCK of somebody, by all its protocols and modes; controls say
"fine". What they say of our classes is in the census (tests/census.py).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from securemail.testing import SCENARIOS, Authority, HostileServer
from securemail.testing.hostile.scenario import Mode, Protocol, Scenario
from securemail.testing.hostile.scenarios import FAMILIES, cases
from securemail.testing.hostile.verdict import Verdict
from servers.naive import Naive

Case = tuple[Scenario, Protocol, Mode]

FEW_OCTETS = 1 << 17
AT_ONCE = 16  # they wait, mostly
NAMES = [family.FAMILY for family in FAMILIES]


def played(family: str, play: Any) -> Iterator[tuple[Case, Any]]:
    """All of a family's, several at once."""
    of_family = list(cases(family))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from zip(of_family, pool.map(lambda case: play(*case), of_family), strict=True)


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
