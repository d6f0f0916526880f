"""Which way to sign in: pure, from credentials, offer, policy and channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import CredentialsRefused, PolicyError, printable
from ..values import Value
from .credentials import Password
from .mechanisms import KNOWN

APOP = "APOP"  # a command of POP3 that is asked for like a mechanism
USER = "USER"  # likewise, though it is used without being asked for as well
_SENDS_PASSWORD = ("PLAIN", "LOGIN")  # who wants these takes the protocol's own command as well
# What may go over a loopback connection without TLS, where the policy has a reason for that. Never
# what is made of a password: it can be guessed from.
IN_CLEAR = frozenset({"PLAIN", "LOGIN", "USER", "OAUTHBEARER", "XOAUTH2", "ANONYMOUS"})

Wanted = tuple[Any, ...]  # names, or classes as `Mechanism` has them


class Offer(Value, kw_only=True):
    """What the server takes: SASL `mechanisms`, upper case, and the protocol's own `commands`
    ("LOGIN" in IMAP; "USER" and "APOP" in POP3). `notes`: why one of these is not there."""

    mechanisms: tuple[str, ...]
    commands: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


class Line(Value, kw_only=True):
    """What there is to travel over. `in_clear`: None over verified TLS; else the ways that the
    policy has a reason for. `no_binding`: why there is no channel binding; None: there is one.
    `must_bind`: nothing else will do. `has_certificate`: the policy has a client certificate."""

    in_clear: frozenset[str] | None = None
    no_binding: str | None = ""
    must_bind: bool = False
    has_certificate: bool = False


class PassedOver(Value):
    """A way that was not taken, and why."""

    way: str
    why: str

    def __str__(self) -> str:
        return f"{self.way}: {self.why}"


def find_mechanism(wanted: Any) -> Any:
    """The class for a name; a class itself; None for a command. Raises `PolicyError` for others."""
    if isinstance(wanted, str):
        name = wanted.upper()
        if name in KNOWN or name in (APOP, USER):
            return KNOWN.get(name)
        raise PolicyError(
            f"mechanisms={wanted!r}: there is no such mechanism here.",
            code="mechanisms",
            hint=_meant(name)
            + f"Known: {', '.join([*KNOWN, APOP, USER])}; or give a class of your own.",
        )
    missing = [n for n in ("name", "takes", "start", "answer") if not hasattr(wanted, n)]
    if missing:
        raise PolicyError(
            f"mechanisms={wanted!r}: neither a name nor a class with {', '.join(missing)}.",
            code="mechanisms",
            hint='Write mechanisms=("PLAIN",), or see securemail.Mechanism.',
        )
    return wanted


def _meant(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [*KNOWN, APOP], n=1)
    return f"Did you mean {near[0]}? " if near else ""


def takes(wanted: Wanted, credentials: object) -> bool:
    """Whether any mechanism, wanted or known, takes these credentials at all."""
    every = (*KNOWN.values(), *(one for one in wanted if not isinstance(one, str)))
    return any(isinstance(credentials, one.takes) for one in every)


def choose_mechanism(
    credentials: Any, offer: Offer, wanted: Wanted, line: Line, **where: Any
) -> Any:
    """The first of `wanted` that both sides can do over this `line`: a mechanism's class, or the
    name of the protocol's own command. `where`: details for the error.

    Raises `CredentialsRefused`, with a `PassedOver` for each way that was not taken.
    """
    passed = []
    for way in _ways(credentials, offer, wanted):
        why = _objection(way, credentials, offer, line)
        if not why:
            return way
        passed.append(PassedOver(_say(way), why))
    raise _refused(credentials, offer, tuple(passed), line, where)


def name_of(way: Any) -> str:
    found: str = way if isinstance(way, str) else way.name
    return found


def _say(way: Any) -> str:
    return f"the {way} command" if isinstance(way, str) else name_of(way)


def alternatives(credentials: object, offer: Offer, tried: str) -> tuple[str, ...]:
    """The other ways that the server offers and that take these credentials: names."""
    every = [name for name, one in KNOWN.items() if isinstance(credentials, one.takes)]
    if isinstance(credentials, Password):
        every.append(APOP)
    there = {*offer.mechanisms, *offer.commands}
    return tuple(name for name in every if name in there and name != tried)


def usable(names: Iterable[str], credentials: object, offer: Offer, line: Line) -> tuple[str, ...]:
    """Those of the offered ways `names` that could be taken over this `line`: what is advised has
    to work."""

    def way(name: str) -> Any:
        return KNOWN.get(name) if name in offer.mechanisms else name

    return tuple(name for name in names if not _objection(way(name), credentials, offer, line))


def say_how(name: str) -> str:
    """How to choose another way: in a program, and in a policy file."""
    return (
        f'auth=AuthPolicy(mechanisms=("{name}",)), or in a policy file '
        f'auth = {{ mechanisms = ["{name}"] }}'
    )


def _ways(credentials: object, offer: Offer, wanted: Wanted) -> Iterator[Any]:
    """The ways that take such credentials, in order: those wanted, then the plain command."""
    is_password = isinstance(credentials, Password)
    for one in wanted:
        if one in (APOP, USER):
            if is_password:
                yield one
        elif isinstance(credentials, (found := find_mechanism(one)).takes):
            yield found
    if is_password and any(name in wanted for name in _SENDS_PASSWORD):
        others = {APOP, *(one for one in wanted if one == USER)}
        yield from (command for command in offer.commands if command not in others)
        yield from (name for name, _ in offer.notes if name not in others)


def _objection(way: Any, credentials: Any, offer: Offer, line: Line) -> str:
    """Why `way` cannot be taken; empty where it can."""
    name = name_of(way)
    is_command = isinstance(way, str)
    if name not in (offer.commands if is_command else offer.mechanisms):
        return dict(offer.notes).get(name, "not offered") if is_command else "not offered"
    if line.in_clear is not None and name not in line.in_clear:
        return "never without verified TLS"
    if name.endswith("-PLUS") and line.no_binding is not None:
        return f"no channel binding: {line.no_binding}"
    if line.must_bind and not getattr(way, "binds", False):
        return 'the policy says channel_binding="require", and this has none'
    if name == "EXTERNAL" and not line.has_certificate:
        return "there is no client certificate: TLSPolicy(client_certificate=...)"
    if is_command and name != APOP and not credentials.is_ascii:
        return "it takes ASCII only, and the user name or the password has other characters"
    return ""


def _refused(
    credentials: object,
    offer: Offer,
    passed: tuple[PassedOver, ...],
    line: Line,
    where: dict[str, Any],
) -> CredentialsRefused:
    return CredentialsRefused(
        f"there is no way to sign in with {_kind(credentials)} that both sides accept: "
        + "; ".join(_said(offer, passed))
        + ".",
        code="no-mechanism",
        reasons=passed,
        **{"credentials_sent": False, **where},
        hint=_hint(credentials, offer, passed, line),
    )


def _kind(credentials: object) -> str:
    name = type(credentials).__name__
    return {"Password": "a password", "Token": "a token"}.get(name, f"{name}()")


def _said(offer: Offer, passed: Iterable[PassedOver]) -> Iterator[str]:
    offered = ", ".join(map(printable, offer.mechanisms)) or "none"
    wanted = ", ".join(one.way for one in passed if " " not in one.way) or "none of them"
    yield f"SASL mechanisms offered: {offered}; wanted: {wanted}"
    by_reason: dict[str, list[str]] = {}
    for one in passed:
        by_reason.setdefault(one.why, []).append(one.way)
    for why, ways in by_reason.items():
        if why != "not offered":
            yield f"{', '.join(ways)}: {why}"


def _hint(credentials: object, offer: Offer, passed: Iterable[PassedOver], line: Line) -> str:
    if line.must_bind:
        return (
            "It takes a SCRAM mechanism with -PLUS, which the server's administrator can enable; "
            'channel_binding="prefer" does without.'
        )
    tried = {one.way for one in passed}
    untried = (name for name in alternatives(credentials, offer, "") if name not in tried)
    others = usable(untried, credentials, offer, line)
    if others:
        return f"{others[0]} is offered, and used only where it is asked for: {say_how(others[0])}."
    if line.in_clear is not None:
        return "Upgrade first (starttls, stls): over verified TLS all of them may be used."
    if not isinstance(credentials, Password) and (offer.mechanisms or offer.commands):
        return "Ask the server's administrator for one of these, or sign in with other credentials."
    if not offer.mechanisms and not offer.commands:
        return "This port takes no sign-in (a relay): is it the right one?"
    return (
        "The server's administrator can enable PLAIN over TLS. Or this port takes no sign-in (a "
        "relay), or no passwords at all."
    )
