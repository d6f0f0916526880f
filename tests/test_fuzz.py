"""Every fuzz target: what was found before, and a few hundred cases that are the same each time.

`scripts/fuzz` runs as many as there is time for. `fuzz/cases/` keeps what was found, by target;
its index says why.
"""

import itertools
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from fuzz.choices import Choices
from fuzz.connections import WAYS, Run
from fuzz.escapes import run_case
from fuzz.live import Live
from fuzz.made_up import made_up
from fuzz.polite import MECHANISMS
from fuzz.stateful import machine
from fuzz.targets import TARGETS

CASES = Path(__file__).parent / "fuzz" / "cases"
KEPT = sorted(path for path in CASES.glob("*/*"))
every_target = pytest.mark.parametrize("name", TARGETS)

# Quick, and the same each time, also on CI: scripts/fuzz is for what is new.
BOUNDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}, {path.name}")
def test_what_was_found_before(path: Path) -> None:
    run_case(TARGETS[path.parent.name].run, path.read_bytes())


def test_each_case_that_is_kept_has_a_reason() -> None:
    index = (CASES / "index.md").read_text(encoding="utf-8")
    named = re.findall(r"^- `([^`]+)`: \S.+$", index, re.MULTILINE)
    assert sorted(named) == [f"{path.parent.name}/{path.name}" for path in KEPT]


@every_target
def test_by_hypothesis(name: str) -> None:
    @settings(BOUNDED, max_examples=int(20 + 2 * TARGETS[name].share))
    @given(st.binary(max_size=TARGETS[name].longest))
    def each(case: bytes) -> None:
        run_case(TARGETS[name].run, case)

    each()


@every_target
def test_at_random(name: str) -> None:
    """As `scripts/fuzz --driver random` makes them up: mostly polite, so they get further."""
    cases = made_up(random.Random(name), TARGETS[name].longest)
    for case in itertools.islice(cases, int(12 * TARGETS[name].share)):
        run_case(TARGETS[name].run, case)


# -- the controls: a target that cannot fail shows nothing


@pytest.mark.parametrize("way", range(3))
@pytest.mark.parametrize("protocol", WAYS)
def test_a_case_that_chooses_nothing_is_a_polite_server(protocol: str, way: int) -> None:
    """Connected, upgraded, signed in; so the other cases get as far."""
    run = Run(protocol, Choices(bytes([way])))
    run.play()
    assert run.signed_in
    assert run.seen == []


@pytest.mark.parametrize(
    "mechanism", ["PLAIN", "SCRAM-SHA-256", "LOGIN", "PLAIN LOGIN SCRAM-SHA-256"]
)
@pytest.mark.parametrize("protocol", WAYS)
def test_the_polite_server_knows_its_mechanisms(protocol: str, mechanism: str) -> None:
    """Also SCRAM, where it has to prove something."""
    number = MECHANISMS.index(mechanism.encode())
    run = Run(protocol, Choices(bytes([0, 0, 0, 0, 0, 0, number])))
    run.play()
    assert (run.signed_in, run.seen) == (True, [])
    assert run.client.report.auth.mechanism in mechanism


# -- real handshakes


@pytest.mark.parametrize("protocol", WAYS)
def test_steps_in_any_order(protocol: str) -> None:
    some = settings(BOUNDED, max_examples=6, stateful_step_count=6)
    run_state_machine_as_test(machine(protocol), settings=some)


@pytest.mark.parametrize("by", range(3))
@pytest.mark.parametrize("protocol", WAYS)
def test_a_live_server_that_is_never_rude(protocol: str, by: int) -> None:
    """The control: with a good certificate all goes well, with a bad one nothing."""
    for certificate, goes_well in {"good": True, "expired": False}.items():
        run = Live(protocol, by, certificate)
        run.connect()
        if run.is_connected() and run.way.by == "verb":
            run.upgrade()
        if run.is_connected():
            run.sign_in("login")
        run.finish()
        assert run.signed_in is goes_well
        assert bool(run.seen) is not goes_well
