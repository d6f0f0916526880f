"""Named, reasoned, dated exceptions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from ..errors import PolicyError, WaiverWarning
from ..reasons import Expired, Reason, WaiverEnded
from ..values import Value

_LAST_DAYS = 14  # of a waiver: from then on its warning counts them


class Waiver(Value):
    """One exception: what, why, and its last day (UTC). Made by `Waive`."""

    what: str
    reason: str
    until: date

    def _check(self) -> None:
        given: object = self.reason
        if not (isinstance(given, str) and given.strip()):
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

    def covers(self, reason: Reason) -> bool:
        """A malformed certificate has no reason that it could cover: its form is not looked at."""
        return self.what == EXPIRY and isinstance(reason, Expired)

    def apply(self, reasons: Iterable[Reason], now: datetime) -> tuple[Reason, ...]:
        """What is left of `reasons`; after the last day all of them, and that it is over."""
        if now.date() > self.until:
            return (*reasons, WaiverEnded(self.what, str(self.until), self.reason))
        return tuple(reason for reason in reasons if not self.covers(reason))

    def warning(self, host: str | None, found: str, now: datetime) -> WaiverWarning:
        """`found`: what was waived, as a sentence."""
        days = (self.until - now.date()).days
        last = "today is its last day" if days == 0 else f"it ends in {days} day{'s' * (days > 1)}"
        return WaiverWarning(
            f"{host or 'the server'}: {found}; accepted until {self.until} ({self.reason})"
            + (f": {last}" if days <= _LAST_DAYS else "")
        )

    def __str__(self) -> str:
        return f"{self.what} until {self.until} ({self.reason})"


class Waive:
    """The exceptions that can be named: `waive=Waive.EXPIRY("new one is ordered", until=date)`.
    Each belongs to one exact certificate, is in the report, warns, and ends after its day."""

    @staticmethod
    def EXPIRY(reason: str, *, until: date) -> Waiver:
        """Accept one exact certificate although it has expired, up to and including `until`."""
        return Waiver(EXPIRY, reason, until)

    @staticmethod
    def MALFORMED(reason: str, *, until: date) -> Waiver:
        """Accept one exact certificate although its form is wrong, up to and including `until`:
        for devices whose certificates OpenSSL refuses and nobody can replace. Not checked then:
        extensions, and what the key may be used for. Dates that can be read, and the key's size,
        are. OpenSSL does not verify the server in the handshake: that it has the key of exactly
        this certificate is checked after it, before anything is said."""
        return Waiver(FORM, reason, until)


EXPIRY, FORM = "expiry", "malformed form"
_EXAMPLE = 'Write Waive.EXPIRY("why", until=datetime.date(2027, 1, 31)).'
