"""What of a caller's goes out between commands: addresses, and the octets of a message. Pure."""

from __future__ import annotations

import re
import smtplib
from typing import Any

from ..errors import PolicyError, printable

# A path (RFC 5321, 4.1.2) as smtplib writes it: nothing after it, where parameters would stand.
_PATH = re.compile(r'<(?:"(?:[^"\\\r\n]|\\.)*"|[^<>"\s])*>')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ALONE = re.compile(r"[^<>]*<[^<>\s]*>\s*")  # with a name before it, or none
_LONE_LF = re.compile(rb"(?<!\r)\n")
_LONE_CR = re.compile(rb"\r(?!\n)")


def require_address(address: str, *, wide: bool, **where: Any) -> None:
    """Raise `PolicyError` for what has more than an address in it: `<a@example.org> NOTIFY=NEVER`
    would be a parameter to the server; and, unless `wide`, for one that is not ASCII."""
    where = {**where, "credentials_sent": None}
    bare = _QUOTED.sub('""', address)
    is_one = _ALONE.fullmatch(bare) or not ("<" in bare or ">" in bare)
    # As the standard module writes it, too, which differs from Python to Python.
    if not (is_one and _PATH.fullmatch(smtplib.quoteaddr(address))):
        raise PolicyError(
            f"{printable(repr(address), 100)} is not an address alone.",
            code="address",
            hint="Parameters of MAIL and RCPT go into their options. Nothing of it was sent.",
            **where,
        )
    if not wide and not address.isascii():
        raise PolicyError(
            f"the address {printable(address, 100)} is not ASCII, and SMTPUTF8 was not asked for.",
            code="address",
            hint="send_message() asks for it, where the server has it; sendmail() takes "
            'mail_options=["SMTPUTF8"]. A domain can be written in ASCII: xn--... '
            "Nothing of it was sent.",
            **where,
        )


def in_crlf(message: bytes) -> bytes:
    """`message` with CRLF at the end of each line (RFC 5321, 2.3.8). A lone LF becomes one, as in
    all text: signatures are made over CRLF (RFC 8551, 3.1.1; RFC 6376, 3.4), so that none breaks. A
    lone CR is refused: it would change what was signed, and servers differ in what it ends."""
    feeds, returns, both = message.count(b"\n"), message.count(b"\r"), message.count(b"\r\n")
    if returns > both:
        at = _LONE_CR.search(message)
        raise PolicyError(
            f"the message has a CR without an LF, at octet {at.start() if at else 0}: to some "
            "servers the end of a line (RFC 5321, 2.3.8).",
            code="line-break",
            hint="Nothing of it was sent. Give the message as text, where line ends are put right, "
            r'or write message.replace(b"\r", b"\n").',
        )
    return message if feeds == both else _LONE_LF.sub(b"\r\n", message)
