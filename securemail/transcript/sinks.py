"""Where the lines go: a file, a stream, a logger, a function."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..errors import PolicyError, printable
from .line import TranscriptLine

if TYPE_CHECKING:
    import logging


class Stream(Protocol):
    """As sys.stderr."""

    def write(self, text: str, /) -> object: ...


Sink = Callable[[TranscriptLine], object]
To: TypeAlias = "str | os.PathLike[str] | Stream | logging.Logger | Sink"

_ONLY_ME = 0o600


def require_sink(to: object) -> None:
    """Raise `PolicyError` for what no line can be written to. Nothing is opened yet."""
    is_one = isinstance(to, (str, os.PathLike)) or hasattr(to, "write") or callable(to)
    if not (is_one or _is_logger(to)):
        raise PolicyError(
            f"transcript={printable(repr(to), 60)} is nothing that a transcript can be written to.",
            code="transcript",
            hint='Give a path, sys.stderr, logging.getLogger("securemail.wire"), or a function of '
            "one TranscriptLine.",
        )


def opened(to: Any) -> tuple[Sink, Callable[[], None]]:
    """What takes a line, and what ends it. Raises `PolicyError` for a file that cannot be
    written."""
    if isinstance(to, (str, os.PathLike)):
        file = _file(to)
        return (lambda line: file.write(f"{line}\n")), file.close
    if hasattr(to, "write"):
        return (lambda line: _write(to, line)), _nothing
    if _is_logger(to):
        return (lambda line: to.debug("%s", line)), _nothing
    return to, _nothing


def _is_logger(to: object) -> bool:
    logging: Any = sys.modules.get("logging")  # whoever has one has imported it
    return logging is not None and isinstance(to, (logging.Logger, logging.LoggerAdapter))


def _write(stream: Any, line: TranscriptLine) -> None:
    stream.write(f"{line}\n")
    if hasattr(stream, "flush"):  # who looks on wants to see it now
        stream.flush()


def _file(path: Any) -> Any:
    """For the owner alone, where it is new; each line is there at once."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _ONLY_ME)
        return os.fdopen(number, "a", buffering=1, encoding="ascii", newline="\n")
    except (OSError, ValueError) as error:
        raise PolicyError(
            f"the transcript {printable(os.fspath(path), 200)!r} cannot be written "
            f"({getattr(error, 'strerror', None) or error}).",
            code="transcript",
            hint="Check that its directory is there, and that you may write to it.",
        ) from error


def _nothing() -> None:
    """What is the caller's is not closed."""
