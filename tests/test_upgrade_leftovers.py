"""What was said in clear is gone after the upgrade: from every attribute, and from every answer.

A marker stands in everything that the server says in clear. Then the whole object is walked.
"""

import imaplib
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from securemail import CATrust, TLSPolicy
from servers.attempts import PASSWORD, USER
from servers.leaks import leaks
from servers.mentions import mentions as mentions_of
from servers.pki import PKI
from servers.recording import RecordingServer
from servers.rude import Answer, says
from servers.upgrades import WAYS, Upgrades, Way

Factory = Callable[..., RecordingServer]
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)

VERB_WAYS = [name for name, way in WAYS.items() if way.by == "verb"]

MARKER = "forged"

# Everything that a class can keep of each step, with the marker in each word of it.
FORGED: dict[str, Answer] = {
    "greeting": says(
        b"* OK [FORGED forged] forged <1.forged@forged>\r\n",
        b"+OK forged <1.forged@forged.example>\r\n",
        b"220-forged.example\r\n220 forged ESMTP\r\n",
    ),
    "offer": says(
        b"* CAPABILITY IMAP4rev1 IMAP4 STARTTLS LOGINDISABLED ENABLE UTF8=ACCEPT FORGED AUTH=FORGED"
        b" SASL-IR\r\n"
        b'* LIST () "/" forged\r\n'
        b'* LIST () "/" {6}\r\nforged\r\n'
        b"* FLAGS (forged)\r\n* SEARCH 1\r\n* FORGED forged\r\n* 7 EXISTS\r\n* 7 RECENT\r\n"
        b"* 7 FETCH (FLAGS (forged) BODY {6}\r\nforged)\r\n"
        b"* OK [ALERT] forged\r\n* OK [UIDVALIDITY 7] forged\r\n* NO forged\r\n* BAD forged\r\n"
        b"* OK [READ-WRITE] forged\r\n* NAMESPACE forged\r\n"
        b"+ forged\r\n"
        b"%t OK [FORGED forged] forged\r\n",
        b"+OK forged\r\nSTLS forged\r\nSASL FORGED\r\nFORGED forged\r\nIMPLEMENTATION forged\r\n"
        b".\r\n",
        b"250-forged.example forged\r\n250-STARTTLS forged\r\n250-AUTH FORGED\r\n"
        b"250-AUTH=FORGED\r\n250-SIZE 7\r\n250-SMTPUTF8\r\n250 FORGED forged\r\n",
    ),
    "consent": says(
        b'* LIST () "/" forged\r\n* CAPABILITY IMAP4rev1 FORGED\r\n* 9 EXISTS\r\n+ forged\r\n'
        b"* OK [READ-ONLY] forged\r\n%t OK [CAPABILITY IMAP4rev1 FORGED] forged\r\n",
        b"+OK forged\r\n",
        b"220-forged\r\n220 forged\r\n",
    ),
}


@pytest.fixture(autouse=True)
def as_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No policy from the environment; and imap_tools, once imported, raises imaplib's limit."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)


Connect = Callable[..., Any]


@pytest.fixture
def upgraded(pki: PKI, recording_server: Factory) -> Iterator[Connect]:
    """Clients that went that way to a server with these steps in clear."""
    policy, context = TLSPolicy(trust=CATrust(pki.ca_pem)), pki["good"].server_context()
    clients = []

    def connect(way: Way, **steps: Any) -> Any:
        server = recording_server(Upgrades(way.protocol, context, **steps))
        client = way.blank()
        clients.append((way, client))
        way.upgrade(client, server.port, policy=policy)
        client._server = server
        return client

    yield connect
    for way, client in clients:
        way.close(client)


def mentions(root: object) -> list[str]:
    return mentions_of(root, MARKER)


