"""One sign-in as a dialogue of lines, the same for POP3, IMAP and SMTP. No I/O.

The protocols differ in a few facts (`Dialect`).
"""

from __future__ import annotations

from typing import Any

from ..values import Value
from .credentials import Secret
from .encoding import decode, encode
from .mechanism import Broken

_MOST_ROUNDS = 10
_LONGEST_CHALLENGE = 64 * 1024  # octets, before decoding


class Dialect(Value):
    """`command`: AUTH or AUTHENTICATE. `service`: the protocol's name among services. `empty`: how
    an empty initial response is written (RFC 4954, 4). `cancel`: ends the exchange from our side.
    `longest`: octets of a command line with an initial response, its end included."""

    command: str
    service: str
    empty: bytes = b"="
    cancel: bytes = b"*"
    longest: int = 8192


class Exchange:
    """Used once: `command`, then `respond` to each challenge, then `finish` on success."""

    def __init__(self, dialect: Dialect, mechanism: Any, *, initial: bool) -> None:
        """`initial`: the server takes an initial response on the command line."""
        self._dialect = dialect
        self._mechanism = mechanism
        self._initial = initial
        self._held: Secret | None = None  # the initial response, while it is still here
        self._given: Secret | None = None  # where it went on the command line, and no further yet
        self._rounds = 0

    @property
    def gave_initial(self) -> bool:
        """The command line had the initial response on it, and nothing was said since."""
        return self._given is not None

    @property
    def sent(self) -> str:
        """What of the credentials the server has, with the line that was made last: words."""
        return "" if self._held else getattr(self._mechanism, "sent", "a part of the credentials")

    def command(self) -> Secret:
        """The first line, without its end."""
        plain = f"{self._dialect.command} {self._mechanism.name}".encode()
        response = Secret(self._mechanism.start())
        if response.reveal() is None:
            return Secret(plain)
        encoded = Secret(encode(response.reveal()))
        line = Secret(plain + b" " + (encoded.reveal() or self._dialect.empty))
        if self._initial and len(line.reveal()) + 2 <= self._dialect.longest:
            self._given = encoded
            return line
        self._held = encoded
        return Secret(plain)

    def respond(self, challenge: bytes) -> Secret:
        """The line that answers `challenge` (still base64). Raises `Broken`."""
        self._rounds += 1
        if self._rounds > _MOST_ROUNDS:
            raise Broken(f"asked more than {_MOST_ROUNDS} times")
        if len(challenge) > _LONGEST_CHALLENGE:
            raise Broken(f"sent a challenge of more than {_LONGEST_CHALLENGE} octets")
        if self._held is not None:
            # Its turn to ask for the initial response; servers put any text there.
            held, self._held = self._held, None
            return held
        given, self._given = self._given, None
        if given is not None and self._asks_again(challenge):
            return given
        response = Secret(self._mechanism.answer(self._read(challenge)))
        if response.reveal() is None:
            raise Broken(f"went on asking after {self._mechanism.name} was done")
        return Secret(encode(response.reveal()))

    def _asks_again(self, challenge: bytes) -> bool:
        """Some servers pass over an initial response and ask for it. Where one message is all there
        is, whatever they ask is that; of other mechanisms an empty question is. The server has it
        already, over the same channel."""
        if getattr(self._mechanism, "answers_all", False):
            return False
        only_one = getattr(self._mechanism, "has_one_message", False)
        return only_one or challenge.strip() in (b"", b"=")

    def _read(self, challenge: bytes) -> bytes:
        try:
            return decode(challenge)
        except ValueError:
            if getattr(self._mechanism, "takes_words", False):
                return challenge
        raise Broken("sent a challenge that is not base64")

    def finish(self, words: bytes) -> None:
        """The server said success, in these `words`: believed only when the mechanism is done.
        Raises `Broken`."""
        if self._held is None and getattr(self._mechanism, "awaits_proof", False):
            self._mechanism.answer(_with_success(words))
        if self._held is not None or not self._mechanism.is_complete:
            raise Broken(f"said success before {self._mechanism.name} was done")


def _with_success(words: bytes) -> bytes:
    """What a server says inside of the mechanism, where it puts that into its final word."""
    try:
        return decode((words.split() or [b""])[-1])
    except ValueError:
        return b""
