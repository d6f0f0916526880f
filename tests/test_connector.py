"""`connector=`: a socket of the caller's own making, to a proxy or a tunnel on this computer.

What it leads to are recording servers on loopback, so the wire is seen behind the "proxy". Real
proxies and tunnels are in `test_proxies.py`.
"""

import contextlib
import errno
import select
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from securemail import (
    AuthPolicy,
    CATrust,
    CertificateRejected,
    ConnectFailed,
    CredentialsRefused,
    LimitExceeded,
    Limits,
    PlaintextWarning,
    PolicyError,
    ProtocolViolation,
    SecureMailError,
    TimeLimitExceeded,
    TLSError,
    TLSPolicy,
    UpgradeRefused,
    imap,
    pop3,
    smtp,
)
from servers import scripts
from servers.attempts import PASSWORD, USER, assert_survives_pickling, failing
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.upgrades import VERBS, Upgrades, both, consents, greets

HOST = "mail.example.org"  # leads nowhere: only a connector gets there
SOON = Limits(connect=2, read=1)
Connector = Callable[[str, int, float | None], Any]


@dataclass(frozen=True)
class Class:
    """One of our classes, and the server for it."""

    cls: Any
    protocol: str
    port: int

    @property
    def name(self) -> str:
        return str(self.cls.__name__)

    @property
    def is_private(self) -> bool:
        return self.name.endswith(("_SSL", "_STARTTLS"))

    def serve(self, pki: PKI, script: Any = None, certificate: str = "good") -> RecordingServer:
        context = pki[certificate].server_context()
        polite = script or scripts.POLITE[self.protocol]
        if self.name.endswith("_SSL"):
            return RecordingServer(polite, context=context)
        if self.is_private and script is None:
            return RecordingServer(scripts.POLITE[self.protocol].with_starttls(context))
        return RecordingServer(polite)

    def connect(self, pki: PKI, connector: Connector, host: str = HOST, **args: Any) -> Any:
        args.setdefault("limits", SOON)
        if self.is_private:
            args.setdefault("policy", TLSPolicy(trust=CATrust(pki.ca_pem)))
        return self.cls(host, connector=connector, **args)


CLASSES = [
    Class(pop3.POP3, "pop3", 110),
    Class(pop3.POP3_SSL, "pop3", 995),
    Class(pop3.POP3_STARTTLS, "pop3", 110),
    Class(imap.IMAP4, "imap", 143),
    Class(imap.IMAP4_SSL, "imap", 993),
    Class(imap.IMAP4_STARTTLS, "imap", 143),
    Class(smtp.SMTP, "smtp", 25),
    Class(smtp.SMTP_SSL, "smtp", 465),
    Class(smtp.SMTP_STARTTLS, "smtp", 587),
    Class(smtp.LMTP, "smtp", 2003),
]
PRIVATE = [one for one in CLASSES if one.is_private]
CLEAR = [one for one in CLASSES if not one.is_private]
THREE = [one for one in CLASSES if one.name in ("POP3_SSL", "IMAP4_STARTTLS", "SMTP")]


def each(classes: list[Class]) -> Any:
    return pytest.mark.parametrize("one", classes, ids=lambda one: one.name)


class Way:
    """A connector: what it was asked, and the sockets that it made. `change`: done to each."""

    def __init__(
        self, server: RecordingServer | None, change: Callable[[Any], Any] = lambda sock: sock
    ) -> None:
        self.server, self.change = server, change
        self.asked: list[tuple[str, int, float | None]] = []
        self.made: list[Any] = []
        self.handed: Any = None

    def __call__(self, host: str, port: int, timeout: float | None) -> Any:
        self.asked.append((host, port, timeout))
        assert self.server is not None
        self.made.append(socket.create_connection((self.server.host, self.server.port), 5))
        self.handed = self.change(self.made[-1])
        return self.handed


