"""Signing in: choose, exchange, record. The same for the three protocols.

A protocol class adds what its server offers, and how a reply is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from .declining import Declining, Reply
from .errors import PolicyError, SecureMailError, WeakMechanismWarning, warn
from .redact import hide
from .redact.material import of_line
from .report import AuthReport
from .sasl.choose import APOP, Offer, choose_mechanism, name_of, takes
from .sasl.credentials import Secret
from .sasl.exchange import Exchange
from .sasl.mechanism import Broken, Cancelled, Unusable
from .trouble import BREAKS

_LEAST_ENCODED = 12  # letters in a row, as words seldom have: it may be something in base64
_GUESSABLE = ("CRAM-MD5", APOP)


class SigningIn(Declining):
    """The part of a connection that signs in."""

    _CHALLENGE: ClassVar[bytes]  # how a line begins that asks for more

    _auth_report: AuthReport | None = None
    _hushed: Secret | None = None  # during a sign-in: what the server may not be quoted with
    _callers_error: BaseException | None = None  # what a mechanism of the caller's raised
    _learns: bool = False  # that is in the lines that go out: the credentials are the caller's own

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

    def _command_sign_in(self, command: str, password: Any) -> Reply:
        """The protocol's own command with a password: IMAP's LOGIN, POP3's USER and PASS, APOP."""
        raise NotImplementedError

    def _sign_in(self, credentials: Any) -> Reply:
        """Choose, exchange, record. Raises `CredentialsRefused`, `AuthenticationFailed`,
        `ProtocolViolation`, `TimeLimitExceeded`, `ConnectFailed`."""
        self._require_credentials(credentials)
        line = self._line()
        with self._opening():
            self._offered = self._offer()
        wanted = self._auth.mechanisms
        way = choose_mechanism(credentials, self._offered, wanted, line, **self._details())
        if name_of(way) in _GUESSABLE:
            warn(
                WeakMechanismWarning(
                    f"{self._endpoint}: the password can be guessed from what {name_of(way)} "
                    "sends, as the policy asks."
                )
            )
        declined = None
        for ready in _attempts(credentials):
            self._declined = ""  # of the token before
            try:
                return self._sign_in_by(way, ready)
            except self._AUTH_FAILED as error:
                if self._ended is not None:
                    raise
                declined = error
        assert declined is not None
        raise declined

    def _sign_in_by(self, way: Any, credentials: Any) -> Reply:
        """Sign in by this one way: a mechanism's class, or the name of a command."""
        self._require_fresh(name_of(way), binds=getattr(way, "binds", False))
        if isinstance(way, str):
            return self._talked(way, lambda: self._command_sign_in(way, credentials), credentials)
        try:
            mechanism = way(credentials, self._terms())
        except Unusable as error:  # nothing was begun
            details = {**self._details(), "credentials_sent": False}
            raise PolicyError(str(error), code=error.code, hint=error.hint, **details) from None

        def again() -> Any:
            return way(credentials, self._terms())

        return self._talked(way.name, lambda: self._run(mechanism, again), credentials, mechanism)

    def _talked(
        self,
        name: str,
        talk: Callable[[], Reply],
        credentials: Any = None,
        mechanism: Any = None,
    ) -> Reply:
        """An attempt and its record."""
        reply = self._attempt(name, talk, credentials, mechanism)
        bound = getattr(mechanism, "bound", None)
        self._signed_in_by(name, getattr(credentials, "user", None) or None, bound)
        return reply

    def _attempt(
        self, name: str, talk: Callable[[], Reply], credentials: Any, mechanism: Any = None
    ) -> Reply:
        """One attempt by the way `name`; a success, or an error. `credentials`: None where only a
        callable of the caller's has them."""
        self._require_fresh(name, binds=getattr(mechanism, "binds", False))
        self._over = self._line()
        if self._transcript is not None:
            self._transcript.credentials(credentials)
        with self._excepting(name), self._hushing(credentials), self._during_sign_in(name):
            reply = talk()
            self._busy = False
            if reply.kind != "success" or self._repeats_a_secret(reply.text):
                reply = reply.without(self._secrets())
        if reply.kind != "success":
            raise self._declined_by_server(name, reply, credentials, mechanism)
        return reply

    def _signed_in_by(self, name: str, user: str | None, bound: str | None = None) -> None:
        self._auth_report = AuthReport(
            user=user, mechanism=name, channel_binding=bound, in_clear=self._in_clear
        )

    def _repeats_a_secret(self, words: bytes) -> bool:
        """A success has words of the server's own, and is the caller's result: looked through only
        where the password is a word of it. (Of "signed in" the password "sign" is none.)"""
        said = re.split(rb"[^0-9A-Za-z\x80-\xff]+", words.lower())
        for secret in self._secrets():
            one = secret.lower()
            if one in said or (not one.isalnum() and one in words.lower()):
                return True
        return any(len(word) >= _LEAST_ENCODED for word in said)

    # -- what may be shown of the server's words meanwhile

    @contextmanager
    def _hushing(self, credentials: Any) -> Iterator[None]:
        self._hush(Secret(getattr(credentials, "secrets", ())), learns=credentials is None)
        try:
            yield
        finally:
            self._hush(None)

    def _hush(self, secrets: Secret | None, *, learns: bool = False) -> None:
        self._hushed, self._learns = secrets, learns

    def _learn(self, line: Secret) -> None:
        """A line of a sign-in goes out."""
        if self._learns:
            secrets = of_line(line.reveal(), goes_on=False).secrets
            self._hushed = Secret((*self._secrets(), *secrets))

    def _scrub(self, error: BaseException | None) -> None:
        """A standard module's error quotes the server, and so do those before it: a traceback shows
        them all."""
        while error is not None:
            if not isinstance(error, SecureMailError):
                error.args = tuple(map(self._scrubbed, error.args))
            error = error.__cause__ or error.__context__

    def _scrubbed(self, said: Any) -> Any:
        if isinstance(said, str):
            return self._without_secrets(said.encode("utf-8", "surrogateescape")).decode(
                "utf-8", "surrogateescape"
            )
        return self._without_secrets(said) if isinstance(said, bytes) else said

    def _secrets(self) -> tuple[bytes, ...]:
        return cast(tuple[bytes, ...], self._hushed.reveal()) if self._hushed is not None else ()

    def _close_for(self, error: BaseException) -> BaseException:
        self._hush(None)  # nobody is quoted any more
        return super()._close_for(error)

    @property
    def _is_signing_in(self) -> bool:
        return self._hushed is not None

    def _quotable(self, line: bytes) -> bytes:
        """What may be shown of a server's line. SCRAM's challenges together are enough to guess
        the password from, and a server may repeat what it was sent."""
        if line.startswith(self._CHALLENGE):
            return self._CHALLENGE + b"<challenge>"
        return hide(line, self._secrets())

    def _without_secrets(self, words: bytes) -> bytes:
        """A server may repeat what it was sent where no reply is due, too."""
        return words if self._hushed is None else hide(words, self._secrets())

    # -- the dialogue

    def _run(self, mechanism: Any, again: Callable[[], Any] | None = None) -> Reply:
        """`again` makes the mechanism once more, for a server that takes no initial response."""
        initial = self._auth.initial_response == "prefer" and self._initial_response()
        exchange = Exchange(self._DIALECT, mechanism, initial=initial)
        reply = self._talk(exchange, mechanism)
        if again is not None and exchange.gave_initial and self._refuses_the_form(reply):
            mechanism = again()
            exchange = Exchange(self._DIALECT, mechanism, initial=False)
            reply = self._talk(exchange, mechanism)
        if reply.kind == "success":
            with self._callers_own():
                exchange.finish(reply.text)
        return reply

    def _talk(self, exchange: Exchange, mechanism: Any) -> Reply:
        """Lines to and fro, until the server is content or not."""
        with self._callers_own(has_begun=False):
            line = exchange.command()
        shown = f"{self._DIALECT.command} {mechanism.name} <secret>"
        while True:
            self._sent = exchange.sent
            self._write_secret(line, shown)
            if (reply := self._read_reply()).kind != "challenge":
                return reply
            try:
                with self._callers_own():
                    line, shown = exchange.respond(reply.text), "<secret>"
            except Cancelled:
                self._write_secret(Secret(self._DIALECT.cancel), "*")
                return self._read_verdict()

    def _refuses_the_form(self, reply: Reply) -> bool:
        """Whether the server refused the command's line, because of the initial response on it,
        and so cannot have judged what that says: BAD in IMAP (RFC 9051, 7.1.3), 500 or 501 in SMTP
        (RFC 5321, 4.2.1) with no code of its own about security (RFC 3463, X.7), -ERR with words
        about syntax or arguments in POP3."""
        return False

    @contextmanager
    def _callers_own(self, *, has_begun: bool = True) -> Iterator[None]:
        """Around what a mechanism does: ours, or one of the caller's. What he raises there is his,
        not the server's; and a dialogue that `has_begun` ends with it, since the next command would
        be taken for the answer that is due."""
        try:
            yield
        except (Broken, Cancelled, SecureMailError):
            raise
        except BaseException as error:
            if has_begun:
                self._close_for(self._interrupted(error))
            self._callers_error = error
            raise

    @contextmanager
    def _during_sign_in(self, name: str) -> Iterator[None]:
        """A dialogue that breaks off leaves no connection behind."""
        before, self._stage = self._stage, "during the sign-in"
        self._suspected = self._suspect(name)
        try:
            yield
        except Broken as error:
            raise self._close_for(self._not_a_sign_in(error)) from None
        except BaseException as error:
            if error is self._callers_error:
                raise
            if not isinstance(error, (*BREAKS, self._STANDARD_ERROR)):
                if not isinstance(error, SecureMailError):
                    self._close_for(self._interrupted(error))
                raise
            if self._ended is not None:
                self._close_now()
                self._raise_ended()
            if self._is_loss(error):
                self._raise_lost(error)
            if isinstance(error, SecureMailError):
                self._close_for(error)
                raise
            self._scrub(error)
            raise self._close_for(self._not_spoken(error)) from error
        finally:
            self._stage, self._suspected, self._callers_error = before, "", None

    def _require_credentials(self, credentials: object) -> None:
        if not takes(self._auth.mechanisms, credentials):
            raise PolicyError(
                f"{type(credentials).__name__} is no credentials.",
                code="credentials",
                hint="Write authenticate(Password(user, password)); or Token(user, token), "
                "External(), Anonymous().",
            )


def _attempts(credentials: Any) -> Iterator[Any]:
    """The credentials to try, one after the other: more than one of a token that can be renewed."""
    attempts = getattr(credentials, "attempts", None)
    return attempts() if attempts is not None else iter((credentials,))
