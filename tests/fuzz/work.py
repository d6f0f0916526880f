"""One process of `scripts/fuzz`: some targets, one driver, so many cases or minutes.

It writes one line of JSON to its output now and then, and for each escape; an escape's case is
put into a folder. Ended by SIGINT or SIGTERM.
"""

import argparse
import faulthandler
import hashlib
import json
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MEMORY = 1 << 30  # octets more than at the start: a case that takes them is an escape
_OFTEN = 0.5  # seconds between two lines
_MOST_ESCAPES = 20  # of one target in one process: enough to work on


class Enough(BaseException):
    """The cases or the minutes are over, or somebody said stop."""


class Worker:
    """Runs one target after another, and says how it goes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.driver: str = arguments.driver
        self.folder = Path(arguments.folder)
        self.seed: int = arguments.seed
        self.cases = self.escapes = 0
        self._said = 0.0
        self._name = ""

    def run(self, name: str, cases: int, seconds: float) -> None:
        from fuzz.targets import TARGETS

        self._name, self._target = name, TARGETS[name]
        self.cases = self.escapes = 0
        self._most, self._until = cases, time.monotonic() + seconds
        self._started, self._said = time.monotonic(), 0.0
        try:
            DRIVERS[self.driver](self)
        except Enough:
            pass
        finally:
            self._say(done=True)

    def try_case(self, case: bytes) -> bool:
        """Whether it escaped."""
        from fuzz.smaller import escape_of

        if self.cases >= self._most or time.monotonic() >= self._until:
            raise Enough
        self.cases += 1
        escape = escape_of(self._target, case)
        if escape is not None:
            self._keep(case, escape)
        if time.monotonic() - self._said > _OFTEN:
            self._say()
        return escape is not None

    def _keep(self, case: bytes, escape: Exception) -> None:
        from fuzz.smaller import smaller

        self.escapes += 1
        if "did not end" not in str(escape):
            case = smaller(self._target, case)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self._name}-{hashlib.sha256(case).hexdigest()[:12]}"
        path.write_bytes(case)
        frames = traceback.format_exception(escape.__cause__ or escape, limit=-8)
        _print(target=self._name, escaped=str(escape), path=str(path), frames="".join(frames))
        if self.escapes >= _MOST_ESCAPES:
            raise Enough

    def _say(self, *, done: bool = False) -> None:
        self._said = time.monotonic()
        spent = round(self._said - self._started, 2)
        _print(target=self._name, cases=self.cases, escapes=self.escapes, seconds=spent, done=done)

    @property
    def longest(self) -> int:
        return self._target.longest


def _print(**facts: Any) -> None:
    sys.__stdout__.write(json.dumps(facts) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def by_chance(worker: Worker) -> None:
    from fuzz.made_up import made_up

    for case in made_up(random.Random(f"{worker.seed} {worker._name}"), worker.longest):
        worker.try_case(case)


def by_hypothesis(worker: Worker) -> None:
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    for number in range(sys.maxsize):

        @seed(hash((worker.seed, number)))
        @settings(
            max_examples=2000,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.binary(max_size=worker.longest))
        def some(case: bytes) -> None:
            worker.try_case(case)

        some()


def by_atheris(worker: Worker) -> None:
    """Guided by what is reached. libFuzzer does not return: this process is for one target."""
    import atheris

    def one(case: bytes) -> None:
        try:
            worker.try_case(case)
        except Enough:
            worker._say(done=True)
            sys.__stdout__.flush()  # type: ignore[union-attr]
            import os

            os._exit(0)

    corpus = worker.folder / "corpus" / worker._name
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_len={worker.longest}", "-timeout=0", "-rss_limit_mb=0", "-verbosity=0"]
    options += [
        "-print_final_stats=0",
        "-handle_int=0",
        "-handle_term=0",
        f"-seed={worker.seed + 1}",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


DRIVERS: dict[str, Callable[[Worker], None]] = {
    "random": by_chance,
    "hypothesis": by_hypothesis,
    "atheris": by_atheris,
}


def _stop(number: int, frame: Any) -> None:
    raise Enough


def _bound_memory() -> None:
    """What goes far beyond what is there now fails with a `MemoryError`, which is an escape."""
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, resource.RLIM_INFINITY))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", choices=DRIVERS, default="random")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("plan", nargs="+", metavar="TARGET=CASES,SECONDS")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    faulthandler.enable()
    if arguments.driver == "atheris":
        import atheris

        with atheris.instrument_imports(include=["securemail"]):
            import fuzz.targets
    import fuzz.targets

    fuzz.targets.TARGETS  # noqa: B018
    warnings.simplefilter("error")
    if sys.platform == "linux":
        _bound_memory()
    worker = Worker(arguments)
    for one in arguments.plan:
        name, _, much = one.partition("=")
        cases, seconds = much.split(",")
        worker.run(name, int(cases), float(seconds))


if __name__ == "__main__":
    try:
        main()
    except Enough:
        sys.exit(0)
