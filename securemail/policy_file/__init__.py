"""The policy file: whom to believe, by server, for scripts that nobody wants to edit.

The environment variable SECUREMAIL_POLICY names it. It is read when the first connection asks, and
again when it has changed; the rooms beside this one are imported then.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from ..errors import PolicyError
from ..files import read_file
from ..hosts import Host
from ..policy import AuthPolicy, TLSPolicy
from ..values import Value

if TYPE_CHECKING:
    from .reading import PolicyFile

VARIABLE = "SECUREMAIL_POLICY"
CODE = "policy-file"

State = tuple[str, int, int, int, int]  # path, times, size, inode


class ServerSettings(Value, kw_only=True):
    """What the file says of one server.

    `policy`: `TLSPolicy()` where none is given. `plaintext`: the reason why mail may travel in
    clear there, without sign-in. `source`: file and table, for reports and errors.
    `is_for_this_server`: it is an entry of its own, not `[default]`; `says_of_tls`: and says whom
    to believe there, or over what TLS. `any_port`: the reason why it speaks the other way on a
    usual port (STARTTLS on 993, say).
    """

    policy: TLSPolicy = cast(TLSPolicy, None)  # made when needed: it would build a context here
    auth: AuthPolicy = AuthPolicy()
    server_hostname: str | None = None
    plaintext: str | None = None
    source: str = ""
    is_for_this_server: bool = False
    says_of_tls: bool = False
    any_port: str | None = None

    def _check(self) -> None:
        if cast("TLSPolicy | None", self.policy) is None:
            self._set("policy", TLSPolicy())


def settings_for(host: Host, port: int) -> ServerSettings | None:
    """What the policy file says of this server; None where SECUREMAIL_POLICY is not set.

    The entry for host and port is taken whole, else the one for the host, else `[default]`, else
    `TLSPolicy()`. Hosts are compared as `Host` has them, an IPv6 zone id included. The whole file
    is checked; other files are read for this server alone. Raises `PolicyError`.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return None
    path = _path(given)
    entry = _contents(path).entry(host, port)
    if entry is None:
        return ServerSettings(source=f"{path}, which does not name this server")
    return ServerSettings(
        policy=entry.policy(),
        auth=entry.found.get("auth", AuthPolicy()),
        server_hostname=entry.found.get("server_hostname"),
        plaintext=entry.found.get("plaintext"),
        source=str(entry.at),
        is_for_this_server=entry.is_for_one,
        says_of_tls=entry.is_for_one and entry.says_of_tls,
        any_port=entry.found.get("any_port"),
    )


# Replaced as a whole, so threads need no lock: at worst two of them read the same file.
_kept: tuple[State, PolicyFile] | None = None


def _contents(path: str) -> PolicyFile:
    global _kept
    kept = _kept
    try:
        state = _state(path, os.stat(path))
        if kept is None or kept[0] != state:
            kept = _kept = _read(path)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror or error}") from None
    return kept[1]


def _read(path: str) -> tuple[State, PolicyFile]:
    from .reading import parse

    # Before reading: if it is written to meanwhile, the next connection reads it again.
    state = _state(path, os.stat(path))
    try:
        return state, parse(read_file(path), path)
    except PolicyError:
        raise
    except ValueError as error:
        raise _unusable(path, f"cannot be read: {error}") from None


def _state(path: str, found: os.stat_result) -> State:
    """Changes when the file does. Only regular files have one: a pipe could be read just once."""
    if not stat.S_ISREG(found.st_mode):
        is_folder = stat.S_ISDIR(found.st_mode)
        raise _unusable(path, "is a folder, not a file" if is_folder else "is not a regular file")
    return path, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


# What a relative path meant when it was first asked for; or, where the variable was set by then,
# when this was imported. A daemon that goes to another folder later means the same file.
_meant: dict[str, str] = {}


def _path(given: str) -> str:
    if not given.strip():
        raise _unusable(given, "is set but empty")
    try:
        return _meant.get(given) or _meant.setdefault(
            given, os.path.abspath(os.path.expanduser(given))
        )
    except OSError as error:  # the current folder is gone
        raise _unusable(given, f"cannot be found: {error.strerror or error}") from None


if os.environ.get(VARIABLE, "").strip():
    with suppress(PolicyError):  # told when it is asked for
        _path(os.environ[VARIABLE])


def _unusable(path: str, why: str) -> PolicyError:
    return PolicyError(
        f"{VARIABLE}={path!r} {why}.",
        code=CODE,
        hint=f"Set {VARIABLE} to the full path of a policy file, or unset it to do without one.",
    )
