"""On what terms there is TLS: certificates and contexts at the upgrade, PREAUTH, ports.

What the policy does not accept is refused with nothing said after it, and closed for good.
"""

import imaplib
import poplib
import shlex
import smtplib
import ssl
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import securemail
from securemail import (
    CATrust,
    CertificateRejected,
    CredentialsRefused,
    ExactCertificate,
    Limits,
    Pin,
    PinMismatch,
    PlaintextWarning,
    PolicyError,
    SelfSignedWarning,
    TimeLimitExceeded,
    TLSError,
    TLSPolicy,
    UpgradeRefused,
)
from securemail.imap import IMAP4_stream
from servers import scripts
from servers.attempts import MAIL, PASSWORD, USER, assert_survives_pickling, failing
from servers.clients import strict_context
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import RecordingServer
from servers.rude import Answer, to_all
from servers.upgrades import (
    WAYS,
    Upgrades,
    Way,
    assert_nothing_escaped,
    attempt_and_fail,
    clear_commands,
    in_one,
    later_errors,
    offers_upgrade,
)

Factory = Callable[..., RecordingServer]
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
VERB_WAYS = [name for name, way in WAYS.items() if way.by == "verb"]
OTHER_WAYS = [name for name, way in WAYS.items() if way.by != "verb"]


@pytest.fixture(autouse=True)
def as_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No policy from the environment; and imap_tools, once imported, raises imaplib's limit."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)


