"""Runs the scripts in `dropin/` on the standard modules, and with their import line changed.

A script has `main(where)`, which yields plain values. All that can be seen of a run is kept: these
values, the error that ended it, what was printed, and the warnings.
"""

import contextlib
import io
import re
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENDED, PRINTED, WARNED = "ended by", "printed:", "warned:"
FOLDER = Path(__file__).parent / "dropin"
SCRIPTS = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}

# The one line that someone changes who comes from the standard modules.
IMPORTS = {
    "import imaplib\n": "from securemail import imap as imaplib\n",
    "import poplib\n": "from securemail import pop3 as poplib\n",
    "import smtplib\n": "from securemail import smtp as smtplib\n",
}


@dataclass(frozen=True)
class Where:
    """What a script has to know."""

    host: str
    remote_host: str  # clients of plaintext ports seem to come from elsewhere; see `Dovecot`
    imap: int
    imaps: int
    pop3: int
    pop3s: int
    submission: int
    submissions: int
    lmtp_socket: str
    user: str
    password: str
    sender: str
    receiver: str


def as_it_is(source: str) -> str:
    return source


def with_the_import_changed(source: str) -> str:
    (line,) = [line for line in IMPORTS if "\n" + line in source]
    assert source.count("\n" + line) == 1
    return source.replace("\n" + line, "\n" + IMPORTS[line])


def run(name: str, where: Where, change: Callable[[str], str]) -> list[str]:
    """One line for each thing that can be seen of a run."""
    module = types.ModuleType(name)
    source = change(SCRIPTS[name].read_text(encoding="utf-8"))
    exec(compile(source, SCRIPTS[name], "exec"), module.__dict__)  # noqa: S102 - our own scripts
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")  # not errors, as for those who run such scripts
        seen = list(_values(module.main(where)))
    return [
        *seen,
        *(f"{PRINTED} {line}" for line in printed.getvalue().splitlines()),
        *(f"{WARNED} {each.category.__name__}: {each.message}" for each in warned),
    ]


def _values(results: Iterator[Any]) -> Iterator[str]:
    try:
        for result in results:
            yield described(result)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        yield f"{ENDED} {described(error)}"


def described(value: Any) -> str:
    """A value as text; of an error, what `except` and a program that looks inside go by."""
    if isinstance(value, BaseException):
        kinds = [each.__name__ for each in type(value).__mro__ if not _is_ours(each)]
        return f"{' '.join(kinds[:-2])} {described(value.args)}"
    if isinstance(value, tuple):
        return f"({', '.join(map(described, value))})"
    return repr(value)


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "securemail"


# What no two runs have in common -> what stands for it.
BY_NATURE = {
    r"\(\d+\.\d+ \+ \d+\.\d+( \+ \d+\.\d+)? secs\)": "(TIME)",
    r"UIDVALIDITY( |': \[b')\d+": r"UIDVALIDITY\1N",
    r"tag=b'[A-P]+'": "tag=TAG",
    r"(APPENDUID|COPYUID) \d+": r"\1 N",
    r"\b\d{10}\.M\w+\.\w+": "FILE",
    r"\b[0-9a-f]{16}\b": "UIDL",
    r"queued as \w+": "queued as ID",
    r"<\w+> [\w/+]+:\w+ (Saved)": r"ID \1",
    r"\b(?!IMAP4)[A-P]{4}(\d+)\b": r"TAG\1",  # imaplib's tags: four letters at random, and a number
    r"\d\d:\d\d\.\d\d ": "CLOCK ",
    r"\b\d\d:\d\d:\d\d(\.\d+)?\b": "CLOCK",
    r" at 0x[0-9a-f]+": "",
    r"={15}\d+==": "BOUNDARY",
    r"(?m)^Message-Id: <.*>$": "Message-Id: ID",  # these two by Postfix
    r"(?m)^Date: .*$": "Date: DATE",
}


def normalised(line: str) -> str:
    for pattern, word in BY_NATURE.items():
        line = re.sub(pattern, word, line)
    return line
