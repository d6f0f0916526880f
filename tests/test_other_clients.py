"""`TLSPolicy.ssl_context()` in the hands of other clients: what it enforces holds there too.

The clients are the standard modules themselves, IMAPClient, imap_tools, aiosmtplib, aioimaplib,
asyncio's streams, and uvloop's where it is installed.
"""

import asyncio
import contextlib
import imaplib
import importlib.util
import poplib
import smtplib
import socket
import ssl
import time
import traceback
import warnings
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import aioimaplib
import aiosmtplib
import imap_tools
import imapclient
import pytest

from securemail import (
    CATrust,
    CertificateRejected,
    ExactCertificate,
    Pin,
    PinMismatch,
    PolicyError,
    SelfSignedWarning,
    TLSPolicy,
)
from servers import scripts
from servers.asynchronous import to_the_end
from servers.dovecot import USERS
from servers.leaks import leaks
from servers.pki import PKI, Issued
from servers.recording import Conversation, RecordingServer

real_server = pytest.mark.real_server

USER, PASSWORD = "alice", USERS["alice"]
TIMEOUT = 20

# -- the clients: each connects, signs in, asks for something, and says goodbye

Use = Callable[[str, int, ssl.SSLContext], None]


@dataclass(frozen=True)
class Client:
    """One way to use one client. `port` is the name of the real servers' port."""

    port: str
    use: Use

    @property
    def protocol(self) -> str:
        return {"i": "imap", "p": "pop3", "s": "smtp"}[self.port[0]]

    @property
    def upgrades(self) -> bool:
        """Whether it starts in clear and changes to TLS."""
        return not self.port.endswith("s")


CLIENTS: dict[str, Client] = {}


def client(port: str) -> Callable[[Use], Use]:
    def register(use: Use) -> Use:
        CLIENTS[use.__name__] = Client(port, use)
        return use

    return register


def client_async(port: str) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], None]:
    def register(use: Callable[..., Coroutine[Any, Any, None]]) -> None:
        def run(host: str, port: int, context: ssl.SSLContext) -> None:
            asyncio.run(to_the_end(use(host, port, context)))

        CLIENTS[use.__name__] = Client(port, run)
        if importlib.util.find_spec("uvloop") and use.__name__.startswith("asyncio"):
            CLIENTS[use.__name__.replace("asyncio", "uvloop")] = Client(port, under_uvloop(use))

    return register


def under_uvloop(use: Callable[..., Coroutine[Any, Any, None]]) -> Use:
    def run(host: str, port: int, context: ssl.SSLContext) -> None:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(use(host, port, context), TIMEOUT))

    return run


@client("imaps")
def imaplib_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    with imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=TIMEOUT) as imap:
        imap.login(USER, PASSWORD)
        assert imap.noop()[0] == "OK"


@client("imap")
def imaplib_starttls(host: str, port: int, context: ssl.SSLContext) -> None:
    with imaplib.IMAP4(host, port, timeout=TIMEOUT) as imap:
        imap.starttls(context)
        imap.login(USER, PASSWORD)
        assert imap.noop()[0] == "OK"


@client("pop3s")
def poplib_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    pop3_session(poplib.POP3_SSL(host, port, context=context, timeout=TIMEOUT))


@client("pop3")
def poplib_stls(host: str, port: int, context: ssl.SSLContext) -> None:
    pop3 = poplib.POP3(host, port, timeout=TIMEOUT)
    try:
        pop3.stls(context)
        pop3_session(pop3)
    finally:
        pop3.close()


def pop3_session(pop3: poplib.POP3) -> None:
    pop3.user(USER)
    pop3.pass_(PASSWORD)
    assert pop3.noop().startswith(b"+OK")
    pop3.quit()


@client("submissions")
def smtplib_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    with smtplib.SMTP_SSL(host, port, context=context, timeout=TIMEOUT) as smtp:
        smtp.login(USER, PASSWORD)
        assert smtp.noop()[0] == 250


