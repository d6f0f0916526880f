"""What to say of a sign-in that failed: declined by the server, or not done as one is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from .errors import AuthenticationFailed, SecureMailError, printable
from .redact import hide
from .sasl.choose import USER, alternatives, say_how, usable
from .sasl.credentials import Password
from .sasl.mechanism import Broken, Unproved
from .sasl.token import Token
from .tls.binding import Binding
from .travel import Travel
from .values import Value


class Reply(Value):
    """A server's answer during sign-in. `kind`: challenge, success or refusal; `text`: its octets
    (of a challenge: base64); `raw`: what the standard module puts into its error or result."""

    kind: str
    text: bytes
    raw: Any = None

    def without(self, secrets: tuple[bytes, ...]) -> Reply:
        """The same, should the server repeat a secret; before anything else holds it."""
        several = self.raw if isinstance(self.raw, tuple) else (self.raw,)
        hidden = tuple(hide(one, secrets) if isinstance(one, bytes) else one for one in several)
        raw = hidden if isinstance(self.raw, tuple) else hidden[0]
        return Reply(self.kind, hide(self.text, secrets), raw)


class Declining(Travel):
    """The part of a connection that has words for it."""

    _AUTH_FAILED: ClassVar[type[AuthenticationFailed]]  # also the standard module's error

    def _declined_by_server(
        self, name: str, reply: Reply, credentials: Any, mechanism: Any = None
    ) -> AuthenticationFailed:
        """The refusal in the server's words."""
        words = printable(reply.text)
        self._declined = f'the server declined {name} with "{words}"'
        within = getattr(mechanism, "refusal", None)
        others = alternatives(credentials, self._offered, name)
        is_about_way = _is_about_mechanism(words)
        advised = others if is_about_way else _as_strong(name, others)
        if is_about_way and name != USER and USER in self._offered.commands:
            advised = (USER, *advised)
        return self._AUTH_FAILED(
            f'the server declined the sign-in by {name}: "{words}"'
            + (f" ({within})." if within else "."),
            raw=reply.raw if isinstance(reply.raw, tuple) else (reply.raw,),
            mechanism=name,
            offered=others,
            reasons=(within,) if within else (),
            hint=" ".join(self._advice(name, reply, credentials, advised)),
            **self._details(),
        )

    def _advice(
        self, name: str, reply: Reply, credentials: Any, others: tuple[str, ...]
    ) -> Iterator[str]:
        """What to do after a refusal: what looks wrong in what was given; what such words mean,
        where that is known; and the other ways there are."""
        from .answers import hint_for

        if doubts := getattr(credentials, "doubts", ()):
            yield f"Look at what was given: {'; '.join(doubts)}."
        host = self._endpoint.name.name if self._endpoint is not None else ""
        is_token = name in ("OAUTHBEARER", "XOAUTH2")  # whoever spelled it
        is_password = not is_token and (credentials is None or isinstance(credentials, Password))
        known = hint_for(self._PROTOCOL, host, reply.text, password=is_password)
        if not known and _is_about_mechanism(printable(reply.text)):
            yield from self._about_the_way(others)
            return
        usual = Token.advice if is_token else "Check what was given."
        yield known or getattr(credentials, "advice", usual)
        yield "The connection takes no second attempt."
        if others:
            advised = usable(others, credentials, self._offered, self._over)[:1]
            how = "".join(f"; to use one: {say_how(name)}" for name in advised)
            yield f"The server also offers {', '.join(others)}{how}."

    def _about_the_way(self, others: tuple[str, ...]) -> Iterator[str]:
        """For words about the mechanism, whatever user name and password were."""
        yield "That is about the way to sign in, not about the user name or the password."
        if others:
            by_command = "user() and pass_(), or " if others[0] == USER else ""
            yield f"To take {others[0]}: {by_command}{say_how(others[0])}. Connect again for it."

    def _suspect(self, name: str) -> str:
        """Dovecot 2.4 hangs up at a binding that it does not know, without a word."""
        binding = self._binding() if name.endswith("-PLUS") else None
        if not isinstance(binding, Binding):
            return ""
        return (
            f"It may not know this channel binding, {binding.type}: "
            'TLSPolicy(channel_binding="prefer") takes the usual one, "never" does without. '
        )

    def _not_a_sign_in(self, error: Broken) -> SecureMailError:
        if isinstance(error, Unproved):
            return self._AUTH_FAILED(
                f"the server {error}.",
                code="server-unproved",
                hint="It does not know this password, so it may not be the server that it says "
                "it is. Do not try again with a weaker mechanism: ask its administrator.",
                **self._details(),
            )
        return self._VIOLATION(
            f"the server {error}.",
            hint="This is not how a mail server signs anybody in; it has not proved itself.",
            **self._details(),
        )


_ABOUT_MECHANISM = re.compile(
    r"(?i)mechanism|auth\w* (type|method)|un(supported|recogni[sz]ed|known)|not (supported|"
    r"implemented|available|allowed|enabled)|disabled"
)


def _is_about_mechanism(words: str) -> bool:
    """Whether a refusal's words are about the way, and not about who signs in."""
    return bool(_ABOUT_MECHANISM.search(words))


def _as_strong(name: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """Of the other ways those that show no more of a password that may just be mistyped."""
    if not name.startswith("SCRAM-"):
        return others
    return tuple(other for other in others if other.startswith("SCRAM-"))
