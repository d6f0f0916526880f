"""One connection to a hostile server, as the steps of a scenario see it."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable

from ...values import Value
from .notes import Note, Over
from .recording import Conversation
from .scenario import Mode, Protocol, Scenario

VERBS: dict[Protocol, str] = {"imap": "STARTTLS", "pop3": "STLS", "smtp": "STARTTLS"}


class Setup(Value, kw_only=True):
    """What is the same for all connections to one server."""

    scenario: Scenario
    protocol: Protocol
    mode: Mode
    user: str
    password: str
    context: Callable[[str], ssl.SSLContext]
    """The server's context by the kind of its certificate."""
    marker: str
    """In every word that is injected, so that it can be found again."""
    elsewhere: str = ""
    """Where referrals lead: an address and port."""
    seconds: float
    octets: int


class Stage:
    """What a step may do: say, wait, upgrade, end. What is said at one moment goes out together."""

    def __init__(self, setup: Setup, conversation: Conversation) -> None:
        self.setup = setup
        self.conversation = conversation
        self.protocol: Protocol = setup.protocol
        self.tag = b""
        self.polite: Callable[[], object] = lambda: None
        self._unsent = bytearray()
        self._deadline = time.monotonic() + setup.seconds
        self.sent = 0

    @property
    def over(self) -> Over:
        return "tls" if self.conversation.is_tls else "clear"

    @property
    def is_open(self) -> bool:
        return self.conversation.is_open

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    @property
    def has_budget(self) -> bool:
        """Whether time and octets are left for what has no end of its own."""
        return self.seconds_left > 0 and self.sent < self.setup.octets

    def restart_clock(self) -> None:
        """An endless step begins: the time is its own, not what the client took before."""
        self._deadline = time.monotonic() + self.setup.seconds

    def note(self, note: Note) -> None:
        self.conversation.record.notes.append(note)

    def say(self, words: bytes) -> None:
        """At the end of this moment, or at the next pause."""
        self._unsent += self.filled(words)

    def flush(self) -> None:
        if self._unsent and self.is_open:
            data, self._unsent = bytes(self._unsent), bytearray()
            self.sent += len(data)
            self.conversation.send(data)

    def filled(self, words: bytes) -> bytes:
        """%t is the tag of the command that is answered, %n the tag that comes next, %N the one
        after that, %m the marker, %v the verb of the upgrade, %r where referrals lead."""
        if b"%" not in words:
            return words
        setup = self.setup
        for sign, value in (
            (b"%t", self.tag),
            (b"%n", next_tag(self.tag)),
            (b"%N", next_tag(next_tag(self.tag))),
            (b"%m", setup.marker.encode()),
            (b"%v", VERBS[self.protocol].encode()),
            (b"%r", setup.elsewhere.encode()),
        ):
            words = words.replace(sign, value)
        return words

    def start_tls(self, kind: str | None = None) -> None:
        """The handshake, with the scenario's certificate or another kind."""
        self.flush()
        self.conversation.start_tls(self.setup.context(kind or self.setup.scenario.certificate))


def next_tag(tag: bytes) -> bytes:
    """Clients count: A7 follows A6, and a010 follows a009."""
    counted = re.fullmatch(rb"(.*?)([0-9]+)", tag)
    if counted is None:
        return tag
    number = counted[2]
    return counted[1] + b"%0*d" % (len(number), int(number) + 1)
