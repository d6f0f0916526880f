"""Exit statuses."""

from __future__ import annotations

from collections.abc import Iterable

FINE = 0
WARNING = 1  # it works, with a warning
REFUSED = 2
UNREACHABLE = 3
USAGE = 64  # EX_USAGE of sysexits.h
INTERRUPTED = 130  # as shells report SIGINT
BROKEN_PIPE = 141  # as shells report SIGPIPE

NAMES = {FINE: "fine", WARNING: "warning", REFUSED: "refused", UNREACHABLE: "unreachable"}
_BY_WEIGHT = (FINE, WARNING, UNREACHABLE, REFUSED)


def worst(statuses: Iterable[int]) -> int:
    """The status of several results together: a refusal outweighs what could not be reached."""
    return max(statuses, key=_BY_WEIGHT.index, default=FINE)
