"""Several stores of certificate authorities as one: `SystemTrust() | CATrust("corp.pem")`."""

from __future__ import annotations

import ssl
from collections.abc import Hashable

from .base import CAStore


class JoinedTrust(CAStore):
    """Believes what any of its stores believes. Made by `|`."""

    stores: tuple[CAStore, ...]

    def prepare(self, context: ssl.SSLContext) -> None:
        for store in self.stores:
            store.prepare(context)

    def content(self) -> Hashable:
        return tuple(store.content() for store in self.stores)

    def describe(self) -> str:
        return " and ".join(store.describe() for store in self.stores)
