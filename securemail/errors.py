"""Every error and warning that is shared, and nothing of ours imported.

    SecureMailError
    ├── PolicyError(ValueError)              the caller asked for something contradictory or unsafe
    ├── ConnectFailed(OSError)               no connection; also an instance of the original class
    ├── TLSError(ssl.SSLError)               no TLS that the policy accepts
    │   └── CertificateRejected(ssl.SSLCertVerificationError)
    │       ├── PinMismatch                  not the key that was pinned
    │       └── UnknownServer                first use: learn it or not
    ├── UpgradeRefused                       STARTTLS not offered, refused, or tampered with
    ├── CredentialsRefused                   we declined to send a secret
    ├── ProtocolViolation                    the server broke the protocol
    ├── LimitExceeded                        too much
    │   └── TimeLimitExceeded(TimeoutError)  too slow
    └── AuthenticationFailed                 the server declined the credentials

    SecureMailWarning(UserWarning)
    ├── SelfSignedWarning    ├── WaiverWarning     ├── LegacyCiphersWarning
    ├── PlaintextWarning     └── WeakMechanismWarning

`UpgradeRefused` and `CredentialsRefused` inherit from nothing that scripts catch and forget:
an `except (OSError, SMTPException): pass` must not carry on in clear.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
import warnings
from typing import Any


class SecureMailError(Exception):
    """Base of all errors raised by securemail.

    Its text says where, what was found and what was expected, whether a credential was sent, and
    what to do. Attributes: `code` (stable, one word with hyphens), `hint` (what to do), `host`,
    `port`, `protocol`, `reasons` (typed), `credentials_sent` (None where no server was involved),
    `sent` (what of them, in words), `in_clear` (whether that was without TLS). Can be pickled.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        host: str | None = None,
        port: int | None = None,
        protocol: str | None = None,
        reasons: tuple[Any, ...] = (),
        credentials_sent: bool | None = None,
        sent: str = "the password",
        in_clear: bool = False,
    ) -> None:
        self.message = message
        self.code = code or type(self).code
        self.hint = hint
        self.host = host
        self.port = port
        self.protocol = protocol
        self.reasons = reasons
        self.credentials_sent = credentials_sent
        self.sent = sent if credentials_sent else ""
        self.in_clear = in_clear
        super().__init__(*self._standard_args(self._text()))

    def _text(self) -> str:
        over = "in clear" if self.in_clear else "over verified TLS"
        sent = {
            None: "",
            False: "No password was sent.",
            True: f"{self.sent[:1].upper()}{self.sent[1:]} had been sent, {over}.",
        }[self.credentials_sent]
        where = self.where
        said = f"{where}: {self.message}" if where else self.message
        more = f"More: {self.more}." if self.message else ""  # without: one that a store raised
        after = " ".join(part for part in (sent, self.hint, more) if part)
        return said + (" " if after and not said.endswith("\n") else "") + after

    @property
    def more(self) -> str:
        """The command that prints the page about this `code`."""
        return f"securemail explain {self.code}"

    @property
    def where(self) -> str:
        """`host:port (protocol)`, as far as they are known."""
        if self.host is None:
            return ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = host if self.port is None else f"{host}:{self.port}"
        return f"{place} ({self.protocol})" if self.protocol else place

    def _standard_args(self, text: str) -> tuple[Any, ...]:
        """The arguments for the standard exception that a subclass also is."""
        return (text,)

    def __str__(self) -> str:
        return self._text()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[SecureMailError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    super(SecureMailError, error).__init__(*args)
    error.__dict__.update(state)
    return error


class PolicyError(SecureMailError, ValueError):
    """The caller's request is contradictory, unsafe, or names a file that does not serve."""

    code = "policy"


class ConnectFailed(SecureMailError, OSError):
    """No connection: one line for each address that was tried.

    Also an instance of the original class (`ConnectionRefusedError`, `TimeoutError`,
    `socket.gaierror` …) with its `errno`.
    """

    code = "connect"

    def __init__(self, message: str, *, number: int | None = None, **details: Any) -> None:
        self._number = number
        super().__init__(message, **details)

    def _standard_args(self, text: str) -> tuple[Any, ...]:
        return (self._number, text)

    @classmethod
    def like(cls, cause: OSError) -> type[ConnectFailed]:
        """The subclass that is also an instance of `cause`'s standard class."""
        for kind in _CONNECT_KINDS:
            if isinstance(cause, kind.__bases__[1]):
                return kind
        return cls


class NameNotFound(ConnectFailed, socket.gaierror):
    """The name could not be looked up."""

    code = "name-not-found"


class ConnectTimedOut(ConnectFailed, TimeoutError):
    """No answer within the time limit."""

    code = "connect-timed-out"


class ConnectRefused(ConnectFailed, ConnectionRefusedError):
    """Nothing listens there, or a firewall says so."""

    code = "connect-refused"


class ConnectReset(ConnectFailed, ConnectionResetError):
    """The other side hung up while the connection was made."""

    code = "connect-reset"


class ConnectDenied(ConnectFailed, PermissionError):
    """This computer does not allow the connection."""

    code = "connect-denied"


_CONNECT_KINDS = (NameNotFound, ConnectTimedOut, ConnectRefused, ConnectReset, ConnectDenied)


class TLSError(SecureMailError, ssl.SSLError):
    """TLS that the policy accepts could not be agreed."""

    code = "tls"
    # What `ssl` sets on its own errors; programs read them.
    library = "SSL"
    reason = ""

    def _standard_args(self, text: str) -> tuple[Any, ...]:
        # Two arguments: with one, ssl.SSLError prints itself as a tuple.
        return (ssl.SSL_ERROR_SSL, text)


class CertificateRejected(TLSError, ssl.SSLCertVerificationError):
    """The server's certificate is not acceptable. `reasons` has all the facts, typed.

    `chain` is what the server presented, DER, leaf first; `verify_code` is OpenSSL's (0 where
    OpenSSL was content and the policy was not).
    """

    code = "certificate"
    reason = "CERTIFICATE_VERIFY_FAILED"

    def __init__(
        self, message: str, *, chain: tuple[bytes, ...] = (), verify_code: int = 0, **details: Any
    ) -> None:
        self.chain = chain
        self.verify_code = verify_code
        self.verify_message = message
        super().__init__(message, **details)

    def particulars(self) -> dict[str, Any]:
        """What a subclass has beside the others: arguments for another one of its kind."""
        return {}


class PinMismatch(CertificateRejected):
    """The server's key is not one of those that were pinned."""

    code = "pin-mismatch"


class UnknownServer(CertificateRejected):
    """First use: the server is not known yet. For `FirstUseTrust.learn`, once `fingerprint` was
    compared by another way than the connection that showed it.

    `fingerprint`: the certificate's SHA-256, `AB:CD:…`; `pin`: its key's, `sha256/…`; `endpoint`:
    protocol, host and port.
    """

    code = "unknown-server"

    def __init__(
        self,
        message: str,
        *,
        fingerprint: str = "",
        pin: str = "",
        endpoint: tuple[str, str, int] | None = None,
        **details: Any,
    ) -> None:
        self.fingerprint, self.pin, self.endpoint = fingerprint, pin, endpoint
        super().__init__(message, **details)

    def particulars(self) -> dict[str, Any]:
        return {"fingerprint": self.fingerprint, "pin": self.pin, "endpoint": self.endpoint}


class UpgradeRefused(SecureMailError):
    """STARTTLS was not offered, was refused, or was tampered with."""

    code = "upgrade-refused"


class CredentialsRefused(SecureMailError):
    """We declined to send a secret; `reasons` says why, for each way that was passed over."""

    code = "credentials-refused"


class ProtocolViolation(SecureMailError):
    """The server broke the protocol. The mail modules raise subclasses that are also the
    standard module's error."""

    code = "protocol"


class LimitExceeded(SecureMailError):
    """The server sent more than `Limits` allows."""

    code = "limit"


class TimeLimitExceeded(LimitExceeded, TimeoutError):
    """The server was slower than `Limits` allows."""

    code = "time-limit"

    def _standard_args(self, text: str) -> tuple[Any, ...]:
        return (errno.ETIMEDOUT, text)


class AuthenticationFailed(SecureMailError):
    """The server declined the credentials, or could not prove itself. The mail modules raise
    subclasses that are also the standard module's error, with the same `args`: `raw`, a tuple.
    `mechanism`: the way that was tried; `offered`: the other ways that the server has for such
    credentials; `reasons`: what the server said inside of the mechanism."""

    code = "authentication"

    def __init__(
        self,
        message: str,
        *,
        raw: tuple[Any, ...] = (),
        mechanism: str = "",
        offered: tuple[str, ...] = (),
        **details: Any,
    ) -> None:
        self.raw = raw
        self.mechanism, self.offered = mechanism, offered
        super().__init__(message, **details)

    def _standard_args(self, text: str) -> tuple[Any, ...]:
        return self.raw or (text,)


class SecureMailWarning(UserWarning):
    """Base of all warnings from securemail."""


class SelfSignedWarning(SecureMailWarning):
    """A self-signed certificate was accepted, as the policy asked."""


class WaiverWarning(SecureMailWarning):
    """A named, reasoned, dated exception was used."""


class LegacyCiphersWarning(SecureMailWarning):
    """The policy allows cipher suites without forward secrecy."""


class PlaintextWarning(SecureMailWarning):
    """Something travelled in clear, as the policy asked."""


class WeakMechanismWarning(SecureMailWarning):
    """A sign-in mechanism that can be guessed off-line was used, as the policy asked."""


def say_seconds(seconds: float | None) -> str:
    """A time limit in words; without one, a wait is ended by the system."""
    return "the system's own time limit" if seconds is None else f"{seconds:g} s"


def printable(text: str | bytes, longest: int = 300) -> str:
    """Text from the other side, safe on a terminal and in a log: one line, controls escaped."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


# Frames of these modules are not the caller's: a warning should point at the caller's line.
_INNER = ("securemail", "ssl", "socket", "poplib", "imaplib", "smtplib", "asyncio", "contextlib")


def warn(warning: Warning) -> None:
    """Raise `warning` through `warnings`, pointing at the first line outside of the library."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_inner(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


def _is_inner(module: str) -> bool:
    return module.partition(".")[0] in _INNER
