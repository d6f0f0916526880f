"""All scenarios, by name: a file for each family, and nothing but data in it.

What they are made of is known: "Why TLS Is Better Without STARTTLS" (Poddebniak, Ising, Böck,
Schinzel; USENIX Security 2021), the CVEs and sections of RFCs that the files name, and what this
library's own tests were written against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ..scenario import Mode, Protocol, Scenario
from . import (
    apop,
    certificates,
    controls,
    endings,
    injection,
    mechanisms,
    preauth,
    resources,
    scram,
    stripping,
)

FAMILIES = (
    controls,
    stripping,
    injection,
    preauth,
    endings,
    certificates,
    mechanisms,
    scram,
    apop,
    resources,
)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {scenario.name: scenario for family in FAMILIES for scenario in family.SCENARIOS}
)


def cases(*families: str) -> Iterator[tuple[Scenario, Protocol, Mode]]:
    """Every scenario with each of its protocols and modes: what a whole census plays."""
    for scenario in SCENARIOS.values():
        if not families or scenario.family in families:
            for protocol in scenario.protocols:
                for mode in scenario.modes:
                    yield scenario, protocol, mode
