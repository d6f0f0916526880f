"""A private OpenSSH server on loopback, and an `ssh` that finds it as bastion.example.org."""

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from servers.processes import (
    STOP_SECONDS,
    Daemon,
    ServerFailed,
    free_ports,
    require_program,
)

ADVICE = "no OpenSSH server here: run scripts/install-test-servers"
BASTION = "bastion.example.org"
_NEEDED_BY_ROOT = Path("/run/sshd")  # what systemd makes for it; empty, for its sandbox

SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitOpen {may_open}
LogLevel VERBOSE
"""

CLIENT = """\
Host {bastion}
  HostName 127.0.0.1
  Port {port}
  User {user}
  HostKeyAlias {bastion}
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
"""

# As `docs_redirect` does with names that Python looks up: only the addresses are other ones.
COMMAND = """\
#!{python} -IS
import os, sys
arguments = sys.argv[1:]
for written, meant in {changes!r}:
    arguments = [argument.replace(written, meant) for argument in arguments]
os.execv({ssh!r}, ["ssh", "-F", {config!r}, *arguments])
"""


class SSHServer:
    """`ports`: of this computer, to which it may lead. `bin` is for PATH, after `command`."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self._sshd = require_program("sshd", ADVICE)
        self._ssh = require_program("ssh", ADVICE)
        keygen = require_program("ssh-keygen", ADVICE)
        self.folder, self.bin = folder, folder / "bin"
        (self.port,) = free_ports(1, ["127.0.0.1"])
        for name in ("host_key", "user_key"):
            words = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=STOP_SECONDS)
        host_key = (folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text(f"{BASTION} {host_key}")
        (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
        may_open = " ".join(f"127.0.0.1:{port}" for port in ports)
        self._write("sshd_config", SERVER, may_open=may_open)
        self._write("ssh_config", CLIENT, bastion=BASTION, user=getpass.getuser())

    def _write(self, name: str, template: str, **values: object) -> None:
        text = template.format(folder=self.folder, port=self.port, **values)
        (self.folder / name).write_text(text)

    def command(self, changes: Mapping[str, str]) -> None:
        """Make the `ssh`. `changes`: what is written for a place, and what is meant here."""
        self.bin.mkdir()
        text = COMMAND.format(
            python=sys.executable,
            changes=list(changes.items()),
            ssh=self._ssh,
            config=str(self.folder / "ssh_config"),
        )
        (self.bin / "ssh").write_text(text)
        (self.bin / "ssh").chmod(0o755)

    def __enter__(self) -> "SSHServer":
        if os.geteuid() == 0:
            _NEEDED_BY_ROOT.mkdir(mode=0o755, exist_ok=True)
        config = str(self.folder / "sshd_config")
        self._daemon = Daemon([self._sshd, "-D", "-e", "-f", config], self.folder / "sshd.log")
        try:
            self._daemon.wait_until_ready([("127.0.0.1", self.port)], [])
        except BaseException:
            self._daemon.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.wait_until_idle()
        finally:
            self._daemon.stop()

    def wait_until_idle(self, seconds: float = STOP_SECONDS) -> None:
        """Until nobody is connected. Each connection has a process, in a session of its own."""
        deadline = time.monotonic() + seconds
        while self._children():
            if time.monotonic() > deadline:
                raise ServerFailed(f"somebody is still connected\n{self.log()}")
            time.sleep(0.01)

    def log(self) -> str:
        return self._daemon.log()

    def _children(self) -> list[str]:
        listed = Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children")
        return listed.read_text().split()
