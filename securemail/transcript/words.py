"""What may be shown of a line by its place in the protocol. Mail, and what nobody here knows, is a
number of octets. Pure, with a little memory."""

from __future__ import annotations

import re
from typing import ClassVar

_CRLF = b"\r\n"


def size(data: bytes) -> bytes:
    return b"<%s octets>" % f"{len(data):,}".encode()


def _name(words: str) -> frozenset[bytes]:
    return frozenset(words.encode().split())


class Words:
    """One connection's. `people`: the names before an "@" that were met, for the redactor."""

    shown: ClassVar[frozenset[bytes]]  # commands whose arguments tell nothing
    named: ClassVar[frozenset[bytes]]  # others that are known by name
    challenge: ClassVar[bytes]  # how a line begins that asks for more
    greeted = False
    people: tuple[bytes, ...] = ()
    asked = b""  # the command that the next reply answers, where that matters

    def sent(self, data: bytes) -> list[bytes]:
        """Octets of ours that are no sign-in: what may be shown, line by line."""
        raise NotImplementedError

    def heard(self, line: bytes) -> bytes:
        """A line of the server's, without its end."""
        if self.greeted:
            return self._answer(line)
        self.greeted = True
        return line

    def _answer(self, line: bytes) -> bytes:
        raise NotImplementedError

    def block(self, data: bytes) -> list[bytes]:
        """Many lines at once, or a literal."""
        return [size(data)]

    def is_wrapped(self, line: bytes) -> bool:
        """Whether the reply goes on."""
        return False

    def ends_sign_in(self, line: bytes) -> bool:
        return not (line + b" ").startswith(self.challenge)

    def _command(self, command: bytes, rest: bytes) -> bytes:
        """`rest` begins with the blank before the arguments."""
        name = command.upper()
        if name not in self.shown | self.named:
            return size(command + rest)
        return command + (rest if name in self.shown or not rest else b" " + size(rest[1:]))


class POP3Words(Words):
    shown = _name("CAPA STLS NOOP QUIT STAT LIST RETR TOP DELE RSET UIDL LAST UTF8 LANG")
    named = _name("AUTH USER PASS APOP RPOP XTND IMPLEMENTATION")
    challenge = b"+ "
    _listed = _name("CAPA LIST UIDL AUTH")

    def sent(self, data: bytes) -> list[bytes]:
        command, blank, rest = data.rstrip(_CRLF).partition(b" ")
        self.asked = command.upper()
        return [self._command(command, blank + rest)]

    def _answer(self, line: bytes) -> bytes:
        if line == b"+" or line.startswith(b"+ "):
            return b"+ <challenge>"
        return line if line.startswith((b"+OK", b"-")) else size(line)

    def block(self, data: bytes) -> list[bytes]:
        lines = data.split(b"\n")[:-1]
        if self.asked not in self._listed or len(lines) > 100:
            return [size(data)]
        return [line.rstrip(b"\r") for line in lines]


class SMTPWords(Words):
    shown = _name("EHLO HELO LHLO STARTTLS RSET QUIT DATA BDAT")
    named = _name("AUTH MAIL RCPT NOOP HELP VRFY EXPN ETRN BURL XCLIENT XFORWARD")
    challenge = b"334 "
    _path = re.compile(rb"((?:MAIL FROM|RCPT TO):\s*)<(.*)>([^>]*)", re.IGNORECASE)
    _asked = False  # DATA was said
    _is_mail = False  # what is sent now

    def sent(self, data: bytes) -> list[bytes]:
        found = []
        while data and not self._is_mail:
            line, _, data = data.partition(b"\n")
            command, blank, rest = line.rstrip(b"\r").partition(b" ")
            found.append(self._envelope(line) or self._command(command, blank + rest))
            self._is_mail = command.upper() == b"BDAT" or (self._asked and bool(data))
            self._asked = command.upper() == b"DATA"
        return [*found, size(data)] if data else found

    def _envelope(self, line: bytes) -> bytes | None:
        """Whose mail it is stays unsaid; to which server is told."""
        path = self._path.match(line.rstrip(b"\r"))
        if path is None:
            return None
        verb, address, options = path.groups()
        local, at, domain = address.rpartition(b"@")
        local, domain = (local, domain) if at else (domain, b"")
        self.people = (local,)
        return verb + b"<" + (b"<someone>" if local else b"") + at + domain + b">" + options

    def _answer(self, line: bytes) -> bytes:
        if not self.is_wrapped(line):
            self._is_mail = self._asked and line.startswith(b"354")
            self._asked = False
        if line.startswith(b"334"):
            return b"334 <challenge>"
        return line if line[:3].isdigit() else size(line)

    def is_wrapped(self, line: bytes) -> bool:
        return line[:3].isdigit() and line[3:4] == b"-"


