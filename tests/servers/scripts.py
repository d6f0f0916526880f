"""Scripts for `RecordingServer`: polite servers, and rude ones.

The polite ones are the control of every security test. They offer PLAIN and LOGIN, take any
password, and do not mind whether the connection is encrypted: whoever can be brought to send a
password, sends it to them.
"""

import base64
import dataclasses
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from servers.recording import Conversation, Script

GREETINGS = {
    "imap": b"* OK ready\r\n",
    "pop3": b"+OK ready\r\n",
    "smtp": b"220 mail.example.org ESMTP\r\n",
}

LITERAL = re.compile(rb"\{(?P<size>\d{1,6})(?P<needs_no_answer>\+?)\}\r\n\Z")

# What a server asks for in the course of each mechanism. Any answer will do.
CHALLENGES = {
    "PLAIN": (b"",),
    "LOGIN": (b"Username:", b"Password:"),
    "CRAM-MD5": (b"<1896.697170952@mail.example.org>",),
    "XOAUTH2": (b"",),
    "OAUTHBEARER": (b"",),
    "EXTERNAL": (b"",),
    "ANONYMOUS": (b"",),
}


@dataclass(frozen=True)
class Polite:
    """What the three polite servers have in common; change it by `dataclasses.replace`.

    `refusal` are the words that refuse every sign-in. With `starttls` the upgrade is offered and
    done with that context. Only the mechanisms of `CHALLENGES` can be played to the end; others
    may be offered.
    """

    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    refusal: str | None = None
    starttls: ssl.SSLContext | None = None

    def __call__(self, conversation: Conversation) -> None:
        raise NotImplementedError

    def serve(self, conversation: Conversation) -> None:
        """What comes after the greeting."""
        raise NotImplementedError

    def with_starttls(self, context: ssl.SSLContext) -> "Polite":
        return dataclasses.replace(self, starttls=context)

    def _offers_upgrade(self, conversation: Conversation) -> bool:
        return self.starttls is not None and not conversation.is_tls

    def _upgrade(self, conversation: Conversation) -> None:
        assert self.starttls is not None
        conversation.start_tls(self.starttls)

    def _exchange(
        self, conversation: Conversation, mechanism: str, initial: str, prompt: bytes
    ) -> bool:
        """Goes through a mechanism; False when it is not known or the client gives up."""
        challenges = CHALLENGES.get(mechanism.upper(), ())
        if mechanism.upper() not in self.mechanisms or not challenges:
            return False
        for challenge in challenges[1:] if initial else challenges:
            conversation.send(prompt + base64.b64encode(challenge) + b"\r\n")
            if conversation.read_line() in (b"*\r\n", b""):
                return False
        return True


@dataclass(frozen=True)
class PoliteIMAP(Polite):
    """IMAP: signing in, and an empty INBOX."""

    login_disabled: bool = False

    def __call__(self, conversation: Conversation) -> None:
        conversation.send(GREETINGS["imap"])
        self.serve(conversation)

    def serve(self, conversation: Conversation) -> None:
        while line := self._read_command(conversation):
            tag, command, rest = _words(line, 3)
            if not self._answer(conversation, tag, command.upper(), rest):
                return

    def _read_command(self, conversation: Conversation) -> bytes:
        """A command with all its literals."""
        line = conversation.read_line()
        while literal := LITERAL.search(line):
            if not literal["needs_no_answer"]:
                conversation.send(b"+ go on\r\n")
            line += conversation.read(int(literal["size"])) + conversation.read_line()
        return line

    def _answer(self, conversation: Conversation, tag: str, command: str, rest: str) -> bool:
        """Answers one command; False after the last one."""

        def say(text: str) -> None:
            conversation.send(text.encode(errors="surrogateescape") + b"\r\n")

        match command:
            case "CAPABILITY":
                say(f"* CAPABILITY {self._capabilities(conversation)}")
            case "LOGIN":
                if self.login_disabled:
                    say(f"{tag} NO LOGIN is disabled")
                    return True
                self._verdict(conversation, tag)
                return True
            case "AUTHENTICATE":
                mechanism, initial = _words(rest.encode(), 2)
                if self._exchange(conversation, mechanism, initial, b"+ "):
                    self._verdict(conversation, tag)
                else:
                    say(f"{tag} BAD not done")
                return True
            case "STARTTLS" if self._offers_upgrade(conversation):
                say(f"{tag} OK begin")
                self._upgrade(conversation)
                return True
            case "SELECT" | "EXAMINE":
                say("* 0 EXISTS\r\n* 0 RECENT\r\n* FLAGS ()\r\n* OK [UIDVALIDITY 1] fine")
            case "LOGOUT":
                say(f"* BYE\r\n{tag} OK done")
                return False
            case "NOOP" | "CLOSE" | "LIST":
                pass
            case _:
                say(f"{tag} BAD not known")
                return True
        say(f"{tag} OK done")
        return True

    def _capabilities(self, conversation: Conversation) -> str:
        words = ["IMAP4rev1", "SASL-IR", *(f"AUTH={name}" for name in self.mechanisms)]
        if self._offers_upgrade(conversation):
            words.append("STARTTLS")
        if self.login_disabled:
            words.append("LOGINDISABLED")
        return " ".join(words)

    def _verdict(self, conversation: Conversation, tag: str) -> None:
        answer = f"{tag} OK signed in" if self.refusal is None else f"{tag} NO {self.refusal}"
        conversation.send(answer.encode() + b"\r\n")


