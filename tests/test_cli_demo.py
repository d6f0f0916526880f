"""`securemail demo`: it keeps its promises, says so, and notices when they are broken."""

import re
import subprocess
import sys

import pytest

from securemail.cli import main

LONG = re.compile(r"([0-9A-F]{2}:){31}|sha256/[A-Za-z0-9+/]{43}=")


def test_the_demo_as_a_program() -> None:
    command = [sys.executable, "-P", "-m", "securemail", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout

    assert (done.returncode, done.stderr) == (0, "")
    for protocol in ("SMTP", "IMAP", "POP3"):
        assert f"({protocol} over TLS), at 127.0.0.1" in text
    assert text.count("byte for byte") == 2
    assert "is for another-host.example.net, you asked for" in text
    assert "- expired on" in text
    assert "- is self-signed" in text
    assert text.count("[ok] refused") == 3
    assert text.count("not one byte over TLS") == 3
    assert "SelfSignedWarning: 127.0.0.1: accepted a self-signed certificate" in text
    assert "BROKEN" not in text
    assert text.endswith("Everything was as promised.\n")
    lines = text.splitlines()
    assert len(lines) < 100
    assert [line for line in lines if len(line) > 80 and not LONG.search(line)] == []


def test_a_broken_promise_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Servers whose certificates are all good: nothing is refused."""
    from securemail.testing import Authority

    good = Authority.context_for
    monkeypatch.setattr(
        Authority, "context_for", lambda self, kind, *names: good(self, "good", *names)
    )
    monkeypatch.setattr("securemail.cli.demo.Demonstration.opt_in", lambda self: None)
    status = main(["demo"])

    text = capsys.readouterr().out
    assert status == 2
    assert "[BROKEN] refused" in text
    assert "NOT as promised: " in text


def test_an_unexpected_error_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from securemail.testing import Authority

    made = Authority.context_for
    monkeypatch.setattr(
        Authority, "context_for", lambda self, kind, *names: made(self, "expired", *names)
    )

    assert main(["demo"]) == 2
    assert "BROKEN: this should not have happened." in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["aiosmtpd", "trustme"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from securemail.cli import main; sys.exit(main(['demo']))"
    )
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (64, "")
    assert "pip install 'securemail[demo]'" in done.stderr
    assert "Traceback" not in done.stderr
