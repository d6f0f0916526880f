"""After the sign-in: replies that break off, come too slowly, or are not what the protocol says.

Whatever comes, an inherited verb ends in time with an error of ours that is the standard module's
as well; the connection is closed, and every later verb says the same.
"""

import imaplib
import poplib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from securemail import (
    CATrust,
    ConnectFailed,
    LimitExceeded,
    Limits,
    ProtocolViolation,
    SecureMailError,
    TimeLimitExceeded,
    TLSPolicy,
)
from servers import rude
from servers.attempts import MAIL, PASSWORD, USER, assert_survives_pickling, open_sockets
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.rude import Answer, Scripted, accepts, says
from tables import saw

SOON = Limits(connect=5, read=0.5, line=100_000, literal=100_000, lines=1_000)
SLACK = 5.0  # seconds, for a machine that is busy

VERBS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "imap": {
        "noop": lambda c: c.noop(),
        "select": lambda c: c.select(),
        "list": lambda c: c.list(),
        "append": lambda c: c.append("INBOX", None, None, b"Subject:x\r\n\r\n"),
    },
    "pop3": {
        "noop": lambda c: c.noop(),
        "stat": lambda c: c.stat(),
        "retr": lambda c: c.retr(1),
        "capa": lambda c: c.capa(),
    },
    "smtp": {
        "noop": lambda c: c.noop(),
        "ehlo": lambda c: c.ehlo(),
        "mail": lambda c: c.mail("a@example.org"),
        "send": lambda c: c.sendmail("a@example.org", ["b@example.org"], b"Subject:x\r\n\r\n"),
    },
}
EVERY_VERB = [(protocol, verb) for protocol, verbs in VERBS.items() for verb in verbs]
every_verb = pytest.mark.parametrize(("protocol", "verb"), EVERY_VERB)


class Server:
    """Signs everybody in over good TLS; then each of `answers` answers one line."""

    def __init__(self, pki: PKI) -> None:
        self._context = pki["good"].server_context()
        self._policy = TLSPolicy(trust=CATrust(pki.ca_pem))

    @contextmanager
    def signed_in(self, protocol: str, *answers: Answer) -> Iterator[tuple[Any, RecordingServer]]:
        script = Scripted(protocol, (accepts, *answers), words=("SASL-IR",))
        with RecordingServer(script, context=self._context) as recording:
            client = MAIL[protocol].cls(
                "127.0.0.1", recording.port, policy=self._policy, limits=SOON
            )
            try:
                client.login(USER, PASSWORD)
                yield client, recording
            finally:
                client._close_now()


@pytest.fixture
def server(pki: PKI) -> Server:
    return Server(pki)


def assert_it_ends(
    client: Any, protocol: str, verb: str, kind: type[Exception], seconds: float = SLACK
) -> SecureMailError:
    """In time, typed, closed, and for good."""
    standard = MAIL[protocol].standard_error
    before = open_sockets()
    started = time.monotonic()
    with pytest.raises(kind) as raised:
        VERBS[protocol][verb](client)
    assert time.monotonic() - started < seconds
    error = raised.value
    assert isinstance(error, SecureMailError)
    assert isinstance(error, (standard, LimitExceeded))
    assert client.sock is None
    assert len(open_sockets()) < len(before), "closed at once, with the error still held"
    for again in VERBS[protocol].values():
        with pytest.raises(SecureMailError) as later:
            again(client)
        assert later.value is error
    saw(protocol, error)
    assert_survives_pickling(error)
    assert leaks(str(error).encode(), PASSWORD) == []
    assert "127.0.0.1" in str(error)
    return error


