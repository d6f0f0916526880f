"""Host names, normalised once: the same text for DNS, SNI, the name check, pins and logs.

`ssl` by itself encodes names by IDNA 2003, which turns `straße.example` into another host, and
passes a trailing dot, brackets or a zone id on into SNI, where nothing matches them.
"""

from __future__ import annotations

import ipaddress
import re

from .errors import PolicyError
from .values import Value

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")
_LONGEST = 253  # RFC 1035, 2.3.4, as text without the final dot


class Host(Value):
    """A host in the one form that is used everywhere.

    `name`: what the certificate must be for: lower-case A-labels, or an IP address in its shortest
    form. `address`: what is looked up or connected to; differs only by an IPv6 zone id.
    """

    name: str
    address: str
    is_ip: bool = False

    @classmethod
    def parse(cls, text: str) -> Host:
        """Normalise `text` (RFC 5890 names by UTS 46 and IDNA 2008, IP literals, `[::1]`,
        `fe80::1%eth0`, one trailing dot). Raises `PolicyError`."""
        if not isinstance(text, str):
            raise _bad(repr(text), "is not text")
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return _ip(bare) or _dns(text)


def split_port(text: str) -> tuple[str, int | None]:
    """HOST, HOST:PORT or [IPV6]:PORT. Several colons without brackets are an IPv6 address.

    Raises `PolicyError`; neither the host nor the range of the port is checked here.
    """
    host, port = text, None
    if text.startswith("["):
        host, end, rest = text.partition("]")
        host, port = f"{host}]", rest.removeprefix(":") if rest.startswith(":") else None
        if not end or (rest and port is None):
            raise _bad(text, "is not [IPV6]:PORT")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port is not None and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise _bad(text, "is not HOST:PORT: after the colon comes a port number")
    return host, None if port is None else int(port)


def _ip(text: str) -> Host | None:
    plain, _, zone = text.partition("%")
    try:
        ip = ipaddress.ip_address(plain)
    except ValueError:
        return None
    if zone and (ip.version == 4 or not zone.isascii() or not zone.isprintable() or " " in zone):
        raise _bad(text, "has a zone id that is not one")
    name = _compressed(ip)
    return Host(name, f"{name}%{zone}" if zone else name, is_ip=True)


def _compressed(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Mapped IPv4 as RFC 5952, 5 has it: Pythons before 3.13 write it in hexadecimal."""
    mapped = getattr(ip, "ipv4_mapped", None)
    return f"::ffff:{mapped}" if mapped else ip.compressed


def _dns(text: str) -> Host:
    if not text or len(text) > 4 * _LONGEST:
        raise _bad(text, "is empty" if not text else "is too long")
    name = text.lower() if _is_plain(text) else _to_ascii(text)
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > _LONGEST or not all(_LABEL.match(label) for label in labels):
        raise _bad(text, "is not a host name", "Give the name alone: no port, no path, no blanks.")
    if _NUMBER.match(labels[-1]):
        # The resolver would take 127.1 or 0x7f000001 for an address; the certificate check not.
        raise _bad(text, "is neither an IP address in full nor a host name")
    return Host(name, name)


def _is_plain(text: str) -> bool:
    """ASCII that needs no IDNA. Names with an underscore (container networks) are among them."""
    return text.isascii() and "xn--" not in text.lower()


def _to_ascii(text: str) -> str:
    import idna  # here, because most names do not need it

    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise _bad(text, f"is not an internationalised host name ({error})") from None


def _bad(text: str, why: str, hint: str = "") -> PolicyError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return PolicyError(f"the host {shown!r} {why}.", code="host-name", hint=hint)