@pytest.fixture(autouse=True)
def no_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """But this computer's."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **named: Any) -> Any:
        assert host == "127.0.0.1", f"{host} was looked up here, not at the proxy"
        return real(host, *args, **named)

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)


def say_goodbye(client: Any) -> None:
    client.logout() if hasattr(client, "logout") else client.quit()


# --- it works, on every class ---------------------------------------------------------------------


@each(CLASSES)
def test_it_is_asked_for_the_host_and_port_that_would_be_dialled(one: Class, pki: PKI) -> None:
    with one.serve(pki) as server:
        way = Way(server)
        client = one.connect(pki, way)
        report = client.report
        say_goodbye(client)
    ((host, port, seconds),) = way.asked
    assert (host, port) == (HOST, one.port)
    assert seconds is not None
    assert 1 < seconds <= 2
    assert (report.host, report.port) == (HOST, one.port)
    assert report.address == "by the connector, to 127.0.0.1"
    assert f"{HOST}:{one.port} " in str(report)
    assert "), by the connector, to 127.0.0.1\n" in str(report)


@each(PRIVATE)
def test_tls_is_verified_for_the_name_behind_it(one: Class, pki: PKI) -> None:
    """The control: everything is as without a connector, with the sign-in inside of TLS."""
    with one.serve(pki) as server:
        client = one.connect(pki, Way(server))
        client.login(USER, PASSWORD)
        assert client.report.tls.host == HOST
        say_goodbye(client)
    (record,) = server.wait()
    assert leaks(record.received_tls, PASSWORD) != []
    assert leaks(record.received_clear, PASSWORD) == []


@each(PRIVATE)
def test_another_name_is_refused_and_nothing_is_said(one: Class, pki: PKI) -> None:
    with one.serve(pki) as server:
        with failing(server) as failure:
            one.connect(pki, Way(server), host="somebody.else.example")
    assert isinstance(failure.error, CertificateRejected)
    assert failure.error.host == "somebody.else.example"
    assert server.records[0].received_tls == b""


@each(THREE)
def test_names_are_normalised_and_never_looked_up_here(one: Class, pki: PKI) -> None:
    with one.serve(pki) as server:
        way = Way(server)
        client = one.connect(pki, way, host="Imap.B\u00fccher.Example.", server_hostname=HOST)
        say_goodbye(client)
    assert way.asked[0][0] == "imap.xn--bcher-kva.example"


@each(THREE)
def test_without_a_limit_it_is_told_none(one: Class, pki: PKI) -> None:
    with one.serve(pki) as server:
        way = Way(server)
        say_goodbye(one.connect(pki, way, limits=Limits(connect=None)))
    assert way.asked[0][2] is None


def test_it_is_kept_for_connecting_again(pki: PKI) -> None:
    with RecordingServer(scripts.smtp_ok) as server:
        way = Way(server)
        client = smtp.SMTP(connector=way)
        assert way.asked == [], "no host yet"
        client.connect(HOST)
        client.connect("other.example.org", 2525)
        assert client.report.address == "by the connector, to 127.0.0.1"
        client.quit()
    assert [asked[:2] for asked in way.asked] == [(HOST, 25), ("other.example.org", 2525)]


def test_the_socket_of_imap4_open_is_the_connectors_too(pki: PKI) -> None:
    with RecordingServer(scripts.imap_ok) as server:
        way = Way(server)
        client = imap.IMAP4(HOST, connector=way)
        client.shutdown()
        client.open("other.example.org", 1143)
        client.shutdown()
    assert [asked[:2] for asked in way.asked] == [(HOST, 143), ("other.example.org", 1143)]


def by_pair(server: RecordingServer) -> Connector:
    """As `ssh -W` is used: one end of a socket pair, and somebody who carries between."""

    def connector(host: str, port: int, timeout: float | None) -> socket.socket:
        ours, its = socket.socketpair()
        carry(its, socket.create_connection((server.host, server.port)))
        return ours

    return connector


def carry(one: socket.socket, other: socket.socket) -> None:
    def run(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            with lock:
                ended.append(source)
                if len(ended) == 2:
                    one.close()
                    other.close()

    lock, ended = threading.Lock(), list[socket.socket]()
    for pair in ((one, other), (other, one)):
        threading.Thread(target=run, args=pair, daemon=True).start()


@each(CLASSES)
def test_a_socket_pair_will_do(one: Class, pki: PKI) -> None:
    """It has no address, and none of TCP's options."""
    with one.serve(pki) as server:
        client = one.connect(pki, by_pair(server))
        assert client.noop() is not None
        assert client.report.address == "by the connector, to an unnamed socket of this computer"
        say_goodbye(client)


