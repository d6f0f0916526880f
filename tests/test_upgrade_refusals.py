"""STARTTLS and STLS that somebody took out, refused, or put words into: no TLS, then nothing.

Each way from clear to TLS meets each attack; beside it stands the same server without the attack.
What the server received is looked at, not only what was raised.
"""

import imaplib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from securemail import (
    ConnectFailed,
    Limits,
    ProtocolViolation,
    TimeLimitExceeded,
    TLSError,
    UpgradeRefused,
)
from servers import rude
from servers.attempts import Failure
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.rude import Answer, says, to_all
from servers.upgrades import (
    ENOUGH,
    VERBS,
    WAYS,
    Servers,
    Way,
    attempt_and_fail,
    both,
    clear_commands,
    consents,
    goes_on_in_clear,
    greets,
    in_one,
    offers,
    offers_upgrade,
)

Factory = Callable[..., RecordingServer]
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)

SLACK = 2.0  # seconds that a busy computer may add to a limit
BLINK = 0.05  # seconds: longer than a client needs to go on


@pytest.fixture(autouse=True)
def as_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No policy from the environment; and imap_tools, once imported, raises imaplib's limit."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)


@pytest.fixture
def servers(pki: PKI, recording_server: Factory) -> Servers:
    return Servers(pki, recording_server)


@every_way
def test_without_an_attack_it_works(way: Way, servers: Servers) -> None:
    """The control of all the others: every step is there, and is as it should be."""
    servers.succeed(way)


# -- the offer is taken out


NOT_OFFERED: dict[str, Answer] = {
    "absent": offers(),
    "overwritten": offers("XXXXXXXX"),
    "overwritten in part": offers("XXARTTLS", "XTLS"),
    "with X- before it": offers("X-STARTTLS", "X-STLS"),
    "with a letter after it": offers("STARTTLSX", "STLSX"),
    "with a letter before it": offers("XSTARTTLS", "XSTLS"),
    "with a hyphen after it": offers("STARTTLS-", "STLS-"),
    "in another word's parameters": says(
        b"* CAPABILITY IMAP4rev1 X=STARTTLS\r\n%t OK done\r\n",
        b"+OK\r\nSASL STLS\r\nX STLS\r\n.\r\n",
        b"250-mx\r\n250-AUTH STARTTLS\r\n250 X STARTTLS\r\n",
    ),
    "in the words around it": says(
        b"* OK STARTTLS\r\n* CAPABILITY IMAP4rev1\r\n%t OK STARTTLS\r\n",
        b"+OK STLS\r\nUIDL\r\n.\r\n",
        b"250-mx STARTTLS\r\n250 8BITMIME\r\n",
    ),
    "as the server's name": says(
        b"* STARTTLS\r\n* CAPABILITY IMAP4rev1\r\n%t OK done\r\n",
        b"+OK\r\n..STLS\r\n.\r\n",
        b"250-STARTTLS\r\n250 8BITMIME\r\n",
    ),
    "with nothing at all": says(
        b"* CAPABILITY IMAP4rev1\r\n%t OK done\r\n", b"+OK\r\n.\r\n", b"250 \r\n"
    ),
    "where nothing is known": says(
        b"* CAPABILITY IMAP4rev1\r\n%t OK done\r\n", b"-ERR what?\r\n", b"502 what?\r\n"
    ),
    "where that is disabled": says(
        b"* CAPABILITY IMAP4rev1\r\n%t OK done\r\n", b"-ERR [SYS/PERM] no\r\n", b"554 no\r\n"
    ),
}


@every_way
@pytest.mark.parametrize("how", NOT_OFFERED)
def test_an_offer_that_is_none(how: str, way: Way, servers: Servers) -> None:
    failure = servers.fail(way, offer=NOT_OFFERED[how])
    assert type(failure.error) is UpgradeRefused
    assert failure.error.code == "starttls-not-offered"
    verb = VERBS[way.protocol]
    assert f"the server does not offer {verb}" in failure.text
    assert "took the offer out" in failure.text
    assert "Ask its administrator" in failure.error.hint
    assert "_SSL (port " in failure.error.hint
    assert verb not in clear_commands(failure.records[0])


OFFERED = {
    "alone": VERBS,
    "in small letters": {name: verb.lower() for name, verb in VERBS.items()},
    "in letters of both kinds": {"imap": "StartTLS", "pop3": "Stls", "smtp": "StartTls"},
}


