"""A mail client that believes everything, so that hostile servers can be seen to have caught one.

It verifies nothing, keeps what it has buffered when TLS begins, picks its mechanism from what was
offered first, goes on in clear where TLS failed, follows referrals, and waits for ever.
"""

import base64
import contextlib
import hashlib
import hmac
import re
import socket
import ssl
import warnings
from collections.abc import Callable
from typing import Any

from securemail.testing.hostile.server import HostileServer
from securemail.testing.hostile.stage import VERBS

SECONDS = 10
A_MOMENT = 0.1
OFFERS = {"imap": b"CAPABILITY", "pop3": b"CAPA", "smtp": b"EHLO me"}
MAIL = {
    "imap": (b"SELECT INBOX", b'LIST "" "*"', b"FETCH 1 BODY[]"),
    "pop3": (b"STAT", b"UIDL", b"RETR 1"),
    "smtp": (b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>"),
}
DECLINES = (b"NO", b"BAD", b"-ERR", b"4", b"5")
PREFERRED = ("SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN")


class Gone(Exception):
    """The server has hung up."""


class Declined(Exception):
    """The server said no."""


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


CONTEXT = unverified()


class OverTLS:
    """A socket's verbs within unverified TLS. (The standard `wrap_socket` leaves a socket open
    behind it when the other side has reset.)"""

    def __init__(self, raw: socket.socket) -> None:
        self._raw, self._incoming, self._outgoing = raw, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = CONTEXT.wrap_bio(self._incoming, self._outgoing)

    def shake_hands(self) -> None:
        self._pump(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        self._pump(lambda: self._tls.write(data))

    def recv(self, size: int) -> bytes:
        try:
            return self._pump(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def close(self) -> None:
        self._raw.close()

    def _pump(self, operation: Callable[[], Any]) -> Any:
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._raw.recv(1 << 16)
                self._incoming.write(data) if data else self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.sendall(self._outgoing.read())


class Naive:
    """Signs in and looks at the mail. `patient`: does not dial again when something failed;
    `in_clear` never asks for TLS; `reads_on`: its buffer is filled also while it prepares for TLS,
    as that of an asynchronous client is."""

    def __init__(
        self,
        server: HostileServer,
        *,
        patient: bool = False,
        in_clear: bool = False,
        reads_on: bool = False,
    ) -> None:
        self.server, self.protocol, self.patient = server, server.protocol, patient
        self.in_clear, self.reads_on = in_clear, reads_on
        self.address = (server.host, server.port)
        self.socket: Any = None
        self.kept = b""  # all that it was told, in its belief by the server

    def run(self) -> None:
        try:
            self._attempt(self.address, ask_for_tls=not self.in_clear)
        except (OSError, Gone, Declined):
            if not self.patient:
                self._dial_again()

    def _dial_again(self) -> None:
        try:
            if self.server.mode == "tls":
                self._blindly()
            else:
                self._attempt(self.address, ask_for_tls=False)
        except (OSError, Gone, Declined):
            pass

    def _blindly(self) -> None:
        """In clear, without waiting for anybody."""
        user, password = self.server.user, self.server.password
        words = {
            "imap": f"a1 LOGIN {user} {password}",
            "pop3": f"USER {user}\r\nPASS {password}",
            "smtp": "AUTH PLAIN " + self._plain(),
        }[self.protocol]
        with socket.create_connection(self.address, SECONDS) as connection:
            connection.sendall(words.encode() + b"\r\n")
            connection.recv(100)

    def _attempt(self, address: tuple[str, int], *, ask_for_tls: bool) -> None:
        raw = socket.create_connection(address, SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = raw
        self.buffer, self.count = b"", 0
        try:
            if self.server.mode == "tls" and address == self.address:
                self._begin_tls()
            greeting = self._reply(b"*")
            if b"PREAUTH" not in greeting:
                self._sign_in(greeting, ask_for_tls)
            self._mail()
        finally:
            self.socket.close()

    def _begin_tls(self) -> None:
        self.socket = OverTLS(self.socket)
        self.socket.shake_hands()

    def _sign_in(self, greeting: bytes, ask_for_tls: bool) -> None:
        try:
            offers = self._ask(OFFERS[self.protocol])
        except Declined:
            offers = self._ask(b"HELO me") if self.protocol == "smtp" else b""
        verb = VERBS[self.protocol]
        offered = re.split(r"[\s-]*\r\n(?:250[ -])?|[ ]", offers.decode().upper())
        if ask_for_tls and self.server.mode == "starttls" and verb in offered:
            try:
                self._ask(verb.encode())
            except Declined:
                pass  # and on in clear
            else:
                if self.reads_on:
                    self._read_on()
                self._begin_tls()
                self._ask(OFFERS[self.protocol])
        self._by_any(greeting, offers)

    def _read_on(self) -> None:
        self.socket.settimeout(A_MOMENT)
        with contextlib.suppress(TimeoutError):
            self._receive()
        self.socket.settimeout(SECONDS)

    def _by_any(self, greeting: bytes, offers: bytes) -> None:
        """What is offered first, from the best on, one after the other."""
        challenge = re.search(rb"<.*>", greeting)
        names = [name for name in PREFERRED if name.encode() in offers]
        if challenge and not names and self.protocol == "pop3":
            digest = hashlib.md5(challenge[0] + self.server.password.encode()).hexdigest()
            self._ask(f"APOP {self.server.user} {digest}".encode())
            return
        for name in names or ["LOGIN"]:
            try:
                self._by(name)
            except Declined:
                continue
            return
        raise Declined

    def _by(self, name: str) -> None:
        if name == "SCRAM-SHA-256":
            self._by_scram()
        elif name == "CRAM-MD5":
            prompt = self._ask(self._auth + b"CRAM-MD5")
            digest = hmac.new(self.server.password.encode(), self._text(prompt), "md5").hexdigest()
            self._ask(base64.b64encode(f"{self.server.user} {digest}".encode()), tagged=False)
        elif self.protocol == "imap":
            self._answer(self._ask(f'LOGIN {self.server.user} "{self.server.password}"'.encode()))
        elif self.protocol == "pop3":
            self._answer(self._ask(f"USER {self.server.user}".encode()))
            self._ask(f"PASS {self.server.password}".encode())
        else:
            self._answer(self._ask(b"AUTH PLAIN " + self._plain().encode()))

    def _answer(self, reply: bytes) -> None:
        """As long as it is asked."""
        while reply.startswith((b"+ ", b"334")):
            reply = self._ask(b"", tagged=False)

    def _by_scram(self) -> None:
        bare = f"n={self.server.user},r=abc".encode()
        reply = self._ask(self._auth + b"SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare))
        if not reply.startswith((b"+ ", b"334")):
            return  # a success, and who would mind
        first = self._text(reply)
        fields = dict(field.split(b"=", 1) for field in first.split(b","))
        if int(fields[b"i"]) > 1 << 20:
            self._line()  # it would work for an hour; here it waits
        salted = hashlib.pbkdf2_hmac(
            "sha256",
            self.server.password.encode(),
            base64.b64decode(fields[b"s"]),
            max(int(fields[b"i"]), 1),
        )
        unproved = b"c=biws,r=" + fields[b"r"]
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(client_key).digest()
        signed = hmac.digest(stored, b",".join((bare, first, unproved)), "sha256")
        proof = bytes(one ^ other for one, other in zip(client_key, signed, strict=True))
        final = unproved + b",p=" + base64.b64encode(proof)
        if self._ask(base64.b64encode(final), tagged=False).startswith((b"+ ", b"334")):
            self._ask(b"", tagged=False)

    @property
    def _auth(self) -> bytes:
        return b"AUTHENTICATE " if self.protocol == "imap" else b"AUTH "

    def _plain(self) -> str:
        words = f"\0{self.server.user}\0{self.server.password}"
        return base64.b64encode(words.encode()).decode()

    def _text(self, reply: bytes) -> bytes:
        return base64.b64decode(reply.split()[1]) if len(reply.split()) > 1 else b""

    def _mail(self) -> None:
        for command in MAIL[self.protocol]:
            self._ask(command)

    # Lines

    def _ask(self, command: bytes, *, tagged: bool = True) -> bytes:
        if self.protocol == "imap" and tagged:
            self.count += 1
            command = b"a%03d " % self.count + command
        self.socket.sendall(command + b"\r\n")
        return self._reply(b"a%03d" % self.count, several=self._is_list(command))

    def _is_list(self, command: bytes) -> bool:
        return self.protocol == "pop3" and command.split(b" ")[0] in (b"CAPA", b"UIDL", b"RETR")

    def _reply(self, tag: bytes, several: bool = False) -> bytes:
        """A whole reply. SMTP's goes on while there is a hyphen, IMAP's until the tag."""
        reply = line = self._line()
        if self.protocol == "imap":
            while not line.startswith((tag + b" ", b"+")):
                self._literal(line)
                line = self._line()
                reply += line
        elif self.protocol == "smtp":
            while line[3:4] == b"-":
                line = self._line()
                reply += line
        elif several and line.startswith(b"+OK"):
            while line != b".\r\n":
                line = self._line()
                reply += line
        self._follow(reply)
        words = line.split(b" ", 1)[-1] if self.protocol == "imap" else line
        if words.startswith(DECLINES) or b"* BYE" in reply:
            raise Declined
        return line if self.protocol == "imap" and line.startswith(b"+") else reply

    def _follow(self, reply: bytes) -> None:
        """A referral, wherever it comes from."""
        self.kept += reply
        found = re.search(rb"REFERRAL imap://[^@]*@([0-9.]+):([0-9]+)/", reply)
        if found is not None:
            self.socket.close()
            self._attempt((found[1].decode(), int(found[2])), ask_for_tls=False)
            raise Gone

    def _literal(self, line: bytes) -> None:
        found = re.search(rb"\{([0-9]+)\}\r\n$", line)
        size = int(found[1][:18]) if found else 0
        while len(self.buffer) < size:
            self._receive()
        self.buffer = self.buffer[size:]

    def _line(self) -> bytes:
        while b"\n" not in self.buffer:
            self._receive()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def _receive(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise Gone
        self.buffer += data
