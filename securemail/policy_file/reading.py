"""From the octets of a policy file to its entries."""

from __future__ import annotations

import tomllib
from typing import Any

from ..errors import PolicyError, printable
from ..hosts import Host, split_port
from ..values import Value
from . import CODE
from .checks import Location, of_kind, refuse_credentials, table
from .keys import Entry, default, server

Key = tuple[str, int | None]  # Host.address, and the port or None for any


class PolicyFile(Value, kw_only=True):
    """A policy file, checked: keys, types and contradictions of all of it."""

    default: Entry | None
    servers: dict[Key, Entry]

    def entry(self, host: Host, port: int) -> Entry | None:
        """The one entry that counts, whole: nothing is merged."""
        for key in ((host.address, port), (host.address, None)):
            if key in self.servers:
                return self.servers[key]
        return self.default


def parse(data: bytes, path: str) -> PolicyFile:
    """Raises `PolicyError`, which names the file, the table and the key."""
    at = Location(path)
    tables = _toml(data, at)
    refuse_credentials(tables, at)
    found = table(tables, at, {"default": default, "servers": _servers})
    return PolicyFile(default=found.get("default"), servers=found.get("servers", {}))


def _toml(data: bytes, at: Location) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))  # editors on Windows put the mark there
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise at.error(
            f"this is not TOML: line {line} is not UTF-8.", "Save the file as UTF-8."
        ) from None
    except RecursionError:
        raise at.error("this is not a policy file: it is nested too deeply.") from None
    except ValueError as error:  # TOMLDecodeError, and what int() and date() say
        raise at.error(
            f"this is not TOML: {printable(str(error))}.",
            "Text goes in quotes; host names too, where they have dots: "
            '[servers."mail.example.org"].',
        ) from None


def _servers(value: object, at: Location) -> dict[Key, Entry]:
    entries: dict[Key, Entry] = {}
    for name, inner in of_kind(value, at, dict).items():
        here = at.key(name)
        entry = server(inner, here)
        key = _key(name, here)
        if key in entries:
            other = entries[key].at.path[-1]
            raise here.error(f"this is the same server as {other}.", "Make one entry of the two.")
        entries[key] = entry
    return entries


def _key(name: str, at: Location) -> Key:
    with at.in_front():
        host, port = split_port(name)
        if port is not None and not 0 < port < 65536:
            raise PolicyError(f"port {port} is not from 1 to 65535.", code=CODE)
        return Host.parse(host).address, port
