"""Trust on first use: servers that were learned once, by the caller's decision."""

from __future__ import annotations

import os
import ssl
from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Any, ClassVar

from ..certificate import Certificate
from ..errors import (
    CertificateRejected,
    PinMismatch,
    PolicyError,
    SelfSignedWarning,
    UnknownServer,
)
from ..pins import Pin
from ..reasons import KeyChanged, KnownKey, NotKnown
from ..report import Vouched
from ..values import reason_of
from . import known_file
from .base import Peer, Store
from .endpoint import Endpoint, parse_endpoint, say_url
from .key_facts import leaf_facts
from .known_servers import KnownServer, KnownServers


class FirstUseTrust(Store):
    """Believes the servers whose keys are in the file at `path`, each by protocol, host and port.

    A server that is not there is refused as `UnknownServer`, with its fingerprint: compare it by
    another way than this connection, and then `learn` the error. A server with another key than
    the file has for it is refused as `PinMismatch`; nothing but `remove` helps.

    Checked: that the server has the private key of the key that was learned, the dates, the key's
    size, and that the certificate is for TLS servers. Not checked, and in the report as such: the
    name, who issued the certificate, revocation. A renewal under the same key is accepted.

    `acknowledge="why"` silences the `SelfSignedWarning`. Every method reads the file anew, and
    raises `PolicyError` where it is not whole or others may write it; those that change it raise
    `TimeLimitExceeded` where another process holds its lock for too long.
    """

    needs_endpoint: ClassVar[bool] = True
    path: str | os.PathLike[str]
    acknowledge: str | None = None

    def _check(self) -> None:
        given: Any = self.path
        if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
            raise PolicyError(
                f"FirstUseTrust({self.path!r}) is not the path of a file.",
                code="known-servers",
                hint='Write FirstUseTrust("known-servers"); the file need not exist yet.',
            )
        # Here, so that a program that changes its folder later still means the same file.
        self._set("path", os.path.abspath(os.fsdecode(self.path)))
        self._set("acknowledge", reason_of(self.acknowledge, "acknowledge", code="acknowledge"))

    # -- the file

    def known(self) -> tuple[KnownServer, ...]:
        """All keys in the file, in its order."""
        return known_file.read(self._path).servers

    def learn(self, unknown: UnknownServer, fingerprint: str | Pin) -> KnownServer:
        """Believe the server that was refused as `unknown`, by the key that it showed then.

        `fingerprint`: what its administrator says, got out of band: the certificate's SHA-256
        ("AB:CD:…"), or the key's pin ("sha256/…"). Another one is a `PinMismatch`, and nothing is
        learned. (`unknown.fingerprint` would be no comparison: whoever answered has shown that.)
        """
        given: Any = unknown
        if not isinstance(given, UnknownServer) or not given.pin or given.endpoint is None:
            raise PolicyError(
                f"learn() takes the UnknownServer that was raised, not {type(given).__name__}.",
                code="not-unknown",
                hint="A server whose key has changed is not learned anew: its administrator must "
                "confirm the new key by another way; then remove() the old one first.",
            )
        # Whatever made the error: a line that is not one would spoil the file for every server.
        seen = Pin.certificate(given.fingerprint).text.partition("/")[2]
        key = _key_pin(given.pin)
        _require_same(unknown, key, seen, fingerprint)
        return self._add(given.endpoint, key, seen, beside=False)

    def expect(self, endpoint: Endpoint, pin: Pin | str) -> KnownServer:
        """Enter a key by hand: the first one, from the server's administrator; or, beside those
        that are known, the one that will come next."""
        return self._add(parse_endpoint(endpoint), _key_pin(pin), None, beside=True)

    def remove(self, endpoint: Endpoint, pin: Pin | str | None = None) -> tuple[KnownServer, ...]:
        """Forget a server, or with `pin` that key alone; what was forgotten."""
        wanted = parse_endpoint(endpoint)
        key = None if pin is None else str(pin if isinstance(pin, Pin) else Pin(pin))
        gone: tuple[KnownServer, ...] = ()

        def change(servers: KnownServers) -> KnownServers:
            nonlocal gone
            gone = tuple(one for one in servers.of(wanted) if key in (None, one.pin))
            if not gone:
                raise PolicyError(
                    f"{say_url(wanted)} is not known{f' by the key {key}' if key else ''} in "
                    f"{self._path}.",
                    code="not-known",
                    hint="known() has what is there, and `securemail known list`.",
                )
            return servers.without(gone)

        known_file.update(self._path, change)
        return gone

    def _add(
        self, endpoint: Endpoint, pin: Pin, fingerprint: str | None, *, beside: bool
    ) -> KnownServer:
        """The entry, new or there already. Unless `beside`, another key for it is an error."""
        new = KnownServer(
            endpoint=parse_endpoint(endpoint),
            pin=str(pin),
            fingerprint=fingerprint,
            learned=datetime.now(UTC).replace(microsecond=0),
        )

        def change(servers: KnownServers) -> KnownServers:
            held = servers.of(new.endpoint)
            if any(one.pin == new.pin for one in held):
                return servers
            if held and not beside:
                raise _already_known(new, held, self._path)
            return servers.with_server(new)

        after = known_file.update(self._path, change)
        return next(one for one in after.of(new.endpoint) if one.pin == new.pin)

    @property
    def _path(self) -> str:
        return os.fspath(self.path)

    # -- the verdict

    def prepare(self, context: ssl.SSLContext) -> None:
        # There is no anchor to give to OpenSSL: `verify` is the only check.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def content(self) -> Hashable:
        """Nothing of the file is in the context; but it must be readable where one is asked for."""
        known_file.read(self._path)
        return None

    def describe(self) -> str:
        return f"the servers that are known by the file {self._path}"

    def verify(self, peer: Peer) -> Vouched:
        """By the file as it is now: what was learned or removed counts at once."""
        if not peer.presented:
            raise CertificateRejected("the server presented no certificate.")
        if None in (peer.protocol, peer.host, peer.port):
            raise CertificateRejected(
                "it was not said which server this is, so nobody can say whether it is known.",
                code="endpoint-missing",
                hint="Use a context from ssl_context(endpoint=(protocol, host, port)).",
            )
        try:
            endpoint = parse_endpoint((peer.protocol, peer.host, peer.port))
            held = known_file.read(self._path).of(endpoint)
            leaf = Certificate(peer.presented[0])
            pin, wrong = str(Pin.of_key(leaf.der)), leaf_facts(leaf.der, datetime.now(UTC))
        except PolicyError as error:
            # As a refusal: asyncio knows no other errors of a handshake, and would wait on.
            raise CertificateRejected(error.message, code=error.code, hint=error.hint) from error
        by = next((one for one in held if one.pin == pin), None)
        if by is None and held:
            changed = _changed(endpoint, self._path, held, leaf, pin)
            raise PinMismatch("", reasons=(changed, *wrong))
        if wrong:
            raise CertificateRejected("", reasons=wrong)
        if by is None:
            raise _unknown(endpoint, self._path, leaf, pin)
        return self._vouched(by, leaf, peer)

    def _vouched(self, by: KnownServer, leaf: Certificate, peer: Peer) -> Vouched:
        since = f"known since {by.learned:%Y-%m-%d}"
        warn = leaf.is_self_signed and self.acknowledge is None
        return Vouched(
            f"{since}, by the file {self._path}",
            not_checked=("the name (the key is the identity)", "the issuer"),
            warnings=(_self_signed_warning(peer, leaf, since),) if warn else (),
            acknowledged=self.acknowledge,
            identified_by="key",
        )


