"""What credentials may travel over: `Verified`, which proves itself; or `Excepted`, a named
exception for one sign-in; never `Plaintext`.

A `Verified` cannot be made by a caller: only `tls.verify` makes one, from the socket that is there
now. It holds that very socket; a sender asks `require_verified` with the connection's socket, so a
channel of an earlier connection, or of a socket that was wrapped again, opens nothing.
"""

from __future__ import annotations

from typing import Any, Final

from .errors import CredentialsRefused
from .report import TLSReport

TLS_HAS_ENDED: Final = "TLS has ended on this connection, and what follows would be in clear"
_MAKER: Final = object()  # known to this module and to tls.verify


class Plaintext:
    """No TLS, or none that was verified. `why` says which."""

    def __init__(self, why: str = "the connection is not encrypted") -> None:
        self.why = why


def has_ended(sock: object) -> bool:
    """Whether TLS was on `sock` and is no more: after `unwrap` or `shutdown`, by whomever, a
    standard `SSLSocket` goes on in clear."""
    return getattr(sock, "_sslobj", sock) is None and sock is not None


class Verified:
    """TLS to a server that was verified, over exactly this socket."""

    def __init__(self, maker: object, sock: object, report: TLSReport) -> None:
        if maker is not _MAKER:
            raise TypeError("a Verified channel is made by securemail.tls.verify alone")
        self.sock = sock
        self.report = report


class Excepted:
    """No TLS, but the policy has a `reason` for one way to sign in over exactly this socket.
    `travel` makes it for one attempt, and warns."""

    def __init__(self, sock: object, reason: str) -> None:
        self.sock = sock
        self.reason = reason


Channel = Plaintext | Verified


def require_verified(channel: Channel, sock: object, **where: Any) -> None:
    """Raise `CredentialsRefused` unless `channel` was verified on `sock`, the socket in use now.
    `where`: host, port and protocol, for the error."""
    if isinstance(channel, Plaintext):
        why = channel.why
    elif sock is None or channel.sock is not sock or channel.__class__ is not Verified:
        why = "the connection is another one now"
    elif has_ended(sock):
        why = TLS_HAS_ENDED
    else:
        return
    raise CredentialsRefused(
        f"nothing secret is sent here: {why}.",
        code="channel-not-verified",
        **{**where, "credentials_sent": False},
        hint="Upgrade first (starttls, stls), or connect again with one of the _SSL or _STARTTLS "
        "classes.",
    )


def require_admitted(channel: Channel | Excepted, sock: object) -> None:
    """As `require_verified`; an exception of the policy's for `sock` will do as well."""
    if isinstance(channel, Excepted):
        if sock is not None and channel.sock is sock:
            return
        channel = Plaintext("the connection is another one now")
    require_verified(channel, sock)
