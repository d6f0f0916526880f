"""What is shown nowhere: no `repr`, message, log, pickle or traceback has it."""

from __future__ import annotations

from typing import Any, NoReturn


class Secret:
    """Something that no `repr`, message, log or traceback shows; `reveal()` is where it comes out.

    A function that is handed a password rebinds the name to a `Secret` on its first line, so that
    a traceback that shows local variables shows this.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
