"""Which code blocks a document has, and how each kind is run.

    python           executed; one namespace for the whole document, which has `user`, `password`,
                     `access_token`, and a program's `client_id` and `client_secret`. One that
                     begins with `# name.py` is that file instead, for what follows to run
    console, sh      lines that begin with `$ ` are commands (`> ` continues one); the lines after a
                     command are what it prints, `...` stands for anything, nothing for whatever
    toml             parsed; a policy file's tables are also read as one
    text             not run: the one kind for what is not code

Sybil finds the blocks and runs them. `blocks` reads the document in another way, so that a
block which sybil overlooks is noticed.
"""

import doctest
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from sybil import Example, Region, Sybil
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from securemail.policy_file.reading import parse as parse_policy

ROOT = Path(__file__).resolve().parent.parent

EXECUTED = {"python", "console", "sh", "toml"}
NOT_RUN = {"text"}
WITHOUT_CODE = {"{eval-rst}", "{include}", "{toctree}"}  # MyST's directives
PROSE = {"{caution}", "{important}", "{note}", "{seealso}", "{tip}", "{warning}"}

COMMAND_SECONDS = 60
AS_PRINTED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE  # long lines are broken in a page


def documents() -> list[Path]:
    """Without what the build of the documentation makes."""
    pages = (ROOT / "docs").rglob("*.md")
    written = (page for page in pages if not {"_build", "_explained"} & set(page.parts))
    return [ROOT / "README.md", *sorted(written)]


# --- an inventory, by a Markdown parser -----------------------------------------------------


class Block(NamedTuple):
    line: int
    kind: str  # the first word after the fence; "indented" where there is no fence
    text: str


def blocks(markdown: str, first_line: int = 1) -> Iterator[Block]:
    for token in MarkdownIt().parse(markdown):
        if token.type not in {"fence", "code_block"}:
            continue
        assert token.map is not None
        line = first_line + token.map[0]
        kind = token.info.split(" ")[0] if token.type == "fence" else "indented"
        if kind in PROSE:  # its content is Markdown again
            yield from blocks(token.content, line + 1)
        else:
            yield Block(line, kind, token.content)


def unknown_kinds(markdown: str) -> list[str]:
    """What would be neither run nor marked as text."""
    known = EXECUTED | NOT_RUN | WITHOUT_CODE
    unknown = [
        f"line {b.line}: {b.kind or 'no kind'}" for b in blocks(markdown) if b.kind not in known
    ]
    hidden = [
        f"line {b.line}: code inside {b.kind}"
        for b in blocks(markdown)
        if b.kind in WITHOUT_CODE and re.search(r"code|doctest|>>>", b.text)
    ]
    return unknown + hidden


# --- running them, by sybil -----------------------------------------------------------------


def parse(path: Path, environment: Mapping[str, str]) -> Document:
    """The document, ready to be run; `environment` is for the programs it starts."""

    def run_console(example: Example) -> str | None:
        return run_commands(example.parsed, environment)

    parsers = [
        python_blocks,
        CodeBlockParser("console", run_console),
        CodeBlockParser("sh", run_console),
        CodeBlockParser("toml", parse_toml),
    ]
    return Sybil(parsers=parsers).parse(path)


def python_blocks(document: Document) -> Iterator[Region]:
    for region in PythonCodeBlockParser(doctest_optionflags=AS_PRINTED)(document):
        if isinstance(region.parsed, str) and FILE_NAME.match(region.parsed):
            region.evaluator = write_file
        yield region


FILE_NAME = re.compile(r"# ((\w+)\.py)\n")


def write_file(example: Example) -> str | None:
    """Into the current folder, where commands find it."""
    found = FILE_NAME.match(example.parsed)
    assert found is not None
    Path(found[1]).write_text(example.parsed, encoding="utf-8")
    used = found[2] in example.document.text[example.end :]
    return None if used else f"nothing that follows uses {found[1]}"


def parse_toml(example: Example) -> None:
    if tomllib.loads(example.parsed).keys() <= {"default", "servers"}:
        parse_policy(example.parsed.encode(), os.path.abspath("securemail.toml"))


@dataclass
class Command:
    line: str
    expected: str = ""
    output: str = ""
    status: int = 0


def commands(block: str) -> list[Command]:
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif line.startswith("> ") and found and not found[-1].expected:
            found[-1].line += "\n" + line[2:]
        elif found:
            found[-1].expected += line + "\n"
        elif line.strip():
            raise ValueError(f"{line!r} is before the first command; commands begin with '$ '")
    if not found:
        raise ValueError("no line begins with '$ ', so nothing would be run")
    return found


def run_commands(block: str, environment: Mapping[str, str]) -> str | None:
    """Run a block in one shell; return what is wrong, or None."""
    try:
        listed = commands(block)
    except ValueError as error:
        return str(error)
    own = [command for command in listed if command.line.startswith("scripts/")]
    if own:
        if own != listed:
            return "keep the commands of this repository in a block of their own"
        return "\n".join(filter(None, map(missing_script, own)))
    run_in_shell(listed, environment)
    following = [*listed[1:], None]
    for command, after in zip(listed, following, strict=True):
        shown = after is not None and after.line == "echo $?"  # the failure is the point
        if command.status != 0 and not shown:
            return f"$ {command.line}\nexit status {command.status}:\n{command.output}"
        if not matches(command.expected, command.output):
            return f"$ {command.line}\nexpected:\n{command.expected}\nprinted:\n{command.output}"
    return None


def missing_script(command: Command) -> str | None:
    """The commands of this repository (scripts/test, scripts/demo) are not run from inside
    the tests that they run, but they must be there."""
    script = command.line.split()[0]
    if os.access(ROOT / script, os.X_OK):
        return None
    return f"{script} is not a command of this repository"


def matches(expected: str, output: str) -> bool:
    if not expected.strip():
        return True  # the document says nothing about what is printed
    return doctest.OutputChecker().check_output(expected, output, AS_PRINTED)


MARK = "\x1e"  # ends each command's output; a terminal program does not print it


def run_in_shell(listed: list[Command], environment: Mapping[str, str]) -> None:
    """One shell for the block, as the reader has: `cd`, variables and `$?` carry over."""
    # After each command its status is printed, and set again for the command that follows.
    mark = f"printf '{MARK}%d{MARK}' $status; (exit $status)"
    script = "".join(f"{command.line}\nstatus=$?; {mark}\n" for command in listed)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    shell = subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, **environment, "PATH": path, "NO_COLOR": "1", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what the shell started can be ended with it
    )
    try:
        output, _ = shell.communicate(timeout=COMMAND_SECONDS)
    except BaseException:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()
        raise
    pieces = output.split(MARK)
    for number, command in enumerate(listed):
        command.output = pieces[2 * number]
        # A shell that ended early (`exit`) did not get to print the rest.
        ended = 2 * number + 1 >= len(pieces)
        command.status = shell.returncode if ended else int(pieces[2 * number + 1])
        if ended:
            raise AssertionError(f"the shell ended in: $ {command.line}\n{command.output}")
