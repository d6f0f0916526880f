"""Mail in clear, where that is allowed: to this computer, with a reason, over a command's pipes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    CredentialsRefused,
    LimitExceeded,
    Limits,
    PlaintextWarning,
    PolicyError,
    SecureMailError,
    TimeLimitExceeded,
    UpgradeRefused,
)
from securemail.errors import ConnectFailed
from securemail.guard import Guarded
from securemail.imap import IMAP4, IMAP4_stream
from securemail.smtp import LMTP, SMTP
from servers import scripts
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import RecordingServer

MAIL = b"Subject: the report\r\n\r\nAll is well.\r\n"
SHORT = Limits(connect=5, read=1)


# --- which peers are this computer ----------------------------------------------------------------


class FakeSocket:
    connect = socket.socket.connect  # as the system does

    def __init__(self, peer: Any) -> None:
        self.peer = peer

    def getpeername(self) -> Any:
        if isinstance(self.peer, Exception):
            raise self.peer
        return self.peer


@pytest.mark.parametrize(
    ("peer", "is_local"),
    [
        (("127.0.0.1", 25), True),
        (("127.8.9.10", 25), True),
        (("::1", 25, 0, 0), True),
        (("::ffff:127.0.0.1", 25, 0, 0), True),
        ("/run/lmtp.sock", True),
        (b"\0abstract", True),
        (("10.0.0.1", 25), False),
        (("192.0.2.127", 25), False),
        (("0.0.0.0", 25), False),  # noqa: S104
        (("169.254.0.1", 25), False),
        (("::", 25, 0, 0), False),
        (("::ffff:10.0.0.1", 25, 0, 0), False),
        (("fe80::1%eth0", 25, 0, 2), False),
        (("fd00::1", 25, 0, 0), False),
        (OSError("not connected"), False),
    ],
)
def test_this_computer_or_another(peer: Any, is_local: bool) -> None:
    """By the address of the peer, not by a name that a resolver could change."""
    connection = Guarded()
    connection.sock = connection._dialled = FakeSocket(peer)
    assert connection._is_local() is is_local


# --- a relay --------------------------------------------------------------------------------------


@pytest.fixture
def relay() -> Iterator[RecordingServer]:
    """Takes mail in clear; also offers what it should not."""
    with RecordingServer(scripts.smtp_ok) as server:
        yield server


def send(server: RecordingServer, **args: Any) -> Any:
    with SMTP("127.0.0.1", server.port, **args) as client:
        client.sendmail("a@example.org", ["b@example.org"], MAIL)
        return client.report


def test_mail_without_a_sign_in_to_this_computer(relay: RecordingServer) -> None:
    with pytest.warns(PlaintextWarning, match="the server is this computer") as caught:
        report = send(relay)
    assert len(caught) == 1
    assert str(relay.port) in str(caught[0].message)
    assert "everything travels in clear" in str(report)
    assert MAIL in relay.wait()[0].received_clear


@pytest.mark.usefixtures("far_away")
def test_to_another_one_it_is_refused(relay: RecordingServer) -> None:
    with pytest.raises(PolicyError) as raised:
        send(relay)
    error = raised.value
    assert error.code == "content-in-clear"
    assert 'plaintext="why"' in str(error)
    assert "SMTP" in str(error)
    assert b"mail" not in relay.wait()[0].received_clear.lower()


@pytest.mark.usefixtures("far_away")
def test_unless_there_is_a_reason(relay: RecordingServer) -> None:
    with pytest.warns(PlaintextWarning, match="the relay in the cellar"):
        report = send(relay, plaintext="the relay in the cellar")
    assert report.plaintext == "the relay in the cellar"
    assert "the relay in the cellar" in str(report)
    assert report.as_dict()["plaintext"] == "the relay in the cellar"
    assert MAIL in relay.wait()[0].received_clear


def test_where_that_warning_is_an_error_nothing_is_sent(relay: RecordingServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlaintextWarning)
        with pytest.raises(PlaintextWarning):
            send(relay)
    assert b"mail" not in relay.wait()[0].received_clear.lower()


@pytest.mark.parametrize("reason", ["", "   "])
def test_an_empty_reason(reason: str) -> None:
    with pytest.raises(PolicyError, match="needs a reason"):
        SMTP(plaintext=reason)


@pytest.mark.usefixtures("far_away")
def test_the_reason_is_for_mail_and_not_for_passwords(relay: RecordingServer) -> None:
    client = SMTP("127.0.0.1", relay.port, plaintext="the relay in the cellar")
    with pytest.raises(CredentialsRefused):
        client.login("user", "a secret password")
    client.quit()
    assert leaks(relay.wait()[0].everything, "a secret password") == []


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guarded, "_is_local", lambda self: False)


# --- as the policy file has it --------------------------------------------------------------------


@contextmanager
def policy_file(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = folder / "securemail.toml"
    path.write_text(text)
    monkeypatch.setenv("SECUREMAIL_POLICY", str(path))
    yield path


@pytest.mark.usefixtures("far_away")
def test_the_policy_file_may_have_the_reason(
    relay: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = f'[servers."127.0.0.1:{relay.port}"]\nplaintext = "the relay in the cellar"\n'
    with policy_file(tmp_path, table, monkeypatch) as path:
        with pytest.warns(PlaintextWarning, match="the relay in the cellar"):
            report = send(relay)
        assert str(path) in report.policy_file
        assert str(path) in str(report)
        with pytest.raises(PolicyError, match="in clear"):  # the control: another server
            send_to_another(relay)


def send_to_another(relay: RecordingServer) -> None:
    with SMTP("localhost", relay.port) as client:
        client.sendmail("a@example.org", ["b@example.org"], MAIL)


def test_the_policy_file_says_whom_to_believe_how_and_as_whom(
    pki: PKI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = scripts.smtp_ok.with_starttls(pki["good"].server_context())
    with RecordingServer(script) as server:
        table = (
            f'[servers."127.0.0.1:{server.port}"]\ntrust = {{ ca = "{pki.ca_pem}" }}\n'
            'auth = { mechanisms = ["LOGIN"] }\n'
        )
        with policy_file(tmp_path, table, monkeypatch), SMTP("127.0.0.1", server.port) as client:
            client.starttls()
            client.login("user", "password")
            assert client.report.auth is not None
            assert client.report.auth.mechanism == "LOGIN"
        table += 'server_hostname = "another.example.org"\n'
        with policy_file(tmp_path, table, monkeypatch):
            client = SMTP("127.0.0.1", server.port)
            with pytest.raises(SecureMailError, match=r"another\.example\.org"):
                client.starttls()


def test_a_wrong_policy_file_is_told_before_anything_is_connected(
    relay: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with policy_file(tmp_path, "[servers.x]\nverify = false\n", monkeypatch):
        with pytest.raises(PolicyError, match="verify"):
            send(relay)
    assert relay.connections == 0


# --- LMTP -----------------------------------------------------------------------------------------


def lmtp_over_unix(path: Path, received: list[bytes]) -> threading.Thread:
    """A delivery agent for one client: LMTP (RFC 2033) on a unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection, connection.makefile("rwb") as file:

            def say(text: bytes) -> None:
                file.write(text + b"\r\n")
                file.flush()

            say(b"220 here LMTP")
            for line in file:
                received.append(line)
                word = line.split()[0].upper()
                if word == b"DATA":
                    say(b"354 go on")
                    for text in file:
                        received.append(text)
                        if text == b".\r\n":
                            break
                say({b"QUIT": b"221 bye"}.get(word, b"250 ok"))
                if word == b"QUIT":
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_lmtp_over_a_unix_socket(tmp_path: Path) -> None:
    received: list[bytes] = []
    path = tmp_path / "lmtp"
    thread = lmtp_over_unix(path, received)
    with LMTP(str(path)) as client:
        with pytest.warns(PlaintextWarning, match="this computer"):
            client.sendmail("a@example.org", ["b@example.org"], MAIL)
        with pytest.raises(CredentialsRefused):
            client.login("user", "a secret password")
        assert client.report.host == str(path)
        assert str(path) in str(client.report)
    thread.join(5)
    assert received[0].startswith(b"lhlo ")
    assert b"All is well.\r\n" in received
    assert leaks(b"".join(received), "a secret password") == []


