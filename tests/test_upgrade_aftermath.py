"""After a refused upgrade, and around one: swallowed errors, `with` blocks, connecting again.

A script that does not notice the refusal is told again, by the same error, at each further step.
"""

import contextlib
import imaplib
import poplib
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securemail import ConnectFailed, UpgradeRefused
from securemail.smtp import LMTP
from servers.attempts import PASSWORD, USER, failing
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import RecordingServer
from servers.rude import says, to_all
from servers.upgrades import (
    WAYS,
    Servers,
    Way,
    assert_nothing_escaped,
    clear_commands,
    goes_on_in_clear,
    later_errors,
    offers,
    offers_upgrade,
    refuses_verb,
)

Factory = Callable[..., RecordingServer]


@pytest.fixture(autouse=True)
def as_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No policy from the environment; and imap_tools, once imported, raises imaplib's limit."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)


@pytest.fixture
def servers(pki: PKI, recording_server: Factory) -> Servers:
    return Servers(pki, recording_server)


# -- a refusal that somebody overlooks


SCRIPTS_CATCH = (OSError, smtplib.SMTPException, poplib.error_proto, imaplib.IMAP4.error)
VERB_WAYS = [name for name, way in WAYS.items() if way.by == "verb"]


def send_mail(way: Way, client: Any) -> None:
    """The rest of a script, after the verb."""
    client.login(USER, PASSWORD)
    if way.protocol == "smtp":
        client.sendmail("a@b.example", ["c@d.example"], "Subject: x\n\nhello\n")
    else:
        client.list()


@pytest.mark.parametrize("name", VERB_WAYS)
def test_a_refusal_that_is_swallowed_comes_again(name: str, servers: Servers) -> None:
    way = WAYS[name]
    server = servers.plays(way.protocol, consent=refuses_verb, handshake=goes_on_in_clear)
    client = way.cls("127.0.0.1", server.port, policy=servers.policy)
    with contextlib.suppress(Exception):
        way.ask(client)
    with failing(server) as failure:
        send_mail(way, client)
    assert failure.error.code == "starttls-refused"
    assert_nothing_escaped(way, failure.records[0])


@pytest.mark.parametrize("name", VERB_WAYS)
@pytest.mark.parametrize("step", ["offer", "consent"])
def test_a_refusal_is_nothing_that_scripts_catch(step: str, name: str, servers: Servers) -> None:
    """`except (OSError, SMTPException): pass` around the verb does not carry on."""
    way = WAYS[name]
    server = servers.plays(
        way.protocol,
        offer=offers() if step == "offer" else offers_upgrade,
        consent=refuses_verb,
        handshake=goes_on_in_clear,
    )
    client = way.cls("127.0.0.1", server.port, policy=servers.policy)
    with failing(server) as failure:
        with contextlib.suppress(*SCRIPTS_CATCH):
            way.ask(client)
        send_mail(way, client)
    assert type(failure.error) is UpgradeRefused


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.by != "constructor"])
def test_the_error_leaves_a_with_block_unchanged(name: str, servers: Servers) -> None:
    way = WAYS[name]
    server = servers.plays(way.protocol, offer=offers())
    seen = []
    with failing(server) as failure:
        if way.by == "connect":
            client = way.cls(policy=servers.policy)
        else:
            client = way.cls("127.0.0.1", server.port, policy=servers.policy)
        with client:
            try:
                client.connect("127.0.0.1", server.port) if way.by == "connect" else way.ask(client)
            except Exception as error:
                seen.append(error)
                raise
    assert failure.error is seen[0]
    assert failure.error.code == "starttls-not-offered"
    assert_nothing_escaped(way, failure.records[0])


