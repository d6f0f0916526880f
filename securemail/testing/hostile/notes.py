"""What a hostile server writes down while it plays; the verdict is made of these and the bytes."""

from __future__ import annotations

from typing import Literal

from ...values import Value

Over = Literal["clear", "tls"]


class Note(Value):
    """One thing that was seen. `over`: what the connection was by then."""

    over: Over


class Heard(Note):
    """A command. `words` is its line, without IMAP's tag and without the line end."""

    command: str
    words: bytes


class Did(Note):
    """A moment at which the server did what the scenario says, and not what is polite."""

    moment: str


class Challenged(Note):
    """A challenge that a digest answers, sent for `mechanism`: APOP or CRAM-MD5."""

    mechanism: str
    challenge: bytes


class Proved(Note):
    """A SCRAM proof came. Who has it can try passwords on it, quickly if iterations are few."""

    mechanism: str
    iterations: int


class SignedIn(Note):
    """The server took a sign-in as done."""

    mechanism: str


class UsedInjected(Note):
    """A second command came although the first had no answer but the one sent in clear before."""

    words: bytes


class StillThere(Note):
    """The server gave up first: after so many seconds, and so many octets."""

    seconds: float
    octets: int
