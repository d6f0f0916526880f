"""Signing in by IMAP: SASL (RFC 9051, 6.2.2; SASL-IR, RFC 4959), and the LOGIN command."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from ..declining import Reply
from ..errors import AuthenticationFailed
from ..sasl.callers import Callers, require_callable
from ..sasl.choose import Offer
from ..sasl.cram_md5 import CramMD5
from ..sasl.credentials import Password, Secret
from ..sasl.exchange import Dialect
from .lines import IMAP4Lines

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)+"')
# Servers may offer more after a sign-in (RFC 9051, 6.2.3); the standard module asks from 3.14 on.
_ASKS_AGAIN = sys.version_info >= (3, 14)


class IMAP4SignIn(IMAP4Lines):
    """The verbs that sign in."""

    _DIALECT: ClassVar[Dialect] = Dialect("AUTHENTICATE", "imap")

    capabilities: tuple[str, ...]
    _get_capabilities: Callable[[], None]

    def authenticate(
        self,
        mechanism: Any,
        authobject: Callable[[bytes], bytes | None] | None = None,
    ) -> tuple[str, list[Any]]:
        """Sign in by the best way both sides know (`AuthPolicy`): SASL, else the LOGIN command.

        Takes credentials (a `Password`, `Token`, `External` or `Anonymous`), or the standard pair
        of a mechanism's name and a callable. Returns what `login` does. Raises
        `CredentialsRefused` (nothing was sent) and `IMAP4AuthenticationFailed`; either ends the
        attempt, nothing weaker follows.
        """
        self._require_state("AUTHENTICATE")
        if authobject is not None and isinstance(mechanism, str):
            authobject = Secret(authobject)  # type: ignore[assignment]
            brought = Callers(mechanism.upper(), require_callable(authobject))
            reply = self._talked(brought.name, lambda: self._run(brought), mechanism=brought)
        else:
            reply = self._sign_in(mechanism)
        return self._signed_in(reply)

    def login(self, user: str, password: str) -> tuple[str, list[Any]]:
        """`authenticate(Password(user, password))`. A `user` in quotation marks, as scripts write
        one with a blank for the standard verb, which sends it as it is, is the name within."""
        password = Secret(password)  # type: ignore[assignment]
        return self.authenticate(Password(_without_quotes(user), password))

    def login_cram_md5(self, user: str, password: str) -> tuple[str, list[Any]]:
        """Sign in by CRAM-MD5 (RFC 2195), which can be guessed off-line. Only over a verified
        channel, and never chosen by itself: to call this is to ask for it."""
        password = _text_of(Secret(password))  # type: ignore[assignment]
        credentials = Password(user, password)
        self._require_state("AUTHENTICATE")
        return self._signed_in(self._sign_in_by(CramMD5, credentials))

    def _declined_by_server(
        self, name: str, reply: Reply, credentials: Any, mechanism: Any = None
    ) -> AuthenticationFailed:
        """As the standard verbs of this Python have it: octets from `login`, text from others."""
        error = super()._declined_by_server(name, reply, credentials, mechanism)
        octets = reply.text
        words: bytes | str = octets
        if reply.raw == "BAD":
            verb = "AUTHENTICATE" if credentials is None else "LOGIN"
            words = f"{verb} command error: BAD {[octets]!r}"
        elif credentials is None or sys.version_info >= (3, 14):
            words = octets.decode("utf-8", "replace")
        error.raw = error.args = (words,)
        return error

    def _signed_in(self, reply: Reply) -> tuple[str, list[Any]]:
        self.state = "AUTH"
        if _ASKS_AGAIN:
            self._get_capabilities()
        return "OK", [reply.raw]

    def _require_state(self, command: str) -> None:
        self._raise_ended()
        if self.state != "NONAUTH":
            raise self.error(f"command {command} illegal in state {self.state}")

    def _offer(self) -> Offer:
        names = [name.upper() for name in self.capabilities]
        mechanisms = tuple(n.removeprefix("AUTH=") for n in names if n.startswith("AUTH="))
        if "LOGINDISABLED" in names:
            notes = (("LOGIN", "the server says LOGINDISABLED"),)
            return Offer(mechanisms=mechanisms, notes=notes)
        return Offer(mechanisms=mechanisms, commands=("LOGIN",))

    def _initial_response(self) -> bool:
        return "SASL-IR" in self.capabilities

    def _refuses_the_form(self, reply: Reply) -> bool:
        return reply.raw == "BAD" and b"[AUTH" not in reply.text.upper()

    def _command_sign_in(self, command: str, password: Password) -> Reply:
        user, secret = _quote(password.user.encode()), _quoted(password.password)
        self._sent = "the password"
        self._write_secret(Secret(b"LOGIN " + user + b" " + secret.reveal()), "LOGIN <secret>")
        return self._read_verdict()


def _without_quotes(user: str) -> str:
    """The text of a quoted string (RFC 9051, 4.3)."""
    given: object = user
    if not isinstance(given, str) or not _QUOTED.fullmatch(given):
        return user
    return re.sub(r"\\(.)", r"\1", user[1:-1])


def _text_of(password: Secret) -> Secret:
    """The standard verb takes octets as well."""
    if not isinstance(password.reveal(), (bytes, bytearray)):
        return password
    return Secret(bytes(password.reveal()).decode("utf-8", "surrogateescape"))


def _quoted(secret: Secret) -> Secret:
    return Secret(_quote(secret.reveal()))


def _quote(text: bytes) -> bytes:
    """A quoted string (RFC 9051, 4.3); line breaks are refused before and by the line writer."""
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
