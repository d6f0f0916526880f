"""A certificate of the client's own: shown to servers that ask, and what is said of a wrong one."""

import os
import pickle
import pty
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    CATrust,
    ClientCertificate,
    ExactCertificate,
    Limits,
    PinMismatch,
    PolicyError,
    TLSError,
    TLSPolicy,
    Vouched,
)
from securemail.tls.exporter import ExportingContext
from securemail.tls.handshake import known
from servers import scripts
from servers.attempts import MAIL, Mail, assert_nothing_said, failing, shown_of
from servers.people import PASSWORD, People
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.scripts import POLITE
from servers.upgrades import WAYS, Upgrades, Way

NAME = "mail.example.org"
Factory = Callable[..., RecordingServer]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("people"))


def policy_of(pki: PKI, people: People, *files: str, **more: Any) -> TLSPolicy:
    own = ClientCertificate(*(people[name] for name in files)) if files else None
    return TLSPolicy(**{"trust": CATrust(pki.ca_pem), **more}, client_certificate=own)


class Meets:
    """A polite server that notes who it speaks to."""

    def __init__(self, protocol: str) -> None:
        self._serve = POLITE[protocol]
        self.met: list[str | None] = []

    def note(self, conversation: Conversation) -> None:
        assert conversation._tls is not None
        shown: Any = conversation._tls.getpeercert() or {}
        subject = dict(one[0] for one in shown.get("subject", ()))
        self.met.append(subject.get("commonName"))

    def __call__(self, conversation: Conversation) -> None:
        self.note(conversation)
        self._serve(conversation)

    def within(self, conversation: Conversation, *_: Any) -> None:
        """As the first answer of `Upgrades` over TLS... which is the polite one, late."""
        self.note(conversation)


# -- accepted


@every_version
@every_class
def test_the_server_sees_who_comes(
    mail: Mail, version: ssl.TLSVersion, pki: PKI, people: People, recording_server: Factory
) -> None:
    script = Meets(mail.protocol)
    server = recording_server(script, context=people.server_context(pki, version))
    for files, name in ((("me.pem", "me.key"), "Alice"), (("both.pem",), "Alice")):
        mail.attempt(server, policy=policy_of(pki, people, *files))
        assert script.met[-1] == name
    mail.attempt(server, policy=policy_of(pki, people, "with_chain.pem"))
    assert script.met == ["Alice", "Alice", "Bob"]


@every_version
@every_way
def test_after_the_upgrade_as_well(
    way: Way, version: ssl.TLSVersion, pki: PKI, people: People, recording_server: Factory
) -> None:
    script, context = Meets(way.protocol), people.server_context(pki, version)

    def shakes_hands(conversation: Conversation, *_: Any) -> None:
        conversation.start_tls(context)
        script.note(conversation)

    server = recording_server(Upgrades(way.protocol, context, handshake=shakes_hands))
    client = way.upgrade(
        way.blank(), server.port, policy=policy_of(pki, people, "me.pem", "me.key")
    )
    client.login("user", "password")
    assert client.report.tls.client_certificate == people.fingerprint("me.pem")
    way.close(client)
    assert script.met == ["Alice"]


def test_a_server_that_does_not_ask_gets_none(
    pki: PKI, people: People, recording_server: Factory
) -> None:
    """What the report has is what was offered: Python cannot see whether the server asked."""
    script = Meets("imap")
    server = recording_server(script, context=pki["good"].server_context())
    with IMAP4_SSL("127.0.0.1", server.port, policy=policy_of(pki, people, "both.pem")) as imap:
        assert imap.report.tls is not None
        assert imap.report.tls.client_certificate == people.fingerprint("me.pem")
        fingerprint = people.fingerprint("me.pem")
        assert f"offered:     a client certificate, SHA-256 {fingerprint}" in str(imap.report)
        assert imap.report.as_dict()["tls"]["client_certificate"] == fingerprint
    assert script.met == [None]
    with IMAP4_SSL("127.0.0.1", server.port, policy=policy_of(pki, people)) as imap:
        assert imap.report.tls is not None
        assert imap.report.tls.client_certificate is None
        assert "offered" not in str(imap.report)


