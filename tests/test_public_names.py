"""`import securemail` shows the public names, and costs next to nothing.

Everything is asked in a fresh interpreter: in this one, other tests have imported what they need.
"""

import json
import subprocess
import sys
from typing import Any

# Expensive, or with side effects on import; needed only once a name is used.
NOT_LOADED = {
    "certifi",
    "cryptography",
    "email",
    "idna",
    "imaplib",
    "poplib",
    "smtplib",
    "ssl",
}


def in_a_fresh_interpreter(program: str) -> Any:
    # -P: the folder we happen to be in is not searched, so an installed package is the one found.
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


NAMES_BEFORE_AND_AFTER_LOADING = """
import json, securemail
before = dir(securemail)
values = [getattr(securemail, name) for name in securemail.__all__]
print(json.dumps([securemail.__all__, before, dir(securemail)]))
"""


def test_all_is_what_dir_shows_and_every_name_loads() -> None:
    declared, before, after = in_a_fresh_interpreter(NAMES_BEFORE_AND_AFTER_LOADING)

    assert public(before) == public(declared)
    assert public(after) == public(declared), "loading a name made others appear"
    assert len(declared) == len(set(declared)), "a name is listed twice"


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a statement loads (not those the interpreter starts with)."""
    program = (
        "import json, sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    return {name.partition(".")[0] for name in in_a_fresh_interpreter(program)}


def test_importing_the_package_loads_neither_mail_nor_tls_modules() -> None:
    loaded = loaded_by("import securemail")

    assert "securemail" in loaded
    assert loaded & NOT_LOADED == set()


def test_the_question_above_can_be_answered_with_yes() -> None:
    assert {"imaplib", "ssl", "cryptography"} <= loaded_by("import imaplib, cryptography.x509")