@dataclass(frozen=True)
class PolitePOP3(Polite):
    """POP3: signing in by USER and PASS, AUTH or APOP, and an empty mailbox."""

    greeting: bytes = GREETINGS["pop3"]

    def __call__(self, conversation: Conversation) -> None:
        conversation.send(self.greeting)
        self.serve(conversation)

    def serve(self, conversation: Conversation) -> None:
        while line := conversation.read_line():
            command, rest = _words(line, 2)
            if not self._answer(conversation, command.upper(), rest):
                return

    def _answer(self, conversation: Conversation, command: str, rest: str) -> bool:
        """Answers one command; False after the last one."""

        def say(text: str) -> None:
            conversation.send(text.encode(errors="surrogateescape") + b"\r\n")

        match command:
            case "CAPA":
                say("\r\n".join(["+OK", *self._capabilities(conversation), "."]))
            case "USER" | "NOOP":
                say("+OK")
            case "PASS" | "APOP":
                say(self._verdict())
            case "AUTH":
                mechanism, initial = _words(rest.encode(), 2)
                accepted = self._exchange(conversation, mechanism, initial, b"+ ")
                say(self._verdict() if accepted else "-ERR not done")
            case "STLS" if self._offers_upgrade(conversation):
                say("+OK begin")
                self._upgrade(conversation)
            case "STAT":
                say("+OK 0 0")
            case "LIST" | "UIDL":
                say("+OK\r\n.")
            case "QUIT":
                say("+OK")
                return False
            case _:
                say("-ERR not known")
        return True

    def _capabilities(self, conversation: Conversation) -> list[str]:
        lines = ["USER", "UIDL"]
        if self.mechanisms:
            lines.append("SASL " + " ".join(self.mechanisms))
        if self._offers_upgrade(conversation):
            lines.append("STLS")
        return lines

    def _verdict(self) -> str:
        return "+OK signed in" if self.refusal is None else f"-ERR {self.refusal}"


