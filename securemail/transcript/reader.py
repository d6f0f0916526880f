"""A reader that tells the transcript what it read: whole lines, never pieces of them."""

from __future__ import annotations

import ssl
from typing import Any

from ..wire import CRLF, Reader
from .record import Transcript


class TranscribingReader(Reader):
    """In the place of a `Reader`, where there is a transcript; the others do not know of it."""

    def __init__(self, transcript: Transcript, sock: Any, *args: Any) -> None:
        super().__init__(sock, *args)
        self._transcript = transcript
        self._private = isinstance(sock, ssl.SSLSocket)
        self._is_over = False  # whoever reads finds an error in that, and tells it

    def readline(self, most: int = -1) -> bytes:
        try:
            line = super().readline(most)
        except (ConnectionError, ssl.SSLError, EOFError):
            self._is_over = True
            raise
        self._is_over = not line.endswith(b"\n")
        if not self._is_over:
            self._transcript.heard(line, private=self._private)
        return line

    def read_until_dot(self, line_end: bytes = CRLF) -> bytes:
        data = super().read_until_dot(line_end)
        self._transcript.block(data, private=self._private)
        return data

    def read(self, size: int) -> bytes:
        data = super().read(size)
        self._transcript.block(data, private=self._private)
        return data

    def close(self) -> None:
        """The standard classes do so at the end of a connection."""
        super().close()
        if not self._is_over:
            self._transcript.end()