@pytest.mark.parametrize("name", VERB_WAYS)
def test_a_with_block_around_a_swallowed_refusal_says_nothing(name: str, servers: Servers) -> None:
    way = WAYS[name]
    server = servers.plays(way.protocol, offer=offers())
    with way.cls("127.0.0.1", server.port, policy=servers.policy) as client:
        with pytest.raises(UpgradeRefused):
            way.ask(client)
    (record,) = server.wait()
    assert_nothing_escaped(way, record)


@pytest.mark.parametrize("name", ["SMTP_STARTTLS, connect", "SMTP, verb"])
def test_connecting_again_after_a_refusal(name: str, servers: Servers) -> None:
    """The same object, another connection: nothing of the last one is left."""
    way = WAYS[name]
    first = servers.plays("smtp", offer=offers("EVIL"))
    second = servers.plays("smtp")
    client = way.cls(policy=servers.policy)
    with failing(first) as failure:
        client.connect("127.0.0.1", first.port)
        way.ask(client)
    assert client.report.port == first.port
    client.connect("127.0.0.1", second.port)
    if way.by == "verb":
        assert client.report.tls is None
        assert not client.has_extn("evil")
        way.ask(client)
    client.login(USER, PASSWORD)
    assert (client.report.port, client.report.auth.mechanism) == (second.port, "PLAIN")
    client.sendmail("a@b.example", ["c@d.example"], "Subject: x\n\nhello\n")

    # And once more, from a connection that was signed in on: that does not count here.
    third = servers.plays("smtp", consent=refuses_verb, handshake=goes_on_in_clear)
    with failing(third) as failure:
        client.connect("127.0.0.1", third.port)
        way.ask(client)
    assert failure.error.credentials_sent is False
    assert client.report.auth is None
    assert client.report.tls is None
    assert all(raised is failure.error for _, raised in later_errors(way, client))
    assert_nothing_escaped(way, third.wait()[0])
    assert leaks(second.wait()[0].received_tls, PASSWORD) != []
    assert leaks(bytes(second.records[0].wire), PASSWORD) == []


@pytest.mark.parametrize("number", [554, 421, 250, 221])
def test_smtp_connect_hands_out_nothing_in_clear(number: int, servers: Servers) -> None:
    """The standard `connect` returns a greeting that declines, and scripts do not look at it."""
    way = WAYS["SMTP_STARTTLS, connect"]
    failure = servers.fail(way, greeting=to_all(b"%d mx go on\r\n" % number))
    assert isinstance(failure.error, smtplib.SMTPException)
    assert "go on" in failure.text
    assert failure.records[0].wire == b""


def test_smtp_connect_returns_what_declines_as_the_standard_does(servers: Servers) -> None:
    """The control: the plain class returns it, as `smtplib` does, and is in clear anyway."""
    server = servers.plays("smtp", greeting=to_all(b"554 go away\r\n"))
    client = WAYS["SMTP, verb"].cls(policy=servers.policy)
    assert client.connect("127.0.0.1", server.port) == (554, b"go away")
    client.close()


# -- the verb where it makes no sense


@pytest.mark.parametrize("name", VERB_WAYS)
def test_the_verb_again_once_upgraded(name: str, servers: Servers) -> None:
    """The standard module's own complaint; nothing is sent, and the connection goes on."""
    way = WAYS[name]
    server = servers.plays(way.protocol)
    client = way.upgrade(way.blank(), server.port, policy=servers.policy)
    standard = {
        "imap": imaplib.IMAP4.abort,
        "pop3": poplib.error_proto,
        "smtp": smtplib.SMTPNotSupportedError,
    }[way.protocol]
    with pytest.raises(standard, match="already established"):
        way.ask(client)
    client.login(USER, PASSWORD)
    way.close(client)
    assert leaks(server.wait()[0].received_tls, PASSWORD) != []
    assert b"STARTTLS" not in server.records[0].received_tls