@pytest.mark.parametrize("wanted", ["prefer", "require"])
def test_beside_a_channel_binding(
    wanted: str, pki: PKI, people: People, recording_server: Factory
) -> None:
    """Whose connection has a context of its own."""
    script = Meets("imap")
    server = recording_server(script, context=people.server_context(pki, VERSIONS[1]))
    policy = policy_of(pki, people, "both.pem", channel_binding=wanted)
    MAIL["imap"].cls("127.0.0.1", server.port, policy=policy).logout()
    assert isinstance(policy.connection_context(), ExportingContext) == (wanted == "require")
    assert script.met == ["Alice"]


def test_under_another_library_as_well(pki: PKI, people: People, recording_server: Factory) -> None:
    import imaplib

    script = Meets("imap")
    server = recording_server(script, context=people.server_context(pki, VERSIONS[1]))
    context = policy_of(pki, people, "both.pem").ssl_context()
    imaplib.IMAP4_SSL("127.0.0.1", server.port, ssl_context=context).logout()
    assert script.met == ["Alice"]


# -- refused


@every_version
@every_class
def test_a_server_that_demands_one_and_gets_none(
    mail: Mail, version: ssl.TLSVersion, pki: PKI, people: People, recording_server: Factory
) -> None:
    context = people.server_context(pki, version)
    server = recording_server(POLITE[mail.protocol], context=context)
    with failing(server) as failure:
        mail.attempt(server, policy=policy_of(pki, people))
    assert_nothing_said(failure.records)
    assert isinstance(failure.error, TLSError)
    assert failure.error.code == "client-certificate-wanted"
    assert "the server demands a client certificate. No password was sent." in failure.text
    assert "TLSPolicy(client_certificate=ClientCertificate(...))" in failure.error.hint


@every_version
@every_class
@pytest.mark.parametrize("name", ["stranger.pem", "without_chain.pem"])
def test_a_server_that_does_not_like_ours(
    name: str,
    mail: Mail,
    version: ssl.TLSVersion,
    pki: PKI,
    people: People,
    recording_server: Factory,
) -> None:
    context = people.server_context(pki, version)
    server = recording_server(POLITE[mail.protocol], context=context)
    with failing(server) as failure:
        mail.attempt(server, policy=policy_of(pki, people, name))
    assert_nothing_said(failure.records)
    assert isinstance(failure.error, TLSError)
    assert failure.error.code == "client-certificate-refused"
    assert people.fingerprint(name) in failure.text
    assert "(unknown certificate authority). No password was sent." in failure.text
    assert "which certificates it takes" in failure.error.hint


@every_version
@every_way
@pytest.mark.parametrize(
    ("files", "code"),
    [((), "client-certificate-wanted"), (("stranger.pem",), "client-certificate-refused")],
    ids=["none", "another"],
)
def test_refused_after_the_upgrade(
    files: tuple[str, ...],
    code: str,
    way: Way,
    version: ssl.TLSVersion,
    pki: PKI,
    people: People,
    recording_server: Factory,
) -> None:
    """A TLS 1.3 server says so after the handshake, when the first command may be on its way."""
    server = recording_server(Upgrades(way.protocol, people.server_context(pki, version)))
    client = way.blank()
    with failing(server) as failure:
        way.upgrade(client, server.port, policy=policy_of(pki, people, *files))
        client.login("user", "password")
    assert isinstance(failure.error, TLSError)
    assert failure.error.code == code
    assert failure.error.credentials_sent is False


