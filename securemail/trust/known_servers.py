"""The known-servers file as text: pure. `known_file` reads and writes it.

    imap://mail.example.org:993  sha256/KEYPIN=  AB:CD:…  2026-11-22T10:11:12Z

Protocol, host and port; the pin of the key; the certificate's SHA-256 as it was when the key was
learned, or - for a key that was entered by hand; the time of that, UTC. All four are required, and
the time, whose last letter is its end, comes last: so no beginning of a line is a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from ..errors import PolicyError, printable
from ..pins import Pin
from ..values import Value
from .endpoint import Endpoint, parse_url, say_url

CODE = "known-servers"
HEADER = (
    "# Servers that were known at their first use, for securemail: server, its key, the",
    "# certificate's SHA-256 (- for a key that was entered by hand), and when. Whoever may",
    "# write this file decides whom programs believe.",
)
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LINE = re.compile(
    r"(\S+)[ \t]+(sha256/[A-Za-z0-9+/]{43}=)[ \t]+(-|(?:[0-9A-F]{2}:){31}[0-9A-F]{2})[ \t]+"
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)",
    re.ASCII,
)


class KnownServer(Value, kw_only=True):
    """A key under which one server is known. `fingerprint`: SHA-256 of the certificate that was
    seen with it; None where the key was entered by hand. `learned`: when, UTC."""

    endpoint: Endpoint
    pin: str
    fingerprint: str | None = None
    learned: datetime

    def __str__(self) -> str:
        when = self.learned.astimezone(UTC).strftime(_TIME)
        return f"{say_url(self.endpoint)}  {self.pin}  {self.fingerprint or '-'}  {when}"


class KnownServers(Value):
    """The file: its lines, each with the server it stands for, or None for a comment."""

    lines: tuple[tuple[str, KnownServer | None], ...] = ()

    @property
    def servers(self) -> tuple[KnownServer, ...]:
        return tuple(server for _, server in self.lines if server is not None)

    def of(self, endpoint: Endpoint) -> tuple[KnownServer, ...]:
        """All keys of one server, in the order of the file."""
        return tuple(server for server in self.servers if server.endpoint == endpoint)

    def with_server(self, server: KnownServer) -> KnownServers:
        before = self.lines or tuple((line, None) for line in HEADER)
        return KnownServers((*before, (str(server), server)))

    def without(self, gone: tuple[KnownServer, ...]) -> KnownServers:
        """The comments stay, wherever they are."""
        return KnownServers(tuple(row for row in self.lines if row[1] not in gone))

    def __str__(self) -> str:
        return "".join(f"{text}\n" for text, _ in self.lines)


def parse(data: bytes, path: str) -> KnownServers:
    """All of it, or `PolicyError` with the line's number: a line that cannot be read could be
    anybody's key, or have been the one of the server that is asked for."""
    try:
        text = data.decode("utf-8-sig")  # editors on Windows put the mark there
    except UnicodeDecodeError as error:
        raise _bad(path, data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from None
    return KnownServers(tuple(_lines(text, path)))


def _lines(text: str, path: str) -> Iterator[tuple[str, KnownServer | None]]:
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()  # what follows the last line's end
    for number, line in enumerate(lines, 1):
        bare = line.strip(" \t\r")
        is_comment = not bare or bare.startswith("#")
        yield line.rstrip("\r"), None if is_comment else _server(bare, path, number)


def _server(line: str, path: str, number: int) -> KnownServer:
    found = _LINE.fullmatch(line)
    if found is None:
        raise _bad(path, number, f'is not one of this file: "{printable(line, longest=60)}"')
    url, pin, fingerprint, when = found.groups()
    try:
        return KnownServer(
            endpoint=parse_url(url),
            pin=str(Pin(pin)),
            fingerprint=None if fingerprint == "-" else fingerprint,
            learned=datetime.strptime(when, _TIME).replace(tzinfo=UTC),
        )
    except ValueError as error:  # PolicyError is one
        why = error.message if isinstance(error, PolicyError) else str(error)
        raise _bad(path, number, f"is wrong: {printable(why)}") from None


def _bad(path: str, number: int, why: str) -> PolicyError:
    return PolicyError(
        f"{path}, line {number} {why}. Nothing of the file is believed.",
        code=CODE,
        hint="Put it right from a copy, or take the line out; then its server has to be learned "
        "again, by comparing its fingerprint by another way than its connection.",
    )
