"""How lines reach the wire: the one writer of secrets. Its reader comes with the plain classes."""

from __future__ import annotations

import socket

from .channel import Channel, require_verified
from .errors import PolicyError
from .sasl.credentials import Secret

CRLF = b"\r\n"
_FORBIDDEN = (b"\r", b"\n", b"\0")


def send_secret(channel: Channel, sock: socket.socket | None, line: Secret) -> None:
    """Send `line` and its end, if `channel` is verified on `sock`, the connection's socket now.

    Raises `CredentialsRefused`, or the socket's error, without the frames that held the secret.
    """
    require_verified(channel, sock)
    assert sock is not None
    if any(octet in line.reveal() for octet in _FORBIDDEN):
        raise PolicyError("a line to be sent has a line break or a NUL in it.", code="line-break")
    try:
        sock.sendall(line.reveal() + CRLF)
        return
    except Exception as error:  # noqa: BLE001 - raised again below
        # Frames below hold the octets: a traceback that shows locals would show them.
        failed = error.with_traceback(None)
        failed.__context__ = failed.__cause__ = None
    raise failed