@every_version
def test_with_a_context_of_the_callers_own(
    version: ssl.TLSVersion, pki: PKI, people: People, recording_server: Factory
) -> None:
    """Which certificate it has is not known: none is named."""
    server = recording_server(scripts.imap_ok, context=people.server_context(pki, version))
    context = ssl.create_default_context(cafile=str(pki.ca_pem))
    with failing(server) as failure:
        MAIL["imap"].attempt(server, ssl_context=context)
    assert failure.error.code == "client-certificate-wanted"
    context.load_cert_chain(people["stranger.pem"])
    with failing(server, 2) as failure:
        MAIL["imap"].attempt(server, ssl_context=context)
    assert failure.error.code == "client-certificate-refused"
    assert "does not accept the client certificate (unknown certificate auth" in failure.text


def test_alerts_that_may_have_other_causes() -> None:
    """Are about our certificate where there is one alone."""
    for reason in ("TLSV1_ALERT_ACCESS_DENIED", "TLSV1_ALERT_DECRYPT_ERROR"):
        without = known(reason, presented=True)
        assert without is None or without.code == "tls"
        found = known(reason, offered="AB:CD", presented=True)
        assert found is not None
        assert found.code == "client-certificate-refused"
        assert "AB:CD" in found.message


def test_no_suite_in_common_is_told_apart(
    pki: PKI, people: People, recording_server: Factory
) -> None:
    """By the same alert, which comes before the server has shown a certificate."""
    context = people.server_context(pki, VERSIONS[0])
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA")
    server = recording_server(scripts.imap_ok, context=context)
    for files in ((), ("both.pem",)):
        with failing(server, 1 + bool(files)) as failure:
            MAIL["imap"].attempt(server, policy=policy_of(pki, people, *files))
        assert failure.error.code == "no-common-cipher"


# -- not shown to servers that are not verified


@every_version
def test_a_server_that_is_refused_does_not_get_it(
    version: ssl.TLSVersion, pki: PKI, people: People, recording_server: Factory
) -> None:
    """Another name, and an authority that is not believed."""
    for kind in ("wrong_name", "unknown_ca"):
        context = people.server_context(pki, version, kind=kind)
        server = recording_server(scripts.imap_ok, context=context)
        with failing(server) as failure:
            MAIL["imap"].attempt(
                server, policy=policy_of(pki, people, "both.pem"), server_hostname=NAME
            )
        assert b"alice@example.org" not in failure.records[0].everything
        assert failure.records[0].handshake_error is not None


def test_tls_1_2_shows_it_to_everybody(pki: PKI, people: People, recording_server: Factory) -> None:
    """Which is why the documentation says so; TLS 1.3 does not. (And the test above can fail.)"""
    for version, is_seen in zip(VERSIONS, (True, False), strict=True):
        server = recording_server(scripts.imap_ok, context=people.server_context(pki, version))
        MAIL["imap"].attempt(server, policy=policy_of(pki, people, "both.pem"))
        (record,) = server.wait()
        assert (b"alice@example.org" in bytes(record.wire)) == is_seen


def test_pins_are_compared_when_it_was_shown(
    pki: PKI, people: People, recording_server: Factory
) -> None:
    """As documented: by a server that the store verified. Nothing else was said to it."""
    script = Meets("imap")
    server = recording_server(script, context=people.server_context(pki, VERSIONS[0]))
    policy = policy_of(pki, people, "both.pem", pins=pki["good_rsa"].spki_pin)
    with failing(server) as failure:
        MAIL["imap"].attempt(server, policy=policy)
    assert isinstance(failure.error, PinMismatch)
    assert script.met == ["Alice"]
    assert_nothing_said(failure.records)


class Unverified:
    """A store that verifies after the handshake."""

    def prepare(self, context: ssl.SSLContext) -> None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def verify(self, peer: Any) -> Vouched:
        return Vouched("me")


def test_a_store_that_verifies_later_is_refused(pki: PKI, people: People) -> None:
    for trust in (ExactCertificate(pin=pki["good"].spki_pin), Unverified()):
        with pytest.raises(PolicyError, match="after the handshake only") as caught:
            policy_of(pki, people, "both.pem", trust=trust)
        assert caught.value.code == "client-certificate-trust"
        policy_of(pki, people, trust=trust)


