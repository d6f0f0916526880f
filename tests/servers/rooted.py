"""Servers that the system does not have, in a root of their own, by chroot (see `root-setup`).

Exim, Cyrus and Courier are in one, of Debian 12: their packages exclude Postfix's and each other.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from servers.pki import Issued
from servers.processes import (
    Daemon,
    ServerFailed,
    ServerUnavailable,
    free_ports,
    open_folder,
    require_program,
    skipped_where_unavailable,
)

ROOT = "SECUREMAIL_MORE_SERVERS"  # in the environment: the folder in which they are
DEFAULT_ROOT = Path(__file__).parents[2] / ".venvs" / "more-servers"
ADVICE = "Exim, Cyrus and Courier are not in {root}: run scripts/install-test-servers, as root"
ATTEMPTS = 3  # to find free ports
HOST = "127.0.0.1"

ServerT = TypeVar("ServerT", bound="Rooted")


def place() -> Path:
    """The folder in which those of the servers lie; where there is none, they are unavailable."""
    root = Path(os.environ.get(ROOT) or DEFAULT_ROOT).absolute()
    if not (root / ".made-from").exists():
        raise ServerUnavailable(ADVICE.format(root=root))
    if os.geteuid() != 0:
        raise ServerUnavailable("Exim, Cyrus and Courier can be started by root only (chroot)")
    return root / "srv"


@contextmanager
def running(server: type[ServerT], certificate: Issued, **options: str) -> Iterator[ServerT]:
    """One with those options, or a test that is skipped."""
    with skipped_where_unavailable():
        within = place()
    with open_folder(within) as folder, server(folder, certificate, **options) as started:
        yield started


class Rooted:
    """A server whose folder is in the root's `srv`, with the user alice, on 127.0.0.1.

    A subclass writes its files and says what is to be started.
    """

    GREETING: ClassVar[tuple[str, ...]]  # ports where a server speaks first, in clear
    SILENT: ClassVar[tuple[str, ...]]  # ports of TLS from the first byte

    host = HOST
    users: ClassVar[dict[str, str]] = {"alice": "alice-pw", "bob": "bob-pw"}

    def __init__(self, folder: Path, certificate: Issued, **options: str) -> None:
        self.folder = folder
        self.root = folder.parents[1]
        self.inside = Path("/srv", folder.name)  # the folder, as the server sees it
        self.certificate = certificate
        self.options = options
        self.ports: dict[str, int] = {}
        self._chroot = require_program(
            "chroot", "chroot is not installed: apt-get install coreutils"
        )
        self._daemons: list[Daemon] = []

    def __enter__(self) -> Self:
        for _ in range(ATTEMPTS):
            try:
                self._start()
                return self
            except ServerFailed as failure:
                self.stop()
                if "in use" not in str(failure):
                    raise
            except BaseException:
                self.stop()
                raise
        raise ServerFailed(f"no free ports in {ATTEMPTS} attempts")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        while self._daemons:
            self._daemons.pop().stop()

    def log(self) -> str:
        return "".join(daemon.log() for daemon in self._daemons)

    def _start(self) -> None:
        names = (*self.GREETING, *self.SILENT)
        self.ports = dict(zip(names, free_ports(len(names), [self.host]), strict=True))
        for number, (command, environment) in enumerate(self._prepare()):
            program = ["env", "-i", *(f"{k}={v}" for k, v in environment.items())]
            log = self.folder / f"daemon-{number}.log"
            self._daemons.append(Daemon([*program, self._chroot, str(self.root), *command], log))
        self._daemons[-1].wait_until_ready(
            greeting=[(self.host, self.ports[name]) for name in self.GREETING],
            silent=[(self.host, self.ports[name]) for name in self.SILENT],
        )

    def _prepare(self) -> list[tuple[list[str], dict[str, str]]]:
        """Write the files; the commands to start, each with its environment."""
        raise NotImplementedError

    def _write(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.write_text(text, "utf-8")
        path.chmod(mode)
        return path

    def _copy_certificate(self, owner: int) -> None:
        for name, source in (
            ("cert.pem", self.certificate.cert),
            ("key.pem", self.certificate.key),
        ):
            shutil.copy(source, self.folder / name)
        key = (self.folder / "key.pem").read_bytes()
        (self.folder / "both.pem").write_bytes(key + (self.folder / "cert.pem").read_bytes())
        for name in ("key.pem", "both.pem"):
            os.chown(self.folder / name, owner, owner)
            (self.folder / name).chmod(0o600)

    def _new_folder(self, name: str, owner: int) -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        os.chown(path, owner, owner)
        return path
