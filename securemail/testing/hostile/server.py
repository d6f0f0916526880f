"""A hostile server on a port of loopback."""

from __future__ import annotations

import contextlib
import secrets
import ssl
import tempfile
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from ..authority import Authority
from ..running import Running
from .contexts import server_context
from .play import SESSIONS
from .recording import Conversation, Record, RecordingServer
from .scenario import OCTETS, SECONDS, Mode, Protocol, Scenario
from .scenarios import SCENARIOS
from .stage import Setup
from .verdict import Case, Verdict, judge

USER = "kit-user@example.org"
PASSWORD = "correct-horse-7f3a"  # noqa: S105 - it is to be given away
WAIT_SECONDS = 5.0


class HostileServer(Running):
    """Plays one scenario to every client that connects, and says whether they fell for it.

    >>> with HostileServer("strip-offer", "imap") as server:
    ...     my_client(server.host, server.port, server.user, server.password, server.ca_file)
    ...     print(server.verdict())
    ...     server.require_no_leak()

    `scenario` is a name in `SCENARIOS`, or a `Scenario` of one's own. `mode` is how the client
    connects: "starttls", or "tls" from the first byte; none given is the scenario's first. The
    client is to trust `authority` (`ca_file`, `ca_pem`) and to sign in as `user` with `password`,
    which should be used nowhere else. `marker` is in the words that are injected, for a client's
    own tests to look for. What has no end of its own ends after `seconds` or `octets`. It listens
    on 127.0.0.1 alone.
    """

    def __init__(
        self,
        scenario: str | Scenario,
        protocol: Protocol | None = None,
        *,
        mode: Mode | None = None,
        user: str = USER,
        password: str = PASSWORD,
        authority: Authority | None = None,
        port: int = 0,
        seconds: float = SECONDS,
        octets: int = OCTETS,
        finished: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self.scenario = _named(scenario)
        self.protocol: Protocol = protocol or self.scenario.protocols[0]
        self.mode: Mode = mode or self.scenario.modes[0]
        if self.protocol not in self.scenario.protocols or self.mode not in self.scenario.modes:
            raise ValueError(f"the scenario {self.scenario.name} is for {self.scenario.where}")
        self.user, self.password = user, password
        self.authority = authority or Authority()
        self.marker = f"kit{secrets.token_hex(4)}"
        self._seconds, self._octets = seconds, octets
        self._wanted_port, self._finished = port, finished
        self._elsewhere: RecordingServer | None = None
        self._exit = contextlib.ExitStack()

    def __repr__(self) -> str:
        return f"<HostileServer {self.scenario.name}, {self.protocol}, {self.mode}>"

    # Starting and stopping

    def start(self) -> None:
        """Listen. When this returns, clients can connect."""
        self._context(self.scenario.certificate)  # here, so that the first client need not wait
        with contextlib.ExitStack() as starting:
            folder = starting.enter_context(tempfile.TemporaryDirectory())
            self.ca_file = str(Path(folder, "ca.pem"))
            self.authority.write_ca(self.ca_file)
            if self.scenario.refers:
                self._elsewhere = starting.enter_context(RecordingServer(self._play_elsewhere))
            self._server = starting.enter_context(
                RecordingServer(self._play, port=self._wanted_port)
            )
            self._exit = starting.pop_all()

    def stop(self) -> None:
        """Ends every connection. Twice is no error."""
        self._exit.close()

    # What there is to know

    @property
    def host(self) -> str:
        """Where it listens: 127.0.0.1."""
        return self._server.host

    @property
    def port(self) -> int:
        """On a free port, if none was asked for."""
        return self._server.port

    @property
    def ca_pem(self) -> bytes:
        """The certificate of the authority that a client should trust."""
        return self.authority.ca_pem

    @property
    def records(self) -> list[Record]:
        """What came, a record for each connection."""
        return list(self._server.records)

    @property
    def _records_elsewhere(self) -> list[Record]:
        return list(self._elsewhere.records) if self._elsewhere is not None else []

    def verdict(self, wait: float = WAIT_SECONDS) -> Verdict:
        """On all connections so far, once they have ended, or after `wait` seconds.

        Without any it is a LookupError: a client that never came has shown nothing.
        """
        with contextlib.suppress(TimeoutError):
            self._server.wait(max(len(self.records), 1), wait)
        if not self.records:
            raise LookupError(f"no client has connected to {self.host}:{self.port}")
        return judge(self.case, self.records, self._records_elsewhere)

    def verdict_on(self, record: Record) -> Verdict:
        """On one connection alone."""
        return judge(self.case, [record])

    def require_no_leak(self) -> None:
        """An AssertionError if the verdict is LEAK or FOOLED; STUCK is for `verdict` to say."""
        verdict = self.verdict()
        if verdict.kind in ("LEAK", "FOOLED"):
            raise AssertionError(f"{self.scenario.name} ({self.protocol}, {self.mode}): {verdict}")

    @property
    def case(self) -> Case:
        return Case(
            scenario=self.scenario,
            protocol=self.protocol,
            mode=self.mode,
            user=self.user,
            password=self.password,
        )

    # In the threads

    def _play(self, conversation: Conversation) -> None:
        scenario, times = self.scenario, self.scenario.times
        if times is not None and self._place(conversation.record) >= times:
            scenario = scenario.politely
        try:
            SESSIONS[self.protocol](self._setup(scenario, self.mode), conversation).run()
        finally:
            conversation.finish()
            self._finished(conversation.record)

    def _place(self, record: Record) -> int:
        """Which of the connections it is, counted from 0."""
        return next(i for i, other in enumerate(self._server.records) if other is record)

    def _play_elsewhere(self, conversation: Conversation) -> None:
        SESSIONS[self.protocol](
            self._setup(SCENARIOS["strip-offer"], "starttls"), conversation
        ).run()

    def _setup(self, scenario: Scenario, mode: Mode) -> Setup:
        return Setup(
            scenario=scenario,
            protocol=self.protocol,
            mode=mode,
            user=self.user,
            password=self.password,
            context=self._context,
            marker=self.marker,
            elsewhere=f"127.0.0.1:{self._elsewhere.port}" if self._elsewhere else "",
            seconds=self._seconds,
            octets=self._octets,
        )

    def _context(self, kind: str) -> ssl.SSLContext:
        return server_context(self.authority, kind)


def _named(scenario: str | Scenario) -> Scenario:
    if isinstance(scenario, Scenario):
        return scenario
    if scenario not in SCENARIOS:
        near = get_close_matches(scenario, SCENARIOS, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"there is no scenario {scenario!r}; {meant}see SCENARIOS, or --list")
    return SCENARIOS[scenario]
