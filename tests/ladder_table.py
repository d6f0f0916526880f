"""docs/certificates.md: the tables that the tests found, and what they have to be again.

To write it anew, in one process:
SECUREMAIL_WRITE_TABLES=1 python -m pytest -n 0 -k each_rung tests/test_certificates.py
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ladder_rows import ROWS, SAYS, Row
from ladder_rungs import BY_AUTHORITY, BY_ITSELF, RUNGS, Rung
from servers.kinds import KINDS
from servers.more_kinds import MORE_KINDS
from tables import WRITING

DOCUMENT = Path(__file__).parent.parent / "docs" / "certificates.md"
PARTS = {  # as many columns as can be read side by side
    "## By an authority": BY_AUTHORITY[:5],
    "## By an authority, narrowed": BY_AUTHORITY[5:],
    "## By the certificate or the key": BY_ITSELF[:3],
    "## With a waiver": BY_ITSELF[3:6],
    "## On first use": BY_ITSELF[6:],
}
SAID = {  # under the headings
    "## By an authority": """\
`SystemTrust()` is judged as `CATrust` is, with the system's authorities in the place of the root;
`root` is whoever should have signed, row by row. `legacy_ciphers=` warns at each *yes*
(`LegacyCiphersWarning`).
""",
    "## By an authority, narrowed": "All with `trust=CATrust(root)`.\n",
    "## By the certificate or the key": """\
`ExactCertificate`. What is named is the certificate of the row; under "Another than the one" it is
one that resembles it.
""",
    "## With a waiver": "`ExactCertificate`, named by its file.\n",
    "## On first use": """\
The server is not known, known by the key of the certificate of the row, or by another one.
""",
}
NOTES, GLANCE = "## Notes", "## All at once"

Cells = Mapping[str, str]  # by the letter of the rung

_written: dict[str, Cells] = {}


def title(row: Row) -> str:
    """What the certificate is, in the row's first cell."""
    kind = (KINDS | MORE_KINDS).get(row.name)
    words = SAYS.get(row.name) or (kind.description if kind else row.name)
    return f"{words} ({_notes().index(row.because) + 1})" if row.because else words


def accepts(cell: str) -> bool:
    return cell == "yes" or cell.startswith("yes, ")


def saw(row: Row, cells: Cells) -> None:
    """What this row met, which is what the document says."""
    if WRITING:
        _written[row.name] = cells
    else:
        assert dict(cells) == known()[row.name], f"docs/certificates.md has another row: {row.name}"


@cache
def known() -> dict[str, dict[str, str]]:
    """The cells of the document."""
    found: dict[str, dict[str, str]] = {row.name: {} for row in ROWS}
    titles: dict[str, str] = {title(row): row.name for row in ROWS}
    rungs: tuple[Rung, ...] = ()
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        rungs = PARTS.get(line, rungs)
        if rungs and line.startswith("| ") and not line.startswith("| certificate"):
            first, *cells = (cell.strip() for cell in line.strip().strip("|").split(" | "))
            letters = [rung.letter for rung in rungs]
            found[titles[first]].update(zip(letters, cells, strict=True))
    return found


def write() -> None:
    """What was seen in this session, in the place of the document's tables."""
    if not _written:
        return
    text = DOCUMENT.read_text(encoding="utf-8")
    before = text[: text.index(GLANCE)]
    tables = "".join(f"{part}\n\n{SAID[part]}\n{_tables(rungs)}" for part, rungs in PARTS.items())
    notes = "".join(f"{number}. {note}\n" for number, note in enumerate(_notes(), 1))
    glance = f"{GLANCE}\n\n{at_a_glance(_written)}"
    DOCUMENT.write_text(f"{before}{glance}{tables}{NOTES}\n\n{notes}", encoding="utf-8")


def at_a_glance(cells: Mapping[str, Cells]) -> str:
    """A sign for each cell, so that all rungs stand side by side."""
    numbers = range(1, len(RUNGS) + 1)
    parts = [f"{number}. {rung.full}\n" for number, rung in zip(numbers, RUNGS, strict=True)]
    heads = " | ".join(map(str, numbers))
    for family in _families():
        parts.append(f"\n**{family}**\n\n| | {heads} |\n|---{'|:-:' * len(RUNGS)}|\n")
        for row in ROWS:
            if row.family == family:
                signs = " | ".join(_sign(rung, cells[row.name]) for rung in RUNGS)
                parts.append(f"| {title(row)} | {signs} |\n")
    return "".join([*parts, "\n"])


def _sign(rung: Rung, cells: Cells) -> str:
    cell = cells[rung.letter]
    warns = rung.letter == "L" or cell != "yes"
    return ("⚠" if warns else "✓") if accepts(cell) else "·"


def _families() -> list[str]:
    return list(dict.fromkeys(row.family for row in ROWS))


def _tables(rungs: tuple[Rung, ...]) -> str:
    parts = []
    for family in _families():
        heads = " | ".join(rung.title for rung in rungs)
        parts.append(f"### {family}\n\n| certificate | {heads} |\n|---{'|---' * len(rungs)}|\n")
        for row in ROWS:
            if row.family == family:
                cells = " | ".join(_written[row.name][rung.letter] for rung in rungs)
                parts.append(f"| {title(row)} | {cells} |\n")
        parts.append("\n")
    return "".join(parts)


def _notes() -> list[str]:
    return list(dict.fromkeys(row.because for row in ROWS if row.because))


LETTERS = [rung.letter for rung in RUNGS]
assert len(set(LETTERS)) == len(LETTERS)
