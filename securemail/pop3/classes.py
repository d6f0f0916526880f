"""The three classes: how each becomes private."""

# The standard classes are described for type checkers as they are in one Python, without ours.
# mypy: disable-error-code="misc, override, unused-ignore"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import poplib
import ssl
import sys
from typing import TYPE_CHECKING

from ..connection import DEFAULT
from ..connector import Connector
from ..errors import SecureMailError
from ..modes import CLEAR, STARTTLS, TLS
from ..policy import AuthPolicy, Limits, TLSPolicy
from .errors import is_refusal
from .lines import STANDARD
from .sign_in import POP3SignIn, challenge_in

if TYPE_CHECKING:
    from ..transcript import To


if sys.version_info < (3, 12):
    from .. import python311


class POP3(POP3SignIn, poplib.POP3):
    """A `poplib.POP3`: in clear until `stls()`. Nothing secret is sent before that, and mail is
    neither asked for nor shown unless the server is this computer, or `plaintext` says why.

    The standard arguments, and: `policy` (a `TLSPolicy`; none given means the one that
    `SECUREMAIL_POLICY` names, else `TLSPolicy()`), `auth` (an `AuthPolicy`), `limits` (`Limits`;
    `timeout`, in seconds, sets both of them), `server_hostname` (the name that the certificate
    must be for, where it is not `host`), `plaintext` (a reason), `connector` (a function of
    host, port and seconds that returns a connected socket, for proxies and tunnels), and
    `transcript` (a path, a text stream, a logger or a function of one `TranscriptLine`: where the
    dialogue goes, without secrets and without mail).

    Raises `ConnectFailed`, `TimeLimitExceeded`, `LimitExceeded`, `ProtocolViolation`, and
    `PolicyError` before anything is connected.
    """

    _MODE = CLEAR
    _PROTOCOL = "POP3"
    _UPGRADED = "POP3 with STLS"
    _VERB = "STLS"

    def __init__(
        self,
        host: str,
        port: int = poplib.POP3_PORT,
        timeout: float | None = DEFAULT,
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
        self._begin(host, port)
        with self._opening():
            STANDARD.__init__(self, host, port, timeout)
            if self._MODE is STARTTLS:
                self._upgrade()

    # -- the upgrade

    def stls(self, context: ssl.SSLContext | None = None) -> bytes:
        """Upgrade to verified TLS (RFC 2595, 4). Returns the server's reply.

        Raises `UpgradeRefused`, `TLSError`, `CertificateRejected`, `PinMismatch`,
        `TimeLimitExceeded`, `ConnectFailed`; the connection is closed then, and every later verb
        raises the same. A `context` must verify (`CERT_REQUIRED`, `check_hostname`).
        """
        self._raise_ended()
        if self._tls_established or self._MODE is TLS:
            raise poplib.error_proto("-ERR TLS session already established")
        reply: bytes = self._upgrade(context)
        return reply

    def _offers_upgrade(self) -> bool:
        try:
            return "STLS" in map(str.upper, self.capa())  # in any case: RFC 2449, 5
        except SecureMailError:
            raise
        except poplib.error_proto as error:
            cause = error.__context__  # capa() says "not supported", whatever happened
            if isinstance(cause, poplib.error_proto) and not is_refusal(cause):
                raise cause from None
            return False

    def _ask_upgrade(self) -> bytes:
        try:
            reply: bytes = STANDARD._shortcmd(self, "STLS")
        except poplib.error_proto as error:
            if is_refusal(error):
                raise self._declined_upgrade(error.args[0]) from None
            raise
        return reply

    def _forget(self) -> None:
        """Of the greeting the message-id is kept, which APOP digests: that goes to the verified
        server, so a forged one only fails."""
        self._tls_established = True
        self._said_in_clear, self.welcome = challenge_in(self.welcome), b"+OK"
        self._user = self._listed = None

    # -- context manager, as the other two protocols have it

    def __enter__(self) -> POP3:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """QUIT; after an error only close, so that no deletion is carried out (RFC 1939, 6)."""
        if self.sock is None:
            return
        if kind is None:
            self.quit()
        self._close_now()


class POP3_SSL(POP3, poplib.POP3_SSL):
    """A `poplib.POP3_SSL` whose server is verified before anything is said.

    The standard arguments, and: `policy`, `auth`, `limits`, `server_hostname`, `connector` and
    `transcript` as `POP3` has them. A `context` of your own must verify, and excludes `policy`.

    Raises `ConnectFailed`, `TLSError`, `CertificateRejected`, `PinMismatch`, `TimeLimitExceeded`,
    `ProtocolViolation`, and `PolicyError` before anything is connected.
    """

    _MODE = TLS
    _PROTOCOL = _UPGRADED = "POP3 over TLS"

    def __init__(
        self,
        host: str,
        port: int = poplib.POP3_SSL_PORT,
        *,
        timeout: float | None = DEFAULT,
        context: ssl.SSLContext | None = None,
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
            context=context,
            connector=connector,
            transcript=transcript,
        )
        self._start(host, port, timeout)

    if sys.version_info < (3, 12):
        __init__ = python311.pop3_ssl(__init__)
        stls = python311.starttls(POP3.stls)

    def _begin(self, host: str, port: int) -> None:
        super()._begin(host, port)
        self.context = self._tls_context()


class POP3_STARTTLS(POP3):
    """POP3 that is upgraded by STLS inside of the constructor: what you get is verified.

    The arguments of `POP3_SSL`, with port 110. Raises what that raises, and `UpgradeRefused`.
    """

    _MODE = STARTTLS
    _PROTOCOL = "POP3 with STLS"

    def __init__(
        self,
        host: str,
        port: int = poplib.POP3_PORT,
        timeout: float | None = DEFAULT,
        *,
        context: ssl.SSLContext | None = None,
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
            context=context,
            connector=connector,
            transcript=transcript,
        )
        self._start(host, port, timeout)
