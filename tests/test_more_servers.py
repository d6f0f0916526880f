"""Our classes on Exim, Cyrus and Courier: sign in, read or send, and end, each way to TLS."""

import smtplib
import time
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


# -- farewells


@pytest.fixture(scope="module")
def hasty_exim(pki: PKI) -> Iterator[Exim]:
    """One that waits for a command for a second only."""
    with rooted.running(Exim, pki["good"], settings="smtp_receive_timeout = 1s") as server:
        yield server


def until_logged(exim: Exim, words: str) -> None:
    """Returns when the server's log has `words` once more than now."""
    before, end = exim.log().count(words), time.monotonic() + 20
    while exim.log().count(words) == before:
        assert time.monotonic() < end, f"never logged: {words}"
        time.sleep(0.05)


@real_server
@pytest.mark.parametrize(("name", "port"), SMTP)
def test_a_farewell_in_clear_is_no_error_once_the_mail_is_accepted(
    hasty_exim: Exim, connect: Connect, name: str, port: str
) -> None:
    """Exim writes its 421 in clear on the TLS socket when a client has been idle."""
    before = len(hasty_exim.queued())
    with connect(name, hasty_exim, port) as smtp:
        smtp.login("alice", "alice-pw")
        smtp.sendmail("alice@example.org", ["bob@example.org"], MESSAGE)
        until_logged(hasty_exim, "command timeout")
    assert len(hasty_exim.queued()) == before + 1


@real_server
@pytest.mark.parametrize(("name", "port"), SMTP)
def test_a_verb_after_a_farewell_in_clear_says_what_it_was(
    hasty_exim: Exim, connect: Connect, name: str, port: str
) -> None:
    smtp = connect(name, hasty_exim, port)
    smtp.login("alice", "alice-pw")
    until_logged(hasty_exim, "command timeout")
    with pytest.raises(smtplib.SMTPServerDisconnected) as caught:
        smtp.sendmail("alice@example.org", ["bob@example.org"], MESSAGE)
    assert isinstance(caught.value, securemail.SecureMailError)
    assert "does not speak TLS" not in str(caught.value)
    assert "farewell" in str(caught.value)


@real_server
def test_the_eleventh_noop_ends_a_session_with_exim(exim: Exim, connect: Connect) -> None:
    """`smtp_accept_max_nonmail`, ten by default: so NOOPs are no way to keep one open."""
    smtp = connect("SMTP_SSL", exim, "smtps")
    smtp.login("alice", "alice-pw")
    for _ in range(10):
        assert smtp.noop()[0] == 250
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.noop()


@pytest.fixture(scope="module")
def full_exim(pki: PKI) -> Iterator[Exim]:
    """One that takes one connection at a time."""
    with rooted.running(Exim, pki["good"], settings="smtp_accept_max = 1") as server:
        yield server


def once_it_is_free(connect: Connect, server: rooted.Rooted, name: str, port: str) -> Any:
    """Connected, once the server has noticed that those who came before are gone."""
    end = time.monotonic() + 20
    while True:
        try:
            return connect(name, server, port)
        except securemail.SecureMailError:
            assert time.monotonic() < end, "somebody is still connected"
            time.sleep(0.05)


@real_server
@pytest.mark.parametrize(("name", "port"), SMTP)
def test_a_full_exim_is_quoted(full_exim: Exim, connect: Connect, name: str, port: str) -> None:
    """On the TLS port its 421 comes in clear, before TLS: those words are the message."""
    with once_it_is_free(connect, full_exim, "SMTP_SSL", "smtps") as first:
        first.login("alice", "alice-pw")  # the control
        with pytest.raises(securemail.SecureMailError, match="421 Too many concurrent") as caught:
            connect(name, full_exim, port)
    assert "STARTTLS" not in caught.value.hint
    assert caught.value.credentials_sent is False


# -- LMTP


@real_server
def test_lmtp_of_cyrus(cyrus: CyrusIMAP, connect: Connect) -> None:
    with connect("IMAP4_SSL", cyrus, "imaps") as imap:
        imap.login("alice", "alice-pw")  # which makes the mailbox
    with securemail.smtp.LMTP(cyrus.host, cyrus.ports["lmtp"], timeout=20) as lmtp:
        with pytest.warns(securemail.PlaintextWarning):
            refused = lmtp.sendmail("a@example.org", ["alice", "nobody-here"], MESSAGE)
        assert list(refused) == ["nobody-here"]
        # Each reply belongs to its command still, and the warning was told once.
        assert lmtp.sendmail("a@example.org", ["alice"], MESSAGE) == {}


@pytest.fixture(scope="module")
def full_courier(pki: PKI) -> Iterator[Courier]:
    """One that takes one connection of an address at a time, on each port."""
    with rooted.running(Courier, pki["good"], most="1") as server:
        yield server


@real_server
@pytest.mark.parametrize(("name", "port"), IMAP + POP3)
def test_a_full_courier_hangs_up(
    full_courier: Courier, connect: Connect, name: str, port: str
) -> None:
    with once_it_is_free(connect, full_courier, name, port) as first:
        first.authenticate(Password("alice", "alice-pw"))  # the control
        # By a reset or by an end, as the system has it.
        ended = (securemail.ConnectFailed, securemail.TLSError)
        with pytest.raises(ended, match=r"hung up|ended the TLS handshake") as caught:
            connect(name, full_courier, port)
    assert "too many connections" in caught.value.hint
    assert caught.value.credentials_sent is False
