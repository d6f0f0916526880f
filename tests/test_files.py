"""Files that decide whom we believe: which file is meant, what is read, who may write it."""

import base64
import hashlib
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding

from securemail import (
    CATrust,
    ClientCertificate,
    ExactCertificate,
    FirstUseTrust,
    Limits,
    Pin,
    PolicyError,
    TLSPolicy,
    Waive,
    files,
    pem,
)
from securemail.hosts import Host
from securemail.policy_file import settings_for
from servers.pki import PKI
from servers.revocation import issuer_of, revocation_list

root_only = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def folder(tmp_path: Path, pki: PKI) -> Path:
    """One file of each kind, by relative names."""
    good = pki["good"]
    (tmp_path / "ca.pem").write_bytes(Path(pki.ca_pem).read_bytes())
    (tmp_path / "server.pem").write_bytes(good.leaf_pem.read_bytes())
    (tmp_path / "me.pem").write_bytes(good.leaf_pem.read_bytes() + good.key.read_bytes())
    crl = revocation_list(issuer_of(pki._workshop.root))
    (tmp_path / "list.crl").write_bytes(crl.public_bytes(Encoding.PEM))
    (tmp_path / "known").touch()
    (tmp_path / "policy.toml").write_text('[default]\ntrust = { ca = "ca.pem" }\n')
    return tmp_path


# What a name in a file leads to, and the file's name.
KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "CATrust": ("ca.pem", lambda name: TLSPolicy(trust=CATrust(name))),
    "ExactCertificate": ("server.pem", lambda name: TLSPolicy(trust=ExactCertificate(name))),
    "crls": ("list.crl", lambda name: TLSPolicy(trust=CATrust(beside(name, "ca.pem")), crls=name)),
    "ClientCertificate": (
        "me.pem",
        lambda name: TLSPolicy(
            trust=CATrust(beside(name, "ca.pem")), client_certificate=ClientCertificate(name)
        ),
    ),
    "FirstUseTrust": ("known", lambda name: FirstUseTrust(name).known()),
    "Pin": ("server.pem", Pin.from_pem),
    "policy file": ("policy.toml", lambda name: asked(name).policy),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def beside(name: str, other: str) -> str:
    return os.path.join(os.path.dirname(name), other)


def asked(name: str) -> Any:
    os.environ["SECUREMAIL_POLICY"] = name
    return settings_for(Host.parse("mail.example.org"), 993)


@pytest.fixture(autouse=True)
def no_policy_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setenv("SECUREMAIL_POLICY", "")  # put back what `asked` sets


# --- which file is meant --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CATrust", "ExactCertificate", "crls", "ClientCertificate"])
def test_a_relative_path_is_settled_when_it_is_named(
    name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any
) -> None:
    file, make = KINDS[name]
    monkeypatch.chdir(folder)
    policy = make(file)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    theirs = trustme.CA()
    for other in ("ca.pem", "server.pem", "me.pem", "list.crl"):
        (elsewhere / other).write_bytes(theirs.cert_pem.bytes())
    monkeypatch.chdir(elsewhere)
    before = policy.ssl_context()
    if name == "CATrust":
        (anchor,) = before.get_ca_certs(binary_form=True)
        assert anchor == pem.one_certificate(folder / "ca.pem")
    assert policy.ssl_context() is before
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert str(folder) in repr(policy)
    monkeypatch.chdir("/")
    assert policy.ssl_context() is before
    monkeypatch.chdir(folder)
    assert make(file) == policy == make(str(folder / file))


def test_so_is_the_policy_file(folder: Path, tmp_path_factory: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    policy = asked("policy.toml").policy
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "policy.toml").write_text("[default]\n")
    monkeypatch.chdir(elsewhere)
    assert asked("policy.toml").policy == policy == TLSPolicy(trust=CATrust(folder / "ca.pem"))


