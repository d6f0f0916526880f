"""The page of each code: its form, and that what it advises is right.

Their Python is run and their TOML is read as a policy file; a command line of ours is parsed by the
real parser. Those of other programs (openssl, a system's own) are not run.
"""

import ast
import builtins
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

import securemail
from docs_examples import blocks
from docs_oauth import TOKEN
from docs_world import PASSWORD, USER, documents_world
from securemail.cli import _parser, options
from securemail.errors import PolicyError
from securemail.policy_file.reading import parse
from tables import WRITING
from test_error_codes import DOCUMENT, raised

FOLDER = Path(securemail.__file__).parent / "explanations"
OVERVIEW = FOLDER / "index.md"
PAGES = {page.stem: page for page in sorted(FOLDER.glob("*.md")) if page != OVERVIEW}
HEADINGS = ["## What happened", "## What it may mean", "## What to do"]
KINDS = {"python", "toml", "console"}
GIVEN = ("user", "access_token", "host", "policy")  # the reader's own
FOR_NAMES = {*securemail.__all__, "IMAP4_stream", *dir(builtins), *GIVEN}

each_page = pytest.mark.parametrize("code", PAGES)


def text_of(code: str) -> str:
    return PAGES[code].read_text(encoding="utf-8")


def sentence_of(text: str) -> str:
    """What it is: the paragraph below the title."""
    return " ".join(text.split("\n\n")[1].split())


# --- which pages there are, and their form


def test_every_code_has_a_page_and_every_page_has_a_code() -> None:
    assert raised() == set(PAGES)


def test_nothing_else_is_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"index.md", *(f"{c}.md" for c in PAGES)}


@each_page
def test_a_page_has_the_form_of_all(code: str) -> None:
    assert misshapen(code, text_of(code)) == []


def misshapen(code: str, text: str) -> list[str]:
    """What is not as in the other pages."""
    lines = text.split("\n")
    fences = MarkdownIt().parse(text)
    in_code = {n for t in fences if t.type == "fence" and t.map for n in range(*t.map)}
    headings = [s for n, s in enumerate(lines) if s.startswith("#") and n not in in_code]
    sentence = sentence_of(text)
    wrong = {
        "the title is the code": lines[0] == f"# {code}",
        "its headings": headings == [f"# {code}", *HEADINGS],
        "one sentence": sentence.endswith(".") and sentence.count(". ") == 0,
        "something below each heading": not re.search(r"^## .*\n+(##|\Z)", text, re.MULTILINE),
        "10 to 30 lines": 10 <= text.count("\n") <= 30,
        "at most 96 characters": max(map(len, lines)) <= 96,
        "one line end, and no blanks": text.endswith("\n") and not re.search(r"[ \t\n]\n\Z", text),
        "kinds of code": {block.kind for block in blocks(text)} <= KINDS,
        "no way around verification": not re.search(
            r"CERT_NONE\)|verify\s*=\s*false|check_hostname\s*=\s*False", text, re.IGNORECASE
        ),
    }
    return [what for what, is_right in wrong.items() if not is_right]


RIGHT = (
    "# name\n\nWhat it is.\n\n## What happened\nIt did.\n\n## What it may mean\nThis.\n\n"
    "## What to do\n```console\n# not a heading\n$ true\n```\n"
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("# name", "# other", "the title is the code"),
        ("## What happened", "## What was", "its headings"),
        ("What it is.", "What it is", "one sentence"),
        ("What it is.", "What it is. More.", "one sentence"),
        ("It did.\n", "", "something below each heading"),
        ("It did.\n", "It did.\n" * 30, "10 to 30 lines"),
        ("It did.", "It did." * 20, "at most 96 characters"),
        ("```\n", "```\n\n", "one line end, and no blanks"),
        ("```console", "```ruby", "kinds of code"),
        ("It did.", "`verify = false`", "no way around verification"),
    ],
)
def test_a_wrong_form_is_found(old: str, new: str, expected: str) -> None:
    assert misshapen("name", RIGHT) == []
    assert expected in misshapen("name", RIGHT.replace(old, new, 1))


@each_page
def test_a_fingerprint_comes_with_the_advice_to_compare_it(code: str) -> None:
    text = " ".join(text_of(code).split())
    shows_one = re.search(r"-fingerprint|`securemail pin [a-z.]+ ", text)
    assert not shows_one or re.search(
        r"by another way than this connection|by telephone", text, re.IGNORECASE
    )


# --- what they advise


@each_page
def test_its_toml_is_a_policy_file(code: str, tmp_path: Path) -> None:
    path = str(tmp_path / "policy.toml")
    for text in toml_of(text_of(code)):
        parse(text.encode(), path)


def toml_of(text: str) -> Iterator[str]:
    """The blocks, and what stands in a sentence: a key of a server's table, or of `trust`."""
    yield from (textwrap.dedent(block.text) for block in blocks(text) if block.kind == "toml")
    for words in inline(text):
        if re.match(r"(?!ssl_|smtpd_)[a-z_]+ = ", words):  # those are Dovecot's and Postfix's
            in_trust = words.startswith("waive_")
            table = '.trust]\ncertificate = "server.pem"' if in_trust else "]"
            yield f'[servers."mail.example.org"{table}\n{words}'