def test_an_exact_certificate_verifies_inside(
    pki: PKI, people: People, recording_server: Factory
) -> None:
    script, own = Meets("imap"), pki["self_signed"]
    context = people.server_context(pki, VERSIONS[1], kind="self_signed")
    server = recording_server(script, context=context)
    trust = ExactCertificate(own.leaf_pem, acknowledge="a test")
    MAIL["imap"].attempt(server, policy=policy_of(pki, people, "both.pem", trust=trust))
    assert script.met == ["Alice"]


# -- files


def test_the_password_by_callable_and_by_text(
    pki: PKI, people: People, recording_server: Factory
) -> None:
    script = Meets("imap")
    server = recording_server(script, context=people.server_context(pki, VERSIONS[1]))
    for key in ("encrypted.key", "traditional.key"):
        for password in (PASSWORD, PASSWORD.encode(), lambda: PASSWORD, lambda: PASSWORD.encode()):
            own = ClientCertificate(people["me.pem"], people[key], password)
            policy = TLSPolicy(trust=CATrust(pki.ca_pem), client_certificate=own)
            MAIL["imap"].attempt(server, policy=policy)
    assert script.met == ["Alice"] * 8


def test_the_callable_is_asked_once_for_each_reading(people: People) -> None:
    asked = []

    def password() -> str:
        asked.append("asked")
        return PASSWORD if len(asked) == 1 else "wrong"

    own = ClientCertificate(people["me.pem"], people["encrypted.key"], password)
    assert len(asked) == 1
    with pytest.raises(PolicyError, match="cannot be decrypted"):
        TLSPolicy(client_certificate=own)
    assert len(asked) == 2


def test_a_password_that_is_not_needed_is_not_asked_for(people: People) -> None:
    def password() -> str:
        raise AssertionError

    ClientCertificate(people["me.pem"], people["me.key"], password)


def fails(cert: Any, key: Any = None, password: Any = None) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        ClientCertificate(cert, key, password)
    assert caught.value.hint
    return caught.value


def test_a_file_that_cannot_be_read(people: People) -> None:
    said = fails(people.folder / "nowhere.pem")
    assert said.code == "file-unreadable"
    assert "the certificate file" in said.message
    said = fails(people["me.pem"], people.folder / "nowhere.key")
    assert said.code == "file-unreadable"
    assert "the key file" in said.message


def test_files_that_hold_something_else(people: People, tmp_path: Path) -> None:
    der = tmp_path / "me.der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(people["me.pem"].read_text()))
    assert "is not PEM text" in fails(der, people["me.key"]).message
    assert "pkcs12" in fails(der, people["me.key"]).hint
    assert fails(people["me.key"]).code == "no-certificate"
    assert "holds no private key" in fails(people["me.pem"]).message
    assert "holds no private key" in fails(people["me.pem"], people["ca.pem"]).message
    damaged = tmp_path / "damaged.pem"
    damaged.write_bytes(
        people["both.pem"].read_bytes().replace(b"-----END CERT", b"AA-----END CERT")
    )
    assert fails(damaged).code == "damaged-certificate"
    key = tmp_path / "damaged.key"
    key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert "OpenSSL does not take" in fails(people["me.pem"], key).message


def test_a_key_of_another(people: People) -> None:
    said = fails(people["me.pem"], people["stranger.pem"])
    assert said.code == "client-certificate"
    assert "is not that of the certificate" in said.message


WRONG: list[Any] = ["wrong", b"wrong", lambda: "wrong", "x" * 2000, "\udcff"]


