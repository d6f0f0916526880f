"""Whether an object keeps a word, anywhere within."""

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from securemail import TLSPolicy
from servers.recording import RecordingServer

_SEALED = (ssl.SSLContext, ssl.SSLSocket, socket.socket, TLSPolicy, RecordingServer)


def mentions(root: object, marker: str, *, buffers: bool = True) -> list[str]:
    """Where within an object the marker is, in any case: attributes, items, and buffers. Sockets,
    contexts and policies are not looked into: they keep nothing of what was read. Without
    `buffers` the object can be used afterwards."""
    leaves = _leaves(root, "", buffers)
    return [path for path, octets in leaves if marker.encode() in octets.lower()]


def _leaves(root: object, path: str, buffers: bool) -> Iterator[tuple[str, bytes]]:
    seen: set[int] = set()
    held = []  # an object that is gone would leave its id to another
    queue = [(path, root)]
    while queue:
        path, thing = queue.pop()
        if id(thing) in seen or isinstance(thing, (*_SEALED, type)):
            continue
        seen.add(id(thing))
        held.append(thing)
        if isinstance(thing, (str, bytes, bytearray, memoryview)):
            octets = thing.encode("utf-8", "replace") if isinstance(thing, str) else bytes(thing)
            yield path, octets
        elif isinstance(thing, re.Match):
            queue.append((f"{path}.string", thing.string))
        else:
            queue += _children(thing, path)
            if buffers and hasattr(thing, "peek") and hasattr(thing, "raw"):
                with contextlib.suppress(OSError):  # 3.14's file, of a socket that is TLS's now
                    queue.append((f"{path} buffer", _waiting(thing)))


def _children(thing: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield f"{path} key", key
            yield f"{path}[{key!r}]", value
    elif isinstance(thing, (list, tuple, set, frozenset)):
        for number, value in enumerate(thing):
            yield f"{path}[{number}]", value
    names = set(getattr(thing, "__dict__", ()))
    names |= {name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())}
    for name in names:
        yield f"{path}.{name}", getattr(thing, name, None)


def _waiting(buffer: Any) -> bytes:
    sock = buffer.raw._sock
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        return bytes(buffer.peek(1) or b"")
    finally:
        sock.settimeout(timeout)
