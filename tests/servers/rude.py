"""Servers that speak a protocol up to a point, and then something else.

`Scripted("smtp", (ask(b"Username:"), accept))` greets and says what it offers as a polite server
does; from then on each of its answers answers one line of the client's.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass

from servers.recording import Conversation, Script
from servers.scripts import GREETINGS

# What to do about a line: in this conversation, of this protocol, with this tag (IMAP's).
Answer = Callable[[Conversation, str, bytes], None]


def says(imap: bytes = b"", pop3: bytes = b"", smtp: bytes = b"") -> Answer:
    """These octets, with the tag in place of %t."""
    by_protocol = {"imap": imap, "pop3": pop3, "smtp": smtp}

    def answer(conversation: Conversation, protocol: str, tag: bytes) -> None:
        conversation.send(by_protocol[protocol].replace(b"%t", tag))

    return answer


def to_all(data: bytes) -> Answer:
    return says(data, data, data)


def asks_raw(text: bytes) -> Answer:
    """A challenge, as it is on the wire."""
    return says(b"+ " + text + b"\r\n", b"+ " + text + b"\r\n", b"334 " + text + b"\r\n")


def asks(text: bytes) -> Answer:
    return asks_raw(base64.b64encode(text))


accepts = says(b"%t OK signed in\r\n", b"+OK signed in\r\n", b"235 2.7.0 signed in\r\n")
refuses = says(b"%t NO wrong password\r\n", b"-ERR wrong password\r\n", b"535 wrong password\r\n")


def resets(conversation: Conversation, protocol: str, tag: bytes) -> None:
    conversation.reset()


def closes(conversation: Conversation, protocol: str, tag: bytes) -> None:
    conversation.close()


def says_nothing(conversation: Conversation, protocol: str, tag: bytes) -> None:
    conversation.sleep_until_closed(30)


def goes_on_asking(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """Challenge after challenge, whatever the answer, a thousand times."""
    for _ in range(1000):
        asks(b"and?")(conversation, protocol, tag)
        if conversation.read_line() in (b"", b"*\r\n"):
            return


def trickles(data: bytes, seconds: float, pause: float = 0.1) -> Answer:
    """The same octet again and again, one at a time."""

    def answer(conversation: Conversation, protocol: str, tag: bytes) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            conversation.send(data)
            time.sleep(pause)

    return answer


def without_end(imap: bytes, pop3: bytes, smtp: bytes, seconds: float) -> Answer:
    """The same line again and again, without a pause that anybody would notice."""
    once = says(imap * 20, pop3 * 20, smtp * 20)

    def answer(conversation: Conversation, protocol: str, tag: bytes) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            once(conversation, protocol, tag)
            time.sleep(0.02)

    return answer


@dataclass(frozen=True)
class Scripted:
    """`greeting` and `opening` (of CAPABILITY, CAPA or EHLO) replace the polite answers; `words`
    are what the server offers beside `mechanisms`."""

    protocol: str
    answers: tuple[Answer, ...] = ()
    mechanisms: tuple[str, ...] = ("PLAIN",)
    words: tuple[str, ...] = ()
    greeting: Answer | None = None
    opening: Answer | None = None

    def __call__(self, conversation: Conversation) -> None:
        tag = b""
        (self.greeting or to_all(GREETINGS[self.protocol]))(conversation, self.protocol, tag)
        answers = [self.opening or self._offer, *self.answers]
        if self.protocol == "smtp" and self.opening is not None and not self.answers:
            answers.append(self.opening)  # of HELO, which follows a refused EHLO
        while conversation.is_open and (line := conversation.read_line()):
            first, _, rest = line.partition(b" ")
            tag = first if rest and not rest.isspace() else tag
            tag = first if self.protocol == "imap" and b"CAPABILITY" in line else tag
            answer = answers.pop(0) if answers else _answers_politely
            answer(conversation, self.protocol, tag)

    def _offer(self, conversation: Conversation, protocol: str, tag: bytes) -> None:
        names = self.mechanisms
        if protocol == "imap":
            offered = " ".join(["IMAP4rev1", *self.words, *(f"AUTH={name}" for name in names)])
            text = f"* CAPABILITY {offered}\r\n%t OK done\r\n"
        elif protocol == "pop3":
            sasl = ["SASL " + " ".join(names)] if names else []
            text = "\r\n".join(["+OK", "UIDL", *self.words, *sasl, ".", ""])
        else:
            auth = ["AUTH " + " ".join(names)] if names else []
            lines = ["mail.example.org", *self.words, *auth]
            text = "".join(f"250-{line}\r\n" for line in lines) + "250 8BITMIME\r\n"
        to_all(text.encode())(conversation, protocol, tag)


def _answers_politely(conversation: Conversation, protocol: str, tag: bytes) -> None:
    says(b"* BYE\r\n%t OK done\r\n", b"+OK\r\n", b"250 Ok\r\n")(conversation, protocol, tag)


def after_client_hello(data: bytes, then: Answer) -> Script:
    """Reads the client's first record, answers with that, and then does something."""

    def script(conversation: Conversation) -> None:
        size = int.from_bytes(conversation.read(5)[3:5])
        conversation.read(size)
        if data:
            conversation.send(data)
        if conversation.is_open:
            then(conversation, "", b"")

    return script


# The beginning of a TLS 1.2 ServerHello: a record of 90 octets of which 20 are sent.
HALF_A_SERVER_HELLO = bytes.fromhex("160303005a0200005603030102030405060708090a0b0c")
