"""The known-servers file on disk: read by one look, changed under a lock, and whole at any moment.

A change goes into PATH.new, which then takes the file's place: whoever reads sees the file before
it or after it, also when a process is killed in between.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator

from ..errors import PolicyError
from ..files import require_ours
from . import known_servers
from .known_servers import CODE, KnownServers
from .lock import locked

_MOST = 1024 * 1024  # octets
_FLAGS = {name: getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW")}
_BINARY = getattr(os, "O_BINARY", 0)  # Windows


def read(path: str) -> KnownServers:
    """What the file at `path` says; one that does not exist yet says nothing. Raises
    `PolicyError` for a file that cannot be read, or that others may write."""
    with _in_words(path):
        target = os.path.realpath(path)
        try:
            data, _ = _octets(target)
        except FileNotFoundError:
            _require_folder(target)
            return KnownServers()
    return known_servers.parse(data, path)


def update(path: str, change: Callable[[KnownServers], KnownServers]) -> KnownServers:
    """Replace the file by what `change` makes of it; what it raises leaves the file as it is.

    Raises `PolicyError`, and `TimeLimitExceeded` where others hold the lock for too long.
    """
    with _in_words(path):
        target = os.path.realpath(path)  # a symbolic link stays one
        _require_folder(target)
        with locked(target):
            try:
                data, found = _octets(target)
            except FileNotFoundError:
                data, found = b"", None
            before = known_servers.parse(data, path)
            after = change(before)
            if after != before:
                _replace(target, str(after).encode(), found)
    return after


def _octets(target: str) -> tuple[bytes, os.stat_result]:
    # O_NONBLOCK: opening a pipe would wait for somebody to write into it.
    flags = os.O_RDONLY | _FLAGS["O_CLOEXEC"] | _FLAGS["O_NONBLOCK"] | _BINARY
    with open(target, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        found = os.fstat(file.fileno())
        _require_ours(target, found)
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise _too_large(target)
    return data, found


def _require_ours(target: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PolicyError(
            f"{target} is not a file.", code=CODE, hint="Name the file of known servers."
        )
    if found.st_size > _MOST:
        raise _too_large(target)
    require_ours(target, found, CODE)


def _replace(target: str, data: bytes, before: os.stat_result | None) -> None:
    """Its owner and who may read it stay; a new file is for its owner alone."""
    if len(data) > _MOST:
        raise _too_large(target)
    new = f"{target}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # of a process that was killed; or put there, to be written through
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS["O_CLOEXEC"] | _FLAGS["O_NOFOLLOW"]
    try:
        with open(new, "wb", opener=lambda name, _: os.open(name, flags | _BINARY, 0o600)) as file:
            file.write(data)
            file.flush()
            if before is not None and os.name == "posix":
                _keep_owner(file.fileno(), before)
            os.fsync(file.fileno())
        os.replace(new, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
    _sync_folder(target)


def _keep_owner(descriptor: int, before: os.stat_result) -> None:
    if before.st_uid != os.geteuid():
        os.fchown(descriptor, before.st_uid, before.st_gid)  # we are root, or it is root's: refused
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o644 | 0o600)


def _sync_folder(target: str) -> None:
    """So that the new name outlives a power failure too."""
    if os.name != "posix":
        return
    folder = os.open(os.path.dirname(target), os.O_RDONLY | _FLAGS["O_CLOEXEC"])
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _require_folder(target: str) -> None:
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise PolicyError(
            f"{target} cannot be made: there is no folder {folder}.",
            code=CODE,
            hint="Make the folder, or correct the path.",
        )


def _too_large(target: str) -> PolicyError:
    return PolicyError(
        f"{target} is larger than a file of known servers gets ({_MOST} octets).",
        code=CODE,
        hint="Is it the right file? Servers that are gone can be removed from it.",
    )


@contextlib.contextmanager
def _in_words(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise PolicyError(
            f"the known-servers file {path} cannot be used: {error.strerror or error}.",
            code=CODE,
            hint="Nothing was changed. Check the path, its folder, and who may use them.",
        ) from error
