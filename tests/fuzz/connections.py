"""Whole connections, from the greeting to the end, with a server that says what the case chooses.

In every case: no sign-in in clear and no secret in any encoding; nothing that was said in clear
is kept beyond an upgrade; errors are ours, or the standard module's for a refusal; one that
ends the connection closes it, and every later step raises it again; what is taken and kept is
bounded.
"""

import contextlib
import imaplib
import io
import poplib
import re
import smtplib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

from fuzz.choices import Choices
from fuzz.escapes import require
from fuzz.fake_socket import FakeSocket
from fuzz.kept import mentions
from fuzz.phrases import MARKER
from fuzz.polite import PASSWORD, TOKEN
from fuzz.server import Server
from fuzz.steps import NEUTRAL, SIGN_IN, UPGRADE, VERBS, Step
from fuzz.tls import faked
from securemail import (
    IMAP4,
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP,
    SMTP_SSL,
    SMTP_STARTTLS,
    AuthPolicy,
    ConnectFailed,
    ExactCertificate,
    LimitExceeded,
    Limits,
    PolicyError,
    ProtocolViolation,
    SecureMailError,
    TLSError,
    TLSPolicy,
    UpgradeRefused,
)
from servers.leaks import leaks

SMALL = Limits(connect=5, read=5, line=3000, literal=4000, lines=50)


class Way(NamedTuple):
    """A class, and how it becomes private: "verb", "constructor" or "at once"."""

    cls: Any
    by: str


WAYS = {
    "imap": (Way(IMAP4, "verb"), Way(IMAP4_STARTTLS, "constructor"), Way(IMAP4_SSL, "at once")),
    "pop3": (Way(POP3, "verb"), Way(POP3_STARTTLS, "constructor"), Way(POP3_SSL, "at once")),
    "smtp": (Way(SMTP, "verb"), Way(SMTP_STARTTLS, "constructor"), Way(SMTP_SSL, "at once")),
}
STANDARD = {
    "imap": imaplib.IMAP4.error,
    "pop3": poplib.error_proto,
    "smtp": smtplib.SMTPException,
}
_USUAL = re.compile(
    rb"(?:[A-P]+[0-9]+ )?(?:CAPABILITY|STARTTLS|CAPA|STLS|NOOP|(?:ehlo|helo) localhost)"
)
COMMANDS: dict[str, Any] = imaplib.Commands  # type: ignore[attr-defined]  # xatom adds to them
_FATAL = (UpgradeRefused, LimitExceeded, TLSError, ProtocolViolation, ConnectFailed)
_POLICY = TLSPolicy(trust=ExactCertificate(pin="sha256/" + "A" * 43 + "="))
_POLICIES = (
    AuthPolicy(iterations=(4096, 5000)),
    AuthPolicy(iterations=(4096, 5000), mechanisms=("PLAIN",)),
    AuthPolicy(iterations=(4096, 5000), mechanisms=("CRAM-MD5", "APOP")),
    AuthPolicy(iterations=(4096, 5000), mechanisms=("SCRAM-SHA-256", "LOGIN")),
)


