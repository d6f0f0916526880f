"""One attack, as data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from ...values import Value

if TYPE_CHECKING:
    from .steps import Step

Protocol = Literal["imap", "pop3", "smtp"]
Mode = Literal["starttls", "tls"]
Kind = Literal["LEAK", "FOOLED", "STUCK", "refused", "fine"]
Moment = Literal[
    "connect",
    "handshake",
    "greeting",
    "offer",
    "hello",
    "consent",
    "offer-again",
    "sign-in",
    "challenge",
    "answer",
    "select",
    "stat",
    "list",
    "fetch",
    "append",
    "mail",
    "rcpt",
    "data",
    "message",
    "bye",
]
"""When a server acts. `offer` answers CAPABILITY, CAPA and EHLO, `hello` HELO, `consent` STARTTLS
and STLS, `offer-again` is `offer` after the upgrade. `sign-in` is at once when one is asked for,
each `challenge` in its course, `answer` at its end. `list` is also LSUB and UIDL, `fetch` RETR and
TOP; `message` comes when DATA has ended."""

#: Of certificates: what a client that trusts the authority should accept.
GOOD_KINDS = frozenset({"good", "rsa", "intermediate"})
#: A good certificate, and TLS that is not: `contexts`.
WEAK_KINDS = frozenset({"tls-1.0", "tls-1.1", "static-rsa", "cbc"})

#: For what has no end of its own.
SECONDS = 20.0
OCTETS = 64 * 1024 * 1024

ALL: tuple[Protocol, ...] = get_args(Protocol)
BOTH: tuple[Mode, ...] = get_args(Mode)

REFUSED: tuple[Kind, ...] = ("refused",)
FINE: tuple[Kind, ...] = ("fine",)
HARMLESS: tuple[Kind, ...] = ("refused", "fine")


class Scram(Value, kw_only=True):
    """How the server plays its part of SCRAM (RFC 5802); as it is here, honestly.

    `signature`: right, wrong, empty, missing (a success without one) or error (`e=`). `nonce`:
    appended to the client's, which is right; or the client's own, or one of the server's.
    """

    iterations: int = 4096
    signature: Literal["right", "wrong", "empty", "missing", "error"] = "right"
    nonce: Literal["appended", "the client's", "the server's"] = "appended"
    salt: bytes = b"a salt of 16 oct"


class Scenario(Value, kw_only=True):
    """What a hostile server does, where that is not what a polite one does.

    `at`: for moments, the steps in the place of the polite answer. `certificate`: a kind of
    `Authority.context_for`. `mechanisms`: what it offers for signing in, over TLS as in clear,
    unless `in_clear` says otherwise. `may_get`: what a client may give to this server once there
    is TLS. "nothing" where it is not the server that the client wants, "proof" where it must show
    first that it knows the password. `ends`: after this moment, or "proof", a client that saw
    through it says nothing but goodbye. `times`: how many connections are treated like this; later
    ones are met politely, to see what a client makes of it. `expects`: what the verdict on a good
    client may be.
    """

    name: str
    says: str
    family: str
    protocols: tuple[Protocol, ...] = ALL
    modes: tuple[Mode, ...] = BOTH
    at: Mapping[Moment, tuple[Step, ...]] = MappingProxyType({})
    certificate: str = "good"
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    in_clear: tuple[str, ...] | None = None
    scram: Scram = Scram()
    apop: bytes = b""
    may_get: Literal["nothing", "proof", "password"] = "password"
    ends: str | None = None
    times: int | None = None
    expects: tuple[Kind, ...] = REFUSED

    def _check(self) -> None:
        unknown = set(self.at) - set(get_args(Moment))
        if unknown:
            raise ValueError(f"scenario {self.name}: no such moment: {', '.join(sorted(unknown))}")
        self._set("at", MappingProxyType(dict(self.at)))

    @property
    def is_control(self) -> bool:
        """Whether nothing is wrong here, and a client should get its mail."""
        return self.expects == FINE

    @property
    def where(self) -> str:
        """Its protocols and modes, in words."""
        return f"{', '.join(self.protocols)} by {' or '.join(self.modes)}"

    @property
    def politely(self) -> Scenario:
        """The same server without its manners at this or that moment."""
        fields = {name: getattr(self, name) for name in self._fields}
        return Scenario(**{**fields, "at": {}})

    @property
    def refers(self) -> bool:
        """Whether it sends clients to another server."""
        steps = [step for steps in self.at.values() for step in steps]
        return any(b"%r" in value for step in steps for value in step.octets())

    @property
    def is_weak(self) -> bool:
        """Whether the right server offers TLS that should not be agreed to."""
        return self.certificate in WEAK_KINDS

    @property
    def is_impostor(self) -> bool:
        """Whether its certificate may be anybody's."""
        return self.certificate not in GOOD_KINDS | WEAK_KINDS
