"""`NativeTrust()`: the operating system's verdict, by truststore.

On Linux that is OpenSSL's, with the system's files. On Windows and macOS the system is asked after
the handshake: here one function of truststore's is exchanged for a stand-in (`SYSTEM`), which is
the very one that `NativeTrust` calls there. What the real systems say is not tested.
"""

import os
import pickle
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import truststore
from truststore import _api as api
from truststore import _openssl

from securemail import (
    CATrust,
    CertificateRejected,
    ClientCertificate,
    NativeTrust,
    Pin,
    PinMismatch,
    PolicyError,
    SelfSignedWarning,
    SystemTrust,
    TLSPolicy,
)
from securemail.trust import native
from servers import scripts
from servers.attempts import MAIL, PASSWORD, USER, Mail, assert_nothing_said, failing
from servers.leaks import leaks
from servers.people import People
from servers.pki import PKI
from servers.recording import RecordingServer

NAME = "mail.example.org"
BY = f"through truststore {truststore.__version__}"
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


def attempt(mail: Mail, server: RecordingServer, host: str = NAME, **policy: Any) -> Any:
    """Signs in; the report."""
    args = {"policy": TLSPolicy(trust=NativeTrust(), **policy), "server_hostname": host}
    client = mail.cls("127.0.0.1", server.port, timeout=10, **args)
    try:
        client.login(USER, PASSWORD)
        return client.report.tls
    finally:
        mail.say_goodbye(client)


def serve(mail: Mail, pki: PKI, certificate: str = "good", **more: Any) -> RecordingServer:
    context = pki[certificate].server_context(**more)
    return RecordingServer(scripts.POLITE[mail.protocol], context=context)


# --- elsewhere than on Windows and macOS: the system's files --------------------------------------


@every_class
def test_the_systems_files_are_believed_and_no_others(
    mail: Mail, pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(mail, pki) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
        report = attempt(mail, server)
        assert report.trusted_by == f"the operating system's files, {BY}"
        assert len(report.chain) == 2
        assert leaks(server.wait()[0].received_tls, PASSWORD) != []

        with failing(server, connections=2) as failure:
            attempt(mail, server, host="other.example.org")
        assert failure.error.code == "name-mismatch"
        monkeypatch.setenv("SSL_CERT_FILE", str(pki.other_ca_pem))
        with failing(server, connections=3) as failure:
            attempt(mail, server)
        assert failure.error.code == "unknown-issuer"
    assert_nothing_said(server.records[1:])


def no_files_of_openssl(monkeypatch: pytest.MonkeyPatch, *others: Path) -> None:
    """As with a Python whose OpenSSL was built for another system."""
    nowhere = ssl.DefaultVerifyPaths(None, None, "A", "/nowhere/file", "B", "/nowhere/folder")  # type: ignore[arg-type]
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: nowhere)
    monkeypatch.setattr(_openssl, "_CA_FILE_CANDIDATES", [str(path) for path in others])


def test_files_are_found_where_openssl_does_not_look(
    pki: PKI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pki.other_ca_pem.read_bytes())
    no_files_of_openssl(monkeypatch, tmp_path / "missing.pem", bundle)
    with serve(MAIL["imap"], pki) as server:
        with pytest.raises(CertificateRejected):
            attempt(MAIL["imap"], server)
        bundle.write_bytes(pki.ca_pem.read_bytes() + b"\n")  # a new edition of it is noticed
        assert attempt(MAIL["imap"], server).version == "TLSv1.3"