class IMAPWords(Words):
    shown = _name(
        "CAPABILITY NOOP LOGOUT STARTTLS ENABLE CHECK CLOSE UNSELECT EXPUNGE IDLE NAMESPACE FETCH "
        "STORE DONE"
    )
    named = _name(
        "LOGIN AUTHENTICATE ID SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST "
        "LSUB XLIST STATUS APPEND SEARCH SORT THREAD COPY MOVE GETACL SETACL DELETEACL MYRIGHTS "
        "GETQUOTA GETQUOTAROOT SETQUOTA GETMETADATA SETMETADATA PROXYAUTH"
    )
    challenge = b"+ "
    _told = _name("OK NO BAD BYE PREAUTH CAPABILITY FLAGS SEARCH ENABLED")
    _counted = _name("EXISTS RECENT EXPUNGE")
    _untagged = named | _name(
        "FETCH NAMESPACE ESEARCH QUOTA QUOTAROOT ACL METADATA VANISHED LANGUAGE"
    )
    _quoted = re.compile(rb'"((?:[^"\\]|\\.)*)"')
    _literal = re.compile(rb"\{([0-9]{1,18})\+?\}\Z")
    _due = -1  # octets of a literal that are to be sent; 0: the rest of its command; -1: none
    _within = False  # a response that goes on after its literal

    def sent(self, data: bytes) -> list[bytes]:
        found = []
        while data and self._due < 0:
            line, _, data = data.partition(b"\n")
            found.append(self._line(line.rstrip(b"\r")))
        return found + self._rest(data) if data else found

    def _rest(self, data: bytes) -> list[bytes]:
        """A literal, or what follows it: the end of the line that began before, or another one."""
        shown = [] if data == _CRLF else [size(data)]
        after = data[self._due :] if self._due else data
        self._due = max(self._due - len(data), 0)
        if after.endswith(b"\n"):
            again = self._literal.search(after.rstrip(_CRLF))
            self._due = int(again[1]) if again else -1
        return shown

    def _line(self, line: bytes) -> bytes:
        if announced := self._literal.search(line):
            self._due = int(announced[1])
        tag, blank, rest = line.partition(b" ")
        if not blank:
            return line if line.upper() == b"DONE" else size(line)
        uid, command, arguments = self._parted(rest)
        if not tag.isalnum() or command.upper() not in self.shown | self.named:
            return size(line)  # a tag may be anything, too
        if command.upper() in (b"SELECT", b"EXAMINE") and arguments.strip(b' "') == b"INBOX":
            return line
        if command.upper() in self.shown:
            arguments = self._quoted.sub(lambda found: b'"%s"' % size(found[1]), arguments)
        return b" ".join((tag, uid + self._command(command, arguments)))

    @staticmethod
    def _parted(rest: bytes) -> tuple[bytes, bytes, bytes]:
        uid = rest[:4] if rest[:4].upper() == b"UID " else b""
        command, blank, arguments = rest[len(uid) :].partition(b" ")
        return uid, command, blank + arguments

    def _answer(self, line: bytes) -> bytes:
        within, self._within = self._within, False
        if within:
            return size(line)
        first, _, rest = line.partition(b" ")
        if first == b"+":
            return line
        if first != b"*":
            self._due = -1  # the literal was not wanted
            is_status = rest.partition(b" ")[0].upper() in (b"OK", b"NO", b"BAD")
            return line if is_status and first.isalnum() else size(line)
        return b"* " + self._response(rest)

    def _response(self, rest: bytes) -> bytes:
        word, _, after = rest.partition(b" ")
        if word.upper() in self._told or (
            word.isdigit() and after.strip().upper() in self._counted
        ):
            return rest
        number, word = (word + b" ", after.partition(b" ")[0]) if word.isdigit() else (b"", word)
        if word.upper() not in self._untagged:
            return size(rest)
        return number + word + b" " + size(rest[len(number + word) + 1 :])

    def block(self, data: bytes) -> list[bytes]:
        self._within = True
        return [size(data)]

    def ends_sign_in(self, line: bytes) -> bool:
        return not line.startswith((b"+", b"*"))


WORDS: dict[str, type[Words]] = {"pop": POP3Words, "smtp": SMTPWords, "imap": IMAPWords}
