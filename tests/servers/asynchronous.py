"""Running asynchronous clients to their very end."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

TIMEOUT = 20

T = TypeVar("T")


async def to_the_end(session: Coroutine[Any, Any, T]) -> T:
    """Also waits until no connection is left: a client may return while it is still closing one,
    and `asyncio.run` would leave it half closed."""
    try:
        return await asyncio.wait_for(session, TIMEOUT)
    finally:
        loop: Any = asyncio.get_running_loop()
        end = time.monotonic() + 5
        while len(loop._selector.get_map()) > 1 and time.monotonic() < end:  # one is its own
            await asyncio.sleep(0.002)
