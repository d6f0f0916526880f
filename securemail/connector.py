"""The caller's own way to the server, through a proxy or a tunnel, in the place of `dial`.

What it hands back is a socket to somebody in between: TLS is verified against the server's name as
ever, and nothing is allowed for the address at the socket's other end, which is not the server's.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from .connecting import Deadline, Endpoint
from .errors import (
    ConnectFailed,
    ConnectReset,
    ConnectTimedOut,
    PolicyError,
    SecureMailError,
    printable,
    say_seconds,
)
from .wire import hold_little_back

Connector = Callable[[str, int, float | None], socket.socket]


def require_connector(connector: object) -> None:
    """Raise `PolicyError` for what cannot be called."""
    if connector is not None and not callable(connector):
        raise PolicyError(
            f"connector={printable(repr(connector), 60)} cannot be called.",
            code="connector",
            hint="Give a function of host, port and seconds that returns a connected socket.",
        )


def programs_own() -> Connector | None:
    """What a program put in the place of `socket.create_connection`, by which the standard modules
    connect: recipes for Tor and SOCKS do, and who follows one would not want it gone by."""
    found = socket.create_connection
    if getattr(found, "__globals__", None) is vars(socket):
        return None
    return lambda host, port, seconds: found((host, port), seconds)


def dial_by(
    connector: Connector, endpoint: Endpoint, deadline: Deadline, source_address: object = None
) -> socket.socket:
    """A socket of the caller's own making, to where `endpoint` says: as `dial`, but the host is
    not looked up here. A connector that hangs is not interrupted; its time counts.

    Raises `ConnectFailed` where it fails, `PolicyError` where it hands back something else than a
    connected stream socket without TLS, which is closed.
    """
    if source_address:
        raise PolicyError(
            "source_address= and connector= were both given: the connector opens the socket.",
            code="connector",
            hint="Leave source_address out, and bind the socket in the connector.",
            **endpoint.details(),
        )
    found: object = _called(connector, endpoint, deadline)
    try:
        sock = _usable(found, connector, endpoint)
        _require_time(connector, endpoint, deadline)
        with suppress(OSError):  # not TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hold_little_back(sock)
        return sock
    except BaseException:
        _close(found)
        raise


def _called(connector: Connector, endpoint: Endpoint, deadline: Deadline) -> object:
    try:
        return connector(endpoint.host.address, endpoint.port, deadline.remaining())
    except (SecureMailError, Warning):
        raise
    except Exception as error:
        raise _failed(connector, error, endpoint) from error


def _failed(connector: Connector, error: Exception, endpoint: Endpoint) -> ConnectFailed:
    """Of the kind that `dial` would raise for the same error."""
    kind, number, said = ConnectFailed, None, str(error)
    if isinstance(error, OSError):
        kind, number, said = _kind(error), error.errno, error.strerror or said
    words = ": ".join(filter(None, (type(error).__name__, printable(said))))
    return kind(
        f"the connector {_name(connector)} could not connect ({words}).",
        number=number,
        hint="Check that the proxy or tunnel is up, and that it lets you through to this port.",
        **endpoint.details(),
    )


def _kind(error: OSError) -> type[ConnectFailed]:
    """By its class; else by its number, which OpenSSL's errors have of another kind."""
    kind = ConnectFailed.like(error)
    if kind is ConnectFailed and error.errno and not isinstance(error, ssl.SSLError):
        kind = ConnectFailed.like(OSError(error.errno, ""))
    return kind


def _usable(found: object, connector: Connector, endpoint: Endpoint) -> socket.socket:
    """`found` as a connected stream socket without TLS."""
    if not isinstance(found, socket.socket):
        what = f"a {type(found).__name__}"
    elif isinstance(found, ssl.SSLSocket):
        what = "a socket with TLS of its own, of which nobody here knows what it verified"
    elif found.type != socket.SOCK_STREAM:
        what = "a socket that is no stream"
    elif not _is_connected(found, endpoint):
        what = "a socket that is closed, or not connected"
    else:
        return found
    raise PolicyError(
        f"the connector {_name(connector)} handed back {what}.",
        code="connector",
        hint="It must return a connected stream socket.socket without TLS; TLS to the server is "
        "made and verified here.",
        **endpoint.details(),
    )


def _is_connected(sock: socket.socket, endpoint: Endpoint) -> bool:
    """Raises `ConnectReset` where it was, until somebody hung up."""
    number = 0
    with suppress(OSError):  # closed
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        socket.socket.getpeername(sock)  # not its own method, which may say anything
        return True
    if number:
        raise ConnectReset(
            f"the proxy or tunnel hung up ({os.strerror(number)}).",
            number=number,
            hint="It may not be allowed to go to this server and port; look into its log.",
            **endpoint.details(),
        )
    return False


def _require_time(connector: Connector, endpoint: Endpoint, deadline: Deadline) -> None:
    try:
        deadline.remaining()
    except TimeoutError as error:
        raise ConnectTimedOut(
            f"the connector {_name(connector)} took more than {say_seconds(deadline.seconds)}.",
            hint="It is told the seconds that it has, and not interrupted.",
            **endpoint.details(),
        ) from error


def _close(found: object) -> None:
    """Whatever it is. (A coroutine that nobody awaits is content with it as well.)"""
    close = getattr(found, "close", None)
    if callable(close):
        with suppress(Exception):
            close()


def _name(connector: Connector) -> str:
    return printable(getattr(connector, "__name__", type(connector).__name__), 60)
