"""The key log of one handshake, in memory: the one door by which `ssl` hands out TLS secrets.

OpenSSL writes them into a file that is named to it. Here that is memory without a name (a memfd),
or a pipe; it is there from the beginning of a handshake to its end, and is erased then.
"""

from __future__ import annotations

import errno
import io
import os
import re
from contextlib import suppress
from typing import Any

from ..secret import Secret
from ..standard_ssl import set_value

_MOST = 65536  # octets: a handshake writes five lines of some 200, and so much fits into a pipe


class KeyLog:
    """Begins when made, by setting `context.keylog_filename`; raises `OSError` where this system
    has no such memory, and where the context has a key log already: two would mix."""

    def __init__(self, context: Any) -> None:
        if context.keylog_filename is not None:
            raise OSError(errno.EBUSY, "another connection is using the TLS context just now")
        self._context = context
        # As file objects: what is forgotten is closed all the same, and Python says so.
        self._reader, self._writer, path = _open()
        try:
            set_value(context, "keylog_filename", path)
            if context.keylog_filename != path:
                raise OSError(errno.EINVAL, "OpenSSL did not take the key log")
        except BaseException:
            self.erase()
            raise

    def take(self, label: str) -> Secret | None:
        """The one secret of that label; None for none, and for several: one is another's."""
        log = Secret(self._reader.read(_MOST) or b"")
        # Label, the client's random number, the secret: RFC 9850, 2.
        line = re.compile(rf"^{label} [0-9a-f]+ ([0-9a-f]+)$".encode(), re.MULTILINE)
        found = Secret(line.findall(log.reveal()))
        if len(found.reveal()) != 1:
            return None
        return Secret(bytes.fromhex(found.reveal()[0].decode()))

    def erase(self) -> None:
        """Stop the log, and leave nothing of it. May be called twice."""
        set_value(self._context, "keylog_filename", None)  # closes what OpenSSL had opened
        if self._writer is None and not self._reader.closed:
            with suppress(OSError):
                os.ftruncate(self._reader.fileno(), 0)
        for file in (self._reader, self._writer):
            if file is not None:
                file.close()


_Files = tuple[io.FileIO, io.FileIO | None, str]  # to read from, to keep open, OpenSSL's path


def _open() -> _Files:
    if hasattr(os, "memfd_create"):
        with suppress(OSError):  # a kernel, or a sandbox, that does not do it
            return _memory()
    return _pipe()


def _memory() -> _Files:
    """Memory that no path leads to but that of this process's descriptor."""
    memory = io.FileIO(os.memfd_create("securemail"), "r+")
    return memory, None, f"/proc/self/fd/{memory.fileno()}"


def _pipe() -> _Files:
    if not os.path.isdir("/dev/fd"):
        raise FileNotFoundError(errno.ENOENT, "there is no /dev/fd")
    out, into = os.pipe()
    os.set_blocking(out, False)
    return io.FileIO(out, "r"), io.FileIO(into, "w"), f"/dev/fd/{into}"
