"""The part of IMAP's syntax (RFC 3501 9) that a server needs. Pure: no sockets, no mailbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

#: An atom is a `str`, a string (quoted or literal) is `bytes`, a parenthesised list is a `list`.
Argument: TypeAlias = "str | bytes | list[Argument]"

#: The end of a line that a literal follows, with "+" if the client does not wait (RFC 7888).
LITERAL = re.compile(rb"\{(\d{1,10})(\+?)\}\Z")

_TOKEN = re.compile(
    rb"""(?P<space>[ ])
    | (?P<open>\() | (?P<close>\))
    | "(?P<quoted>(?:[^"\\\r\n]|\\["\\])*)"
    | \{(?P<literal>\d{1,10})\+?\}\r\n
    | (?P<atom>(?:\[[^]\r\n]*\]|[^\s(){"[])+)""",
    re.VERBOSE,
)


class Bad(Exception):
    """The client broke the syntax; becomes a BAD."""


class No(Exception):
    """The command cannot be done; becomes a NO."""


def parse(command: bytes) -> list[Argument]:
    """The arguments of one command, which holds its literals in place."""
    lists: list[list[Argument]] = [[]]
    position = 0
    while position < len(command):
        token = _TOKEN.match(command, position)
        if token is None:
            raise Bad("syntax")
        position = token.end()
        if token["open"]:
            lists.append([])
        elif token["close"]:
            if len(lists) == 1:
                raise Bad("parenthesis")
            closed = lists.pop()
            lists[-1].append(closed)
        elif token["atom"]:
            lists[-1].append(token["atom"].decode("utf-8", "replace"))
        elif token["literal"]:
            size = int(token["literal"])
            lists[-1].append(command[position : position + size])
            position += size
        elif token["quoted"] is not None:
            lists[-1].append(re.sub(rb"\\(.)", rb"\1", token["quoted"]))
    if len(lists) != 1:
        raise Bad("parenthesis")
    return lists[0]


def take(arguments: Sequence[Argument], count: int) -> Sequence[Argument]:
    """Exactly so many arguments."""
    if len(arguments) != count:
        raise Bad(f"{count} arguments expected")
    return arguments


def astring(argument: Argument) -> bytes:
    """An atom or a string."""
    if isinstance(argument, list):
        raise Bad("no list expected here")
    return argument.encode() if isinstance(argument, str) else argument


def word(argument: Argument) -> str:
    """An atom that is a key word, in capitals."""
    return astring(argument).decode("ascii", "replace").upper()


def words(argument: Argument) -> list[str]:
    """One key word, or a list of them."""
    return [word(item) for item in (argument if isinstance(argument, list) else [argument])]


def sequence_set(text: str, largest: int) -> Callable[[int], bool]:
    """Whether a number is in a set like ``2,4:7,9:*``. "*" is the largest number in use."""
    ranges = []
    for part in text.split(","):
        if not re.fullmatch(r"(\d{1,10}|\*)(:(\d{1,10}|\*))?", part, re.ASCII):
            raise Bad("sequence set")
        ends = sorted(largest if end == "*" else int(end) for end in part.split(":"))
        ranges.append((ends[0], ends[-1]))
    return lambda number: any(low <= number <= high for low, high in ranges)


def quote_literal(data: bytes) -> bytes:
    """Data as a literal."""
    return b"{%d}\r\n%b" % (len(data), data)
