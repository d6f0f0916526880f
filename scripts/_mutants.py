"""Runs the tests of a module against each change of it; see scripts/mutate, which starts this in
its environment."""

import argparse
import contextlib
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _operators import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutation.toml"
RESULTS = ROOT / ".venvs" / "mutants.json"
PATIENCE = 3  # times as long as without a change, and a little: then a change counts as noticed
A_LITTLE = 10  # seconds
LONGEST = 600  # seconds, of the tests of a module without a change
LATE = 124  # as the exit status of a program
Entry = dict[str, str]  # of what is explained: module, was, becomes, why
NOT_COPIED = shutil.ignore_patterns(".git", ".venvs", "_build", "__pycache__", ".hypothesis")

# Run in each copy: has imported what takes long, and tests each change in a fork of itself.
RUNNER = """
import importlib, os, pytest, signal, sys
for name in ("aiosmtpd.smtp", "asyncio", "cryptography.hazmat.primitives.serialization.pkcs7",
             "cryptography.x509", "imaplib", "poplib", "smtplib", "ssl", "trustme"):
    importlib.import_module(name)
signal.signal(signal.SIGINT, signal.default_int_handler)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(said, descriptor)
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=1"]
        os._exit(int(pytest.main([*options, *line.split()])))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Copy:
    """A copy of the project, with a process that runs its tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
        (self.folder / ".venvs").mkdir()
        env = {**os.environ, "PYTHONPATH": str(folder), "SECUREMAIL_WRITE_TABLES": "0"}
        self._stamp = time.time()
        self._running: int | None = None
        self._process: Any = subprocess.Popen(
            [sys.executable, "-c", RUNNER],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self) -> None:
        """Also in the middle of a run, from another thread."""
        if self._running is not None:
            end_group(self._running)
        self._process.kill()
        self._process.wait()

    def write(self, module: str, code: str) -> None:
        """Each time with another time stamp, by which Python knows its compiled files."""
        path = self.folder / "securemail" / f"{module}.py"
        path.write_text(code, encoding="utf-8")
        self._stamp += 2
        os.utime(path, (self._stamp, self._stamp))

    def test(self, tests: list[str], seconds: float) -> int:
        """pytest's exit status; `LATE` after `seconds`."""
        self._process.stdin.write(" ".join(tests) + "\n")
        self._process.stdin.flush()
        self._running = child = int(self._process.stdout.readline())
        late = threading.Event()
        timer = threading.Timer(seconds, lambda: (late.set(), end_group(child)))
        timer.start()
        try:
            status = int(self._process.stdout.readline())
        finally:
            timer.cancel()
            end_group(child)  # what the tests had started
            self._running = None
        return LATE if late.is_set() else status

    @property
    def said(self) -> str:
        """By the last run of the tests."""
        return (self.folder / "said.txt").read_text(errors="replace")


def end_group(leader: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


class Results:
    """What was found, kept between runs as long as the module is the same."""

    def __init__(self, *, fresh: bool) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}
        if fresh:
            return
        with contextlib.suppress(OSError, ValueError):
            self._found = json.loads(RESULTS.read_text())

    def killed(self, key: str) -> bool:
        return self._found.get(key) == "killed"

    def add(self, key: str, outcome: str) -> None:
        with self._lock:
            self._found[key] = outcome
            fresh = RESULTS.with_suffix(".new")
            fresh.write_text(json.dumps(self._found))
            fresh.replace(RESULTS)


def key_of(module: str, mutant: Mutant) -> str:
    return f"{module} " + hashlib.sha256(mutant.code.encode()).hexdigest()[:24]


@contextlib.contextmanager
def copies(number: int) -> Iterator[list[Copy]]:
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, contextlib.ExitStack() as stack:
        made = []
        for each in range(number):
            copy = Copy(Path(folder, str(each)))
            stack.callback(copy.end)
            made.append(copy)
        yield made


