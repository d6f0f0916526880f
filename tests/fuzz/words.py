"""What servers say, as far as pure functions read it: refusals, POP3's lines, offers, msg-ids."""

import io
import poplib

from fuzz.choices import INTERESTING, Choices
from fuzz.escapes import only, require
from fuzz.phrases import LINES, WORDS
from securemail.answers import hint_for
from securemail.answers.answer import Said
from securemail.errors import ProtocolViolation, SecureMailError
from securemail.guard import first_word
from securemail.imap.lines import _LITERAL
from securemail.modes import spoken_instead
from securemail.pop3.lines import _kind_of, _split
from securemail.pop3.sign_in import _TIMESTAMP

_HOSTS = ("mail.example.org", "imap.gmail.com", "outlook.office365.com", "smtp.mail.yahoo.com.", "")


def _line(choices: Choices) -> bytes:
    line = choices.one_of(LINES[choices.one_of(("imap", "pop3", "smtp"))])
    line = line.replace(b"%w", choices.one_of(WORDS)).replace(b"%m", choices.octets(9))
    return choices.changed(line)


def answers(case: bytes) -> None:
    """A hint is one line, or none."""
    choices = Choices(case)
    protocol = choices.one_of(("imap", "POP3 over TLS", "SMTP with STARTTLS", "LMTP"))
    words = b"".join(_line(choices) for _ in range(choices.number(3) + 1)) + choices.rest()
    host, password = choices.one_of(_HOSTS), choices.one_of((True, False))
    hint = hint_for(protocol, host, words, choices.one_of((None, 535, 999)), password=password)
    require(not hint or hint.isprintable(), f"not to be shown: {hint!r}")
    said = Said.read(protocol, host, words, None)
    require(said.reply == 0 or 200 <= said.reply < 600, f"a reply of {said.reply}")
    spoken_instead(words.decode("latin-1"), protocol)
    require(first_word(words) == first_word(words.decode("latin-1")), "octets and text differ")


class _Standard(poplib.POP3):
    """`poplib` reading from memory."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)  # type: ignore[assignment]
        self._debugging = 0


def pop3_lines(case: bytes) -> None:
    """A multi-line reply is split as the standard module splits it."""
    choices = Choices(case)
    pieces = (*INTERESTING[:12], b".", b"..", b"a", b"\r\n.", b"\r\n..x")
    text = b"".join(choices.one_of(pieces) for _ in range(choices.number(30))) + choices.rest()
    text = text + b"\n" if text and not text.endswith(b"\n") else text
    lines = text.splitlines(keepends=True)
    if any(
        line in (b".\r\n", b".\n", b"\r.\n") for line in text.replace(b"\n", b"\n\0").split(b"\0")
    ):
        return  # its end, which the reader has looked for
    standard = _Standard(b"+OK\r\n" + text + b".\r\n")
    try:
        _, lines, octets = standard._getlongresp()  # type: ignore[attr-defined]
    except poplib.error_proto:
        return  # a line that is too long for it
    found, stuffed = _split(text)
    require(found == lines, f"{text!r}: {found!r}, and poplib says {lines!r}")
    require(len(text) - stuffed == octets, f"{text!r}: {len(text) - stuffed}, not {octets}")


def small_words(case: bytes) -> None:
    """A challenge of APOP is a msg-id in printable ASCII; a literal's size is a number."""
    choices = Choices(case)
    line = choices.one_of(
        (b"+OK ready <1896.697170952@dbc.mtview.ca.us>", b"+OK <a@b> <c@d>", b"+OK <@>")
    )
    line = choices.changed(choices.changed(line)) + choices.octets(40)
    if found := _TIMESTAMP.match(line):
        inner = found[1]
        require(inner.isascii() and inner.decode().isprintable() and b" " not in inner, repr(inner))
        require(inner.count(b"@") == 1 and inner[:1] == b"<" and inner[-1:] == b">", repr(inner))
    require(_kind_of(line) in ("success", "challenge", "refusal"), "a kind")
    text = choices.changed(b"* 1 FETCH (BODY[] {12}\r\n") + choices.rest()
    if announced := _LITERAL.search(text):
        require(announced["size"].isdigit() and text.endswith(b"\n"), repr(text))
    with only():
        raise _as_it_is_shown(text)


def _as_it_is_shown(text: bytes) -> SecureMailError:
    from securemail.errors import printable

    error = ProtocolViolation(printable(text), host="mail.example.org", port=993, protocol="IMAP")
    require(str(error).isprintable(), f"not to be shown: {error}")
    return error
