"""Words that an attacker puts in before, with and after the upgrade, to be taken for the server's.

The class of CVE-2011-0411 seen from the client: what is in its buffer when TLS begins is believed
afterwards. RFC 3207 4.2, RFC 2595 4 and RFC 9051 6.2.1 say to drop it all. Where the next command's
answer is injected, the server leaves that command alone: a client that goes on has believed it.
Mailbox data, alerts and referrals carry the marker, for tests to look for.
"""

from __future__ import annotations

from ..scenario import HARMLESS, Mode, Moment, Protocol, Scenario
from ..steps import Close, Offer, Pause, Polite, Say, Step, Unanswered

FAMILY = "injection"
STARTTLS: tuple[Mode, ...] = ("starttls",)
IMAP: tuple[Protocol, ...] = ("imap",)
LINES: tuple[Protocol, ...] = ("pop3", "smtp")

# The answer to CAPABILITY, CAPA or EHLO, which clients ask next.
NEXT = Say(
    b"* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN X-%m\r\n%n OK done\r\n",
    b"+OK\r\nUSER\r\nSASL PLAIN LOGIN\r\nX-%m\r\n.\r\n",
    b"250-mail.example.org\r\n250-X-%m\r\n250 AUTH PLAIN LOGIN\r\n",
)
# The same, where the consent to the upgrade is injected too.
CONSENT = Say(b"%n OK begin\r\n", b"+OK begin\r\n", b"220 begin\r\n")
AFTER_CONSENT = Say(NEXT.imap.replace(b"%n", b"%N"), NEXT.pop3, NEXT.smtp)
MAILBOX = Say(
    b'* LIST () "/" %m\r\n* LSUB () "/" %m\r\n* 9 EXISTS\r\n* SEARCH 9\r\n* FLAGS (%m)\r\n'
    b"* OK [UIDVALIDITY 666] %m\r\n* 9 FETCH (UID 9 FLAGS (%m))\r\n"
)
ALERT = Say(b"* OK [ALERT] %m: your password has expired, see http://%m.example/\r\n")
WHERE: tuple[tuple[str, str, Moment, bool], ...] = (  # the last: whether the server speaks first
    ("greeting", "behind the greeting", "greeting", True),
    ("offer", "before the capabilities", "offer", False),
    ("consent", "before the consent", "consent", False),
    ("late", "behind the consent", "consent", True),
)
ASKED_AGAIN: dict[Moment, tuple[Step, ...]] = {"offer-again": (Unanswered(),)}

SCENARIOS = (
    Scenario(
        name="inject-with-consent",
        family=FAMILY,
        says="the answer to the next command, in one segment with the consent",
        modes=STARTTLS,
        at={"consent": (Polite(), NEXT), **ASKED_AGAIN},
        expects=HARMLESS,
    ),
    Scenario(
        name="inject-after-consent",
        family=FAMILY,
        says="the same, in a segment of its own before the handshake",
        modes=STARTTLS,
        at={"consent": (Polite(), Pause(), NEXT), **ASKED_AGAIN},
        expects=HARMLESS,
    ),
    Scenario(
        name="inject-before-verb",
        family=FAMILY,
        says="consent and the next answer, in one segment with the offer of the upgrade",
        modes=STARTTLS,
        at={
            "offer": (Polite(), CONSENT, AFTER_CONSENT),
            "consent": (),
            **ASKED_AGAIN,
        },
        expects=HARMLESS,
    ),
    Scenario(
        name="inject-with-greeting",
        family=FAMILY,
        says="the answers to all that is asked in clear, and to the first command over TLS",
        protocols=LINES,
        modes=STARTTLS,
        at={
            "greeting": (
                Polite(),
                Say(
                    pop3=b"+OK\r\nSTLS\r\n.\r\n+OK begin\r\n",
                    smtp=b"250-mail.example.org\r\n250 STARTTLS\r\n220 begin\r\n",
                ),
                NEXT,
            ),
            "offer": (),
            "consent": (),
            **ASKED_AGAIN,
        },
        expects=HARMLESS,
    ),
    Scenario(
        name="inject-capabilities",
        family=FAMILY,
        says="PLAIN and LOGIN offered in clear, SCRAM-SHA-256 alone over TLS",
        modes=STARTTLS,
        in_clear=("PLAIN", "LOGIN"),
        mechanisms=("SCRAM-SHA-256",),
        expects=HARMLESS,
    ),
    Scenario(
        name="inject-capabilities-with-consent",
        family=FAMILY,
        says="PLAIN and LOGIN offered in the consent itself, SCRAM-SHA-256 alone over TLS",
        protocols=IMAP,
        modes=STARTTLS,
        in_clear=("PLAIN", "LOGIN"),
        mechanisms=("SCRAM-SHA-256",),
        at={
            "consent": (
                Say(
                    b"* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN X-%m\r\n"
                    b"%t OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN X-%m] begin\r\n"
                ),
            )
        },
        expects=HARMLESS,
    ),
    *(
        Scenario(
            name=f"inject-{what}-{when}",
            family=FAMILY,
            says=f"{title}, {where}",
            protocols=IMAP,
            modes=STARTTLS,
            at={moment: (Polite(), step) if is_first else (step, Polite())},
            expects=HARMLESS,
        )
        for what, title, step in (
            ("mailbox", "a forged folder and messages", MAILBOX),
            ("alert", "an alert, which clients must show (RFC 9051 7.1)", ALERT),
        )
        for when, where, moment, is_first in WHERE
    ),
    Scenario(
        name="inject-referral",
        family=FAMILY,
        says="a referral to a server of the attacker's, as the answer to STARTTLS (RFC 2221)",
        protocols=IMAP,
        modes=STARTTLS,
        at={
            "consent": (Say(b"%t NO [REFERRAL imap://user;AUTH=*@%r/] moved\r\n"),),
            "handshake": (),
        },
    ),
    Scenario(
        name="referral-at-greeting",
        family=FAMILY,
        says="goodbye with a referral to a server of the attacker's (RFC 2221 4.2)",
        protocols=IMAP,
        modes=STARTTLS,
        at={"greeting": (Say(b"* BYE [REFERRAL imap://user;AUTH=*@%r/] moved\r\n"), Close())},
    ),
    Scenario(
        name="referral-in-clear",
        family=FAMILY,
        says="no upgrade, and a referral as the answer to a sign-in (RFC 2221 4.1)",
        protocols=IMAP,
        modes=STARTTLS,
        at={
            "offer": (Offer(),),
            "sign-in": (Say(b"%t NO [REFERRAL imap://user;AUTH=*@%r/] moved\r\n"),),
        },
    ),
)