def test_it_is_settled_before_a_daemon_leaves_its_folder(folder: Path) -> None:
    program = (
        "import os, securemail.smtp\n"
        "os.chdir('/')\n"
        "from securemail.policy_file import settings_for\n"
        "from securemail.hosts import Host\n"
        "print(settings_for(Host.parse('mail.example.org'), 465).source)\n"
    )
    environment = {**os.environ, "SECUREMAIL_POLICY": "policy.toml"}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert found.stdout == f"{folder / 'policy.toml'}, [default]\n", found.stderr


# --- what is read ---------------------------------------------------------------------------------


@each_kind
def test_a_pipe_is_not_waited_for(kind: Any, folder: Path) -> None:
    name, make = kind
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(PolicyError, match=r"not a( regular)? file|no regular file"):
        make(str(folder / name))


@each_kind
def test_nor_is_an_endless_device_read(kind: Any) -> None:
    with pytest.raises(PolicyError):
        kind[1]("/dev/zero")


def test_there_is_a_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (folder / "ca.pem").stat().st_size
    assert len(files.read_file(folder / "ca.pem", size)) == size
    with pytest.raises(ValueError, match=f"more than {size - 1:,} octets"):
        files.read_file(folder / "ca.pem", size - 1)


@pytest.mark.parametrize("beginning", ["X509 CRL", "CERTIFICATE", "A", "PRIVATE"])
def test_beginnings_without_ends_are_each_looked_at_once(
    beginning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: what is searched, and how often."""
    data = b"-----BEGIN %s-----\n" % beginning.encode() * 20_000
    searches = []

    class Counted:
        def finditer(self, text: bytes) -> Any:
            searches.append(len(text))
            return pattern.finditer(text)

    pattern = pem._LINE
    monkeypatch.setattr(pem, "_LINE", Counted())
    assert list(pem.blocks(data)) == []
    for make in (lambda: CATrust(data), lambda: TLSPolicy(crls=data)):
        with pytest.raises(PolicyError):
            make()
    assert set(searches) == {len(data)}
    assert len(searches) <= 8


def test_control_blocks_between_such_beginnings_are_found(pki: PKI) -> None:
    good = Path(pki.ca_pem).read_bytes()
    data = b"-----BEGIN CERTIFICATE-----\n" + good + b"-----BEGIN A-----\n" + good
    assert pem.certificates(data) == pem.certificates(good) * 2


def in_utf16(data: bytes) -> bytes:
    return data.decode().encode("utf-16")


@pytest.mark.parametrize(
    "write", [in_utf16, lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be")]
)
def test_powershell_writes_utf_16(write: Callable[[bytes], bytes], folder: Path) -> None:
    data = (folder / "ca.pem").read_bytes()
    (folder / "ca.pem").write_bytes(write(data))
    assert pem.certificates(folder / "ca.pem") == pem.certificates(data)


def test_line_breaks_that_a_variable_has_written_out(folder: Path) -> None:
    text = (folder / "ca.pem").read_text()
    assert pem.certificates(text.replace("\n", "\\n")) == pem.certificates(text)


def test_a_collection_in_pkcs7_is_called_that(folder: Path, pki: PKI) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs7

    certificate = x509.load_pem_x509_certificate(Path(pki.ca_pem).read_bytes())
    for encoding in (Encoding.DER, Encoding.PEM):
        data = pkcs7.serialize_certificates([certificate], encoding)
        (folder / "ca.p7b").write_bytes(data)
        with pytest.raises(PolicyError, match="PKCS #7") as raised:
            CATrust(folder / "ca.p7b")
        assert "ca.p7b" in raised.value.message
        assert "openssl pkcs7" in raised.value.hint


def test_a_damaged_one_among_several_is_named(folder: Path) -> None:
    good = (folder / "ca.pem").read_bytes()
    damaged = b"-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n"
    (folder / "ca.pem").write_bytes(good + damaged)
    with pytest.raises(PolicyError) as raised:
        CATrust(folder / "ca.pem")
    assert "ca.pem" in raised.value.message
    assert "number 2" in raised.value.message
    assert "ParseError" not in str(raised.value)


# --- who may write it -----------------------------------------------------------------------------


@each_kind
def test_what_everybody_may_write_is_not_believed(kind: Any, folder: Path) -> None:
    name, make = kind
    make(str(folder / name))
    (folder / name).chmod(0o646)
    with pytest.raises(PolicyError, match="everybody may write it") as raised:
        make(str(folder / name))
    assert str(folder / name) in raised.value.hint
    (folder / name).chmod(0o644)
    make(str(folder / name))


@each_kind
def test_nor_what_lies_where_everybody_may_put_another_in_its_place(
    kind: Any, folder: Path
) -> None:
    name, make = kind
    folder.chmod(0o777)
    with pytest.raises(PolicyError, match="everybody may write it"):
        make(str(folder / name))
    folder.chmod(0o1777)  # as /tmp: others can put files there, and replace only their own
    make(str(folder / name))


@root_only
@each_kind
@pytest.mark.parametrize("which", ["file", "folder"])
def test_nor_another_user_s(which: str, kind: Any, folder: Path) -> None:
    name, make = kind
    theirs = folder / name if which == "file" else folder
    os.chown(theirs, 12345, -1)
    with pytest.raises(PolicyError, match=r"belongs to another user \(12345\)"):
        make(str(folder / name))
    os.chown(theirs, 0, -1)
    make(str(folder / name))


@root_only
def test_a_group_may_where_nobody_else_is_in_it(folder: Path) -> None:
    path = folder / "ca.pem"
    path.chmod(0o664)
    CATrust(path)
    os.chown(path, -1, 12345)
    with pytest.raises(PolicyError, match="the group 12345 may write it"):
        CATrust(path)
    path.chmod(0o644)
    CATrust(path)


@root_only
def test_the_owner_of_this_library_decides_anyway(folder: Path, monkeypatch: Any) -> None:
    os.chown(folder / "ca.pem", 12345, -1)
    (folder / "library.py").touch()
    os.chown(folder / "library.py", 12345, -1)
    monkeypatch.setattr(files, "__file__", str(folder / "library.py"))
    CATrust(folder / "ca.pem")


# --- a private key where none belongs -------------------------------------------------------------


@pytest.mark.parametrize("store", [CATrust, ExactCertificate], ids=lambda store: store.__name__)
@pytest.mark.parametrize("how", ["path", "text", "octets"])
def test_a_private_key_is_in_no_frame(how: str, store: Any, folder: Path) -> None:
    """Of any traceback that shows local variables."""
    path = folder / "me.pem"
    given = {"path": path, "text": path.read_text(), "octets": path.read_bytes()}[how]
    lines = [line for line in path.read_text().splitlines() if len(line) == 64]
    with pytest.raises(PolicyError) as raised:
        store(given)
    assert raised.value.code == "private-key"
    found = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    shown = [frame for frame in found.stack if frame.filename != __file__]
    assert shown
    for frame in shown:
        for name, value in (frame.locals or {}).items():
            assert not any(line in value for line in lines[-5:]), (frame.name, name)


# --- nothing waits for itself ---------------------------------------------------------------------


class Connecting:
    """A store that fetches its anchors, over TLS of ours."""

    def __init__(self, inner: Callable[[], Any]) -> None:
        self.inner = inner

    def prepare(self, context: Any) -> None:
        self.inner()
        context.load_default_certs()

    def verify(self, peer: Any) -> None:
        return None


def in_a_thread(work: Callable[[], Any]) -> None:
    """What stands still for ever is seen, and does not hold up the others."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_a_store_may_make_contexts_while_one_is_made() -> None:
    in_a_thread(lambda: TLSPolicy(trust=Connecting(lambda: TLSPolicy().ssl_context())))


def test_even_of_the_same_policy() -> None:
    made: list[TLSPolicy] = []

    class Itself(Connecting):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Itself)

        def __hash__(self) -> int:
            return 1

    def once_more() -> None:
        if len(made) < 3:
            made.append(TLSPolicy())
            TLSPolicy(trust=Itself(once_more))

    in_a_thread(lambda: TLSPolicy(trust=Itself(once_more)))
    assert len(made) == 3


