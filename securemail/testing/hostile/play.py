"""The polite server of each protocol, every moment of which a scenario may replace.

They take any password, in clear too: whoever can be brought to send one, sends it to them. What is
wrong with that is for the verdict to say. Mail is one message, and what is submitted is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

from . import words
from .notes import Did, Heard
from .recording import Conversation
from .scenario import Moment, Protocol
from .sign_in import CalledOff, SignIn
from .stage import VERBS, Setup, Stage

READ_SECONDS = 120.0  # a person may be at the other end
LITERAL_LIMIT = 1 << 24
LITERAL = re.compile(rb"\{([0-9]{1,9})(\+?)\}\r?\n\Z")
MESSAGE = b"From: a@example.org\r\nSubject: %m-mail\r\n\r\nHello.\r\n"


class Session(Stage):
    """One connection from its beginning to its end."""

    # By command: the moment it belongs to, and the polite answer.
    ANSWERS: ClassVar[Mapping[str, tuple[Moment | None, bytes]]] = {}
    OFFERS: ClassVar[frozenset[str]] = frozenset()
    SIGN_INS: ClassVar[frozenset[str]] = frozenset()
    GOODBYE: ClassVar[str] = "QUIT"

    def __init__(self, setup: Setup, conversation: Conversation) -> None:
        super().__init__(setup, conversation)
        self._upgraded = False
        self._over = False

    def run(self) -> None:
        self.moment("connect", lambda: None)
        if self.setup.mode == "tls" and self.is_open:
            self.moment("handshake", self.start_tls)
        if self.is_open:
            self.moment("greeting", self._greet)
        while self.is_open and not self._over and (line := self._read_command()):
            self._answer(line)

    def moment(self, name: Moment, polite: Callable[[], object]) -> bool:
        """Plays what the scenario has for this moment, else what is polite; whether it was that."""
        steps = self.setup.scenario.at.get(name)
        self.polite = polite
        if steps is None:
            polite()
            self.flush()
            return True
        for step in steps:
            if self.is_open:
                step.play(self)
        self.flush()
        self.note(Did(self.over, name))
        return False

    def say_polite(self, texts: Mapping[Protocol, bytes]) -> None:
        self.say(texts[self.protocol])

    def _greet(self) -> None:
        self.say_polite(words.GREETINGS)

    def _read_command(self) -> bytes:
        return self.conversation.read_line(timeout=READ_SECONDS)

    def _split(self, line: bytes) -> tuple[str, bytes]:
        """The command, and all of the line without IMAP's tag."""
        line = line.rstrip(b"\r\n")
        return line.partition(b" ")[0].decode("latin-1").upper(), line

    def _answer(self, line: bytes) -> None:
        command, text = self._split(line)
        if self._is_known(command):
            self.note(Heard(self.over, command, text))
        if command in self.OFFERS:
            self._offer()
        elif command == VERBS[self.protocol] and not self.conversation.is_tls:
            self._upgrade()
        elif command in self.SIGN_INS:
            self._sign_in(command, text)
        elif command == self.GOODBYE:
            self.moment("bye", lambda: self.say(self.ANSWERS[command][1]))
            self._over = True
        else:
            self._plain_answer(command)

    def _is_known(self, command: str) -> bool:
        """Octets of a handshake that nobody answered are no commands."""
        return command in self.ANSWERS or command in self.OFFERS | self.SIGN_INS | {
            VERBS[self.protocol]
        }

    def _plain_answer(self, command: str) -> None:
        moment, answer = self.ANSWERS.get(command, (None, words.NOT_KNOWN[self.protocol]))
        if moment is None:
            self.say(answer)
            self.flush()
        else:
            self.moment(moment, lambda: self.say(answer))

    def _offer(self) -> None:
        self.moment("offer-again" if self._upgraded else "offer", self._offer_politely)

    def _offer_politely(self) -> None:
        scenario = self.setup.scenario
        shown, more = scenario.mechanisms, self.EXTENSIONS
        if not self.conversation.is_tls:
            shown = scenario.mechanisms if scenario.in_clear is None else scenario.in_clear
            more = (VERBS[self.protocol], *more)
        self.say(words.offer(self.protocol, shown, more))

    EXTENSIONS: ClassVar[tuple[str, ...]] = ()

    def _upgrade(self) -> None:
        self.moment("consent", lambda: self.say_polite(words.CONSENTS))
        if self.is_open:
            self.moment("handshake", self.start_tls)
            self._upgraded = self.conversation.is_tls

    def _sign_in(self, command: str, text: bytes) -> None:
        try:
            self.moment("sign-in", lambda: SignIn(self).play(command, text))
        except CalledOff:
            self.say_polite(words.FAILURES)
            self.flush()


