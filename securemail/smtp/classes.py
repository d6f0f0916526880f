"""The three classes: how each becomes private."""

# The standard classes are described for type checkers as they are in one Python, without ours.
# mypy: disable-error-code="misc, override, unused-ignore"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import smtplib
import socket
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..connection import DEFAULT
from ..connector import Connector
from ..errors import SecureMailError
from ..modes import CLEAR, STARTTLS, TLS
from ..policy import AuthPolicy, Limits, TLSPolicy
from ..wire import octets_of
from .lines import STANDARD
from .message import in_crlf, require_address
from .sign_in import SMTPSignIn

if TYPE_CHECKING:
    from ..transcript import To


if sys.version_info < (3, 12):
    from .. import python311

_SUBMISSION = 587  # RFC 6409


class SMTP(SMTPSignIn, smtplib.SMTP):
    """An `smtplib.SMTP`: in clear until `starttls()`. Nothing secret is sent before that, and mail
    only if the server is this computer, or `plaintext` says why; either warns.

    The standard arguments, and: `policy` (a `TLSPolicy`; none given means the one that
    `SECUREMAIL_POLICY` names, else `TLSPolicy()`), `auth` (an `AuthPolicy`), `limits` (`Limits`;
    `timeout`, in seconds, sets both of them), `server_hostname` (the name that the certificate
    must be for, where it is not `host`), `plaintext` (a reason), `connector` (a function of
    host, port and seconds that returns a connected socket, for proxies and tunnels), and
    `transcript` (a path, a text stream, a logger or a function of one `TranscriptLine`: where the
    dialogue goes, without secrets and without mail).
    With no `local_hostname` the EHLO name is this end's address (RFC 5321, 4.1.3): no look-up.

    Raises `ConnectFailed`, `TimeLimitExceeded`, `LimitExceeded`, `ProtocolViolation`, and
    `PolicyError` before anything is connected.
    """

    _MODE = CLEAR
    _PROTOCOL = "SMTP"
    _UPGRADED = "SMTP with STARTTLS"
    _VERB = "STARTTLS"

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        timeout: float | None = DEFAULT,
        source_address: Any = None,
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
        self._start(host, port, local_hostname, timeout, source_address)

    def _start(
        self,
        host: str,
        port: int,
        local_hostname: str | None,
        timeout: float | None,
        source_address: Any,
    ) -> None:
        self._names_itself = local_hostname is None
        # Without a host: the standard constructor would look this computer's name up.
        STANDARD.__init__(self, "", 0, local_hostname or "localhost", timeout, source_address)
        if host:
            with self._opening():
                code, words = self.connect(host, port)
                if code != 220:
                    raise smtplib.SMTPConnectError(code, words)

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: Any = None
    ) -> tuple[int, bytes]:
        """Connect to `host` (also `host:port`); the greeting's code and words."""
        if not port and host.count(":") == 1:
            host, _, port = host.partition(":")  # type: ignore[assignment]
        self._close_now()
        self._forget()
        self._host = host or "localhost"  # Python up to 3.13 sets it in the constructor alone
        self._begin(self._host, port or self.default_port)
        with self._opening():
            reply: tuple[int, bytes] = STANDARD.connect(self, self._host, port, source_address)
            if self._names_itself:
                self.local_hostname = _address_literal(self.sock)
            if self._MODE is STARTTLS:
                reply = self._upgrade_after(*reply)
        return reply

    def _upgrade_after(self, code: int, words: bytes) -> tuple[int, bytes]:
        """Never hand out what is in clear: a greeting that declines, which a caller of the standard
        class looks at himself, is an error here."""
        with self._all_or_nothing():
            if code != 220:
                raise smtplib.SMTPConnectError(code, words)
            self._upgrade()
        return code, b""  # the words came in clear

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        if self.debuglevel > 0:
            self._print_debug("connect: to", (host, port), self.source_address)
        return self._connected(self.source_address)

    def _dials(self) -> bool:
        return type(self)._get_socket is SMTP._get_socket

    def __exit__(self, kind: object, *_: object) -> None:
        """QUIT; its answer is waited for two seconds at the most, and does not matter: what was
        accepted is. After an exception only close: the server may be in the middle of something,
        and QUIT would be taken for a part of it."""
        if kind is None and self._ended is None and self.sock is not None:
            with suppress(smtplib.SMTPServerDisconnected, SecureMailError), self._farewell():
                code, words = self.docmd("QUIT")
                if code != 221:
                    self._close_now()
                    raise smtplib.SMTPResponseException(code, words)
        self._close_now()

    def quit(self) -> tuple[int, bytes]:
        """QUIT, and close. Its answer is waited for two seconds at the most; without it, an
        `SMTPServerDisconnected`: what was accepted before is."""
        with self._farewell():
            reply: tuple[int, bytes] = STANDARD.quit(self)
        return reply

    # -- mail

    def mail(self, sender: str, options: Any = ()) -> tuple[int, bytes]:
        """MAIL, as the standard verb; an address that has more than an address in it is refused."""
        self._require_addresses(sender, options=options)
        reply: tuple[int, bytes] = STANDARD.mail(self, sender, options)
        return reply

    def rcpt(self, recip: str, options: Any = ()) -> tuple[int, bytes]:
        """RCPT, as the standard verb; an address that has more than an address in it is refused."""
        self._require_addresses(recip)
        reply: tuple[int, bytes] = STANDARD.rcpt(self, recip, options)
        return reply

    def data(self, msg: Any) -> tuple[int, bytes]:
        """DATA and the message, as the standard verb; of octets a lone LF becomes CRLF, and a lone
        CR is refused (RFC 5321, 2.3.8): servers differ in what it is, and may see the end of the
        message there, and commands after it."""
        msg = msg if isinstance(msg, str) else in_crlf(octets_of(msg))
        reply: tuple[int, bytes] = STANDARD.data(self, msg)
        return reply

    def sendmail(
        self,
        from_addr: str,
        to_addrs: Any,
        msg: Any,
        mail_options: Any = (),
        rcpt_options: Any = (),
    ) -> dict[str, tuple[int, bytes]]:
        """As the standard verb. Addresses are looked at before anything is sent; `msg` as octets
        has its line ends put right (see `data`), as text has them."""
        several = [to_addrs] if isinstance(to_addrs, str) else list(to_addrs)
        self._require_addresses(from_addr, *several, options=mail_options)
        msg = msg if isinstance(msg, str) else in_crlf(octets_of(msg))
        refused: dict[str, tuple[int, bytes]] = STANDARD.sendmail(
            self, from_addr, several, msg, mail_options, rcpt_options
        )
        return refused

    def _require_addresses(self, *addresses: Any, options: Any = ()) -> None:
        """Each is one address; in ASCII, unless SMTPUTF8 is asked for (RFC 6531)."""
        wide = self.command_encoding != "ascii" or "SMTPUTF8" in {str(o).upper() for o in options}
        for address in addresses:
            if isinstance(address, str):
                require_address(address, wide=wide, **self._details())

    # -- the upgrade

    def starttls(self, *, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
        """Upgrade to verified TLS (RFC 3207). Returns the reply's code and words.

        Raises `UpgradeRefused`, `TLSError`, `CertificateRejected`, `PinMismatch`,
        `TimeLimitExceeded`, `ConnectFailed`; the connection is closed then, and every later verb
        raises the same. A `context` must verify (`CERT_REQUIRED`, `check_hostname`).
        """
        if self._MODE is TLS or isinstance(self.sock, ssl.SSLSocket):
            raise smtplib.SMTPNotSupportedError("TLS session already established")
        reply: tuple[int, bytes] = self._upgrade(context)
        return reply

    if sys.version_info < (3, 12):
        starttls = python311.starttls(starttls)

    def _offers_upgrade(self) -> bool:
        self.ehlo_or_helo_if_needed()
        return self.has_extn("starttls")

    def _ask_upgrade(self) -> tuple[int, bytes]:
        code, words = self.docmd("STARTTLS")
        if code != 220:
            raise self._declined_upgrade(b"%d %s" % (code, words))
        return code, words

    def _forget(self) -> None:
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        self.command_encoding = "ascii"
        self._mail, self._chunk, self._due = "no", 0, ()


class SMTP_SSL(SMTP, smtplib.SMTP_SSL):
    """An `smtplib.SMTP_SSL` whose server is verified before anything is said.

    The standard arguments, and: `policy`, `auth`, `limits`, `server_hostname`, `connector` and
    `transcript` as `SMTP` has them. A `context` of your own must verify, and excludes `policy`.

    Raises `ConnectFailed`, `TLSError`, `CertificateRejected`, `PinMismatch`, `TimeLimitExceeded`,
    `ProtocolViolation`, and `PolicyError` before anything is connected.
    """

    _MODE = TLS
    _PROTOCOL = _UPGRADED = "SMTP over TLS"
    default_port = smtplib.SMTP_SSL_PORT

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        *,
        timeout: float | None = DEFAULT,
        source_address: Any = None,
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
        self.context = self._tls_context()
        self._start(host, port, local_hostname, timeout, source_address)

    if sys.version_info < (3, 12):
        __init__ = python311.smtp_ssl(__init__)

    def _begin(self, host: str, port: int) -> None:
        super()._begin(host, port)
        self.context = self._tls_context()


class SMTP_STARTTLS(SMTP):
    """SMTP that is upgraded by STARTTLS inside of the constructor, or of `connect`: what you get is
    verified.

    The arguments of `SMTP_SSL`, with port 587. Raises what that raises, and `UpgradeRefused`.
    """

    _MODE = STARTTLS
    _PROTOCOL = "SMTP with STARTTLS"
    default_port = _SUBMISSION

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        timeout: float | None = DEFAULT,
        source_address: Any = None,
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
        self._start(host, port, local_hostname, timeout, source_address)


def _address_literal(sock: Any) -> str:
    """This end's address as EHLO takes it (RFC 5321, 4.1.3)."""
    name = sock.getsockname()
    if isinstance(name, (str, bytes)):  # a unix socket
        return "localhost"
    address = str(name[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
