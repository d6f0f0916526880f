"""Frozen values: small, compared by type and fields, checked when made.

`dataclasses` would do the same for some 15 ms of import time in a cold script;
type checkers read this base exactly as they read a frozen dataclass (PEP 681).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn, dataclass_transform

from .errors import PolicyError


def reason_of(given: object, name: str, code: str) -> str | None:
    """The reason for an exception: words. None and False are none, and no exception is made; True
    and the like are no words: `PolicyError`. `name`: the argument's."""
    if given is None or given is False:
        return None
    if isinstance(given, str) and given.strip():
        return given
    raise PolicyError(
        f"{name}= needs a reason in words.",
        code=code,
        hint=f'Write {name}="why"; whoever reads it later will want to know.',
    )


@dataclass_transform(frozen_default=True)
class Value:
    """Base of every frozen value: its annotations are its fields, class attributes their defaults.

    Equal when the type and every field are equal; hashable; picklable (checked again when loaded).
    A subclass checks and normalises its fields in `_check`.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _kw_only: ClassVar[bool] = False

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        own = (
            sys.intern(name)
            for name, kind in cls.__annotations__.items()
            if not str(kind).startswith(("ClassVar", "typing.ClassVar"))
        )
        cls._fields = (*cls._fields, *(name for name in own if name not in cls._fields))
        cls._kw_only = kw_only or cls._kw_only

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        if len(args) > (0 if cls._kw_only else len(cls._fields)):
            raise TypeError(f"{cls.__name__} takes {cls._arguments()}")
        given = dict(zip(cls._fields, args, strict=False))
        for name, value in kwargs.items():
            if name in given or name not in cls._fields:
                raise TypeError(
                    f"{cls.__name__}: {name}= is unknown or given twice; "
                    f"it takes {cls._arguments()}"
                )
            given[name] = value
        for name in cls._fields:
            if name not in given and not hasattr(cls, name):
                raise TypeError(f"{cls.__name__} needs {name}; it takes {cls._arguments()}")
            self.__dict__[name] = given[name] if name in given else getattr(cls, name)
        # A traceback that shows local variables would show what is refused: a private key, say.
        del args, kwargs, given
        self._check()

    def _check(self) -> None:
        """Refuse wrong fields, and normalise the others through `_set`."""

    def _set(self, name: str, value: object) -> None:
        """For `_check` alone: store a normalised field."""
        self.__dict__[name] = value

    @classmethod
    def _arguments(cls) -> str:
        names = ", ".join(cls._fields) or "no arguments"
        return f"the keywords {names}" if cls._kw_only and cls._fields else names

    def _values(self) -> tuple[object, ...]:
        return tuple(self.__dict__[name] for name in self._fields)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), {name: self.__dict__[name] for name in self._fields})


def shortly(certificates: Iterable[bytes] | None) -> str:
    """How a `repr` shows certificates, which have kilobytes each."""
    return "None" if certificates is None else f"<{len(tuple(certificates))} certificates>"


def _remake(cls: type[Value], fields: dict[str, Any]) -> Value:
    return cls(**fields)
