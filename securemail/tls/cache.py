"""Contexts, kept: building one takes as long as everything else in a connection together."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

_MOST = 64  # contexts; about 250 KiB each with a full CA bundle
_kept: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
_building: dict[Hashable, threading.Event] = {}
_here = threading.local()
_PATIENCE = 10.0  # seconds for another thread's building; then the same is built once more
_lock = threading.RLock()  # a signal's handler may connect while it is held


def cached(key: Hashable, content: Hashable, build: Callable[[], Any]) -> Any:
    """What was built for `key`, as long as `content` (of files, say) is still the same.

    No lock is held while it is built: a store of somebody else, or a callable that fetches a key's
    password, may connect itself, and would wait for itself. Of several that build the same at
    once, all get the first that was done.
    """
    with _one_at_a_time(key, content) as held:
        return held[1] if held is not None else _keep(key, content, build())


def _keep(key: Hashable, content: Hashable, made: Any) -> Any:
    with _lock:
        held = _kept.get(key)
        if held is None or held[0] != content:
            _kept[key] = held = (content, made)
        _kept.move_to_end(key)
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
        return held[1]


def _held(key: Hashable, content: Hashable) -> tuple[Hashable, Any] | None:
    with _lock:
        held = _kept.get(key)
        if held is None or held[0] != content:
            return None
        _kept.move_to_end(key)
        return held


@contextmanager
def _one_at_a_time(key: Hashable, content: Hashable) -> Iterator[tuple[Hashable, Any] | None]:
    """What is kept, or the place to build it. Who comes while another builds the same waits for
    that, unless something is being built in the same thread: builders wait for nobody."""
    held, mine = _held(key, content), threading.Event()
    other = None if held is not None else _building.setdefault(key, mine)
    if other is None:
        yield held
        return
    if other is not mine:
        if not getattr(_here, "building", False):
            other.wait(_PATIENCE)
        yield _held(key, content)
        return
    before, _here.building = getattr(_here, "building", False), True
    try:
        yield _held(key, content)  # another may just have been done
    finally:
        _here.building = before
        _building.pop(key, None)
        mine.set()


def _after_fork() -> None:
    """A child forked while another thread built a context must not wait for that thread."""
    global _lock
    _building.clear()
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
