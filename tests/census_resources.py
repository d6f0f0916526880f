"""How much memory, and how long, each resource attack costs a client of ours; run as a program.

    python census_resources.py LINES READ [PREFIX…]   prints JSON: for each cell, MiB and seconds

With the limits that everybody has, but for LINES in the place of a million, and READ seconds in
the place of 60 (and 30, for connecting); without the attacks that begin with a PREFIX. Linux.
"""

import ctypes
import gc
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import census
from census_clients import CLIENTS, Client, Visit, quietly
from securemail import CATrust, Limits, TLSPolicy
from securemail.testing import SCENARIOS, Authority, HostileServer
from securemail.testing.hostile.scenario import Scenario

FLOOD = 64 * 1024 * 1024  # octets
PATIENCE = 90  # seconds, of the server
LIBC = ctypes.CDLL(None)


def mebibytes(key: str) -> float:
    """Of this process: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def measured(visit: Visit, use: Any) -> tuple[float, float, BaseException | None]:
    """The most memory above what there was, in MiB; seconds; what was raised."""
    gc.collect()
    LIBC.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before, began = mebibytes("VmRSS:"), time.monotonic()
    error = quietly(use, visit)
    return mebibytes("VmHWM:") - before, time.monotonic() - began, error


def places(without: tuple[str, ...]) -> Iterator[tuple[Scenario, Client]]:
    """Each attack on what there is, and the classes to which it can be done."""
    for scenario in SCENARIOS.values():
        if scenario.family != "resources" or scenario.name.startswith(without):
            continue
        for client in CLIENTS:
            is_there = client.protocol in scenario.protocols and client.mode in scenario.modes
            if is_there and client.name.endswith(("_SSL`", "_STARTTLS`")):
                yield scenario, client


def cells(lines: int, read: float, *without: str) -> Iterator[tuple[str, str, str, float, float]]:
    """Scenario, class, what came of it, MiB, seconds."""
    authority = Authority()
    policy = TLSPolicy(trust=CATrust(authority.ca_pem))
    limits = Limits(connect=read, read=read, lines=lines)
    for scenario, client in places(without):
        server = HostileServer(
            scenario,
            client.protocol,  # type: ignore[arg-type]
            mode=client.mode,
            authority=authority,
            octets=FLOOD,
            seconds=PATIENCE,
        )
        with server:
            peak, seconds, error = measured(Visit(server, policy, limits), client.use)
            found = census.Found(client, server.verdict(), error)
        yield scenario.name, client.name, found.cell, round(peak, 1), round(seconds, 1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(list(cells(int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]))))
