"""The standard `SSLContext`, also where the host program has replaced it.

`truststore.inject_into_ssl()` puts another class in place of `ssl.SSLContext`. Subclasses made
before recurse when they set a property the ordinary way (the standard setters look the class up
by its global name), and classes made after would inherit from the replacement. So: the class is
found by its module, and values are set through the descriptors of the class below it.
"""

from __future__ import annotations

import ssl
from typing import Any


def _find() -> type[ssl.SSLContext]:
    """The class that the module `ssl` itself defined."""
    for cls in ssl.SSLContext.__mro__:
        if cls.__module__ == "ssl" and cls.__name__ == "SSLContext":
            return cls
    raise ImportError("ssl.SSLContext was replaced by a class that does not derive from it")


StandardContext: Any = _find()
_Raw: Any = StandardContext.__base__  # _ssl._SSLContext


def set_value(context: ssl.SSLContext, name: str, value: Any) -> None:
    """`context.name = value`, past properties that `inject_into_ssl()` has broken."""
    raw = _Raw.__dict__.get(name)
    if raw is not None and hasattr(raw, "__set__"):
        raw.__set__(context, value)
    else:
        object.__setattr__(context, name, value)


def scratch_context() -> ssl.SSLContext:
    """A context to try certificates in; nothing connects with it."""
    context: ssl.SSLContext = StandardContext(ssl.PROTOCOL_TLS_CLIENT)
    return context
