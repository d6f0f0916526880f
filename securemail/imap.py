"""IMAP4 (RFC 3501, RFC 9051) over TLS (RFC 8314), with SASL and SASL-IR (RFC 4959)."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from .sasl.choose import Offer
from .sasl.credentials import Password, Secret
from .sasl.exchange import Dialect
from .signing_in import Reply
from .wire import send_secret

_IMAP4: Any = imaplib.IMAP4  # captured: a program may put something else there later
_IMAP4_SSL = imaplib.IMAP4_SSL
_PORT = 993  # imaplib.IMAP4_SSL_PORT
_DEFAULT: Any = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]

_LITERAL = re.compile(rb"\{(?P<size>[0-9]+)\+?\}\r?\n\Z")  # RFC 9051, 4.3

# -- errors


class IMAP4ProtocolViolation(ProtocolViolation, imaplib.IMAP4.abort):
    """The server broke the protocol; also an `IMAP4.abort`."""


class IMAP4ConnectionLost(ConnectReset, imaplib.IMAP4.abort):
    """The server hung up; also an `IMAP4.abort`."""


class IMAP4Unavailable(ConnectFailed, imaplib.IMAP4.error):
    """The server greeted with BYE; also an `IMAP4.error`."""

    code = "unavailable"


class IMAP4AuthenticationFailed(AuthenticationFailed, imaplib.IMAP4.error):
    """The server declined; also an `IMAP4.error`, with the reply as `args[0]`."""


# -- the connection


class IMAP4_SSL(Connection, _IMAP4_SSL):  # type: ignore[misc] # `file` is ours
    """An `imaplib.IMAP4_SSL` whose server is verified before anything is said.

    The standard arguments, and: `policy` (a `TLSPolicy`; none given means `TLSPolicy()`), `auth`
    (an `AuthPolicy`), `limits` (`Limits`; `timeout`, in seconds, sets both of them), and
    `server_hostname` (the name that the certificate must be for, where it is not `host`).

    Raises `ConnectFailed`, `TLSError`, `CertificateRejected`, `PinMismatch`, `TimeLimitExceeded`,
    `ProtocolViolation`, and `PolicyError` before anything is connected.
    """

    _PROTOCOL = "IMAP over TLS"
    _DIALECT: ClassVar[Dialect] = Dialect("AUTHENTICATE")
    _VIOLATION = IMAP4ProtocolViolation
    _AUTH_FAILED = IMAP4AuthenticationFailed
    _LOST = IMAP4ConnectionLost
    _STANDARD_ERROR = imaplib.IMAP4.error
    # of the standard class
    tagged_commands: dict[bytes, Any]
    _new_tag: Callable[[], bytes]
    continuation_response: bytes  # type: ignore[assignment]

    def __init__(
        self,
        host: str = "",
        port: int = _PORT,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float | None = _DEFAULT,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
    ) -> None:
        self._settle(
            policy=policy,
            context=ssl_context,
            auth=auth,
            limits=limits,
            timeout=timeout,
            server_hostname=server_hostname,
        )
        self.ssl_context = self._tls_context()
        with self._opening():
            _IMAP4.__init__(self, host, port, timeout)

    def open(  # type: ignore[override]
        self, host: str = "", port: int = _PORT, timeout: float | None = None
    ) -> None:
        """Connect to `host` (none: localhost) and verify it."""
        _IMAP4.open(self, host, port, timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        sys.audit("imaplib.open", self, self.host, self.port)
        return self._open(self.host or "localhost", self.port)

    # -- reading and writing

    def read(self, size: int) -> bytes:
        """`size` octets of a literal."""
        return self._open_reader().read(size)

    def readline(self) -> bytes:
        """A line of a response, with its end."""
        line = self._open_reader().readline()
        if (announced := _LITERAL.search(line)) and not self._fits(announced["size"]):
            raise self._end(
                LimitExceeded(
                    f"the server announced a literal of more octets than {self._limits.literal:,}.",
                    code="limit-literal",
                    hint="Limits(literal=...) allows more.",
                )
            )
        return line

    def _fits(self, digits: bytes) -> bool:
        # By length first: int() refuses thousands of digits, with an error of its own.
        return len(digits) <= len(str(self._limits.literal)) and int(digits) <= self._limits.literal

    def send(self, data: Any) -> None:
        """Send `data` as it is; raises the error that ended the connection, if one did."""
        self._expect()
        _IMAP4.send(self, data)

    def _command(self, name: str, *args: Any) -> Any:
        if self._ended is not None:
            raise self._ended
        with self._what_ended_it():
            return _IMAP4._command(self, name, *args)

    def _command_complete(self, name: str, tag: Any) -> Any:
        with self._what_ended_it():
            return _IMAP4._command_complete(self, name, tag)

    @contextmanager
    def _what_ended_it(self) -> Iterator[None]:
        """The standard module makes an abort of every error; ours come out as they were."""
        try:
            yield
        except self.abort:
            if self._ended is not None:
                raise self._ended from None
            raise

    def shutdown(self) -> None:
        """Close; nothing to do where a bound that was crossed has closed it."""
        if self.sock is not None:
            _IMAP4.shutdown(self)

    # -- sign-in

    def authenticate(  # type: ignore[override]
        self,
        mechanism: Password | str,
        authobject: Callable[[bytes], bytes | None] | None = None,
    ) -> tuple[str, list[Any]]:
        """Sign in by the best way both sides know (`AuthPolicy`): SASL, else the LOGIN command.

        Takes credentials, or the standard pair of a mechanism's name and a callable. Returns what
        `login` does. Raises `CredentialsRefused` (nothing was sent) and
        `IMAP4AuthenticationFailed`; either ends the attempt, nothing weaker follows.
        """
        self._require_state()
        if authobject is not None and isinstance(mechanism, str):
            brought = _Callers(mechanism.upper(), authobject)
            reply = self._sign_in_by(brought.name, lambda: self._run(brought), None)
        else:
            reply = self._sign_in(mechanism)  # type: ignore[arg-type]
        self.state = "AUTH"
        return "OK", [reply.raw]

    def login(self, user: str, password: str) -> tuple[str, list[Any]]:  # type: ignore[override]
        """`authenticate(Password(user, password))`."""
        password = Secret(password)  # type: ignore[assignment]
        return self.authenticate(Password(user, password))

    def _require_state(self) -> None:
        if self.state != "NONAUTH":
            raise self.error(f"command AUTHENTICATE illegal in state {self.state}")

    def _offer(self) -> Offer:
        names = [name.upper() for name in self.capabilities]
        mechanisms = tuple(n.removeprefix("AUTH=") for n in names if n.startswith("AUTH="))
        if "LOGINDISABLED" in names:
            return Offer(mechanisms=mechanisms, no_command="the server says LOGINDISABLED")
        return Offer(mechanisms=mechanisms, command="LOGIN")

    def _initial_response(self) -> bool:
        return "SASL-IR" in self.capabilities

    def _command_sign_in(self, password: Password) -> Reply:
        user, secret = _quote(password.user.encode()), _quoted(password.password)
        self._password_sent = True
        self._write_secret(Secret(b"LOGIN " + user + b" " + secret.reveal()), "LOGIN <secret>")
        return self._read_verdict()

    # -- lines

    _tag: bytes | None = None  # of the sign-in under way

    def _write_secret(self, line: Secret, shown: str) -> None:
        if self._tag is None:  # the first line of a command has a tag, responses have none
            tag: bytes = self._new_tag()
            self._tag = tag
            line = Secret(tag + b" " + line.reveal())
            shown = f"{tag.decode()} {shown}"
        if __debug__ and self.debug >= 4:
            self._mesg(f"> {shown}")
        sys.audit("imaplib.send", self, shown.encode())
        self._expect()
        send_secret(self._channel, self.sock, line)

    def _read_reply(self) -> Reply:
        assert self._tag is not None
        while self.tagged_commands[self._tag] is None:
            if self._get_response() is None:  # a continuation
                return Reply("challenge", self.continuation_response)
            if self.state == "LOGOUT" or "BYE" in self.untagged_responses:
                raise EOFError("BYE")
        kind, data = self.tagged_commands.pop(self._tag)
        self._tag = None
        return Reply("success" if kind == "OK" else "refusal", data[-1], data[-1])

    # -- trouble

    def _is_end(self, error: Exception) -> bool:
        # Also as "command: CAPABILITY => socket error: EOF", and with half a line quoted; one that
        # ends in LF alone is a whole line, and a wrong one.
        said = str(error).removeprefix("command: CAPABILITY => ")
        whole = said.rstrip("'\"").endswith("\\n")
        is_abort = isinstance(error, imaplib.IMAP4.abort)
        return is_abort and said.startswith("socket error: ") and not whole

    def _not_spoken(self, error: Exception) -> Exception:
        bye = self.untagged_responses.get("BYE")
        if bye and isinstance(error, imaplib.IMAP4.error):
            return IMAP4Unavailable(
                f'the server declines: "{printable(_words(bye[-1]))}".',
                hint="Try again later, or ask its administrator.",
                **self._details(),
            )
        return super()._not_spoken(error)

    def _close_now(self) -> None:
        self.state = "LOGOUT"
        for name in ("_file", "sock"):  # _file: Python 3.14, and it holds the socket open
            held = self.__dict__.get(name)
            if held is not None:
                held.close()
        self.sock = None
        self._reader = None


class _Callers:
    """A mechanism that the caller brings: what the standard `authenticate` takes."""

    def __init__(self, name: str, answer: Callable[[bytes], bytes | str | None]) -> None:
        self.name = name
        self.is_complete = False
        self._answer = answer

    def start(self) -> None:
        """Nothing: the first word is the server's."""

    def answer(self, challenge: bytes) -> bytes | None:
        response = self._answer(challenge)
        self.is_complete = True  # as far as anybody knows here
        return response.encode() if isinstance(response, str) else response


def _words(data: Any) -> bytes:
    return data if isinstance(data, bytes) else b""


def _quoted(secret: Secret) -> Secret:
    return Secret(_quote(secret.reveal()))


def _quote(text: bytes) -> bytes:
    """A quoted string (RFC 9051, 4.3); line breaks are refused before and by the line writer."""
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
