"""POP3 (RFC 1939) over TLS (RFC 8314), with SASL (RFC 5034)."""

from __future__ import annotations

import poplib
import socket
import ssl
import sys
from typing import Any, ClassVar

from .connection import Connection
from .errors import (
    AuthenticationFailed,
    ConnectFailed,
    ConnectReset,
    LimitExceeded,
    ProtocolViolation,
    printable,
)
from .policy import AuthPolicy, Limits, TLSPolicy
from .report import AuthReport
from .sasl.choose import Offer
from .sasl.credentials import Password, Secret
from .sasl.exchange import Dialect
from .signing_in import Reply
from .wire import require_line, send_secret

_POP3: Any = poplib.POP3  # captured: a program may put something else there later
_POP3_SSL = poplib.POP3_SSL
_DEFAULT: Any = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]

_LONGEST_STATUS = 2048  # octets; the standard module's bound

# -- errors


class POP3ProtocolViolation(ProtocolViolation, poplib.error_proto):
    """The server broke the protocol; also a `poplib.error_proto`."""


class POP3ConnectionLost(ConnectReset, poplib.error_proto):
    """The server hung up; also a `poplib.error_proto`."""


class POP3Unavailable(ConnectFailed, poplib.error_proto):
    """The server greeted with -ERR; also a `poplib.error_proto`."""

    code = "unavailable"


class POP3AuthenticationFailed(AuthenticationFailed, poplib.error_proto):
    """The server declined; also a `poplib.error_proto`, with the reply's octets as `args[0]`."""


# -- the connection