def test_lmtp_where_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed) as raised:
        LMTP(str(tmp_path / "nobody"))
    assert isinstance(raised.value, OSError)
    assert str(tmp_path) in str(raised.value)


def test_starttls_on_a_unix_socket_needs_a_name(tmp_path: Path) -> None:
    lmtp_over_unix(tmp_path / "lmtp", [])
    client = LMTP(str(tmp_path / "lmtp"))
    with pytest.raises(PolicyError, match="server_hostname"):
        client.starttls()


@pytest.mark.usefixtures("far_away")
def test_lmtp_over_tcp_is_guarded_as_smtp_is() -> None:
    def script(conversation: Any) -> None:
        conversation.send(b"220 here LMTP\r\n")
        while conversation.read_line():
            conversation.send(b"250 ok\r\n")

    with RecordingServer(script) as server:
        client = LMTP("127.0.0.1", server.port)
        with pytest.raises(PolicyError, match="in clear"):
            client.sendmail("a@example.org", ["b@example.org"], MAIL)
        client.close()
        assert b"mail" not in server.wait()[0].received_clear.lower()


# --- IMAP over a command's pipes ------------------------------------------------------------------

AGENT = r"""
import sys
log = open(sys.argv[2], "ab", buffering=0)
say = lambda text: (sys.stdout.write(text + "\r\n"), sys.stdout.flush())
say(sys.argv[1])
for line in sys.stdin.buffer:
    log.write(line)
    words = line.decode().split()
    if len(words) < 2: continue
    tag, command = words[:2]
    if command == "CAPABILITY": say("* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN")
    if command == "SELECT": say("* 3 EXISTS")
    if command == "NOOP" and len(sys.argv) > 3: exec(sys.argv[3])
    if command == "LOGOUT": say("* BYE")
    say(tag + " OK done")
    if command == "LOGOUT": break
"""


