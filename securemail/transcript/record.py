"""The record of one object's connections: what is told comes out redacted, or not at all."""

from __future__ import annotations

import platform
import re
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

from ..certificate import Certificate
from ..errors import (
    AuthenticationFailed,
    ProtocolViolation,
    SecureMailError,
    SecureMailWarning,
    warn,
)
from ..redact import Redactor
from ..redact.material import Material, of_challenge, of_line
from .line import TranscriptLine
from .sinks import Sink, opened, require_sink
from .words import WORDS

if TYPE_CHECKING:
    from ..report import TLSReport

_FOLDERS = re.compile(r"(?<=['\" ])(?:[A-Za-z]:)?[/\\][^'\"]*[/\\]([^'\"/\\]+)(?=['\"])")
_PIN = re.compile(r"(?:[0-9A-F]{2}:){15,}[0-9A-F]{2}|sha256/[A-Za-z0-9+/]{43}=")
_HELD = 100  # lines of one reply that are looked at together


def _harmless(told: Callable[..., None]) -> Callable[..., None]:
    """Whatever goes wrong ends the transcript, not the dialogue: a reply that is not read to its
    end would be taken for that of the next command."""

    @wraps(told)
    def tell(self: Transcript, *args: Any, **kwargs: Any) -> None:
        if self._sink is None:
            return
        try:
            told(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - of a sink it can be any
            self._give_up(error)

    return tell


class Transcript:
    """`to`: where to; see `sinks`. `service`: imap, pop or smtp.

    Secrets are kept over all connections of one object: a server may repeat them on the next one.
    Nothing that goes wrong here reaches the dialogue: it ends the transcript, with a warning.
    """

    def __init__(self, to: Any, service: str) -> None:
        require_sink(to)
        self._to, self._service = to, service
        self._redactor = Redactor()
        self._sink: Sink | None = None
        self._close: Callable[[], None] | None = None
        self._gave_up = False
        self._where = ""

    # -- from beginning to end

    def begin(self, where: str) -> None:
        """A connection to `where`; the first line tells when it has something to tell. Raises
        `PolicyError` for a file that cannot be written."""
        if self._close is None and not self._gave_up:
            self._sink, self._close = opened(self._to)
        self._where, self._is_new = where, True
        self._began, self._started = datetime.now(UTC), time.monotonic()
        self._words = WORDS[self._service]()
        self._signing_in = False
        self._held: list[tuple[float, bool, bytes]] = []

    @_harmless
    def event(self, text: str) -> None:
        """What happened. Of files the names alone: folders tell who works here. No fingerprint of a
        key: it would be believed where it should be compared."""
        text = _PIN.sub("<key>", _FOLDERS.sub(r"\1", text))
        self._put("*", True, [text.encode("utf-8", "backslashreplace")])

    @_harmless
    def secured(self, report: TLSReport) -> None:
        whose = f"certificate {_subject(report)}, verified by {report.trusted_by}"
        self.event(f"{report.version}, {report.cipher}, {whose}")

    def end(self, error: BaseException | None = None) -> None:
        """Once; what comes after is not told."""
        if self._close is None:
            return
        self.event("closed" if error is None else self._say(error))
        close, self._sink, self._close = self._close, None, None
        with suppress(Exception):
            close()

    def _say(self, error: BaseException) -> str:
        """With its message, where that quotes nobody, and there is nothing to hide yet: it may have
        been cut in the middle of something."""
        code = getattr(error, "code", None)
        said = f"{type(error).__name__}{f' ({code})' if code else ''}"
        quotes = isinstance(error, (ProtocolViolation, AuthenticationFailed))
        if quotes or self._redactor.knows_a_secret:
            return said
        if isinstance(error, SecureMailError):
            said += f": {' '.join(error.message.split())}"
        return said

    # -- the dialogue

    @_harmless
    def credentials(self, credentials: Any) -> None:
        """Who signs in now, and by what."""
        if user := getattr(credentials, "user", ""):
            self._redactor.learn_user(user)
        self._redactor.learn(*getattr(credentials, "secrets", ()))

    @_harmless
    def secret(self, line: bytes, shown: str, *, private: bool) -> None:
        """A line of a sign-in; `shown` is what may be told of it."""
        self._learn(of_line(line, goes_on=self._signing_in))
        self._signing_in = True
        self._words.asked = b"AUTH"
        self._put("C", private, [shown.encode()])

    @_harmless
    def sent(self, data: bytes, *, private: bool) -> None:
        if self._signing_in:  # more of a sign-in that a caller spells himself
            self.secret(data.rstrip(b"\r\n"), "<secret>", private=private)
            return
        shown = self._words.sent(data)
        for name in self._words.people:
            self._redactor.learn_person(name)
        self._put("C", private, shown)

    @_harmless
    def heard(self, line: bytes, *, private: bool) -> None:
        """A whole line; lines of a reply that goes on wait for its end, as it may be wrapped."""
        line = line.rstrip(b"\r\n")
        shown = self._of_sign_in(line) if self._signing_in else self._words.heard(line)
        self._held.append((self._seconds(), private, shown))
        if not self._words.is_wrapped(line) or len(self._held) >= _HELD:
            self._release()

    @_harmless
    def block(self, data: bytes, *, private: bool) -> None:
        """Octets that were asked for, a literal or a list."""
        self._put("S", private, self._words.block(data))

    def _of_sign_in(self, line: bytes) -> bytes:
        prefix = self._words.challenge
        is_challenge = (line + b" ").startswith(prefix)
        self._learn(of_challenge(line[len(prefix) :] if is_challenge else line))
        self._signing_in = not self._words.ends_sign_in(line)
        return prefix + b"<challenge>" if is_challenge else self._words.heard(line)

    def _learn(self, material: Material) -> None:
        for user in material.users:
            self._redactor.learn_user(user.decode("utf-8", "replace"))
        self._redactor.learn(*(s for s in material.secrets if not self._redactor.is_user(s)))

    # -- out

    def _put(self, side: str, private: bool, texts: list[bytes]) -> None:
        self._release()
        seconds = self._seconds()
        for text in self._redactor.lines(texts):
            self._write(side, private, seconds, text)

    def _release(self) -> None:
        """The lines that wait, as one reply."""
        held, self._held = self._held, []
        texts = self._redactor.lines([line for *_, line in held])
        for (seconds, private, _), text in zip(held, texts, strict=True):
            self._write("S", private, seconds, text)

    def _write(self, side: str, private: bool, seconds: float, text: str) -> None:
        if self._is_new:
            self._is_new = False
            (heading,) = self._redactor.lines([self._heading().encode("utf-8", "backslashreplace")])
            self._write("*", True, 0.0, heading)
        if self._sink is not None:
            at = self._began + timedelta(seconds=seconds)
            self._sink(
                TranscriptLine(at=at, seconds=seconds, side=side, private=private, text=text)
            )

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _heading(self) -> str:
        version = sys.modules[__name__.partition(".")[0]].__version__
        now = self._began.strftime("%Y-%m-%dT%H:%M:%SZ")
        with_what = f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
        return f"{now}  {self._where}  securemail {version}, {with_what}"

    def _give_up(self, error: Exception) -> None:
        """For good: what is secret on a later connection is not known then."""
        self._gave_up, close, self._sink, self._close = True, self._close, None, None
        with suppress(Exception):  # a warning that is an error, too: the dialogue comes first
            if close is not None:
                close()
        with suppress(Exception):
            kind = type(error).__name__
            warn(SecureMailWarning(f"the transcript of {self._where} ended: {kind}."))


def _subject(report: TLSReport) -> str:
    with suppress(Exception):  # one that cannot be read was believed for its key
        return Certificate(report.chain[0]).subject
    return "that cannot be read"