class IMAPSession(Session):
    OFFERS = frozenset({"CAPABILITY"})
    SIGN_INS = frozenset({"LOGIN", "AUTHENTICATE"})
    GOODBYE = "LOGOUT"
    DONE: ClassVar[bytes] = b"%t OK done\r\n"
    INBOX: ClassVar[bytes] = (
        b"* 1 EXISTS\r\n* 0 RECENT\r\n* FLAGS ()\r\n* OK [UIDVALIDITY 1] fine\r\n"
        b"* OK [UIDNEXT 2] fine\r\n%t OK [READ-WRITE] done\r\n"
    )
    LISTED: ClassVar[bytes] = b'* LIST () "/" INBOX\r\n' + DONE
    ANSWERS: ClassVar[Mapping[str, tuple[Moment | None, bytes]]] = {
        "SELECT": ("select", INBOX),
        "EXAMINE": ("select", INBOX),
        "STATUS": ("stat", b"* STATUS INBOX (MESSAGES 1 UNSEEN 1 UIDNEXT 2)\r\n" + DONE),
        "LIST": ("list", LISTED),
        "LSUB": ("list", LISTED.replace(b"LIST", b"LSUB")),
        "FETCH": ("fetch", b""),
        "APPEND": ("append", DONE),
        "SEARCH": (None, b"* SEARCH 1\r\n" + DONE),
        "STORE": (None, DONE),
        "CLOSE": (None, DONE),
        "EXPUNGE": (None, DONE),
        "ID": (None, b"* ID NIL\r\n" + DONE),
        "NAMESPACE": (None, b'* NAMESPACE (("" "/")) NIL NIL\r\n' + DONE),
        "NOOP": (None, DONE),
        "LOGOUT": ("bye", b"* BYE\r\n%t OK done\r\n"),
    }

    def _read_command(self) -> bytes:
        """A command with all its literals (RFC 9051 4.3)."""
        line = super()._read_command()
        self.tag = line.partition(b" ")[0].strip()
        while (literal := LITERAL.search(line)) and int(literal[1]) <= LITERAL_LIMIT:
            if not literal[2]:
                self.conversation.send(b"+ go on\r\n")
            line += self.conversation.read(int(literal[1]), READ_SECONDS)
            line += super()._read_command()
        return line

    def _split(self, line: bytes) -> tuple[str, bytes]:
        text = line.partition(b" ")[2]
        return super()._split(text[4:] if text[:4].upper() == b"UID " else text)

    def _plain_answer(self, command: str) -> None:
        if command == "FETCH":
            message = self.filled(MESSAGE)
            size = b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(message)
            self.moment("fetch", lambda: self.say(size + message + b")\r\n" + self.DONE))
        else:
            super()._plain_answer(command)


class POP3Session(Session):
    OFFERS = frozenset({"CAPA"})
    SIGN_INS = frozenset({"USER", "PASS", "APOP", "AUTH"})
    ANSWERS: ClassVar[Mapping[str, tuple[Moment | None, bytes]]] = {
        "STAT": ("stat", b"+OK 1 60\r\n"),
        "LIST": ("list", b"+OK\r\n1 60\r\n.\r\n"),
        "UIDL": ("list", b"+OK\r\n1 a\r\n.\r\n"),
        "RETR": ("fetch", b"+OK\r\n" + MESSAGE + b".\r\n"),
        "TOP": ("fetch", b"+OK\r\n" + MESSAGE + b".\r\n"),
        "DELE": (None, b"+OK\r\n"),
        "RSET": (None, b"+OK\r\n"),
        "NOOP": (None, b"+OK\r\n"),
        "QUIT": ("bye", b"+OK bye\r\n"),
    }

    def _greet(self) -> None:
        """With an APOP challenge where the scenario has one (RFC 1939 7)."""
        challenge = self.setup.scenario.apop
        self.say(b"+OK POP3 ready " + challenge + b"\r\n" if challenge else words.GREETINGS["pop3"])


class SMTPSession(Session):
    OFFERS = frozenset({"EHLO", "LHLO"})
    SIGN_INS = frozenset({"AUTH"})
    EXTENSIONS = ("SMTPUTF8",)
    ANSWERS: ClassVar[Mapping[str, tuple[Moment | None, bytes]]] = {
        "HELO": ("hello", b"250 mail.example.org\r\n"),
        "MAIL": ("mail", b"250 2.1.0 Ok\r\n"),
        "RCPT": ("rcpt", b"250 2.1.5 Ok\r\n"),
        "DATA": ("data", b"354 go on\r\n"),
        "RSET": (None, b"250 2.0.0 Ok\r\n"),
        "NOOP": (None, b"250 2.0.0 Ok\r\n"),
        "QUIT": ("bye", b"221 2.0.0 Bye\r\n"),
    }

    def _plain_answer(self, command: str) -> None:
        if command != "DATA":
            super()._plain_answer(command)
        elif self.moment("data", lambda: self.say(self.ANSWERS[command][1])):
            while self.conversation.read_line(READ_SECONDS) not in (b".\r\n", b".\n", b""):
                pass
            self.moment("message", lambda: self.say(b"250 2.0.0 Ok: kept\r\n"))


SESSIONS: dict[Protocol, type[Session]] = {
    "imap": IMAPSession,
    "pop3": POP3Session,
    "smtp": SMTPSession,
}


def commands() -> frozenset[str]:
    """All that any of the servers knows."""
    return frozenset().union(
        *(cast("frozenset[str]", each.OFFERS | each.SIGN_INS) for each in SESSIONS.values()),
        *(each.ANSWERS for each in SESSIONS.values()),
        VERBS.values(),
    )