def half(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """Half a reply, then the end of TLS as it should be."""
    says(b'* LIST () "/" in', b"+OK 2 33", b"250-8BITM")(conversation, protocol, tag)
    conversation.finish()


def cut(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """Half a reply, and the connection cut: no close_notify, as somebody in between would do it."""
    says(b'* LIST () "/" in', b"+OK 2 33", b"250 2.0")(conversation, protocol, tag)
    conversation.close()


ENDS: dict[str, Answer] = {
    "closes": rude.closes,
    "resets": rude.resets,
    "half a line": half,
    "half a line, cut": cut,
}


@every_verb
@pytest.mark.parametrize("how", ENDS)
def test_the_connection_ends(protocol: str, verb: str, how: str, server: Server) -> None:
    with server.signed_in(protocol, ENDS[how]) as (client, _):
        error = assert_it_ends(client, protocol, verb, ConnectFailed)
        assert "hung up in the middle of an answer" in str(error)


SLOW: dict[str, Answer] = {
    "silence": rude.says_nothing,
    "a drip": rude.trickles(b"+", seconds=5),
    "half a line": says(b"* LIST", b"+OK 2 33", b"250 2.0"),
}


@every_verb
@pytest.mark.parametrize("how", SLOW)
def test_the_server_is_too_slow(protocol: str, verb: str, how: str, server: Server) -> None:
    with server.signed_in(protocol, SLOW[how], rude.says_nothing) as (client, _):
        error = assert_it_ends(client, protocol, verb, TimeLimitExceeded)
        assert "0.5 s" in str(error)


def line_without_end(conversation: Conversation, protocol: str, tag: bytes) -> None:
    says(b"* LIST ", b"+OK", b"250-")(conversation, protocol, tag)
    for _ in range(1000):
        conversation.send(b"x" * 1_000)


def reply_without_end(conversation: Conversation, protocol: str, tag: bytes) -> None:
    says(b"", b"+OK\r\n", b"")(conversation, protocol, tag)
    for _ in range(100):
        says(b"* LIST () NIL x\r\n" * 100, b"USER x\r\n" * 100, b"250-x\r\n" * 100)(
            conversation, protocol, tag
        )


@every_verb
def test_a_line_without_end(protocol: str, verb: str, server: Server) -> None:
    with server.signed_in(protocol, line_without_end) as (client, _):
        assert_it_ends(client, protocol, verb, LimitExceeded)


MANY_LINES = [pair for pair in EVERY_VERB if pair not in [("pop3", "noop"), ("pop3", "stat")]]


@pytest.mark.parametrize(("protocol", "verb"), MANY_LINES)
def test_a_reply_without_end(protocol: str, verb: str, server: Server) -> None:
    with server.signed_in(protocol, reply_without_end) as (client, _):
        error = assert_it_ends(client, protocol, verb, LimitExceeded)
        assert "more than 1,000 lines" in str(error)


LITERALS = {
    "enormous": b"{99999999999}",
    "over the limit": b"{100001}",
    "thousands of digits": b"{" + b"9" * 5_000 + b"}",
    "with zeros before": b"{" + b"0" * 5_000 + b"1}",
}


@pytest.mark.parametrize("verb", VERBS["imap"])
@pytest.mark.parametrize("how", LITERALS)
def test_a_literal_that_is_too_large(verb: str, how: str, server: Server) -> None:
    answer = says(imap=b"* LIST () NIL " + LITERALS[how] + b"\r\n")
    with server.signed_in("imap", answer) as (client, _):
        assert_it_ends(client, "imap", verb, LimitExceeded)


def test_a_literal_that_breaks_off(server: Server) -> None:
    def answer(conversation: Conversation, protocol: str, tag: bytes) -> None:
        conversation.send(b"* LIST () NIL {100}\r\nhalf of it")
        conversation.close()

    with server.signed_in("imap", answer) as (client, _):
        assert_it_ends(client, "imap", "list", ConnectFailed)


# What is not a reply of that protocol.
WRONG: dict[tuple[str, str], list[bytes]] = {
    ("imap", "noop"): [
        b"What a lovely day\r\n",
        b"\xff\xfe\x00\r\n",
        b"* \xe9\r\n",
        b"+OK POP3 here\r\n",
        b"250 Ok\r\n",
        b"* LIST () NIL x\n",  # without CR
        b"ZZZZ99 OK another tag\r\n",
        b"* BYE go away\r\n",
        b"%t \xff\r\n",
        b"%t\r\n",
        b"* 1\r\n",
    ],
    ("pop3", "stat"): [
        b"+OK\r\n",
        b"+OK x y\r\n",
        b"+OK 1\r\n",
        b"+OK 1e3 5\r\n",
        b"+OK \xff\xfe 1\r\n",
        b"+OK " + b"9" * 5_000 + b" 1" + b"\r\n",  # over the bound of a status line
    ],
    ("pop3", "capa"): [
        b"+OK\r\nUSER\r\n\r\n.\r\n",  # an empty capability
        b"+OK\r\n\xff\xfe\r\n.\r\n",
        b"+OK\r\n \r\n.\r\n",
    ],
    ("smtp", "noop"): [
        b"What a lovely day\r\n",
        b"\xff\xfe\x00\r\n",
        b"\r\n",
        b"25\r\n",
        b"25x Ok\r\n",
        b"\xd9\xa2\xd9\xa5\xd9\xa0 Ok\r\n",  # digits of another script
        b"-50 Ok\r\n",
        b"999 Ok\r\n",
        b"000 Ok\r\n",
        b"1_0 Ok\r\n",
        b"* OK IMAP here\r\n",
        b"250-first\r\nthen something else\r\n",
    ],
    ("smtp", "ehlo"): [b"What a lovely day\r\n", b"-1 x\r\n"],
    ("smtp", "send"): [b"What a lovely day\r\n", b"999 Ok\r\n"],
}
WRONG_CASES = [(protocol, verb, data) for (protocol, verb), all_ in WRONG.items() for data in all_]


@pytest.mark.parametrize(("protocol", "verb", "data"), WRONG_CASES)
def test_what_is_no_reply(protocol: str, verb: str, data: bytes, server: Server) -> None:
    with server.signed_in(protocol, rude.to_all(data), rude.says_nothing) as (client, _):
        error = assert_it_ends(
            client,
            protocol,
            verb,
            SecureMailError,
            seconds=SOON.read + SLACK,  # type: ignore[operator]
        )
        assert isinstance(error, (ProtocolViolation, LimitExceeded, ConnectFailed))
        assert "The password had been sent, over verified TLS." in str(error)


# Odd, and allowed.
FINE: dict[tuple[str, str], tuple[bytes, Any]] = {
    ("imap", "noop"): (b'* LIST () "/" "\xc3\xa9 \\" {5}"\r\n%t OK \xff done\r\n', "OK"),
    ("pop3", "stat"): (b"+OK 1 5 and more\r\n", (1, 5)),
    ("pop3", "capa"): (b"+OK\r\nSASL PLAIN \r\nuser\r\n..x\r\n.\r\n", None),
    ("smtp", "noop"): (b"250-\xff\r\n250\r\n", 250),
}


@pytest.mark.parametrize(("protocol", "verb"), FINE)
def test_what_is_odd_and_allowed(protocol: str, verb: str, server: Server) -> None:
    """The control."""
    data, expected = FINE[protocol, verb]
    with server.signed_in(protocol, rude.to_all(data)) as (client, _):
        got = VERBS[protocol][verb](client)
        assert expected in (None, got, got[0] if isinstance(got, tuple) else None)
        assert client.sock is not None


@every_verb
def test_the_server_of_these_tests_can_be_polite(protocol: str, verb: str, server: Server) -> None:
    """The control of all that is above: with a decent answer the verb ends well."""
    fine = says(
        b"%t OK done\r\n",
        b"+OK 1 5\r\nx\r\n.\r\n" if verb in ("retr", "capa") else b"+OK 1 5\r\n",
        b"250 Ok\r\n",
    )
    goes_on = says(b"+ go on\r\n", b"", b"354 go on\r\n")
    answers = [fine] * 4
    if verb == "append":
        answers = [goes_on, lambda *_: None, lambda *_: None, fine]  # the message
    if verb == "send":
        answers = [fine, fine, goes_on, lambda *_: None, lambda *_: None, fine]
    with server.signed_in(protocol, *answers) as (client, _):
        VERBS[protocol][verb](client)
        assert client.sock is not None


def test_bye_is_an_abort_with_the_servers_words(server: Server) -> None:
    with server.signed_in("imap", says(imap=b"* BYE back in an hour\r\n")) as (client, _):
        error = assert_it_ends(client, "imap", "noop", imaplib.IMAP4.abort)
        assert "back in an hour" in str(error)


def test_a_mailbox_that_turns_read_only_is_no_end(server: Server) -> None:
    """`readonly` is an abort in the standard module, and nothing is wrong with the connection."""
    read_only = says(imap=b"%t OK [READ-ONLY] opened\r\n")
    with server.signed_in("imap", read_only, says(imap=b"%t OK done\r\n")) as (client, _):
        with pytest.raises(imaplib.IMAP4.readonly):
            client.select()
        assert client.sock is not None


def test_err_is_no_end(server: Server) -> None:
    with server.signed_in("pop3", says(pop3=b"-ERR no such message\r\n")) as (client, _):
        with pytest.raises(poplib.error_proto, match="no such message"):
            client.retr(7)
        assert client.sock is not None