@client("submission")
def smtplib_starttls(host: str, port: int, context: ssl.SSLContext) -> None:
    with smtplib.SMTP(host, port, timeout=TIMEOUT) as smtp:
        smtp.starttls(context=context)
        smtp.login(USER, PASSWORD)
        assert smtp.noop()[0] == 250


@client("imaps")
def imapclient_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    with imapclient.IMAPClient(host, port, ssl_context=context, timeout=TIMEOUT) as imap:
        imap.login(USER, PASSWORD)
        imap.noop()


@client("imap")
def imapclient_starttls(host: str, port: int, context: ssl.SSLContext) -> None:
    with imapclient.IMAPClient(host, port, ssl=False, timeout=TIMEOUT) as imap:
        imap.starttls(context)
        imap.login(USER, PASSWORD)
        imap.noop()


@client("imaps")
def imap_tools_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    box = imap_tools.MailBox(host, port, timeout=TIMEOUT, ssl_context=context)
    with box.login(USER, PASSWORD):
        assert box.client.noop()[0] == "OK"


@client("imap")
def imap_tools_starttls(host: str, port: int, context: ssl.SSLContext) -> None:
    box = imap_tools.MailBoxStartTls(host, port, timeout=TIMEOUT, ssl_context=context)
    with box.login(USER, PASSWORD):
        assert box.client.noop()[0] == "OK"


@client_async("submissions")
async def aiosmtplib_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    await smtp_session(
        aiosmtplib.SMTP(
            hostname=host, port=port, use_tls=True, tls_context=context, timeout=TIMEOUT
        )
    )


@client_async("submission")
async def aiosmtplib_starttls(host: str, port: int, context: ssl.SSLContext) -> None:
    await smtp_session(
        aiosmtplib.SMTP(
            hostname=host, port=port, start_tls=True, tls_context=context, timeout=TIMEOUT
        )
    )


async def smtp_session(smtp: aiosmtplib.SMTP) -> None:
    async with smtp:
        await smtp.login(USER, PASSWORD)
        assert (await smtp.noop()).code == 250


@client_async("imaps")
async def aioimaplib_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    imap = aioimaplib.IMAP4_SSL(host, port, timeout=TIMEOUT, ssl_context=context)
    try:
        connected = imap._client_task
        await imap.wait_hello_from_server()
    except BaseException:
        # It waits for a greeting that cannot come; what went wrong is in the task of its own.
        await connected
        raise
    assert (await imap.login(USER, PASSWORD)).result == "OK"
    assert (await imap.noop()).result == "OK"
    await imap.logout()


@client_async("imaps")
async def asyncio_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    assert (await reader.readline()).startswith(b"* OK")
    await imap_session(reader, writer)


@client_async("imap")
async def asyncio_starttls(host: str, port: int, context: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        assert (await reader.readline()).startswith(b"* OK")
        writer.write(b"a0 STARTTLS\r\n")
        assert (await reader.readline()).startswith(b"a0 OK")
        await writer.start_tls(context, server_hostname=host)
        await imap_session(reader, writer)
    finally:
        writer.close()


async def imap_session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    commands = [f'a1 LOGIN {USER} "{PASSWORD}"', "a2 NOOP", "a3 LOGOUT"]
    for command in commands:
        writer.write(command.encode() + b"\r\n")
        tag = command.encode()[:3]
        while not (line := await reader.readline()).startswith(tag):
            assert line.startswith(b"*"), line
        assert line.startswith(tag + b"OK"), line
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()


every_client = pytest.mark.parametrize("name", list(CLIENTS))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def refused(wanted: type[BaseException]) -> Iterator[list[BaseException]]:
    """Expects a failure that has `wanted` among its causes, which are what it gives."""
    found: list[BaseException] = []
    with pytest.raises(Exception) as raised:
        yield found
    found.extend(causes(raised.value))
    assert any(isinstance(error, wanted) for error in found), [repr(error) for error in found]


# -- what is right works


@real_server
@every_client
def test_ca_and_pin_that_fit_work_with_the_real_servers(
    name: str, pki: PKI, request: pytest.FixtureRequest
) -> None:
    used = CLIENTS[name]
    server = request.getfixturevalue("postfix" if used.protocol == "smtp" else "dovecot")
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), pins=Pin(pki["good"].spki_pin))
    used.use(server.host, server.ports[used.port], policy.ssl_context())


