"""A page of Markdown on a terminal: headings, paragraphs, lists, quotations, and code as it is.

As much Markdown as the pages in `explanations` have; not a parser for any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import printable
from ..values import Value
from .terminal import say

_FENCE = "```"
_MARGIN = "  "  # of what is below a heading
_CODE = "  "  # in addition
_LEAD = re.compile(r"( *)(\d+\. |- |> )?")  # before a paragraph: its margin, and its mark


class Heading(Value):
    text: str
    depth: int


class Paragraph(Value):
    lead: str  # of its first line
    text: str


class Code(Value):
    margin: str
    lines: tuple[str, ...]


Part = Heading | Paragraph | Code | None  # None: an empty line


def say_page(text: str) -> None:
    """Print the page, its paragraphs wrapped to the width of the terminal."""
    for part in parts(text):
        if part is None:
            say()
        elif isinstance(part, Heading):
            _say_heading(part)
        elif isinstance(part, Paragraph):
            rest = part.lead if part.lead.endswith("> ") else " " * len(part.lead)
            say(part.text, _MARGIN + part.lead, _MARGIN + rest)
        else:
            for line in part.lines:
                shown = _MARGIN + part.margin + _CODE + printable(line, longest=10_000)
                print(shown.rstrip())


def parts(text: str) -> Iterator[Part]:
    """What the page consists of, from top to bottom."""
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if line.lstrip().startswith(_FENCE):
            yield _code(line, lines)
        elif not line:
            yield None
        elif line.startswith("#"):
            marks, _, words = line.partition(" ")
            yield Heading(words, len(marks))
        else:
            yield _paragraph(line, lines)


def _code(fence: str, lines: list[str]) -> Code:
    """Up to the fence that ends it."""
    margin = fence[: len(fence) - len(fence.lstrip())]
    found = []
    while not (line := lines.pop(0)).lstrip().startswith(_FENCE):
        found.append(line.removeprefix(margin))
    return Code(margin, tuple(found))


def _paragraph(first: str, lines: list[str]) -> Paragraph:
    """With the lines that go on with it."""
    lead = _lead(first)
    words = [first[len(lead) :]]
    while lines and _goes_on(lead, lines[0]):
        words.append(lines.pop(0)[len(lead) :])
    return Paragraph(lead, " ".join(words))


def _goes_on(lead: str, line: str) -> bool:
    if not line or line.startswith("#") or line.lstrip().startswith(_FENCE):
        return False
    found = _lead(line)
    # The mark of a quotation is on each of its lines, that of an item on its first.
    return found == lead if lead.endswith("> ") else not found.strip()


def _lead(line: str) -> str:
    found = _LEAD.match(line)
    assert found is not None
    return found[0]


def _say_heading(heading: Heading) -> None:
    say(heading.text)
    if heading.depth == 1:
        say("=" * len(heading.text))
