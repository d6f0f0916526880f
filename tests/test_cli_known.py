"""`securemail known`: what it prints, what it asks, what it writes, and how it ends."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securemail import FirstUseTrust, Pin
from securemail.cli import main
from securemail.trust import lock
from servers import scripts
from servers.pki import PKI
from servers.recording import RecordingServer

Factory = Callable[..., RecordingServer]
Run = Callable[..., tuple[int, str]]

FINE, REFUSED, UNREACHABLE, USAGE = 0, 2, 3, 64
OTHER_PIN = "sha256/" + "A" * 43 + "="


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known-servers"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process: its status, and what it printed, without line breaks.
    `answer`: what somebody types on a terminal; None: there is none."""

    def run(*arguments: object, answer: str | None = None) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", Terminal(answer) if answer is not None else io.StringIO())
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, " ".join((printed.out + printed.err).split())

    return run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def server(pki: PKI, recording_server: Factory) -> RecordingServer:
    return recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())


def target(server: RecordingServer) -> list[str]:
    return ["--imap", f"127.0.0.1:{server.port}"]


def fingerprint(pki: PKI, name: str = "self_signed") -> str:
    return str(Pin.of_certificate(pki[name].leaf_der)).partition("/")[2]


# -- learning


@pytest.mark.parametrize("answer", ["yes\n", "Yes", " YES \n"])
def test_it_shows_asks_and_learns_on_yes(
    answer: str, server: RecordingServer, pki: PKI, file: Path, run: Run
) -> None:
    status, text = run("known", "learn", file, *target(server), answer=answer)
    assert status == FINE
    shown = text.index(fingerprint(pki))
    assert text.index("NOT VERIFIED") < text.index(f"key pin: {pki['self_signed'].spki_pin}")
    assert text.index("by another way than this connection") < shown
    assert text.index("openssl x509 -in server.pem -noout -fingerprint -sha256") < shown
    assert shown < text.index("Is it the same? yes/no") < text.index("Known now:")
    (known,) = FirstUseTrust(file).known()
    assert known.endpoint == ("imap", "127.0.0.1", server.port)
    assert (known.pin, known.fingerprint) == (pki["self_signed"].spki_pin, fingerprint(pki))
    assert server.wait()[0].received_tls == b""

    status, text = run("known", "learn", file, *target(server), answer="yes\n")
    assert (status, "Nothing to learn: known since 20" in text) == (FINE, True)
    assert "Is it the same" not in text


@pytest.mark.parametrize("answer", ["no\n", "y\n", "\n", "", "yes please\n"])
def test_on_anything_else_nothing_is_learned(
    answer: str, server: RecordingServer, file: Path, run: Run
) -> None:
    status, text = run("known", "learn", file, *target(server), answer=answer)
    assert (status, "Nothing was learned." in text) == (REFUSED, True)
    assert not file.exists()


def test_without_a_terminal_nobody_is_asked(server: RecordingServer, file: Path, run: Run) -> None:
    status, text = run("known", "learn", file, *target(server))
    assert (status, "--fingerprint AB:CD:..." in text) == (USAGE, True)
    assert server.connections == 0
    assert not file.exists()


@pytest.mark.parametrize("answer", [None, "no\n"])
@pytest.mark.parametrize("given", ["--fingerprint", "--pin", "openssl's line"])
def test_what_was_got_by_another_way_is_compared_instead(
    given: str, answer: str | None, server: RecordingServer, pki: PKI, file: Path, run: Run
) -> None:
    right = {
        "--fingerprint": ("--fingerprint", fingerprint(pki)),
        "--pin": ("--pin", pki["self_signed"].spki_pin),
        "openssl's line": ("--fingerprint", f"sha256 Fingerprint={fingerprint(pki)}"),
    }[given]
    wrong = {
        "--fingerprint": ("--fingerprint", fingerprint(pki, "good")),
        "--pin": ("--pin", OTHER_PIN),
        "openssl's line": ("--fingerprint", f"sha256 Fingerprint={fingerprint(pki, 'good')}"),
    }[given]
    status, text = run("known", "learn", file, *target(server), *wrong, answer=answer)
    assert (status, "It is not the one that was given" in text) == (REFUSED, True)
    assert not file.exists()
    status, text = run("known", "learn", file, *target(server), *right, answer=answer)
    assert (status, "Is it the same" in text) == (FINE, False)
    assert len(FirstUseTrust(file).known()) == 1


