"""Real handshakes: a server in a thread, with a good certificate or a bad one, that is rude at the
steps that a case chooses.

Slower, so fewer cases; what must not be is what `connections` says, and: no word to a bad
certificate.
"""

import atexit
import collections
import contextlib
import functools
import socket
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from fuzz.choices import Choices
from fuzz.connections import COMMANDS, WAYS, Run
from fuzz.escapes import require
from fuzz.server import Server
from fuzz.steps import SIGN_IN, UPGRADE, VERBS
from securemail import AuthPolicy, CATrust, Limits, TLSPolicy
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer

CERTIFICATES = ("good", "expired", "wrong_name", "self_signed", "unknown_ca")
STEPS = ("rude", "connect", "upgrade", "sign in", "verb")
_SOON = Limits(connect=3, read=0.4, line=3000, literal=4000, lines=50)
_MOST = 100_000  # octets of what has no end
_HOST = "mail.example.org"


@functools.cache
def _pki() -> PKI:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return PKI(Path(folder.name))


class Live(Run):
    """A program, and its server. `plan`: how rude it is at its next answers; then polite."""

    def __init__(self, protocol: str, by: int, certificate: str) -> None:
        super().__init__(protocol, Choices(b""))
        self.way, self.has_reason = WAYS[protocol][by], False
        self.auth = AuthPolicy(iterations=(4096, 5000))
        self.certificate = certificate
        self.plan: collections.deque[bytes] = collections.deque()
        self._context = _pki()[certificate].server_context()
        at_once = self.way.by == "at once"
        self._tls = self._context if at_once else None
        self.server = Server(protocol, Choices(b""), is_tls=at_once)
        self._commands = mock.patch.dict(COMMANDS)
        self._commands.start()
        self._recording = RecordingServer(self._script, context=self._tls)

    # -- the server's side

    def _script(self, conversation: Conversation) -> None:
        if conversation.is_tls:
            self.server.upgraded()
        self._flush(conversation)
        while conversation.is_open and (line := conversation.read_line()):
            if line.startswith(b"\x16\x03") and not conversation.is_tls:
                conversation.close()  # a ClientHello, which this server did not ask for
                break
            how = self.plan.popleft() if self.plan else b""
            self.server.choices = Choices(how)
            self.server.hear(line, conversation.is_tls)
            self._flush(conversation)
            asks = UPGRADE[self.protocol].encode() in line and not conversation.is_tls
            if asks and not how and conversation.is_open:
                conversation.start_tls(self._context)
                self.server.upgraded()

    def _flush(self, conversation: Conversation) -> None:
        sent = 0
        while sent < _MOST and (octets := self.server.next_octets(65536)):
            conversation.send(octets)
            sent += len(octets)
        if self.server.ended and conversation.is_open:
            conversation.reset() if self.server.ended == "reset" else conversation.close()

    # -- the program's side

    def connect(self) -> None:
        if self.client is None and not self.seen:
            self.step("connect", self._connect)

    def _connect(self, _: Any) -> None:
        address = (self._recording.host, self._recording.port)
        self.client = self.way.cls(
            _HOST,
            connector=lambda *_: socket.create_connection(address, 3),
            policy=TLSPolicy(trust=CATrust(_pki().ca_pem)),
            limits=_SOON,
            auth=self.auth,
        )

    def is_connected(self) -> bool:
        return self.client is not None

    def check(self) -> None:
        """At any moment: TLS is there with the good certificate alone."""
        if self.client is not None:
            require(not self.client.report.tls or self.certificate == "good", "a bad certificate")

    def finish(self) -> None:
        try:
            self.check()
            self._close()
        finally:
            self._commands.stop()
            with contextlib.suppress(OSError, ConnectionError):
                self._recording.close()
        self._look_at_the_wire()
        for record in self._recording.records:
            good = self.certificate == "good"
            require(good or not record.received_tls, "words for a bad certificate")


def live(case: bytes) -> None:
    """The case chooses the steps; the state machine of `stateful` does the same with Hypothesis."""
    choices = Choices(case)
    certificate = choices.one_of(CERTIFICATES)
    run = Live(choices.one_of(tuple(WAYS)), choices.number(3), certificate)
    try:
        for _ in range(choices.number(3)):
            run.plan.append(choices.octets(12))
        run.connect()
        for _ in range(choices.number(6) + 2):
            if choices.is_rude():
                run.plan.append(choices.octets(12))
            if run.is_connected():
                _step(run, choices)
            run.check()
    finally:
        run.finish()


def _step(run: Live, choices: Choices) -> None:
    how = choices.number(3)
    if how == 0 and run.way.by == "verb" and not run.client.report.tls:
        run.upgrade()
    elif how == 2:
        run.verb(choices.one_of(tuple(VERBS[run.protocol])))
    else:
        run.sign_in(choices.one_of(tuple(SIGN_IN[run.protocol])))
