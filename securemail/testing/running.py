"""What runs from `start` to `stop`, or for a `with` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Running(ABC):
    """A server, or several. Used once."""

    @abstractmethod
    def start(self) -> None:
        """Listen. When this returns, clients can connect."""

    @abstractmethod
    def stop(self) -> None:
        """End every connection. Not running, or not any more, is no error."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
