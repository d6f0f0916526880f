"""Which way to sign in: pure, from what is offered and what is wanted."""

from __future__ import annotations

from typing import Any

from ..errors import CredentialsRefused, printable
from ..values import Value
from .credentials import Password
from .login import Login
from .mechanism import Mechanism
from .plain import Plain

_MECHANISMS: dict[str, type[Plain] | type[Login]] = {"PLAIN": Plain, "LOGIN": Login}


class Offer(Value, kw_only=True):
    """What the server takes: SASL `mechanisms`, upper case, and the protocol's own `command`
    ("LOGIN" in IMAP, "USER" in POP3) where it has one that is not forbidden. `no_command` says why
    there is none."""

    mechanisms: tuple[str, ...]
    command: str | None = None
    no_command: str = ""


def choose_mechanism(
    credentials: Password, offer: Offer, wanted: tuple[str, ...], **where: Any
) -> Mechanism | str:
    """The first of `wanted` that is offered; else the name of the protocol's own command.
    `where`: details for the error.

    Raises `CredentialsRefused`, with a reason for each way that was passed over.
    """
    for name in wanted:
        if name in offer.mechanisms and name in _MECHANISMS:
            return _MECHANISMS[name](credentials)
    if offer.command is not None and credentials.is_ascii:
        return offer.command
    raise _refused(credentials, offer, wanted, where)


def _refused(
    credentials: Password, offer: Offer, wanted: tuple[str, ...], where: dict[str, Any]
) -> CredentialsRefused:
    offered = ", ".join(map(printable, offer.mechanisms)) or "none"
    reasons = [f"SASL mechanisms offered: {offered}; wanted: {', '.join(wanted)}"]
    if offer.command is not None:
        reasons.append(
            f"the {offer.command} command takes ASCII only, and the user name or the password "
            "has other characters"
        )
    elif offer.no_command:
        reasons.append(offer.no_command)
    return CredentialsRefused(
        "there is no way to sign in with a password that both sides accept: "
        + "; ".join(reasons)
        + ".",
        code="no-mechanism",
        reasons=tuple(reasons),
        **{"credentials_sent": False, **where},
        hint="The server's administrator can enable PLAIN over TLS. Or this port takes no sign-in "
        "(a relay), or no passwords at all.",
    )
