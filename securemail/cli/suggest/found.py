"""What is suggested: frozen values, and as plain data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...errors import SecureMailError
from ...policy_file import ServerSettings
from ...reasons import Reason
from ...values import Value
from ..visit import Place


class Refused(Value, kw_only=True):
    """A server that was refused: where, under which settings, why, and when. `chain`: DER, as it
    was presented, the server's first; empty where there was none."""

    place: Place
    settings: ServerSettings
    error: SecureMailError
    chain: tuple[bytes, ...] = ()
    now: datetime

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return tuple(reason for reason in self.error.reasons if isinstance(reason, Reason))

    @property
    def kinds(self) -> set[type[Reason]]:
        return {type(reason) for reason in self.reasons}


class Way(Value, kw_only=True):
    """One way to accept the server. `needs`: the files that it names, and where they come from."""

    title: str
    needs: tuple[str, ...] = ()
    command: str = ""
    python: str = ""
    toml: str = ""


class Comparison(Value, kw_only=True):
    """What to compare by another way than the connection, and how the server's own is read.
    `pin` is None where the key cannot be read."""

    fingerprint: str
    pin: str | None

    # Where the administrator of the server types them.
    read_fingerprint = "openssl x509 -in server.pem -noout -fingerprint -sha256"
    read_pin = (
        "openssl x509 -in server.pem -noout -pubkey | openssl pkey -pubin -outform DER"
        " | openssl dgst -sha256 -binary | openssl base64"
    )


class Suggestion(Value, kw_only=True):
    """`ways`, the most fitting first, and what to mind with them (`warning`); or `none`: why there
    is no way. `administrator`: sentences to send to him, one for each thing to mend."""

    facts: tuple[str, ...]
    compare: Comparison | None = None
    ways: tuple[Way, ...] = ()
    warning: str = ""
    none: str = ""
    administrator: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        compare = self.compare
        return {
            "facts": list(self.facts),
            "compare": compare
            and {
                "fingerprint": compare.fingerprint,
                "pin": compare.pin,
                "read_fingerprint": compare.read_fingerprint,
                "read_pin": compare.read_pin,
            },
            "ways": [
                {name: getattr(way, name) for name in way._fields} | {"needs": list(way.needs)}
                for way in self.ways
            ],
            "warning": self.warning,
            "none": self.none,
            "administrator": list(self.administrator),
        }
