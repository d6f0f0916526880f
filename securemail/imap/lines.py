"""IMAP on the wire: lines and literals in, within bounds; commands out, guarded."""

from __future__ import annotations

import imaplib
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from ..channel import Verified
from ..declining import Reply
from ..errors import LimitExceeded, PolicyError, SecureMailError, UpgradeRefused, printable
from ..guard import Commands, first_word
from ..sasl.credentials import Secret, encoded
from ..upgrading import Upgrading
from ..wire import CRLF, octets_of, require_line
from .closed_mailbox import explained
from .errors import (
    IMAP4AuthenticationFailed,
    IMAP4ConnectionLost,
    IMAP4LimitExceeded,
    IMAP4ProtocolViolation,
    IMAP4SendTimeLimitExceeded,
    IMAP4Unavailable,
)

STANDARD: Any = imaplib.IMAP4  # captured: a program may put something else there later

_LITERAL = re.compile(rb"\{(?P<size>[0-9]+)\+?\}\r?\n\Z")  # RFC 9051, 4.3
_BRACES = (b"}\r\n", b"}\n")
_BLANK = (b"\r\n", b"\n")
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_WORDS = re.compile(rb"(\* (?:[0-9]+ )?|[A-P]+[0-9]+ )([A-Za-z-]+)( \[[A-Za-z-]+)?")
_FORM = re.compile(rb"(\*|\+|[A-P]{1,8}[0-9]{1,9})( (OK|NO|BAD|BYE|CAPABILITY)(?![^ ]))?")
_ANNOUNCED = re.compile(rb"\{[0-9]+\+?\}\Z")  # at the end of a command: what follows is its text


