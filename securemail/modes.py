"""How a connection becomes private, and on which ports that is usual (RFC 8314, RFC 6409)."""

from __future__ import annotations

import re

from .errors import PolicyError
from .values import Value


class Mode(Value):
    """`is_private`: TLS by the time the constructor returns."""

    name: str
    is_private: bool


TLS = Mode("TLS from the first byte", is_private=True)
STARTTLS = Mode("STARTTLS", is_private=True)
CLEAR = Mode("in clear", is_private=False)

# port: (what speaks there, its class for TLS from the first byte, that port, for STARTTLS, port)
_IMAP = ("IMAP", "IMAP4_SSL", 993, "IMAP4_STARTTLS", 143)
_POP3 = ("POP3", "POP3_SSL", 995, "POP3_STARTTLS", 110)
_SMTP = ("SMTP", "SMTP_SSL", 465, "SMTP_STARTTLS", 587)
_USUAL = {port: row for row in (_IMAP, _POP3, _SMTP) for port in (row[2], row[4])}
# As servers greet.
_BEGIN = {
    _IMAP: r"\* (OK|PREAUTH)\b",
    _POP3: r"\+OK\b|\"\+\"",
    _SMTP: r"\b220[ -]",
}
_LOOKED_AT = 80  # letters


def require_port(port: int, mode: Mode, asked: str) -> None:
    """Raise `PolicyError` for a port where the opposite of `mode` is spoken: TLS from the first
    byte on 587, 143 and 110; anything in clear on 465, 993 and 995. `asked`: the class."""
    if port not in _USUAL:
        return
    kind, tls, tls_port, starttls, starttls_port = _USUAL[port]
    if mode is TLS and port == starttls_port:
        found = f"begins in clear there and is upgraded by {_verb(kind)}"
        better = f"Use {starttls}(host) on port {port}, or {tls}(host) on port {tls_port}."
    elif mode is not TLS and port == tls_port:
        found = "speaks TLS from the first byte there"
        better = f"Use {tls}(host) on port {port}, or {starttls}(host) on port {starttls_port}."
    else:
        return
    raise PolicyError(
        f"{asked} and port {port} contradict each other: {kind} {found}.",
        code="port-and-mode",
        hint=f"{better} For a server that is different, a policy file says any_port "
        'with a reason: SECUREMAIL_POLICY, [servers."HOST:PORT"], any_port = "why".',
        credentials_sent=False,
    )


def from_the_first_byte(protocol: str) -> str:
    """The class and the port for TLS from the first byte, where `protocol` has one."""
    for kind, tls, tls_port, _, _ in (_IMAP, _POP3, _SMTP):
        if protocol.startswith(kind):
            return f"{tls} (port {tls_port})"
    return ""


def spoken_instead(words: str, protocol: str) -> str:
    """Where a greeting's `words` are of another protocol than `protocol`: what it is, and what to
    use; else empty."""
    for (kind, tls, tls_port, starttls, starttls_port), begins in _BEGIN.items():
        if re.search(begins, words[:_LOOKED_AT]) and not protocol.startswith(kind):
            return (
                f"That is {kind}: use {tls} (port {tls_port}) or {starttls} (port {starttls_port}) "
                "there, or correct the port."
            )
    return "That is a web server: check host and port." if "HTTP/1" in words else ""


def unheard(protocol: str) -> str:
    """For a server that says nothing in clear: what it may be waiting for."""
    better = from_the_first_byte(protocol)
    return better and f"If it speaks TLS from the first byte on this port, use {better}."


def _verb(kind: str) -> str:
    return "STLS" if kind == "POP3" else "STARTTLS"
