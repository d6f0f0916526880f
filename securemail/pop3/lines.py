"""POP3 on the wire: lines in, within bounds; lines out, guarded."""

from __future__ import annotations

import poplib
import socket
import sys
from typing import Any, ClassVar

from ..declining import Reply
from ..errors import LimitExceeded, printable
from ..guard import Commands, first_word
from ..sasl.credentials import Secret, encoded
from ..upgrading import Upgrading
from ..wire import CRLF, octets_of, require_line
from .errors import (
    POP3AuthenticationFailed,
    POP3ConnectionLost,
    POP3LimitExceeded,
    POP3ProtocolViolation,
    POP3Unavailable,
    is_refusal,
)

STANDARD: Any = poplib.POP3  # captured: a program may put something else there later

_LONGEST_STATUS = 2048  # octets; the standard module's bound


class POP3Lines(Upgrading):
    """Mixed in before the standard class, under its verbs."""

    _COMMANDS: ClassVar[Commands] = Commands(
        secret=frozenset({"USER", "PASS", "APOP", "RPOP", "AUTH"}),
        neutral=frozenset({"CAPA", "STLS", "NOOP", "QUIT", "UTF8", "LANG"}),
        content=frozenset({"STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET", "LAST"}),
    )
    _CHALLENGE = b"+ "
    _VIOLATION = POP3ProtocolViolation
    _AUTH_FAILED = POP3AuthenticationFailed
    _LOST = POP3ConnectionLost
    _STANDARD_ERROR = poplib.error_proto
    _LIMIT = POP3LimitExceeded
    _BRINGS_MAIL: ClassVar[frozenset[str]] = frozenset({"RETR", "TOP", "LIST", "UIDL"})
    _last_command: str = ""
    _line_end: bytes = b"\r\n"  # of the server, as its last status line had it
    _due: int = 0  # commands that are not answered yet
    # of the standard class
    _debugging: int = 0
    encoding: str
    host: str
    port: int

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._connected()

    def _dials(self) -> bool:
        return type(self)._create_socket is POP3Lines._create_socket

    # -- writing

    # The standard module's own would hold a sign-in that is spelled out in their frames, which a
    # traceback may show.

    def _shortcmd(self, line: str) -> bytes:
        hidden = Secret(line)
        del line
        with self._undivided():
            self._putcmd(hidden.reveal())
            return self._getresp()

    def _longcmd(self, line: str) -> tuple[bytes, list[bytes], int]:
        hidden = Secret(line)
        del line
        with self._undivided():
            self._putcmd(hidden.reveal())
            return self._getlongresp()

    def _goes_on(self) -> bool:
        return self._last_command in self._BRINGS_MAIL

    def _putcmd(self, line: str) -> None:
        hidden = Secret(line)
        del line
        if self._kind(first_word(hidden.reveal())) == "secret":
            self._putline(encoded(hidden, self.encoding))
        else:
            STANDARD._putcmd(self, hidden.reveal())

    def _putline(self, line: bytes | Secret) -> None:
        line = line if isinstance(line, Secret) else Secret(octets_of(line, self.encoding))
        command = self._last_command = first_word(line.reveal())
        if self.sock is None and self._ended is None:
            raise self._LOST("there is no connection any more.", hint="Make a new one.")
        if self._admit(command) == "secret":
            return self._write_secret(line, self._begin_spelled(command))
        require_line(line.reveal())
        self._expect()
        self._due += 1
        if self._debugging > 1:
            print("*put*", repr(line.reveal()))  # noqa: T201 - as the standard module does
        sys.audit("poplib.putline", self, line.reveal())
        return self._send_all(line.reveal() + CRLF)

    def _write_secret(self, line: Secret, shown: str) -> None:
        if self._debugging:
            print("*cmd*", repr(shown))  # noqa: T201 - as the standard module does
        sys.audit("poplib.putline", self, shown.encode())
        self._send_secret(line, shown)

    # -- reading

    def _getline(self) -> tuple[bytes, int]:
        """A line without its end, and its octets with it."""
        line = self._read_line()
        if self._debugging > 1:
            shown = self._quotable(line) if self._is_signing_in else line
            print("*get*", repr(shown))  # noqa: T201 - as the standard module does
        self._line_end = b"\r\n" if line.endswith(b"\r\n") else b"\n"
        return _without_end(line), len(line)

    def _getresp(self) -> bytes:
        """A status line (RFC 1939, 3): short, where a line of a message need not be."""
        self._begin_reply()
        answer, octets = self._getline()
        self._busy = False
        self._due = max(self._due - 1, 0)
        if octets > _LONGEST_STATUS:
            raise self._end(
                LimitExceeded(
                    f"the server sent a status line of more than {_LONGEST_STATUS:,} octets.",
                    code="limit-line",
                    hint="RFC 1939 allows 512: is this a POP3 server?",
                )
            )
        if self._debugging > 1:
            shown = self._quotable(answer) if self._is_signing_in else answer
            print("*resp*", repr(shown))  # noqa: T201 - as the standard module does
        kind = _kind_of(answer)
        if kind == "success" or (kind == "challenge" and self._is_signing_in):
            self._spelled_is_answered(kind, answer)
            return answer
        if not answer.startswith(b"-"):  # "+OKAY", or nothing of POP3 (RFC 1939, 3)
            raise self._close_for(self._not_spoken(poplib.error_proto(answer)))
        answer = self._without_secrets(answer)
        self._spelled_is_answered("refusal", answer)
        raise poplib.error_proto(answer)

    def _getlongresp(self) -> tuple[bytes, list[bytes], int]:
        """A status line and the lines after it, dots unstuffed (RFC 1939, 3)."""
        answer = self._getresp()
        self._busy = True
        try:
            text = self._open_reader().read_until_dot(self._line_end)
        except TimeoutError:
            raise
        except (OSError, EOFError) as error:
            self._raise_lost(error)
        except BaseException as error:
            self._break_off(error)
            raise
        self._busy = False
        lines, stuffed = _split(text, self._line_end)
        return answer, lines, len(text) - stuffed

    def _nothing_is_due(self) -> bool:
        return not self._due and not self._is_signing_in

    def _doubt(self) -> str:
        if self._last_command != "QUIT":
            return ""
        return "Whether the messages that dele() marked are gone is not known."

    def _read_reply(self) -> Reply:
        line, _ = self._getline()
        kind = _kind_of(line)
        if kind == "challenge":
            return Reply(kind, line[2:])
        if kind == "success" or line.startswith(b"-"):
            return Reply(kind, line, line)
        raise self._not_spoken(poplib.error_proto(line))

    # -- trouble

    def _is_end(self, error: Exception) -> bool:
        return isinstance(error, poplib.error_proto) and error.args == ("-ERR EOF",)

    def _not_spoken(self, error: Exception) -> Exception:
        if is_refusal(error):
            return POP3Unavailable(
                f'the server declines: "{printable(error.args[0])}".',
                hint="Try again later, or ask its administrator.",
                **self._details(),
            )
        return super()._not_spoken(error)

    def _close_now(self) -> None:
        if getattr(self, "sock", None) is not None:
            STANDARD.close(self)


def _kind_of(line: bytes) -> str:
    """Success, challenge (RFC 5034, 4) or refusal."""
    if line[:3].upper() == b"+OK" and line[3:4] in (b"", b" ", b"\t"):
        return "success"
    return "challenge" if line == b"+" or line.startswith(b"+ ") else "refusal"


def _split(text: bytes, end: bytes = b"\r\n") -> tuple[list[bytes], int]:
    """The lines of a multi-line reply, and how many had a dot stuffed before them: of a server
    whose lines have this `end`. A lone LF within ends a line of the result, as in the standard
    module, but none of the server's, which stuffed no dot after it."""
    first = int(text.startswith(b".."))
    stuffed = text.count(end + b"..") + first
    if stuffed:
        text = text[first:].replace(end + b"..", end + b".")
    lines = text.split(b"\r\n")
    if text.count(b"\n") == len(lines) - 1:  # no line ends in LF alone
        del lines[-1]
        return lines, stuffed
    return [_without_end(line + b"\n") for line in text.split(b"\n")[:-1]], stuffed


def _without_end(line: bytes) -> bytes:
    """A line ends in LF, mostly with a CR before it; the standard module knows one at the start
    as well."""
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line[1:-1] if line.startswith(b"\r") else line[:-1]