@every_way
def test_the_walk_finds_what_is_there(way: Way, upgraded: Connect) -> None:
    """The control: in a class that was not upgraded, or was told over TLS, the marker is found."""
    client = upgraded(way, **FORGED)
    client.kept = {"a": [("b", b"x FoRgEd x")]}
    assert any("kept" in path for path in mentions(client))
    del client.kept
    assert mentions(client) == ["._said_in_clear"] * (way.protocol == "pop3")
    client._open_reader()._raw.kept = bytearray(b"forged")
    assert any("_raw.kept" in path for path in mentions(client))


@pytest.mark.parametrize("name", VERB_WAYS)
def test_in_clear_the_marker_is_everywhere(name: str, pki: PKI, recording_server: Factory) -> None:
    """Another control: before the verb the standard classes do keep it."""
    way = WAYS[name]
    script = Upgrades(way.protocol, pki["good"].server_context(), **FORGED)
    client = way.cls("127.0.0.1", recording_server(script).port)
    try:
        if way.protocol == "smtp":
            client.ehlo()
        assert mentions(client) != []
    finally:
        way.close(client)


# -- nothing is left


@every_way
def test_nothing_that_was_said_in_clear_is_left(way: Way, upgraded: Connect) -> None:
    client = upgraded(way, **FORGED)
    left = mentions(client)
    # The text of POP3's greeting is kept for APOP, whose digest goes to the verified server.
    assert [path for path in left if path != "._said_in_clear"] == []
    assert (left == ["._said_in_clear"]) == (way.protocol == "pop3")
    # And so it is after a sign-in.
    client.login(USER, PASSWORD)
    assert [path for path in mentions(client) if path != "._said_in_clear"] == []
    way.close(client)
    (record,) = client._server.wait()
    assert leaks(record.received_tls, PASSWORD) != []
    assert leaks(bytes(record.wire), PASSWORD) == []


# What differs from connection to connection.
_OWN = ("_server", "sock", "_sock", "tagpre", "tagre", "mo", "_endpoint", "port", "_channel")
_OWN += (
    "_reader",
    "welcome",
    "_said_in_clear",
    "_was_connected",
    "_cmd_log",
    "_cmd_log_idx",
    "tagnum",
    "tagged_commands",
)
_OWN += ("Literal", "Untagged_status", "_file", "_imaplib_file")


def state(client: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(client).items() if name not in _OWN}


@every_way
def test_the_object_is_as_if_nothing_had_been_said(way: Way, upgraded: Connect) -> None:
    plain, forged = upgraded(way), upgraded(way, **FORGED)
    assert state(forged) == state(plain)
    assert set(vars(forged)) == set(vars(plain))
    assert (plain.sock.getpeername()[0], forged.sock.version()) == ("127.0.0.1", "TLSv1.3")


@pytest.mark.parametrize("name", VERB_WAYS)
def test_what_was_asked_before_the_verb_is_not_left_either(name: str, upgraded: Connect) -> None:
    """The same for what a caller asked in clear, of each of the verbs that keep something."""
    way = WAYS[name]
    before: dict[str, Callable[[Any], None]] = {
        "imap": lambda client: (client.capability(), client.noop())[0],
        "pop3": lambda client: client.capa(),
        "smtp": lambda client: (client.ehlo(), client.docmd("HELP"), client.noop())[0],
    }
    plain = upgraded(way)
    real = way.ask

    class Asks(Way):
        def ask(self, client: Any, context: Any = None) -> Any:
            before[way.protocol](client)
            return real(client, context)

    asked = upgraded(Asks(way.protocol, way.cls, way.by, way.says), **FORGED)
    assert state(asked) == state(plain)
    assert [path for path in mentions(asked) if path != "._said_in_clear"] == []


# -- nothing forged comes out


IMAP_WAYS = [name for name, way in WAYS.items() if way.protocol == "imap"]
SMTP_WAYS = [name for name, way in WAYS.items() if way.protocol == "smtp"]


