"""Settings as they are written: in Python, and in the file that SECUREMAIL_POLICY names. Pure.

Both say the same: what differs from `TLSPolicy()`, and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from datetime import date

from ... import pem
from ...client_certificate import ClientCertificate
from ...files import short
from ...pins import Pin
from ...policy import TLSPolicy
from ...policy_file import ServerSettings
from ...trust.ca import CATrust
from ...trust.exact import ExactCertificate
from ...trust.first_use import FirstUseTrust
from ...trust.joined import JoinedTrust
from ...trust.system import CertifiTrust, SystemTrust
from ...trust.waive import EXPIRY, Waiver
from ...values import Value
from ..visit import Place
from .found import Way

_IMPORTED = re.compile(
    r"\b((?:IMAP4|POP3|SMTP)_(?:SSL|STARTTLS)|CATrust|CertifiTrust|ClientCertificate|"
    r"ExactCertificate|FirstUseTrust|Pin|SystemTrust|TLSPolicy|Waive)\b(?=[(.])"
)
_POLICY = (  # in this order, as TLSPolicy has them
    "minimum_version",
    "trust",
    "pins",
    "strict_x509",
    "legacy_ciphers",
    "channel_binding",
    "client_certificate",
    "crls",
)


class Written(Value):
    """One value in both languages."""

    python: str
    toml: str


Settings = dict[str, Written]  # by the names of TLSPolicy's fields, and "server_hostname"


def quoted(text: object) -> str:
    """As Python and TOML write it alike."""
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def same(text: object) -> Written:
    """Text, or a number, that is written alike."""
    return Written(quoted(text), quoted(text))


def file(source: pem.Source) -> Written:
    """A file that the caller named. What the policy file names is found from its own folder."""
    if isinstance(source, bytes):
        source = source.decode("ascii", "replace")
    if pem.is_pem(source):
        return same(source)
    return Written(quoted(short(source)), quoted(os.path.abspath(source)))


def beside(name: str) -> Written:
    """A file that is to be put beside the program, or beside the policy file."""
    return same(name)


def settings_of(settings: ServerSettings) -> Settings:
    """What a policy says already, beyond the default."""
    policy, written = settings.policy, {"trust": store(settings.policy.trust)}
    if policy.trust == SystemTrust():
        del written["trust"]
    if policy.minimum_version == ssl.TLSVersion.TLSv1_3:
        written["minimum_version"] = same("1.3")
    if policy.pins:
        pins = ", ".join(quoted(pin) for pin in policy.pins)
        written["pins"] = Written(f"({pins},)", f"[{pins}]")
    if not policy.strict_x509:
        written["strict_x509"] = TOLERANT
    if policy.legacy_ciphers:
        written["legacy_ciphers"] = same(policy.legacy_ciphers)
    if policy.channel_binding != TLSPolicy.channel_binding:
        written["channel_binding"] = same(policy.channel_binding)
    if policy.client_certificate:
        written["client_certificate"] = _own(policy.client_certificate)
    if policy.crls:
        crls = [file(source) for source in policy.crls]
        python, toml = ", ".join(c.python for c in crls), ", ".join(c.toml for c in crls)
        written["crls"] = Written(f"({python},)", f"[{toml}]")
    if settings.server_hostname:
        written["server_hostname"] = same(settings.server_hostname)
    return written


TOLERANT = Written("False", "false")


def _own(own: ClientCertificate) -> Written:
    cert, key = file(own.cert), None if own.key is None else file(own.key)
    return Written(
        f"ClientCertificate({cert.python}{f', {key.python}' if key else ''})",
        f"{{ certificate = {cert.toml}{f', key = {key.toml}' if key else ''} }}",
    )


def store(trust: object) -> Written:
    """A trust store of ours."""
    if isinstance(trust, JoinedTrust):
        return joined(*map(store, trust.stores))
    if isinstance(trust, CertifiTrust):
        return Written("CertifiTrust()", '"certifi"')
    if isinstance(trust, CATrust):
        return authorities(file(trust.source))
    if isinstance(trust, FirstUseTrust):
        path = file(os.fspath(trust.path))
        python, toml = _acknowledged(trust.acknowledge)
        return Written(f"FirstUseTrust({path.python}{python})", f"{{ known = {path.toml}{toml} }}")
    if isinstance(trust, ExactCertificate):
        return _exact(trust)
    return Written("SystemTrust()", '"system"')


def joined(*stores: Written) -> Written:
    return Written(
        " | ".join(one.python for one in stores),
        f"[{', '.join(one.toml.removeprefix('[').removesuffix(']') for one in stores)}]",
    )


def authorities(name: Written) -> Written:
    return Written(f"CATrust({name.python})", f"{{ ca = {name.toml} }}")


def _exact(trust: ExactCertificate) -> Written:
    waivers = trust.waive if isinstance(trust.waive, tuple) else ()
    if isinstance(trust.pin, Pin):
        return exactly_pinned(trust.pin, waivers, trust.acknowledge)
    assert trust.certificate is not None
    return exactly(file(trust.certificate), waivers, trust.acknowledge)


def exactly(
    name: Written, waivers: tuple[Waiver, ...] = (), acknowledge: str | None = None
) -> Written:
    """One server, by its certificate's file."""
    python, toml = _particulars(waivers, acknowledge)
    return Written(
        f"ExactCertificate({name.python}{python})", f"{{ certificate = {name.toml}{toml} }}"
    )


