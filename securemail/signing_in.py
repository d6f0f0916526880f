"""Signing in: choose, exchange, record. The same for the three protocols.

A protocol class adds what its server offers, and how a reply is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from .channel import Channel, Plaintext, Verified, require_verified
from .errors import (
    AuthenticationFailed,
    CredentialsRefused,
    PolicyError,
    SecureMailError,
    printable,
)
from .policy import AuthPolicy
from .report import AuthReport
from .sasl.choose import Offer, choose_mechanism
from .sasl.credentials import Password, Secret
from .sasl.exchange import Broken, Dialect, Exchange, hide_password
from .sasl.mechanism import Cancelled, Mechanism
from .tls.verify import channel_of
from .trouble import BREAKS, Trouble
from .values import Value


class Reply(Value):
    """A server's answer during sign-in. `kind`: challenge, success or refusal; `text`: its octets
    (of a challenge: base64); `raw`: what the standard module puts into its error or result."""

    kind: str
    text: bytes
    raw: Any = None


class SigningIn(Trouble):
    """The part of a connection that signs in, over a verified channel only."""

    _DIALECT: ClassVar[Dialect]
    _AUTH_FAILED: ClassVar[type[AuthenticationFailed]]  # also the standard module's error

    sock: Any = None
    _auth: AuthPolicy = AuthPolicy()
    _channel: Channel = Plaintext("there is no connection")
    _auth_report: AuthReport | None = None
    _declined: str = ""  # why this connection takes no further sign-in

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
        with self._opening():
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

    def _current_channel(self) -> Channel:
        """What the socket in use now is, whoever put it there (a subclass that goes by a proxy)."""
        held = self._channel
        is_known = isinstance(held, Verified) and held.sock is self.sock
        if self._endpoint is not None and self.sock is not None and not is_known:
            self._channel = channel_of(self.sock, self._endpoint.name)
        return self._channel

    def _require_fresh(self) -> None:
        """Nothing secret unless the channel is verified and no sign-in was declined on it."""
        self._raise_ended()
        where = {**self._details(), "credentials_sent": False}
        require_verified(self._current_channel(), self.sock, **where)
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
            try:
                line, shown = exchange.respond(reply.text), "<secret>"
            except Cancelled:
                self._write_secret(Secret(self._DIALECT.cancel), "*")
                return self._read_verdict()
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
        before, self._stage = self._stage, "during the sign-in"
        try:
            yield
        except Broken as error:
            raise self._close_for(
                self._VIOLATION(
                    f"the server {error}.",
                    hint="This is not how a mail server signs anybody in; it has not proved "
                    "itself.",
                    **self._details(),
                )
            ) from None
        except (*BREAKS, self._STANDARD_ERROR) as error:
            if self._ended is not None:
                self._close_now()
                self._raise_ended()
            if self._is_loss(error):
                self._raise_lost(error)
            if isinstance(error, SecureMailError):
                self._close_for(error)
                raise
            raise self._close_for(self._not_spoken(error)) from error
        finally:
            self._stage = before