@every_way
@pytest.mark.parametrize("how", OFFERED)
def test_an_offer_that_is_one(how: str, way: Way, servers: Servers) -> None:
    """The control: names are in any case (RFC 2449, 5; RFC 5321, 2.4; RFC 9051, 9)."""
    servers.succeed(way, offer=offers(OFFERED[how][way.protocol]))


def test_smtp_offers_may_have_parameters(servers: Servers) -> None:
    servers.succeed(WAYS["SMTP_STARTTLS, constructor"], offer=offers("STARTTLS REQUIRED"))


# -- the verb is refused


def refusing(*, imap: bytes = b"NO", pop3: bytes = b"", smtp: bytes = b"454 4.7.0") -> Answer:
    words = b" no certificate\r\n"
    return says(b"%t " + imap + words, b"-ERR" + pop3 + words, smtp + words)


REFUSED: dict[str, Answer] = {
    "for now": refusing(),
    "as wrong": refusing(imap=b"BAD", smtp=b"501 5.5.4"),
    "as unknown": refusing(imap=b"BAD", smtp=b"502 5.5.1"),
    "with a code": refusing(imap=b"NO [UNAVAILABLE]", pop3=b" [SYS/TEMP]", smtp=b"421 4.3.2"),
    "at length": says(
        b"* OK please wait\r\n%t NO no certificate\r\n",
        b"-ERR no certificate\r\n",
        b"454-sorry\r\n454 no certificate\r\n",
    ),
    "as done": refusing(smtp=b"250 2.0.0"),  # for SMTP: OK, and still no consent
    "as a sign-in": refusing(smtp=b"235 2.7.0"),
}


@every_way
@pytest.mark.parametrize("how", REFUSED)
def test_the_verb_is_refused(how: str, way: Way, servers: Servers) -> None:
    failure = servers.fail(way, consent=REFUSED[how], handshake=goes_on_in_clear)
    assert type(failure.error) is UpgradeRefused
    assert failure.error.code == "starttls-refused"
    assert f"the server declines {VERBS[way.protocol]}" in failure.text
    assert "no certificate" in failure.text
    assert "Nothing is sent in clear instead." in failure.error.hint
    assert clear_commands(failure.records[0])[-1] == VERBS[way.protocol]


def test_a_refusal_is_quoted_with_its_number(servers: Servers) -> None:
    failure = servers.fail(WAYS["SMTP, verb"], consent=refusing(), handshake=goes_on_in_clear)
    assert 'declines STARTTLS: "454 4.7.0 no certificate"' in failure.text


# -- words are put in


def forged(protocol: str) -> bytes:
    """What an attacker wants to be taken for the server's word, once TLS is there."""
    return {
        "imap": b"* CAPABILITY IMAP4rev1 AUTH=EVIL\r\n* LIST () NIL evil\r\n",
        "pop3": b"+OK evil\r\n",
        "smtp": b"250-evil\r\n250 AUTH EVIL\r\n",
    }[protocol]


def forges(conversation: Conversation, protocol: str, tag: bytes) -> None:
    conversation.send(forged(protocol))


def blinks(conversation: Conversation, *_: Any) -> None:
    time.sleep(BLINK)


