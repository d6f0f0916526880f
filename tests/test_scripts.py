"""`scripts/test` installs packages only where somebody said that it may."""

import importlib.machinery
import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
INSTALLER = """\
#!/bin/sh
[ "$1" = --missing ] && { printf '%s' "$MISSING"; exit 0; }
touch "$(dirname "$0")/installed"
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """`scripts/test`, in a folder whose installer only says that it was run."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("scripts_test", str(SCRIPTS / "test"))
    spec = importlib.util.spec_from_loader("scripts_test", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    installer = tmp_path / "scripts" / "install-test-servers"
    installer.parent.mkdir()
    installer.write_text(INSTALLER, "utf-8")
    installer.chmod(0o755)
    return module


@pytest.mark.parametrize(
    ("missing", "required", "forbidden", "answer", "installs"),
    [
        ("", False, False, None, True),  # nothing of the system's changes
        ("", False, True, None, False),
        ("postfix", False, False, None, False),  # nobody is there to be asked
        ("postfix", False, False, "", False),
        ("postfix", False, False, "n", False),
        ("postfix", False, False, "y", True),
        ("postfix", False, True, "y", False),
        ("postfix", True, False, None, True),  # as CI runs it
    ],
)
def test_packages_are_installed_where_somebody_said_so(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    missing: str,
    required: bool,
    forbidden: bool,
    answer: str | None,
    installs: bool,
) -> None:
    monkeypatch.setenv("MISSING", missing)
    stdin = io.StringIO() if answer is None else Terminal(f"{answer}\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    notes: list[str] = []
    script.install_servers(required, forbidden, notes)
    assert (tmp_path / "scripts" / "installed").exists() is installs
    assert bool(notes) is not installs


def test_nobody_is_asked_where_servers_are_required(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MISSING", "postfix")
    monkeypatch.setattr(sys, "stdin", Terminal(""))  # input() would raise EOFError
    script.install_servers(True, False, [])


def test_each_apt_waits_for_the_one_that_has_the_lock() -> None:
    for path in (SCRIPTS / "install-test-servers", SCRIPTS.parent / ".ci" / "run"):
        lines = [line for line in path.read_text("utf-8").splitlines() if "apt-get" in line]
        runs = [line for line in lines if " install -y" in line or " update" in line]
        assert runs
        for line in runs:
            assert "DPkg::Lock::Timeout" in line or "patiently" in line, line