@pytest.fixture
def policy(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


def serve(recording_server: Factory, pki: PKI, way: Way, kind: str = "good") -> RecordingServer:
    return recording_server(Upgrades(way.protocol, pki[kind].server_context()))


def sign_in(way: Way, server: RecordingServer, **arguments: Any) -> Any:
    """The control: all the way, and the password arrives within TLS. The report after it."""
    client = way.upgrade(way.blank(), server.port, **arguments)
    try:
        client.login(USER, PASSWORD)
        return client.report
    finally:
        way.close(client)
        record = server.wait(server.connections)[-1]
        assert leaks(record.received_tls, PASSWORD) != []
        assert leaks(bytes(record.wire), PASSWORD) == []


# -- certificates


CERTIFICATES = {
    "expired": "expired",
    "wrong_name": "name",
    "self_signed": "self-signed",
    "unknown_ca": "not trusted",
}


@every_way
@pytest.mark.parametrize("kind", CERTIFICATES)
def test_a_certificate_that_is_not_accepted(
    kind: str, way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    server = serve(recording_server, pki, way, kind)
    failure = attempt_and_fail(way, server, policy=policy)
    assert type(failure.error) is CertificateRejected
    assert failure.error.reasons
    assert failure.records[0].received_tls == b""
    assert failure.error.protocol.endswith(("STARTTLS", "STLS"))


@every_way
def test_a_pin_of_another_key(
    way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    def pinned(name: str) -> TLSPolicy:
        return TLSPolicy(trust=CATrust(pki.ca_pem), pins=(Pin(pki[name].spki_pin),))

    failure = attempt_and_fail(way, serve(recording_server, pki, way), policy=pinned("good_ecdsa"))
    assert type(failure.error) is PinMismatch
    assert failure.records[0].received_tls == b""
    report = sign_in(way, serve(recording_server, pki, way), policy=pinned("good"))
    assert report.tls is not None


@every_way
def test_what_is_accepted_and_worth_a_warning_is_told_by_the_upgrade(
    way: Way, pki: PKI, recording_server: Factory
) -> None:
    """Before anything is asked over TLS but IMAP's capabilities; the limits are set by then."""
    server = serve(recording_server, pki, way, "self_signed")
    policy = TLSPolicy(trust=ExactCertificate(pki["self_signed"].leaf_pem))
    with pytest.warns(SelfSignedWarning, match="self-signed"):
        client = way.upgrade(way.blank(), server.port, policy=policy, limits=Limits(read=7))
    assert client.sock.gettimeout() == 7
    way.close(client)

    failing_client = way.blank()
    with warnings.catch_warnings():
        warnings.simplefilter("error", SelfSignedWarning)
        with pytest.raises(SelfSignedWarning) as raised:
            way.upgrade(failing_client, server.port, policy=policy)
    assert all(error is raised.value for _, error in later_errors(way, failing_client))
    assert server.wait(2)[1].received_tls == b""


@pytest.mark.parametrize("name", VERB_WAYS)
def test_a_rejection_that_scripts_catch_is_still_the_end(
    name: str, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    """`CertificateRejected` is an OSError, which scripts catch: what follows raises it again."""
    way = WAYS[name]
    server = serve(recording_server, pki, way, "expired")
    client = way.cls("127.0.0.1", server.port, policy=policy)
    swallowed = []
    with failing(server) as failure:
        try:
            way.ask(client)
        except (OSError, smtplib.SMTPException, poplib.error_proto, imaplib.IMAP4.error) as error:
            swallowed.append(error)
        client.login(USER, PASSWORD)
    assert failure.error is swallowed[0]
    assert type(failure.error) is CertificateRejected
    assert_survives_pickling(failure.error)
    assert_nothing_escaped(way, failure.records[0])


# -- a context of the caller's own


def unverified(pki: PKI) -> ssl.SSLContext:
    return ssl._create_unverified_context()  # noqa: S323 - to be refused


def unnamed(pki: PKI) -> ssl.SSLContext:
    context = strict_context(pki.ca_pem)
    context.check_hostname = False
    return context


@pytest.mark.parametrize("make", [unverified, unnamed])
@pytest.mark.parametrize("name", VERB_WAYS)
def test_the_verb_takes_no_context_that_does_not_verify(
    name: str, make: Callable[[PKI], ssl.SSLContext], pki: PKI, recording_server: Factory
) -> None:
    way = WAYS[name]
    server = serve(recording_server, pki, way)
    client = way.cls("127.0.0.1", server.port)
    with failing(server) as failure:
        way.ask(client, make(pki))
    assert isinstance(failure.error, PolicyError)
    assert failure.error.code == "context-unverified"
    assert "ssl.create_default_context()" in failure.error.hint
    assert all(error is failure.error for _, error in later_errors(way, client))
    assert_nothing_escaped(way, failure.records[0])
    assert way.verb.upper() not in clear_commands(failure.records[0])


@pytest.mark.parametrize("make", [unverified, unnamed])
@pytest.mark.parametrize("name", OTHER_WAYS)
def test_the_constructor_takes_none_either(
    name: str, make: Callable[[PKI], ssl.SSLContext], pki: PKI, recording_server: Factory
) -> None:
    way = WAYS[name]
    server = serve(recording_server, pki, way)
    with pytest.raises(PolicyError) as raised:
        way.upgrade(way.blank(), server.port, **{context_name(way): make(pki)})
    assert raised.value.code == "context-unverified"
    assert server.connections == 0


def context_name(way: Way) -> str:
    return "ssl_context" if way.protocol == "imap" else "context"


@pytest.mark.parametrize("name", VERB_WAYS)
def test_the_verb_with_a_context_that_verifies(
    name: str, pki: PKI, recording_server: Factory
) -> None:
    way = WAYS[name]
    for kind in ("good", "expired"):
        server = serve(recording_server, pki, way, kind)
        client = way.cls("127.0.0.1", server.port)
        if kind == "expired":
            with failing(server) as failure:
                way.ask(client, strict_context(pki.ca_pem))
            assert isinstance(failure.error, CertificateRejected)
            assert all(error is failure.error for _, error in later_errors(way, client))
            assert_nothing_escaped(way, failure.records[0])
            continue
        way.ask(client, strict_context(pki.ca_pem))
        client.login(USER, PASSWORD)
        assert "not gated" in str(client.report)
        way.close(client)
        assert leaks(server.wait()[0].received_tls, PASSWORD) != []


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_the_constructor_with_a_context_that_verifies(
    name: str, pki: PKI, recording_server: Factory
) -> None:
    way, server = WAYS[name], serve(recording_server, pki, WAYS[name])
    report = sign_in(way, server, **{context_name(way): strict_context(pki.ca_pem)})
    assert "not gated" in str(report)


@pytest.mark.parametrize("name", VERB_WAYS)
def test_a_policy_and_a_context_contradict_each_other(
    name: str, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    way = WAYS[name]
    server = serve(recording_server, pki, way)
    client = way.cls("127.0.0.1", server.port, policy=policy)
    with failing(server) as failure:
        way.ask(client, strict_context(pki.ca_pem))
    assert failure.error.code == "policy-and-context"
    assert all(error is failure.error for _, error in later_errors(way, client))
    assert_nothing_escaped(way, failure.records[0])


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_so_they_do_in_the_constructor(name: str, pki: PKI, policy: TLSPolicy) -> None:
    way = WAYS[name]
    both = {"policy": policy, context_name(way): strict_context(pki.ca_pem)}
    with pytest.raises(PolicyError) as raised:
        way.upgrade(way.blank(), 1, **both)
    assert raised.value.code == "policy-and-context"


def test_a_context_that_the_verb_was_given_is_not_for_the_next_connection(
    pki: PKI, recording_server: Factory
) -> None:
    way = WAYS["SMTP, verb"]
    server = serve(recording_server, pki, way)
    client = way.cls("127.0.0.1", server.port)
    way.ask(client, strict_context(pki.ca_pem))
    client.quit()
    client.connect("127.0.0.1", server.port)
    with pytest.raises(CertificateRejected):  # the system's authorities know nothing of ours
        way.ask(client)


# -- PREAUTH


PREAUTH = to_all(b"* PREAUTH [CAPABILITY IMAP4rev1] welcome back\r\n")
IMAP_WAYS = [name for name, way in WAYS.items() if way.protocol == "imap"]


def assert_preauth(error: Any) -> None:
    assert type(error) is UpgradeRefused
    assert error.code == "preauth"
    assert "PREAUTH in clear" in str(error)
    assert "Use IMAP4_SSL" in error.hint
    assert "No password was sent." in str(error)


@pytest.mark.parametrize("name", IMAP_WAYS)
@pytest.mark.parametrize("step", ["greeting", "offer"])
def test_preauth_in_clear(
    step: str, name: str, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    """As the greeting, or among other words."""
    way = WAYS[name]
    answer: Answer = PREAUTH if step == "greeting" else in_one(PREAUTH, offers_upgrade)
    script = Upgrades("imap", pki["good"].server_context(), **{step: answer})
    failure = attempt_and_fail(way, recording_server(script), policy=policy, told_again=False)
    assert_preauth(failure.error)
    if step == "greeting":
        assert failure.records[0].wire == b""


def test_preauth_in_clear_with_a_reason(pki: PKI, recording_server: Factory) -> None:
    script = Upgrades("imap", pki["good"].server_context(), greeting=PREAUTH)
    server = recording_server(script)
    client = WAYS["IMAP4, verb"].cls("127.0.0.1", server.port, plaintext="a tunnel carries it")
    assert client.state == "AUTH"
    with pytest.warns(PlaintextWarning, match="a tunnel carries it"):
        assert client.select()[0] == "OK"
    with pytest.raises(imaplib.IMAP4.error, match="illegal in state"):
        client.login(USER, PASSWORD)
    client.shutdown()
    assert leaks(server.wait()[0].everything, PASSWORD) == []


def test_preauth_over_tls(pki: PKI, policy: TLSPolicy, recording_server: Factory) -> None:
    script = Upgrades("imap", pki["good"].server_context(), greeting=PREAUTH)
    server = recording_server(script, context=pki["good"].server_context())
    client = MAIL["imap"].cls("127.0.0.1", server.port, policy=policy)
    assert client.state == "AUTH"
    MAIL["imap"].close(client)


# A server on standard input and output, which writes down what it was told.
ON_PIPES = r"""
import sys
kept = open(sys.argv[2], "wb", buffering=0)
sys.stdout.buffer.write(sys.argv[1].encode().decode("unicode_escape").encode())
sys.stdout.flush()
while line := sys.stdin.buffer.readline():
    kept.write(line)
    tag, command = line.split()[:2]
    if command == b"CAPABILITY":
        sys.stdout.buffer.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN STARTTLS\r\n")
    sys.stdout.buffer.write(tag + b" OK done\r\n")
    sys.stdout.flush()
"""


def on_pipes(greeting: str, kept: Path) -> str:
    kept.touch()
    return shlex.join([sys.executable, "-c", ON_PIPES, greeting, str(kept)])


def test_preauth_over_a_command(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with pytest.raises(UpgradeRefused) as raised:
        IMAP4_stream(on_pipes(r"* PREAUTH in\r\n", kept))
    assert_preauth(raised.value)
    assert_survives_pickling(raised.value)
    assert kept.read_bytes() == b""


def test_preauth_over_a_command_with_a_reason(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    client = IMAP4_stream(on_pipes(r"* PREAUTH in\r\n", kept), plaintext="ssh encrypts it")
    with pytest.warns(PlaintextWarning, match="ssh encrypts it"):
        assert client.list()[0] == "OK"
    client.logout()
    assert b" LIST " in kept.read_bytes()


def test_a_command_gets_no_password_and_no_mail(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    client = IMAP4_stream(on_pipes(r"* OK ready\r\n", kept))
    try:
        with pytest.raises(CredentialsRefused):
            client.login(USER, PASSWORD)
        with pytest.raises(PolicyError, match="no TLS over the pipes"):
            client.starttls()
        client.state = "AUTH"  # as a program might
        with pytest.raises(PolicyError, match="in clear"):
            client.append("INBOX", None, None, b"Subject: x\r\n\r\n")  # type: ignore[arg-type]
    finally:
        client.shutdown()
    assert leaks(kept.read_bytes(), PASSWORD) == []
    assert [line.split()[1] for line in kept.read_bytes().splitlines()] == [b"CAPABILITY"]


def test_a_command_that_ends_at_once() -> None:
    with pytest.raises(securemail.SecureMailError, match="hung up"):
        IMAP4_stream("printf ''", limits=Limits(read=5))
    with pytest.raises(UpgradeRefused) as raised:
        IMAP4_stream(r"printf '* PREAUTH in\r\n'", limits=Limits(read=5))
    assert_preauth(raised.value)


# -- ports


CONTRADICTIONS = [
    ("IMAP4_SSL", 143, "IMAP4_STARTTLS"),
    ("POP3_SSL", 110, "POP3_STARTTLS"),
    ("SMTP_SSL", 587, "SMTP_STARTTLS"),
    ("IMAP4", 993, "IMAP4_SSL"),
    ("IMAP4_STARTTLS", 993, "IMAP4_SSL"),
    ("POP3", 995, "POP3_SSL"),
    ("POP3_STARTTLS", 995, "POP3_SSL"),
    ("SMTP", 465, "SMTP_SSL"),
    ("SMTP_STARTTLS", 465, "SMTP_SSL"),
]


@pytest.mark.parametrize(("name", "port", "better"), CONTRADICTIONS)
def test_a_port_that_contradicts_the_class(
    name: str, port: int, better: str, policy: TLSPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dial(*arguments: Any) -> Any:
        raise AssertionError("connected")

    monkeypatch.setattr("securemail.connection.dial", dial)
    cls: Any = getattr(securemail, name)
    for connect in (
        lambda: cls("127.0.0.1", port, policy=policy),
        lambda: cls(policy=policy).connect("127.0.0.1", port),
        lambda: cls(f"127.0.0.1:{port}", policy=policy),
    )[: 3 if "SMTP" in name else 1]:
        with pytest.raises(PolicyError) as raised:
            connect()
        assert raised.value.code == "port-and-mode"
        assert f"{better}(host)" in raised.value.hint
        assert f"{name} and port {port} contradict each other" in str(raised.value)
        assert_survives_pickling(raised.value)


@pytest.mark.parametrize(
    ("name", "port"),
    [
        *[(name, 2525) for name, _, _ in CONTRADICTIONS],
        *[("IMAP4", 143), ("IMAP4_STARTTLS", 143), ("IMAP4_SSL", 993)],
        *[("POP3", 110), ("POP3_STARTTLS", 110), ("POP3_SSL", 995)],
        *[("SMTP", 587), ("SMTP_STARTTLS", 587), ("SMTP_SSL", 465), ("SMTP", 25)],
        *[("SMTP_STARTTLS", 25), ("SMTP_SSL", 25)],
    ],
)
def test_a_port_that_does_not(
    name: str, port: int, policy: TLSPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it is dialled."""

    class Dialled(Exception):
        pass

    def dial(*arguments: Any) -> Any:
        raise Dialled

    monkeypatch.setattr("securemail.connection.dial", dial)
    with pytest.raises(Dialled):
        getattr(securemail, name)("127.0.0.1", port, policy=policy)


@every_way
def test_a_server_that_waits_for_tls_is_met_in_clear(
    way: Way, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    server = recording_server(scripts.POLITE[way.protocol], context=pki["good"].server_context())
    limits = Limits(connect=0.4, read=0.4)
    failure = attempt_and_fail(way, server, policy=policy, limits=limits, told_again=False)
    assert isinstance(failure.error, TimeLimitExceeded)
    assert "If it speaks TLS from the first byte" in failure.error.hint
    better = {"imap": "IMAP4_SSL", "pop3": "POP3_SSL", "smtp": "SMTP_SSL"}[way.protocol]
    assert better in failure.error.hint
    assert failure.records[0].wire == b""


@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_a_server_in_clear_is_met_by_tls(
    mail: Any, pki: PKI, policy: TLSPolicy, recording_server: Factory
) -> None:
    server = recording_server(Upgrades(mail.protocol, pki["good"].server_context()))
    with failing(server) as failure:
        mail.attempt(server, policy=policy)
    assert type(failure.error) is TLSError
    assert failure.error.code == "plaintext-port"
    better = {"imap": "IMAP4_STARTTLS", "pop3": "POP3_STARTTLS", "smtp": "SMTP_STARTTLS"}
    assert better[mail.protocol] in failure.error.hint
    assert leaks(failure.records[0].everything, PASSWORD) == []
