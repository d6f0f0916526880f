"""Real proxies and tunnels on loopback: SOCKS 5 by python-socks, and OpenSSH.

The connectors are those of docs/proxies-and-tunnels.md, word for word; `ssh -L` is executed there.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from python_socks import ProxyError

from docs_examples import ROOT, blocks
from securemail import (
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP,
    SMTP_SSL,
    SMTP_STARTTLS,
    CATrust,
    CertificateRejected,
    ConnectFailed,
    Limits,
    PolicyError,
    SecureMailError,
    TLSPolicy,
)
from servers import scripts
from servers.attempts import PASSWORD, USER, failing, open_sockets
from servers.leaks import leaks
from servers.pki import PKI
from servers.processes import open_folder, skipped_where_unavailable
from servers.recording import Conversation, RecordingServer
from servers.socks import SocksServer
from servers.ssh import SSHServer

HOST = "mail.example.org"
OTHER = "somebody.else.example"
SOON = Limits(connect=5, read=2)
CLASSES: dict[str, tuple[Any, str]] = {
    "POP3_SSL": (POP3_SSL, "pop3"),
    "POP3_STARTTLS": (POP3_STARTTLS, "pop3"),
    "IMAP4_SSL": (IMAP4_SSL, "imap"),
    "IMAP4_STARTTLS": (IMAP4_STARTTLS, "imap"),
    "SMTP_SSL": (SMTP_SSL, "smtp"),
    "SMTP_STARTTLS": (SMTP_STARTTLS, "smtp"),
}


def recipe(name: str, **changes: str) -> Any:
    """The function of the document, with other words in it as `changes` say."""
    text = (ROOT / "docs" / "proxies-and-tunnels.md").read_text(encoding="utf-8")
    (found,) = (b.text for b in blocks(text) if f"def {name}(" in b.text)
    text = found.partition("\nwith ")[0]
    for written, meant in changes.items():
        assert written in text
        text = text.replace(written, meant)
    namespace: dict[str, Any] = {}
    exec(text, namespace)  # noqa: S102 - a block of the document
    return namespace[name]


def by_socks(port: int, sign_in: str = "") -> Any:
    return recipe("by_socks", **{"socks5://127.0.0.1:1080": f"socks5://{sign_in}127.0.0.1:{port}"})


@pytest.fixture(params=CLASSES)
def mail(request: pytest.FixtureRequest, pki: PKI) -> Iterator[tuple[Any, RecordingServer]]:
    """A class, and the server for it."""
    cls, protocol = CLASSES[request.param]
    context, polite = pki["good"].server_context(), scripts.POLITE[protocol]
    is_implicit = request.param.endswith("_SSL")
    with RecordingServer(
        polite if is_implicit else polite.with_starttls(context),
        context=context if is_implicit else None,
    ) as server:
        yield cls, server


def attempt(cls: Any, pki: PKI, connector: Any, host: str = HOST, limits: Limits = SOON) -> Any:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = cls(host, 4444, policy=policy, connector=connector, limits=limits)
    try:
        client.login(USER, PASSWORD)
        return client.report
    finally:
        client.logout() if hasattr(client, "logout") else client.quit()


def assert_inside_of_tls(server: RecordingServer) -> None:
    (record,) = server.wait()
    assert leaks(record.received_tls, PASSWORD) != []
    assert leaks(record.received_clear, PASSWORD) == []


# --- SOCKS ----------------------------------------------------------------------------------------


def test_by_socks(mail: tuple[Any, RecordingServer], pki: PKI) -> None:
    """The name goes to the proxy, and TLS is for that name."""
    cls, server = mail
    with SocksServer({(HOST, 4444): (server.host, server.port)}) as proxy:
        report = attempt(cls, pki, by_socks(proxy.port))
    assert proxy.asked == [(HOST, 4444)]
    assert report.tls.host == HOST
    assert report.address == "by the connector, to 127.0.0.1"
    assert_inside_of_tls(server)


def test_by_socks_to_a_server_that_is_another(mail: tuple[Any, RecordingServer], pki: PKI) -> None:
    """The proxy leads elsewhere than it was asked to: nothing is said to whoever is there."""
    cls, server = mail
    with SocksServer({(OTHER, 4444): (server.host, server.port)}) as proxy:
        with pytest.raises(CertificateRejected, match=OTHER):
            attempt(cls, pki, by_socks(proxy.port), host=OTHER)
        server.wait()
    assert server.records[0].received_tls == b""
    assert leaks(server.records[0].everything, PASSWORD) == []


def test_a_proxy_that_wants_a_password(pki: PKI) -> None:
    context = pki["good"].server_context()
    with RecordingServer(scripts.imap_ok, context=context) as server:
        known = {(HOST, 4444): (server.host, server.port)}
        with SocksServer(known, sign_in=("alice", "proxy")) as proxy:
            assert attempt(IMAP4_SSL, pki, by_socks(proxy.port, "alice:proxy@")).tls
            for wrong in ("", "alice:wrong@"):
                with pytest.raises(ConnectFailed) as raised:
                    attempt(IMAP4_SSL, pki, by_socks(proxy.port, wrong))
                assert isinstance(raised.value.__cause__, ProxyError)
                assert "the connector by_socks could not connect (ProxyError: " in str(raised.value)
    assert server.connections == 1


def test_a_proxy_that_does_not_lead_there_or_is_not_there(pki: PKI) -> None:
    with SocksServer({}) as proxy:
        with pytest.raises(ConnectFailed, match="not allowed") as raised:
            attempt(IMAP4_SSL, pki, by_socks(proxy.port))
    assert isinstance(raised.value.__cause__, ProxyError)
    with pytest.raises(ConnectionRefusedError) as refused:
        attempt(IMAP4_SSL, pki, by_socks(proxy.port))
    assert isinstance(refused.value, ConnectFailed)
    assert refused.value.code == "connect-refused"


def hangs_up(conversation: Conversation) -> None:
    conversation.read(3)
    conversation.close()


def speaks_http(conversation: Conversation) -> None:
    conversation.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def is_silent(conversation: Conversation) -> None:
    conversation.sleep_until_closed(5)


@pytest.mark.parametrize("rude", [hangs_up, speaks_http, is_silent])
def test_what_is_no_proxy(rude: Callable[[Conversation], None], pki: PKI) -> None:
    with RecordingServer(rude) as server:
        with failing(server) as failure:
            attempt(IMAP4_SSL, pki, by_socks(server.port), limits=Limits(connect=0.5, read=2))
    assert failure.seconds < 2
    assert isinstance(failure.error, ConnectFailed)
    assert isinstance(failure.error, TimeoutError) == (rude is is_silent)
    assert leaks(server.records[0].everything, PASSWORD) == []


def test_a_proxy_on_this_computer_is_no_reason_to_send_mail_in_clear() -> None:
    with (
        RecordingServer(scripts.smtp_ok) as server,
        SocksServer({(HOST, 25): (server.host, server.port)}) as proxy,
    ):
        client = SMTP(HOST, connector=by_socks(proxy.port))
        with pytest.raises(PolicyError) as raised:
            client.sendmail("a@example.org", ["b@example.org"], "Subject: one\n\n")
        client.quit()
    assert raised.value.code == "content-in-clear"
    assert b"MAIL" not in server.wait()[0].everything


# --- ssh ------------------------------------------------------------------------------------------


@contextmanager
def bastion_to(port: int) -> Iterator[SSHServer]:
    """From where `HOST` leads to `port` of this computer."""
    with open_folder() as folder:
        with skipped_where_unavailable():
            server = SSHServer(folder, [port])
        server.command({f"[{HOST}]:4444": f"[127.0.0.1]:{port}", f"[{OTHER}]": "[127.0.0.1]"})
        with server:
            yield server


class Started(list[subprocess.Popen[bytes]]):
    """The programs that a connector starts."""

    def wait_until_ended(self) -> None:
        until = time.monotonic() + 5
        while any(one.returncode is None for one in self):  # set by the connector's own thread
            assert time.monotonic() < until, "an ssh was left running, or not taken note of"
            time.sleep(0.01)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    found, real = Started(), subprocess.Popen

    def popen(command: Any, *args: Any, **named: Any) -> Any:
        found.append(real(command, *args, **named))
        return found[-1]

    monkeypatch.setattr("subprocess.Popen", popen)
    return found


@pytest.mark.real_server
def test_by_ssh(
    pki: PKI, started: Started, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the first byte and by STARTTLS; another name; a port that the bastion does not lead to;
    and no ssh there at all. Nothing is left of any of them."""
    context = pki["good"].server_context()
    by_ssh = recipe("by_ssh")
    before = open_sockets()
    with RecordingServer(scripts.imap_ok.with_starttls(context)) as upgrading:
        with bastion_to(upgrading.port) as bastion:
            monkeypatch.setenv("PATH", str(bastion.bin), prepend=":")
            started.clear()
            report = attempt(IMAP4_STARTTLS, pki, by_ssh)
            assert report.address == "by the connector, to an unnamed socket of this computer"
            assert_inside_of_tls(upgrading)
            started.wait_until_ended()
            assert [one.returncode for one in started] == [0]

            to_its_port = recipe("by_ssh", **{"{port}": str(upgrading.port)})
            with pytest.raises(CertificateRejected, match=OTHER):
                attempt(IMAP4_STARTTLS, pki, to_its_port, host=OTHER)
            assert leaks(upgrading.wait(2)[1].everything, PASSWORD) == []
            started.wait_until_ended()

            capfd.readouterr()
            with pytest.raises(SecureMailError, match="hung up") as raised:
                attempt(IMAP4_SSL, pki, by_ssh, host=OTHER)  # port 4444
            assert raised.value.credentials_sent is False
            started.wait_until_ended()
            assert "administratively prohibited" in capfd.readouterr().err
            bastion.wait_until_idle()

            monkeypatch.setenv("PATH", "/nowhere")
            with pytest.raises(ConnectFailed, match="FileNotFoundError"):
                attempt(IMAP4_SSL, pki, by_ssh)
            monkeypatch.undo()
    assert len(started) == 3
    assert open_sockets() <= before


@pytest.mark.real_server
def test_by_ssh_when_the_bastion_falls_silent(
    pki: PKI, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own limits end the wait, and closing ends the ssh."""
    with RecordingServer(is_silent) as server, bastion_to(server.port) as bastion:
        monkeypatch.setenv("PATH", str(bastion.bin), prepend=":")
        started.clear()
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            attempt(IMAP4_SSL, pki, recipe("by_ssh"), limits=Limits(connect=1, read=1))
        assert time.monotonic() - begun < 4
        started.wait_until_ended()
