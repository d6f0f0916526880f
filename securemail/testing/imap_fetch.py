"""What FETCH sends for each of its items (RFC 3501 6.4.5 and 7.4.2)."""

from __future__ import annotations

import imaplib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

from .imap_syntax import Bad, quote_literal
from .mailbox import Message

ATTRIBUTES: dict[str, Callable[[Message], bytes]] = {
    "UID": lambda message: b"UID %d" % message.uid,
    "FLAGS": lambda message: b"FLAGS (%b)" % " ".join(sorted(message.flags)).encode(),
    "RFC822.SIZE": lambda message: b"RFC822.SIZE %d" % len(message.data),
    "INTERNALDATE": lambda message: (
        b"INTERNALDATE " + imaplib.Time2Internaldate(message.arrived).encode()
    ),
}
SECTIONS: dict[str, Callable[[Message], bytes]] = {
    "": lambda message: message.data,
    "HEADER": lambda message: message.header,
    "TEXT": lambda message: message.text,
}
#: The old names, and what they stand for (RFC 3501 6.4.5).
ALIASES = {
    "RFC822": "BODY[]",
    "RFC822.HEADER": "BODY.PEEK[HEADER]",
    "RFC822.TEXT": "BODY[TEXT]",
}
MACROS = {"FAST": ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]}

_BODY = re.compile(
    r"BODY(?P<peek>\.PEEK)?\[(?P<section>[A-Z]*)\](<(?P<start>\d+)\.(?P<size>\d+)>)?"
)


def parse_items(names: list[str]) -> list[str]:
    """The items to fetch, macros resolved. Anything that we do not have is refused."""
    items = MACROS.get(names[0], names) if len(names) == 1 else names
    if not items:
        raise Bad("FETCH what?")
    for item in items:
        if item not in ATTRIBUTES:
            _parse_body(item)
    return items


def marks_seen(items: list[str]) -> bool:
    """Whether fetching these sets the \\Seen flag."""
    return any(ALIASES.get(item, item).startswith("BODY[") for item in items)


def render(message: Message, items: list[str]) -> bytes:
    """The parenthesised list of one FETCH response."""
    return b"(%b)" % b" ".join(_render_item(message, item) for item in items)


def _render_item(message: Message, item: str) -> bytes:
    if item in ATTRIBUTES:
        return ATTRIBUTES[item](message)
    body = _parse_body(item)
    data = SECTIONS[body["section"]](message)
    # The response is named as the item was asked for, without ".PEEK" and the size.
    name = item if item in ALIASES else f"BODY[{body['section']}]"
    if body["start"]:
        name += f"<{body['start']}>"
        data = data[int(body["start"]) :][: int(body["size"])]
    return name.encode() + b" " + quote_literal(data)


def _parse_body(item: str) -> re.Match[str]:
    body = _BODY.fullmatch(ALIASES.get(item, item))
    if body is None or body["section"] not in SECTIONS:
        raise Bad("FETCH item")
    return body


def parse_date(text: bytes) -> datetime:
    """The date and time of APPEND."""
    try:
        local = imaplib.Internaldate2tuple(b'INTERNALDATE "%b"' % text)
        if local is not None:
            return datetime.fromtimestamp(time.mktime(local), UTC)
    except (ValueError, OverflowError):
        pass  # looks like a date, and is none: the 35th, or the year 0
    raise Bad("date")
