"""The upgrade is taken out, refused, or consented to and never done (RFC 3207 6, RFC 2595 2.2).

A client that goes on in clear shows its password to whoever did that. One that asks for the upgrade
though it was not offered is met politely.
"""

from __future__ import annotations

from ..scenario import HARMLESS, Mode, Scenario
from ..steps import Close, HearHello, Offer, Pause, Reset, Say, say_to_all

FAMILY = "stripping"
STARTTLS: tuple[Mode, ...] = ("starttls",)

SCENARIOS = (
    Scenario(
        name="strip-offer",
        family=FAMILY,
        says="the offer of the upgrade is taken out",
        modes=STARTTLS,
        at={"offer": (Offer(),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-offer-overwritten",
        family=FAMILY,
        says="the offer is overwritten with X, so that no length changes",
        modes=STARTTLS,
        at={"offer": (Offer("XXXXXXXX"),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-offer-almost",
        family=FAMILY,
        says="words that are almost the offer: X-STARTTLS, STARTTLSX, XSTARTTLS",
        modes=STARTTLS,
        at={"offer": (Offer("X-%v", ("%vX", "X%v")),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-offer-login-disabled",
        family=FAMILY,
        says="no upgrade and no LOGIN, only AUTH=PLAIN (RFC 9051 6.2.3)",
        protocols=("imap",),
        modes=STARTTLS,
        at={"offer": (Offer(login=False),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-offer-login-alone",
        family=FAMILY,
        says="no upgrade, LOGINDISABLED and no mechanism: clients send LOGIN all the same",
        protocols=("imap",),
        modes=STARTTLS,
        at={"offer": (Offer(mechanisms=(), login=False),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-offer-cram",
        family=FAMILY,
        says="no upgrade, and CRAM-MD5, which sends no password but what it is guessed from",
        modes=STARTTLS,
        in_clear=("CRAM-MD5",),
        at={"offer": (Offer(),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-offer-scram",
        family=FAMILY,
        says="no upgrade, and SCRAM-SHA-256, the same with more work",
        modes=STARTTLS,
        in_clear=("SCRAM-SHA-256",),
        at={"offer": (Offer(),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-ehlo",
        family=FAMILY,
        says="EHLO is not known: HELO has no extensions, so no upgrade either",
        protocols=("smtp",),
        modes=STARTTLS,
        at={"offer": (Say(smtp=b"502 5.5.1 not known\r\n"),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-capa",
        family=FAMILY,
        says="CAPA is not known, as on servers before RFC 2449",
        protocols=("pop3",),
        modes=STARTTLS,
        at={"offer": (Say(pop3=b"-ERR not known\r\n"),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="strip-capability",
        family=FAMILY,
        says="CAPABILITY is answered with IMAP4rev1 alone",
        protocols=("imap",),
        modes=STARTTLS,
        at={"offer": (Say(b"* CAPABILITY IMAP4rev1\r\n%t OK done\r\n"),)},
        expects=HARMLESS,
    ),
    Scenario(
        name="refuse-verb",
        family=FAMILY,
        says="the upgrade is offered and then declined",
        modes=STARTTLS,
        at={
            "consent": (Say(b"%t NO not now\r\n", b"-ERR not now\r\n", b"454 4.7.0 not now\r\n"),),
            "handshake": (),
        },
    ),
    Scenario(
        name="refuse-verb-as-unknown",
        family=FAMILY,
        says="the upgrade is offered, and then its command is not known",
        modes=STARTTLS,
        at={
            "consent": (Say(b"%t BAD what?\r\n", b"-ERR what?\r\n", b"502 5.5.1 what?\r\n"),),
            "handshake": (),
        },
    ),
    Scenario(
        name="refuse-verb-with-success",
        family=FAMILY,
        says="an answer that is a success, and no consent: 250 in the place of 220",
        protocols=("smtp",),
        modes=STARTTLS,
        at={"consent": (Say(smtp=b"250 2.0.0 fine\r\n"),), "handshake": ()},
    ),
    Scenario(
        name="consent-without-tls",
        family=FAMILY,
        says="consent, and then the server goes on in clear",
        modes=STARTTLS,
        at={
            "handshake": (HearHello(), Say(b"* BAD what?\r\n", b"-ERR what?\r\n", b"500 what?\r\n"))
        },
    ),
    Scenario(
        name="consent-then-garbage",
        family=FAMILY,
        says="consent, and a line of text where TLS should begin",
        modes=STARTTLS,
        at={"handshake": (Pause(), say_to_all(b"What a lovely day\r\n"))},
    ),
    Scenario(
        name="consent-then-alert",
        family=FAMILY,
        says="consent, and a forged TLS alert: handshake failure",
        modes=STARTTLS,
        at={"handshake": (Pause(), say_to_all(b"\x15\x03\x03\x00\x02\x02\x28"))},
    ),
    Scenario(
        name="consent-then-close",
        family=FAMILY,
        says="consent, and the end: clients that dial again may do without the upgrade",
        modes=STARTTLS,
        at={"handshake": (Close(),)},
    ),
    Scenario(
        name="consent-then-reset",
        family=FAMILY,
        says="consent, and a reset",
        modes=STARTTLS,
        at={"handshake": (Reset(),)},
    ),
    Scenario(
        name="clear-on-tls-port",
        family=FAMILY,
        says="a greeting in clear on the port for TLS: clients may take the hint",
        modes=("tls",),
        at={"handshake": ()},
    ),
)
