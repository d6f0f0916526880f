"""Print the page about an error's code; without a code, the list of all.

Each error ends in the command that prints its page. No server is asked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from . import status
from .options import WrongUsage
from .page import say_page
from .terminal import say

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_OVERVIEW = "index"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "codes", metavar="CODE", nargs="*", help='such as "self-signed", from the end of an error'
    )


def run(args: argparse.Namespace) -> int:
    pages = read_pages()
    codes = list(dict.fromkeys(map(_as_written, args.codes)))
    if unknown := [code for code in codes if code not in pages or code == _OVERVIEW]:
        raise WrongUsage(_unknown(unknown[0], pages))
    for position, code in enumerate(codes or [_OVERVIEW]):
        if position:
            say()
        say_page(pages[code].read_text(encoding="utf-8"))
    return status.FINE


def read_pages() -> dict[str, Traversable]:
    """The page of each code, and the overview; not read yet."""
    from importlib.resources import files

    folder = files("securemail") / "explanations"
    return {page.name.removesuffix(".md"): page for page in folder.iterdir()}


def _as_written(given: str) -> str:
    """Copied from a sentence, it may have the sentence's full stop or comma."""
    return given.strip("`'\".,:; ").lower()


def _unknown(code: str, known: dict[str, Traversable]) -> str:
    near = " or ".join(_near(code, known))
    advice = f" Did you mean {near}?" if near else ""
    return f"there is no code {code!r}.{advice} securemail explain lists them all"


def _near(code: str, known: dict[str, Traversable]) -> list[str]:
    """Codes that are written alike; else those that have a word of it."""
    from difflib import get_close_matches

    codes = sorted(set(known) - {_OVERVIEW})
    words = set(code.split("-"))
    kin = [one for one in codes if words & set(one.split("-"))]
    return (get_close_matches(code, codes) or kin)[:3]
