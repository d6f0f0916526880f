"""Files that decide whom we believe: fixed when they are named, read within bounds, and believed
only where nobody else may write them."""

from __future__ import annotations

import os
import stat
from typing import Any

from .errors import PolicyError

CODE = "file-writable"
MOST = 16 * 1024 * 1024  # octets: a system's whole CA bundle has less than one million
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)  # Windows

Path = str | os.PathLike[str]


def fixed(path: Any) -> str:
    """The path in full. Looked up again later, in whatever folder the program is by then, a
    relative one would name another file: of an archive that was unpacked there, say."""
    name = os.fsdecode(path)
    try:
        return os.path.abspath(name) if name else name  # none: no file, and not the folder
    except OSError as error:  # the current folder is gone
        raise PolicyError(
            f"the file {path!r} cannot be found: {error.strerror or error}.",
            code="file-unreadable",
            hint="Give its path in full.",
        ) from None


def short(path: Path) -> str:
    """For people: from the current folder on, where the file is in it."""
    name = os.fspath(path)
    try:
        return name.removeprefix(os.path.join(os.getcwd(), "")) or name
    except OSError:  # it is gone
        return name


def read_file(path: Path, most: int = MOST) -> bytes:
    """The octets of a regular file that nobody else may write.

    Raises `OSError`; `ValueError` for another kind of file (a pipe would be waited for, for ever)
    and for one of more than `most` octets; `PolicyError`, code "file-writable".
    """
    # O_NONBLOCK: opening a pipe would wait for somebody to write into it.
    with open(path, "rb", opener=lambda name, _: os.open(name, _FLAGS | _BINARY)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        require_ours(path, found)
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most:,} octets")
    return data


def require_ours(path: Path, found: os.stat_result, code: str = CODE) -> None:
    """Raise `PolicyError` where somebody else may write the file, and so decide whom we believe.

    Its owner must be this user, root, or the owner of this library, who decides anyway. Its group
    may write it where nobody else is in that group, as on systems with a group for each user. The
    folder counts as well: who may write there can put another file in this one's place. POSIX.
    """
    if os.name != "posix":
        return
    where = os.path.realpath(path)
    folder = os.stat(os.path.dirname(where))
    for name, one in ((where, found), (os.path.dirname(where), folder)):
        if who := _others(one):
            raise PolicyError(
                f"{name} is not believed: {who}, and who writes it decides whom you believe.",
                code=code,
                hint=f"Look through the file; then: chown {_me()} {name}; chmod go-w {name}",
            )


def _others(found: os.stat_result) -> str:
    """Who else may write it; a folder with the sticky bit lets nobody replace another's file."""
    mode = found.st_mode
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return ""
    if mode & stat.S_IWOTH:
        return "everybody may write it"
    if mode & stat.S_IWGRP and not _is_private(found.st_gid):
        return f"the group {found.st_gid} may write it"
    if found.st_uid not in (0, os.geteuid(), os.stat(__file__).st_uid):
        return f"it belongs to another user ({found.st_uid})"
    return ""


def _is_private(group: int) -> bool:
    """Whether nobody but this user, or root, is in the group."""
    import grp
    import pwd

    try:
        members = set(grp.getgrgid(group).gr_mem)
        me = pwd.getpwuid(os.geteuid())
    except KeyError:  # in a container, mostly: nobody has it
        return group == os.getegid()
    return group in (0, me.pw_gid) and members <= {me.pw_name, "root"}


def _me() -> str:
    return str(os.geteuid())
