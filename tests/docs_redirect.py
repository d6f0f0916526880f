"""Leads the names that documents use to servers on loopback, and every other name nowhere.

Documents say `imap.example.org`, port 993. Here, and in programs that documents start, that
becomes 127.0.0.1 and the port of a server of ours; no example reaches the network. Only the
address is changed: the name that TLS verifies stays what the document says.

For programs, this file is copied as `sitecustomize.py` into a folder on PYTHONPATH; so it uses
nothing but the standard library.
"""

import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

VARIABLE = "SECUREMAIL_TEST_REDIRECT"
DOMAINS = ("example.org", "example.com")
LOOPBACK = {None, "", "localhost", "127.0.0.1", "::1"}

GetAddrInfo = Callable[..., list[Any]]


def redirecting(real: GetAddrInfo, ports: Mapping[str, int]) -> GetAddrInfo:
    """A `getaddrinfo`. Keys of `ports` are "993", or "odd.example.org:993" for one host only;
    this computer's own are the ports that it has, and "localhost:25" for one that it may not."""

    def getaddrinfo(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        name = host.decode("ascii") if isinstance(host, bytes) else host
        if name in LOOPBACK:
            own = ports.get(f"localhost:{port}", port)
            return real(host, own, family, type, proto, flags)
        name = name.lower().removesuffix(".")
        known = any(name == domain or name.endswith("." + domain) for domain in DOMAINS)
        target = ports.get(f"{name}:{port}", ports.get(str(port)))
        if not known or target is None:
            what = f"no server for {host}, port {port}, in the world of the documents"
            raise socket.gaierror(socket.EAI_NONAME, what)
        return real("127.0.0.1", target, family, type, proto, flags)

    return getaddrinfo


if __name__ == "sitecustomize":
    socket.getaddrinfo = redirecting(socket.getaddrinfo, json.loads(os.environ[VARIABLE]))
