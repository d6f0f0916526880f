"""What a mechanism is (RFC 4422): two methods, octets in and out. No protocol words."""

from __future__ import annotations

from typing import Any, Protocol

from ..values import Value
from .credentials import Secret


class Cancelled(Exception):
    """Raised by `answer`: the client gives the exchange up (RFC 4422, 3.5)."""


class Broken(Exception):
    """Raised by `answer`: the server broke the exchange. The text says how, after "the server"."""


class Unproved(Broken):
    """Raised by `answer`: the server could not prove that it knows who signs in."""


class Unusable(Exception):
    """Raised when a mechanism is made of what it cannot use (a password that cannot be prepared,
    say): nothing is sent then. The text is a sentence; `code` and `hint` are
    those of the error that the caller gets."""

    def __init__(self, text: str, *, code: str, hint: str) -> None:
        self.code, self.hint = code, hint
        super().__init__(text)


class Refusal(Value):
    """What the server said inside of the mechanism, beside its protocol's own refusal: SCRAM's
    `e=`, OAuth's JSON. `status`: the error's name; `details`: the other members, as texts."""

    status: str
    details: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return ", ".join([self.status, *(f"{name}: {text}" for name, text in self.details)])


class Terms(Value, kw_only=True):
    """What a mechanism may want to know beside the credentials.

    `service`: imap, pop or smtp (the names of RFC 4422 services); `host`, `port`: where to.
    `binding`: the channel binding that is to be used, its type and its data (RFC 5056); None where
    there is none. `binding_offered`: the server offers mechanisms with channel binding.
    `iterations`: the least and the most that a server may ask for; `seconds`: how long deriving a
    key may take. `saslprep`: "require", or "prefer": what cannot be prepared is used as it is.
    """

    service: str
    host: str
    port: int
    binding: tuple[str, Secret] | None = None
    binding_offered: bool = False
    iterations: tuple[int, int] = (4096, 1_000_000)
    seconds: float = 5.0
    saslprep: str = "require"


class Mechanism(Protocol):
    """One sign-in by one mechanism: made from credentials and `Terms`, used once.

    A class of your own can stand in `AuthPolicy(mechanisms=…)`. It may have two attributes more:
    `sent`, a text: what of the credentials the server has by now ("the password"), "" for nothing;
    `refusal`: a `Refusal`, once the server said one inside of the mechanism; and
    `awaits_proof`: True while nothing but the server's proof is due, which some servers put into
    their final word.

    And about the channel: `binds`, an attribute of the class: True where it does not sign in
    without `Terms.binding`, which `channel_binding="require"` asks for; and `bound`, the type of
    the binding that it put into what was sent. A report names that one, and none for a mere name
    that ends in -PLUS. `takes_words`: True where a challenge may be plain words, which end the
    exchange of others as no base64.
    """

    @property
    def name(self) -> str:
        """As servers list it (RFC 4422, 3.1). An attribute of the class."""
        ...

    @property
    def takes(self) -> type | tuple[type, ...]:
        """The class of the credentials, or several. An attribute of the class."""
        ...

    def __init__(self, credentials: Any, terms: Terms) -> None: ...

    @property
    def is_complete(self) -> bool:
        """Whether a success of the server may be believed now."""
        ...

    def start(self) -> bytes | None:
        """The initial response. None: the server speaks first; empty is another thing."""

    def answer(self, challenge: bytes) -> bytes | None:
        """The response to `challenge`; None where there is nothing left to say."""
