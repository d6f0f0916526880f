"""Nothing is wrong here: a client that refuses these is not safe but useless."""

from __future__ import annotations

from ..scenario import FINE, Scenario
from ..steps import Close, Offer, Pause, Polite, Say

FAMILY = "controls"

SCENARIOS = (
    Scenario(
        name="control",
        family=FAMILY,
        says="a polite server, with a good certificate",
        expects=FINE,
    ),
    Scenario(
        name="control-intermediate",
        family=FAMILY,
        says="a certificate by an intermediate authority, which is sent along",
        certificate="intermediate",
        expects=FINE,
    ),
    Scenario(
        name="control-rsa",
        family=FAMILY,
        says="a certificate with an RSA key",
        certificate="rsa",
        modes=("tls",),
        expects=FINE,
    ),
    Scenario(
        name="control-capabilities-change",
        family=FAMILY,
        says="other capabilities over TLS than in clear, as RFC 3207 4.2 has it",
        modes=("starttls",),
        in_clear=(),
        expects=FINE,
    ),
    Scenario(
        name="control-small-letters",
        family=FAMILY,
        says="the upgrade is offered in small letters (RFC 2449 5, RFC 5321 2.4, RFC 9051 9)",
        modes=("starttls",),
        at={"offer": (Offer("starttls"),)},
        protocols=("imap", "smtp"),
        expects=FINE,
    ),
    Scenario(
        name="control-slow-greeting",
        family=FAMILY,
        says="a greeting that takes a moment",
        at={"greeting": (Pause(0.3), Polite())},
        expects=FINE,
    ),
    Scenario(
        name="control-long-greeting",
        family=FAMILY,
        says="a greeting of several lines (RFC 5321 4.2.1)",
        protocols=("smtp",),
        at={"greeting": (Say(smtp=b"220-mail.example.org\r\n220-no spam\r\n220 ready\r\n"),)},
        expects=FINE,
    ),
    Scenario(
        name="control-consent-in-pieces",
        family=FAMILY,
        says="the consent to the upgrade comes in two segments",
        modes=("starttls",),
        at={
            "consent": (
                Say(imap=b"%t OK be", pop3=b"+OK be", smtp=b"220 2.0.0 be"),
                Pause(0.05),
                Say(imap=b"gin\r\n", pop3=b"gin\r\n", smtp=b"gin\r\n"),
            )
        },
        expects=FINE,
    ),
    Scenario(
        name="control-chatter",
        family=FAMILY,
        says="words that nobody asked for, which IMAP allows at any time (RFC 9051 7), over TLS",
        protocols=("imap",),
        modes=("tls",),
        at={
            "offer": (Say(b"* OK [ALERT] backup tonight\r\n"), Polite()),
            "answer": (Say(b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n* OK hello\r\n"), Polite()),
            "list": (Say(b"* 2 EXISTS\r\n* OK still here\r\n"), Polite()),
        },
        expects=FINE,
    ),
    Scenario(
        name="control-rude-goodbye",
        family=FAMILY,
        says="the server hangs up after its goodbye, without the closing word of TLS",
        at={"bye": (Polite(), Close())},
        expects=FINE,
    ),
    Scenario(
        name="control-scram",
        family=FAMILY,
        says="a server that knows the password, and proves it by SCRAM-SHA-256",
        mechanisms=("SCRAM-SHA-256",),
        expects=FINE,
    ),
    Scenario(
        name="control-apop",
        family=FAMILY,
        says="an APOP challenge that is a proper msg-id, with USER and SASL beside it",
        protocols=("pop3",),
        apop=b"<1896.697170952@mail.example.org>",
        expects=FINE,
    ),
)
