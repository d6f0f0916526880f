"""Named, reasoned, dated exceptions."""

from __future__ import annotations

from datetime import date

from ..errors import PolicyError
from ..values import Value


class Waiver(Value):
    """One exception: what, why, and its last day (UTC). Made by `Waive`."""

    what: str
    reason: str
    until: date

    def _check(self) -> None:
        if not str(self.reason or "").strip():
            raise PolicyError(
                f"a waiver of {self.what} needs a reason.", code="waiver-reason", hint=_EXAMPLE
            )
        if not isinstance(self.until, date):
            raise PolicyError(
                f"a waiver of {self.what} needs its last day as a date, not {self.until!r}.",
                code="waiver-until",
                hint=_EXAMPLE,
            )
        # A datetime is a date too; only its day counts.
        self._set("until", date(self.until.year, self.until.month, self.until.day))

    def __str__(self) -> str:
        return f"{self.what} until {self.until} ({self.reason})"


class Waive:
    """The exceptions that can be named: `waive=Waive.EXPIRY("new one is ordered", until=date)`."""

    @staticmethod
    def EXPIRY(reason: str, *, until: date) -> Waiver:
        """Accept one exact certificate although it has expired, up to and including `until`."""
        return Waiver("expiry", reason, until)


_EXAMPLE = 'Write Waive.EXPIRY("why", until=datetime.date(2027, 1, 31)).'
