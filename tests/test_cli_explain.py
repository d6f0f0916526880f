"""`securemail explain`, and that what the other commands print leads there."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from securemail import CertificateRejected, ConnectFailed, SecureMailError
from securemail.cli import main
from securemail.cli.page import Code, Heading, Paragraph, parts, say_page
from securemail.cli.refusal import error_as_dict, say_error
from securemail.reasons import NameMismatch, SelfSigned, Unexplained, WeakKey, WeakSignature
from test_explanations import OVERVIEW, PAGES, sentence_of, text_of

Run = Callable[..., tuple[int, str, str]]

FINE, USAGE = 0, 64


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: its status, its output, its errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["explain", *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def words(text: str) -> str:
    return " ".join(text.split())


def test_it_prints_the_page(run: Run) -> None:
    status, text, errors = run("self-signed")

    assert (status, errors) == (FINE, "")
    assert text.startswith("self-signed\n===========\n\n  The server showed a certificate")
    assert "\nWhat to do\n  1. On the server itself" in text
    assert "\n       $ openssl x509 -in server.pem -noout -fingerprint -sha256\n" in text


@pytest.mark.parametrize(
    "given", ["self-signed.", "self-signed,", "SELF-SIGNED", "`self-signed`", '"self-signed".']
)
def test_a_code_copied_out_of_a_sentence_will_do(given: str, run: Run) -> None:
    assert run(given) == run("self-signed")


def test_several_are_printed_one_after_the_other_and_each_once(run: Run) -> None:
    status, text, _ = run("name-mismatch,", "self-signed", "name-mismatch")
    first, second = run("name-mismatch")[1], run("self-signed")[1]

    assert (status, text) == (FINE, f"{first}\n{second}")


def test_without_a_code_all_are_listed_in_groups_with_their_sentences(run: Run) -> None:
    status, text, _ = run()
    listed = words(text)

    assert status == FINE
    for code in PAGES:
        assert f"- `{code}`: {sentence_of(text_of(code))}" in listed
    titles = [line[3:] for line in OVERVIEW.read_text().splitlines() if line.startswith("## ")]
    assert len(titles) > 3
    assert [line for line in text.splitlines()[2:] if line and line[0] != " "] == titles


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("self-sined", "self-signed"),
        ("certificate-expire", "certificate-expired"),
        ("expired", "certificate-expired"),
        ("selfsigned", "self-signed"),
    ],
)
def test_for_an_unknown_code_the_nearest_are_named(given: str, near: str, run: Run) -> None:
    status, text, errors = run("name-mismatch", given)

    assert (status, text) == (USAGE, "")
    assert f"there is no code '{given}'. Did you mean " in words(errors)
    assert near in errors
    assert words(errors).endswith("securemail explain lists them all.")


@pytest.mark.parametrize("given", ["xyzzy", "../../errors", "/etc/passwd", "index", ""])
def test_what_is_like_no_code_is_wrong_usage(given: str, run: Run) -> None:
    status, text, errors = run(given)

    assert (status, text) == (USAGE, "")
    assert f"securemail explain: there is no code '{given.strip('.')}'." in words(errors)


@pytest.mark.parametrize("width", [40, 80, 100])
def test_every_page_fits_the_terminal_and_loses_no_word(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for code in PAGES:
        say_page(text_of(code))
        title, _, *printed = capsys.readouterr().out.splitlines()
        kept = {line.strip() for line in code_of(code)}

        assert without_marks("\n".join([title, *printed])) == without_marks(text_of(code)), code
        for line in printed:
            is_one_word = " " not in line.strip()
            assert len(line) <= width or is_one_word or line.strip() in kept, line


def code_of(code: str) -> list[str]:
    """The lines of its code, which are kept as they are."""
    return [line for part in parts(text_of(code)) if isinstance(part, Code) for line in part.lines]


def without_marks(text: str) -> list[str]:
    marks = ("#", "##", ">", "```python", "```toml", "```console", "```")
    return [word for word in text.split() if word not in marks]


def test_the_parts_of_a_page() -> None:
    text = (
        "# title\n\nOne\ntwo.\n- a\n  b\n- c\n1. d\n   ```toml\n   x = 1\n     y = 2\n   ```\n"
        "   e\n   > f\n   > g\n"
    )
    assert [*parts(text)] == [
        Heading("title", 1),
        None,
        Paragraph("", "One two."),
        Paragraph("- ", "a b"),
        Paragraph("- ", "c"),
        Paragraph("1. ", "d"),
        Code("   ", ("x = 1", "  y = 2")),
        Paragraph("   ", "e"),
        Paragraph("   > ", "f g"),
    ]


def test_the_pages_are_read_by_a_program_of_its_own_without_the_network() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "securemail", "explain", "pin-mismatch."],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert sentence_of(text_of("pin-mismatch")) in words(ran.stdout)
    assert ran.stderr == ""


# --- what leads there


SELF_SIGNED = SelfSigned("CN=a", "AB:CD")
MISMATCH = NameMismatch("a.example.org", ("b.example.org",))


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((SELF_SIGNED,), "self-signed"),
        ((SELF_SIGNED, SELF_SIGNED), "self-signed"),
        ((SELF_SIGNED, MISMATCH), "self-signed, name-mismatch"),
        (
            (MISMATCH, WeakKey("RSA", 1024, 2048, "CN=a"), WeakSignature("sha1", "CN=a")),
            "name-mismatch, weak-key, weak-signature",
        ),
        (
            (MISMATCH, SELF_SIGNED, WeakKey("RSA", 1, 2, "a"), WeakSignature("sha1", "a")),
            "name-mismatch, self-signed, weak-key",
        ),
        ((Unexplained(1, "x"),), "certificate"),
    ],
)
def test_a_refused_certificate_names_the_pages_of_its_reasons(
    reasons: tuple[object, ...],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    run: Run,
) -> None:
    code = reasons[0].code  # type: ignore[attr-defined]
    say_error(CertificateRejected("no", code=code, reasons=reasons, hint="Do."))
    last = capsys.readouterr().out.splitlines()[-1]

    assert last == f"  More: securemail explain {expected}"
    # As it stands there, the line is a command.
    status, text, _ = run(*expected.split())
    assert (status, text.count("What to do\n")) == (FINE, len(expected.split()))


def test_any_other_error_names_its_own_page(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(ConnectFailed("no", code="connect-refused", hint="Look."))

    assert capsys.readouterr().out.splitlines()[-1] == "  More: securemail explain connect-refused"


def test_for_programs_the_command_is_in_the_json() -> None:
    data = error_as_dict(SecureMailError("no", code="preauth"))

    assert json.loads(json.dumps(data))["more"] == "securemail explain preauth"
