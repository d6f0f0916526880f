"""Every hostile server, and every client sent to it: what each met, and what the server saw.

The tables of docs/census.md are written by this, and compared with it. To write them anew, in one
process: SECUREMAIL_WRITE_TABLES=1 python -m pytest -n 0 tests/test_census_*.py
"""

import os
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from census_clients import CLIENTS, Client, Visit, of, quietly
from securemail import CATrust, SecureMailError, TLSPolicy
from securemail.testing import SCENARIOS, Authority, HostileServer
from securemail.testing.hostile.scenario import Scenario
from securemail.testing.hostile.verdict import Verdict
from servers.mentions import mentions

DOCUMENT = Path(__file__).parent.parent / "docs" / "census.md"
WRITING = os.environ.get("SECUREMAIL_WRITE_TABLES") == "1"
BAD = ("LEAK", "FOOLED", "STUCK")
# Which of these it is depends on the moment at which the end is met.
ENDS = ("connect-reset", "handshake-closed", "connection-lost")
FLOOD = 1_500_000  # octets: more than a line may have
PATIENCE = 5.0  # seconds, of a server that is silent or slow


@dataclass
class Found:
    """What came of one visit."""

    client: Client
    verdict: Verdict
    error: BaseException | None
    kept: list[str] = field(default_factory=list)

    @property
    def cell(self) -> str:
        """In the table."""
        if self.verdict.kind in BAD:
            return f"**{self.verdict.kind}**"
        if self.error is None:
            return "fine"
        ours = next((each for each in _causes(self.error) if hasattr(each, "code")), None)
        code = getattr(ours, "code", None)
        if isinstance(ours, SecureMailError):
            return "ended" if code in ENDS else f"`{code}`"
        return f"`{type(self.error).__name__}`" if self.client.whose == "ours" else "refused"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Once each: some libraries' errors are causes of themselves."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return iter(seen)


def goes_there(client: Client, scenario: Scenario) -> bool:
    """Others where it is our context's matter, and they can sign in; a script that says USER and
    PASS itself not to a server that takes neither."""
    by_password = "PLAIN" in scenario.mechanisms
    if client.whose == "theirs":
        return scenario.family in ("certificates", "controls") and by_password
    return by_password or "poplib" not in client.name or bool(scenario.apop)


def cases(protocol: str) -> list[tuple[Scenario, str]]:
    return [
        (scenario, mode)
        for scenario in SCENARIOS.values()
        for mode in scenario.modes
        if protocol in scenario.protocols
    ]


def visit_all(scenario: Scenario, protocol: str, mode: str, authority: Authority) -> list[Found]:
    """Each client for that protocol and mode at a server of its own, at the same time."""
    clients = [each for each in of(protocol, mode) if goes_there(each, scenario)]
    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(lambda each: visit(scenario, each, authority), clients))


def visit(scenario: Scenario, client: Client, authority: Authority) -> Found:
    policy = TLSPolicy(trust=CATrust(authority.ca_pem))
    arguments: dict[str, Any] = {"mode": client.mode, "authority": authority}
    arguments |= {"octets": FLOOD, "seconds": PATIENCE}
    with HostileServer(scenario, client.protocol, **arguments) as server:  # type: ignore[arg-type]
        kept: list[str] = []

        def made(connection: Any) -> None:
            if client.mode == "starttls" and isinstance(connection.sock, ssl.SSLSocket):
                kept.extend(mentions(connection, server.marker, buffers=False))

        error = quietly(client.use, Visit(server, policy, made=made))
        return Found(client, server.verdict(), error, kept)


# -- the tables


def names(protocol: str) -> list[str]:
    """The columns."""
    return list(dict.fromkeys(each.name for each in CLIENTS if each.protocol == protocol))


_written: dict[str, dict[str, dict[str, str]]] = {}
_known: dict[str, dict[str, dict[str, str]]] = {}


def saw(scenario: Scenario, protocol: str, mode: str, found: list[Found]) -> None:
    row = f"{scenario.name}, {mode}"
    cells = {each.client.name: each.cell for each in found}
    if WRITING:
        _written.setdefault(protocol, {})[row] = cells
        return
    expected = known().get(protocol, {}).get(row)
    assert expected == cells, f"docs/census.md says otherwise of {row}"


def known() -> dict[str, dict[str, dict[str, str]]]:
    """The document's tables: protocol, row, column."""
    protocol, columns = "", []
    for line in [] if _known else DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            protocol = line[3:].strip().lower()
        elif line.startswith("| scenario"):
            columns = [cell.strip() for cell in line.strip("|").split(" | ")][1:]
        elif line.startswith("| ") and columns:
            row, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            pairs = zip(columns, cells, strict=True)
            _known.setdefault(protocol, {})[row] = {key: cell for key, cell in pairs if cell != "-"}
    return _known


RESOURCES = "| attack | class | outcome | MiB | seconds |\n|---|---|---|---|---|\n"


def write_resources(cells: list[tuple[str, str, str, float, float]]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, after = text.partition(RESOURCES)
    rows = "".join(f"| {' | '.join(map(str, cell))} |\n" for cell in cells)
    rest = after[after.index("\n## ") :] if "\n## " in after else ""
    DOCUMENT.write_text(before + RESOURCES + rows + rest, encoding="utf-8")


def known_resources() -> list[list[str]]:
    rows = DOCUMENT.read_text(encoding="utf-8").partition(RESOURCES)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]


def write() -> None:
    """What was seen in this session, in the place of the document's tables."""
    if not (WRITING and _written):
        return
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    parts = [text[: text.index("## IMAP")] if "## IMAP" in text else text]
    for protocol in ("imap", "pop3", "smtp"):
        columns = names(protocol)
        parts.append(f"## {protocol.upper()}\n\n| scenario | {' | '.join(columns)} |\n")
        parts.append("|---" * (len(columns) + 1) + "|\n")
        for row, cells in _written.get(protocol, known().get(protocol, {})).items():
            shown = " | ".join(cells.get(column, "-") for column in columns)
            parts.append(f"| {row} | {shown} |\n")
        parts.append("\n")
    DOCUMENT.write_text("".join(parts).rstrip("\n") + "\n", encoding="utf-8")
