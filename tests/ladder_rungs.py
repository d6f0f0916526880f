"""The rungs of the ladder: under each, the policy for a server that shows some certificate."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securemail import (
    CATrust,
    ExactCertificate,
    FirstUseTrust,
    NativeTrust,
    Pin,
    SystemTrust,
    TLSPolicy,
    Waive,
)

TODAY = datetime.now(UTC).date()
EXPIRY = Waive.EXPIRY("a test", until=TODAY + timedelta(days=90))
FORM = Waive.MALFORMED("a test", until=TODAY + timedelta(days=90))
OTHER_PIN = "sha256/" + "A" * 43 + "="


@dataclass(frozen=True)
class Shown:
    """A server's certificate, as the rungs need it. `known`: the certificate that was named or
    learned, which is the server's own in most rows."""

    server_context: Callable[[], Any]
    asked_as: str
    anchor: Path
    known: Path
    known_der: bytes
    crls: Path
    folder: Path

    @property
    def pin(self) -> Pin:
        return Pin.of_key(self.known_der)

    def exactly(self, *waivers: Any) -> TLSPolicy:
        return TLSPolicy(trust=ExactCertificate(self.known, waive=waivers))

    def first_use(self, port: int, *keys: Any) -> TLSPolicy:
        """With these known for the server at `port`, which has the name that it is asked as."""
        store = FirstUseTrust(self.folder / f"known-{os.urandom(4).hex()}")
        for key in keys:
            store.expect(("imap", self.asked_as, port), key)
        return TLSPolicy(trust=store)

    @property
    def authority(self) -> CATrust:
        return CATrust(self.anchor)


@dataclass(frozen=True)
class Rung:
    """A column. `letter` stands for it in `ladder_rows`; `after`: what its title is short for."""

    letter: str
    title: str
    policy: Callable[[Shown, int], TLSPolicy]
    after: str = ""
    by_the_system: bool = False  # the root is in SSL_CERT_FILE, and nobody else

    def environment(self, given: "Shown") -> dict[str, str]:
        return {"SSL_CERT_FILE": str(given.anchor)} if self.by_the_system else {}

    @property
    def full(self) -> str:
        return f"{self.after}{self.title}".replace("\\|", "|")


CA, EXACT = "`CATrust(root)`, ", "`ExactCertificate` by "
FILE = "`ExactCertificate` by the file, "
BY_AUTHORITY = (
    Rung("C", "`CATrust(root)`", lambda s, _: TLSPolicy(trust=s.authority)),
    Rung(
        "S",
        "`SystemTrust() \\| CATrust(root)`",
        lambda s, _: TLSPolicy(trust=SystemTrust() | s.authority),
    ),
    Rung(
        "G",
        "`NativeTrust()`",
        lambda _, __: TLSPolicy(trust=NativeTrust()),
        by_the_system=True,
    ),
    Rung(
        "T", "`strict_x509=False`", lambda s, _: TLSPolicy(trust=s.authority, strict_x509=False), CA
    ),
    Rung(
        "L",
        "`legacy_ciphers=`",
        lambda s, _: TLSPolicy(trust=s.authority, legacy_ciphers="a test"),
        CA,
    ),
    Rung("P", "`pins=` its key", lambda s, _: TLSPolicy(trust=s.authority, pins=s.pin), CA),
    Rung("W", "`pins=` another key", lambda s, _: TLSPolicy(trust=s.authority, pins=OTHER_PIN), CA),
    Rung("R", "`crls=`", lambda s, _: TLSPolicy(trust=s.authority, crls=s.crls), CA),
)
BY_ITSELF = (
    Rung("F", "the file", lambda s, _: s.exactly(), EXACT),
    Rung("K", "`pin=` key", lambda s, _: TLSPolicy(trust=ExactCertificate(pin=s.pin)), EXACT),
    Rung(
        "D",
        "`pin=` certificate",
        lambda s, _: TLSPolicy(trust=ExactCertificate(pin=Pin.of_certificate(s.known_der))),
        EXACT,
    ),
    Rung("E", "`Waive.EXPIRY`", lambda s, _: s.exactly(EXPIRY), FILE),
    Rung("M", "`Waive.MALFORMED`", lambda s, _: s.exactly(FORM), FILE),
    Rung("B", "both waivers", lambda s, _: s.exactly(EXPIRY, FORM), FILE),
    Rung("U", "`FirstUseTrust`, unknown", lambda s, port: s.first_use(port)),
    Rung("N", "`FirstUseTrust`, known", lambda s, port: s.first_use(port, s.pin)),
    Rung("O", "`FirstUseTrust`, another key", lambda s, port: s.first_use(port, OTHER_PIN)),
)
RUNGS = (*BY_AUTHORITY, *BY_ITSELF)
