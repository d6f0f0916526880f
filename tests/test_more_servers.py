"""Our classes on Exim, Cyrus and Courier: sign in, read or send, and end, each way to TLS."""

import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import securemail
from securemail import CATrust, Password, TLSPolicy
from servers import rooted
from servers.courier import Courier
from servers.cyrus_imap import CyrusIMAP
from servers.exim import Exim
from servers.pki import PKI
from servers.processes import REQUIRED, ServerUnavailable

real_server = pytest.mark.real_server

MESSAGE = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hello\r\n\r\nhello, bob\r\n"

# The class, and the port's name where it goes.
SMTP = [("SMTP_SSL", "smtps"), ("SMTP_STARTTLS", "smtp")]
IMAP = [("IMAP4_SSL", "imaps"), ("IMAP4_STARTTLS", "imap")]
POP3 = [("POP3_SSL", "pop3s"), ("POP3_STARTTLS", "pop3")]

Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def exim(pki: PKI) -> Iterator[Exim]:
    with rooted.running(Exim, pki["good"]) as server:
        yield server


@pytest.fixture(scope="module")
def cyrus(pki: PKI) -> Iterator[CyrusIMAP]:
    with rooted.running(CyrusIMAP, pki["good"]) as server:
        yield server


@pytest.fixture(scope="module")
def courier(pki: PKI) -> Iterator[Courier]:
    with rooted.running(Courier, pki["good"]) as server:
        yield server


@pytest.fixture
def connect(pki: PKI) -> Connect:
    """A connection of the named class to a server's port, which is for localhost."""
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))

    def connected(name: str, server: rooted.Rooted, port: str) -> Any:
        cls = getattr(securemail, name)
        return cls(
            server.host, server.ports[port], policy=policy, server_hostname="localhost", timeout=20
        )

    return connected


@pytest.fixture(params=["cyrus", "courier"])
def mailboxes(request: pytest.FixtureRequest) -> rooted.Rooted:
    server: rooted.Rooted = request.getfixturevalue(request.param)
    return server


# -- Exim


@real_server
@pytest.mark.parametrize(("name", "port"), SMTP)
def test_exim_takes_mail(exim: Exim, connect: Connect, name: str, port: str) -> None:
    before = len(exim.queued())
    with connect(name, exim, port) as smtp:
        assert smtp.login("alice", "alice-pw")[0] == 235
        assert smtp.sendmail("alice@example.org", ["bob@example.org"], MESSAGE) == {}
        assert smtp.report.tls is not None
        assert smtp.quit()[0] == 221
    assert len(exim.queued()) == before + 1
    assert b"hello, bob" in exim.queued()[-1]


@real_server
@pytest.mark.parametrize(("name", "port"), SMTP)
def test_exim_declines(exim: Exim, connect: Connect, name: str, port: str) -> None:
    before = len(exim.queued())
    with connect(name, exim, port) as smtp, pytest.raises(securemail.AuthenticationFailed):
        smtp.login("alice", "wrong")
    with connect(name, exim, port) as smtp:
        smtp.login("alice", "alice-pw")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("alice@example.org", ["nobody-here@example.org"], MESSAGE)
        assert smtp.noop()[0] == 250  # the control: the session goes on
    assert len(exim.queued()) == before


# -- Cyrus and Courier


@real_server
@pytest.mark.parametrize(("name", "port"), IMAP)
def test_mail_by_imap(mailboxes: rooted.Rooted, connect: Connect, name: str, port: str) -> None:
    with connect(name, mailboxes, port) as imap:
        assert imap.login("alice", "alice-pw")[0] == "OK"
        assert imap.append("INBOX", None, None, MESSAGE)[0] == "OK"
        number = imap.select("INBOX")[1][0].decode()
        assert imap.fetch(number, "(BODY.PEEK[])")[1][0][1] == MESSAGE
        assert imap.logout()[0] == "BYE"


@real_server
@pytest.mark.parametrize(("name", "port"), POP3)
def test_mail_by_pop3(mailboxes: rooted.Rooted, connect: Connect, name: str, port: str) -> None:
    with connect("IMAP4_SSL", mailboxes, "imaps") as imap:
        imap.login("alice", "alice-pw")
        imap.append("INBOX", None, None, MESSAGE)
    with connect(name, mailboxes, port) as pop3:
        pop3.authenticate(Password("alice", "alice-pw"))
        count = pop3.stat()[0]
        assert b"\r\n".join(pop3.retr(count)[1]) + b"\r\n" == MESSAGE
        pop3.dele(count)
        assert pop3.quit().startswith(b"+OK")
    with connect(name, mailboxes, port) as pop3:
        pop3.authenticate(Password("alice", "alice-pw"))
        assert pop3.stat()[0] == count - 1


@real_server
@pytest.mark.parametrize(("name", "port"), IMAP + POP3)
def test_a_wrong_password(mailboxes: rooted.Rooted, connect: Connect, name: str, port: str) -> None:
    failed = pytest.raises(securemail.AuthenticationFailed)
    with connect(name, mailboxes, port) as connection, failed:
        connection.authenticate(Password("alice", "wrong"))


# -- where they are not


def test_where_they_are_not_the_tests_are_skipped_or_fail(
    pki: PKI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(rooted.ROOT, str(tmp_path / "nowhere"))
    monkeypatch.delenv(REQUIRED, raising=False)
    skipped = pytest.raises(pytest.skip.Exception, match="install-test-servers")
    with skipped, rooted.running(Exim, pki["good"]):
        pass
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="nowhere"), rooted.running(Exim, pki["good"]):
        pass


def test_half_of_the_root_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "srv").mkdir()
    monkeypatch.setenv(rooted.ROOT, str(tmp_path))
    with pytest.raises(ServerUnavailable, match="install-test-servers"):
        rooted.place()
