"""The pytest plugin: how an application's own tests use it, and what it costs those that do not."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

PLUGIN = "securemail.testing.plugin"
SECONDS = 60

# As in the documentation. `fetch_mail` is the application.
FOR_AN_APPLICATION = """
import ssl
import pytest
from my_tool import fetch_mail

@pytest.mark.parametrize("scenario", ["expired", "wrong-name", "unknown-ca"])
def test_a_bad_certificate_is_refused(hostile_server, scenario):
    server = hostile_server(scenario, "imap", mode="tls")
    with pytest.raises(ssl.SSLCertVerificationError):
        fetch_mail(server.host, server.port, server.user, server.password, cafile=server.ca_file)
    server.require_no_leak()

def test_a_good_one_is_not(hostile_server):
    server = hostile_server("control", "imap", mode="tls")
    fetch_mail(server.host, server.port, server.user, server.password, cafile=server.ca_file)
    assert server.verdict().kind == "fine"

def test_it_finds_mail(mail_servers):
    servers = mail_servers({"alice": "secret-7"})
    servers.authority.write_ca("ca.pem")
    port = servers.ports["imaps"]
    assert fetch_mail(servers.host, port, "alice", "secret-7", cafile="ca.pem") == b"0"
"""

MY_TOOL = """
import imaplib
import ssl

def fetch_mail(host, port, user, password, cafile):
    context = ssl.create_default_context(cafile=cafile)
    {extra}
    with imaplib.IMAP4_SSL(host, port, ssl_context=context) as imap:
        imap.login(user, password)
        return imap.select()[1][0]
"""
UNVERIFIED = "context.check_hostname = False; context.verify_mode = ssl.CERT_NONE"

# As in pyproject.toml: aiosmtpd 1.4.6 imports a name that Python 3.15 has deprecated.
SETTINGS = """
[pytest]
filterwarnings =
    error
    ignore:'typing.ByteString':DeprecationWarning:aiosmtpd
"""


def run(folder: Path, tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own, with nothing of this repository's settings, nor other plugins: they take
    longer than all else here."""
    (folder / "test_tool.py").write_text(tests)
    (folder / "pytest.ini").write_text(SETTINGS)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_an_application_is_tested(tmp_path: Path) -> None:
    (tmp_path / "my_tool.py").write_text(MY_TOOL.format(extra=""))
    done = run(tmp_path, FOR_AN_APPLICATION)
    assert "5 passed" in done.stdout, done.stdout


def test_an_application_that_verifies_nothing_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "my_tool.py").write_text(MY_TOOL.format(extra=UNVERIFIED))
    expecting = "    with pytest.raises(ssl.SSLCertVerificationError):\n    "
    assert expecting in FOR_AN_APPLICATION
    done = run(tmp_path, FOR_AN_APPLICATION.replace(expecting, ""))
    assert "3 failed, 2 passed" in done.stdout, done.stdout
    assert "AssertionError: expired (imap, tls): LEAK: " in done.stdout
    assert "over TLS to whoever has a certificate that is 'expired'" in done.stdout


IDLE = """
import sys

def test_nothing_was_imported():
    # Without ssl, which pytest itself brings on Python 3.15.
    heavy = {"aiosmtpd", "cryptography", "trustme", "imaplib", "smtplib"}
    assert "securemail.testing.plugin" in sys.modules
    assert not heavy & set(sys.modules)
    assert not {name for name in sys.modules if name.startswith("securemail.testing.")} - {
        "securemail.testing.plugin"
    }
"""


def test_who_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, IDLE)
    assert "1 passed" in done.stdout, done.stdout


def test_pytest_finds_it_by_itself() -> None:
    found = importlib.metadata.entry_points(group="pytest11", name="securemail")
    assert {point.value for point in found} == {PLUGIN}


def test_the_fixtures_are_listed_with_what_they_do(tmp_path: Path) -> None:
    done = run(tmp_path, "", "--fixtures")
    assert "hostile_server" in done.stdout
    assert "with the arguments of `HostileServer`, and ends them after the test" in done.stdout
