"""docs/errors.md has every `code` that an error can have, and none that it cannot."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import securemail

PACKAGE = Path(securemail.__file__).parent
DOCUMENT = Path(__file__).parent.parent / "docs" / "errors.md"

# Made of parts, which a search of the sources does not find.
COMPOSED = {"limit-line", "limit-literal"}
# Where a code is an argument by position: the function, and which argument.
POSITIONS = {"_refused": 1, "Known": 0}


def codes_in(tree: ast.AST) -> Iterator[str]:
    """`code="…"` as an argument and as a class attribute; `CODE = "…"`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            values = [word.value for word in node.keywords if word.arg == "code"]
            values += node.args[position(node) :][:1]
        elif isinstance(node, ast.Assign) and names(node) & {"code", "CODE"}:
            values = [node.value]
        else:
            continue
        for value in values:
            if isinstance(value, ast.Constant):
                yield value.value


def position(call: ast.Call) -> int:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return POSITIONS.get(name, len(call.args))


def names(assignment: ast.Assign) -> set[str]:
    return {target.id for target in assignment.targets if isinstance(target, ast.Name)}


@functools.cache
def raised() -> set[str]:
    modules = [path for path in PACKAGE.rglob("*.py") if path.parent.name not in ("cli", "testing")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in modules]
    return COMPOSED.union(*map(codes_in, trees))


def documented() -> set[str]:
    """In the first column of the tables that begin with it, and in the sentence after them."""
    text = DOCUMENT.read_text(encoding="utf-8")
    tables = re.findall(r"^\| `code`.*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [row.split("|")[1] for table in tables for row in table.splitlines()]
    (others,) = re.findall(r"the code is the class's own: ([^.]*)\.", text)
    return set(re.findall(r"`([a-z-]+)`", " ".join([*cells, others])))


def test_the_search_finds_each_kind() -> None:
    """One by its keyword, one of a class, one in a constant, and the two by their position."""
    found = raised()
    assert found >= {"port-and-mode", "pin-mismatch", "policy-file", "preauth", "weak-dh"}
    assert "starttls-not-offered" in found


def test_every_code_is_in_the_document() -> None:
    assert raised() - documented() == set()


def test_the_document_has_no_code_that_nothing_raises() -> None:
    assert documented() - raised() == set()
