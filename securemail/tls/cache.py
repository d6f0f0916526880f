"""Contexts, kept: building one takes as long as everything else in a connection together."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

_MOST = 64  # contexts; about 250 KiB each with a full CA bundle
_kept: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
_lock = threading.Lock()


def cached(key: Hashable, content: Hashable, build: Callable[[], Any]) -> Any:
    """What was built for `key`, as long as `content` (of files, say) is still the same."""
    with _lock:
        held = _kept.get(key)
        if held is None or held[0] != content:
            _kept[key] = held = (content, build())
        _kept.move_to_end(key)
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
        return held[1]


def _after_fork() -> None:
    """A child forked while another thread built a context must not wait for that thread."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