@pytest.mark.parametrize("name", IMAP_WAYS)
def test_imap_answers_with_what_was_said_over_tls(name: str, upgraded: Connect) -> None:
    client = upgraded(WAYS[name], **FORGED)
    assert client.welcome in (b"", None)
    assert client.untagged_responses == {}
    assert "STARTTLS" not in client.capabilities
    assert client.capabilities == ("IMAP4REV1", "SASL-IR", "AUTH=PLAIN", "AUTH=LOGIN")
    assert client.PROTOCOL_VERSION == "IMAP4REV1"
    codes = ("ALERT", "CAPABILITY", "UIDVALIDITY", "READ-ONLY", "READ-WRITE", "FORGED", "LIST")
    for code in (*codes, "FLAGS", "EXISTS", "RECENT", "FETCH", "SEARCH", "NAMESPACE"):
        assert client.response(code) == (code, [None]), code
    client.login(USER, PASSWORD)
    assert client.recent()[1] == [None]
    assert client.select() == ("OK", [b"0"])
    assert client.response("UIDVALIDITY") == ("UIDVALIDITY", [b"1"])
    assert client.is_readonly is False


@pytest.mark.parametrize("name", IMAP_WAYS)
def test_imap_lists_no_forged_folder(name: str, upgraded: Connect) -> None:
    """As it does from the standard class (the control), where the server has nothing to list."""
    client = upgraded(WAYS[name], **FORGED)
    client.login(USER, PASSWORD)
    assert client.list() == ("OK", [None])


def test_the_standard_class_lists_the_forged_folder(pki: PKI, recording_server: Factory) -> None:
    steps = {**FORGED, "consent": says(b"%t OK begin\r\n")}
    server = recording_server(Upgrades("imap", pki["good"].server_context(), **steps))
    client = imaplib.IMAP4("127.0.0.1", server.port)
    try:
        client.starttls(ssl.create_default_context(cafile=str(pki.ca_pem)))
        client.login(USER, "another password")
        assert b"forged" in str(client.list()).encode()
    finally:
        client.shutdown()


@pytest.mark.parametrize("name", SMTP_WAYS)
def test_smtp_answers_with_what_was_said_over_tls(name: str, upgraded: Connect) -> None:
    client = upgraded(WAYS[name], **FORGED)
    assert (client.esmtp_features, client.does_esmtp) == ({}, False)
    assert (client.ehlo_resp, client.helo_resp) == (None, None)
    assert not client.has_extn("forged")
    assert not client.has_extn("starttls")
    client.ehlo()
    assert sorted(client.esmtp_features) == ["8bitmime", "auth", "smtputf8"]
    assert b"forged" not in client.ehlo_resp.lower()
    assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]


def test_smtp_connect_returns_no_words_of_the_greeting(upgraded: Connect) -> None:
    client = upgraded(WAYS["SMTP_STARTTLS, connect"], **FORGED)
    assert client.connect("127.0.0.1", client._server.port) == (220, b"")
    assert mentions(client) == []


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.protocol == "pop3"])
def test_pop3_answers_with_what_was_said_over_tls(name: str, upgraded: Connect) -> None:
    client = upgraded(WAYS[name], **FORGED)
    assert client.capa() == {"USER": [], "UIDL": [], "SASL": ["PLAIN", "LOGIN"]}
    assert client.getwelcome() == b"+OK", "what was said in clear is nobody's word"
    client.login(USER, PASSWORD)
    assert client.stat() == (0, 0)
    assert client.list()[1] == []


def test_what_the_verb_returns_is_the_reply(upgraded: Connect) -> None:
    """As the standard verbs do: these words are the caller's to read, and were said in clear."""
    replies = []
    for way in [way for way in WAYS.values() if way.by == "verb"]:

        class Keeps(Way):
            def ask(self, client: Any, context: Any = None) -> Any:
                replies.append(super().ask(client, context))

        upgraded(Keeps(way.protocol, way.cls, way.by, way.says))
    assert replies == [("OK", [None]), b"+OK begin", (220, b"2.0.0 begin")]