@pytest.mark.parametrize("name", VERB_WAYS)
def test_the_verb_without_a_connection(name: str, servers: Servers) -> None:
    way = WAYS[name]
    server = servers.plays(way.protocol)
    client = way.cls("127.0.0.1", server.port, policy=servers.policy)
    way.close(client)
    with pytest.raises(ConnectFailed, match="no connection to upgrade") as raised:
        way.ask(client)
    assert isinstance(raised.value, SCRIPTS_CATCH)
    assert clear_commands(server.wait()[0]) in ([], ["CAPABILITY"])


def test_smtp_that_was_never_connected(servers: Servers) -> None:
    with pytest.raises(smtplib.SMTPServerDisconnected, match="no connection to upgrade"):
        WAYS["SMTP, verb"].cls(policy=servers.policy).starttls()


# -- LMTP


def test_lmtp_is_upgraded_like_smtp(servers: Servers) -> None:
    server = servers.plays("smtp")
    client = LMTP("127.0.0.1", server.port, policy=servers.policy)
    client.starttls()
    assert client.report.tls is not None
    assert client.report.protocol == "LMTP with STARTTLS"
    client.close()


def test_lmtp_without_an_offer(servers: Servers) -> None:
    server = servers.plays("smtp", offer=offers())
    client = LMTP("127.0.0.1", server.port, policy=servers.policy)
    with failing(server) as failure:
        client.starttls()
    assert failure.error.code == "starttls-not-offered"
    assert failure.error.hint == "Ask its administrator."
    with pytest.raises(UpgradeRefused) as raised:
        client.sendmail("a@b.example", ["c@d.example"], "Subject: x\n\nhello\n")
    assert raised.value is failure.error
    assert clear_commands(failure.records[0]) == ["LHLO"]


# -- what is left of the words in clear


def test_after_a_refusal_nothing_of_them_is_left(servers: Servers) -> None:
    """Also of what can be asked for without a word to the server."""
    forged = says(
        imap=b'* LIST () "/" forged\r\n%t NO no\r\n', smtp=b"454 no\r\n", pop3=b"-ERR\r\n"
    )
    way = WAYS["IMAP4, verb"]
    server = servers.plays("imap", consent=forged)
    client = way.cls("127.0.0.1", server.port, policy=servers.policy)
    with pytest.raises(UpgradeRefused):
        client.starttls()
    assert client.response("LIST") == ("LIST", [None])
    assert client.capabilities == ()
    assert not client.welcome
    way = WAYS["SMTP, verb"]
    server = servers.plays("smtp", consent=forged)
    client = way.cls("127.0.0.1", server.port, policy=servers.policy)
    with pytest.raises(UpgradeRefused):
        client.starttls()
    assert not client.has_extn("starttls")
    assert client.ehlo_resp is None


def test_an_imap_object_that_is_opened_again_is_in_clear_again(servers: Servers) -> None:
    way = WAYS["IMAP4, verb"]
    server = servers.plays("imap")
    client = way.upgrade(way.blank(), server.port, policy=servers.policy)
    client.shutdown()
    client.open("127.0.0.1", server.port)
    client._connect()
    assert client.report.tls is None
    client.starttls()
    assert client.report.tls is not None
    client.login(USER, PASSWORD)
    way.close(client)


def test_a_reason_in_the_policy_file_is_for_the_plain_class(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pki: PKI
) -> None:
    """`plaintext` lets no PREAUTH through where TLS was asked for."""
    server = servers.plays("imap", greeting=says(imap=b"* PREAUTH welcome\r\n"))
    path = tmp_path / "securemail.toml"
    path.write_text(f'[servers."127.0.0.1:{server.port}"]\nplaintext = "a lonely wire"\n')
    monkeypatch.setenv("SECUREMAIL_POLICY", str(path))
    with pytest.raises(UpgradeRefused, match="PREAUTH"):
        WAYS["IMAP4_STARTTLS, constructor"].cls("127.0.0.1", server.port)
    WAYS["IMAP4, verb"].cls("127.0.0.1", server.port)._close_now()  # the control
