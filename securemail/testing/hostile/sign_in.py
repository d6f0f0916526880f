"""How the hostile servers play a sign-in: any password will do."""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING

from . import words
from .notes import Challenged, SignedIn
from .scram import HASHES, ScramServer
from .steps import gave_up

if TYPE_CHECKING:
    from .play import Session

CRAM = b"<1896.697170952@mail.example.org>"
ASKED = {"LOGIN": (b"Username:", b"Password:"), "CRAM-MD5": (CRAM,)}


class CalledOff(Exception):
    """The exchange is over, without success."""


class Replaced(Exception):
    """The scenario has said something else than the exchange would."""


class SignIn:
    """One sign-in, from its command on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def play(self, command: str, text: bytes) -> None:
        rest = text.split()[1:]
        try:
            if command in ("AUTH", "AUTHENTICATE"):
                self._exchange(rest)
            elif command == "APOP":
                self._by_apop()
            elif command == "USER":
                self._takes_user()
            else:
                self._by_command(command)
        except Replaced:
            pass

    def challenge(self, text: bytes, *, last: bool = False) -> bytes:
        """Asks, and gives the client's answer, decoded; by nothing, for the `last`."""
        session = self._session
        line = words.PROMPTS[session.protocol] + base64.b64encode(text) + b"\r\n"
        if not session.moment("challenge", lambda: session.say(line)):
            raise Replaced
        answer = self._hear(session).strip()
        if answer == b"*" or (not answer and not last):
            raise CalledOff
        return decoded(answer)

    def _hear(self, session: Session) -> bytes:
        """A client that is still thinking when the time is up has been given too much to do."""
        started = time.monotonic()
        try:
            return session.conversation.read_line(timeout=session.setup.seconds)
        except TimeoutError:
            gave_up(session, time.monotonic() - started)
            raise CalledOff from None

    def succeed(self, mechanism: str) -> None:
        session = self._session

        def accept() -> None:
            session.say_polite(words.SUCCESSES)
            session.note(SignedIn(session.over, mechanism))

        session.moment("answer", accept)

    def _exchange(self, arguments: list[bytes]) -> None:
        session = self._session
        if not arguments:
            raise CalledOff  # POP3's bare AUTH (RFC 1734), or nonsense
        name = arguments[0].decode("latin-1").upper()
        initial = decoded(arguments[1]) if len(arguments) > 1 else None
        if name not in self._offered():
            raise CalledOff
        if name in HASHES:
            ScramServer(session, self, name).play(initial)
            return
        if name == "CRAM-MD5":
            session.note(Challenged(session.over, name, CRAM))
        asked = ASKED.get(name, (b"",))
        for text in asked if initial is None else asked[1:]:
            self.challenge(text)
        self.succeed(name)

    def _offered(self) -> set[str]:
        """What was offered in clear may be asked for over TLS too: that is how one is fooled."""
        scenario = self._session.setup.scenario
        return {*scenario.mechanisms, *(scenario.in_clear or ())}

    def _by_apop(self) -> None:
        challenge = self._session.setup.scenario.apop
        if not challenge:
            raise CalledOff
        self._session.note(Challenged(self._session.over, "APOP", challenge))
        self.succeed("APOP")

    def _takes_user(self) -> None:
        if not words.BY_PASSWORD & self._offered():
            raise CalledOff
        self._session.say(b"+OK\r\n")
        self._session.flush()

    def _by_command(self, command: str) -> None:
        if not words.BY_PASSWORD & self._offered():
            raise CalledOff
        self.succeed(command)


def decoded(line: bytes) -> bytes:
    try:
        return base64.b64decode(line, validate=False)
    except binascii.Error:
        return b""
