"""The three classes: how each becomes private."""

# The standard classes are described for type checkers as they are in one Python, without ours.
# mypy: disable-error-code="misc, override, unused-ignore"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import imaplib
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..connector import Connector
from ..errors import PolicyError, SecureMailError
from ..modes import CLEAR, STARTTLS, TLS
from ..policy import AuthPolicy, Limits, TLSPolicy
from .errors import IMAP4Unavailable
from .lines import STANDARD
from .sign_in import IMAP4SignIn

if TYPE_CHECKING:
    from ..transcript import To


if sys.version_info < (3, 12):
    from .. import python311

_PORT, _SSL_PORT = 143, 993
_IMAPLIB: Any = imaplib  # with the names that type checkers do not know

# Debug of this module, where a script sets it as it did in the standard one.
_OURS = sys.modules[__package__]  # type: ignore[index]


class IMAP4(IMAP4SignIn, imaplib.IMAP4):
    """An `imaplib.IMAP4`: in clear until `starttls()`. Nothing secret is sent before that, and
    mail is neither asked for nor sent unless `plaintext` says why.

    The standard arguments, and: `policy` (a `TLSPolicy`; none given means the one that
    `SECUREMAIL_POLICY` names, else `TLSPolicy()`), `auth` (an `AuthPolicy`), `limits` (`Limits`;
    `timeout`, in seconds, sets both of them), `server_hostname` (the name that the certificate
    must be for, where it is not `host`), `plaintext` (a reason, which also lets a server sign you
    in by PREAUTH), `connector` (a function of host, port and seconds that returns a connected
    socket, for proxies and tunnels), and `transcript` (a path, a text stream, a logger or a
    function of one `TranscriptLine`: where the dialogue goes, without secrets and without mail).

    Raises `ConnectFailed`, `TimeLimitExceeded`, `LimitExceeded`, `ProtocolViolation`,
    `UpgradeRefused` (PREAUTH), and `PolicyError` before anything is connected.
    """

    _MODE = CLEAR
    _PROTOCOL = "IMAP"
    _UPGRADED = "IMAP with STARTTLS"
    _VERB = "STARTTLS"

    def __init__(
        self,
        host: str = "",
        port: int = _PORT,
        timeout: float | None = None,
        *,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        plaintext: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        self._settle(
            policy,
            auth,
            limits,
            timeout,
            server_hostname,
            plaintext=plaintext,
            connector=connector,
            transcript=transcript,
        )
        self._start(host, port, timeout)

    def _start(self, host: str, port: int, timeout: float | None) -> None:
        self._begin(host or "localhost", port)
        with self._opening():
            STANDARD.__init__(self, host, port, timeout)
            if self._MODE is STARTTLS:
                self._upgrade()

    def open(self, host: str = "", port: int = _PORT, timeout: float | None = None) -> None:
        """Connect to `host` (none: localhost)."""
        if self._MODE is STARTTLS and not self._is_opening:
            raise PolicyError(
                "open() again would hand out a connection in clear.",
                code="policy",
                hint=f"Make a new {type(self).__name__}: it is upgraded before you get it.",
            )
        self._begin(host or "localhost", port)
        self._tls_established = False  # also where the object was connected before
        self.debug = self.debug or _OURS.__dict__.get("Debug", 0)
        STANDARD.open(self, host, port, timeout)

    def _get_capabilities(self) -> None:
        """As the standard class; and IMAP4rev2 alone is IMAP4 as well (RFC 9051, E)."""
        STANDARD._get_capabilities(self)
        if "IMAP4REV2" in self.capabilities and "IMAP4REV1" not in self.capabilities:
            self.capabilities = (*self.capabilities, "IMAP4REV1")

    # -- verbs that look at something else before they would send anything

    def uid(self, command: str, *args: Any) -> tuple[str, list[Any]]:
        """As the standard verb; raises the error that ended the connection, if one did."""
        self._raise_ended()
        return STANDARD.uid(self, command, *args)  # type: ignore[no-any-return]

    def enable(self, capability: str) -> tuple[str, list[Any]]:
        """As the standard verb; raises the error that ended the connection, if one did."""
        self._raise_ended()
        return STANDARD.enable(self, capability)  # type: ignore[no-any-return]

    # -- the end

    def __exit__(self, kind: object, *_: object) -> None:
        """LOGOUT; its answer is waited for two seconds at the most. After an exception only close:
        the server may be in the middle of a reply."""
        if self.state == "LOGOUT":
            return
        if kind is None:
            with suppress(OSError, self.error, SecureMailError):
                self.logout()
                return
        self._close_now()

    def logout(self) -> tuple[str, list[Any]]:
        """LOGOUT, and close; the server's BYE, also one that it has said before. Its answer is
        waited for two seconds at the most."""
        if isinstance(self._ended, IMAP4Unavailable):
            self.state = "LOGOUT"
            return "BYE", [self._last_words]
        with self._farewell():
            reply: tuple[str, list[Any]] = STANDARD.logout(self)
        return reply

    # -- the upgrade

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> tuple[str, list[Any]]:
        """Upgrade to verified TLS (RFC 9051, 6.2.1). Returns the server's reply.

        Raises `UpgradeRefused`, `TLSError`, `CertificateRejected`, `PinMismatch`,
        `TimeLimitExceeded`, `ConnectFailed`; the connection is closed then, and every later verb
        raises the same. An `ssl_context` must verify (`CERT_REQUIRED`, `check_hostname`).
        """
        self._raise_ended()
        if self._tls_established or self._MODE is TLS:
            raise self.abort("TLS session already established")
        reply: tuple[str, list[Any]] = self._upgrade(ssl_context)
        return reply

    def _offers_upgrade(self) -> bool:
        if self.state != "NONAUTH":  # by PREAUTH, which `plaintext` let in, or by a sign-in of his
            raise self._refused(
                f"the session is signed in already (its state is {self.state}), and then nobody "
                "can ask for TLS any more (RFC 9051, 6.2.1)",
                "preauth",
                f"Ask for TLS before signing in{self._another_port()}.",
            )
        return "STARTTLS" in self.capabilities

    def _ask_upgrade(self) -> tuple[str, list[Any]]:
        try:
            kind, data = self._simple_command("STARTTLS")
        except self.error as error:
            if isinstance(error, self.abort):
                raise
            raise self._declined_upgrade(str(error)) from None
        if kind != "OK":
            raise self._declined_upgrade(data[-1])
        return self._untagged_response(kind, data, "STARTTLS")  # type: ignore[no-any-return]

    def _forget(self) -> None:
        self._tls_established = True
        self.welcome, self.continuation_response, self.literal = b"", b"", None
        self.capabilities, self.untagged_responses, self.tagged_commands = (), {}, {}
        self.is_readonly, self.mo = False, None
        self._mode_ascii()
        self.__dict__.update(_cmd_log={}, _cmd_log_idx=0)
        self.__dict__.update(_readbuf=[], _idle_responses=[])  # Python 3.14

    def _ask_again(self) -> None:
        self._get_capabilities()
        versions = [v for v in _IMAPLIB.AllowedVersions if v in self.capabilities]
        if not versions:
            raise self.error("server not IMAP4 compliant")
        self.PROTOCOL_VERSION = versions[0]


class IMAP4_SSL(IMAP4, imaplib.IMAP4_SSL):
    """An `imaplib.IMAP4_SSL` whose server is verified before anything is said.

    The standard arguments, and: `policy`, `auth`, `limits`, `server_hostname`, `connector` and
    `transcript` as `IMAP4` has them. An `ssl_context` of your own must verify, and excludes
    `policy`.

    Raises `ConnectFailed`, `TLSError`, `CertificateRejected`, `PinMismatch`, `TimeLimitExceeded`,
    `ProtocolViolation`, and `PolicyError` before anything is connected.
    """

    _MODE = TLS
    _PROTOCOL = _UPGRADED = "IMAP over TLS"

    def __init__(
        self,
        host: str = "",
        port: int = _SSL_PORT,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float | None = None,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        self._settle(
            policy,
            auth,
            limits,
            timeout,
            server_hostname,
            context=ssl_context,
            connector=connector,
            transcript=transcript,
        )
        self._start(host, port, timeout)

    if sys.version_info < (3, 12):
        __init__ = python311.imap4_ssl(__init__)

    def open(self, host: str = "", port: int = _SSL_PORT, timeout: float | None = None) -> None:
        """Connect to `host` (none: localhost) and verify it."""
        super().open(host, port, timeout)

    def _begin(self, host: str, port: int) -> None:
        super()._begin(host, port)
        self.ssl_context = self._tls_context()


class IMAP4_STARTTLS(IMAP4):
    """IMAP that is upgraded by STARTTLS inside of the constructor: what you get is verified.

    The arguments of `IMAP4_SSL`, with port 143. Raises what that raises, and `UpgradeRefused`.
    """

    _MODE = STARTTLS
    _PROTOCOL = "IMAP with STARTTLS"

    def __init__(
        self,
        host: str = "",
        port: int = _PORT,
        timeout: float | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        self._settle(
            policy,
            auth,
            limits,
            timeout,
            server_hostname,
            context=ssl_context,
            connector=connector,
            transcript=transcript,
        )
        self._start(host, port, timeout)
