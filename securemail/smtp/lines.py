"""SMTP on the wire: replies in, within bounds; commands and mail out, guarded."""

from __future__ import annotations

import smtplib
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from ..declining import Reply
from ..errors import PolicyError, printable
from ..guard import Commands, first_word
from ..sasl.credentials import Secret, encoded
from ..upgrading import Upgrading
from ..wire import CRLF, octets_of
from .errors import (
    SMTPAuthenticationFailed,
    SMTPConnectionLost,
    SMTPProtocolViolation,
    SMTPUnavailable,
)

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
    # of the standard class
    debuglevel: int
    command_encoding: str
    close: Callable[[], None]

    # What is sent next: a command; or mail, once the server has answered DATA by 354.
    _mail: str = "no"

    # -- writing

    def docmd(self, cmd: str, args: str = "") -> tuple[int, bytes]:
        """Send a command; the reply's code and words. (The standard one would hold a sign-in that
        is spelled out in its frame, which a traceback may show.)"""
        hidden = Secret((cmd, args))
        del cmd, args
        with self._undivided():
            self.putcmd(*hidden.reveal())
            return self.getreply()

    def _is_early(self) -> bool:
        return True  # no reply of SMTP is large

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
            commands = [first_word(line) for line in s.reveal().splitlines()] or [""]
            if self._admit_all(commands, whole=s.reveal()[-1:] in ("\n", b"\n")):
                return self._spell(_encoded(s))
            self._note_mail(commands[-1])
        return self._send_now(s.reveal())

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

    def _note_mail(self, command: str) -> None:
        self._mail = {"DATA": "asked", "BDAT": "now"}.get(command, "no")

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
        """The code and the words of a reply (RFC 5321, 4.2)."""
        self._raise_ended()
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        try:
            reply: tuple[int, bytes] = STANDARD.getreply(self)
        except (smtplib.SMTPServerDisconnected, EOFError) as error:
            self._raise_ended()  # the standard module wraps every OSError
            self._raise_lost(error)
        except smtplib.SMTPResponseException as error:  # a line over the standard module's bound
            raise self._close_for(self._not_spoken(error)) from error
        code, words = reply
        if self.debuglevel > 0 and self._is_signing_in:
            shown = self._quotable(b"%d %s" % (code, words))
            STANDARD._print_debug(self, "reply:", repr(shown))
        if not 200 <= code < 600:  # RFC 5321, 4.2
            wrong = smtplib.SMTPResponseException(code, words)
            raise self._close_for(self._not_spoken(wrong))
        self._mail = "now" if self._mail == "asked" and code == 354 else "no"
        self._spelled_is_answered(_kind_of(code), b"%d %s" % (code, words))
        return reply

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
                hint="Try again later, or ask its administrator.",
                **self._details(),
            )
        return super()._not_spoken(error)

    def _close_now(self) -> None:
        STANDARD.close(self)


def _kind_of(code: int) -> str:
    """Success, challenge or refusal of AUTH (RFC 4954, 4)."""
    return {235: "success", 334: "challenge"}.get(code, "refusal")


def _encoded(line: Secret) -> Secret:
    """One line's octets, without its end."""
    return Secret(encoded(line, "ascii").reveal().removesuffix(CRLF))