@dataclass(frozen=True)
class PoliteSMTP(Polite):
    """SMTP submission: signing in, and taking mail, also from who has not signed in."""

    refusal_code: int = 535

    def __call__(self, conversation: Conversation) -> None:
        conversation.send(GREETINGS["smtp"])
        self.serve(conversation)

    def serve(self, conversation: Conversation) -> None:
        while line := conversation.read_line():
            command, rest = _words(line, 2)
            if not self._answer(conversation, command.upper(), rest):
                return

    def _answer(self, conversation: Conversation, command: str, rest: str) -> bool:
        """Answers one command; False after the last one."""

        def say(text: str) -> None:
            conversation.send(text.encode(errors="surrogateescape") + b"\r\n")

        match command:
            case "EHLO":
                words = ["mail.example.org", *self._extensions(conversation)]
                say("\r\n".join([*(f"250-{word}" for word in words[:-1]), f"250 {words[-1]}"]))
            case "HELO" | "NOOP" | "RSET" | "MAIL" | "RCPT":
                say("250 2.0.0 Ok")
            case "AUTH":
                mechanism, initial = _words(rest.encode(), 2)
                accepted = self._exchange(conversation, mechanism, initial, b"334 ")
                say(self._verdict() if accepted else "501 5.5.4 not done")
            case "STARTTLS" if self._offers_upgrade(conversation):
                say("220 2.0.0 begin")
                self._upgrade(conversation)
            case "DATA":
                say("354 go on")
                while conversation.read_line() not in (b".\r\n", b""):
                    pass
                say("250 2.0.0 Ok: kept")
            case "QUIT":
                say("221 2.0.0 Bye")
                return False
            case _:
                say("502 5.5.2 not known")
        return True

    def _extensions(self, conversation: Conversation) -> list[str]:
        lines = ["8BITMIME", "SMTPUTF8"]
        if self.mechanisms:
            lines.append("AUTH " + " ".join(self.mechanisms))
        if self._offers_upgrade(conversation):
            lines.append("STARTTLS")
        return lines

    def _verdict(self) -> str:
        return "235 2.7.0 Ok" if self.refusal is None else f"{self.refusal_code} {self.refusal}"


def _words(line: bytes, count: int) -> list[str]:
    """The first words of a line, the last with all that follows; empty where there are fewer."""
    words = line.decode("utf-8", "surrogateescape").strip("\r\n").split(" ", count - 1)
    return words + [""] * (count - len(words))


imap_ok = PoliteIMAP()
pop3_ok = PolitePOP3()
smtp_ok = PoliteSMTP()
POLITE: Mapping[str, Polite] = {"imap": imap_ok, "pop3": pop3_ok, "smtp": smtp_ok}


def silence(conversation: Conversation) -> None:
    """Never says anything."""
    conversation.sleep_until_closed(60)


def close_at_once(conversation: Conversation) -> None:
    conversation.close()


def reset_at_once(conversation: Conversation) -> None:
    """RST before a word; it can reach the client while that is still connecting."""
    conversation.reset()


def garbage_greeting(conversation: Conversation) -> None:
    """A line of text that none of the protocols knows."""
    conversation.send(b"What a lovely day it is\r\n")


def binary_greeting(conversation: Conversation) -> None:
    """Bytes of every value, with line ends in between."""
    conversation.send(bytes(range(256)) * 16 + b"\r\n")


def endless_greeting_line(conversation: Conversation) -> None:
    """A greeting without an end: until the client leaves, or has taken 256 MiB."""
    for _ in range(4096):
        conversation.send(b"+" * 65536)


def says(data: bytes) -> Script:
    """Sends that, whatever the protocol, and then only listens.

    `says(GREETINGS["imap"])` on a port where the client expects TLS is the server that does not
    speak it.
    """

    def script(conversation: Conversation) -> None:
        conversation.send(data)
        conversation.sleep_until_closed(60)

    return script


def reset_after_greeting(protocol: str) -> Script:
    def script(conversation: Conversation) -> None:
        conversation.send(GREETINGS[protocol])
        conversation.reset()

    return script


def reset_after_command(protocol: str) -> Script:
    """Takes the first command, whatever it is, and resets instead of answering."""

    def script(conversation: Conversation) -> None:
        conversation.send(GREETINGS[protocol])
        conversation.read_line()
        conversation.reset()

    return script


RUDE: Mapping[str, Script] = {
    "silence": silence,
    "close_at_once": close_at_once,
    "reset_at_once": reset_at_once,
    "garbage_greeting": garbage_greeting,
    "binary_greeting": binary_greeting,
    "endless_greeting_line": endless_greeting_line,
}
"""Those that need not know the protocol, by name."""

RUDE_AFTER_GREETING: Mapping[str, Callable[[str], Script]] = {
    "reset_after_greeting": reset_after_greeting,
    "reset_after_command": reset_after_command,
}
"""Those that do, as functions of it."""
