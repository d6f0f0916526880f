"""One answer that is known, and the facts of one that came."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..values import Value
from ..well_known import is_within

_LONGEST = 4096  # octets that are looked at: a refusal has some hundred
_REPLY = re.compile(r"\s*([2-5]\d\d)[ -]")
_ENHANCED = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_BRACKETS = re.compile(r"\s*(?:-err\s+|no\s+|bad\s+)?\[([^\]\s]+)")


class Said(Value, kw_only=True):
    """What came: `text` in small letters, each blank a single one; `reply`, SMTP's (RFC 5321,
    4.2); `enhanced` (RFC 3463); `response`, the code in brackets of IMAP (RFC 9051, 7.1) and POP3
    (RFC 2449, 8)."""

    protocol: str
    host: str
    text: str
    reply: int = 0
    enhanced: str = ""
    response: str = ""

    @classmethod
    def read(cls, protocol: str, host: str, words: bytes, code: int | None) -> Said:
        text = " ".join(words[:_LONGEST].decode("utf-8", "replace").lower().split())
        reply, enhanced, response = (
            _REPLY.match(text),
            _ENHANCED.search(text),
            _BRACKETS.match(text),
        )
        return cls(
            protocol=protocol.lower().replace("lmtp", "smtp"),
            host=host.lower().rstrip("."),
            text=text,
            reply=code or (int(reply[1]) if reply else 0),
            enhanced=enhanced[0] if enhanced else "",
            response=response[1].upper() if response else "",
        )


class Answer(Value, kw_only=True):
    """An answer that is known: it fits where all that it names is there. `text` is a part of the
    words, in small letters; `hosts` are the ends of host names. `of_password`: the hint is for who
    gave one, and nothing to tell who signed in by a token."""

    hint: str
    protocol: str = ""
    hosts: tuple[str, ...] = ()
    replies: Collection[int] = ()
    enhanced: str = ""
    response: str = ""
    text: str = ""
    of_password: bool = False

    @property
    def is_specific(self) -> bool:
        """Whether more than the provider's name speaks for it."""
        return bool(self.text or self.enhanced or self.response)

    def fits(self, said: Said) -> bool:
        return (
            said.protocol.startswith(self.protocol)
            and (not self.hosts or any(is_within(said.host, end) for end in self.hosts))
            and (not self.replies or said.reply in self.replies)
            and self.enhanced in ("", said.enhanced)
            and self.response in ("", said.response)
            and self.text in said.text
        )
