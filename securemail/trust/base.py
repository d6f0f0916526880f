"""What a trust store is: two verbs, one before the handshake and one after it."""

from __future__ import annotations

import ssl
from collections.abc import Hashable
from typing import Protocol, runtime_checkable

from ..errors import PolicyError
from ..reasons import Reason
from ..report import Vouched
from ..values import Value, shortly


class Peer(Value, kw_only=True):
    """The server as the handshake left it: all that a store may judge by.

    `host` is normalised; `host`, `port` and `protocol` are None where the caller of
    `ssl_context()` gave none. `presented`: what the server sent, DER, leaf first: anybody may have
    put anything after the leaf. `verified`: the chain OpenSSL built up to an anchor, or None where
    the store turned that off.
    """

    host: str | None = None
    port: int | None = None
    protocol: str | None = None
    presented: tuple[bytes, ...] = ()
    verified: tuple[bytes, ...] | None = None

    def __repr__(self) -> str:
        return (
            f"Peer(host={self.host!r}, port={self.port!r}, protocol={self.protocol!r}, "
            f"presented={shortly(self.presented)}, verified={shortly(self.verified)})"
        )


@runtime_checkable
class TrustStore(Protocol):
    """Write your own with these two verbs; make it hashable, since policies are."""

    def prepare(self, context: ssl.SSLContext) -> None:
        """Put anchors into `context`. It comes with CERT_REQUIRED and check_hostname on; a store
        that turns either off answers for it in `verify`. TLS parameters set here do not last."""

    def verify(self, peer: Peer) -> Vouched | None:
        """Accept (None, or a `Vouched` that says more) or raise `CertificateRejected`. A store
        that turned verification inside the handshake off must return a `Vouched`, whose
        `identified_by` says what it compared: the report believes no name that nobody compared."""


class Store(Value):
    """Base of our own stores: what the two verbs are beside, with defaults."""

    def prepare(self, context: ssl.SSLContext) -> None:
        raise NotImplementedError

    def verify(self, peer: Peer) -> Vouched | None:
        return Vouched(self.describe())

    def content(self) -> Hashable:
        """What the context depends on beside the store's own fields: a change makes a new one."""
        return None

    def describe(self) -> str:
        """The store in words, for reports and messages."""
        return type(self).__name__

    def objections(self, peer: Peer) -> tuple[Reason, ...]:
        """After a refusal by OpenSSL: what this store knows about it that OpenSSL does not."""
        return ()

    def __or__(self, other: object) -> Store:
        return _join(self, other)

    def __ror__(self, other: object) -> Store:
        return _join(other, self)


class CAStore(Store):
    """A store of certificate authorities: only such stores can be joined with `|`."""


def _join(left: object, right: object) -> Store:
    from .joined import JoinedTrust

    if isinstance(left, CAStore) and isinstance(right, CAStore):
        return JoinedTrust((*_parts(left), *_parts(right)))
    odd = right if isinstance(left, CAStore) else left
    raise PolicyError(
        f"{odd!r} cannot be joined with |: only stores of certificate authorities can.",
        code="trust-join",
        hint="Join SystemTrust(), CertifiTrust() and CATrust(...). For a server with a certificate "
        "of its own make a policy of its own: TLSPolicy(trust=ExactCertificate(...)).",
    )


def _parts(store: CAStore) -> tuple[CAStore, ...]:
    from .joined import JoinedTrust

    return store.stores if isinstance(store, JoinedTrust) else (store,)


def describe(store: object) -> str:
    """`store` in words, whoever wrote it."""
    return store.describe() if isinstance(store, Store) else repr(store)
