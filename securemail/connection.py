"""What the three protocols share: opening a verified connection, signing in, reporting.

A protocol class adds its standard base, its greeting, its capabilities and how it reads a reply.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from .channel import Channel, Plaintext, Verified, require_verified
from .connecting import Deadline, Endpoint, dial, secure
from .errors import (
    AuthenticationFailed,
    ConnectReset,
    CredentialsRefused,
    PolicyError,
    ProtocolViolation,
    SecureMailError,
    TimeLimitExceeded,
    printable,
)
from .hosts import Host
from .policy import AuthPolicy, Limits, TLSPolicy
from .report import AuthReport, ConnectionReport
from .sasl.choose import Offer, choose_mechanism
from .sasl.credentials import Password, Secret
from .sasl.exchange import Broken, Dialect, Exchange, hide_password
from .sasl.mechanism import Mechanism
from .tls.context import PolicyContext
from .tls.gate import GatedSocket
from .tls.refusal import tls_error
from .tls.verify import channel_of
from .values import Value


class Reply(Value):
    """A server's answer during sign-in. `kind`: challenge, success or refusal; `text`: its octets
    (of a challenge: base64); `raw`: what the standard module puts into its error or result."""

    kind: str
    text: bytes
    raw: Any = None


# What the standard modules raise over a server's words: ends, time-outs, decoding, sizes (IMAP's
# literals: too large for a number, or for the memory).
_BREAKS = (OSError, EOFError, ValueError, OverflowError, MemoryError)


class Connection:
    """Mixed in before a standard class; every attribute has a class-level default, because
    `imaplib` answers for missing ones with a message about commands."""

    _PROTOCOL: ClassVar[str]  # as reports name it
    _DIALECT: ClassVar[Dialect]
    _VIOLATION: ClassVar[type[ProtocolViolation]]  # also the standard module's error
    _AUTH_FAILED: ClassVar[type[AuthenticationFailed]]  # likewise
    _LOST: ClassVar[type[ConnectReset]]  # likewise
    _STANDARD_ERROR: ClassVar[type[Exception]]  # the standard module's own

    sock: Any
    _policy: TLSPolicy | None = None
    _auth: AuthPolicy = AuthPolicy()
    _limits: Limits = Limits()
    _server_hostname: Host | None = None
    _context: ssl.SSLContext | None = None
    _endpoint: Endpoint | None = None
    _address: str = ""
    _channel: Channel = Plaintext("there is no connection")
    _auth_report: AuthReport | None = None
    _declined: str = ""  # why this connection takes no further sign-in
    _password_sent: bool = False  # on this connection, in whatever form

    # -- set-up

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

    # -- sign-in

    def _offer(self) -> Offer:
        """What the server takes, as it said over TLS."""
        raise NotImplementedError

    def _initial_response(self) -> bool:
        """Whether an initial response may stand on the command line."""
        return True

    def _write_secret(self, line: Secret, shown: str) -> None:
        """One line with a secret in it; `shown` is what audit hooks and debug output get."""
        raise NotImplementedError

    def _read_reply(self) -> Reply:
        """One answer during sign-in."""
        raise NotImplementedError

    def _read_verdict(self) -> Reply:
        """One answer that ends the matter."""
        if (reply := self._read_reply()).kind == "challenge":
            raise Broken("asked where there is nothing to answer")
        return reply

    def _command_sign_in(self, password: Password) -> Reply:
        """The protocol's own command with a password: IMAP's LOGIN, POP3's USER and PASS."""
        raise NotImplementedError

    def _close_now(self) -> None:
        """Close without a word to the server."""
        raise NotImplementedError

    def _sign_in(self, credentials: Password) -> Reply:
        """Choose, exchange, record. Raises `CredentialsRefused`, `AuthenticationFailed`,
        `ProtocolViolation`, `TimeLimitExceeded`, `ConnectFailed`."""
        if not isinstance(credentials, Password):
            raise PolicyError(
                f"{type(credentials).__name__} is no credentials.",
                code="credentials",
                hint="Write authenticate(Password(user, password)).",
            )
        self._require_fresh()
        with self._greeting():
            offer = self._offer()
        wanted = self._auth.mechanisms
        chosen = choose_mechanism(credentials, offer, wanted, **self._details())
        if isinstance(chosen, str):
            return self._sign_in_by(chosen, lambda: self._command_sign_in(credentials), credentials)
        return self._sign_in_by(chosen.name, lambda: self._run(chosen), credentials)

    def _sign_in_by(
        self, name: str, talk: Callable[[], Reply], credentials: Password | None
    ) -> Reply:
        """Sign in by this one way. `credentials`: None where only a callable of the caller's has
        them."""
        self._require_fresh()
        with self._during_sign_in():
            reply = talk()
        if reply.kind != "success":
            raise self._declined_by_server(name, reply, credentials)
        user = None if credentials is None else credentials.user
        self._auth_report = AuthReport(user=user, mechanism=name)
        return reply

    def _require_fresh(self) -> None:
        """Nothing secret unless the channel is verified and no sign-in was declined on it."""
        require_verified(self._channel, self.sock)
        if self._declined:
            raise CredentialsRefused(
                f"this connection takes no further sign-in: {self._declined}.",
                code="sign-in-declined",
                hint="Connect again for another attempt.",
                **{**self._details(), "credentials_sent": False},  # not those of this attempt
            )

    def _run(self, mechanism: Mechanism) -> Reply:
        exchange = Exchange(self._DIALECT, mechanism, initial=self._initial_response())
        line, shown = exchange.command(), f"{self._DIALECT.command} {mechanism.name} <secret>"
        while True:
            self._password_sent = exchange.is_sent
            self._write_secret(line, shown)
            if (reply := self._read_reply()).kind != "challenge":
                break
            line, shown = exchange.respond(reply.text), "<secret>"
        if reply.kind == "success":
            exchange.finish()
        return reply

    def _declined_by_server(
        self, name: str, reply: Reply, credentials: Password | None
    ) -> AuthenticationFailed:
        """The refusal in the server's words, less the password, should it repeat that."""
        words = printable(hide_password(reply.text, credentials))
        raw = reply.raw if isinstance(reply.raw, tuple) else (reply.raw,)
        self._declined = f'the server declined {name} with "{words}"'
        return self._AUTH_FAILED(
            f'the server declined the sign-in by {name}: "{words}".',
            raw=tuple(hide_password(p, credentials) if isinstance(p, bytes) else p for p in raw),
            hint="Check the user name and the password. The connection takes no second attempt.",
            **self._details(),
        )

    @contextmanager
    def _during_sign_in(self) -> Iterator[None]:
        """A dialogue that breaks off leaves no connection behind."""
        try:
            yield
        except Broken as error:
            self._close_now()
            raise self._VIOLATION(
                f"the server {error}.",
                hint="This is not how a mail server signs anybody in; it has not proved itself.",
                **self._details(),
            ) from None
        except (*_BREAKS, self._STANDARD_ERROR) as error:
            self._close_now()
            if self._is_loss(error):
                raise self._lost("during the sign-in", error) from error
            if isinstance(error, SecureMailError):
                raise
            raise self._not_spoken(error) from error

    # -- trouble

    def _details(self) -> dict[str, Any]:
        """For an error: where, and whether the password was sent."""
        details: dict[str, Any] = self._endpoint.details() if self._endpoint else {}
        return {**details, "credentials_sent": self._password_sent}

    def _lost(self, when: str, error: Exception) -> SecureMailError:
        """The error for a connection that ended, or went silent, `when`."""
        if isinstance(error, SecureMailError):
            return error
        details = self._details()
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        if isinstance(cause, TimeoutError):
            return TimeLimitExceeded(
                f"the server said nothing for {self._limits.read:g} s, {when}.",
                hint="It may be overloaded; Limits(read=...) waits longer.",
                **details,
            )
        ended = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ended):
            return tls_error(cause, details)  # TLS 1.3 servers refuse clients after the handshake
        return self._LOST(
            f"the server hung up {when}.",
            number=getattr(cause, "errno", None),
            hint="It may be overloaded, or refuse this computer; look into its log.",
            **details,
        )

    @contextmanager
    def _greeting(self) -> Iterator[None]:
        """Around what is said before a sign-in: whatever fails is typed, and nothing stays open."""
        try:
            yield
        except BaseException as error:
            raised = self._greeting_error(error)
            self._close_now()
            if raised is error:
                raise
            raise raised from error

    def _greeting_error(self, error: BaseException) -> BaseException:
        if not isinstance(error, Exception) or isinstance(error, (SecureMailError, Warning)):
            return error  # a Warning: the caller made it an error
        if isinstance(error.__context__, SecureMailError):
            return error.__context__  # smtplib wraps every OSError, ours included
        if self._is_loss(error):
            return self._lost("before it was ready", error)
        return self._not_spoken(error)

    def _is_loss(self, error: Exception) -> bool:
        """A connection that ended or went silent, not one that says something wrong."""
        is_standard = isinstance(error, self._STANDARD_ERROR)
        return self._is_end(error) if is_standard else isinstance(error, (OSError, EOFError))

    def _is_end(self, error: Exception) -> bool:
        """Whether the standard module means the end of the connection by `error`."""
        raise NotImplementedError

    def _not_spoken(self, error: Exception) -> Exception:
        """For words that are not of this protocol."""
        return self._VIOLATION(
            f"the server does not speak as {self._PROTOCOL} does: {_said(error)}.",
            hint="Is this the right port, and nothing in between?",
            **self._details(),
        )


def _said(error: Exception) -> str:
    """What a standard module's error quotes of the server, or says itself. Its last argument is
    that: a reply's number comes before."""
    said = error.args[-1] if error.args else ""
    if isinstance(said, bytes):
        return f'"{printable(said)}"'
    return printable(str(said) or type(error).__name__)


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