def test_two_that_wait_for_each_other_s() -> None:
    """Each of two threads builds what the other's store asks for."""
    both = threading.Barrier(2, timeout=10)

    class Named(Connecting):
        def __init__(self, name: str, inner: Callable[[], Any]) -> None:
            super().__init__(inner)
            self.name = name

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and other.name == self.name

        def __hash__(self) -> int:
            return hash(self.name)

    def build(own: str, others: str) -> None:
        def inner() -> None:
            both.wait()
            TLSPolicy(trust=Named(others, lambda: None))

        TLSPolicy(trust=Named(own, inner))

    threads = [
        threading.Thread(target=build, args=names, daemon=True)
        for names in (("one", "two"), ("two", "one"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


# --- reasons, and other values that are none ------------------------------------------------------

PIN = "sha256/" + base64.b64encode(bytes(32)).decode()
REASONS: dict[str, Callable[[Any], Any]] = {
    "acknowledge, exact": lambda why: ExactCertificate(pin=PIN, acknowledge=why).acknowledge,
    "acknowledge, first use": lambda why: FirstUseTrust("known", acknowledge=why).acknowledge,
    "legacy_ciphers": lambda why: TLSPolicy(legacy_ciphers=why).legacy_ciphers,
}
each_reason = pytest.mark.parametrize("ask", REASONS.values(), ids=REASONS)


@each_reason
@pytest.mark.parametrize("why", [True, 1, "", " \n", b"why", ["why"], 0])
def test_a_reason_is_words(ask: Callable[[Any], Any], why: Any) -> None:
    with pytest.raises(PolicyError, match="a reason in words"):
        ask(why)


@each_reason
def test_false_and_none_mean_no_exception(ask: Callable[[Any], Any]) -> None:
    assert ask(False) is None
    assert ask(None) is None
    assert ask("because") == "because"


@pytest.mark.parametrize("why", [True, False, None, "", b"why"])
def test_a_waiver_needs_one(why: Any) -> None:
    import datetime

    with pytest.raises(PolicyError, match="needs a reason"):
        Waive.EXPIRY(why, until=datetime.date(2030, 1, 1))


@pytest.mark.parametrize("name", ["pins", "crls"])
def test_nothing_to_compare_with_is_not_a_check(name: str) -> None:
    with pytest.raises(PolicyError, match=f"{name}= is empty"):
        TLSPolicy(**{name: []})
    TLSPolicy(**{name: ()})  # the default


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e300, True, "5", 0, -1, b"1"])
def test_what_is_no_time(seconds: Any) -> None:
    for make in (lambda: Limits(read=seconds), lambda: Limits(connect=seconds)):
        with pytest.raises(PolicyError) as raised:
            make()
        assert raised.value.code == "limits"
    with pytest.raises(ValueError):
        Limits().with_timeout(seconds)


# --- pins, as openssl has them --------------------------------------------------------------------


def test_the_pin_of_an_rsa_pss_key_is_openssl_s(tmp_path: Path) -> None:
    """Its parameters are a part of it, which a key that is read and written anew loses."""
    command = "openssl req -x509 -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -nodes -days 30"
    command += " -pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256"
    command += " -pkeyopt rsa_pss_keygen_saltlen:32 -subj /CN=x -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)

    def run(command: str, given: bytes) -> bytes:
        done = subprocess.run(command.split(), cwd=tmp_path, input=given, capture_output=True)
        return done.stdout

    key = run("openssl x509 -in cert.pem -noout -pubkey", b"")
    spki = run("openssl pkey -pubin -outform DER", key)
    digest = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    assert str(Pin.from_pem(tmp_path / "cert.pem")) == f"sha256/{digest}"
