"""Signing in by POP3: SASL (RFC 5034), USER and PASS, APOP (RFC 1939, 7)."""

from __future__ import annotations

import poplib
import re
from typing import Any, ClassVar

from ..declining import Reply
from ..errors import ProtocolViolation, SecureMailError
from ..sasl.choose import APOP, Offer
from ..sasl.credentials import Password, Secret
from ..sasl.exchange import Dialect
from .errors import is_refusal
from .lines import STANDARD, POP3Lines

# RFC 5322, 3.6.4: a msg-id, in printable ASCII. A server that may choose other octets can learn a
# password from digests (CVE-2007-1558).
_TIMESTAMP = re.compile(rb"\+OK[^<]*(<[!-;=?A-~]+@[!-;=?A-~]+>)")
_ABOUT_WHO = re.compile(rb"(?i)authenticat|credential|password|user|log ?in")  # a verdict, then
_ABOUT_FORM = re.compile(rb"(?i)\b(syntax|arguments?|parameters?|malformed|base-?64)\b")


def challenge_in(greeting: bytes) -> bytes:
    """What APOP would digest: the message-id of a greeting; "<" where that is none."""
    found = _TIMESTAMP.match(greeting)
    return found[1] if found else b"<" * (b"<" in greeting)


class POP3SignIn(POP3Lines):
    """The verbs that sign in."""

    _DIALECT: ClassVar[Dialect] = Dialect("AUTH", "pop", longest=255)  # RFC 5034, 4

    _user: str | None = None  # whom USER named
    _listed: tuple[str, ...] | None = None  # mechanisms, as a bare AUTH listed them
    welcome: bytes
    _said_in_clear: bytes | None = None  # what APOP would digest, where TLS came after it

    @property
    def _greeting(self) -> bytes:
        said = self._said_in_clear
        return self.welcome if said is None else b"+OK " + said

    def capa(self) -> dict[str, list[str]]:
        """Capabilities as the standard verb returns them, several lines of one name joined; raises
        the error that ended the connection, where that would call it "not supported"."""
        self._raise_ended()
        found: dict[str, list[str]] = {}
        try:
            for line in self._longcmd("CAPA")[1]:
                name, *words = line.decode("ascii").split()
                found.setdefault(name, []).extend(words)
        except SecureMailError:
            raise
        except (ValueError, IndexError) as error:  # not ASCII, or an empty line
            raise self._close_for(self._not_spoken(error)) from error
        except poplib.error_proto:
            self._raise_ended()
            raise poplib.error_proto("-ERR CAPA not supported by server")  # noqa: B904 - as it does
        return found

    def stat(self) -> tuple[int, int]:
        """How many messages, and their octets; two numbers, or a `ProtocolViolation`."""
        try:
            count, octets = STANDARD.stat(self)
        except SecureMailError:
            raise
        except (ValueError, IndexError, poplib.error_proto) as error:
            if is_refusal(error):
                raise
            raise self._close_for(self._not_spoken(error)) from error
        return count, octets

    def authenticate(self, credentials: Any) -> bytes:
        """Sign in by the best way both sides know (`AuthPolicy`): SASL, else USER and PASS.

        `credentials`: a `Password`, `Token`, `External` or `Anonymous`. Returns the server's
        reply, as `pass_` does. Raises `CredentialsRefused` (nothing was
        sent) and `POP3AuthenticationFailed`; either ends the attempt, nothing weaker follows.
        """
        self._require_signed_out()
        raw: bytes = self._sign_in(credentials).raw
        return raw

    def _require_signed_out(self) -> None:
        self._raise_ended()
        if self._auth_report is not None:
            raise poplib.error_proto(
                "-ERR signed in already; nothing was sent. Connect anew to sign in as another."
            )

    def login(self, user: str, password: str) -> bytes:
        """`authenticate(Password(user, password))`."""
        password = Secret(password)  # type: ignore[assignment]
        return self.authenticate(Password(user, password))

    def user(self, user: str) -> bytes:
        """Send USER (RFC 1939, 7) as it is. Only over a verified channel, or with
        `AuthPolicy(clear_on_loopback=…)`."""
        self._require_signed_out()
        name = Password(user, "unused").user  # checked as every user name is
        reply = self._attempt("USER", lambda: self._send_user(name), None)
        self._user = name
        return reply.text

    def pass_(self, pswd: str) -> bytes:
        """Send PASS (RFC 1939, 7) as it is. Only over a verified channel, or with
        `AuthPolicy(clear_on_loopback=…)`."""
        pswd = Secret(pswd)  # type: ignore[assignment]
        self._require_signed_out()
        credentials = Password(self._user or "unknown", pswd)  # checked as every password is
        reply = self._attempt("USER", lambda: self._send_pass(credentials), credentials)
        self._signed_in_by("USER", self._user)
        return reply.text

    def mechanisms(self) -> tuple[str, ...]:
        """Ask for the SASL mechanisms by a bare AUTH, which some servers know that have no CAPA,
        and some hang up at; so it is never asked unless you do. What it says is what `login`
        chooses from afterwards. Only over a verified channel. Raises `poplib.error_proto` where
        the server does not know it."""
        self._require_channel()
        self._write_secret(Secret(b"AUTH"), "AUTH")
        lines = self._getlongresp()[1]
        words = b" ".join(lines).decode("ascii", "replace").upper().split()
        self._listed = tuple(dict.fromkeys(words))
        return self._listed

    def apop(self, user: str, password: str) -> bytes:
        """Send APOP (RFC 1939, 7): a digest of the password, which can be guessed from. Only over a
        verified channel, or with `AuthPolicy(apop_in_clear=…)`. Never chosen by itself: to call
        this is to ask for it."""
        password = Secret(password)  # type: ignore[assignment]
        credentials = Password(user, password)
        self._require_signed_out()
        self._require_fresh(APOP)
        self._apop_challenge()  # before anything is said
        return self._sign_in_by(APOP, credentials).text

    def _apop_challenge(self) -> bytes:
        found = _TIMESTAMP.match(self._greeting)
        if found is not None:
            return found[1]
        if b"<" not in self._greeting:
            raise poplib.error_proto("-ERR APOP not supported by server")
        violation: ProtocolViolation = self._VIOLATION(
            "the server's APOP challenge is not a message-id (RFC 5322, 3.6.4), which is how "
            "passwords are drawn out of digests (CVE-2007-1558).",
            code="apop-challenge",
            hint="Use login(user, password): it travels over verified TLS.",
            **self._details(),
        )
        raise violation

    def _send_apop(self, credentials: Password) -> Reply:
        from hashlib import md5

        secret = self._apop_challenge() + credentials.password.reveal()
        digest = md5(secret, usedforsecurity=False).hexdigest()  # what RFC 1939 asks for
        secret = None
        self._sent = "a digest of the password"
        line = f"APOP {credentials.user} {digest}".encode()
        self._write_secret(Secret(line), "APOP <user> <secret>")
        return self._read_verdict()

    def _refuses_the_form(self, reply: Reply) -> bool:
        is_verdict = b"[AUTH]" in reply.text.upper() or _ABOUT_WHO.search(reply.text)
        return bool(_ABOUT_FORM.search(reply.text)) and not is_verdict

    def _offer(self) -> Offer:
        mechanisms, has_user = self._capabilities()
        if self._listed is not None:
            mechanisms = self._listed
        missing = {}
        if not has_user:
            missing["USER"] = "the server does not offer it"
        if not _TIMESTAMP.match(self._greeting):
            missing[APOP] = "the server's greeting has no challenge for it"
        commands = tuple(name for name in ("USER", APOP) if name not in missing)
        return Offer(mechanisms=mechanisms, commands=commands, notes=tuple(missing.items()))

    def _capabilities(self) -> tuple[tuple[str, ...], bool]:
        """The mechanisms that CAPA names (RFC 5034, 3), and whether USER may be tried."""
        try:
            capabilities = self.capa()
        except poplib.error_proto as error:
            cause = error.__context__  # capa() says "not supported", whatever happened
            if isinstance(cause, poplib.error_proto) and not is_refusal(cause):
                raise cause from None
            return (), True  # before RFC 2449 there was nothing else
        capabilities = {name.upper(): words for name, words in capabilities.items()}
        mechanisms = tuple(name.upper() for name in capabilities.get("SASL", ()))
        return mechanisms, "USER" in capabilities or not mechanisms

    def _command_sign_in(self, command: str, password: Password) -> Reply:
        if command == APOP:
            return self._send_apop(password)
        reply = self._send_user(password.user)
        return self._send_pass(password) if reply.kind == "success" else reply

    def _send_user(self, name: str) -> Reply:
        self._write_secret(Secret(b"USER " + name.encode()), "USER <user>")
        return self._read_verdict()

    def _send_pass(self, credentials: Password) -> Reply:
        self._sent = "the password"
        line = Secret(b"PASS " + credentials.password.reveal())
        self._write_secret(line, "PASS <secret>")
        return self._read_verdict()
