"""Starts and ends the servers' processes, so that nothing outlives the tests."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

REQUIRED = "SECUREMAIL_REQUIRE_SERVERS"  # in the environment: "1" turns a skip into a failure

START_SECONDS = 30.0
STOP_SECONDS = 10.0
PATIENCE_SECONDS = 2.0

Address = tuple[str, int]


class ServerUnavailable(RuntimeError):
    """The server cannot be run here; the message says what to install."""


class ServerFailed(RuntimeError):
    """The server did not start, or did not end; the message ends in its log."""


@contextlib.contextmanager
def open_folder(within: Path | None = None) -> Iterator[Path]:
    """A folder that the servers' own users can enter, and whose path is short.

    pytest's own folders are closed to other users, and their paths grow too long for the sockets.
    """
    with tempfile.TemporaryDirectory(prefix="securemail-", dir=within) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@contextlib.contextmanager
def skipped_where_unavailable() -> Iterator[None]:
    """Skips the test where a server is unavailable, and fails it where servers are required."""
    try:
        yield
    except ServerUnavailable as reason:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but: {reason}")
        pytest.skip(str(reason))


def require_program(program: str, advice: str) -> str:
    """The program's full path; sbin is looked at even where PATH leaves it out."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise ServerUnavailable(advice)
    return path


def free_ports(count: int, hosts: Iterable[str]) -> list[int]:
    """Ports free on every one of these addresses, for servers that cannot choose one themselves.

    They lie below the range from which the system picks ports for clients, so that no connection
    of another test can take one before the server has it; another server still could.
    """
    found: list[int] = []
    for port in random.sample(range(20000, 32000), 1000):
        if all(_is_free(host, port) for host in hosts):
            found.append(port)
        if len(found) == count:
            return found
    raise ServerFailed(f"no {count} free ports among a thousand tried")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


class Daemon:
    """One server process in the foreground, and the processes that it starts.

    It is our own child, so its number cannot pass to another process before we have waited for
    it, and it leads a session of its own, by which its children are found. Should the tests be
    killed, a watchdog ends it.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        self._output = log.with_suffix(".output")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog = _watchdog(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self, greeting: Iterable[Address], silent: Iterable[Address]) -> None:
        """Returns when the first addresses send a greeting and the others take connections."""
        deadline = time.monotonic() + START_SECONDS
        tests = [(address, _greets) for address in greeting]
        tests += [(address, _accepts) for address in silent]
        for address, is_ready in tests:
            while not is_ready(address):
                if self._process.poll() is not None:
                    raise ServerFailed(f"ended while starting\n{self.log()}")
                if time.monotonic() > deadline:
                    raise ServerFailed(f"not ready after {START_SECONDS} s\n{self.log()}")
                time.sleep(0.02)

    def log(self) -> str:
        """What the server has logged, and what it has printed."""
        texts = [
            path.read_text("utf-8", "replace")
            for path in (self._log, self._output)
            if path.exists()
        ]
        return "".join(texts)

    def stop(self) -> None:
        """Ends the server and its children, and returns when all are gone."""
        self._watchdog.communicate(b"all is well\n", timeout=STOP_SECONDS)
        self._process.terminate()
        if not self._ended(PATIENCE_SECONDS):
            # A child that was still starting can miss its master's word; the master then waits.
            self._signal_children(signal.SIGTERM)
            if not self._ended(STOP_SECONDS):
                self._process.kill()
                self._process.wait(STOP_SECONDS)
        if not self._children_gone(STOP_SECONDS):
            self._signal_children(signal.SIGKILL)
            if not self._children_gone(STOP_SECONDS):
                raise ServerFailed(f"processes of session {self.pid} remain\n{self.log()}")

    def _ended(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _children_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._children():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _children(self) -> list[int]:
        return [pid for pid, session in _sessions() if session == self.pid and pid != self.pid]

    def _signal_children(self, number: signal.Signals) -> None:
        for pid in self._children():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _watchdog(pid: int) -> subprocess.Popen[bytes]:
    """Ends that process when we are gone without having said a word: the pipe from us closes.

    The kernel's own way (PR_SET_PDEATHSIG) does not hold for Postfix, whose master changes its
    effective user.
    """
    return subprocess.Popen(
        ["sh", "-c", f"read -r word || kill -TERM {pid}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _sessions() -> Iterable[tuple[int, int]]:
    """Every living process and its session, as /proc tells; zombies have ended."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _parent, _group, session = status.rpartition(")")[2].split()[:4]
        if state != "Z":
            yield int(entry.name), int(session)


def _accepts(address: Address) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def _greets(address: Address) -> bool:
    """Whether the server speaks; a master may listen long before anything behind it can serve."""
    try:
        with socket.create_connection(address, timeout=5) as connection:
            return connection.recv(1) != b""
    except OSError:
        return False
