"""Runs the tests of a module against each change of it; see scripts/mutate, which starts this in
its environment."""

import argparse
import contextlib
import hashlib
import json
import os
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
        self._process = subprocess.Popen(
            [sys.executable, "-c", RUNNER],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()

    def write(self, module: str, code: str) -> None:
        """Each time with another time stamp, by which Python knows its compiled files."""
        path = self.folder / "securemail" / f"{module}.py"
        path.write_text(code, encoding="utf-8")
        self._stamp += 2
        os.utime(path, (self._stamp, self._stamp))

    def test(self, tests: list[str], seconds: float) -> int:
        """pytest's exit status; 124 after `seconds`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        print(*tests, file=stdin, flush=True)
        child = int(stdout.readline())
        late = threading.Event()

        def end() -> None:
            late.set()
            with contextlib.suppress(OSError):
                os.killpg(child, signal.SIGKILL)

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            status = int(stdout.readline())
        finally:
            timer.cancel()
            with contextlib.suppress(OSError):
                os.killpg(child, signal.SIGKILL)  # what the tests had started
        return 124 if late.is_set() else status


class Results:
    """What was found, kept between runs as long as the module is the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}
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


def explained(entries: list[dict[str, str]], module: str, mutant: Mutant) -> dict[str, str] | None:
    """The entry for it, where there is one."""
    for entry in entries:
        if (entry["module"], entry["was"]) == (module, mutant.was) and entry.get(
            "becomes", mutant.becomes
        ) == mutant.becomes:
            return entry
    return None


def run(copy: Copy, module: str, tests: list[str], mutant: Mutant, seconds: float) -> str:
    copy.write(module, mutant.code)
    return "survived" if copy.test(tests, seconds) == 0 else "killed"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()

    config: dict[str, Any] = tomllib.loads(LIST.read_text(encoding="utf-8"))
    wanted: dict[str, list[str]] = {
        module: [f"tests/{name}.py" for name in names]
        for module, names in config["tests"].items()
        if not asked.modules or module in asked.modules
    }
    if unknown := set(asked.modules) - set(wanted):
        sys.exit(f"not in {LIST.name}: {', '.join(sorted(unknown))}")
    sources = {
        module: (ROOT / "securemail" / f"{module}.py").read_text(encoding="utf-8")
        for module in wanted
    }
    made = {module: mutants(source) for module, source in sources.items()}
    if asked.list:
        for module, each in made.items():
            for mutant in each:
                print(f"{module} {mutant.definition}\n  - {mutant.was}\n  + {mutant.becomes}")
        print(f"{sum(map(len, made.values()))} changes of {len(made)} modules")
        return 0

    results, survivors = Results(), []
    work = [
        (module, mutant)
        for module, each in made.items()
        for mutant in each
        if asked.again or not results.killed(key_of(module, mutant))
    ]
    print(
        f"{sum(map(len, made.values()))} changes of {len(made)} modules, {len(work)} to be tested",
        flush=True,
    )
    progress = Progress(len(work))
    with copies(asked.jobs) as free:
        longest: dict[str, float] = {}
        for module, tests in wanted.items():
            if not any(module == each for each, _ in work):
                continue
            began = time.monotonic()
            if free[0].test(tests, 600) != 0:
                print((free[0].folder / "said.txt").read_text())
                sys.exit(f"the tests of {module} fail without any change: {' '.join(tests)}")
            longest[module] = (time.monotonic() - began) * PATIENCE + A_LITTLE
        lock = threading.Lock()

        def try_one(item: tuple[str, Mutant]) -> None:
            module, mutant = item
            with lock:
                copy = free.pop()
            try:
                outcome = run(copy, module, wanted[module], mutant, longest[module])
            finally:
                copy.write(module, sources[module])
                with lock:
                    free.append(copy)
            results.add(key_of(module, mutant), outcome)
            if outcome == "survived":
                survivors.append((module, mutant))
            progress.tell(module, outcome)

        pool = ThreadPoolExecutor(asked.jobs)
        try:
            for _ in pool.map(try_one, work):
                pass
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            print("\ninterrupted; the next run goes on from here", flush=True)
            return 130
        finally:
            pool.shutdown(cancel_futures=True)
    return report(config.get("explained", []), made, survivors)


def report(
    entries: list[dict[str, str]],
    made: dict[str, list[Mutant]],
    survivors: list[tuple[str, Mutant]],
) -> int:
    """Tell what survived without an explanation, and explanations of what is not there."""
    open_ones = [each for each in survivors if explained(entries, *each) is None]
    print(f"\n{len(survivors)} survived, {len(survivors) - len(open_ones)} of them explained")
    for module, mutant in open_ones:
        print(f"\n{module} {mutant.definition}\n  - {mutant.was}\n  + {mutant.becomes}")
    stale = [
        entry
        for entry in entries
        if entry["module"] in made
        and not any(explained([entry], entry["module"], each) for each in made[entry["module"]])
    ]
    for entry in stale:
        print(f"\nexplained, but no such change: {entry['module']}: {entry['was']}")
    return 1 if open_ones or stale else 0


if __name__ == "__main__":
    sys.exit(main())
