"""One sign-in as a dialogue of lines, the same for POP3, IMAP and SMTP. No I/O.

The protocols differ in four facts (`Dialect`); base64 (RFC 4648, 4) is done here and nowhere else.
"""

from __future__ import annotations

import base64
import binascii

from ..values import Value
from .credentials import Password, Secret
from .mechanism import Mechanism

_MOST_ROUNDS = 10
_LONGEST_CHALLENGE = 64 * 1024  # octets, before decoding


class Dialect(Value):
    """`command`: AUTH or AUTHENTICATE. `empty`: how an empty initial response is written (RFC 4954,
    4). `cancel`: ends the exchange from our side. `longest`: octets of a command line with an
    initial response, its end included."""

    command: str
    empty: bytes = b"="
    cancel: bytes = b"*"
    longest: int = 8192


class Broken(Exception):
    """The server broke the exchange; the text says how."""


class Exchange:
    """Used once: `command`, then `respond` to each challenge, then `finish` on success."""

    def __init__(self, dialect: Dialect, mechanism: Mechanism, *, initial: bool) -> None:
        """`initial`: the server takes an initial response on the command line."""
        self._dialect = dialect
        self._mechanism = mechanism
        self._initial = initial
        self._held: Secret | None = None
        self._rounds = 0

    @property
    def is_sent(self) -> bool:
        """Whether, with the line that was made last, the mechanism has told all it has to."""
        return self._held is None and self._mechanism.is_complete

    def command(self) -> Secret:
        """The first line, without its end."""
        plain = f"{self._dialect.command} {self._mechanism.name}".encode()
        response = self._mechanism.start()
        if response is None:
            return Secret(plain)
        encoded = base64.b64encode(response) or self._dialect.empty
        if self._initial and len(plain) + 1 + len(encoded) + 2 <= self._dialect.longest:
            return Secret(plain + b" " + encoded)
        self._held = Secret(base64.b64encode(response))
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
        response = self._mechanism.answer(_decode(challenge))
        if response is None:
            raise Broken(f"went on asking after {self._mechanism.name} was done")
        return Secret(base64.b64encode(response))

    def finish(self) -> None:
        """The server said success: believed only when the mechanism is done. Raises `Broken`."""
        if not self.is_sent:
            raise Broken(f"said success before {self._mechanism.name} was done")


def hide_password(words: bytes, credentials: Password) -> bytes:
    """A server's `words` without the password, should they repeat it: plain, in base64, and as
    PLAIN sends it."""
    secret = credentials.password.reveal()
    plain = b"\0".join((b"", credentials.user.encode(), secret))
    for form in (base64.b64encode(plain), base64.b64encode(secret), secret):
        words = words.replace(form, b"<secret>")
    return words


def _decode(challenge: bytes) -> bytes:
    try:
        return base64.b64decode(challenge, validate=True)
    except binascii.Error:
        pass
    raise Broken("sent a challenge that is not base64")
