"""The smallest case that escapes in the same way, as far as a few hundred tries get."""

import time
from collections.abc import Iterator

from fuzz.escapes import Escaped, run_case
from fuzz.targets import Target

_MOST_TRIES, _SECONDS = 1500, 20.0


def escape_of(target: Target, case: bytes) -> Escaped | None:
    try:
        run_case(target.run, case)
    except Escaped as escape:
        return escape
    return None


def smaller(target: Target, case: bytes) -> bytes:
    """Shorter, and with more zeros; without the octets that play no part."""
    kind = _kind(escape_of(target, case))
    tries, until = 0, time.monotonic() + _SECONDS
    was = None
    while was != case and tries < _MOST_TRIES and time.monotonic() < until:
        was = case
        for other in _shorter(case):
            tries += 1
            if tries > _MOST_TRIES or time.monotonic() > until:
                break
            if _kind(escape_of(target, other)) == kind:
                case = other
                break
    return case.rstrip(b"\0") if _kind(escape_of(target, case.rstrip(b"\0"))) == kind else case


def _kind(escape: Escaped | None) -> str:
    """The first words: what follows is often the server's."""
    return str(escape)[:30] if escape is not None else ""


def _shorter(case: bytes) -> Iterator[bytes]:
    size = len(case) // 2
    while size:
        for at in range(0, len(case), size):
            yield case[:at] + case[at + size :]
            if any(case[at : at + size]):
                yield case[:at] + bytes(len(case[at : at + size])) + case[at + size :]
        size //= 2
