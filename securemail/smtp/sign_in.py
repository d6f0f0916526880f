"""Signing in by SMTP: AUTH (RFC 4954)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..declining import Reply
from ..sasl.callers import Callers, require_callable
from ..sasl.choose import Offer
from ..sasl.credentials import Password, Secret
from ..sasl.exchange import Dialect
from .lines import SMTPLines


class SMTPSignIn(SMTPLines):
    """The verbs that sign in."""

    _DIALECT: ClassVar[Dialect] = Dialect("AUTH", "smtp", longest=12288)  # RFC 4954, 4

    _ir_wanted = True
    # of the standard class
    esmtp_features: dict[str, str]
    ehlo_or_helo_if_needed: Callable[[], None]
    _auth_challenge_count: int

    def authenticate(self, credentials: Any) -> tuple[int, bytes]:
        """Sign in by the best SASL mechanism both sides know (`AuthPolicy`).

        `credentials`: a `Password`, `Token`, `External` or `Anonymous`. Returns the reply's code
        and words, as `login` does. Raises `CredentialsRefused` (nothing was sent) and
        `SMTPAuthenticationFailed`; either ends the attempt, nothing weaker follows. In a session
        that is signed in: 503, without a word to the server, which the standard module takes for
        success as well.
        """
        self._require_credentials(credentials)
        if self._auth_report is not None and self._ended is None:
            return 503, b"5.5.1 Error: already authenticated"  # as servers say (RFC 4954, 4)
        self._line()
        with self._opening():
            self.ehlo_or_helo_if_needed()
        raw: tuple[int, bytes] = self._sign_in(credentials).raw
        return raw

    def login(
        self, user: str, password: str, *, initial_response_ok: bool = True
    ) -> tuple[int, bytes]:
        """`authenticate(Password(user, password))`."""
        password = Secret(password)  # type: ignore[assignment]
        self._ir_wanted = initial_response_ok
        return self.authenticate(Password(user, password))

    def auth(
        self, mechanism: str, authobject: Callable[..., Any], *, initial_response_ok: bool = True
    ) -> tuple[int, bytes]:
        """Sign in by a mechanism of the caller's, as the standard verb does: `authobject` is called
        without an argument for the initial response, and with each challenge, decoded."""
        authobject = Secret(authobject)  # type: ignore[assignment]
        self._ir_wanted = initial_response_ok
        called = Secret(require_callable(authobject))
        self._auth_challenge_count = 0

        def counted(*challenge: bytes) -> Any:
            # As the standard `auth` counts, for the standard `auth_login`.
            self._auth_challenge_count = self._auth_challenge_count + 1 if challenge else 1
            return called.reveal()(*challenge)

        def again() -> Callers:
            self._auth_challenge_count = 0
            return Callers(mechanism.upper(), counted, starts=initial_response_ok)

        brought = again()
        raw: tuple[int, bytes] = self._talked(
            brought.name, lambda: self._run(brought, again), mechanism=brought
        ).raw
        return raw

    def _refuses_the_form(self, reply: Reply) -> bool:
        code, words = reply.raw
        return code in (500, 501) and not words.startswith(b"5.7.")

    def _initial_response(self) -> bool:
        return self._ir_wanted

    def _offer(self) -> Offer:
        words = self.esmtp_features.get("auth", "").upper().split()
        return Offer(mechanisms=tuple(dict.fromkeys(words)))
