"""`python -m securemail.testing`: hostile mail servers, to point any client at."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, get_args

from .hostile.recording import Record
from .hostile.scenario import OCTETS, SECONDS, Mode, Protocol, Scenario
from .hostile.scenarios import FAMILIES
from .hostile.verdict import Verdict, quoted

if TYPE_CHECKING:
    from .hostile.server import HostileServer

EPILOG = """\
A scenario's server waits on 127.0.0.1. Point a mail client at it, with the user and password that
are printed, and let it trust the CA file that is printed, and nothing else; then look what is said
of it here. Compare with the scenario "control", which a client must be content with.

  LEAK     a password, or what it can be guessed from, reached somebody who must not have it
  FOOLED   no password, but the client took the attacker's word
  STUCK    the client was still there when the server gave up
  refused  nothing was said that should not be
  fine     it signed in over TLS

The exit status is 2 after a LEAK or FOOLED, else 0. Ctrl-C ends it.
"""
BAD = ("LEAK", "FOOLED")
SHOWN_LINES = 12
USAGE, BROKEN_PIPE = 64, 141  # as the securemail command has them


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """2 is a LEAK here."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for what clients say
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        done = _serve(options) if options.serve else _say_list(as_json=options.json)
        sys.stdout.flush()  # here, where a closed pipe can still be answered for
    except (ValueError, OverflowError, ImportError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        parser.error(str(error))
    return done


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m securemail.testing",
        description="Hostile mail servers on loopback: each plays one attack.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="the scenarios, by family")
    what.add_argument("--serve", metavar="SCENARIO", help="play this one")
    add = parser.add_argument
    add("--protocol", choices=get_args(Protocol), help="by default the scenario's first")
    add("--mode", choices=get_args(Mode), help="by default the scenario's first")
    add("--port", type=int, default=0, help="by default a free one")
    add("--once", action="store_true", help="end after the first connection")
    add("--seconds", type=float, default=SECONDS, help="for what has no end (default: %(default)s)")
    add("--octets", type=int, default=OCTETS, help="for what has no end (default: %(default)s)")
    add("--json", action="store_true", help="a line of JSON for each thing that is said")
    return parser


# -- the list


def _say_list(*, as_json: bool) -> int:
    for family in FAMILIES:
        if not as_json:
            print(f"\n{family.FAMILY}: {_first_line(family.__doc__)}")
        for scenario in family.SCENARIOS:
            print(json.dumps(_facts(scenario)) if as_json else _row(scenario))
    return 0


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _row(scenario: Scenario) -> str:
    return f"  {scenario.name:36} {scenario.where}\n      {scenario.says}"


def _facts(scenario: Scenario) -> dict[str, object]:
    return {
        "name": scenario.name,
        "family": scenario.family,
        "says": scenario.says,
        "protocols": scenario.protocols,
        "modes": scenario.modes,
        "expects": scenario.expects,
    }


# -- one server


def _serve(options: argparse.Namespace) -> int:
    from . import HostileServer  # which says what to install, where that is missing

    show = Show(as_json=options.json)
    server = HostileServer(
        options.serve,
        options.protocol,
        mode=options.mode,
        port=options.port,
        seconds=options.seconds,
        octets=options.octets,
        finished=lambda record: show.connection(server, record),
    )
    with contextlib.suppress(KeyboardInterrupt), server:
        show.start(server)
        while not (options.once and show.connections):
            show.changed.wait()
            show.changed.clear()
    show.end(server)
    return 2 if any(verdict.kind in BAD for verdict in show.verdicts) else 0


class Show:
    """What is printed, in words or in JSON. Connections end in threads of their own."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._one_at_a_time = threading.Lock()
        self.changed = threading.Event()
        self.connections = 0
        self.verdicts: list[Verdict] = []

    def start(self, server: HostileServer) -> None:
        scenario = server.scenario
        self._say(
            {
                "scenario": scenario.name,
                "says": scenario.says,
                "protocol": server.protocol,
                "mode": server.mode,
                "host": server.host,
                "port": server.port,
                "user": server.user,
                "password": server.password,
                "ca_file": server.ca_file,
            },
            f"{scenario.name}: {scenario.says}\n\n"
            f"  connect to  {server.host}, port {server.port}: {server.protocol.upper()} with "
            f"{'STARTTLS' if server.mode == 'starttls' else 'TLS from the first byte'}\n"
            f"  user        {server.user}\n"
            f"  password    {server.password}\n"
            f"  CA file     {server.ca_file}\n"
            f"\nA good client: {' or '.join(scenario.expects)}. Ctrl-C ends this.",
        )

    def connection(self, server: HostileServer, record: Record) -> None:
        """What one client said, and what that means."""
        verdict = server.verdict_on(record)
        with self._one_at_a_time:
            self.connections += 1
            self.verdicts.append(verdict)
            clear, tls = _lines(record.received_clear), _lines(record.received_tls)
            self._say(
                {
                    "connection": self.connections,
                    "in_clear": clear,
                    "within_tls": tls,
                    **_in_json(verdict),
                },
                f"\nconnection {self.connections}\n{_shown('in clear', clear)}"
                f"{_shown('within TLS', tls)}  {verdict}",
            )
        self.changed.set()

    def end(self, server: HostileServer) -> None:
        """The verdict on all together: some faults show in two connections only."""
        if self.connections:
            verdict = server.verdict()
            self.verdicts.append(verdict)
            self._say(_in_json(verdict), f"\n{verdict}")

    def _say(self, facts: dict[str, object], text: str) -> None:
        print(json.dumps(facts) if self._as_json else text, flush=True)


def _in_json(verdict: Verdict) -> dict[str, object]:
    return {
        "verdict": verdict.kind,
        "because": verdict.says,
        "shown": verdict.shown,
        "as_expected": verdict.as_expected,
    }


def _lines(data: bytes) -> list[str]:
    """As they came, quoted; a handshake is not shown."""
    clear = data.partition(b"\x16\x03")[0]
    lines = [quoted(line.rstrip(b"\r")) for line in clear.split(b"\n") if line.strip()]
    return [*lines[:SHOWN_LINES], *(["..."] if len(lines) > SHOWN_LINES else [])]


def _shown(what: str, lines: list[str]) -> str:
    if not lines:
        return f"  {what}: nothing\n"
    return f"  {what}:\n" + "".join(f"    {line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
