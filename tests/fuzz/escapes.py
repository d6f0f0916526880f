"""One case, and what counts as an escape."""

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from cryptography.utils import CryptographyDeprecationWarning

from securemail.errors import SecureMailError, SecureMailWarning

SECONDS = 10.0  # of one case; a machine may be busy with others


class Escaped(AssertionError):
    """What must not be: another error than ours, a secret in clear, a case that does not end."""


class Hang(BaseException):
    """Not an Exception: nothing on the way may catch it."""


def require(condition: Any, what: str) -> None:
    if not condition:
        raise Escaped(what)


@contextlib.contextmanager
def only(*allowed: type[BaseException]) -> Iterator[None]:
    """Errors of ours are content, and those that the contract names. `SecureMailError`s can be
    shown and pickled."""
    try:
        yield
    except SecureMailError as error:
        require(str(error), "an error without a text")
        require(error.code, "an error without a code")
    except allowed:
        pass


def run_case(target: Callable[[bytes], None], data: bytes, seconds: float = SECONDS) -> None:
    """Raises `Escaped` where `target` does anything but return on this case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecureMailWarning)
        warnings.simplefilter(
            "ignore", CryptographyDeprecationWarning
        )  # numbers, say, that are odd
        try:
            with _alarm(seconds):
                target(data)
        except Escaped:
            raise
        except Hang:
            raise Escaped(f"it did not end within {seconds:g} s") from None
        except Exception as error:
            raise Escaped(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