RecordingServerFactory = Callable[..., RecordingServer]


def serve(start: RecordingServerFactory, used: Client, certificate: Issued) -> RecordingServer:
    """A server for that client that takes any password, with TLS by that certificate."""
    context = certificate.server_context()
    polite = scripts.POLITE[used.protocol]
    if used.upgrades:
        return start(polite.with_starttls(context))
    return start(polite, context=context)


@every_client
def test_a_password_arrives_where_nothing_is_wrong(
    name: str, pki: PKI, recording_server: RecordingServerFactory
) -> None:
    """The control of the tests below: they would see a password that was sent."""
    used = CLIENTS[name]
    server = serve(recording_server, used, pki["good"])
    used.use(server.host, server.port, TLSPolicy(trust=CATrust(pki.ca_pem)).ssl_context())
    (record,) = server.wait()
    assert leaks(record.everything, PASSWORD) != []


# -- what is wrong is refused, and nothing was sent


@dataclass(frozen=True)
class Wrong:
    """A server's certificate, a policy that it does not suit, and the error."""

    certificate: str
    policy: Callable[[PKI], TLSPolicy]
    error: type[BaseException]


def ca(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


WRONG = {
    "wrong pin": Wrong(
        "good",
        lambda pki: TLSPolicy(trust=CATrust(pki.ca_pem), pins=Pin(pki["good_rsa"].spki_pin)),
        PinMismatch,
    ),
    "self-signed": Wrong("self_signed", ca, CertificateRejected),
    "wrong name": Wrong("wrong_name", ca, CertificateRejected),
    "common name only": Wrong("cn_only", ca, CertificateRejected),
    "another key than the one pinned": Wrong(
        "self_signed",
        lambda pki: TLSPolicy(trust=ExactCertificate(pin=pki["good"].spki_pin)),
        PinMismatch,
    ),
    "another certificate than the one pinned": Wrong(
        "renewed_same_key",
        lambda pki: TLSPolicy(trust=ExactCertificate(pki["self_signed"].leaf_pem)),
        PinMismatch,
    ),
}


@every_client
@pytest.mark.parametrize("what", list(WRONG))
def test_what_is_wrong_is_a_typed_error_and_nothing_was_sent(
    what: str, name: str, pki: PKI, recording_server: RecordingServerFactory
) -> None:
    used, wrong = CLIENTS[name], WRONG[what]
    server = serve(recording_server, used, pki[wrong.certificate])
    context = wrong.policy(pki).ssl_context()
    with refused(wrong.error):
        used.use(server.host, server.port, context)
    (record,) = server.wait()
    assert record.received_tls == b""
    assert leaks(record.everything, PASSWORD) == []
    if not used.upgrades:
        assert record.received_clear == b""


def talks_at_once(conversation: Conversation) -> None:
    """Does not wait for anybody: a greeting, and an answer to a command that was not given."""
    conversation.send(b"* OK ready\r\na1 OK signed in\r\n" * 1000)
    conversation.sleep_until_closed(5)


class Listener(asyncio.Protocol):
    """Keeps what asyncio tells it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("connection made")

    def data_received(self, data: bytes) -> None:
        self.told.append(f"{len(data)} bytes")


@pytest.mark.parametrize("what", list(WRONG))
def test_what_a_wrong_server_says_at_once_is_not_delivered_by_asyncio(
    what: str, pki: PKI, recording_server: RecordingServerFactory
) -> None:
    wrong = WRONG[what]
    server = recording_server(talks_at_once, context=pki[wrong.certificate].server_context())
    listener = Listener()

    async def connect() -> None:
        await asyncio.get_running_loop().create_connection(
            lambda: listener, server.host, server.port, ssl=wrong.policy(pki).ssl_context()
        )

    with refused(wrong.error):
        asyncio.run(to_the_end(connect()))
    assert listener.told == []


def test_what_the_right_server_says_at_once_is_delivered_by_asyncio(
    pki: PKI, recording_server: RecordingServerFactory
) -> None:
    server = recording_server(talks_at_once, context=pki["good"].server_context())
    listener = Listener()

    async def connect() -> None:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: listener, server.host, server.port, ssl=ca(pki).ssl_context()
        )
        while len(listener.told) < 2:
            await asyncio.sleep(0.01)
        transport.abort()

    asyncio.run(to_the_end(connect()))
    assert listener.told[0] == "connection made"


@pytest.mark.parametrize("what", list(WRONG))
def test_what_a_wrong_server_says_at_once_is_not_delivered_by_a_socket(
    what: str, pki: PKI, recording_server: RecordingServerFactory
) -> None:
    wrong = WRONG[what]
    server = recording_server(talks_at_once, context=pki[wrong.certificate].server_context())
    context = wrong.policy(pki).ssl_context()
    plain = socket.create_connection((server.host, server.port), TIMEOUT)
    with contextlib.closing(
        context.wrap_socket(plain, server_hostname=server.host, do_handshake_on_connect=False)
    ) as wrapped:
        with pytest.raises(wrong.error):
            wrapped.do_handshake()
        time.sleep(0.05)  # by now it has arrived
        for read in (lambda: wrapped.recv(100), lambda: wrapped.read(100), wrapped.do_handshake):
            with pytest.raises(wrong.error):
                read()


# -- one exact certificate


@contextlib.contextmanager
def every_warning() -> Iterator[list[tuple[type[Warning], list[str]]]]:
    """Each warning that is shown, with the functions that it was raised from."""
    shown: list[tuple[type[Warning], list[str]]] = []

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        shown.append((category, [frame.name for frame in traceback.extract_stack()]))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield shown


@every_client
def test_a_self_signed_certificate_by_its_pin_works_and_warns_once(
    name: str, pki: PKI, recording_server: RecordingServerFactory
) -> None:
    used = CLIENTS[name]
    server = serve(recording_server, used, pki["self_signed"])
    policy = TLSPolicy(trust=ExactCertificate(pin=pki["self_signed"].spki_pin))
    with every_warning() as shown:
        used.use(server.host, server.port, policy.ssl_context())
    told = [stack for category, stack in shown if issubclass(category, SelfSignedWarning)]
    assert len(told) == 1
    assert not {"do_handshake", "_shake_hands", "judge"} & set(told[0])
    (record,) = server.wait()
    assert leaks(record.everything, PASSWORD) != []


@every_client
def test_an_acknowledged_self_signed_certificate_works_in_silence(
    name: str, pki: PKI, recording_server: RecordingServerFactory
) -> None:
    used = CLIENTS[name]
    server = serve(recording_server, used, pki["self_signed"])
    store = ExactCertificate(pki["self_signed"].leaf_pem, acknowledge="the server in the cellar")
    used.use(server.host, server.port, TLSPolicy(trust=store).ssl_context())
    (record,) = server.wait()
    assert leaks(record.everything, PASSWORD) != []


# -- what other libraries do to a context


@pytest.fixture
def sealed(pki: PKI) -> Any:
    return ca(pki).ssl_context()


def as_requests_does(context: Any) -> None:
    context.load_verify_locations(importlib.util.find_spec("certifi").origin)  # type: ignore[union-attr]


def another_verify_flag(context: Any) -> None:
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT


def old_tls(context: Any) -> None:
    context.options &= ~ssl.OP_NO_RENEGOTIATION


def no_socket_class(context: Any) -> None:
    context.sslsocket_class = ssl.SSLSocket


def no_object_class(context: Any) -> None:
    context.sslobject_class = ssl.SSLObject


def set_attribute(name: str, value: object) -> Callable[[Any], None]:
    return lambda context: setattr(context, name, value)


def call(name: str, *arguments: object) -> Callable[[Any], None]:
    return lambda context: getattr(context, name)(*arguments)


MUTATIONS: dict[str, Callable[[Any], None]] = {
    "more CAs, as requests loads them": as_requests_does,
    "more CAs by capath": call("load_verify_locations", None, "/"),
    "the system's CAs": call("load_default_certs"),
    "the default paths": call("set_default_verify_paths"),
    "a client certificate": call("load_cert_chain", "client.pem"),
    "Diffie-Hellman parameters": call("load_dh_params", "dh.pem"),
    "no verification": set_attribute("verify_mode", ssl.CERT_NONE),
    "optional verification": set_attribute("verify_mode", ssl.CERT_OPTIONAL),
    "no host name": set_attribute("check_hostname", False),
    "common names": set_attribute("hostname_checks_common_name", True),
    "lax X.509": another_verify_flag,
    "renegotiation": old_tls,
    "all options off": set_attribute("options", 0),
    "other ciphers": call("set_ciphers", "ALL:@SECLEVEL=0"),
    "the same ciphers, spelt out": call("set_ciphers", "ECDHE+AESGCM"),
    "TLS 1.0": set_attribute("minimum_version", ssl.TLSVersion.MINIMUM_SUPPORTED),
    "no TLS 1.3": set_attribute("maximum_version", ssl.TLSVersion.TLSv1_2),
    "a key log": set_attribute("keylog_filename", "keys.log"),
    "another socket class": no_socket_class,
    "another object class": no_object_class,
    "ALPN": call("set_alpn_protocols", ["imap"]),
    "NPN": call("set_npn_protocols", ["imap"]),
    "a curve": call("set_ecdh_curve", "prime256v1"),
    "a name callback": set_attribute("sni_callback", print),
    "a name callback, the old way": call("set_servername_callback", print),
    "post-handshake authentication": set_attribute("post_handshake_auth", True),
    "an attribute of one's own": set_attribute("my_note", 1),
    "the rules": set_attribute("_rules", None),
    "the judge": set_attribute("judge", print),
    "a method": set_attribute("wrap_socket", print),
    "no class of sockets": lambda context: delattr(context, "sslsocket_class"),
}


@pytest.mark.parametrize("what", list(MUTATIONS))
def test_a_sealed_context_refuses_change(what: str, sealed: Any) -> None:
    before = settings(sealed)
    with pytest.raises(PolicyError) as raised:
        MUTATIONS[what](sealed)
    assert raised.value.code == "sealed"
    assert settings(sealed) == before


def test_every_method_that_sets_or_loads_is_sealed(sealed: Any) -> None:
    methods = [name for name in dir(sealed) if name.startswith(("set_", "load_"))]
    assert len(methods) > 8
    for name in methods:
        with pytest.raises(PolicyError):
            getattr(sealed, name)()


NAMES = (
    *("verify_mode", "check_hostname", "verify_flags", "options", "minimum_version"),
    *("maximum_version", "hostname_checks_common_name", "post_handshake_auth", "sni_callback"),
    *("keylog_filename", "sslsocket_class", "sslobject_class"),
)


def settings(context: Any) -> list[Any]:
    """What can be changed about a context."""
    ciphers = [cipher["name"] for cipher in context.get_ciphers()]
    return [*(getattr(context, name) for name in NAMES), ciphers, context.get_ca_certs(True)]


@pytest.mark.parametrize("name", NAMES)
def test_setting_what_is_already_set_does_no_harm(name: str, sealed: Any) -> None:
    before = settings(sealed)
    setattr(sealed, name, getattr(sealed, name))
    assert settings(sealed) == before


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("wrap", ["wrap_socket", "wrap_bio"])
def test_no_session_and_no_missing_host(wrap: str, session: bool, sealed: Any) -> None:
    arguments: tuple[Any, ...] = (ssl.MemoryBIO(), ssl.MemoryBIO())
    with contextlib.closing(socket.socket()) as sock:
        if wrap == "wrap_socket":
            arguments = (sock,)
        options = {"server_hostname": "mail.example.org", "session": object()} if session else {}
        with pytest.raises(PolicyError) as raised:
            getattr(sealed, wrap)(*arguments, **options)
    assert raised.value.code == ("session-resumed" if session else "host-missing")


def test_a_sealed_context_is_for_clients(sealed: Any) -> None:
    with contextlib.closing(socket.socket()) as sock, pytest.raises(PolicyError):
        sealed.wrap_socket(sock, server_side=True)
