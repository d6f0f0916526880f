"""The pytest plugin: servers for a test, ended with it.

pytest loads this wherever securemail is installed, so nothing is imported here that costs anything;
a fixture imports what it needs when it is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .hostile.server import HostileServer
    from .servers import MailServers


@pytest.fixture
def mail_servers() -> Iterator[Callable[..., MailServers]]:
    """Starts polite servers, with the arguments of `MailServers`, and ends them after the test.

    servers = mail_servers({"alice": "secret"}); servers.ports["imaps"]
    """
    from .servers import MailServers

    yield from _starting(MailServers)


@pytest.fixture
def hostile_server() -> Iterator[Callable[..., HostileServer]]:
    """Starts hostile servers, with the arguments of `HostileServer`, and ends them after the test.

    server = hostile_server("expired", "imap", mode="tls"); ...; server.require_no_leak()
    """
    from .hostile.server import HostileServer

    yield from _starting(HostileServer)


def _starting(kind: Any) -> Iterator[Callable[..., Any]]:
    with contextlib.ExitStack() as running:
        yield lambda *arguments, **options: running.enter_context(kind(*arguments, **options))
