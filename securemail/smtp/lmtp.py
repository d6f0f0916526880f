"""LMTP (RFC 2033): SMTP's way of handing mail to a delivery agent, mostly on the same computer."""

# The standard classes are described for type checkers as they are in one Python, without ours.
# mypy: disable-error-code="misc, override, unused-ignore"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import smtplib
import socket
from typing import TYPE_CHECKING, Any

from ..channel import Plaintext
from ..connecting import Endpoint
from ..connection import DEFAULT
from ..connector import Connector
from ..errors import ConnectFailed, PolicyError
from ..hosts import Host
from ..policy import AuthPolicy, Limits, TLSPolicy
from .classes import SMTP

if TYPE_CHECKING:
    from ..transcript import To


class LMTP(SMTP, smtplib.LMTP):
    """An `smtplib.LMTP`, guarded like `SMTP`: a host that begins with "/" is a unix socket, which
    is this computer. With `starttls` there, `server_hostname` says what to verify.
    """

    _PROTOCOL = "LMTP"
    _UPGRADED = "LMTP with STARTTLS"

    def __init__(
        self,
        host: str = "",
        port: int = smtplib.LMTP_PORT,
        local_hostname: str | None = None,
        source_address: Any = None,
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
        super().__init__(
            host,
            port,
            local_hostname,
            timeout,
            source_address,
            policy=policy,
            auth=auth,
            limits=limits,
            server_hostname=server_hostname,
            plaintext=plaintext,
            connector=connector,
            transcript=transcript,
        )

    # -- DATA is answered once for each recipient that was accepted (RFC 2033, 4.2)

    _accepted: tuple[str, ...] = ()
    _verdicts: dict[str, tuple[int, bytes]] = {}  # noqa: RUF012 - replaced, never changed

    def mail(self, sender: str, options: Any = ()) -> tuple[int, bytes]:
        """As `SMTP` has it."""
        self._accepted, self._verdicts = (), {}
        return super().mail(sender, options)

    def rcpt(self, recip: str, options: Any = ()) -> tuple[int, bytes]:
        """As `SMTP` has it."""
        reply = super().rcpt(recip, options)
        if reply[0] in (250, 251):
            self._accepted = (*self._accepted, recip)
        return reply

    def data(self, msg: Any) -> tuple[int, bytes]:
        """As `SMTP` has it, and reads the answer for each recipient: 250 where any has the message,
        else the first refusal. `sendmail` has them all."""
        several, self._accepted = self._accepted, ()
        first = super().data(msg)
        replies = [first, *(self.getreply() for _ in several[1:])]
        self._verdicts = dict(zip(several, replies, strict=False))
        return next((reply for reply in replies if reply[0] == 250), first)

    def sendmail(
        self,
        from_addr: str,
        to_addrs: Any,
        msg: Any,
        mail_options: Any = (),
        rcpt_options: Any = (),
    ) -> dict[str, tuple[int, bytes]]:
        """As `SMTP` has it; a recipient whose mailbox did not take the message is among the refused
        ones, and where none did it is an `SMTPRecipientsRefused`."""
        try:
            refused = super().sendmail(from_addr, to_addrs, msg, mail_options, rcpt_options)
        except smtplib.SMTPDataError:
            if not self._verdicts:
                raise
            raise smtplib.SMTPRecipientsRefused(self._verdicts) from None
        late = {who: reply for who, reply in self._verdicts.items() if reply[0] != 250}
        return {**refused, **late}

    def _begin(self, host: str, port: int) -> None:
        if not host.startswith("/"):
            return super()._begin(host, port)
        super()._begin("localhost", port)
        name = Host(host, host)
        self._endpoint = Endpoint(
            host=name,
            name=self._server_hostname or name,
            port=0,
            protocol=self._PROTOCOL,
        )
        self._begin_transcript()
        return None

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        if not host.startswith("/"):
            return super()._get_socket(host, port, timeout)
        assert self._endpoint is not None
        self._require_no_connector()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self._limits.connect)
            sock.connect(host)
            self._dialled = sock
            self._tell_address(sock)
            self._accept(sock)
        except OSError as error:
            sock.close()
            raise ConnectFailed.like(error)(
                f"could not connect ({error.strerror or 'no answer in time'}).",
                number=error.errno,
                hint="Is that the delivery agent's socket, is it running, and may you use it?",
                **self._endpoint.details(),
            ) from error
        self._channel = Plaintext("a unix socket is not encrypted")
        return sock

    def _require_no_connector(self) -> None:
        if self._connector is not None:
            raise PolicyError(
                "a socket file is on this computer, and connector= leads to another.",
                code="connector",
                hint="Leave the connector out, or give a host.",
            )
