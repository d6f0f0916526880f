"""Servers that end, stall or overflow at any step on the way to TLS; and Ctrl-C there.

Whatever the step, one typed error within the limits, nothing left open, and no password.
"""

import imaplib
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from securemail import (
    CATrust,
    ConnectFailed,
    LimitExceeded,
    Limits,
    ProtocolViolation,
    TimeLimitExceeded,
    TLSPolicy,
)
from servers import rude
from servers.attempts import PASSWORD, USER, failing, open_sockets
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.rude import Answer, says, to_all
from servers.upgrades import (
    WAYS,
    Upgrades,
    Way,
    assert_nothing_escaped,
    attempt_and_fail,
    both,
    later_errors,
)

Factory = Callable[..., RecordingServer]
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)

SOON = Limits(connect=5, read=0.4, lines=200, line=50_000, literal=100_000)
# Where time is not what ends it: a busy computer may take its own.
PATIENT = Limits(connect=5, read=5, lines=200, line=50_000, literal=100_000)
SLACK = 2.0  # seconds that a busy computer may add to a limit


@pytest.fixture(autouse=True)
def as_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No policy from the environment; and imap_tools, once imported, raises imaplib's limit."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)


@pytest.fixture
def policy(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


# The steps before TLS, and the beginning of a polite answer to each.
STEPS: dict[str, Answer] = {
    "greeting": says(b"* O", b"+O", b"220-x\r\n22"),
    "offer": says(b"* CAPABILITY IMA", b"+OK\r\nST", b"250-STARTTLS\r\n250-AU"),
    "consent": says(b"%t O", b"+O", b"22"),
}


def bye(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """The server ends it in words (SMTP: 421), and then hangs up."""
    words = says(b"* BYE gone\r\n", b"-ERR gone\r\n", b"421 gone\r\n")
    both(words, rude.closes)(conversation, protocol, tag)


LOST = (ConnectFailed,)
SLOW = (TimeLimitExceeded,)
MUCH = (LimitExceeded,)
WRONG = (LimitExceeded, ProtocolViolation)
ENDS: dict[str, tuple[Answer, tuple[type[Exception], ...]]] = {
    "closes": (rude.closes, LOST),
    "resets": (rude.resets, LOST),
    "says nothing": (rude.says_nothing, SLOW),
    "drips": (rude.trickles(b"x", 1, pause=0.05), SLOW),
    "a line without end": (to_all(b"x" * 60_000), WRONG),
}


@every_way
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", STEPS)
def test_it_ends_in_the_middle(
    step: str, end: str, way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    ends, kinds = ENDS[end]
    script = Upgrades(way.protocol, pki["good"].server_context(), **{step: both(STEPS[step], ends)})
    failure = fail(way, script, recording_server, policy, step, within(kinds))
    assert isinstance(failure.error, kinds)


@every_way
@pytest.mark.parametrize("end", ["closes", "resets", "says nothing"])
@pytest.mark.parametrize("step", STEPS)
def test_it_ends_without_a_word(
    step: str, end: str, way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    ends, kinds = ENDS[end]
    script = Upgrades(way.protocol, pki["good"].server_context(), **{step: ends})
    failure = fail(way, script, recording_server, policy, step, within(kinds))
    assert isinstance(failure.error, kinds)
    if end == "says nothing":
        assert "0.4 s" in failure.text


@every_way
@pytest.mark.parametrize("step", STEPS)
def test_it_says_goodbye(
    step: str, way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = Upgrades(way.protocol, pki["good"].server_context(), **{step: bye})
    failure = fail(way, script, recording_server, policy, step)
    if step == "greeting":
        assert failure.error.code == "unavailable"
        assert "gone" in failure.text


FLOODS: dict[str, Answer] = {
    "lines": says(b"* 1 EXISTS\r\n" * 400, b"+OK\r\n" + b"x\r\n" * 400, b"250-x\r\n" * 400),
    "a literal": says(b"* LIST () {999999999}\r\n", b"x" * 60_000, b"x" * 60_000),
    "a number of digits": says(b"* LIST () {" + b"9" * 5000 + b"}\r\n", b"+OK\r\n..\r\n", b"2\r\n"),
}


@every_way
@pytest.mark.parametrize("flood", ["lines", "a literal"])
def test_it_overflows(
    flood: str, way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = Upgrades(way.protocol, pki["good"].server_context(), offer=FLOODS[flood])
    failure = fail(way, script, recording_server, policy, "offer")
    assert isinstance(failure.error, WRONG)


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.protocol == "imap"])
@pytest.mark.parametrize("step", ["offer", "consent"])
@pytest.mark.parametrize("flood", FLOODS)
def test_imap_overflows_in_untagged_data(
    flood: str, step: str, name: str, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    script = Upgrades("imap", pki["good"].server_context(), **{step: FLOODS[flood]})
    failure = fail(WAYS[name], script, recording_server, policy, step)
    assert isinstance(failure.error, LimitExceeded)
    assert failure.error.code == ("limit-lines" if flood == "lines" else "limit-literal")


def within(kinds: tuple[type[Exception], ...]) -> Limits:
    return SOON if kinds == SLOW else PATIENT


def fail(
    way: Way,
    script: Upgrades,
    recording_server: Factory,
    policy: TLSPolicy,
    step: str,
    limits: Limits = PATIENT,
) -> Any:
    """Within the limits. The same error again where the upgrade had begun: what ends before that is
    the constructor's, or of `connect`, which leave nothing to go on with."""
    begun = step == "consent" or (step == "offer" and way.protocol != "imap")
    failure = attempt_and_fail(
        way, recording_server(script), policy=policy, limits=limits, told_again=begun
    )
    assert failure.seconds < 0.4 + SLACK
    return failure


# -- over TLS


OFFER_AGAIN: dict[str, tuple[Answer, tuple[type[Exception], ...]]] = {
    "closes": (rude.closes, LOST),
    "resets": (rude.resets, LOST),
    "says nothing": (rude.says_nothing, SLOW),
    "closes in the middle": (both(STEPS["offer"], rude.closes), LOST),
    "goes silent in the middle": (both(STEPS["offer"], rude.says_nothing), SLOW),
    "says goodbye": (says(b"* BYE gone\r\n%t OK done\r\n"), LOST),
    "offers no IMAP4": (says(b"* CAPABILITY X\r\n%t OK done\r\n"), (ProtocolViolation,)),
    "offers nothing": (says(b"%t OK done\r\n"), (ProtocolViolation,)),
}


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.protocol == "imap"])
@pytest.mark.parametrize("end", OFFER_AGAIN)
def test_imap_ends_when_it_is_asked_again(
    end: str, name: str, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    """Within the verb, so it belongs to the upgrade: all or nothing."""
    answer, kinds = OFFER_AGAIN[end]
    script = Upgrades("imap", pki["good"].server_context(), offer_again=answer)
    server = recording_server(script)
    failure = attempt_and_fail(WAYS[name], server, policy=policy, limits=within(kinds))
    assert isinstance(failure.error, kinds)
    assert failure.seconds < 0.4 + SLACK
    assert "IMAP with STARTTLS" in failure.text
    assert failure.records[0].received_tls.endswith(b" CAPABILITY\r\n")


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.protocol != "imap"])
@pytest.mark.parametrize(
    "end", [end for end in OFFER_AGAIN if "s no" not in end or "says n" in end]
)
def test_what_is_asked_when_needed_ends(
    end: str, name: str, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    """CAPA and EHLO of the sign-in: cut off, also in the middle of the answer and without a closing
    word of TLS, nothing is signed in to."""
    way, (answer, kinds) = WAYS[name], OFFER_AGAIN[end]
    if end == "says goodbye":
        answer, kinds = both(says(b"", b"+OK\r\n", b"421-gone\r\n"), rude.closes), LOST
    script = Upgrades(way.protocol, pki["good"].server_context(), offer_again=answer)
    server = recording_server(script)
    with failing(server) as failure:
        way.upgrade(way.blank(), server.port, policy=policy, limits=within(kinds)).login(
            USER, PASSWORD
        )
    assert isinstance(failure.error, kinds)
    assert failure.error.credentials_sent is False
    assert failure.seconds < 0.4 + SLACK
    assert_nothing_escaped(way, failure.records[0])


# -- Ctrl-C


def presses_ctrl_c(conversation: Conversation, *_: Any) -> None:
    """While the client waits for an answer; and there is none."""
    time.sleep(0.05)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    conversation.sleep_until_closed(10)


@every_way
@pytest.mark.parametrize("step", ["offer", "consent", "handshake", "offer_again"])
def test_an_interrupted_upgrade_leaves_nothing_open(
    step: str, way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    """Wherever it waits. The error is still held, and with it every frame."""
    script = Upgrades(way.protocol, pki["good"].server_context(), **{step: presses_ctrl_c})
    server, client = recording_server(script), way.blank()
    before = open_sockets()
    with pytest.raises(KeyboardInterrupt) as raised:
        way.upgrade(client, server.port, policy=policy)
        assert step == "offer_again", "the others are not asked again by the verb"
        client.login(USER, PASSWORD)
    (record,) = server.wait()
    assert raised.value.__traceback__ is not None
    assert open_sockets() <= before
    assert_nothing_escaped(way, record)
    for name, error in later_errors(way, client):
        assert error is not None, name
    assert server.connections == 1
