"""The two pipes of a command, as a reader and a writer see a socket: with time-outs."""

from __future__ import annotations

import os
import select
import subprocess
from typing import Any


class Pipe:
    """`stdin` and `stdout` of a running command. Unix: pipes cannot be waited for on Windows."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._out, self._in = process.stdin.fileno(), process.stdout.fileno()
        self._timeout: float | None = None
        for end in (self._out, self._in):
            os.set_blocking(end, False)

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def setsockopt(self, *_: Any) -> None:
        """Nothing: there is no TCP."""

    def recv_into(self, buffer: Any) -> int:
        """As a socket's: 0 at the end, `TimeoutError`, `BlockingIOError`."""
        self._wait([self._in], [])
        octets = os.read(self._in, len(buffer))
        memoryview(buffer)[: len(octets)] = octets
        return len(octets)

    def sendall(self, data: bytes) -> None:
        """As a socket's; the time-out is for each piece that the command takes."""
        rest = memoryview(data)
        while rest:
            self._wait([], [self._out])
            rest = rest[os.write(self._out, rest[: select.PIPE_BUF]) :]

    def _wait(self, reading: list[int], writing: list[int]) -> None:
        if any(select.select(reading, writing, [], self._timeout)):
            return
        raise BlockingIOError if self._timeout == 0 else TimeoutError("timed out")