# --- the proxy is on this computer; the server is not ---------------------------------------------


def sends_mail(client: Any) -> Any:
    if hasattr(client, "sendmail"):
        return client.sendmail("a@example.org", ["b@example.org"], "Subject: the secret plan\n\n")
    if hasattr(client, "retr"):
        return client.retr(1)
    client.state = "AUTH"
    return client.append("the secret plan", None, None, b"Subject: the secret plan\n\n")


MAIL = ("secret plan", "RETR", "MAIL FROM", "APPEND")


@each(CLEAR)
@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "localhost"])
def test_no_mail_goes_in_clear_because_a_proxy_is_on_this_computer(
    one: Class, host: str, pki: PKI
) -> None:
    with one.serve(pki) as server:
        for connector in (Way(server), by_pair(server)):
            client = one.connect(pki, connector, host=host)
            with pytest.raises(PolicyError) as raised:
                sends_mail(client)
            assert raised.value.code == "content-in-clear"
            client.noop()
            client._close_now()
    for record in server.wait(2):
        assert not any(word.encode() in record.everything for word in MAIL)


@each(CLEAR)
def test_to_a_server_that_is_on_this_computer_it_does(one: Class, pki: PKI) -> None:
    """The control: the same server and words, without the connector."""
    with one.serve(pki) as server:
        client = one.cls("127.0.0.1", server.port, limits=SOON)
        declines = (pop3.error_proto, imap.IMAP4.error)
        with (
            pytest.warns(PlaintextWarning, match="the server is this computer"),
            contextlib.suppress(*declines),
        ):
            sends_mail(client)
        client._close_now()
    assert any(word.encode() in server.wait()[0].everything for word in MAIL)


@each([one for one in CLEAR if one.name != "LMTP"])  # the server has no sign-in for that
def test_nor_a_password(one: Class, pki: PKI) -> None:
    """`clear_on_loopback` is for a server whose address is seen."""
    auth = AuthPolicy(clear_on_loopback="a test server of my own")
    with one.serve(pki) as server:
        for connector in (Way(server), by_pair(server)):
            client = one.connect(pki, connector, host="127.0.0.1", auth=auth)
            with pytest.raises(CredentialsRefused) as raised:
                client.login(USER, PASSWORD)
            assert raised.value.code == "channel-not-verified"
            assert raised.value.credentials_sent is False
            client._close_now()
        records = server.wait(2)
        assert all(leaks(record.everything, PASSWORD) == [] for record in records)

        client = one.cls("127.0.0.1", server.port, limits=SOON, auth=auth)  # the control
        with pytest.warns(PlaintextWarning, match="a test server of my own"):
            client.login(USER, PASSWORD)
        client._close_now()
        assert leaks(server.wait(3)[2].everything, PASSWORD) != []


class Lying(socket.socket):
    """As those of PySocks: says what it was asked for, not where TCP goes."""

    def getpeername(self) -> Any:
        return ("127.0.0.1" if self.claims_loopback else HOST, 25)

    claims_loopback = False


@pytest.mark.parametrize("claims_loopback", [True, False])
def test_what_the_socket_says_of_itself_counts_for_nothing(claims_loopback: bool) -> None:
    def lie(sock: socket.socket) -> socket.socket:
        lying = Lying(fileno=sock.detach())
        lying.claims_loopback = claims_loopback
        return lying

    with RecordingServer(scripts.smtp_ok) as server:
        client = smtp.SMTP(HOST, connector=Way(server, lie))
        assert client.report.address == "by the connector, to 127.0.0.1"
        with pytest.raises(PolicyError, match="in clear"):
            sends_mail(client)
        client.quit()


def test_a_reason_is_a_reason_there_too() -> None:
    """The control of the above: what is asked for by its own name goes through."""
    with RecordingServer(scripts.smtp_ok) as server:
        client = smtp.SMTP(HOST, connector=Way(server), plaintext="the tunnel encrypts it")
        with pytest.warns(PlaintextWarning, match="the tunnel encrypts it"):
            sends_mail(client)
        client.quit()
    assert b"secret plan" in server.records[0].received_clear