class IMAP4Lines(Upgrading):
    """Mixed in before the standard class, under its verbs."""

    _COMMANDS: ClassVar[Commands] = Commands(
        secret=frozenset({"LOGIN", "AUTHENTICATE"}),
        neutral=frozenset({"CAPABILITY", "STARTTLS", "NOOP", "LOGOUT", "ID"}),
    )
    _CHALLENGE = b"+ "
    _VIOLATION = IMAP4ProtocolViolation
    _AUTH_FAILED = IMAP4AuthenticationFailed
    _LOST = IMAP4ConnectionLost
    _STANDARD_ERROR = imaplib.IMAP4.error
    _LIMIT = IMAP4LimitExceeded
    _SEND_TIME_LIMIT = IMAP4SendTimeLimitExceeded
    # of the standard class
    tagged_commands: dict[bytes, Any]
    untagged_responses: dict[str, list[Any]]
    _new_tag: Callable[[], bytes]
    _get_response: Callable[[], Any]
    continuation_response: bytes
    literal: Any
    state: str
    is_readonly: bool
    debug: int
    _log: Callable[[str], None]
    error: type[Exception]
    abort: type[Exception]
    host: str
    port: int
    _encoding: str

    # Whose replies bring no mail and ask for no long work.
    _SHORT: ClassVar[frozenset[str]] = _COMMANDS.neutral | {"ENABLE", "NAMESPACE", "LANGUAGE"}
    _last_command: str = ""
    _after_literal: bool = False  # what was read last
    _open_parentheses: int = 0  # of the response that is being read
    _last_words: bytes = b""  # of a BYE
    _tag: bytes | None = None  # of the sign-in under way

    def _create_socket(self, timeout: float | None) -> socket.socket:
        sys.audit("imaplib.open", self, self.host, self.port)
        return self._connected()

    def _dials(self) -> bool:
        return type(self)._create_socket is IMAP4Lines._create_socket

    # -- writing

    # The standard module's own would hold a sign-in that is spelled out in their frames, which a
    # traceback may show.

    def xatom(self, name: str, *args: Any) -> tuple[str, list[Any]]:
        """Send a command that this class has no verb for; as the standard verb."""
        hidden, name = Secret(args), name.upper()
        del args
        imaplib.Commands.setdefault(name, (self.state,))
        found: tuple[str, list[Any]] = self._simple_command(name, *hidden.reveal())
        return found

    def _simple_command(self, name: str, *args: Any) -> Any:
        hidden = Secret(args)
        del args
        with self._undivided():
            return self._command_complete(name, self._command(name, *hidden.reveal()))

    def _doubt(self) -> str:
        if self._last_command != "IDLE":
            return ""
        return (
            "In IDLE a server speaks when there is news. Wait by a time-out of your own, "
            "imap.sock.settimeout(...), which does not end the connection; or by imap.idle() of "
            "Python 3.14."
        )

    def _is_early(self) -> bool:
        return self.state in ("NONAUTH", "LOGOUT")

    def _goes_on(self) -> bool:
        return not self._is_early() and self._last_command not in self._SHORT

    def _command(self, name: str, *args: Any) -> bytes:
        hidden = Secret((name, *args))
        del args
        try:
            return self._commanded(name, hidden)
        except BaseException:
            self.literal = None  # of a message that is not sent: the next command would send it
            raise

    def _commanded(self, name: str, hidden: Secret) -> bytes:
        self._raise_ended()
        self._refuse_preauth()
        self._require_known(name)
        word = self._last_command = first_word(name)
        if self._admit(word) == "secret":
            return self._spell(word, hidden)
        parts = (part for part in hidden.reveal() if part is not None)
        line = b" ".join(octets_of(part, self._encoding) for part in parts)
        literal, self.literal = self.literal, None
        if literal is not None and not callable(literal):
            literal = octets_of(literal, self._encoding)
        self._require_plain(line, ends=literal is None)
        with self._what_ended_it():
            return self._write_command(line, literal)

    def _require_known(self, name: str) -> None:
        """As the standard class has it, and in its words."""
        states = imaplib.Commands[name]
        if self.state not in states:
            self.literal = None
            allowed = ", ".join(states)
            raise self.error(
                f"command {name} illegal in state {self.state}, only allowed in states {allowed}"
            )

    def _write_command(self, line: bytes, literal: Any) -> bytes:
        """As the standard `_command` does it, which passes on what it was given and not what was
        looked at; and takes OK for the answer to a message that was never asked for."""
        for kind in ("OK", "NO", "BAD"):
            self.untagged_responses.pop(kind, None)
        if "READ-ONLY" in self.untagged_responses and not self.is_readonly:
            raise imaplib.IMAP4.readonly("mailbox status changed to READ-ONLY")
        tag: bytes = self._new_tag()
        line = tag + b" " + line
        if literal is not None and not callable(literal):
            line += b" {%d}" % len(literal)
        self._show_sent(line)
        self._send_admitted(line + CRLF)
        while literal is not None:
            if not self._is_asked_for(tag):
                break
            said = self.continuation_response
            self._send_admitted(octets_of(literal(said) if callable(literal) else literal))
            self._send_admitted(CRLF)
            literal = literal if callable(literal) else None
        return tag

    def _is_asked_for(self, tag: bytes) -> bool:
        """Wait for the server to ask for the literal; False where it refuses the command."""
        while self._get_response():
            if (answer := self.tagged_commands[tag]) is None:
                continue
            if answer[0] == "OK":
                raise self._close_for(
                    self._VIOLATION(
                        "the server said OK before it asked for what the command was to carry: "
                        "that was not sent.",
                        hint="Nothing was stored, whatever it says. Connect again.",
                        **self._details(),
                    )
                )
            return False
        return True

    def _send_admitted(self, data: bytes) -> None:
        """By `send`, which a program may have overridden; it lets these very octets pass, and no
        others that come meanwhile, from another thread or a signal's handler."""
        admitted = self.__dict__.setdefault("_admitted", [])
        admitted.append(data)
        try:
            self.send(data)
        finally:
            admitted[:] = [one for one in admitted if one is not data]

    def _show_sent(self, line: bytes) -> None:
        if __debug__:
            if self.debug >= 4:
                self._mesg(f"> {line!r}")
            else:
                self._log(f"> {line!r}")

    def _spell(self, word: str, command: Secret) -> bytes:
        """A sign-in that the caller spells himself: sent by us, so that nothing keeps it."""
        if self.literal is not None:
            self.literal = None
            raise PolicyError(
                f"{word} with a literal is not sent.",
                code="credentials-malformed",
                hint="Use login(user, password), or authenticate(mechanism, callable).",
            )
        line, tag = _joined(command, self._encoding), self._new_tag()
        shown = f"{tag.decode()} {self._begin_spelled(word)}"
        self._write_spelled(Secret(tag + b" " + line.reveal()), shown)
        return tag

    def _require_plain(self, line: bytes, *, ends: bool) -> None:
        """No line break or NUL in any argument; and nothing at the end that would make the server
        take the next command for this one's text."""
        require_line(line)
        if ends and _ANNOUNCED.search(line):
            raise PolicyError(
                "a command ends in {…}, which announces a literal (RFC 9051, 4.3).",
                code="line-break",
                hint="Quote it; the next command would be taken for its text.",
            )

    def _command_complete(self, name: str, tag: Any) -> Any:
        with self._what_ended_it(), explained(name, self._endpoint, self._details):
            kind, data = self._complete(name, tag)
        if self._COMMANDS.kind(first_word(name)) == "secret":
            self._spelled_is_answered("success" if kind == "OK" else "refusal", _words(data[-1]))
        return kind, data

    def _complete(self, name: str, tag: Any) -> Any:
        try:
            done = STANDARD._command_complete(self, name, tag)
            self._busy = False
            return done
        except imaplib.IMAP4.error as error:
            self._busy = False  # an abort is the end in any case
            self._scrub(error)
            if not isinstance(error, imaplib.IMAP4.abort):  # that is the end, and told as such
                words = str(error).encode("utf-8", "backslashreplace")
                self._spelled_is_answered("refusal", words)
            # Without the standard module's frames, which hold the server's words.
            error.__context__ = None
            raise error.with_traceback(None) from None

    def send(self, data: Any) -> None:
        """Send `data` as it is, guarded like a command; raises the error that ended the
        connection, if one did."""
        self._expect()
        if not any(one is data for one in self.__dict__.get("_admitted", ())):
            data = Secret(octets_of(data, self._encoding))
            self._last_command = _command_in(data.reveal()[:200])
            whole = data.reveal().endswith(b"\n")
            if self._admit_all(self._commands_in(data.reveal()), whole=whole):
                self._begin_spelled("LOGIN")
                self._write_spelled(Secret(data.reveal().removesuffix(CRLF)))
                return
            data = data.reveal()
        self._send_now(data)

    def _send_now(self, data: Any) -> None:
        """As the standard `send`, but in pieces."""
        sys.audit("imaplib.send", self, data)
        self._send_all(data)

    def _commands_in(self, data: bytes) -> list[str]:
        """The word after each tag. Over TLS, once signed in, all is content: mail, or IDLE's DONE.
        In clear the state proves nothing: by PREAUTH, or by a script, it can be any."""
        if self.state != "NONAUTH" and isinstance(self._current_channel(), Verified):
            return [""]
        return [_command_in(line) for line in data.splitlines()] or [""]

    def _write_secret(self, line: Secret, shown: str) -> None:
        if self._tag is None:  # the first line of a command has a tag, responses have none
            tag: bytes = self._new_tag()
            self._tag = tag
            line = Secret(tag + b" " + line.reveal())
            shown = f"{tag.decode()} {shown}"
        self._write_spelled(line, shown)

    def _write_spelled(self, line: Secret, shown: str = "<secret>") -> None:
        if __debug__ and self.debug >= 4:
            self._mesg(f"> {shown}")
        sys.audit("imaplib.send", self, shown.encode())
        self._send_secret(line, shown)

    # -- reading

    def read(self, size: int) -> bytes:
        """`size` octets of a literal."""
        try:
            octets = self._open_reader().read(size)
        except TimeoutError:  # over our limit: closed already; or of the caller's own, as in IDLE
            raise
        except OSError as error:
            self._raise_lost(error)
        except BaseException as error:
            self._break_off(error)
            raise
        if len(octets) < size:
            self._raise_lost(EOFError())
        self._after_literal = True
        return octets

    def _is_blank_to_spare(self) -> bool:
        """Some servers put a line end between two responses, or after a literal within parentheses:
        there nothing else than more of them can come (python/cpython#88574)."""
        return not self._after_literal or self._open_parentheses > 0

    def readline(self) -> bytes:
        """A line of a response, with its end."""
        line = self._read_line()
        while line in _BLANK and self._is_blank_to_spare():
            line = self._read_line()
        self._after_literal = False
        if line[:1] in b"*" + self.__dict__.get("tagpre", b"")[:1]:
            line = _in_capitals(line)
        if not line.endswith(_BRACES):  # nearly all
            self._open_parentheses = 0
            return line
        self._open_parentheses += _parentheses(line)
        if (announced := _LITERAL.search(line)) and not self._fits(announced["size"]):
            raise self._end(
                LimitExceeded(
                    f"the server announced a literal of more octets than {self._limits.literal:,}.",
                    code="limit-literal",
                    hint="Limits(literal=...) allows more.",
                )
            )
        return line

    if __debug__:  # as the standard module has them

        def _mesg(self, s: str, secs: Any = None) -> None:
            """During a sign-in `_get_line` shows what the server says, as far as it may be."""
            if s.startswith(("> ", "< ")) or not self._is_signing_in:
                STANDARD._mesg(self, s, secs)

    def _get_line(self) -> bytes:
        """As the standard one. What is kept for `print_log` of a sign-in is only the form of a
        line: to look through each for the password would cost more than the line is worth."""
        line = self.readline()
        if not line:
            raise self.abort("socket error: EOF")
        if not line.endswith(CRLF):
            raise self.abort(f"socket error: unterminated line: {line!r}")
        line = line[:-2]
        if __debug__:
            if self.debug >= 4:
                self._mesg(f"< {(self._quotable(line) if self._is_signing_in else line)!r}")
            else:
                self._log(f"< {(_form_of(line) if self._is_signing_in else line)!r}")
        return line

    def _fits(self, digits: bytes) -> bool:
        # By length first: int() refuses thousands of digits, with an error of its own.
        return len(digits) <= 20 and int(digits) <= self._limits.literal

    def _read_reply(self) -> Reply:
        assert self._tag is not None
        while self.tagged_commands[self._tag] is None:
            if self._get_response() is None:  # a continuation
                challenge, self.continuation_response = self.continuation_response, b""
                return Reply("challenge", challenge or b"")  # kept nowhere: see `_quotable`
            if self.state == "LOGOUT" or "BYE" in self.untagged_responses:
                raise self._close_for(self._unavailable() or EOFError("BYE"))
        kind, data = self.tagged_commands.pop(self._tag)
        self._tag = None
        raw = "BAD" if kind == "BAD" else data[-1]
        return Reply("success" if kind == "OK" else "refusal", data[-1], raw)

    # -- what is said in clear

    def _connect(self) -> None:
        STANDARD._connect(self)
        self._refuse_preauth()

    def _refuse_preauth(self) -> None:
        """`PREAUTH` in clear: the state in which nobody can ask for TLS any more, and whose mail
        it is anybody's guess (RFC 9051, 11.1)."""
        if "PREAUTH" not in self.untagged_responses or self._plaintext is not None:
            return
        if not isinstance(self._current_channel(), Verified):
            raise UpgradeRefused(
                "the server says PREAUTH in clear: signed in already, so that TLS cannot be asked "
                "for. It may not be your server.",
                code="preauth",
                hint="Use IMAP4_SSL. Where something else keeps the connection private (ssh, say): "
                'plaintext="why", which warns.',
                **{**self._details(), "credentials_sent": False},
            )

    # -- trouble

    @contextmanager
    def _what_ended_it(self) -> Iterator[None]:
        """The standard module makes an abort of every error; ours come out as they were, and
        `readonly` too. Any other abort is the end of the connection."""
        try:
            yield
        except imaplib.IMAP4.readonly:
            raise
        except self.abort as error:
            if self._is_signing_in:
                self._scrub(error)
            self._raise_ended()
            if self._is_loss(error):
                self._raise_lost(error)
            raise self._close_for(self._not_spoken(error)) from error

    def shutdown(self) -> None:
        """Close; nothing to do where a bound that was crossed has closed it."""
        if self._transcript is not None:
            self._transcript.end()
        if self.sock is not None:
            STANDARD.shutdown(self)

    def _is_end(self, error: Exception) -> bool:
        # Also as "command: CAPABILITY => socket error: EOF", and with half a line quoted; one that
        # ends in LF alone is a whole line, and a wrong one.
        said = re.sub(r"^command: [A-Z]+ => ", "", str(error))
        whole = said.rstrip("'\"").endswith("\\n")
        is_abort = isinstance(error, imaplib.IMAP4.abort)
        return is_abort and said.startswith("socket error: ") and not whole

    def _unavailable(self) -> SecureMailError | None:
        """The server's last words, where it said BYE (RFC 9051, 7.1.5)."""
        bye = self.untagged_responses.get("BYE")
        if not bye:
            return None
        self._last_words = self._without_secrets(_words(bye[-1]))
        return IMAP4Unavailable(
            f'the server declines: "{printable(self._last_words)}".',
            hint="Try again later, or ask its administrator.",
            **self._details(),
        )

    def _lost(self, when: str, error: Exception) -> SecureMailError:
        """A server that said why it hangs up is quoted."""
        is_end = isinstance(error, EOFError) or self._is_end(error)
        return (self._unavailable() if is_end else None) or super()._lost(when, error)

    def _not_spoken(self, error: Exception) -> Exception:
        if isinstance(error, imaplib.IMAP4.error) and (said := self._unavailable()):
            return said
        if error.args == (None,):  # a greeting that the standard class takes for a continuation
            error = STANDARD.error('its greeting begins with "+"')
        return super()._not_spoken(error)

    def _close_now(self) -> None:
        self.state = "LOGOUT"
        for name in ("_file", "_imaplib_file", "sock"):  # a file, of 3.14, holds the socket open
            held = self.__dict__.get(name)
            if held is not None:
                held.close()
        self.sock = None
        self._reader = None