class Progress:
    """One line, written over itself in a terminal, and now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.survived = total, 0, 0
        self._began = self._told = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, module: str, outcome: str) -> None:
        with self._lock:
            self.done += 1
            self.survived += outcome == "survived"
            now = time.monotonic()
            left = (now - self._began) / self.done * (self.total - self.done)
            line = (
                f"{self.done}/{self.total} {module}: {self.survived} survived, {left / 60:.0f} min"
            )
            if sys.stdout.isatty():
                print(f"\r\x1b[K{line}", end="", flush=True)
            elif now - self._told > 30 or self.done == self.total:
                self._told = now
                print(line, flush=True)


class Runs:
    """All that is to be tested, on several copies at once."""

    def __init__(
        self, modules: list["Module"], results: Results, jobs: int, entries: list[Entry]
    ) -> None:
        self._work = [
            (module, each)
            for module in modules
            for each in module.mutants
            if not results.killed(key_of(module.name, each))
            and not explained(entries, module.name, each)
        ]
        self._modules = modules
        self._results = results
        self._jobs = jobs
        self._seconds: dict[str, float] = {}
        self.survivors: list[tuple[str, Mutant]] = []

    def go(self) -> None:
        total = sum(len(module.mutants) for module in self._modules)
        say(f"{total} changes of {len(self._modules)} modules, {len(self._work)} to be tested")
        self._progress = Progress(len(self._work))
        with copies(self._jobs) as made, ThreadPoolExecutor(self._jobs) as pool:
            self._free = queue.SimpleQueue()
            for copy in made:
                self._free.put(copy)
            self._time_unchanged(made[0])
            try:
                for _ in pool.map(self._try, self._work):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for copy in made:
                    copy.end()
                raise

    def _time_unchanged(self, copy: Copy) -> None:
        for module in {module.name: module for module, _ in self._work}.values():
            began = time.monotonic()
            if copy.test(module.tests, LONGEST) != 0:
                sys.exit(f"{copy.said}\nthe tests of {module.name} fail without any change")
            self._seconds[module.name] = (time.monotonic() - began) * PATIENCE + A_LITTLE

    def _try(self, item: tuple["Module", Mutant]) -> None:
        module, mutant = item
        copy = self._free.get()
        try:
            copy.write(module.name, mutant.code)
            is_killed = copy.test(module.tests, self._seconds[module.name]) != 0
        finally:
            copy.write(module.name, module.source)
            self._free.put(copy)
        outcome = "killed" if is_killed else "survived"
        self._results.add(key_of(module.name, mutant), outcome)
        if not is_killed:
            self.survivors.append((module.name, mutant))
        self._progress.tell(module.name, outcome)


class Module:
    """One that is changed: `tests` are the files that should notice."""

    def __init__(self, name: str, tests: list[str]) -> None:
        self.name = name
        self.tests = [f"tests/{each}.py" for each in tests]
        self.source = (ROOT / "securemail" / f"{name}.py").read_text(encoding="utf-8")
        self.mutants = mutants(self.source)


def say(text: str) -> None:
    print(text, flush=True)


def told(module: str, mutant: Mutant) -> str:
    return f"\n{module} {mutant.definition}\n  - {mutant.was}\n  + {mutant.becomes}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()

    config: dict[str, Any] = tomllib.loads(LIST.read_text(encoding="utf-8"))
    if unknown := set(asked.modules) - set(config["tests"]):
        sys.exit(f"not in {LIST.name}: {', '.join(sorted(unknown))}")
    modules = [
        Module(name, tests)
        for name, tests in config["tests"].items()
        if not asked.modules or name in asked.modules
    ]
    if asked.list:
        for module in modules:
            for mutant in module.mutants:
                say(told(module.name, mutant))
        return 0
    entries: list[Entry] = config.get("explained", [])
    is_known = [] if asked.again else entries  # these are not tried again
    runs = Runs(modules, Results(fresh=asked.again), asked.jobs, is_known)
    try:
        runs.go()
    except KeyboardInterrupt:
        say("\ninterrupted; the next run goes on from here")
        return 130
    return report(entries, modules, runs.survivors)


def explained(entries: list[Entry], module: str, mutant: Mutant) -> bool:
    """Whether there is an entry for it; one without `becomes` is for every change of that line."""
    return any(
        (entry["module"], entry["was"]) == (module, mutant.was)
        and entry.get("becomes", mutant.becomes) == mutant.becomes
        for entry in entries
    )


def report(entries: list[Entry], modules: list[Module], survivors: list[tuple[str, Mutant]]) -> int:
    """Tell what survived without an explanation, and explanations of what is not there."""
    unexplained = [each for each in survivors if not explained(entries, *each)]
    say(f"\n{len(survivors)} survived, {len(survivors) - len(unexplained)} of them explained")
    for module, mutant in unexplained:
        say(told(module, mutant))
    stale = [
        entry
        for entry in entries
        for module in modules
        if entry["module"] == module.name
        and not any(explained([entry], module.name, each) for each in module.mutants)
    ]
    for entry in stale:
        say(f"\nexplained, but no such change: {entry['module']}: {entry['was']}")
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main())
