"""The census: every hostile server for POP3, and every client of the table in docs/census.md."""

import pytest

import census_rules
from census import cases
from securemail.testing import Authority
from securemail.testing.hostile.scenario import Scenario

pytestmark = census_rules.MARKS


@pytest.mark.parametrize(("scenario", "mode"), cases("pop3"), ids=census_rules.named)
def test_the_census(scenario: Scenario, mode: str, authority: Authority) -> None:
    census_rules.hold(scenario, "pop3", mode, authority)