# --- what is no socket to talk over ---------------------------------------------------------------


async def waits(sock: Any) -> Any:
    return sock


def with_tls_of_its_own(sock: socket.socket) -> ssl.SSLSocket:
    return ssl.create_default_context().wrap_socket(
        sock, server_hostname=HOST, do_handshake_on_connect=False
    )


def datagrams(sock: socket.socket) -> socket.socket:
    sock.close()
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.connect(("127.0.0.1", 9))  # sends nothing
    return other


def closed(sock: socket.socket) -> socket.socket:
    sock.close()
    return sock


def unconnected(sock: socket.socket) -> socket.socket:
    sock.close()
    return socket.socket()


def nothing(sock: socket.socket) -> None:
    sock.close()


def stream(sock: socket.socket) -> Any:
    with sock:
        return sock.makefile("rwb")


ODD: dict[str, tuple[Any, str]] = {
    "nothing": (nothing, "a NoneType"),
    "a stream": (stream, "a BufferedRWPair"),
    "a coroutine": (waits, "a coroutine"),
    "TLS": (with_tls_of_its_own, "a socket with TLS of its own"),
    "datagrams": (datagrams, "a socket that is no stream"),
    "closed": (closed, "a socket that is closed, or not connected"),
    "not connected": (unconnected, "a socket that is closed, or not connected"),
}


@each(THREE)
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_connected_socket_without_tls_is_refused(
    one: Class, name: str, pki: PKI
) -> None:
    change, says = ODD[name]
    with one.serve(pki) as server:
        way = Way(server, change)
        with pytest.raises(PolicyError) as raised:
            one.connect(pki, way)
        if isinstance(way.handed, socket.socket):
            assert way.handed.fileno() == -1, "it is closed"
        way.made[0].close()  # of what is no socket
        assert server.wait()[0].everything.strip() == b""
    error = raised.value
    assert error.code == "connector"
    assert f"the connector Way handed back {says}" in str(error)
    assert "No password was sent." in str(error)
    assert (error.host, error.port) == (HOST, one.port)


def test_what_cannot_be_called_is_refused_at_once() -> None:
    for cls in (one.cls for one in CLASSES):
        with pytest.raises(PolicyError, match="cannot be called") as raised:
            cls(HOST, connector="socks5://127.0.0.1:1080")
        assert raised.value.code == "connector"


@pytest.mark.parametrize("cls", [smtp.SMTP, smtp.SMTP_SSL, smtp.SMTP_STARTTLS, smtp.LMTP])
def test_a_source_address_beside_it_is_refused(cls: Any) -> None:
    way = Way(None)
    with pytest.raises(PolicyError, match="source_address") as raised:
        cls(HOST, connector=way, source_address=("127.0.0.1", 0))
    assert raised.value.code == "connector"
    client = cls(connector=way)
    with pytest.raises(PolicyError, match="source_address"):
        client.connect(HOST, source_address=("127.0.0.1", 0))
    assert way.asked == []


def test_a_socket_file_beside_it_is_refused() -> None:
    with pytest.raises(PolicyError, match="socket file") as raised:
        smtp.LMTP("/run/lmtp", connector=Way(None))
    assert raised.value.code == "connector"


# --- connectors that fail -------------------------------------------------------------------------


class ProxyError(Exception):
    """As python-socks has it: no OSError."""


class ProxyConnectionError(OSError):
    """Likewise."""


