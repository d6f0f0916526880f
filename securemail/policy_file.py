"""Stand-in until the file is read."""

from __future__ import annotations

from .hosts import Host
from .policy import AuthPolicy, TLSPolicy
from .values import Value


class ServerSettings(Value, kw_only=True):
    """What the file says of one server."""

    policy: TLSPolicy | None = None
    auth: AuthPolicy | None = None
    server_hostname: str | None = None
    plaintext: str | None = None
    source: str = ""


def settings_for(host: Host, port: int) -> ServerSettings | None:
    """None where SECUREMAIL_POLICY is not set."""
