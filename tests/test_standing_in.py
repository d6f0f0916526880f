"""Our modules in the place of the standard ones: names, signatures, what people built on them."""

import imaplib
import importlib
import inspect
import pickle
import poplib
import smtplib
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import securemail
from securemail import CATrust, CredentialsRefused, Password, PolicyError, TLSPolicy
from securemail import imap as our_imap
from securemail import pop3 as our_pop3
from securemail import smtp as our_smtp
from servers import scripts
from servers.pki import PKI
from servers.recording import RecordingServer

MODULES = [(poplib, our_pop3), (imaplib, our_imap), (smtplib, our_smtp)]
BASES = (poplib.POP3, imaplib.IMAP4, smtplib.SMTP)

each_module = pytest.mark.parametrize(
    ("standard", "ours"), MODULES, ids=[standard.__name__ for standard, _ in MODULES]
)


def names_in(module: Any) -> list[str]:
    """What a script may use of a module: also names with one underscore, as `_MAXLINE`."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("__") and not inspect.ismodule(value)
    ]


@each_module
def test_every_name_is_there(standard: Any, ours: Any) -> None:
    for name in names_in(standard):
        theirs, own = getattr(standard, name), getattr(ours, name)
        if isinstance(theirs, type) and issubclass(theirs, BASES):
            assert own is not theirs
            assert issubclass(own, theirs), f"isinstance(x, {standard.__name__}.{name}) must hold"
            assert own.__module__.startswith("securemail.")
        else:
            assert own is theirs, name


@each_module
def test_a_star_import_gives_what_the_standard_one_gives(standard: Any, ours: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(f"from {ours.__name__} import *", namespace)  # noqa: S102

    assert namespace.keys() >= set(standard.__all__)


@each_module
def test_a_name_that_nobody_has(standard: Any, ours: Any) -> None:
    with pytest.raises(AttributeError):
        _ = ours.no_such_name


def test_a_connection_class_of_a_newer_python_is_not_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class SMTP_NEW(smtplib.SMTP):
        pass

    monkeypatch.setattr(smtplib, "SMTP_NEW", SMTP_NEW, raising=False)
    with pytest.raises(AttributeError, match="no safe counterpart"):
        _ = our_smtp.SMTP_NEW


@each_module
def test_the_classes_are_related_as_the_standard_ones_are(standard: Any, ours: Any) -> None:
    base = {"poplib": "POP3", "imaplib": "IMAP4", "smtplib": "SMTP"}[standard.__name__]
    for name in (base + "_SSL", base + "_STARTTLS"):
        assert issubclass(getattr(ours, name), getattr(ours, base))
        assert issubclass(getattr(ours, name), getattr(standard, base))


# --- signatures: of the running Python, and then ours by keyword ---------------------------------

OURS = {"policy", "auth", "limits", "server_hostname", "connector", "transcript"}


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found]


@each_module
def test_the_constructors_take_what_the_standard_ones_take(standard: Any, ours: Any) -> None:
    for name in names_in(standard):
        theirs = getattr(standard, name)
        if not (isinstance(theirs, type) and issubclass(theirs, BASES)):
            continue
        own = parameters(getattr(ours, name))
        added = [p for p in own if p[0] in OURS | {"plaintext"}]
        assert [p for p in own if p not in added] == parameters(theirs), name
        assert all(p[1] is inspect.Parameter.KEYWORD_ONLY and p[2] is None for p in added)
        if name != "IMAP4_stream":  # no host to verify
            assert {p[0] for p in added} >= OURS


@each_module
def test_so_do_the_methods(standard: Any, ours: Any) -> None:
    """More may be optional: `authenticate` takes credentials as well."""
    for name in names_in(standard):
        theirs = getattr(standard, name)
        if not (isinstance(theirs, type) and issubclass(theirs, BASES)):
            continue
        for method, function in inspect.getmembers(theirs, inspect.isfunction):
            if method.startswith("__"):
                continue
            own = parameters(getattr(getattr(ours, name), method))
            expected = parameters(function)
            if method == "authenticate":
                own = [(n, k, inspect.Parameter.empty) for n, k, _ in own]
            assert own == expected, f"{name}.{method}"


if sys.version_info < (3, 12):

    @pytest.mark.parametrize("cls", ["POP3_SSL", "IMAP4_SSL", "SMTP_SSL"])
    def test_python_3_11_takes_key_files(
        cls: str, pki: PKI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They make a context of the caller's own, which verifies."""
        monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
        protocol = cls.partition("4" if "4" in cls else "_")[0].lower()
        script, context = scripts.POLITE[protocol], pki["good"].server_context()
        good = pki["good"]
        with RecordingServer(script, context=context) as server:
            make = getattr(securemail, cls)
            before = [None] if protocol == "smtp" else []  # local_hostname
            with pytest.warns(DeprecationWarning, match="keyfile") as caught:
                client = make("127.0.0.1", server.port, *before, str(good.key), str(good.cert))
            assert caught[0].filename == __file__
            assert "caller's context" in client.report.tls.trusted_by
            client._close_now()
            with pytest.raises(ValueError, match="mutually exclusive"):
                name = "ssl_context" if protocol == "imap" else "context"
                make("127.0.0.1", server.port, certfile="x", **{name: ssl.create_default_context()})
            with pytest.raises(PolicyError), pytest.warns(DeprecationWarning, match="keyfile"):
                make(
                    "127.0.0.1",
                    server.port,
                    certfile=str(good.cert),
                    keyfile=str(good.key),
                    policy=TLSPolicy(),
                )


