"""The same as a state machine of Hypothesis: steps of a server and of a program, in any order."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fuzz.connections import WAYS
from fuzz.live import CERTIFICATES, Live
from fuzz.steps import SIGN_IN, VERBS


def machine(protocol: str) -> type[RuleBasedStateMachine]:
    """For one protocol: its verbs are the rules' arguments."""

    class Machine(RuleBasedStateMachine):
        run: Live | None = None

        @initialize(
            by=st.integers(0, len(WAYS[protocol]) - 1),
            certificate=st.sampled_from(CERTIFICATES),
            plan=st.lists(st.just(b"") | st.binary(max_size=12), max_size=3),
        )
        def begin(self, by: int, certificate: str, plan: list[bytes]) -> None:
            self.run = Live(protocol, by, certificate)
            self.run.plan.extend(plan)
            self.run.connect()

        @rule(how=st.binary(min_size=1, max_size=12))
        def is_rude_next(self, how: bytes) -> None:
            self._run.plan.append(bytes([how[0] | 0xC0]) + how[1:])

        @precondition(lambda self: self._is_connected)
        @rule(name=st.sampled_from(sorted(VERBS[protocol])))
        def verb(self, name: str) -> None:
            self._run.verb(name)

        @precondition(lambda self: self._is_connected)
        @rule(name=st.sampled_from(sorted(SIGN_IN[protocol])))
        def sign_in(self, name: str) -> None:
            self._run.sign_in(name)

        @precondition(lambda self: self._is_connected and self._run.way.by == "verb")
        @rule()
        def upgrade(self) -> None:
            if self._run.client.report.tls is None:
                self._run.upgrade()

        @invariant()
        def holds(self) -> None:
            if self.run is not None:
                self.run.check()

        def teardown(self) -> None:
            if self.run is not None:
                self.run.finish()

        @property
        def _run(self) -> Live:
            assert self.run is not None
            return self.run

        @property
        def _is_connected(self) -> Any:
            return self.run is not None and self.run.is_connected()

    Machine.__name__ = Machine.__qualname__ = f"Machine_{protocol}"
    return Machine
