"""What the three protocols share: opening a verified connection, and reporting what was found.

A protocol class adds its standard base, its capabilities and how it reads a reply.
"""

from __future__ import annotations

import socket
import ssl
import sys
from typing import Any

from .channel import Plaintext, Verified, require_verified
from .connecting import Deadline, Endpoint, dial, secure
from .errors import PolicyError
from .hosts import Host
from .policy import AuthPolicy, Limits, TLSPolicy
from .report import ConnectionReport
from .signing_in import SigningIn
from .tls.context import PolicyContext
from .tls.gate import GatedSocket
from .tls.verify import channel_of


class Connection(SigningIn):
    """Mixed in before a standard class."""

    _policy: TLSPolicy | None = None
    _context: ssl.SSLContext | None = None
    _server_hostname: Host | None = None
    _address: str = ""

    def _settle(
        self,
        *,
        policy: TLSPolicy | None,
        context: ssl.SSLContext | None,
        auth: AuthPolicy | None,
        limits: Limits | None,
        timeout: float | None,
        server_hostname: str | None,
    ) -> None:
        """Check and keep the arguments; nothing is connected yet."""
        if policy is not None and context is not None:
            raise PolicyError(
                "policy= and a context were both given: only one can hold.",
                code="policy-and-context",
                hint="Leave the context out; the policy makes its own.",
            )
        if policy is not None and not isinstance(policy, TLSPolicy):
            raise PolicyError(f"policy={policy!r} is not a TLSPolicy.", code="policy")
        if context is not None:
            _require_safe(context)
        elif policy is None:
            policy = TLSPolicy()
        self._policy, self._context = policy, context
        self._auth, self._limits = auth or AuthPolicy(), limits or Limits()
        if timeout is not socket._GLOBAL_DEFAULT_TIMEOUT:  # type: ignore[attr-defined]
            self._limits = self._limits.with_timeout(timeout)
        elif (default := socket.getdefaulttimeout()) is not None:
            self._limits = self._limits.with_timeout(default)
        self._server_hostname = None if server_hostname is None else Host.parse(server_hostname)

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is not None:
            return self._context
        assert self._policy is not None
        return self._policy.ssl_context()

    def _open(self, host: str, port: int, source_address: Any = None) -> ssl.SSLSocket:
        """Connect, shake hands, verify. What a connection before this one proved is dropped."""
        self._channel, self._auth_report = Plaintext("not verified yet"), None
        self._declined, self._password_sent = "", False
        target = Host.parse(host)
        endpoint = Endpoint(
            host=target,
            name=self._server_hostname or target,
            port=_port_number(port),
            protocol=self._PROTOCOL,
        )
        self._endpoint = endpoint
        deadline = Deadline(self._limits.connect)
        plain = dial(endpoint, deadline, source_address)
        sock = secure(plain, self._tls_context(), endpoint, deadline)
        try:
            self._address = str(sock.getpeername()[0])
            self._accept(sock, endpoint)
        except BaseException:
            sock.close()
            raise
        return sock

    def _accept(self, sock: ssl.SSLSocket, endpoint: Endpoint) -> None:
        """From the verified socket to the channel; then, with the verdict made, its warnings."""
        sock.settimeout(self._limits.read)
        self._channel = channel_of(sock, endpoint.name)
        require_verified(self._channel, sock)
        if isinstance(sock, GatedSocket):
            sock.tell()
        _log(self.report)

    @property
    def report(self) -> ConnectionReport:
        """What was found on this connection, so far; also after a sign-in and after its end."""
        if self._endpoint is None:
            raise PolicyError("there is no connection to report on.", code="not-connected")
        tls = self._channel.report if isinstance(self._channel, Verified) else None
        return ConnectionReport(
            protocol=self._PROTOCOL,
            host=self._endpoint.host.address,
            port=self._endpoint.port,
            address=self._address,
            tls=tls,
            auth=self._auth_report,
        )


def _require_safe(context: ssl.SSLContext) -> None:
    """A context of the caller's own is never changed, so it must be right."""
    if isinstance(context, PolicyContext):
        return
    if context.verify_mode != ssl.CERT_REQUIRED or not context.check_hostname:
        raise PolicyError(
            "the context that was given does not verify the server "
            f"(verify_mode={context.verify_mode.name}, check_hostname={context.check_hostname}).",
            code="context-unverified",
            hint="Leave the context out, or make it with ssl.create_default_context(). For a "
            'server with a certificate of its own: policy=TLSPolicy(trust=ExactCertificate("server.'
            'pem")).',
        )


def _port_number(port: object) -> int:
    number = int(port) if isinstance(port, str) and port.isascii() and port.isdigit() else port
    if not isinstance(number, int) or not 0 < number < 65536:
        raise PolicyError(f"the port {port!r} is not a number from 1 to 65535.", code="port")
    return number


def _log(report: ConnectionReport) -> None:
    """One line a connection. A program that never imported `logging` has nobody to read it."""
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("securemail").info("%s", report.line())