def test_no_store_at_all_is_an_error_when_the_policy_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_files_of_openssl(monkeypatch)
    with pytest.raises(PolicyError) as raised:
        TLSPolicy(trust=NativeTrust())
    assert raised.value.code == "empty-store"
    assert "CertifiTrust()" in raised.value.hint


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("value", ["", "/nowhere/at/all"])
def test_a_variable_that_leads_to_no_certificate_is_an_error(
    variable: str, value: str, pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """truststore alone would go on to other files."""
    no_files_of_openssl(monkeypatch, pki.ca_pem)
    TLSPolicy(trust=NativeTrust())  # the control
    monkeypatch.setenv(variable, value)
    with pytest.raises(PolicyError, match=variable) as raised:
        TLSPolicy(trust=NativeTrust())
    assert raised.value.code == "empty-store"


# --- on Windows and macOS: the system is asked ----------------------------------------------------


class System:
    """Stands for the operating system: what it was asked, and its verdict."""

    def __init__(self) -> None:
        self.asked: list[tuple[ssl.SSLContext, list[bytes], str | None]] = []
        self.error: BaseException | None = None
        self.server: RecordingServer | None = None
        self.heard_before = b""

    def verdict(
        self,
        ssl_context: ssl.SSLContext,
        cert_chain: list[bytes],
        server_hostname: str | None = None,
    ) -> None:
        self.asked.append((ssl_context, cert_chain, server_hostname))
        if self.server is not None:
            self.heard_before += self.server.records[-1].received_tls
        if self.error is not None:
            raise self.error


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    found = System()
    # A function, as truststore's is: a method of this class would have the same arguments.
    monkeypatch.setattr(api, "_verify_peercerts_impl", found.verdict)
    monkeypatch.setattr(native, "_ASKS_AFTERWARDS", True)
    return found


@every_class
def test_the_system_is_asked_before_anything_is_said(mail: Mail, pki: PKI, system: System) -> None:
    with serve(mail, pki, "with_intermediate") as server:
        system.server = server
        report = attempt(mail, server)
    ((context, chain, host),) = system.asked
    assert host == NAME
    assert chain[0] == pki["with_intermediate"].leaf_der
    assert len(chain) == 2
    assert type(context).__module__ == "ssl", "a plain one: it tells truststore what is wanted"
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs() == []
    assert system.heard_before == b""
    assert report.trusted_by == f"the operating system, {BY}"
    assert report.chain == (chain[0],)
    assert "revocation" in report.not_checked
    assert leaks(server.records[0].received_tls, PASSWORD) != []


def with_message(text: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("in short")
    error.verify_message = text
    return error


REFUSALS: dict[str, tuple[BaseException, str]] = {
    "Windows": (with_message("A certificate chain\ncould not be built"), r"chain\ncould not be"),
    "macOS": (ssl.SSLCertVerificationError("certificate is not trusted"), "is not trusted"),
    "no words": (with_message(""), "in short"),
    "the system's error": (OSError(5, "keychain locked"), "keychain locked"),
    "not implemented": (NotImplementedError("no CRLs here"), "no CRLs here"),
    "other arguments": (TypeError("unexpected argument"), "unexpected argument"),
}


@every_class
@pytest.mark.parametrize("name", REFUSALS)
def test_what_the_system_does_not_accept_is_told_nothing(
    mail: Mail, name: str, pki: PKI, system: System
) -> None:
    """Also where it is asked in vain."""
    system.error, words = REFUSALS[name]
    with serve(mail, pki) as server:
        with failing(server) as failure:
            attempt(mail, server)
    error = failure.error
    assert isinstance(error, CertificateRejected)
    assert error.code == "certificate"
    assert words in str(error)
    assert "the operating system does not accept the certificate" in str(error)
    assert "No password was sent." in str(error)
    assert error.chain == (pki["good"].leaf_der,)
    assert_nothing_said(server.records)


def test_without_a_name_nothing_is_asked(pki: PKI, system: System) -> None:
    context = TLSPolicy(trust=NativeTrust()).ssl_context()
    with serve(MAIL["imap"], pki) as server:
        with socket.create_connection((server.host, server.port), 5) as sock:
            with pytest.raises(CertificateRejected, match="no host was given"):
                context.wrap_socket(sock)
        server.wait()
    assert system.asked == []
    assert_nothing_said(server.records)


@pytest.mark.parametrize(
    ("certificate", "code"),
    [
        ("cn_only", "common-name-only"),
        ("wrong_eku", "wrong-purpose"),
        ("weak_key", "weak-key"),
    ],
)
def test_what_a_system_may_accept_and_we_do_not(
    certificate: str, code: str, pki: PKI, system: System
) -> None:
    mail = MAIL["imap"]
    with serve(mail, pki, certificate) as server:
        with failing(server) as failure:
            attempt(mail, server)
    assert len(system.asked) == 1
    assert code in {reason.code for reason in failure.error.reasons}
    assert_nothing_said(server.records)


def test_a_self_signed_certificate_that_the_system_accepts_warns(pki: PKI, system: System) -> None:
    mail = MAIL["imap"]
    with serve(mail, pki, "self_signed") as server:
        with pytest.warns(SelfSignedWarning, match="not checked: revocation"):
            attempt(mail, server, host=pki["self_signed"].asked_as)


def test_pins_are_of_the_servers_own_certificate(pki: PKI, system: System) -> None:
    mail, issued = MAIL["imap"], pki["with_intermediate"]
    with serve(mail, pki, "with_intermediate") as server:
        assert attempt(mail, server, pins=Pin(issued.spki_pin)).pinned == issued.spki_pin
        with failing(server, connections=2) as failure:
            attempt(mail, server, pins=Pin.from_pem(pki.ca_pem))
    assert isinstance(failure.error, PinMismatch)
    assert_nothing_said(server.records[1:])


def test_a_client_certificate_beside_it_is_refused(tmp_path: Path, system: System) -> None:
    people = People(tmp_path)
    own = ClientCertificate(people["me.pem"], people["me.key"])
    with pytest.raises(PolicyError) as raised:
        TLSPolicy(trust=NativeTrust(), client_certificate=own)
    assert raised.value.code == "client-certificate-trust"


def test_elsewhere_a_client_certificate_goes_with_it(
    tmp_path: Path, pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: there the server is verified inside of the handshake."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
    people = People(tmp_path)
    own = ClientCertificate(people["me.pem"], people["me.key"])
    assert TLSPolicy(trust=NativeTrust(), client_certificate=own).client_certificate == own


# --- truststore itself ----------------------------------------------------------------------------


def test_without_truststore_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "truststore", None)
    with pytest.raises(PolicyError) as raised:
        NativeTrust()
    assert raised.value.code == "native"
    assert "pip install 'securemail[native]'" in raised.value.hint


def other_arguments(context: object, chain: object, hostname: object) -> None: ...


@pytest.mark.parametrize("name", ["_verify_peercerts_impl", "_configure_context"])
@pytest.mark.parametrize("function", [None, other_arguments, "not callable"])
def test_a_truststore_that_is_made_otherwise_is_refused(
    name: str, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, name, function)
    with pytest.raises(PolicyError) as raised:
        NativeTrust()
    assert raised.value.code == "native"
    assert name in str(raised.value)
    assert "0.10.4 and 0.10.5" in str(raised.value)
    monkeypatch.delattr(api, name)
    with pytest.raises(PolicyError, match=name):
        NativeTrust()


def test_truststore_is_made_as_we_expect_for_windows_and_macos() -> None:
    """Read, not imported: those two are for other systems."""
    folder = Path(truststore.__file__).parent
    for system_of in ("_windows.py", "_macos.py"):
        text = "".join((folder / system_of).read_text(encoding="utf-8").split())
        wanted = "def_verify_peercerts_impl(ssl_context:ssl.SSLContext,cert_chain:list[bytes],"
        assert wanted + "server_hostname:str|None=None,)->None:" in text


def test_it_is_a_value_that_stands_alone(pki: PKI) -> None:
    assert NativeTrust() == NativeTrust()
    assert pickle.loads(pickle.dumps(NativeTrust())) == NativeTrust()
    assert repr(NativeTrust()) == "NativeTrust()"
    assert BY in TLSPolicy(trust=NativeTrust()).describe()
    for other in (SystemTrust(), CATrust(pki.ca_pem), NativeTrust()):
        with pytest.raises(PolicyError, match="cannot be joined"):
            NativeTrust() | other
        with pytest.raises(PolicyError, match="cannot be joined"):
            other | NativeTrust()


PROGRAM = """
import sys
at, port, asks = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "asks"
import truststore
if at == "before":
    truststore.inject_into_ssl()
from securemail import IMAP4_SSL, CertificateRejected, NativeTrust, TLSPolicy
from securemail.trust import native
if at == "after":
    truststore.inject_into_ssl()


def system(ssl_context, cert_chain, server_hostname=None):
    assert ssl_context.verify_mode == 2 and ssl_context.check_hostname, "is wanted"
    assert ssl_context.get_ca_certs(binary_form=True) == []
    if server_hostname != "mail.example.org":
        raise ValueError("another name")


if asks:
    native._ASKS_AFTERWARDS = True
    sys.modules["truststore._api"]._verify_peercerts_impl = system
policy = TLSPolicy(trust=NativeTrust())
for name in ("mail.example.org", "other.example.org"):
    try:
        IMAP4_SSL("127.0.0.1", port, policy=policy, server_hostname=name).logout()
        print("accepted")
    except CertificateRejected as error:
        print("refused")
"""


@pytest.mark.parametrize("asks", ["asks", "files"])
@pytest.mark.parametrize("at", ["before", "after"])
def test_an_injection_of_truststore_does_not_disturb(at: str, asks: str, pki: PKI) -> None:
    with serve(MAIL["imap"], pki) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, at, str(server.port), asks],
            env={**os.environ, "SSL_CERT_FILE": str(pki.ca_pem)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.split() == ["accepted", "refused"], done.stderr