FAILURES: dict[str, tuple[Exception, type[Exception], str]] = {
    "refused": (
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        ConnectionRefusedError,
        "connect-refused",
    ),
    "reset": (ConnectionResetError(errno.ECONNRESET, "reset"), OSError, "connect-reset"),
    "timed out": (TimeoutError("timed out"), TimeoutError, "connect-timed-out"),
    "denied": (PermissionError(errno.EPERM, "no"), PermissionError, "connect-denied"),
    "name": (socket.gaierror(socket.EAI_NONAME, "unknown"), socket.gaierror, "name-not-found"),
    "OSError": (OSError(errno.ENETUNREACH, "no way"), OSError, "connect"),
    "OSError in words": (OSError("the bastion is asleep"), OSError, "connect"),
    "refused, in another's class": (
        ProxyConnectionError(errno.ECONNREFUSED, "no proxy"),
        ConnectionRefusedError,
        "connect-refused",
    ),
    "its own TLS": (ssl.SSLError(1, "no TLS to the proxy"), OSError, "connect"),
    "proxy": (ProxyError("Host unreachable"), OSError, "connect"),
    "mistake": (TypeError("unexpected keyword"), OSError, "connect"),
    "without words": (EOFError(), OSError, "connect"),
}


@each(THREE)
@pytest.mark.parametrize("name", FAILURES)
def test_what_it_raises_is_told_as_if_we_had_dialled(one: Class, name: str, pki: PKI) -> None:
    raised_there, kind, code = FAILURES[name]

    def by_bastion(host: str, port: int, timeout: float | None) -> socket.socket:
        raise raised_there

    with pytest.raises(ConnectFailed) as raised:
        one.connect(pki, by_bastion)
    error = raised.value
    assert isinstance(error, kind)
    assert error.code == code
    assert error.__cause__ is raised_there
    assert error.errno == getattr(raised_there, "errno", None)
    said = getattr(raised_there, "strerror", None) or str(raised_there)
    assert "the connector by_bastion could not connect (" in str(error)
    assert f"{type(raised_there).__name__}{': ' if said else ''}{said})." in str(error)
    assert "No password was sent." in str(error)
    assert (error.host, error.port) == (HOST, one.port)
    assert_survives_pickling(error)


@each(THREE)
@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(3), UserWarning("made an error"), SecureMailError("mine")],
    ids=lambda error: type(error).__name__,
)
def test_some_pass_as_they_are(one: Class, error: BaseException, pki: PKI) -> None:
    def connector(host: str, port: int, timeout: float | None) -> socket.socket:
        raise error

    with pytest.raises(type(error)) as raised:
        one.connect(pki, connector)
    assert raised.value is error


@each(THREE)
def test_one_that_takes_too_long_is_not_interrupted_and_comes_too_late(
    one: Class, pki: PKI
) -> None:
    def sleep(sock: socket.socket) -> socket.socket:
        time.sleep(0.15)
        return sock

    with one.serve(pki) as server:
        with failing(server) as failure:
            one.connect(pki, Way(server, sleep), limits=Limits(connect=0.1, read=1))
        assert isinstance(failure.error, TimeoutError)
        assert failure.error.code == "connect-timed-out"
        assert "the connector Way took more than 0.1 s" in failure.text

        say_goodbye(one.connect(pki, Way(server, sleep), limits=SOON))  # the control


# --- bad servers behind it ------------------------------------------------------------------------


def nonsense(conversation: Conversation) -> None:
    conversation.send(b"\x05\xff")  # a SOCKS server that takes no method, to nobody


def hangs_up(conversation: Conversation) -> None:
    conversation.close()


def resets(conversation: Conversation) -> None:
    conversation.reset()


def is_silent(conversation: Conversation) -> None:
    conversation.sleep_until_closed(5)


@each(CLASSES)
@pytest.mark.parametrize("rude", [nonsense, hangs_up, resets, is_silent])
def test_a_proxy_that_is_rude_ends_it_in_time(
    one: Class, rude: Callable[[Conversation], None], pki: PKI
) -> None:
    with RecordingServer(rude) as server:
        with failing(server) as failure:
            one.connect(pki, Way(server), limits=Limits(connect=0.25, read=0.25))
        assert failure.seconds < 2
        expected = TimeLimitExceeded if rude is is_silent else SecureMailError
        assert isinstance(failure.error, expected)
        assert not isinstance(failure.error, PolicyError)
        assert failure.error.credentials_sent is False


