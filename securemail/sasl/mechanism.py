"""What a mechanism is (RFC 4422): two methods, octets in and out. No base64, no protocol words."""

from __future__ import annotations

from typing import Protocol


class Cancelled(Exception):
    """Raised by `answer`: the client gives the exchange up (RFC 4422, 3.5)."""


class Mechanism(Protocol):
    """One sign-in by one mechanism; used once."""

    name: str

    @property
    def is_complete(self) -> bool:
        """Whether a success of the server may be believed now."""
        ...

    def start(self) -> bytes | None:
        """The initial response. None: the server speaks first; empty is another thing."""

    def answer(self, challenge: bytes) -> bytes | None:
        """The response to `challenge`; None where there is nothing left to say."""