def forges_next(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """IMAP: the tagged OK of the command that comes next, known from this one's tag."""
    number = len(tag) - len(tag.lstrip(b"ABCDEFGHIJKLMNOP"))
    following = tag[:number] + b"%d" % (int(tag[number:]) + 1) if tag else b""
    consents(conversation, protocol, following)


LEFT_BEFORE: dict[str, dict[str, Answer]] = {
    "answers": {"offer": in_one(offers_upgrade, forges)},
    "the consent": {"offer": in_one(offers_upgrade, forges_next)},
    "an octet": {"offer": in_one(offers_upgrade, to_all(b"+"))},
    "a line end": {"offer": in_one(offers_upgrade, to_all(b"\r\n"))},
    "a NUL": {"offer": in_one(offers_upgrade, to_all(b"\0"))},
    "a TLS record": {"offer": in_one(offers_upgrade, to_all(b"\x16\x03\x03\0\x02hi"))},
}
LEFT_BEHIND: dict[str, dict[str, Answer]] = {
    "answers": {"consent": in_one(consents, forges)},
    "a whole sign-in": {
        "consent": in_one(
            consents, says(b"* PREAUTH in\r\n", b"+OK in\r\n+OK\r\n", b"250 a\r\n235 in\r\n")
        )
    },
    "another consent": {"consent": in_one(consents, consents)},
    "an octet": {"consent": in_one(consents, to_all(b"+"))},
    "a line end": {"consent": in_one(consents, to_all(b"\n"))},
    "a NUL": {"consent": in_one(consents, to_all(b"\0"))},
    "a TLS record": {"consent": in_one(consents, to_all(b"\x15\x03\x03\0\x02\x02\x28"))},
    "a kilobyte": {"consent": in_one(consents, to_all(b"x" * 1024))},
    "a megabyte": {"consent": in_one(consents, to_all(b"x" * 2**20))},
}


def assert_left(failure: Failure, when: str) -> None:
    assert type(failure.error) is UpgradeRefused
    assert failure.error.code == "starttls-leftover"
    assert f"the server sent more in clear {when}" in failure.text
    assert "putting words into the server's mouth" in failure.error.hint
    assert len(failure.text) < 800


@every_way
@pytest.mark.parametrize("what", LEFT_BEFORE)
def test_words_that_nobody_asked_for_before_the_verb(what: str, way: Way, servers: Servers) -> None:
    failure = servers.fail(way, **LEFT_BEFORE[what])
    assert_left(failure, "before the command")
    assert VERBS[way.protocol] not in clear_commands(failure.records[0])


@every_way
@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_words_behind_the_consent(what: str, way: Way, servers: Servers) -> None:
    """In one segment with it (CVE-2011-0411 and its kin)."""
    failure = servers.fail(way, **LEFT_BEHIND[what])
    assert_left(failure, f"with its consent to {VERBS[way.protocol]}")


UNASKED = ["SMTP_STARTTLS, constructor", "SMTP_STARTTLS, connect", "SMTP, verb"]
UNASKED += ["POP3_STARTTLS, constructor", "POP3, verb"]


@pytest.mark.parametrize("name", UNASKED)
def test_words_behind_the_greeting(name: str, servers: Servers) -> None:
    """They would be the answer to the first command. IMAP's greeting may be followed by data,
    none of which is kept: see `test_upgrade_leftovers`."""
    failure = servers.fail(WAYS[name], greeting=in_one(greets, forges))
    assert_left(failure, "before the command")
    assert failure.records[0].wire == b""


AT_ONCE = to_all(b"")
LATE: dict[str, tuple[Answer, Answer]] = {
    f"{what}, {pause}": (blinks if pause == "late" else AT_ONCE, words)
    for what, words in {
        "answers": forges,
        "another consent": consents,
        "an octet": to_all(b"+"),
        "a line end": to_all(b"\r\n"),
        "a kilobyte": to_all(b"x" * 1024),
        "not ASCII": to_all(b"\x80\xff\xfe\x00 evil\r\n"),
        "HTTP": to_all(b"GET / HTTP/1.1\r\n\r\n"),
    }.items()
    for pause in ("late", "at once")
}


@every_way
@pytest.mark.parametrize("what", LATE)
def test_words_in_a_segment_after_the_consent(what: str, way: Way, servers: Servers) -> None:
    """They meet the handshake, or are there just before it: which of the two is a race."""
    pause, words = LATE[what]
    failure = servers.fail(way, consent=both(consents, both(pause, words)))
    assert_left(failure, "")
    if pause is blinks:
        assert "more in clear where TLS should begin" in failure.text


@every_way
@pytest.mark.parametrize("sent", [b"\x15\x03\x03\0\x02\x02\x28", b"\x16\x03\x03\0\x04oops"])
def test_a_forged_record_after_the_consent(sent: bytes, way: Way, servers: Servers) -> None:
    """An alert, or a wrong handshake: TLS's own trouble, and just as final."""
    failure = servers.fail(
        way, consent=both(consents, both(blinks, to_all(sent))), handshake=goes_on_in_clear
    )
    assert isinstance(failure.error, TLSError)


CONSENTS: dict[str, Answer] = {
    "untagged data before it": says(b'* LIST () "/" x\r\n* 3 EXISTS\r\n%t OK begin\r\n'),
    "a literal before it": says(b'* LIST () "/" {1}\r\nx\r\n%t OK begin\r\n'),
    "a code in it": says(b"%t OK [CAPABILITY IMAP4rev1 AUTH=EVIL] begin\r\n"),
    "PREAUTH before it": says(b"* PREAUTH in\r\n%t OK begin\r\n"),
    "a prompt before it": says(b"+ go on\r\n%t OK begin\r\n"),
    "several lines": says(smtp=b"220-one\r\n220-two\r\n220 begin\r\n"),
    "no words": says(smtp=b"220\r\n", pop3=b"+OK\r\n", imap=b"%t OK \r\n"),
    "many words": says(
        smtp=b"220 " + b"x" * 400 + b"\r\n",
        pop3=b"+OK " + b"x" * 400 + b"\r\n",
        imap=b"%t OK " + b"x" * 400 + b"\r\n",
    ),
}
CONSENTS_OF = [
    (how, name)
    for how in CONSENTS
    for name, way in WAYS.items()
    if how in ("no words", "many words") or (way.protocol == "smtp") == (how == "several lines")
    if not (way.protocol == "pop3" and how not in ("no words", "many words"))
]


@pytest.mark.parametrize(("how", "name"), CONSENTS_OF)
def test_consents_of_other_shapes(how: str, name: str, servers: Servers) -> None:
    """The control of what follows: these are consents. (What they bring along is not kept.)"""
    servers.succeed(WAYS[name], consent=CONSENTS[how])


IMAP_WAYS = [name for name, way in WAYS.items() if way.protocol == "imap"]


@pytest.mark.parametrize("name", IMAP_WAYS)
@pytest.mark.parametrize("at", ["offer", "consent"])
def test_a_goodbye_before_the_answer(at: str, name: str, servers: Servers) -> None:
    after = {"offer": offers_upgrade, "consent": consents}[at]
    server = servers.plays("imap", **{at: in_one(to_all(b"* BYE too busy\r\n"), after)})
    told_again = at == "consent"
    failure = attempt_and_fail(WAYS[name], server, policy=servers.policy, told_again=told_again)
    assert failure.error.code == "unavailable"
    assert "too busy" in failure.text


@pytest.mark.parametrize("name", IMAP_WAYS)
def test_a_wrong_tag_is_no_consent(name: str, servers: Servers) -> None:
    failure = servers.fail(WAYS[name], consent=forges_next, handshake=goes_on_in_clear)
    assert isinstance(failure.error, ProtocolViolation)
    assert isinstance(failure.error, imaplib.IMAP4.abort)


# -- consent, and no TLS


def hears_hello(conversation: Conversation, *_: Any) -> None:
    conversation.read(5)


def answers_in_clear(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """The client's hello, as if it were a command."""
    hears_hello(conversation)
    says(tag + b" BAD what?\r\n", b"-ERR what?\r\n", b"500 what?\r\n")(conversation, protocol, tag)


BROKEN = (ConnectFailed, TLSError)
NO_TLS: dict[str, tuple[Answer, type[Exception] | tuple[type[Exception], ...], str]] = {
    "closes": (rude.closes, BROKEN, "hung up|ended the TLS handshake"),
    "resets": (rude.resets, BROKEN, "hung up|ended the TLS handshake"),
    "says nothing": (rude.says_nothing, TimeLimitExceeded, "no TLS within 0.5 s"),
    "says garbage": (both(blinks, to_all(b"What a day\r\n")), UpgradeRefused, "What a day"),
    "answers in clear": (answers_in_clear, UpgradeRefused, "where TLS should begin"),
    "trickles what is no record": (
        both(hears_hello, rude.trickles(b"\x16", 1, pause=0.01)),  # OpenSSL wants five
        UpgradeRefused,
        "where TLS should begin",
    ),
    "trickles": (
        both(hears_hello, both(to_all(b"\x16\x03\x03\x40\x00"), rude.trickles(b"\x16", 1))),
        TimeLimitExceeded,
        "no TLS within 0.5 s",
    ),
}


@every_way
@pytest.mark.parametrize("how", NO_TLS)
def test_a_consent_without_tls(how: str, way: Way, servers: Servers) -> None:
    handshake, kind, words = NO_TLS[how]
    server = servers.plays(way.protocol, handshake=handshake)
    limits = Limits(connect=0.5, read=0.5) if kind is TimeLimitExceeded else ENOUGH
    failure = attempt_and_fail(way, server, policy=servers.policy, limits=limits)
    assert isinstance(failure.error, kind)
    assert re.search(words, failure.text)
    assert failure.seconds < 0.5 + SLACK
    assert clear_commands(failure.records[0])[-1] == VERBS[way.protocol]