class Run:
    """One connection of a program that overlooks every error."""

    def __init__(self, protocol: str, choices: Choices) -> None:
        self.protocol, self.choices = protocol, choices
        self.way = choices.one_of(WAYS[protocol])
        self.has_reason = self.way.by == "verb" and choices.is_rude()  # plaintext="..."
        self.debug = choices.number(8) == 7
        self.auth = choices.one_of(_POLICIES)
        self.server = Server(protocol, choices, is_tls=self.way.by == "at once")
        self.client: Any = None
        self.ended: BaseException | None = None
        self.signed_in = False
        self.seen: list[BaseException] = []

    def play(self) -> None:
        printed = io.StringIO()
        with (
            faked(),
            mock.patch.dict(COMMANDS),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            contextlib.ExitStack() as at_the_end,
        ):
            at_the_end.callback(self._close)
            self.step("connect", self._connect)
            if self.client is not None:
                self._use()
        self._look_at_the_wire()
        shown = b"" if self.server.has_repeated else printed.getvalue().encode()
        require(not _secrets_in(shown), "a secret in debug output")
        require(all(one.fileno() == -1 for one in self.server.sockets), "a socket is left open")

    def _connect(self, _: Any) -> None:
        more = {"plaintext": "the fuzzer's reason"} if self.has_reason else {}
        if self.debug:
            more_debug = mock.patch.multiple(
                self.way.cls, _debugging=2, debuglevel=2, debug=5, create=True
            )
        else:
            more_debug = contextlib.nullcontext()  # type: ignore[assignment]
        with more_debug:
            self.client = self.way.cls(
                "mail.example.org",
                connector=lambda *_: FakeSocket.to(self.server),
                policy=_POLICY,
                limits=SMALL,
                auth=self.auth,
                **more,
            )
        if self.debug and self.protocol != "imap":
            self.client.set_debuglevel(2)

    def _use(self) -> None:
        if self.way.by == "verb":
            if self.choices.is_rude():
                self._sign_in()  # which has to be refused
            for _ in range(self.choices.number(3)):
                self._verb()
            self.upgrade()
        if self.client.report.tls is not None and self.way.by != "at once":
            self._look_at_the_object()
        self._sign_in()
        for _ in range(self.choices.number(6)):
            self._verb()
        if self.ended is not None:
            self._verb()
            self._sign_in()
        str(self.client.report)

    def _verb(self) -> None:
        self.verb(self.choices.one_of(tuple(VERBS[self.protocol])))

    def _sign_in(self) -> None:
        self.sign_in(self.choices.one_of(tuple(SIGN_IN[self.protocol])))

    def verb(self, name: str) -> None:
        self.step(name, VERBS[self.protocol][name])

    def upgrade(self) -> None:
        self.step("upgrade", lambda c: c.stls() if self.protocol == "pop3" else c.starttls())

    def sign_in(self, name: str) -> None:
        ways = SIGN_IN[self.protocol]
        was_private, before = self.client.report.tls is not None, self.ended
        raised = self.step(f"sign in by {name}", ways[name])
        if raised is None:
            require(was_private and self.client.report.tls, "a success in clear")
            self.signed_in = True
        elif raised is not before:
            shown = b"".join(_shown(raised))
            require(not _secrets_in(shown), f"a secret in the error of {name}: {raised}")
        if not self.server.has_repeated:
            held = mentions(self.client, PASSWORD.encode(), TOKEN.encode())
            require(not held, f"a secret is kept: {held}")

    def step(self, name: str, call: Step) -> BaseException | None:
        """Do it; what it raises must be what may be raised now."""
        was_open = self.client is not None and self.client.sock is not None
        try:
            call(self.client)
        except (SecureMailError, STANDARD[self.protocol]) as error:
            self._look_at(name, error, was_open)
            return error
        require(self.ended is None or not _talks(name), f"{name} works after {self.ended!r}")
        return None

    def _look_at(self, name: str, error: BaseException, was_open: bool) -> None:
        self.seen.append(error)
        if self.ended is not None and not isinstance(error, PolicyError):
            require(error is self.ended, f"{name} raises {error!r} after {self.ended!r}")
        is_ours = isinstance(error, SecureMailError)
        if not is_ours and was_open:
            require(not _is_end(error), f"{name} raises the standard module's {error!r}")
        code = getattr(error, "code", "")
        if (isinstance(error, _FATAL) and code != "apop-challenge") or code == "server-unproved":
            sock = getattr(self.client, "sock", None)
            require(sock is None, f"{name}: the connection is open after {error!r}")
            if was_open or name == "connect":
                self.ended = error

    # -- what must not be

    def _look_at_the_object(self) -> None:
        kept = mentions(self.client, MARKER)
        if self.protocol == "pop3":
            kept = [path for path in kept if path != "._said_in_clear"]  # the challenge of APOP
        require(not kept, f"said in clear, and kept after the upgrade: {kept}")

    def _look_at_the_wire(self) -> None:
        clear = bytes(self.server.clear)
        is_usual = all(map(_USUAL.fullmatch, clear.splitlines()))  # nearly always, and much quicker
        require(is_usual or not _secrets_in(clear), f"a secret in clear: {clear!r}")
        tagged = self.protocol == "imap"
        words = [line.split() for line in clear.splitlines()]
        said = [line[tagged].decode("latin-1").upper() for line in words if len(line) > tagged]
        if not self.has_reason:
            require(set(said) <= NEUTRAL[self.protocol], f"in clear: {said}")
        else:
            forbidden = {"LOGIN", "AUTHENTICATE", "AUTH", "USER", "PASS", "APOP"}
            require(forbidden.isdisjoint(said), f"in clear: {said}")
        require(UPGRADE[self.protocol] not in said[:-1], f"in clear after the verb: {said}")

    def _close(self) -> None:
        if self.client is not None:
            with contextlib.suppress(OSError):
                self.client.shutdown() if self.protocol == "imap" else self.client.close()


def _talks(name: str) -> bool:
    """Whether the step asks the server anything."""
    return name not in ("response", "recent", "getwelcome", "has_extn")


def _is_end(error: BaseException) -> bool:
    """The standard modules' own words for an end, which should be ours."""
    if isinstance(error, imaplib.IMAP4.readonly):
        return False
    kinds = (imaplib.IMAP4.abort, smtplib.SMTPServerDisconnected)
    is_said = isinstance(error, kinds) or error.args == ("-ERR EOF",)
    return is_said and "already established" not in str(error)


def _shown(error: BaseException | None) -> Iterator[bytes]:
    """What a traceback shows of it, and of those before it."""
    while error is not None:
        yield repr((str(error), error.args, vars(error))).encode()
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _secrets_in(octets: bytes) -> list[str]:
    return [*leaks(octets, PASSWORD), *leaks(octets, TOKEN)] if octets else []


def _target(protocol: str) -> Callable[[bytes], None]:
    return lambda case: Run(protocol, Choices(case)).play()


imap, pop3, smtp = _target("imap"), _target("pop3"), _target("smtp")
