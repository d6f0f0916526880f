"""scripts/test promises that what is tested is the installed wheel."""

import importlib.metadata
import os
import sysconfig
from pathlib import Path

import pytest

import securemail
from test_error_codes import raised

pytestmark = pytest.mark.skipif(
    os.environ.get("SECUREMAIL_TEST_INSTALLED") != "1",
    reason="only where scripts/test runs it, against the installed wheel",
)


def test_the_package_under_test_is_the_installed_one() -> None:
    assert securemail.__file__ is not None
    site_packages = Path(sysconfig.get_path("purelib")).resolve()
    assert Path(securemail.__file__).resolve().is_relative_to(site_packages)


def test_the_version_of_the_wheel_is_that_of_the_package() -> None:
    assert importlib.metadata.version("securemail") == securemail.__version__


def test_the_wheel_holds_the_package_and_nothing_else() -> None:
    files = importlib.metadata.files("securemail")
    assert files is not None
    tops = {file.parts[0] for file in files}
    # ".." leads to the `securemail` command, in the bin folder.
    assert tops == {"securemail", f"securemail-{securemail.__version__}.dist-info", ".."}
    assert [file.name for file in files if file.parts[0] == ".."] == ["securemail"]


def test_the_wheel_has_the_page_of_every_code() -> None:
    files = {file.as_posix() for file in importlib.metadata.files("securemail") or ()}
    pages = {f"securemail/explanations/{code}.md" for code in (*raised(), "index")}
    assert pages <= files


def test_the_wheel_says_that_it_is_typed_and_carries_its_licence() -> None:
    names = {file.name for file in importlib.metadata.files("securemail") or ()}
    assert {"py.typed", "LICENSE"} <= names
