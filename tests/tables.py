"""The tables of docs/refusals.md: what each attack met, scenario by protocol, as the tests saw it.

A test that ends in a refusal calls `saw`. What it saw must be what the document says. To write that
anew, in one process: SECUREMAIL_WRITE_TABLES=1 python -m pytest tests/test_upgrade_*.py \
tests/test_broken_replies.py
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parent.parent / "docs" / "refusals.md"
PROTOCOLS = ("imap", "pop3", "smtp")
WRITING = os.environ.get("SECUREMAIL_WRITE_TABLES") == "1"

# What is in the columns, and not in the name of the scenario.
COLUMNS = {"protocol", "verb", "way"}

Tables = dict[str, dict[str, dict[str, set[str]]]]  # file: scenario: protocol: outcomes

_seen: list[tuple[str, str]] = []
_written: Tables = {}
_known: Tables = {}


def saw(protocol: str, error: BaseException) -> None:
    """In this test, this protocol, this is what was raised."""
    code = getattr(error, "code", type(error).__name__)
    # Which of them depends on the moment at which the end is met.
    is_end = code in ("connect-reset", "handshake-closed")
    _seen.append((protocol, "ended" if is_end else f"`{code}`"))


@pytest.fixture(autouse=True)
def _compared_with_the_document(request: pytest.FixtureRequest) -> Iterator[None]:
    _seen.clear()
    yield
    for protocol, outcome in _seen:
        file, scenario = request.path.stem, scenario_of(request.node)
        if WRITING:
            row = _written.setdefault(file, {}).setdefault(scenario, {})
            row.setdefault(protocol, set()).add(outcome)
        else:
            cell = known().get(file, {}).get(scenario, {}).get(protocol, set())
            assert outcome in cell, f"docs/refusals.md has {cell or 'nothing'} there: {scenario}"


def scenario_of(test: Any) -> str:
    """In words: what the test is about, and its parameters."""
    name = test.originalname.removeprefix("test_").replace("_", " ")
    callspec = getattr(test, "callspec", None)
    given = (
        []
        if callspec is None
        else [said for key, value in callspec.params.items() if (said := in_words(key, value))]
    )
    return f"{name}: {', '.join(given)}" if given else name


def in_words(key: str, value: object) -> str:
    from servers.upgrades import WAYS

    if key in COLUMNS or (isinstance(value, str) and value in WAYS):
        return ""
    if isinstance(value, bytes):
        shown = repr(value)[1:] if len(value) < 40 else repr(value[:30])[1:] + " …"
        return "`" + shown.replace("|", "\\|") + "`"
    return value if isinstance(value, str) else getattr(value, "__name__", "")


def known() -> Tables:
    if not _known:
        file = ""
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
            if line.startswith("## `"):
                file = line.split("`")[1]
            elif line.startswith("| ") and not line.startswith("| scenario"):
                scenario, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
                _known.setdefault(file, {})[scenario] = {
                    protocol: set(cell.split("; "))
                    for protocol, cell in zip(PROTOCOLS, cells, strict=True)
                }
    return _known


def write() -> None:
    """What was seen in this session, in the place of the document's tables."""
    if not (WRITING and _written):
        return
    text = DOCUMENT.read_text(encoding="utf-8")
    parts = [text[: text.index("## `")] if "## `" in text else text]
    for file, rows in sorted(_written.items()):
        parts.append(f"## `{file}`\n\n| scenario | IMAP | POP3 | SMTP |\n|---|---|---|---|\n")
        for scenario, row in rows.items():
            cells = ["; ".join(sorted(row.get(protocol, ()))) for protocol in PROTOCOLS]
            parts.append(f"| {scenario} | {' | '.join(cell or '-' for cell in cells)} |\n")
        parts.append("\n")
    DOCUMENT.write_text("".join(parts).rstrip("\n") + "\n", encoding="utf-8")
