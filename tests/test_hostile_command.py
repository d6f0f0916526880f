"""`python -m securemail.testing`: its list, its servers, and how they end."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securemail import IMAP4_STARTTLS, CATrust, TLSPolicy, UpgradeRefused
from securemail.testing import SCENARIOS
from servers.naive import Naive

COMMAND = [sys.executable, "-m", "securemail.testing"]
SECONDS = 30


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, "--serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class Told:
    """What the command says of its server, as the naive client needs it."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.__dict__.update(facts)


def started(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return Told(json.loads(process.stdout.readline()))


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_the_list_has_all_of_them() -> None:
    done = run("--list")
    assert done.returncode == 0
    for name, scenario in SCENARIOS.items():
        assert f"  {name} " in done.stdout
        assert scenario.says in done.stdout
    lines = [json.loads(line) for line in run("--list", "--json").stdout.splitlines()]
    assert [line["name"] for line in lines] == list(SCENARIOS)


def test_a_leak_is_told_and_ctrl_c_ends_it_with_2() -> None:
    with serving("strip-offer", "--protocol", "imap", "--json") as process:
        server = started(process)
        folder = Path(server.ca_file).parent
        assert folder.exists()
        Naive(server).run()
        connection = said(process)
        assert connection["verdict"] == "LEAK"
        assert any("LOGIN" in line for line in connection["in_clear"])
        assert connection["within_tls"] == []
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 2
        assert said(process)["verdict"] == "LEAK"
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert not folder.exists(), "the CA file was left behind"


def test_a_client_that_refuses_ends_it_with_0() -> None:
    with serving("strip-offer", "--protocol", "imap", "--json", "--once") as process:
        server = started(process)
        policy = TLSPolicy(trust=CATrust(server.ca_file))
        with pytest.raises(UpgradeRefused):
            IMAP4_STARTTLS(server.host, server.port, policy=policy)
        connection = said(process)
        assert (connection["verdict"], connection["as_expected"]) == ("refused", True)
        assert process.wait(SECONDS) == 0


def test_it_reads_well() -> None:
    with serving("preauth", "--once") as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(8)]
        assert first[0] == "preauth: PREAUTH as the greeting, and no upgrade\n"
        told = {line.split()[0]: line.split()[-1] for line in first[2:6]}
        port = int(first[2].split("port ")[1].split(":")[0])
        facts = {"protocol": "imap", "mode": "starttls", "host": "127.0.0.1", "port": port}
        Naive(Told({**facts, "user": told["user"], "password": told["password"]})).run()  # type: ignore[arg-type]
        rest = process.stdout.read()
        assert "  in clear:\n    a001 SELECT INBOX\n" in rest
        assert "  within TLS: nothing\n" in rest
        assert "  FOOLED: it went on to mail in clear [SELECT INBOX; " in rest
        assert process.wait(SECONDS) == 2


def test_ctrl_c_without_a_client() -> None:
    with serving("control", "--json") as process:
        started(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "one of the arguments --list --serve is required"),
        (("--serve", "kindness"), "there is no scenario 'kindness'"),
        (("--serve", "preauth", "--protocol", "smtp"), "preauth is for imap by starttls"),
        (("--serve", "control", "--port", "1000000"), "port must be 0-65535"),
    ],
)
def test_wrong_usage_is_not_a_leak(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 64
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys, runpy; sys.modules['trustme'] = None; sys.argv = ['x', '--serve', 'control'];"
        "runpy.run_module('securemail.testing', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 64
    assert "pip install 'securemail[testing]'" in done.stderr
