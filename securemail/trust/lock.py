"""One process at a time: a lock on PATH.lock, which the system takes back when its holder ends."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from ..errors import TimeLimitExceeded

_SECONDS = 10.0
_PAUSE = 0.01
_TAKEN = (BlockingIOError, PermissionError)  # the second one is Windows'


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Holds the lock of `path`; waits for it some seconds. Raises `TimeLimitExceeded`, `OSError`.

    The lock's own file stays: removing it would let two processes hold two locks.
    """
    with open(f"{path}.lock", "ab", opener=_open) as file:
        _wait_for(file.fileno(), path)
        try:
            yield
        finally:
            # By name, not only by closing: a child forked meanwhile has this descriptor as well.
            _unlock(file.fileno())


def _open(name: str, _: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(name, flags, 0o600)


def _wait_for(descriptor: int, path: str) -> None:
    end = time.monotonic() + _SECONDS
    while True:
        with contextlib.suppress(*_TAKEN):
            return _lock(descriptor)
        if time.monotonic() > end:
            raise TimeLimitExceeded(
                f"another process has held the lock of {path} for {_SECONDS:g} s; nothing was "
                "written.",
                code="known-servers-busy",
                hint=f"Look for a program that stands still while it holds {path}.lock, and try "
                "again when it has ended. Reading needs no lock: known servers work meanwhile.",
            )
        time.sleep(_PAUSE)


try:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

except ImportError:  # Windows
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined, unused-ignore]