def _joined(command: Secret, encoding: str) -> Secret:
    """A command's line, as the standard class writes it."""
    parts = [Secret(part) for part in command.reveal() if part is not None]
    octets = [encoded(part, encoding) for part in parts]
    return Secret(b" ".join(octets_of(part.reveal()) for part in octets))


def _command_in(line: bytes) -> str:
    """The command's name in a line that a caller spells: after the tag; a sign-in also where a
    server might look for one that is less strict about tags and blanks."""
    words = [word.decode("latin-1").upper() for word in line[:200].split(None, 3)[:3]]
    secret = IMAP4Lines._COMMANDS.secret.intersection(words)
    return min(secret, default="".join(words[1:2]))


def _in_capitals(line: bytes) -> bytes:
    """The words of the protocol in a response, which any case will do for (RFC 9051, 9), as the
    standard module knows them."""
    found = _WORDS.match(line)
    if found is None or (found[2].isupper() and (found[3] or b"X").isupper()):
        return line
    return found[1] + found[2].upper() + (found[3] or b"").upper() + line[found.end() :]


def _parentheses(line: bytes) -> int:
    """How many more are opened than closed, outside of quoted strings."""
    text = _QUOTED.sub(b"", line)
    return text.count(b"(") - text.count(b")")


def _form_of(line: bytes) -> bytes:
    found = _FORM.match(line)
    return (found[0] if found else b"") + b" <not kept during a sign-in>"


def _words(data: Any) -> bytes:
    return data if isinstance(data, bytes) else b""