@pytest.mark.parametrize("password", WRONG, ids=["text", "octets", "callable", "long", "odd"])
@pytest.mark.parametrize("key", ["encrypted.key", "traditional.key"])
def test_a_wrong_password(key: str, password: Any, people: People) -> None:
    said = fails(people["me.pem"], people[key], password)
    assert "cannot be decrypted with the password" in said.message
    assert said.code == "client-certificate"


@pytest.mark.parametrize("password", ["", b"", lambda: None, lambda: 7, lambda: ""])
def test_what_is_no_password(password: Any, people: People) -> None:
    said = fails(people["me.pem"], people["encrypted.key"], password)
    assert "is empty, or not text" in said.message


def test_a_callable_that_fails(people: People) -> None:
    said = fails(people["me.pem"], people["encrypted.key"], lambda: {}["keyring"])
    assert "could not be fetched (KeyError)" in said.message
    assert isinstance(said.__cause__, KeyError)


@pytest.mark.parametrize("given", [None, 7, b"me.pem", "PEM"])
def test_what_is_no_path(given: Any, people: People) -> None:
    """A key that is given itself is not shown either."""
    pem = people["both.pem"].read_text()
    secret = pem.splitlines()[1].encode()
    pairs = [(given, None)] + ([] if given is None else [(people["me.pem"], given)])
    for files in pairs:
        cert, key = (pem if file == "PEM" else file for file in files)
        error = fails(cert, key)
        assert "is not the path of a file" in error.message
        assert secret not in shown_of(error)


def test_a_policy_takes_nothing_else(people: People) -> None:
    with pytest.raises(PolicyError, match="not a ClientCertificate") as caught:
        TLSPolicy(client_certificate=str(people["both.pem"]))  # type: ignore[arg-type]
    assert caught.value.code == "client-certificate"


def test_a_key_that_is_too_weak(pki: PKI) -> None:
    weak = pki["weak_key"]
    assert "too weak" in fails(weak.cert, weak.key).hint


PROMPTS = """
import sys
from securemail import ClientCertificate, PolicyError
try:
    ClientCertificate(sys.argv[1], sys.argv[2])
except PolicyError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize("key", ["encrypted.key", "traditional.key"])
def test_nobody_is_asked_on_the_terminal(key: str, people: People) -> None:
    """In a terminal of its own, where OpenSSL would ask, and wait."""
    command = [sys.executable, "-c", PROMPTS, str(people["me.pem"]), str(people[key])]
    said = in_a_terminal(command)
    assert "refused:" in said
    assert "is encrypted, and no password was given" in " ".join(said.split())
    assert "pass phrase" not in said


def test_the_terminal_of_the_test_above_would_be_used(people: People) -> None:
    program = (
        "import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, str(people["me.pem"]), str(people["encrypted.key"])]
    asks = sys.version_info < (3, 15)  # from then on Python itself fails without asking
    assert ("pass phrase" if asks else "PEM lib") in in_a_terminal(command, seconds=3)


def in_a_terminal(command: list[str], seconds: float = 60) -> str:
    """What is said there within that time; nobody answers."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(theirs)
    killer = threading.Timer(seconds, process.kill)
    killer.start()
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        killer.cancel()
        process.wait()
        os.close(ours)
    return said.decode()


# -- a value


def test_equal_by_path(people: People, tmp_path: Path) -> None:
    one = ClientCertificate(people["me.pem"], people["encrypted.key"], PASSWORD)
    other = ClientCertificate(str(people["me.pem"]), str(people["encrypted.key"]), lambda: PASSWORD)
    assert one == other
    assert hash(one) == hash(other)
    assert one != ClientCertificate(people["me.pem"], people["me.key"])
    assert one != str(people["me.pem"])
    with pytest.raises(AttributeError):
        one.cert = "x"  # type: ignore[misc]
    assert TLSPolicy(client_certificate=one) == TLSPolicy(client_certificate=other)
    assert TLSPolicy(client_certificate=one) != TLSPolicy()


