"""Cases again, with their tracebacks: python -m fuzz.replay FILE ...

Which target: by the folder, or by the name.
"""

import sys
import traceback
import warnings
from pathlib import Path

from fuzz.smaller import escape_of
from fuzz.targets import TARGETS, Target


def target_of(path: Path) -> Target:
    """`cases/imap/…`, or `imap-0123456789ab` as `scripts/fuzz` writes it."""
    name = path.parent.name if path.parent.name in TARGETS else path.name.rpartition("-")[0]
    return TARGETS[name]


def main(paths: list[str]) -> int:
    warnings.simplefilter("error")
    status = 0
    for path in map(Path, paths):
        escape = escape_of(target_of(path), path.read_bytes())
        print(f"{path}: {escape or 'fine'}")
        if escape is not None:
            status = 1
            traceback.print_exception(escape)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
