"""BYE, the end, or a reset, at every step, once: who dials again then must ask for TLS as before.

Over TLS, an end without the closing word may be anybody's (RFC 8446 6.1); what has come by then is
not whole.
"""

from __future__ import annotations

from ..scenario import BOTH, HARMLESS, Mode, Moment, Scenario
from ..steps import Close, HearHello, Reset, Say

FAMILY = "endings"
STARTTLS: tuple[Mode, ...] = ("starttls",)
TLS: tuple[Mode, ...] = ("tls",)

BYE = Say(b"* BYE try later\r\n", b"-ERR [SYS/TEMP] try later\r\n", b"421 4.3.2 try later\r\n")
HALF = Say(b"* OK hal", b"+OK hal", b"220-hal")

_BEFORE: tuple[tuple[Moment, tuple[Mode, ...]], ...] = (
    ("greeting", BOTH),
    ("offer", BOTH),
    ("consent", STARTTLS),
    ("offer-again", STARTTLS),
    ("sign-in", BOTH),
)
_HOW = (
    ("bye", "says goodbye and hangs up", (BYE, Close())),
    ("close", "hangs up", (Close(),)),
    ("reset", "resets", (Reset(),)),
    ("half-a-line", "hangs up in the middle of a line", (HALF, Close())),
)

SCENARIOS = (
    *(
        Scenario(
            name=f"{how}-at-{moment}",
            family=FAMILY,
            says=f"the server {what} at its {moment}",
            modes=modes,
            at={moment: steps},
            times=1,
            expects=HARMLESS,
        )
        for moment, modes in _BEFORE
        for how, what, steps in _HOW
    ),
    *(
        Scenario(
            name=f"{how}-at-handshake",
            family=FAMILY,
            says=f"the server {what} in the middle of the handshake",
            at={"handshake": (HearHello(), *steps)},
            times=1,
            expects=HARMLESS,
        )
        for how, what, steps in (_HOW[1], _HOW[2])
    ),
    *(
        Scenario(
            name=f"{how}-after-sign-in",
            family=FAMILY,
            says=f"the server {what} at the first word after the sign-in",
            modes=TLS,
            at={"select": steps, "stat": steps, "list": steps, "mail": steps},
            times=1,
            expects=HARMLESS,
        )
        for how, what, steps in _HOW
    ),
    Scenario(
        name="truncated-message",
        family=FAMILY,
        says="a message breaks off without the closing word of TLS",
        protocols=("imap", "pop3"),
        modes=TLS,
        at={
            "fetch": (
                Say(b"* 1 FETCH (BODY[] {9999}\r\nSubject: %m\r\n", b"+OK\r\nSubject: %m\r\n"),
                Close(),
            )
        },
        expects=HARMLESS,
    ),
)