def exactly_pinned(
    pin: Pin, waivers: tuple[Waiver, ...] = (), acknowledge: str | None = None
) -> Written:
    """One server, by its key or its certificate's fingerprint."""
    python, toml = _particulars(waivers, acknowledge)
    fingerprint = str(pin).partition("/")[2]
    said = f"Pin.certificate({quoted(fingerprint)})" if pin.is_certificate else quoted(pin)
    return Written(f"ExactCertificate(pin={said}{python})", f"{{ pin = {quoted(pin)}{toml} }}")


def _particulars(waivers: tuple[Waiver, ...], acknowledge: str | None) -> tuple[str, str]:
    python, toml = _acknowledged(acknowledge)
    if waivers:
        said = ", ".join(map(_waiver, waivers))
        python += f", waive={said}" if len(waivers) == 1 else f", waive=({said})"
    for waiver in waivers:
        key = "waive_expiry" if waiver.what == EXPIRY else "waive_malformed"
        toml += f", {key} = {{ reason = {quoted(waiver.reason)}, until = {waiver.until} }}"
    return python, toml


def _acknowledged(reason: str | None) -> tuple[str, str]:
    said = quoted(reason)
    return (f", acknowledge={said}", f", acknowledge = {said}") if reason else ("", "")


def _waiver(waiver: Waiver) -> str:
    name = "EXPIRY" if waiver.what == EXPIRY else "MALFORMED"
    return f"Waive.{name}({quoted(waiver.reason)}, until={_day(waiver.until)})"


def _day(day: date) -> str:
    return f"date({day.year}, {day.month}, {day.day})"


def python(place: Place, settings: Settings) -> str:
    """A program's lines: imports, policy, connection."""
    given = [f"{name}={settings[name].python}" for name in _POLICY if name in settings]
    arguments = [quoted(place.host), str(place.port)]
    lines = []
    if given:
        lines.append(f"policy = TLSPolicy({', '.join(given)})")
        arguments.append("policy=policy")
    if name := settings.get("server_hostname"):
        arguments.append(f"server_hostname={name.python}")
    lines.append(f"{place.protocol} = {place.way.connect.__name__}({', '.join(arguments)})")
    return "\n".join((*_imports("\n".join(lines)), "", *lines))


def _imports(code: str) -> list[str]:
    days = ["from datetime import date", ""] if "until=date(" in code else []
    return [*days, f"from securemail import {', '.join(sorted(set(_IMPORTED.findall(code))))}"]


def toml(place: Place, settings: Settings) -> str:
    """The server's table in the file that SECUREMAIL_POLICY names."""
    rows = (f"{name} = {written.toml}" for name, written in settings.items())
    return "\n".join((f"[servers.{quoted(place.address)}]", *rows))


def way(title: str, place: Place, settings: Settings, *needs: str) -> Way:
    """As it is written in both languages."""
    return Way(
        title=title,
        needs=needs,
        python=python(place, settings),
        toml=toml(place, settings),
    )