def inline(text: str) -> list[str]:
    """What stands in backquotes, of more than one line too."""
    tokens = [token for token in MarkdownIt().parse(text) if token.type == "inline"]
    children = [child for token in tokens for child in token.children or ()]
    return [" ".join(child.content.split()) for child in children if child.type == "code_inline"]


@pytest.mark.parametrize(
    "wrong",
    [
        '```toml\n[servers."a"]\npin_s = "x"\n```\n',
        "`minimum_version = 1.2`\n",
        "`waive_expiry = { until = 2027-03-01 }`\n",
    ],
)
def test_toml_that_is_no_policy_file_is_found(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        for text in toml_of(wrong):
            parse(text.encode(), str(tmp_path / "policy.toml"))


@each_page
def test_a_command_of_ours_is_one(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands_of(text_of(code)):
        require_command(line, capsys)


def require_command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)[1:]
    if all(map(str.isalpha, words)):
        words.append("--help")  # a command's name, without its arguments
    try:
        args = _parser().parse_args(words)
    except SystemExit as end:
        if end.code:
            pytest.fail(f"{line}: {capsys.readouterr().err}")
        return
    if args.command == "explain":
        assert set(args.codes) <= set(PAGES)
    elif args.command in ("check", "pin") and not args.host.endswith(".pem"):
        options.places(args)


def commands_of(text: str) -> Iterator[str]:
    shown = [line.strip() for block in blocks(text) for line in block.text.splitlines()]
    for line in [*(s.removeprefix("$ ") for s in shown if s.startswith("$ ")), *inline(text)]:
        # With a variable, or `env`, before it; `securemail:` alone is a word in a sentence.
        if found := re.search(r"(?:^|\s)(securemail [a-z].*)", line):
            yield found[1]


@pytest.mark.parametrize(
    "wrong", ["chek", "known larn", "check a.example.org --imaps", "pin --imap"]
)
def test_a_command_that_is_none_is_found(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = commands_of(f"`securemail {wrong}`")
    with pytest.raises(pytest.fail.Exception):
        require_command(line, capsys)


@each_page
def test_a_code_that_it_names_has_a_page(code: str) -> None:
    """A word in backquotes after "see", and one with a hyphen, is a page's name."""
    words = inline(text_of(code))
    named = {word for word in words if re.fullmatch(r"[a-z]+(-[a-z]+)+", word)}
    assert named - {"ca-certificates"} <= set(PAGES)
    seen = re.findall(r"\bsee(?:\s+also)?\s+`([a-z-]+)`", text_of(code))
    assert set(seen) <= set(PAGES)


@each_page
def test_names_in_a_sentence_are_ours(code: str) -> None:
    assert unknown_names(text_of(code)) == set()


def unknown_names(text: str) -> set[str]:
    """Of calls in backquotes, such as `TLSPolicy(trust=…)`: names that we do not have."""
    found: set[str] = set()
    for words in inline(text):
        if re.match(r"[A-Z]\w+\(", words):
            tree = ast.parse(words.replace("…", "..."), mode="eval")
            found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found - FOR_NAMES


def test_names_that_are_not_ours_are_found() -> None:
    assert unknown_names("`TLSPolicy(trust=Nobody(host))`") == {"Nobody"}


def test_their_python_runs(tmp_path: Path) -> None:
    """Each block as if it were copied alone, in the world of the documents."""
    with documents_world(tmp_path):
        for code in PAGES:
            for block in blocks(text_of(code)):
                if block.kind == "python":
                    run(f"{code}.md:{block.line}", block.text)


def run(name: str, source: str) -> None:
    known: dict[str, Any] = {"user": USER, "password": PASSWORD, "access_token": TOKEN}
    try:
        exec(compile(textwrap.dedent(source), name, "exec"), known)  # noqa: S102 - our own pages
    except Exception as error:
        error.add_note(f"in {name}")
        raise


def test_python_that_does_not_run_is_found() -> None:
    with pytest.raises(ImportError):
        run("page", "from securemail import NoSuchName")


# --- the overview


def test_the_overview_is_up_to_date() -> None:
    """SECUREMAIL_WRITE_TABLES=1 python -m pytest tests/test_explanations.py writes it."""
    if WRITING:
        OVERVIEW.write_text(overview(), encoding="utf-8")
    assert OVERVIEW.read_text(encoding="utf-8") == overview()


def overview() -> str:
    """Every code with its sentence, in the sections of docs/errors.md."""
    parts = [INTRODUCTION]
    for title, codes in sections():
        rows = (f"- `{code}`: {sentence_of(text_of(code))}" for code in codes)
        wrapped = (textwrap.fill(row, 96, subsequent_indent="  ") for row in rows)
        parts.append("\n".join([f"## {title}", *wrapped]))
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """# Every code, explained

Each error has a `code`, which stands at the end of its text. `securemail explain CODE` prints
what it means and what to do."""


def sections() -> Iterator[tuple[str, list[str]]]:
    """A code that is in two of the document's tables counts in the last one."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        cells = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
        others = re.findall(r"the code is the class's own: ([^.]*)\.", text)
        for code in re.findall(r"`([a-z-]+)`", " ".join([*cells, *others])):
            for codes in found.values():
                if code in codes:
                    codes.remove(code)
            if code in PAGES:
                found.setdefault(title, []).append(code)
    yield from found.items()


def test_the_overview_has_every_code_once() -> None:
    listed = re.findall(r"^- `([a-z-]+)`", overview(), re.MULTILINE)
    assert sorted(listed) == sorted(PAGES)