class POP3_SSL(Connection, _POP3_SSL):  # type: ignore[misc] # `file` is ours
    """A `poplib.POP3_SSL` whose server is verified before anything is said.

    The standard arguments, and: `policy` (a `TLSPolicy`; none given means `TLSPolicy()`), `auth`
    (an `AuthPolicy`), `limits` (`Limits`; `timeout`, in seconds, sets both of them), and
    `server_hostname` (the name that the certificate must be for, where it is not `host`).

    Raises `ConnectFailed`, `TLSError`, `CertificateRejected`, `PinMismatch`, `TimeLimitExceeded`,
    `ProtocolViolation`, and `PolicyError` before anything is connected.
    """

    _PROTOCOL = "POP3 over TLS"
    _DIALECT: ClassVar[Dialect] = Dialect("AUTH", longest=255)  # RFC 5034, 4
    _VIOLATION = POP3ProtocolViolation
    _AUTH_FAILED = POP3AuthenticationFailed
    _LOST = POP3ConnectionLost
    _STANDARD_ERROR = poplib.error_proto
    # of the standard class
    _debugging: int

    def __init__(
        self,
        host: str,
        port: int = poplib.POP3_SSL_PORT,
        *,
        timeout: float | None = _DEFAULT,
        context: ssl.SSLContext | None = None,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
    ) -> None:
        self._settle(
            policy=policy,
            context=context,
            auth=auth,
            limits=limits,
            timeout=timeout,
            server_hostname=server_hostname,
        )
        self.context = self._tls_context()
        with self._opening():
            _POP3.__init__(self, host, port, timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._open(self.host, self.port)

    # -- reading and writing

    def _putline(self, line: bytes) -> None:
        require_line(line)
        self._expect()
        _POP3._putline(self, line)

    def _getline(self) -> tuple[bytes, int]:
        """A line without its end, and its octets with it."""
        line = self._open_reader().readline()
        if self._debugging > 1:
            print("*get*", repr(line))  # noqa: T201 - as the standard module does
        if not line:
            raise poplib.error_proto("-ERR EOF")
        return _without_end(line), len(line)

    def _getresp(self) -> bytes:
        """A status line (RFC 1939, 3): short, where a line of a message need not be."""
        answer, octets = self._getline()
        if octets > _LONGEST_STATUS:
            raise self._end(
                LimitExceeded(
                    f"the server sent a status line of more than {_LONGEST_STATUS:,} octets.",
                    code="limit-line",
                    hint="RFC 1939 allows 512: is this a POP3 server?",
                )
            )
        if self._debugging > 1:
            print("*resp*", repr(answer))  # noqa: T201 - as the standard module does
        if not answer.startswith(b"+"):
            raise poplib.error_proto(answer)
        return answer

    def _getlongresp(self) -> tuple[bytes, list[bytes], int]:
        """A status line and the lines after it, dots unstuffed (RFC 1939, 3)."""
        answer = self._getresp()
        try:
            text = self._open_reader().read_until_dot()
        except EOFError:
            raise poplib.error_proto("-ERR EOF") from None
        lines, stuffed = _split(text)
        return answer, lines, len(text) - stuffed

    # -- sign-in

    def authenticate(self, credentials: Password) -> bytes:
        """Sign in by the best way both sides know (`AuthPolicy`): SASL, else USER and PASS.

        Returns the server's reply, as `pass_` does. Raises `CredentialsRefused` (nothing was
        sent) and `POP3AuthenticationFailed`; either ends the attempt, nothing weaker follows.
        """
        raw: bytes = self._sign_in(credentials).raw
        return raw

    def login(self, user: str, password: str) -> bytes:
        """`authenticate(Password(user, password))`."""
        password = Secret(password)  # type: ignore[assignment]
        return self.authenticate(Password(user, password))

    def user(self, user: str) -> bytes:
        """Send USER (RFC 1939, 7) as it is. Only over a verified channel."""
        name = Password(user, "unused").user  # checked as every user name is
        self._require_fresh()
        with self._during_sign_in():
            reply = self._send_user(name)
        if reply.kind != "success":
            raise self._declined_by_server("USER", reply, None)
        self._user = name
        return reply.text

    _user: str | None = None  # whom USER named

    def pass_(self, pswd: str) -> bytes:
        """Send PASS (RFC 1939, 7) as it is. Only over a verified channel."""
        pswd = Secret(pswd)  # type: ignore[assignment]
        credentials = Password(self._user or "unknown", pswd)  # checked as every password is
        self._require_fresh()
        with self._during_sign_in():
            reply = self._send_pass(credentials)
        if reply.kind != "success":
            raise self._declined_by_server("USER", reply, credentials)
        self._auth_report = AuthReport(user=self._user, mechanism="USER")
        return reply.text

    def _offer(self) -> Offer:
        try:
            capabilities = self.capa()
        except poplib.error_proto as error:
            cause = error.__context__  # capa() says "not supported", whatever happened
            if isinstance(cause, poplib.error_proto) and not _is_refusal(cause):
                raise cause from None
            return Offer(mechanisms=(), command="USER")  # before RFC 2449 there was nothing else
        mechanisms = tuple(name.upper() for name in capabilities.get("SASL", ()))
        if "USER" in capabilities or not mechanisms:
            return Offer(mechanisms=mechanisms, command="USER")
        return Offer(mechanisms=mechanisms, no_command="the server does not offer USER and PASS")

    def _command_sign_in(self, password: Password) -> Reply:
        reply = self._send_user(password.user)
        return self._send_pass(password) if reply.kind == "success" else reply

    def _send_user(self, name: str) -> Reply:
        self._write_secret(Secret(b"USER " + name.encode()), "USER <user>")
        return self._read_verdict()

    def _send_pass(self, credentials: Password) -> Reply:
        self._password_sent = True
        line = Secret(b"PASS " + credentials.password.reveal())
        self._write_secret(line, "PASS <secret>")
        return self._read_verdict()

    # -- lines

    def _write_secret(self, line: Secret, shown: str) -> None:
        if self._debugging:
            print("*cmd*", repr(shown))  # noqa: T201 - as the standard module does
        sys.audit("poplib.putline", self, shown.encode())
        self._expect()
        send_secret(self._channel, self.sock, line)

    def _read_reply(self) -> Reply:
        line, _ = self._getline()
        if line.startswith(b"+OK"):
            return Reply("success", line, line)
        if line == b"+" or line.startswith(b"+ "):
            return Reply("challenge", line[2:])
        if line.startswith(b"-"):
            return Reply("refusal", line, line)
        raise self._not_spoken(poplib.error_proto(line))

    # -- trouble

    def _is_end(self, error: Exception) -> bool:
        return isinstance(error, poplib.error_proto) and error.args == ("-ERR EOF",)

    def _not_spoken(self, error: Exception) -> Exception:
        if _is_refusal(error):
            return POP3Unavailable(
                f'the server declines: "{printable(error.args[0])}".',
                hint="Try again later, or ask its administrator.",
                **self._details(),
            )
        return super()._not_spoken(error)

    def _close_now(self) -> None:
        if getattr(self, "sock", None) is not None:
            _POP3.close(self)


def _is_refusal(error: Exception) -> bool:
    """`error` is a -ERR of the server's, not one of poplib's own (those are text)."""
    words = error.args[0] if error.args else b""
    return isinstance(words, bytes) and words.startswith(b"-ERR")


def _split(text: bytes) -> tuple[list[bytes], int]:
    """The lines of a multi-line reply, and how many had a dot stuffed before them."""
    if text.count(b"\r\n") == text.count(b"\n"):
        lines = text.split(b"\r\n")[:-1]
        if b"\n.." not in text and not text.startswith(b".."):
            return lines, 0
    else:
        lines = [_without_end(line + b"\n") for line in text.split(b"\n")[:-1]]
    stuffed = sum(line.startswith(b"..") for line in lines)
    return [line[1:] if line.startswith(b"..") else line for line in lines], stuffed


def _without_end(line: bytes) -> bytes:
    """A line ends in LF, mostly with a CR before it; the standard module knows one at the start
    as well."""
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line[1:-1] if line.startswith(b"\r") else line[:-1]
