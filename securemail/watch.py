"""An end for what OpenSSL would go on reading for ever.

One call of `SSL_read` or `SSL_do_handshake` takes in as many records without data as come: requests
for a handshake in the place of a ServerHello, tickets after it. While they come, neither the
socket's time-out nor a signal's handler has a turn. So another thread shuts the connection down
when the time is over: the kernel takes nothing more from it then, and the call returns with an
error.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import threading
import time
from typing import Any

_GRACE = 0.5  # seconds: the socket's own time-out comes first, wherever it can
_LINGERS = 5.0  # seconds that the thread waits for more to watch


class _Watcher:
    """The connections that are waited for now, and the thread that looks after them."""

    def __init__(self) -> None:
        self.waiting: dict[Watch, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes = 0.0

    def add(self, watch: Watch, until: float) -> None:
        self.waiting[watch] = until
        if self._thread is not None and until >= self._wakes:
            return  # it looks in time
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="securemail watch", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads, or the program is ending
                    self._thread = None
            else:
                self._changed.notify()

    def _run(self) -> None:
        while self._look():
            pass

    def _look(self) -> bool:
        with self._changed:
            now = time.monotonic()
            over = [watch for watch, until in list(self.waiting.items()) if until <= now]
            for watch in over:
                self.waiting.pop(watch, None)
                watch.end()
            following = min(list(self.waiting.values()), default=None)
            self._wakes = now + _LINGERS if following is None else following
            if not self._changed.wait(self._wakes - now) and not self.waiting:
                self._thread = None
                return False
        return True


class Watch:
    """Around calls on one TLS socket, which end at `until` (a time of `time.monotonic`), or soon
    after it. `has_ended`: they were ended here."""

    def __init__(self, sock: Any, until: float | None) -> None:
        self._sock = sock
        self._until = until
        self.has_ended = False

    def __enter__(self) -> Watch:
        if self._until is not None:
            _watcher.add(self, self._until + _GRACE)
        return self

    def __exit__(self, *_: object) -> None:
        _watcher.waiting.pop(self, None)

    def end(self) -> None:
        self.has_ended = True
        # Not the method of an SSLSocket, which would drop TLS and go on in clear.
        with contextlib.suppress(OSError):
            _socket.socket.shutdown(self._sock, _socket.SHUT_RDWR)


_watcher = _Watcher()


def _after_fork() -> None:
    """The thread is in the parent."""
    global _watcher
    _watcher = _Watcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