# --- what people built on the standard classes ----------------------------------------------------


@pytest.fixture
def policy(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


@pytest.fixture
def tls_server(pki: PKI, request: pytest.FixtureRequest) -> Iterator[RecordingServer]:
    script = scripts.POLITE[request.param]
    with RecordingServer(script, context=pki["good"].server_context()) as server:
        yield server


@pytest.fixture
def clear_server(pki: PKI, request: pytest.FixtureRequest) -> Iterator[RecordingServer]:
    script = scripts.POLITE[request.param].with_starttls(pki["good"].server_context())
    with RecordingServer(script) as server:
        yield server


def through_proxy(port: int) -> socket.socket:
    """What a proxy library gives: a plain connection that somebody else made."""
    return socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("tls_server", ["smtp"], indirect=True)
def test_a_subclass_that_goes_by_a_proxy(tls_server: RecordingServer, policy: TLSPolicy) -> None:
    class ProxySMTP_SSL(our_smtp.SMTP_SSL):
        def _get_socket(self, host: str, port: int, timeout: Any) -> Any:
            return self.context.wrap_socket(through_proxy(port), server_hostname=self._host)

    with ProxySMTP_SSL("127.0.0.1", tls_server.port, policy=policy) as client:
        assert client.login("user", "password")[0] == 235
        assert client.report.tls is not None


@pytest.mark.parametrize("tls_server", ["smtp"], indirect=True)
def test_one_that_wraps_by_a_context_of_its_own(
    tls_server: RecordingServer, policy: TLSPolicy
) -> None:
    """Whoever wrapped it: the socket is asked, and one that verified nothing opens nothing."""

    class Careless(our_smtp.SMTP_SSL):
        def _get_socket(self, host: str, port: int, timeout: Any) -> Any:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context.wrap_socket(through_proxy(port), server_hostname=self._host)

    client = Careless("127.0.0.1", tls_server.port, policy=policy)
    with pytest.raises(CredentialsRefused, match="does not require certificates"):
        client.login("user", "a secret password")
    client.close()
    assert b"AUTH PLAIN" not in tls_server.wait()[0].received_tls


@pytest.mark.parametrize("clear_server", ["smtp", "imap", "pop3"], indirect=True)
def test_a_plain_class_by_a_proxy_then_upgraded(
    clear_server: RecordingServer, policy: TLSPolicy, request: pytest.FixtureRequest
) -> None:
    protocol = request.node.callspec.params["clear_server"]

    class ProxySMTP(our_smtp.SMTP):
        def _get_socket(self, host: str, port: int, timeout: Any) -> Any:
            return through_proxy(port)

    class ProxyIMAP4(our_imap.IMAP4):
        def _create_socket(self, timeout: Any) -> Any:
            return through_proxy(self.port)

    class ProxyPOP3(our_pop3.POP3):
        def _create_socket(self, timeout: Any) -> Any:
            return through_proxy(self.port)

    cls: Any = {"smtp": ProxySMTP, "imap": ProxyIMAP4, "pop3": ProxyPOP3}[protocol]
    client = cls("127.0.0.1", clear_server.port, policy=policy)
    with pytest.raises(CredentialsRefused):
        client.login("user", "password")
    (client.stls if protocol == "pop3" else client.starttls)()
    assert client.login("user", "password")
    assert client.report.tls is not None
    client._close_now()


@pytest.mark.parametrize("tls_server", ["imap"], indirect=True)
def test_a_subclass_with_verbs_of_its_own(tls_server: RecordingServer, policy: TLSPolicy) -> None:
    """`open`, `readline` and `send` are documented as made to be overridden."""
    said: list[bytes] = []

    class Chatty(our_imap.IMAP4_SSL):
        def readline(self) -> bytes:
            line = super().readline()
            said.append(line)
            return line

        def send(self, data: Any) -> None:
            said.append(data)
            super().send(data)

        def login(self, user: str, password: str) -> Any:
            return super().login(user, password)

    with Chatty("127.0.0.1", tls_server.port, policy=policy) as client:
        client.login("user", "a secret password")
        client.select()
    assert any(line.startswith(b"* OK") for line in said)
    assert not any(b"a secret password" in line for line in said), "it does not pass by there"


@pytest.mark.parametrize("tls_server", ["smtp"], indirect=True)
def test_one_smtp_object_is_connected_again(tls_server: RecordingServer, policy: TLSPolicy) -> None:
    client = our_smtp.SMTP_SSL(policy=policy)
    for _ in range(2):
        assert client.connect("127.0.0.1", tls_server.port)[0] == 220
        assert client.report.auth is None
        client.login("user", "password")
        assert client.report.auth is not None
        client.quit()
    client.connect("127.0.0.1", tls_server.port)
    client.connect(f"127.0.0.1:{tls_server.port}")  # without a word in between: none is left open
    client.quit()
    assert len(tls_server.wait(4)) == 4


@pytest.mark.parametrize("clear_server", ["smtp"], indirect=True)
def test_the_starttls_class_upgrades_at_each_connect(
    clear_server: RecordingServer, policy: TLSPolicy
) -> None:
    client = our_smtp.SMTP_STARTTLS(policy=policy)
    for _ in range(2):
        assert client.connect("127.0.0.1", clear_server.port) == (220, b"")
        assert client.login("user", "password")[0] == 235
        client.quit()
    for record in clear_server.wait(2):
        assert b"AUTH" not in record.received_clear


@pytest.mark.parametrize("tls_server", ["pop3"], indirect=True)
def test_pop3_has_a_with_statement(tls_server: RecordingServer, policy: TLSPolicy) -> None:
    """As the other two. After an error nothing is deleted: no QUIT."""
    with our_pop3.POP3_SSL("127.0.0.1", tls_server.port, policy=policy) as client:
        client.authenticate(Password("user", "password"))
    with (
        pytest.raises(KeyError),
        our_pop3.POP3_SSL("127.0.0.1", tls_server.port, policy=policy) as client,
    ):
        raise KeyError
    first, second = tls_server.wait(2)
    assert first.received_tls.endswith(b"QUIT\r\n")
    assert b"QUIT" not in second.received_tls


@pytest.mark.parametrize("tls_server", ["imap"], indirect=True)
def test_debug_of_the_module(
    tls_server: RecordingServer,
    policy: TLSPolicy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`imaplib.Debug = 4`, where imaplib is ours."""
    monkeypatch.setattr(our_imap, "Debug", 4, raising=False)
    with our_imap.IMAP4_SSL("127.0.0.1", tls_server.port, policy=policy):
        pass
    assert "CAPABILITY" in capsys.readouterr().err


@pytest.mark.parametrize("tls_server", ["smtp"], indirect=True)
def test_a_source_address(tls_server: RecordingServer, policy: TLSPolicy) -> None:
    with our_smtp.SMTP_SSL(
        "127.0.0.1", tls_server.port, source_address=("127.0.0.3", 0), policy=policy
    ) as client:
        assert client.sock.getsockname()[0] == "127.0.0.3"
        assert client.local_hostname == "[127.0.0.3]"


def test_errors_of_the_upgrade_can_be_pickled() -> None:
    error = securemail.UpgradeRefused("no TLS: not offered.", code="x", host="h", port=1)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.code == "x"


def test_they_are_not_what_scripts_catch_and_forget() -> None:
    for kind in (securemail.UpgradeRefused, securemail.CredentialsRefused):
        assert not issubclass(
            kind, (OSError, ValueError, EOFError, smtplib.SMTPException, poplib.error_proto)
        )
        assert not issubclass(kind, imaplib.IMAP4.error)


# --- what programs do to a module -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["imap", "pop3", "smtp"])
def test_what_looks_at_a_module_finds_the_standard_names(name: str) -> None:
    """As `mock.patch(…, autospec=True)` does, in a program's own tests."""
    from unittest import mock

    ours = importlib.import_module(f"securemail.{name}")
    standard = importlib.import_module(
        {"imap": "imaplib", "pop3": "poplib", "smtp": "smtplib"}[name]
    )
    assert set(dir(standard)) <= set(dir(ours))
    spec = mock.create_autospec(ours)
    for public in standard.__all__:
        assert hasattr(spec, public)
