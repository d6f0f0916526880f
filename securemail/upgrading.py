"""STARTTLS and STLS (RFC 3207, RFC 2595, RFC 9051 6.2.1): done in full, or the end.

What came in clear was said by anybody. None of it survives: nothing may be left in the buffer when
TLS begins, and what was kept of the server's words is dropped and asked again.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from .connecting import Deadline, Endpoint, secure
from .connection import Connection
from .errors import PolicyError, TLSError, UpgradeRefused, printable
from .modes import from_the_first_byte


class Upgrading(Connection):
    """The part of a connection that can become private."""

    _UPGRADED: ClassVar[str]  # the protocol, as reports name it then
    _VERB: ClassVar[str]  # STARTTLS, or STLS

    def _offers_upgrade(self) -> bool:
        """Whether the server offers it, as it says in clear. Without the offer nothing is tried:
        somebody may have taken it out, and then would answer as well."""
        raise NotImplementedError

    def _ask_upgrade(self) -> Any:
        """Send the command; the reply as the standard verb returns it. Raises `UpgradeRefused`
        by `_refused` where that is not a consent."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Drop what the standard class kept of the server's words."""
        raise NotImplementedError

    def _ask_again(self) -> None:
        """Ask over TLS for what has to be known now; nothing where it is asked when needed."""

    def _upgrade(self, context: ssl.SSLContext | None = None) -> Any:
        """From clear to verified TLS, or `UpgradeRefused`, `TLSError`, `CertificateRejected` …:
        then the connection is closed, and every later verb raises the same error again."""
        self._raise_ended()
        self._require_connected()
        with self._all_or_nothing():
            if (given := self._checked(context)) is not None:
                self._take_context(given, self._settings)
            self._require_name()
            to_use = self._tls_context()
            self._require_nothing_left("before the command")
            if not self._offers_upgrade():
                raise self._refused(
                    f"the server does not offer {self._VERB}: it has no TLS here, or somebody in "
                    "between took the offer out",
                    "starttls-not-offered",
                    f"Ask its administrator{self._another_port()}.",
                )
            self._require_nothing_left("before the command")  # its answer would be this
            reply = self._ask_upgrade()
            self._require_nothing_left(f"with its consent to {self._VERB}")
            self._secure_now(to_use)
            self._ask_again()
        return reply

    def _secure_now(self, context: ssl.SSLContext) -> None:
        before = self._endpoint
        assert before is not None
        self._endpoint = Endpoint(
            host=before.host, name=before.name, port=before.port, protocol=self._UPGRADED
        )
        plain = None
        try:
            self._dialled = None
            plain, self.sock = self.sock, None  # whatever becomes of it, nobody talks over it again
            self.sock = secure(plain, context, self._endpoint, Deadline(self._limits.connect))
        except TLSError as error:
            if error.code not in ("plaintext-port", "not-tls"):  # the latter has no words to quote
                raise
            words = error.reasons[0] if error.code == "plaintext-port" else "..."
            raise self._left(words, "where TLS should begin") from error
        finally:
            if plain is not None:  # it is TLS's now, or closed; or Ctrl-C came before either
                plain.close()
        self._reader, self._open_until = None, None
        # A sign-in in clear does not outlive it either (RFC 3207, 4.2).
        self._spelled, self._asked, self._auth_report = "", False, None
        self._forget()
        self._accept(self.sock)

    def _require_nothing_left(self, when: str) -> None:
        """Octets that nobody asked for, where TLS should begin: they would be read as its first
        words (CVE-2011-0411 and its kin)."""
        if leftover := self._open_reader().leftover():
            raise self._left(printable(leftover[:80]), when)

    def _left(self, words: str, when: str) -> UpgradeRefused:
        return self._refused(
            f'the server sent more in clear {when}: "{words}"',
            "starttls-leftover",
            "Somebody in between may be putting words into the server's mouth.",
        )

    def _refused(self, why: str, code: str, hint: str) -> UpgradeRefused:
        details = {**self._details(), "credentials_sent": False}
        return UpgradeRefused(f"no TLS: {why}.", code=code, hint=hint, **details)

    def _declined_upgrade(self, words: bytes | str) -> UpgradeRefused:
        return self._refused(
            f'the server declines {self._VERB}: "{printable(words)}"',
            "starttls-refused",
            "It may have no certificate set up, or be overloaded: look into its log. Nothing is "
            "sent in clear instead.",
        )

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Whatever goes wrong closes the connection, and is what every later verb raises."""
        try:
            with self._opening():
                yield
        except BaseException:
            self._forget()  # what was said in clear is nobody's word now either
            raise

    def _another_port(self) -> str:
        better = from_the_first_byte(self._PROTOCOL)
        return better and f", or try {better}"

    def _require_connected(self) -> None:
        if self.sock is None:
            raise self._LOST("there is no connection to upgrade.", hint="Make a new one.")

    def _require_name(self) -> None:
        """A unix socket has no host name to compare."""
        if self._endpoint is not None and self._endpoint.name.name.startswith("/"):
            raise PolicyError(
                "a socket file has no name that a certificate could be for.",
                code="host-name",
                hint="Give server_hostname=.",
            )
