"""What docs/hostile-servers.md says where its blocks are not run: two terminals, and tables."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from docs_examples import ROOT, blocks, commands, matches
from securemail.testing import SCENARIOS
from securemail.testing.__main__ import EPILOG
from securemail.testing.hostile.scenario import Kind
from securemail.testing.hostile.scenarios import FAMILIES
from servers.processes import free_ports

PAGE = (ROOT / "docs" / "hostile-servers.md").read_text(encoding="utf-8")
PORT = "11143"  # as the page has it
SECONDS = 30


def block(beginning: str) -> str:
    (found,) = [each.text for each in blocks(PAGE) if each.text.startswith(beginning)]
    return found


def test_the_two_terminals(tmp_path: Path) -> None:
    """The server in one and the program in the other, on a port that is free here."""
    (port,) = free_ports(1, ["127.0.0.1"])
    (shown,) = commands(block("$ python -m securemail.testing --serve").replace(PORT, str(port)))
    python, *arguments = shown.line.split()
    assert python == "python"
    program = tmp_path / "nightly.py"
    program.write_text(block("# nightly.py").replace(PORT, str(port)))
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            said = first_lines(server)
            subprocess.run([sys.executable, str(program)], timeout=SECONDS, check=True)
            said += server.communicate(timeout=SECONDS)[0]
        finally:
            server.kill()
    assert server.returncode == 2
    assert matches(by_chance(shown.expected), by_chance(said)), said


def first_lines(server: subprocess.Popen[str]) -> str:
    """All until it waits for a client."""
    assert server.stdout is not None
    said = ""
    while "Ctrl-C ends this." not in said:
        line = server.stdout.readline()
        assert line, f"it ended: {said}"
        said += line
    return said


def by_chance(text: str) -> str:
    """Without what is another each time: IMAP's tags, and where the CA file is."""
    return re.sub(r"(?m)^(    )[A-P]{4}(\d )", r"\1TAGS\2", re.sub(r"/\S+/ca\.pem", "CA", text))


def test_the_families_are_all_there_and_counted() -> None:
    rows = re.findall(r"(?m)^\| `([a-z]+)` \| ([0-9]+) \| (.+) \|$", PAGE)
    assert rows == [
        (family.FAMILY, str(len(family.SCENARIOS)), (family.__doc__ or "").splitlines()[0])
        for family in FAMILIES
    ]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_words_are_those_of_the_command(kind: str) -> None:
    (says,) = re.findall(rf"(?m)^\| `{kind}` \| (.+) \|$", PAGE)
    assert re.search(rf"(?m)^  {kind} +{re.escape(says)}$", EPILOG)


@pytest.mark.parametrize("page", ["hostile-servers.md", "testing-your-application.md"])
def test_scenarios_that_are_named_are_there(page: str) -> None:
    """In prose, where they look like names of scenarios."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    named = set(re.findall(r"`((?:no|strip|inject|drip|control|preauth)(?:-[a-z]+)*)`", prose))
    assert named <= set(SCENARIOS), named - set(SCENARIOS)
    assert page != "hostile-servers.md" or len(named) > 2, "the page names none: the test is blind"
