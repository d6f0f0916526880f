"""A module of ours in the place of a standard one: `from securemail import imap as imaplib`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any


def names_of(standard: ModuleType, unsafe: type) -> Callable[[str], Any]:
    """A module's `__getattr__`: what it does not define itself is the standard module's, of the
    running Python. Connection classes (`unsafe` is their base) are not: one that a new Python adds
    would verify nothing."""

    def get(name: str) -> Any:
        value = getattr(standard, name)
        if isinstance(value, type) and issubclass(value, unsafe):
            raise AttributeError(f"{standard.__name__}.{name} has no safe counterpart here")
        return value

    return get