def test_a_changed_key_is_refused_and_not_learned(
    server: RecordingServer, pki: PKI, file: Path, run: Run
) -> None:
    run("known", "expect", file, *target(server), OTHER_PIN)
    for how in ((), ("--fingerprint", fingerprint(pki))):
        status, text = run("known", "learn", file, *target(server), *how, answer="yes\n")
        assert status == REFUSED
        assert "has another key than imap://127.0.0.1" in text
        assert OTHER_PIN in text
        assert "securemail known remove" in text
        assert "Is it the same" not in text
    assert [one.pin for one in FirstUseTrust(file).known()] == [OTHER_PIN]


def test_an_expired_certificate_is_not_offered(
    pki: PKI, recording_server: Factory, file: Path, run: Run
) -> None:
    issued = pki["self_signed_expired"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    status, text = run("known", "learn", file, *target(server), answer="yes\n")
    assert (status, "expired on" in text, "Is it the same" in text) == (REFUSED, True, False)
    assert not file.exists()


def test_by_starttls_and_another_name(
    pki: PKI, recording_server: Factory, file: Path, run: Run
) -> None:
    polite = scripts.POLITE["smtp"].with_starttls(pki["good"].server_context())
    server = recording_server(polite)
    where = ["--smtp", "--starttls", f"127.0.0.1:{server.port}"]
    name = ["--server-hostname", "mail.example.org"]
    assert run("known", "learn", file, *where, *name, answer="yes\n")[0] == FINE
    (known,) = FirstUseTrust(file).known()
    assert known.endpoint == ("smtp", "mail.example.org", server.port)
    assert run("check", *where, *name, "--known", file)[0] == FINE


def test_nobody_there(file: Path, server: RecordingServer, run: Run) -> None:
    where = target(server)
    server.close()
    assert run("known", "learn", file, *where, answer="yes\n")[0] == UNREACHABLE


def test_which_server_must_be_said(file: Path, run: Run) -> None:
    for verb, more in (("learn", ["--pin", OTHER_PIN]), ("expect", [])):
        where = ["mail.example.org", *([OTHER_PIN] if verb == "expect" else [])]
        status, text = run("known", verb, file, *where, *more)
        assert (status, "which server?" in text) == (USAGE, True)


def test_on_a_real_terminal(server: RecordingServer, pki: PKI, file: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "securemail", "known", "learn", str(file), *target(server)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as process:
        os.write(ours, b"yes\n")
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, fingerprint(pki) in out) == (FINE, True)
    assert len(FirstUseTrust(file).known()) == 1


# -- what is known


@pytest.fixture
def some(file: Path) -> FirstUseTrust:
    store = FirstUseTrust(file)
    store.expect(("imap", "mail.example.org", 993), OTHER_PIN)
    store.expect(("imap", "mail.example.org", 993), OTHER_PIN.replace("A", "B", 1))
    store.expect(("imap", "mail.example.org", 143), OTHER_PIN)
    store.expect(("lmtp", "mail.example.org", 24), OTHER_PIN)
    store.expect(("smtp", "other.example.org", 465), OTHER_PIN)
    return store


WHICH = {
    "all of a host": ([], 4),
    "a protocol": (["--imap"], 3),
    "a port": (["--port", "993"], 2),
    "the port of starttls": (["--imap", "--starttls"], 1),
    "two protocols": (["--imap", "--smtp"], 3),
    "none": (["--pop3"], 0),
}


@pytest.mark.parametrize("which", WHICH)
def test_show_and_remove(which: str, some: FirstUseTrust, file: Path, run: Run) -> None:
    options, count = WHICH[which]
    status, text = run("known", "show", file, "Mail.Example.org", *options)
    assert (status, text.count("mail.example.org")) == (FINE if count else REFUSED, count)
    status, text = run("known", "remove", file, "mail.example.org", *options)
    assert status == (FINE if count else REFUSED)
    assert len(some.known()) == 5 - count
    assert "smtp://other.example.org:465" in file.read_text()


def test_one_key_alone_is_removed(some: FirstUseTrust, file: Path, run: Run) -> None:
    where = ["known", "remove", file, "mail.example.org:993"]
    assert run(*where, "--pin", "sha256/" + "C" * 42 + "A=")[0] == REFUSED
    assert len(some.known()) == 5
    assert run(*where, "--pin", OTHER_PIN)[0] == FINE
    assert len(some.known()) == 4


def test_list(some: FirstUseTrust, file: Path, tmp_path: Path, run: Run) -> None:
    status, text = run("known", "list", file)
    assert status == FINE
    assert [str(one) for one in some.known()] == [
        "  ".join(line.split()) for line in text.replace("Z ", "Z\n").splitlines()
    ]
    status, text = run("known", "list", tmp_path / "none")
    assert (status, text) == (FINE, "No server is known.")


def test_json(some: FirstUseTrust, file: Path, run: Run) -> None:
    data: dict[str, Any] = json.loads(run("known", "list", file, "--json")[1])
    assert data["file"] == str(file)
    assert len(data["servers"]) == 5
    assert data["servers"][0] == {
        "protocol": "imap",
        "host": "mail.example.org",
        "port": 993,
        "pin": OTHER_PIN,
        "fingerprint": None,
        "learned": some.known()[0].learned.isoformat(),
    }
    data = json.loads(run("known", "show", file, "other.example.org", "--json")[1])
    assert [one["protocol"] for one in data["servers"]] == ["smtp"]


def test_expect(file: Path, run: Run) -> None:
    where = ["--imap", "--smtp", "mail.example.org"]
    assert run("known", "expect", file, *where, OTHER_PIN)[0] == FINE
    assert [one.endpoint for one in FirstUseTrust(file).known()] == [
        ("imap", "mail.example.org", 993),
        ("smtp", "mail.example.org", 465),
    ]
    status, text = run("known", "expect", file, *where, "sha256/AAAA")
    assert (status, "is not a pin" in text) == (USAGE, True)


def test_wrong_usage(file: Path, run: Run) -> None:
    assert run("known")[0] == USAGE
    assert run("known", "forget", file)[0] == USAGE
    assert run("known", "show", file, "a.example:993", "--port", "1")[0] == USAGE
    file.write_text("not a line\n")
    file.chmod(0o600)
    status, text = run("known", "list", file)
    assert (status, "line 1 is not one of this file" in text) == (USAGE, True)


def test_a_lock_that_is_held(
    some: FirstUseTrust, file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_SECONDS", 0.1)
    with lock.locked(str(file)):
        status, text = run("known", "remove", file, "mail.example.org")
    assert (status, "Another process has held the lock" in text) == (UNREACHABLE, True)
    assert len(some.known()) == 5


# -- check and pin


def test_check_and_pin_go_by_the_file(
    server: RecordingServer, pki: PKI, file: Path, run: Run
) -> None:
    for command in ("check", "pin"):
        status, text = run(command, *target(server), "--known", file)
        assert status == REFUSED
        assert "is of a server that is not known yet" in text
        assert f"securemail known learn {file} --imap 127.0.0.1:{server.port}" in text
        assert "As an option" not in text
    run("known", "learn", file, *target(server), "--pin", pki["self_signed"].spki_pin)
    for command in ("check", "pin"):
        status, text = run(command, *target(server), "--known", file)
        assert "known since 20" in text
        assert status == 1  # it is self-signed, and nobody said that this is known


def test_check_says_a_changed_key_in_json(server: RecordingServer, file: Path, run: Run) -> None:
    run("known", "expect", file, *target(server), OTHER_PIN)
    status, text = run("check", *target(server), "--known", file, "--json")
    (result,) = json.loads(text)["results"]
    assert (status, result["error"]["code"]) == (REFUSED, "key-changed")
    (reason,) = result["error"]["reasons"]
    assert reason["known"][0]["pin"] == OTHER_PIN
    assert reason["known"][0]["fingerprint"] is None
    assert run("check", *target(server), "--known", file, "--pin", OTHER_PIN)[0] == USAGE
