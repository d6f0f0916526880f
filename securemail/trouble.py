"""What goes wrong on a connection, as errors of ours: typed, with the place, and nothing left open.

The standard modules raise their own errors, and Python's, over whatever a server says or does.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from .channel import Verified
from .connecting import Endpoint
from .errors import (
    ConnectReset,
    LimitExceeded,
    ProtocolViolation,
    SecureMailError,
    TimeLimitExceeded,
    TLSError,
    printable,
    say_seconds,
)
from .modes import spoken_instead
from .policy import Limits
from .tls.handshake import NOT_TLS
from .tls.refusal import refused_by_its_own, tls_error

if TYPE_CHECKING:
    from .transcript import Transcript

# What the standard modules raise over a server's words: ends, time-outs, decoding, missing parts,
# sizes (IMAP's literals: too large for a number, or for the memory). Anything else is a mistake in
# a program, and is not blamed on the server.
BREAKS = (OSError, EOFError, ValueError, LookupError, OverflowError, MemoryError)

# Courier hangs up without a word on whom it has too many connections of.
_TOO_MANY = "It may have too many connections from this computer: try again later."
_NO_REASON = "It gave no reason; its log may have one."
_OPENING = "before it was ready"


class Trouble:
    """The part of a connection that knows what failed. Every attribute of these mix-ins has a
    class-level default: `imaplib` answers for missing ones with a message about commands."""

    _PROTOCOL: ClassVar[str]  # as reports name it
    _VIOLATION: ClassVar[type[ProtocolViolation]]  # also the standard module's error
    _LOST: ClassVar[type[ConnectReset]]  # likewise
    _STANDARD_ERROR: ClassVar[type[Exception]]  # the standard module's own
    # These are the standard module's as well, where it has one.
    _LIMIT: ClassVar[type[LimitExceeded]] = LimitExceeded
    _TIME_LIMIT: ClassVar[type[TimeLimitExceeded]] = TimeLimitExceeded
    _SEND_TIME_LIMIT: ClassVar[type[TimeLimitExceeded]] = TimeLimitExceeded
    _TLS_LOST: ClassVar[type[TLSError]] = TLSError

    _limits: Limits = Limits()
    _endpoint: Endpoint | None = None
    _sent: str = ""  # what of the credentials was sent on this connection, in words
    _in_clear: str | None = None  # why that was without TLS
    _ended: Exception | None = None  # what ended the connection: later verbs raise it too
    _stage: str = "in the middle of an answer"  # what is going on, for an error
    _suspected: str = ""  # what the server may hang up at, for an error
    _busy: bool = False  # a command went out, and its reply is not whole
    _transcript: Transcript | None = None  # the caller wants one
    _hung_up: str = (
        "Some servers hang up where others decline: check the user name and the password; else "
        "the server's log has the reason."
    )
    _open_until: float | None = None  # what is said while it is opened has one time, together
    _unheard: str = ""  # what a silent server may be waiting for; until something was said to it

    @property
    def _is_signing_in(self) -> bool:
        return False

    def _close_now(self) -> None:
        """Close without a word to the server."""
        raise NotImplementedError

    def _raise_ended(self) -> None:
        """Raise the error that ended the connection, if one did."""
        if self._ended is not None:
            raise self._ended.with_traceback(None)  # else each time would add to the last one's

    def _close_for(self, error: BaseException) -> BaseException:
        """Close because of `error`, which every later verb raises as well."""
        if isinstance(error, Exception):
            self._ended = error
        if self._transcript is not None:
            self._transcript.end(error)
        self._close_now()
        return error

    def _raise_lost(self, error: Exception) -> NoReturn:
        """The connection ended, or failed, by `error`: close, and say so now and later."""
        lost = self._close_for(self._lost(self._stage, error))
        if lost is error:
            raise lost
        raise lost from error

    def _interrupted(self, error: BaseException) -> Exception:
        """What later verbs raise once `error`, no fault of the server's, left a reply half read or
        a command half written: what comes next could not be told apart."""
        if isinstance(error, SecureMailError):
            return error
        if self._ended is not None:
            return self._ended
        return self._LOST(
            f"the connection was closed when {type(error).__name__} was raised {self._stage}.",
            code="interrupted",
            hint="What the server had still to say would be taken for the next answer. Make a new "
            "connection.",
            **self._details(),
        )

    def _break_off(self, error: BaseException) -> None:
        """An exception of somebody else's came in the middle (Ctrl-C, a signal's handler, another
        thread): that is the end of the connection, and the exception goes on."""
        if self._ended is None:
            self._close_for(self._interrupted(error))

    @contextmanager
    def _undivided(self) -> Iterator[None]:
        """Around a command and its reply: what comes in between is the end. (A time-out of the
        caller's own, as in IDLE, is not.)"""
        try:
            yield
        except TimeoutError:
            raise
        except BaseException as error:
            if self._busy:
                self._break_off(error)
            raise

    def _doubt(self) -> str:
        """What may have been done all the same, where the answer to it is missing."""
        return ""

    def _details(self) -> dict[str, Any]:
        """For an error: where, and whether credentials were sent, and what of them."""
        details: dict[str, Any] = self._endpoint.details() if self._endpoint else {}
        details["credentials_sent"] = bool(self._sent)
        return {**details, "sent": self._sent, "in_clear": self._in_clear is not None}

    def _offered_certificate(self) -> str | None:
        """The fingerprint of the client certificate that the server could have; also when the
        socket is closed by now."""
        channel = getattr(self, "_channel", None)
        return channel.report.client_certificate if isinstance(channel, Verified) else None

    def _lost(self, when: str, error: Exception) -> SecureMailError:
        """The error for a connection that ended, or went silent, `when`."""
        details = self._details()
        if isinstance(error, TLSError) and error.host is None:  # the gate does not know the place
            return TLSError(error.message, code=error.code, hint=error.hint, **details)
        if isinstance(error, SecureMailError):
            return error
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        if isinstance(cause, TimeoutError):
            return self._TIME_LIMIT(
                f"the server said nothing for {say_seconds(self._limits.read)}, {when}.",
                hint=self._unheard
                or self._doubt()
                or "It may be overloaded; Limits(read=...) waits longer.",
                **details,
            )
        ended = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return refused_by_its_own(cause, details)
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ended):
            if cause.reason in NOT_TLS and not self._is_opening:
                return self._LOST(
                    f"the server went on in clear where TLS was, {when}: a farewell, as some "
                    "servers say one when they close a connection that was idle, or stop.",
                    hint=self._doubt() or "Nothing of it was read. Make a new connection.",
                    **details,
                )
            found = tls_error(cause, details, self._offered_certificate())
            return self._TLS_LOST(found.message, code=found.code, hint=found.hint, **details)
        return self._LOST(
            f"the server hung up {when}.",
            number=getattr(cause, "errno", None),
            hint=(self._unheard and f"{_TOO_MANY} {self._unheard}")
            or self._doubt()
            or self._suspected
            + (self._hung_up if self._sent and self._is_signing_in else _NO_REASON),
            **details,
        )

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """Around what is said before a sign-in: whatever fails is typed, and nothing stays open."""
        before, self._stage = self._stage, _OPENING
        try:
            yield
        except BaseException as error:
            raised = self._close_for(self._opening_error(error))
            if raised is error:
                raise
            raise raised from error
        finally:
            self._stage = before
            if not self._is_opening:
                self._open_until = None

    def _opening_error(self, error: BaseException) -> BaseException:
        if not isinstance(error, Exception) or isinstance(error, (SecureMailError, Warning)):
            return error  # a Warning: the caller made it an error
        if self._ended is not None:
            return self._ended  # the standard modules wrap what they do not know
        if isinstance(error.__context__, SecureMailError):
            return error.__context__  # smtplib wraps every OSError, ours included
        if not isinstance(error, (*BREAKS, self._STANDARD_ERROR)):
            return error
        if self._is_loss(error):
            return self._lost(self._stage, error)
        return self._not_spoken(error)

    @property
    def _is_opening(self) -> bool:
        return self._stage == _OPENING

    def _is_loss(self, error: Exception) -> bool:
        """A connection that ended or went silent, not one that says something wrong."""
        is_standard = isinstance(error, self._STANDARD_ERROR)
        return self._is_end(error) if is_standard else isinstance(error, (OSError, EOFError))

    def _is_end(self, error: Exception) -> bool:
        """Whether the standard module means the end of the connection by `error`."""
        raise NotImplementedError

    def _without_secrets(self, words: bytes) -> bytes:
        """What may be quoted of the server's words now."""
        return words

    def _not_spoken(self, error: Exception) -> Exception:
        """For words that are not of this protocol."""
        hint = "The connection is closed: make a new one."
        if self._is_opening:
            other = spoken_instead(_said(error), self._PROTOCOL)
            hint = other or "Is this the right port, and nothing in between?"
        said = _said(error, self._without_secrets)
        return self._VIOLATION(
            f"the server does not speak as {self._PROTOCOL.split()[0]} does: {said}.",
            hint=hint,
            **self._details(),
        )


def _said(error: Exception, hide: Callable[[bytes], bytes] = bytes) -> str:
    """What a standard module's error quotes of the server, or says itself. Its last argument is
    that: a reply's number comes before. `hide`: takes out what must not be shown."""
    said = error.args[-1] if error.args else ""
    if isinstance(said, bytes):
        return f'"{printable(hide(said))}"'
    words = str(said) or type(error).__name__
    return printable(hide(words.encode("utf-8", "backslashreplace")))
