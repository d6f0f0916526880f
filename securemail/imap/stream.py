"""IMAP over the pipes of a command (`ssh host imapd`)."""

# The standard classes are described for type checkers as they are in one Python, without ours.
# mypy: disable-error-code="misc, override, unused-ignore"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import imaplib
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..channel import Channel, Plaintext
from ..connecting import Endpoint
from ..errors import PolicyError, TimeLimitExceeded
from ..hosts import Host
from ..policy import AuthPolicy, Limits
from ..wire import Reader
from .classes import IMAP4
from .lines import STANDARD
from .pipe import Pipe

if TYPE_CHECKING:
    from ..transcript import To


_LAST_WORDS = 2.0  # seconds for the command to end by itself, once its pipes are closed


class IMAP4_stream(IMAP4, imaplib.IMAP4_stream):
    """An `imaplib.IMAP4_stream`: what the command does with what it is given is not known here, so
    no password goes to it, and mail only with a reason as `plaintext` ("ssh encrypts it"), which
    also lets it sign you in by PREAUTH, and warns.

    Raises `UpgradeRefused` (PREAUTH without a reason), `TimeLimitExceeded`, `LimitExceeded`,
    `ProtocolViolation`, and `OSError` where the command cannot be started. Unix alone.
    """

    _PROTOCOL = "IMAP over a command"

    process: Any = None
    _pipe: Pipe | None = None

    def __init__(
        self,
        command: str,
        *,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        plaintext: str | None = None,
        transcript: To | None = None,
    ) -> None:
        self.command = command
        self._settle(None, auth, limits, None, None, plaintext=plaintext, transcript=transcript)
        with self._opening():
            STANDARD.__init__(self)

    def open(
        self, host: str | None = None, port: int | None = None, timeout: float | None = None
    ) -> None:
        """Start the command."""
        self.host = self.port = self.sock = None  # type: ignore[assignment]
        self.debug = self.debug or sys.modules[__package__].__dict__.get("Debug", 0)  # type: ignore[index]
        self._apply(None)
        name = Host("a command", "a command")
        self._endpoint = Endpoint(host=name, name=name, port=0, protocol=self._PROTOCOL)
        self._begin_transcript()
        self._channel = Plaintext("a command carries it, which may or may not encrypt")
        self.process = subprocess.Popen(  # noqa: S602 - the caller's command, as in the standard class
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, shell=True, bufsize=0
        )
        self.writefile, self.readfile = self.process.stdin, self.process.stdout
        self._pipe = Pipe(self.process)
        self._pipe.settimeout(self._limits.read)
        self._address = f"pid {self.process.pid}"
        if self._transcript is not None:
            self._transcript.event("connected to a command")

    def starttls(self, ssl_context: Any = None) -> Any:
        """Not over pipes."""
        raise PolicyError(
            "there is no TLS over the pipes of a command.",
            code="starttls-stream",
            hint="Use IMAP4_SSL or IMAP4_STARTTLS, to a tunnel's local port if need be, with "
            "server_hostname=.",
        )

    # -- pipes where the others have a socket

    def _current_channel(self) -> Channel:
        return self._channel

    def _is_local(self) -> bool:
        return False  # where the command leads to is not known

    def _open_reader(self) -> Reader:
        self._raise_ended()
        if self._pipe is None:
            raise self.abort("socket error: the command has ended")
        if self._reader is None:
            self._reader = self._new_reader(self._pipe)
            self._reader.expect(is_opening=self._is_opening)
        return self._reader

    def _expect(self) -> None:
        super()._expect()
        if self._pipe is not None:
            self._open_reader().expect(is_opening=self._is_opening)

    def _send_now(self, data: Any) -> None:
        sys.audit("imaplib.send", self, data)
        if self._pipe is None:
            raise OSError("the command has ended")
        if self._transcript is not None:
            self._transcript.sent(data, private=False)
        try:
            self._pipe.sendall(data)
        except TimeoutError:
            raise self._end(
                TimeLimitExceeded(
                    "the command took nothing of what it was sent in time.",
                    hint="Is it waiting for something? Limits(read=...) waits longer.",
                )
            ) from None

    def shutdown(self) -> None:
        """Close the pipes, and see the command end."""
        if self._transcript is not None:
            self._transcript.end()
        self._close_now()

    def _close_now(self) -> None:
        self.state = "LOGOUT"
        self._pipe, self._reader = None, None
        if self.process is None:
            return
        for end in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                end.close()
        try:
            self.process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
