"""APOP challenges (RFC 1939 7), in clear and chosen by an attacker.

The digest in clear is enough to try passwords on. A challenge that is no msg-id can be half of an
MD5 collision, by which one octet of the password after the other is found (CVE-2007-1558).
"""

from __future__ import annotations

from ..scenario import Mode, Protocol, Scenario
from ..steps import Offer

FAMILY = "apop"
POP3: tuple[Protocol, ...] = ("pop3",)
STARTTLS: tuple[Mode, ...] = ("starttls",)
PROPER = b"<1896.697170952@mail.example.org>"

SCENARIOS = (
    Scenario(
        name="apop-in-clear",
        family=FAMILY,
        says="no upgrade, and a challenge for APOP, which sends no password but its digest",
        protocols=POP3,
        modes=STARTTLS,
        apop=PROPER,
        mechanisms=(),
        at={"offer": (Offer(),)},
    ),
    *(
        Scenario(
            name=f"apop-{name}",
            family=FAMILY,
            says=f"APOP alone, with a challenge {what}",
            protocols=POP3,
            apop=challenge,
            mechanisms=(),
            at={"offer": (Offer(),)},
            may_get="nothing",
        )
        for name, challenge, what in (
            ("collision", b"<\x80\xff\x01\x7f\xfe@x>", "of octets that no msg-id has"),
            ("no-msg-id", b"<mail.example.org>", "without an @"),
            ("empty", b"<>", "of nothing"),
        )
    ),
)