def test_a_replaced_file_is_noticed(people: People, tmp_path: Path) -> None:
    cert, key = tmp_path / "c.pem", tmp_path / "c.key"
    shutil.copy(people["me.pem"], cert)
    shutil.copy(people["me.key"], key)
    policy = TLSPolicy(client_certificate=ClientCertificate(cert, key))
    before = policy.ssl_context()
    assert policy.ssl_context() is before
    shutil.copy(people["stranger.pem"], cert)
    with pytest.raises(PolicyError, match="is not that of the certificate"):
        policy.ssl_context()
    shutil.copy(people["stranger.pem"], key)
    assert policy.ssl_context() is not before
    key.unlink()
    with pytest.raises(PolicyError, match="key file"):
        policy.ssl_context()


def fetch(password: str) -> str:
    return password


def test_pickled_without_a_password_in_it(pki: PKI, people: People) -> None:
    plain = policy_of(pki, people, "both.pem")
    assert pickle.loads(pickle.dumps(plain)) == plain
    fetched = ClientCertificate(people["me.pem"], people["encrypted.key"], partial(fetch, PASSWORD))
    assert pickle.loads(pickle.dumps(fetched)) == fetched
    literal = ClientCertificate(people["me.pem"], people["encrypted.key"], PASSWORD)
    for value in (literal, TLSPolicy(client_certificate=literal)):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(value)
    with pytest.raises(Exception, match="pickle"):  # of a class that depends on the Python
        pickle.dumps(ClientCertificate(people["me.pem"], people["me.key"], lambda: ""))


def test_shown_nowhere(people: People) -> None:
    for password in (PASSWORD, PASSWORD.encode(), partial(fetch, PASSWORD)):
        own = ClientCertificate(people["me.pem"], people["encrypted.key"], password)
        policy = TLSPolicy(client_certificate=own)
        for shown in (repr(own), str(own), repr(policy), policy.describe(), repr(vars(policy))):
            assert PASSWORD not in shown
            assert "<secret>" in shown or shown == policy.describe()


@pytest.mark.parametrize("key", ["encrypted.key", "stranger.pem", "nowhere"])
def test_no_traceback_shows_the_password(key: str, people: People) -> None:
    """The wrong one is a slip of the right one, most often."""
    wrong = PASSWORD + "!"
    for password in (wrong, wrong.encode(), partial(fetch, wrong), wrong + "\udcff"):
        error = fails(people["me.pem"], people.folder / key, password)
        assert wrong.encode() not in shown_of(error)
        assert wrong not in repr(error.__context__)  # an encoding error has the text on it


def test_the_description_says_it(pki: PKI, people: People) -> None:
    said = policy_of(pki, people, "me.pem", "me.key").describe()
    shown = str(people["me.pem"])
    assert f"client:      shows the certificate in {shown!r} to servers that ask for one" in said
    assert "client" not in TLSPolicy().describe()


# -- the policy file


def test_by_the_policy_file(
    pki: PKI,
    people: People,
    recording_server: Factory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(people["me.pem"], tmp_path)
    shutil.copy(people["me.key"], tmp_path)
    shutil.copy(pki.ca_pem, tmp_path / "corp.pem")
    file = tmp_path / "securemail.toml"
    file.write_text(
        '[default]\ntrust = { ca = "corp.pem" }\n'
        'client_certificate = { certificate = "me.pem", key = "me.key" }\n'
    )
    monkeypatch.setenv("SECUREMAIL_POLICY", str(file))
    script = Meets("imap")
    server = recording_server(script, context=people.server_context(pki, VERSIONS[1]))
    MAIL["imap"].attempt(server, limits=Limits(connect=5, read=5))
    assert script.met == ["Alice"]

    shutil.copy(people["encrypted.key"], tmp_path / "me.key")
    with pytest.raises(PolicyError) as caught:
        MAIL["imap"].attempt(server)
    assert "[default], client_certificate: the private key in" in str(caught.value)
    assert "is encrypted" in str(caught.value)
