"""Which server is meant: protocol, host and port, in the one form that is compared."""

from __future__ import annotations

import re
from typing import Any, cast

from ..errors import PolicyError
from ..hosts import Host

Endpoint = tuple[str, str, int]  # "imap", "mail.example.org", 993

PROTOCOLS = ("imap", "pop3", "smtp", "lmtp")
_URL = re.compile(r"([a-z0-9]+)://(\[[^\[\]/\s]+\]|[^\[\]:/\s]+):([0-9]{1,5})\Z", re.ASCII)


def parse_endpoint(given: object) -> Endpoint:
    """`("imap", "mail.example.org", 993)`, with the host normalised. Raises `PolicyError`.

    Of the protocol the first word counts: "IMAP over TLS" is "imap".
    """
    if not isinstance(given, (tuple, list)) or len(given) != 3:
        raise _bad(given, "is not protocol, host and port")
    protocol, host, port = cast("tuple[Any, Any, Any]", given)
    words: Any = protocol.lower().split() if isinstance(protocol, str) else None
    if not words or words[0] not in PROTOCOLS:
        raise _bad(given, f"names a protocol that is none of {', '.join(PROTOCOLS)}")
    if type(port) is not int or not 0 < port < 65536:
        raise _bad(given, "has a port that is not a number from 1 to 65535")
    return words[0], Host.parse(host).name, port


def parse_url(text: str) -> Endpoint:
    """`imap://mail.example.org:993`. Raises `PolicyError`."""
    found = _URL.match(text)
    if found is None:
        raise _bad(text, "is not PROTOCOL://HOST:PORT")
    protocol, host, port = found.groups()
    return parse_endpoint((protocol, host, int(port)))


def say_url(endpoint: Endpoint) -> str:
    """The endpoint as the known-servers file has it."""
    protocol, host, port = endpoint
    return f"{protocol}://[{host}]:{port}" if ":" in host else f"{protocol}://{host}:{port}"


def _bad(given: object, why: str) -> PolicyError:
    return PolicyError(
        f"the endpoint {given!r} {why}.",
        code="endpoint",
        hint='Write ("imap", "mail.example.org", 993).',
    )