def _key_pin(given: Pin | str) -> Pin:
    key = given if isinstance(given, Pin) else Pin(given)
    if key.is_certificate:
        raise PolicyError(
            f"{key} is the pin of a certificate; servers are known by their keys.",
            code="pin-malformed",
            hint="Ask for the key's pin, sha256/...: Pin.from_pem(path) makes it.",
        )
    return key


def _unknown(endpoint: Endpoint, path: str, leaf: Certificate, pin: str) -> UnknownServer:
    return UnknownServer(
        "",
        reasons=(NotKnown(say_url(endpoint), path, leaf.fingerprint, pin),),
        fingerprint=leaf.fingerprint,
        pin=pin,
        endpoint=endpoint,
    )


def _changed(
    endpoint: Endpoint, path: str, held: tuple[KnownServer, ...], leaf: Certificate, pin: str
) -> KeyChanged:
    known = tuple(KnownKey(one.pin, one.fingerprint, one.learned) for one in held)
    dates = leaf.not_before, leaf.not_after
    return KeyChanged(say_url(endpoint), path, known, leaf.fingerprint, pin, *dates)


def _require_same(unknown: UnknownServer, key: Pin, fingerprint: str, told: str | Pin) -> None:
    """What the administrator said against what was shown: a `key`, and a certificate's
    `fingerprint`."""
    given: Any = told
    if not isinstance(given, Pin):
        given = Pin(given) if "/" in str(given) else Pin.certificate(given)
    shown = Pin.certificate(fingerprint) if given.is_certificate else key
    if given != shown:
        raise PinMismatch(
            f"the server showed {shown}, and you were told {given}: nothing was learned.",
            hint="Somebody may be intercepting the connection. Compare all of it once more, and "
            "whether it is the right server that was asked.",
            host=unknown.host,
            port=unknown.port,
            protocol=unknown.protocol,
            credentials_sent=False,
        )


def _already_known(new: KnownServer, held: tuple[KnownServer, ...], path: str) -> PolicyError:
    known = " or ".join(str(KnownKey(one.pin, one.fingerprint, one.learned)) for one in held)
    return PolicyError(
        f"{say_url(new.endpoint)} is known meanwhile by {known}, which is not {new.pin} "
        f"(SHA-256 {new.fingerprint}). Nothing was written to {path}.",
        code="already-known",
        hint="Two programs saw two keys for one server: one of them may have been shown somebody "
        "else's. Ask its administrator which key is right, by another way than its connection.",
    )


def _self_signed_warning(peer: Peer, leaf: Certificate, since: str) -> SelfSignedWarning:
    return SelfSignedWarning(
        f"{peer.host}: accepted a self-signed certificate (SHA-256 {leaf.fingerprint}), because "
        f"its key is {since}; not checked: the name, revocation. "
        'To silence this: FirstUseTrust(..., acknowledge="why").'
    )