class Agent:
    """A command that speaks IMAP, and what it was sent."""

    def __init__(self, folder: Path) -> None:
        self.program, self.log = folder / "agent.py", folder / "log"
        self.program.write_text(AGENT)

    def command(self, greeting: str = "* OK ready", on_noop: str = "") -> str:
        words = [sys.executable, str(self.program), greeting, str(self.log), on_noop]
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words if word)
        return f"exec {quoted}"

    @property
    def received(self) -> bytes:
        return self.log.read_bytes() if self.log.exists() else b""


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def test_no_password_goes_to_a_command(agent: Agent) -> None:
    with IMAP4_stream(agent.command()) as client:
        with pytest.raises(CredentialsRefused, match="may or may not encrypt"):
            client.login("user", "a secret password")
        with pytest.raises(PolicyError, match="no TLS over the pipes"):
            client.starttls()
        assert client.noop()[0] == "OK"
        process = client.process
    assert process.returncode is not None, "it has ended, and was waited for"
    assert leaks(agent.received, "a secret password") == []
    assert b"NOOP" in agent.received


def test_preauth_of_a_command_needs_a_reason(agent: Agent) -> None:
    with pytest.raises(UpgradeRefused, match="PREAUTH") as raised:
        IMAP4_stream(agent.command("* PREAUTH welcome"))
    assert 'plaintext="why"' in str(raised.value)
    with IMAP4_stream(agent.command("* PREAUTH welcome"), plaintext="ssh encrypts it") as client:
        with pytest.warns(PlaintextWarning, match="ssh encrypts it"):
            assert client.select() == ("OK", [b"3"])
        assert "a command" in str(client.report)


@pytest.mark.parametrize(
    ("on_noop", "expected"),
    [
        ("import time; time.sleep(30)", TimeLimitExceeded),
        ("sys.exit()", IMAP4.abort),
        ("while True: sys.stdout.write('x' * 65536)", LimitExceeded),
        ("say('* 1 FETCH (BODY {99999999999}')", LimitExceeded),
    ],
    ids=["silence", "ends", "endless line", "enormous literal"],
)
def test_a_command_that_misbehaves(agent: Agent, on_noop: str, expected: type[Exception]) -> None:
    client = IMAP4_stream(agent.command(on_noop=on_noop), limits=Limits(read=1, line=1_000_000))
    process = client.process
    started = time.monotonic()
    with pytest.raises(expected):
        client.noop()
    client.shutdown()
    assert time.monotonic() - started < 10
    assert process.poll() is not None, "nothing is left running"


def test_a_command_that_does_not_read(tmp_path: Path) -> None:
    """Writing has an end as well: the pipe is full after 64 KiB."""
    command = "printf '* PREAUTH x\\r\\n'; read line; set -- $line; "
    command += 'printf "* CAPABILITY IMAP4rev1\\r\\n$1 OK done\\r\\n"; exec sleep 30'
    client = IMAP4_stream(command, plaintext="a test", limits=SHORT)
    with pytest.warns(PlaintextWarning), pytest.raises(SecureMailError):
        client.append("INBOX", None, None, b"x" * 1_000_000)
    assert client.process.poll() is not None


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(SecureMailError) as raised:
        IMAP4_stream("exec /no/such/command 2>/dev/null", limits=SHORT)
    assert isinstance(raised.value, IMAP4.error)


def test_interrupted_while_it_waits(agent: Agent) -> None:
    """Ctrl-C leaves no process behind once the object is closed."""
    client = IMAP4_stream(agent.command(on_noop="import time; time.sleep(30)"))
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        client.noop()
    timer.join()
    client.shutdown()
    assert isinstance(client.process, subprocess.Popen)
    assert client.process.poll() is not None
