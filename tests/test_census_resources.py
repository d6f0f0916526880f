"""What each resource attack costs a client of ours: bounded memory, bounded time, and an error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import census

Cell = tuple[str, str, str, float, float]

LINES, READ = 20_000, 1.0
MEBIBYTES = 8.0  # 1 MiB for a line, two copies of it, and what an allocator keeps
SECONDS = READ + 6.0  # a busy machine, too


def measured(lines: int, read: float, *without: str, timeout: float = 100) -> list[Cell]:
    """In a process of its own, whose memory is not that of the tests before."""
    program = Path(__file__).parent / "census_resources.py"
    command = [sys.executable, str(program), str(lines), str(read), *without]
    env = {**os.environ, "PYTHONPATH": str(program.parent)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=True, env=env
    )
    return [tuple(cell) for cell in json.loads(done.stdout)]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.timeout(600)
def test_no_attack_costs_much_memory_or_time() -> None:
    if census.WRITING:
        census.write_resources(measured(1_000_000, 2.0, timeout=600))
        return
    # Those that only wait are in the census itself, and take as long as one has patience.
    cells = measured(LINES, READ, "silent-", "drip-")
    assert len(cells) > 20
    for name, client, outcome, peak, seconds in cells:
        where = f"{name}, {client}: {outcome}, {peak} MiB, {seconds} s"
        assert outcome.startswith("`"), where  # an error of ours, and neither STUCK nor fine
        assert peak < MEBIBYTES, where
        assert seconds < SECONDS, where


def test_the_document_has_each_of_them() -> None:
    documented = {(name, client): outcome for name, client, outcome, *_ in census.known_resources()}
    assert len(documented) > 40
    assert {outcome[0] for outcome in documented.values()} == {"`"}