@each(THREE)
def test_a_reset_before_we_had_the_socket_is_the_proxys_fault(one: Class, pki: PKI) -> None:
    def resets_later(conversation: Conversation) -> None:
        conversation.read(1)
        conversation.reset()

    def talk(sock: socket.socket) -> socket.socket:
        sock.sendall(b"\x05")
        waiting = select.poll()
        waiting.register(sock, select.POLLIN)
        assert waiting.poll(5000), "the reset is here"
        return sock

    with RecordingServer(resets_later) as server:
        with failing(server) as failure:
            one.connect(pki, Way(server, talk))
    assert isinstance(failure.error, ConnectionResetError)
    assert failure.error.errno == errno.ECONNRESET
    assert "the proxy or tunnel hung up" in failure.text


@each(PRIVATE)
def test_words_in_clear_are_not_taken_for_tls(one: Class, pki: PKI) -> None:
    """A proxy's own answer that the connector left unread, or somebody in between."""

    def speaks_first(conversation: Conversation) -> None:
        conversation.send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        conversation.read_line(2)

    def waiting(sock: socket.socket) -> socket.socket:
        sock.recv(1, socket.MSG_PEEK)
        return sock

    with RecordingServer(speaks_first) as server:
        with failing(server) as failure:
            one.connect(pki, Way(server, waiting))
    assert "407" in failure.text
    if one.name.endswith("_SSL"):
        assert isinstance(failure.error, TLSError)
        assert failure.error.code == "plaintext-port"
        assert server.records[0].everything.strip() == b""
    else:
        assert isinstance(failure.error, ProtocolViolation)


@each([one for one in PRIVATE if one.name.endswith("_STARTTLS")])
def test_nothing_in_clear_survives_the_upgrade(one: Class, pki: PKI) -> None:
    """Words that came with the consent, by whichever way the socket was made."""
    context = pki["good"].server_context()
    more = both(consents, greets)
    with RecordingServer(Upgrades(one.protocol, context, consent=more)) as server:
        with failing(server) as failure:
            one.connect(pki, Way(server))
        assert isinstance(failure.error, UpgradeRefused)
        assert failure.error.code == "starttls-leftover"
    with RecordingServer(Upgrades(one.protocol, context)) as server:  # the control
        say_goodbye(one.connect(pki, Way(server)))
    assert VERBS[one.protocol].encode() in server.records[0].received_clear


@each(CLASSES)
@pytest.mark.parametrize("timeout", [None, 0.0, 300.0], ids=str)
def test_our_time_limits_hold_whatever_those_of_the_socket_were(
    one: Class, timeout: float | None, pki: PKI
) -> None:
    def set_timeout(sock: socket.socket) -> socket.socket:
        sock.settimeout(timeout)
        return sock

    with one.serve(pki) as server:
        client = one.connect(pki, Way(server, set_timeout), limits=Limits(connect=5, read=0.7))
        assert client.sock.gettimeout() == 0.7
        assert client.noop() is not None
        client._close_now()


@each(CLEAR)
def test_so_a_server_that_goes_silent_does_not_hold_us(one: Class, pki: PKI) -> None:
    def greets_alone(conversation: Conversation) -> None:
        conversation.send(scripts.GREETINGS[one.protocol])
        if one.protocol == "imap":
            tag = conversation.read_line().split()[0]
            conversation.send(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")
        conversation.sleep_until_closed(5)

    def blocking(sock: socket.socket) -> socket.socket:
        sock.settimeout(None)
        return sock

    with RecordingServer(greets_alone) as server:
        client = one.connect(pki, Way(server, blocking), limits=Limits(connect=5, read=0.3))
        started = time.monotonic()
        with pytest.raises(LimitExceeded):
            client.noop()
        assert time.monotonic() - started < 2


def test_tcp_has_the_options_that_dial_sets(pki: PKI) -> None:
    with RecordingServer(scripts.smtp_ok) as server:
        client = smtp.SMTP(HOST, connector=Way(server))
        found = client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.quit()
        plain = smtp.SMTP("127.0.0.1", server.port)
        assert plain.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == found
        assert found
        plain.quit()


def test_a_lambda_is_a_connector() -> None:
    with RecordingServer(scripts.smtp_ok) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        where = (server.host, server.port)
        client = smtp.SMTP(HOST, connector=lambda *_: socket.create_connection(where))
        client.quit()
