"""Text on a terminal: wrapped to its width, and nothing that a server sent can control it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from ..errors import printable

_LABEL = 13  # columns for the label of a row
_OVERFLOW = " " * 4  # before a word that is longer than a line, such as a fingerprint
_CALL = re.compile(r"[\"'(]*[A-Za-z_.]+\(")  # code, to be kept on one line


def prepare(*streams: TextIO) -> None:
    """A terminal that knows fewer letters gets the others escaped, not an exception."""
    for stream in streams:
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def say(text: str = "", first: str = "", rest: str | None = None, to: TextIO | None = None) -> None:
    """Print `text` wrapped: `first` before its first line, `rest` before the others."""
    for part in text.split("\n"):
        for line in _wrapped(part, first, first if rest is None else rest):
            print(line, file=to or sys.stdout)


def say_code(text: str, to: TextIO | None = None) -> None:
    """Print what is to be copied: on one line, however long."""
    print(_OVERFLOW + printable(text, longest=10_000), file=to or sys.stdout)


def say_rows(rows: Iterable[tuple[str, str]], margin: str = "  ") -> None:
    """Print labels with their texts beside them."""
    for label, text in rows:
        say(text, f"{margin}{label + ':':<{_LABEL}}", margin + " " * _LABEL)


def say_json(data: Any) -> None:
    print(json.dumps(data, indent=2, default=str))


def _wrapped(text: str, first: str, rest: str) -> Iterator[str]:
    width = max(40, min(shutil.get_terminal_size().columns, 100))
    text = printable(text, longest=10_000)
    line, is_empty = first + text[: len(text) - len(text.lstrip())], True
    for word in _words(text):
        if not is_empty and len(line) + 1 + len(word) > width:
            yield line
            line, is_empty = rest, True
        if is_empty and len(line) + len(word) > width:
            if line.strip():
                yield line.rstrip()
            line = _OVERFLOW if len(rest) > len(_OVERFLOW) else rest
        line += word if is_empty else f" {word}"
        is_empty = False
    yield line.rstrip()


def _words(text: str) -> Iterator[str]:
    """What lines are broken between: words, but a call such as `CATrust("ca.pem")` is one."""
    call = ""
    for word in text.split():
        call = f"{call} {word}" if call else word
        is_open = call.count("(") > call.count(")") and _CALL.match(call)
        if is_open and len(call) < 90:
            continue
        yield call
        call = ""
    if call:
        yield call
