"""PREAUTH in clear: already signed in, says the server, so STARTTLS is not allowed any more.

RFC 9051 7.1.4 says what to do about it; the study's section 5.2 what many clients did.
"""

from __future__ import annotations

from ..scenario import Mode, Moment, Protocol, Scenario
from ..steps import Offer, Say, Step

FAMILY = "preauth"
STARTTLS: tuple[Mode, ...] = ("starttls",)
IMAP: tuple[Protocol, ...] = ("imap",)
TOO_LATE: dict[Moment, tuple[Step, ...]] = {
    "consent": (Say(b"%t BAD not in this state\r\n"),),
    "handshake": (),
}

SCENARIOS = (
    Scenario(
        name="preauth",
        family=FAMILY,
        says="PREAUTH as the greeting, and no upgrade",
        protocols=IMAP,
        modes=STARTTLS,
        at={"greeting": (Say(b"* PREAUTH signed in as you\r\n"),), "offer": (Offer(),), **TOO_LATE},
    ),
    Scenario(
        name="preauth-with-offer",
        family=FAMILY,
        says="PREAUTH as the greeting, with an upgrade that is not allowed any more",
        protocols=IMAP,
        modes=STARTTLS,
        at={
            "greeting": (Say(b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] signed in\r\n"),),
            **TOO_LATE,
        },
    ),
    Scenario(
        name="preauth-later",
        family=FAMILY,
        says="an ordinary greeting, and PREAUTH with the capabilities",
        protocols=IMAP,
        modes=STARTTLS,
        at={
            "offer": (Say(b"* PREAUTH signed in as you\r\n"), Offer()),
            **TOO_LATE,
        },
    ),
    Scenario(
        name="preauth-referral",
        family=FAMILY,
        says="PREAUTH with a referral to a server of the attacker's (RFC 2221)",
        protocols=IMAP,
        modes=STARTTLS,
        at={
            "greeting": (Say(b"* PREAUTH [REFERRAL imap://user;AUTH=*@%r/] moved\r\n"),),
            "offer": (Offer(),),
            **TOO_LATE,
        },
    ),
    Scenario(
        name="preauth-mailbox-data",
        family=FAMILY,
        says="PREAUTH with a mailbox and a message at once",
        protocols=IMAP,
        modes=STARTTLS,
        at={
            "greeting": (
                Say(b"* PREAUTH in\r\n* LIST () NIL %m\r\n* 1 EXISTS\r\n* OK [ALERT] %m\r\n"),
            ),
            "offer": (Offer(),),
            **TOO_LATE,
        },
    ),
)
