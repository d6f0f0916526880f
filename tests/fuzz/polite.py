"""What a polite server answers, as little as the clients need: pure, a class for each protocol."""

import base64
import binascii
import hashlib
import hmac
from typing import ClassVar

from fuzz.choices import Choices
from fuzz.phrases import MARKER

USER, PASSWORD, TOKEN = "user", 'Tr0ub4dor "and" 3\\horses', "ya29.a-token-of-some-length"
_SALT, _ITERATIONS = b"salt of some octets", 4096
MECHANISMS = (
    b"PLAIN",
    b"SCRAM-SHA-256",
    b"LOGIN",
    b"OAUTHBEARER",
    b"XOAUTH2",
    b"CRAM-MD5",
    b"EXTERNAL",
    b"ANONYMOUS",
    b"SCRAM-SHA-1",
    b"SCRAM-SHA-512",
    b"SCRAM-SHA-256-PLUS",
    b"PLAIN LOGIN SCRAM-SHA-256",
    b"",
)
_SALTED = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), _SALT, _ITERATIONS)


class Polite:
    """Answers lines. What it says in clear has the marker in it, wherever there may be words."""

    is_tls = False
    tag = b"*"

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.mechanisms = choices.one_of(MECHANISMS).split()
        self._asking: SaslServer | None = None
        self._mail = False

    @property
    def mark(self) -> bytes:
        return b"fine" if self.is_tls else MARKER

    def greeting(self) -> bytes:
        raise NotImplementedError

    def answer(self, line: bytes) -> bytes:
        if self._asking is not None:
            return self._challenge(line.strip())
        return self.command(line)

    def command(self, line: bytes) -> bytes:
        raise NotImplementedError

    def done(self, kind: str = "OK") -> bytes:
        """A final word: OK, NO or BAD."""
        raise NotImplementedError

    def begin(self, mechanism: bytes, initial: bytes | None) -> bytes:
        self._asking = SaslServer(mechanism)
        if initial is None and self._asking.client_first:
            return self.ask(b"")
        return self._challenge(initial)

    def _challenge(self, response: bytes | None) -> bytes:
        assert self._asking is not None
        if response == b"*":
            self._asking = None
            return self.done("NO")
        challenge = self._asking.next(response)
        if challenge is None:
            self._asking = None
            return self.done("signed in")
        return self.ask(base64.b64encode(challenge))

    def ask(self, challenge: bytes) -> bytes:
        return b"+ " + challenge + b"\r\n"


class SaslServer:
    """The server's part of each mechanism, for any password but SCRAM's."""

    _ASKS: ClassVar[dict[bytes, tuple[bytes, ...]]] = {
        b"LOGIN": (b"Username:", b"Password:"),
        b"CRAM-MD5": (b"<1896.697170952@mail.example.org>",),
    }

    def __init__(self, mechanism: bytes) -> None:
        self._name = mechanism.upper()
        self._left = list(self._ASKS.get(self._name, ()))
        self._bare = self._first = b""
        self.client_first = not self._left

    def next(self, response: bytes | None) -> bytes | None:
        """The next challenge, or None for a success."""
        if self._left:
            return self._left.pop(0)
        if self._name.startswith(b"SCRAM-SHA-256"):
            return self._scram(_decoded(response))
        return None

    def _scram(self, message: bytes) -> bytes | None:
        if not self._bare:
            self._bare = message.split(b",,", 1)[-1]
            nonce = self._bare.partition(b"r=")[2] + b"server"
            salt = base64.b64encode(_SALT)
            self._first = b"r=%s,s=%s,i=%d" % (nonce, salt, _ITERATIONS)
            return self._first
        if not message:
            return None
        without = message.rpartition(b",p=")[0]
        key = hmac.digest(_SALTED, b"Server Key", "sha256")
        everything = b",".join((self._bare, self._first, without))
        return b"v=" + base64.b64encode(hmac.digest(key, everything, "sha256"))


def _decoded(response: bytes | None) -> bytes:
    try:
        return base64.b64decode(response or b"", validate=True)
    except binascii.Error:
        return b""


