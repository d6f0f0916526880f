"""TLS that always succeeds, over a fake socket: for what comes before it and after it.

Whether the handshake and the verdict hold is shown elsewhere; here nothing of the library is
exchanged but these two: `secure`, which shakes hands, and `channel_of`, which asks the socket.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from fuzz.fake_socket import FakeSocket
from securemail import TLSError, connection, travel, upgrading
from securemail.channel import _MAKER, Channel, Plaintext, Verified
from securemail.errors import ConnectReset, TimeLimitExceeded
from securemail.report import TLSReport

_REPORT = TLSReport(
    host="mail.example.org",
    version="TLSv1.3",
    cipher="x",
    trusted_by="the fuzzer",
    identified_by="name",
)


@contextlib.contextmanager
def faked() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for module in (connection, upgrading):
            stack.enter_context(mock.patch.object(module, "secure", _secure))
        for module in (connection, travel):
            stack.enter_context(mock.patch.object(module, "channel_of", _channel_of))
        yield


def _channel_of(sock: Any, host: Any) -> Channel:
    return Verified(_MAKER, sock, _REPORT) if getattr(sock, "is_tls", False) else Plaintext()


def _secure(sock: FakeSocket, context: Any, endpoint: Any, deadline: Any) -> Any:
    """As `connecting.secure`: a failure closes the socket; octets that wait are taken for TLS."""
    server, details = sock.server, endpoint.details()
    errors = (
        TLSError("no.", code="tls", **details),
        ConnectReset("the server hung up.", **details),
        TimeLimitExceeded("no TLS in time.", **details),
    )
    if server.has_more():
        words = ("something",)
        failed: Any = TLSError("in clear.", code="plaintext-port", reasons=words, **details)
    elif server.ended:
        failed = errors[1]
    elif server.choices.is_rude():
        failed = server.choices.one_of(errors)
    else:
        server.upgraded()
        return sock.secured()
    sock.close()
    raise failed
