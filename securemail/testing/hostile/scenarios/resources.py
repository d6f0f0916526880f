"""Answers without an end, in length, in number, or in time. They end here after a while.

RFC 9051 and RFC 5321 bound lines, and nothing bounds the rest: that is left to clients. To be there
still when the server gives up is STUCK.
"""

from __future__ import annotations

from ..scenario import BOTH, HARMLESS, Kind, Mode, Moment, Protocol, Scenario, Scram
from ..steps import Challenges, Drip, Flood, HearHello, Say, Silent, Step, say_to_all

FAMILY = "resources"
STARTTLS: tuple[Mode, ...] = ("starttls",)
TLS: tuple[Mode, ...] = ("tls",)
IMAP: tuple[Protocol, ...] = ("imap",)

LINE = Flood(b"x", b"x", b"x")
ENDLESS_LINE = (Say(b"* OK ", b"+OK ", b"220 "), LINE)
LINES = Flood(b"* 1 EXISTS\r\n", b"1 1\r\n", b"250-x\r\n")
TRICKLE = Drip(b"x", b"x", b"x")


def _slow(name: str, says: str, moment: Moment, modes: tuple[Mode, ...], *steps: Step) -> Scenario:
    return Scenario(name=name, family=FAMILY, says=says, modes=modes, at={moment: steps})


def _mail(name: str, says: str, moment: Moment, protocol: Protocol, *steps: Step) -> Scenario:
    """After the sign-in, which there is nothing against."""
    expects: tuple[Kind, ...] = HARMLESS
    return Scenario(
        name=name,
        family=FAMILY,
        says=says,
        protocols=(protocol,),
        modes=TLS,
        at={moment: steps},
        expects=expects,
    )


SCENARIOS = (
    _slow("silent-greeting", "no greeting", "greeting", BOTH, Silent()),
    _slow("silent-offer", "no answer to the first question", "offer", STARTTLS, Silent()),
    _slow("silent-consent", "no answer to the upgrade", "consent", STARTTLS, Silent()),
    _slow("silent-handshake", "no answer to the client's hello", "handshake", BOTH, Silent()),
    _slow("silent-sign-in", "no answer to the sign-in", "sign-in", TLS, Silent()),
    _slow("drip-greeting", "a greeting, an octet at a time", "greeting", TLS, TRICKLE),
    _slow("drip-consent", "a consent, an octet at a time", "consent", STARTTLS, TRICKLE),
    _slow(
        "drip-handshake",
        "a handshake, an octet at a time",
        "handshake",
        BOTH,
        HearHello(),
        say_to_all(b"\x16\x03\x03\x40\x00"),
        Drip(b"\x16", b"\x16", b"\x16"),
    ),
    _slow("endless-greeting", "a greeting without an end", "greeting", BOTH, *ENDLESS_LINE),
    _slow(
        "endless-offer",
        "capabilities without an end",
        "offer",
        BOTH,
        Say(b"", b"+OK\r\n", b""),
        Flood(b"* CAPABILITY X\r\n", b"X\r\n", b"250-x\r\n"),
    ),
    _slow("endless-consent", "a consent without an end", "consent", STARTTLS, *ENDLESS_LINE),
    _slow("endless-challenges", "challenge after challenge", "sign-in", TLS, Challenges()),
    _mail("endless-list", "a list without an end", "list", "imap", Flood(b'* LIST () "/" x\r\n')),
    _mail(
        "endless-line",
        "a line without an end in a list",
        "list",
        "imap",
        Say(b'* LIST () "/" '),
        Flood(b"x"),
    ),
    _mail(
        "enormous-literal",
        "a literal of two terabytes is announced, and comes",
        "fetch",
        "imap",
        Say(b"* 1 FETCH (BODY[] {2199023255552}\r\n"),
        Flood(b"x"),
    ),
    _mail(
        "enormous-literal-silent",
        "a literal of two gigabytes is announced: a client that reserves them has less",
        "fetch",
        "imap",
        Say(b"* 1 FETCH (BODY[] {2147483647}\r\n"),
        Silent(),
    ),
    _mail(
        "enormous-number",
        "a literal whose length has five thousand digits",
        "fetch",
        "imap",
        Say(b"* 1 FETCH (BODY[] {" + b"9" * 5000 + b"}\r\n"),
        Flood(b"x"),
    ),
    _mail(
        "endless-uidl",
        "a list without an end",
        "list",
        "pop3",
        Say(pop3=b"+OK\r\n"),
        Flood(pop3=b"1 1\r\n"),
    ),
    _mail(
        "endless-message",
        "a message without an end",
        "fetch",
        "pop3",
        Say(pop3=b"+OK\r\n"),
        Flood(pop3=b"Hello.\r\n"),
    ),
    _mail("endless-reply", "a reply without an end", "mail", "smtp", Flood(smtp=b"250-x\r\n")),
    Scenario(
        name="scram-two-thousand-million-iterations",
        family=FAMILY,
        says="an iteration count that takes a client an hour to work through",
        mechanisms=("SCRAM-SHA-256",),
        modes=TLS,
        scram=Scram(iterations=2_147_483_647),
    ),
)