class PoliteIMAP(Polite):
    _literal = 0

    def greeting(self) -> bytes:
        return b"* OK %s ready\r\n" % self.mark

    def done(self, kind: str = "OK") -> bytes:
        return b"%s %s %s\r\n" % (self.tag, kind.replace("signed in", "OK").encode(), self.mark)

    def answer(self, line: bytes) -> bytes:
        if self._literal > 0:
            self._literal -= len(line)
            return b"" if self._literal > 0 else self.done()
        return super().answer(line)

    def command(self, line: bytes) -> bytes:
        if line.rstrip().endswith(b"}"):
            self._literal = int(line.rstrip()[:-1].rpartition(b"{")[2]) + 2
        words = line.split()
        if len(words) < 2:
            return b"" if not self.tag else self.done()
        self.tag, command = words[0], words[1].upper()
        if self._literal:
            return b"+ go on\r\n"
        if command == b"AUTHENTICATE" and len(words) > 2:
            return self.begin(words[2], words[3] if len(words) > 3 else None)
        return self._untagged(command) + self.done()

    def _untagged(self, command: bytes) -> bytes:
        said = {
            b"CAPABILITY": b"* CAPABILITY IMAP4rev1 %s%s\r\n" % (self._offer(), self.mark),
            b"LIST": b'* LIST (\\HasNoChildren) "/" INBOX\r\n',
            b"SELECT": b"* 2 EXISTS\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY 1] ok\r\n",
            b"FETCH": b"* 1 FETCH (BODY[] {5}\r\nhello FLAGS ())\r\n",
            b"SEARCH": b"* SEARCH 1 2\r\n",
            b"LOGOUT": b"* BYE see you\r\n",
            b"STATUS": b'* STATUS "INBOX" (MESSAGES 2)\r\n',
        }
        return said.get(command, b"")

    def _offer(self) -> bytes:
        words = [b"AUTH=" + name for name in self.mechanisms]
        words += [] if self.is_tls else [b"STARTTLS"]
        words += self.choices.one_of(
            ((b"SASL-IR",), (), (b"LOGINDISABLED",), (b"ENABLE UTF8=ACCEPT",))
        )
        return b"".join(word + b" " for word in words)


class PolitePOP3(Polite):
    def greeting(self) -> bytes:
        return b"+OK %s <1896.697170952@mail.example.org>\r\n" % self.mark

    def done(self, kind: str = "OK") -> bytes:
        is_ok = kind in ("OK", "signed in")
        return b"%s %s\r\n" % (b"+OK 2 320" if is_ok else b"-ERR", self.mark)

    def command(self, line: bytes) -> bytes:
        words = line.split()
        command = words[0].upper() if words else b""
        if command == b"AUTH" and len(words) > 1:
            return self.begin(words[1], words[2] if len(words) > 2 else None)
        lines = self._lines(command, len(words))
        return self.done() + b"".join(one + b"\r\n" for one in lines)

    def _lines(self, command: bytes, words: int) -> tuple[bytes, ...]:
        if command == b"CAPA":
            more = () if self.is_tls else (b"STLS",)
            sasl = (b"SASL " + b" ".join(self.mechanisms),) if self.mechanisms else ()
            return (*self.choices.one_of(((b"USER",), ())), *sasl, *more, b"X-" + self.mark, b".")
        if command in (b"LIST", b"UIDL") and words == 1:
            return (b"1 160", b"2 160", b".")
        if command in (b"RETR", b"TOP"):
            return (b"Subject: x", b"", b"..hello", b".")
        return (*self.mechanisms, b".") if command == b"AUTH" else ()


class PoliteSMTP(Polite):
    def greeting(self) -> bytes:
        return b"220 mx %s\r\n" % self.mark

    def done(self, kind: str = "OK") -> bytes:
        number = {"OK": 250, "signed in": 235, "NO": 535}.get(kind, 500)
        return b"%d 2.0.0 %s\r\n" % (number, self.mark)

    def ask(self, challenge: bytes) -> bytes:
        return b"334 " + challenge + b"\r\n"

    def answer(self, line: bytes) -> bytes:
        if self._mail:
            self._mail = line != b".\r\n"
            return b"" if self._mail else self.done()
        return super().answer(line)

    def command(self, line: bytes) -> bytes:
        words = line.split()
        command = words[0].upper() if words else b""
        if command == b"AUTH" and len(words) > 1:
            return self.begin(words[1], words[2] if len(words) > 2 else None)
        if command == b"EHLO":
            offered = [b"mx.example.org " + self.mark, b"8BITMIME", b"X-" + self.mark]
            offered += [] if self.is_tls else [b"STARTTLS"]
            return b"".join(b"250-%s\r\n" % one for one in offered) + b"250 AUTH %s\r\n" % (
                b" ".join(self.mechanisms)
            )
        if command == b"DATA":
            self._mail = True
            return b"354 %s\r\n" % self.mark
        return {b"STARTTLS": b"220 %s\r\n" % self.mark, b"QUIT": b"221 %s\r\n" % self.mark}.get(
            command, self.done()
        )


POLITE: dict[str, type[Polite]] = {"imap": PoliteIMAP, "pop3": PolitePOP3, "smtp": PoliteSMTP}
