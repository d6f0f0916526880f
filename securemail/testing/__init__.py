"""Mail servers on loopback, with a throw-away CA, for demonstrations and tests.

For applications, small polite ones, real enough for real clients; they keep everything in memory
and are no mail system. Each protocol has a port with TLS from the first byte and one with STARTTLS.

>>> with MailServers(users={"alice": "secret"}) as servers:
...     servers.ports["imaps"], servers.authority.ca_pem, servers.mailbox

For those who write mail tools, hostile ones: each plays one attack, named in `SCENARIOS`, and says
whether the client fell for it.

>>> with HostileServer("strip-offer", "imap") as server:
...     my_client(server.host, server.port, server.user, server.password, server.ca_file)
...     server.require_no_leak()

``python -m securemail.testing --list`` lists them, ``--serve`` starts one. Each name here is loaded
on first use (PEP 562), because pytest imports this package wherever it is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .authority import Authority as Authority
    from .hostile.scenarios import SCENARIOS as SCENARIOS
    from .hostile.server import HostileServer as HostileServer
    from .mailbox import Mailbox as Mailbox
    from .servers import MailServers as MailServers

_HOME = {
    "Authority": "authority",
    "HostileServer": "hostile.server",
    "MailServers": "servers",
    "Mailbox": "mailbox",
    "SCENARIOS": "hostile.scenarios",
}

__all__ = ["Authority", "HostileServer", "MailServers", "Mailbox", "SCENARIOS"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in ("aiosmtpd", "trustme"):
            raise
        raise ImportError(
            f"securemail.testing needs {package}, which is not installed: "
            "pip install 'securemail[testing]'",
            name=package,
        ) from missing


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
