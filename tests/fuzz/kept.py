"""What an object holds: where in it a word is."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any

from securemail import AuthPolicy, Limits, TLSPolicy

_CLOSED = (ssl.SSLContext, socket.socket, TLSPolicy, AuthPolicy, Limits, type)


def mentions(root: object, *words: bytes) -> list[str]:
    """Where within `root` one of these is, in any case: attributes and items."""
    wanted = [word.lower() for word in words]
    leaves = ((path, octets.lower()) for path, octets in _leaves(root))
    return [path for path, octets in leaves if any(word in octets for word in wanted)]


def _leaves(root: object) -> Iterator[tuple[str, bytes]]:
    seen: dict[int, object] = {}
    queue: list[tuple[str, Any]] = [("", root)]
    while queue:
        path, thing = queue.pop()
        if thing is None or isinstance(thing, (*_CLOSED, int, float)) or id(thing) in seen:
            continue
        seen[id(thing)] = thing  # kept: an object that is gone would leave its id to another
        if isinstance(thing, str):
            yield path, thing.encode("utf-8", "replace")
        elif isinstance(thing, (bytes, bytearray)):
            yield path, bytes(thing)
        elif isinstance(thing, dict):
            queue += [(f"{path}[{key!r}]", pair) for key, *pair in thing.items()]
            queue += [(f"{path} key", key) for key in thing]
        elif isinstance(thing, (list, tuple, set, frozenset)):
            queue += [(f"{path}[{at}]", one) for at, one in enumerate(thing)]
        elif hasattr(thing, "__dict__"):
            queue += [(f"{path}.{name}", one) for name, one in vars(thing).items()]
