"""For the documents that speak of them: a SOCKS proxy, and a bastion host for ssh, on loopback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from docs_world import World
from servers.processes import free_ports, open_folder, skipped_where_unavailable
from servers.socks import SocksServer
from servers.ssh import BASTION, SSHServer

IMAP = "imap.example.org"
_SOCKS, _TUNNEL = 1080, 10993  # as the documents have them


@contextmanager
def ways_there(path: Path, world: World) -> Iterator[None]:
    """`world` with both, where the document at `path` speaks of the bastion. The ports that it
    names lead to free ones, and what the bastion looks up to the servers here."""
    if BASTION not in path.read_text(encoding="utf-8"):
        yield
        return
    imaps = world.ports["993"]
    with open_folder() as folder, SocksServer({(IMAP, 993): ("127.0.0.1", imaps)}) as socks:
        with skipped_where_unavailable():
            bastion = SSHServer(folder, [imaps])
        (local,) = free_ports(1, ["127.0.0.1"])
        meant_here = {
            f"[{IMAP}]:993": f"[127.0.0.1]:{imaps}",
            f"{_TUNNEL}:{IMAP}:993": f"127.0.0.1:{local}:127.0.0.1:{imaps}",
        }
        bastion.command(meant_here)
        world.ports.update({f"localhost:{_SOCKS}": socks.port, f"localhost:{_TUNNEL}": local})
        where = f"{bastion.bin}{os.pathsep}{os.environ['PATH']}"
        with mock.patch.dict(os.environ, PATH=where), bastion:
            yield
