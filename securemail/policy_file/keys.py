"""Which keys a policy file may have, and what each stands for: one table for each level."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, reduce
from operator import or_
from typing import Any

from .. import pem
from ..client_certificate import ClientCertificate
from ..errors import printable
from ..hosts import Host
from ..pins import Pin
from ..policy import AuthPolicy, TLSPolicy
from ..tls.binding import WANTED
from ..trust.base import TrustStore
from ..trust.ca import CATrust
from ..trust.exact import ExactCertificate
from ..trust.first_use import FirstUseTrust
from ..trust.native import NativeTrust
from ..trust.system import CertifiTrust, SystemTrust
from ..trust.waive import Waive, Waiver
from ..values import Value
from .checks import (
    Location,
    Reader,
    a_number,
    boolean,
    day,
    numbers,
    of_kind,
    reason,
    say_list,
    table,
    text,
    texts,
)

Maker = Callable[[], Any]  # makes a part of a policy; reads the files that it is made of


class Entry(Value, kw_only=True):
    """One table of the file, checked as far as that goes without other files."""

    at: Location
    found: dict[str, Any]
    is_for_one: bool = False  # server, and not `[default]`

    @property
    def says_of_tls(self) -> bool:
        return any(name in self.found for name in (*_TLS, *_MADE_OF_FILES))

    def policy(self) -> TLSPolicy:
        """Reads the files that the entry names. Raises `PolicyError` with the place in front."""
        given = {name: self.found[name] for name in _TLS if name in self.found}
        for name in filter(self.found.__contains__, _MADE_OF_FILES):
            with self.at.key(name).in_front():
                given[name] = self.found[name]()
        with self.at.in_front():
            return TLSPolicy(**given)


def default(value: object, at: Location) -> Entry:
    """`[default]`: what is about one server has no place there."""
    return Entry(at=at, found=table(value, at, {**_TLS, **_ANY_SERVER}))


def server(value: object, at: Location) -> Entry:
    """`[servers."host"]` or `[servers."host:port"]`."""
    found = table(value, at, {**_TLS, **_ANY_SERVER, **_ONE_SERVER})
    if "plaintext" in found and len(found) > 1:
        others = say_list(name for name in found if name != "plaintext")
        raise at.error(
            f"plaintext stands alone, but here is also: {others}. In clear there is no certificate "
            "and no sign-in.",
            "Give the port that has TLS an entry of its own, such as "
            '[servers."mail.example.org:465"].',
        )
    return Entry(at=at, found=found, is_for_one=True)


def _version(value: object, at: Location) -> str:
    found = text(value, at)
    if found not in ("1.2", "1.3"):
        raise at.error(f'expected "1.2" or "1.3", found {_quoted(found)}.')
    return found


def _binding(value: object, at: Location) -> str:
    found = text(value, at)
    if found not in WANTED:
        known = say_list(map(_quoted, WANTED))
        raise at.error(f"expected one of {known}; found {_quoted(found)}.")
    return found


def _quoted(value: str) -> str:
    return f'"{printable(value, longest=60)}"'


def _pins(value: object, at: Location) -> tuple[Pin, ...]:
    found = texts(value, at)
    with at.in_front():
        return tuple(map(Pin, found))


def _pin(value: object, at: Location) -> Pin:
    found = text(value, at)
    with at.in_front():
        return Pin(found)


def _name(value: object, at: Location) -> str:
    found = text(value, at)
    with at.in_front():
        Host.parse(found)
    return found


def _auth(value: object, at: Location) -> AuthPolicy:
    found = table(value, at, _AUTH)
    with at.in_front():
        return AuthPolicy(**found)


def _auth_of_one(value: object, at: Location) -> AuthPolicy:
    """For one server: an exception is never for all of them."""
    found = table(value, at, {**_AUTH, **_AUTH_OF_ONE})
    with at.in_front():
        return AuthPolicy(**found)


def _path(value: object, at: Location) -> str:
    """From the folder of the policy file; or PEM text itself, as the stores take it."""
    found = text(value, at)
    if pem.is_pem(found):
        return found
    if not found.strip():
        raise at.error("expected the path of a file, found empty text.")  # it would be the folder
    below_home = os.path.expanduser(found) if found.startswith("~/") else found
    return os.path.join(os.path.dirname(at.file), below_home)


def _paths(value: object, at: Location) -> tuple[str, ...]:
    """One path or a list of them."""
    if type(value) is not list:
        return (_path(value, at),)
    return tuple(_path(one, at.item(number)) for number, one in enumerate(value, 1))


def _file(value: object, at: Location) -> str:
    if pem.is_pem(text(value, at)):
        raise at.error("expected the path of a file, found PEM text.")
    return _path(value, at)


def _client(value: object, at: Location) -> Maker:
    found = table(value, at, _CLIENT)
    if "certificate" not in found:
        raise at.error(
            "certificate is missing.",
            'Write client_certificate = { certificate = "me.pem", key = "me.key" }.',
        )
    return partial(ClientCertificate, found["certificate"], found.get("key"))


def _expiry(value: object, at: Location) -> Waiver:
    found = _waiver(value, at, 'waive_expiry = { reason = "new one is ordered"')
    return Waive.EXPIRY(found["reason"], until=found["until"])


def _malformed(value: object, at: Location) -> Waiver:
    found = _waiver(value, at, 'waive_malformed = { reason = "the old printer"')
    return Waive.MALFORMED(found["reason"], until=found["until"])


def _waiver(value: object, at: Location, example: str) -> dict[str, Any]:
    found = table(value, at, _WAIVER)
    if missing := [name for name in _WAIVER if name not in found]:
        raise at.error(
            f"{say_list(missing)} is missing.", f"Write {example}, until = 2027-03-01 }}."
        )
    return found


def _trust(value: object, at: Location) -> Maker:
    """A store, or a list of stores of certificate authorities, joined as with `|`."""
    if type(value) is not list:
        return _store(value, at)
    if not value:
        raise at.error("the list is empty, so nobody would be believed.")
    makers = []
    for number, one in enumerate(value, 1):
        makers.append(_store(one, at.item(number)))
        if one == "native":
            raise at.item(number).error('"native" stands alone.', 'To join, write "system".')
        if isinstance(one, dict) and "ca" not in one:
            raise at.item(number).error(
                "only stores of certificate authorities can be joined.",
                "A server with a certificate of its own has that as its only trust.",
            )
    return partial(_joined, makers)


def _joined(makers: list[Maker]) -> TrustStore:
    joined: TrustStore = reduce(or_, [make() for make in makers])
    return joined


def _store(value: object, at: Location) -> Maker:
    if isinstance(value, str):
        return _known(value, at)
    expected = f"{_NAMES}, a table with ca, certificate, pin or known, or a list of stores"
    found = table(of_kind(value, at, dict, expected), at, _STORE)
    kinds = [name for name in ("ca", "certificate", "pin", "known") if name in found]
    if len(kinds) != 1:
        here = f"here are {' and '.join(kinds)}" if kinds else "here is none"
        raise at.error(f"expected one of ca, certificate, pin and known; {here}.")
    if kinds == ["ca"]:
        return _authorities(found, at)
    if kinds == ["known"]:
        return _known_servers(found, at)
    return partial(
        ExactCertificate,
        found.get("certificate"),
        found.get("pin"),
        waive=tuple(found[name] for name in _WAIVERS if name in found),
        acknowledge=found.get("acknowledge"),
    )


def _known(value: str, at: Location) -> Maker:
    if value not in _STORES:
        raise at.error(
            f"expected {_NAMES}, found {_quoted(value)}.",
            'A file is named by what it holds: trust = { ca = "corp.pem" } or '
            '{ certificate = "server.pem" }.',
        )
    return _STORES[value]


def _authorities(found: dict[str, Any], at: Location) -> Maker:
    if surplus := [name for name in found if name != "ca"]:
        raise at.key(surplus[0]).error("this goes with certificate or pin, not with ca.")
    return partial(CATrust, found["ca"])


def _known_servers(found: dict[str, Any], at: Location) -> Maker:
    for name in filter(found.__contains__, _WAIVERS):
        raise at.key(name).error("this goes with certificate or pin, not with known.")
    return partial(FirstUseTrust, found["known"], found.get("acknowledge"))


# -- the tables

_TLS: dict[str, Reader] = {  # as TLSPolicy has them
    "trust": _trust,
    "pins": _pins,
    "minimum_version": _version,
    "strict_x509": boolean,
    "legacy_ciphers": reason,
    "channel_binding": _binding,
    "client_certificate": _client,
    "crls": _paths,
}
_MADE_OF_FILES = ("trust", "client_certificate")  # by a Maker, when the server is asked for
_ANY_SERVER: dict[str, Reader] = {"auth": _auth}
_ONE_SERVER: dict[str, Reader] = {
    "auth": _auth_of_one,
    "server_hostname": _name,
    "plaintext": reason,
    "any_port": reason,
}
_AUTH: dict[str, Reader] = {  # as AuthPolicy has them
    "mechanisms": texts,
    "iterations": numbers,
    "seconds": a_number,
    "saslprep": text,
    "initial_response": text,
}
_AUTH_OF_ONE: dict[str, Reader] = {"apop_in_clear": reason, "clear_on_loopback": reason}
_STORE: dict[str, Reader] = {
    "ca": _path,
    "certificate": _path,
    "pin": _pin,
    "known": _file,
    "acknowledge": reason,
    "waive_expiry": _expiry,
    "waive_malformed": _malformed,
}
_CLIENT: dict[str, Reader] = {"certificate": _path, "key": _path}  # as ClientCertificate has them
_WAIVERS = ("waive_expiry", "waive_malformed")
_WAIVER: dict[str, Reader] = {"reason": reason, "until": day}
_STORES: dict[str, Maker] = {
    "system": SystemTrust,
    "certifi": CertifiTrust,
    "native": NativeTrust,
}
_NAMES = "one of " + ", ".join(f'"{name}"' for name in _STORES)
