"""Small mail servers on loopback, with a throw-away CA, for demonstrations and tests.

>>> with MailServers(users={"alice": "secret"}) as servers:
...     servers.ports["imaps"], servers.authority.ca_pem, servers.mailbox

Each protocol has a port with TLS from the first byte and one with STARTTLS.

They are real enough for real clients, keep everything in memory, and are no mail system.
"""

try:
    import aiosmtpd  # noqa: F401
    import trustme  # noqa: F401
except ImportError as missing:
    raise ImportError(
        f"securemail.testing needs {missing.name}, which is not installed: "
        "pip install 'securemail[demo]'",
        name=missing.name,
    ) from missing

from .authority import Authority
from .mailbox import Mailbox
from .servers import MailServers

__all__ = ["Authority", "MailServers", "Mailbox"]
