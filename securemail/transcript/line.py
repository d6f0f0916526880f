"""One line of a transcript."""

from __future__ import annotations

from datetime import datetime

from ..values import Value


class TranscriptLine(Value, kw_only=True):
    """`at`: when, UTC; `seconds` since the connection began. `side`: "C" is the client, "S" the
    server, "*" tells what happened. `private`: it went over TLS. `text`: printable ASCII, without
    what is secret. `str()` is the line as a file has it."""

    at: datetime
    seconds: float
    side: str
    private: bool
    text: str

    def __str__(self) -> str:
        in_clear = self.side != "*" and not self.private
        return f"{self.seconds:8.3f} {self.side}{'!' if in_clear else ' '} {self.text}"
