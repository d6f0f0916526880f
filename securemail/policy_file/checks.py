"""Where in the file something stands, and whether it is of the kind that belongs there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from typing import Any

from ..errors import PolicyError, printable
from ..values import Value
from . import CODE

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_TABLES = {"servers": 2, "default": 1}  # how many keys are a table's name


class Location(Value):
    """A place in the file, for people: `/etc/mail.toml, [servers."a.example.org"], trust.ca`."""

    file: str
    path: tuple[str, ...] = ()

    def key(self, name: str) -> Location:
        return Location(self.file, (*self.path, _spelled(name)))

    def item(self, number: int) -> Location:
        *before, last = self.path
        return Location(self.file, (*before, f"{last} (item {number})"))

    def error(self, said: str, hint: str = "") -> PolicyError:
        return PolicyError(f"{self}: {said}", code=CODE, hint=hint)

    @contextmanager
    def in_front(self) -> Iterator[None]:
        """A `PolicyError` from elsewhere is raised on with this place before its text."""
        try:
            yield
        except PolicyError as error:
            raise PolicyError(
                f"{self}: {error.message}", code=error.code, hint=error.hint
            ) from None

    def __str__(self) -> str:
        depth = _TABLES.get(self.path[0], 0) if self.path else 0
        table = f"[{'.'.join(self.path[:depth])}]" if 0 < depth <= len(self.path) else ""
        keys = ".".join(self.path[depth:] if table else self.path)
        shown = (printable(part, longest=4096) for part in (self.file, table, keys) if part)
        return ", ".join(shown)


def _spelled(name: str) -> str:
    """A key as TOML has it."""
    return name if _BARE.match(name) else json.dumps(name, ensure_ascii=False)


# Takes a value out of TOML and where it stands; gives it back checked, or raises.
Reader = Callable[[Any, Location], Any]


def table(value: object, at: Location, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """A table with the keys of `readers` alone, each read by its own."""
    found = of_kind(value, at, dict)
    for name, inner in found.items():
        if name not in readers:
            raise at.key(name).error("there is no such key.", _advice(name, inner, at, readers))
    return {name: readers[name](inner, at.key(name)) for name, inner in found.items()}


def of_kind(value: object, at: Location, kind: type, expected: str = "") -> Any:
    # isinstance would take a date with a time of day for a date.
    if type(value) is not kind:
        wanted = expected or _EXPECTED.get(kind) or _KINDS[kind]
        raise at.error(f"expected {wanted}, found {_KINDS.get(type(value), 'something else')}.")
    return value


_KINDS: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    date: "a date",
    datetime: "a date with a time of day",
    time: "a time of day",
}
_EXPECTED: dict[type, str] = {
    str: "text, in quotes",
    bool: "true or false, without quotes",
    date: "a date such as 2027-03-01, without quotes",
}


def text(value: object, at: Location) -> str:
    found: str = of_kind(value, at, str)
    return found


def texts(value: object, at: Location) -> tuple[str, ...]:
    """One text or a list of them. An empty list is refused: it looks like a rule, and is none."""
    if type(value) is not list:
        return (of_kind(value, at, str, "text in quotes, or a list of such"),)
    if not value:
        raise at.error("the list is empty.", "Leave the key out if there is nothing to say.")
    return tuple(text(one, at.item(number)) for number, one in enumerate(value, 1))


def reason(value: object, at: Location) -> str:
    found = text(value, at)
    if not found.strip():
        raise at.error("this needs a reason in words, and is empty.")
    return found


def boolean(value: object, at: Location) -> bool:
    found: bool = of_kind(value, at, bool)
    return found


def a_number(value: object, at: Location) -> float:
    found: float = value if type(value) is float else of_kind(value, at, int)
    return found


def numbers(value: object, at: Location) -> tuple[int, ...]:
    found = of_kind(value, at, list, "a list of whole numbers")
    return tuple(of_kind(one, at.item(place), int) for place, one in enumerate(found, 1))


def day(value: object, at: Location) -> date:
    found: date = of_kind(value, at, date)
    return found


def _advice(name: str, inner: object, at: Location, permitted: Mapping[str, Reader]) -> str:
    from difflib import get_close_matches

    if near := get_close_matches(name.lower().replace("-", "_"), permitted, n=1):
        return f"Did you mean {near[0]}?"
    if at.path[:1] == ("servers",) and len(at.path) == 2 and isinstance(inner, dict):
        host = ".".join([at.path[1], *_dotted(name, inner, permitted)])
        return f'A host name is one key, in quotes: [servers."{host}"].'
    return f"Permitted here: {say_list(permitted)}."


def _dotted(name: str, inner: Any, permitted: Mapping[str, Reader]) -> Iterator[str]:
    """The rest of a host name that was written without quotes, so that each dot made a table."""
    yield name
    while isinstance(inner, dict) and inner:
        name, inner = next(iter(inner.items()))
        if name in permitted or not isinstance(inner, dict):
            return
        yield name


def say_list(names: Iterable[str]) -> str:
    return ", ".join(names)


_CREDENTIALS = ("password", "passwd", "token", "user", "username")


def refuse_credentials(tables: dict[str, Any], at: Location) -> None:
    """Anywhere in the file, also where the key would be wrong anyway. Never shows the value.

    Without recursion: dotted keys nest as deep as somebody likes.
    """
    left: list[tuple[Location, Any]] = [(at, tables)]
    while left:
        at, found = left.pop()
        if isinstance(found, list):
            left += [(at.item(number), one) for number, one in enumerate(found, 1)]
        elif isinstance(found, dict):
            for name, inner in found.items():
                is_host = at.path == ("servers",) and isinstance(inner, dict)
                if name.lower() in _CREDENTIALS and not is_host:
                    raise at.key(name).error(
                        "this file holds policy, no credentials.",
                        "Take it out: the program that signs in has user and password. "
                        "If others could read the file, change the password.",
                    )
                left.append((at.key(name), inner))
