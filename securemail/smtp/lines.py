"""SMTP on the wire: replies in, within bounds; commands and mail out, guarded."""

from __future__ import annotations

import re
import smtplib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from ..declining import Reply
from ..errors import PolicyError, SecureMailError, printable
from ..guard import Commands, first_word
from ..sasl.credentials import Secret, encoded
from ..upgrading import Upgrading
from ..wire import CRLF, octets_of
from .errors import (
    SMTPAuthenticationFailed,
    SMTPConnectionLost,
    SMTPLimitExceeded,
    SMTPMailDeclined,
    SMTPProtocolViolation,
    SMTPTimeLimitExceeded,
    SMTPTLSLost,
    SMTPUnavailable,
)

_REPLY = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?\r?\n", re.DOTALL)  # RFC 5321, 4.2
STANDARD: Any = smtplib.SMTP  # captured: a program may put something else there later


class SMTPLines(Upgrading):
    """Mixed in before the standard class, under its verbs."""

    _COMMANDS: ClassVar[Commands] = Commands(
        secret=frozenset({"AUTH"}),
        neutral=frozenset({"EHLO", "HELO", "LHLO", "STARTTLS", "NOOP", "RSET", "HELP", "QUIT"}),
        content=frozenset({"MAIL", "RCPT", "DATA", "BDAT", "VRFY", "EXPN", "ETRN", "BURL"}),
    )
    _CHALLENGE = b"334 "
    _VIOLATION = SMTPProtocolViolation
    _AUTH_FAILED = SMTPAuthenticationFailed
    _LOST = SMTPConnectionLost
    _STANDARD_ERROR = smtplib.SMTPException
    _LIMIT = SMTPLimitExceeded
    _TIME_LIMIT = _SEND_TIME_LIMIT = SMTPTimeLimitExceeded
    _TLS_LOST = SMTPTLSLost
    # of the standard class
    debuglevel: int
    command_encoding: str
    close: Callable[[], None]

    # What is sent next: a command; or mail, "now" that the server has answered DATA by 354; "sent"
    # with its end, and not answered yet.
    _mail: str = "no"
    _chunk: int = 0  # octets of mail that BDAT announced, and that are still to come
    _due: tuple[str, ...] = ()  # commands that are not answered yet

    # -- writing

    def docmd(self, cmd: str, args: str = "") -> tuple[int, bytes]:
        """Send a command; the reply's code and words. (The standard one would hold a sign-in that
        is spelled out in its frame, which a traceback may show.)"""
        hidden = Secret((cmd, args))
        del cmd, args
        with self._undivided():
            self.putcmd(*hidden.reveal())
            return self.getreply()

    def putcmd(self, cmd: str, args: str = "") -> None:
        """Send a command: what it can carry decides whether it may be sent now."""
        line = Secret(f"{cmd} {args}" if args != "" else f"{cmd}")
        del cmd, args
        octets = Secret(line.reveal().encode("utf-8", "replace"))
        if any(control in octets.reveal() for control in b"\r\n\0"):
            raise PolicyError(
                "command and arguments contain prohibited newline characters, or a NUL.",
                code="line-break",
                hint="It would be another command to the server; nothing of it was sent.",
            )
        if self._kind(first_word(line.reveal())) == "secret":
            return self._spell(_encoded(line))
        return self.send(line.reveal() + "\r\n")

    def send(self, s: Any) -> None:
        """Send text or octets as they are, guarded; raises the error that ended the connection."""
        self._expect()
        s = Secret(s if isinstance(s, str) else octets_of(s))
        if self._mail != "now" and self.sock is not None:
            commands, left = _commands_in(s.reveal(), self._chunk)
            if self._admit_all(commands or [""], whole=bool(left) or _is_whole(s.reveal())):
                return self._spell(_encoded(s))
            self._chunk = left
            self._due = (*self._due, *commands)
        self._send_now(s.reveal())
        if self._mail == "now" and s.reveal()[-5:] in ("\r\n.\r\n", b"\r\n.\r\n"):
            self._mail = "sent"
        return None

    def _send_now(self, s: Any) -> None:
        """As the standard `send`, but in pieces."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        if self.debuglevel > 0:
            self._print_debug("send:", repr(s))
        data = s.encode(self.command_encoding) if isinstance(s, str) else s
        sys.audit("smtplib.send", self, data)
        self._send_all(data)

    def _spell(self, line: Secret) -> None:
        """A sign-in that the caller spells himself: sent by us, so that nothing keeps it."""
        command = first_word(line.reveal())
        self._admit(command)
        self._write_secret(line, self._begin_spelled(command))

    def _write_secret(self, line: Secret, shown: str) -> None:
        if self.debuglevel > 0:
            self._print_debug("send:", repr(shown))
        sys.audit("smtplib.send", self, shown.encode())
        self._send_secret(line, shown)

    # -- reading

    def _print_debug(self, *args: Any) -> None:
        """During a sign-in what the server says is shown by us, as far as it may be."""
        if not (self._is_signing_in and str(args[0]).startswith("reply:")):
            STANDARD._print_debug(self, *args)

    def getreply(self) -> tuple[int, bytes]:
        """The code and the words of a reply (RFC 5321, 4.2): what is none, or has two codes, is a
        `ProtocolViolation`."""
        self._raise_ended()
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        self._open_reader()
        self._begin_reply()
        code, words = self._read_whole_reply()
        self._busy = False
        if self.debuglevel > 0:
            if self._is_signing_in:
                shown = self._quotable(b"%d %s" % (code, words))
                STANDARD._print_debug(self, "reply:", repr(shown))
            self._print_debug(f"reply: retcode ({code}); Msg: {words!a}")
        name, self._due = (self._due[:1] or ("",))[0], self._due[1:]
        self._mail = "now" if name == "DATA" and code == 354 else "no"
        self._spelled_is_answered(_kind_of(code), b"%d %s" % (code, words))
        return code, words

    def _read_whole_reply(self) -> tuple[int, bytes]:
        lines: list[bytes] = []
        first = b""
        while True:
            line = self._read_line()
            if self.debuglevel > 0:
                self._print_debug("reply:", repr(line))
            found = _REPLY.fullmatch(line)
            if found is None or (first and found[1] != first):
                raise self._close_for(self._no_reply(line))
            first = found[1]
            lines.append((found[3] or b"").strip(b" \t\r\n"))
            if found[2] != b"-":
                return int(first), b"\n".join(lines)

    def _no_reply(self, line: bytes) -> Exception:
        return self._not_spoken(smtplib.SMTPResponseException(-1, line.rstrip(CRLF)))

    def _said_before_it_hung_up(self) -> None:
        """A server may decline a message that is being sent, and close at once (RFC 5321, 3.8 and
        4.2.5): its words are there, and say more than the broken connection."""
        if self._mail == "no" or self._reader is None:
            return
        with suppress(OSError, EOFError, SecureMailError), self._farewell():
            self._begin_reply()
            found = _REPLY.fullmatch(self._reader.readline())
            if found is None or int(found[1]) < 400:
                return
            raw = (int(found[1]), (found[3] or b"").strip())
            self._close_for(
                SMTPMailDeclined(
                    f'the server declined the message while it was being sent: "{int(found[1])} '
                    f'{printable(raw[1])}".',
                    raw=raw,
                    hint="Nothing of it was delivered. Sending the same again will end the same "
                    "way where the code begins with 5.",
                    **self._details(),
                )
            )
        self._raise_ended()

    def _raise_no_connection(self) -> None:
        """`_send_now` does, in the standard words."""

    def _nothing_is_due(self) -> bool:
        return not self._due and not self._chunk and self._mail == "no" and not self._is_signing_in

    def _unasked(self, line: bytes) -> SecureMailError:
        if not line.startswith(b"421"):
            return super()._unasked(line)
        return self._LOST(
            f'the server closes the connection: "{printable(line)}".',
            hint="It does so after a while without commands, or when it stops. Connect again.",
            **self._details(),
        )

    def _doubt(self) -> str:
        if self._mail != "sent":
            return ""
        return (
            "The whole message had been sent: it may have been accepted, and then to send it "
            "again delivers it twice. Look into the server's log, or for its Message-ID."
        )

    def _read_reply(self) -> Reply:
        code, words = self.getreply()
        if code == 235:
            return Reply("success", words, (code, words))
        if code == 334:
            return Reply("challenge", words)
        if code >= 400:
            return Reply("refusal", b"%d %s" % (code, words), (code, words))
        raise self._not_spoken(smtplib.SMTPResponseException(code, words))

    # -- trouble

    def _is_end(self, error: Exception) -> bool:
        return isinstance(error, smtplib.SMTPServerDisconnected)

    def _not_spoken(self, error: Exception) -> Exception:
        declined = (smtplib.SMTPConnectError, smtplib.SMTPHeloError)
        if isinstance(error, declined) and 400 <= error.smtp_code < 600:
            words = error.smtp_error
            return SMTPUnavailable(
                f'the server declines: "{error.smtp_code} {printable(words)}".',
                raw=(error.smtp_code, words if isinstance(words, bytes) else words.encode()),
                hint=self._why_declined(error),
                **self._details(),
            )
        return super()._not_spoken(error)

    def _why_declined(self, error: Exception) -> str:
        if not isinstance(error, smtplib.SMTPHeloError):
            return "Try again later, or ask its administrator."
        name = getattr(self, "local_hostname", "")
        return (
            f"This end called itself {printable(name, 60)}, which the server may not take: "
            "local_hostname= gives another name, best the full name of this computer."
        )

    def _close_now(self) -> None:
        STANDARD.close(self)


def _is_whole(data: Any) -> bool:
    return data[-1:] in ("\n", b"\n")


def _commands_in(data: Any, chunk: int) -> tuple[list[str], int]:
    """The names of the commands in `data`, and how many octets of mail are still to come: `chunk`
    were announced by a BDAT before (RFC 3030, 2), and what one in here announces is no command."""
    rest = data.encode("utf-8", "replace") if isinstance(data, str) else data
    names: list[str] = []
    while rest:
        rest, chunk = rest[chunk:], max(chunk - len(rest), 0)
        line, _, rest = rest.partition(b"\n")
        if not line and not rest:
            break
        # A lone CR ends a line for some servers, and what follows may be a sign-in.
        names += [first_word(part) for part in line.splitlines()] or [""]
        words = line.split()
        if names[-1] == "BDAT" and len(words) > 1 and words[1].isdigit():
            chunk = int(words[1][:12])
    return names, chunk


def _kind_of(code: int) -> str:
    """Success, challenge or refusal of AUTH (RFC 4954, 4)."""
    return {235: "success", 334: "challenge"}.get(code, "refusal")


def _encoded(line: Secret) -> Secret:
    """One line's octets, without its end."""
    return Secret(encoded(line, "ascii").reveal().removesuffix(CRLF))
