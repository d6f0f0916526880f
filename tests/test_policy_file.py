"""The file that SECUREMAIL_POLICY names: what it may say, what it may not, and when it is read."""

import datetime
import json
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from docs_examples import ROOT, blocks
from securemail import (
    AuthPolicy,
    CATrust,
    CertifiTrust,
    ClientCertificate,
    ExactCertificate,
    FirstUseTrust,
    NativeTrust,
    Pin,
    PolicyError,
    SystemTrust,
    TLSPolicy,
    Waive,
)
from securemail import policy_file as module
from securemail.hosts import Host, split_port
from securemail.policy_file import ServerSettings, reading, settings_for
from servers.pki import PKI
from servers.revocation import issuer_of, revocation_list

PIN = "sha256/" + "A" * 43 + "="
PIN_B = "sha256/" + "B" * 42 + "A="
FINGERPRINT = ":".join(["AB"] * 32)
ANY = '[servers."mail.example.org"]\n'  # the table of most examples


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_kept", None)
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)


@pytest.fixture
def folder(tmp_path: Path, pki: PKI) -> Path:
    """Where the file lies, beside the certificates that it names."""
    shutil.copy(pki.ca_pem, tmp_path / "corp.pem")
    shutil.copy(pki.no_aki_ca_pem, tmp_path / "authority.pem")
    shutil.copy(pki["self_signed"].leaf_pem, tmp_path / "server.pem")
    shutil.copy(pki["good"].leaf_pem, tmp_path / "me.pem")
    shutil.copy(pki["good"].key, tmp_path / "me.key")
    crl = revocation_list(issuer_of(pki._workshop.root))
    (tmp_path / "corp.crl").write_bytes(crl.public_bytes(Encoding.DER))
    both = pki["good"].leaf_pem.read_bytes() + pki["good"].key.read_bytes()
    (tmp_path / "both.pem").write_bytes(both)
    return tmp_path


Write = Callable[..., Path]


@pytest.fixture
def write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes securemail.toml, and has SECUREMAIL_POLICY name it."""

    def write(text: str | bytes) -> Path:
        path = folder / "securemail.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        monkeypatch.setenv("SECUREMAIL_POLICY", str(path))
        return path

    return write


def ask(host: str = "mail.example.org", port: int = 993) -> ServerSettings:
    found = settings_for(Host.parse(host), port)
    assert found is not None
    return found


def refusal(host: str = "mail.example.org", port: int = 993) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        settings_for(Host.parse(host), port)
    return caught.value


def more(error: PolicyError) -> str:
    """How each text ends."""
    return f" More: securemail explain {error.code}."


# --- what it may say: the same policy as in Python

GOOD: dict[str, tuple[str, Callable[[Path], TLSPolicy]]] = {
    "nothing": ("", lambda _: TLSPolicy()),
    "system": ('trust = "system"', lambda _: TLSPolicy(trust=SystemTrust())),
    "certifi": ('trust = "certifi"', lambda _: TLSPolicy(trust=CertifiTrust())),
    "native": ('trust = "native"', lambda _: TLSPolicy(trust=NativeTrust())),
    "ca": (
        'trust = { ca = "corp.pem" }',
        lambda folder: TLSPolicy(trust=CATrust(str(folder / "corp.pem"))),
    ),
    "ca, an absolute path": (
        'trust = { ca = "FOLDER/corp.pem" }',
        lambda folder: TLSPolicy(trust=CATrust(str(folder / "corp.pem"))),
    ),
    "ca, below the home folder": (
        'trust = { ca = "~/corp.pem" }',
        lambda folder: TLSPolicy(trust=CATrust(str(folder / "corp.pem"))),
    ),
    "ca, PEM text": (
        'trust = { ca = """\nPEM""" }',
        lambda folder: TLSPolicy(trust=CATrust((folder / "corp.pem").read_text())),
    ),
    "joined": (
        'trust = ["system", { ca = "corp.pem" }]',
        lambda folder: TLSPolicy(trust=SystemTrust() | CATrust(str(folder / "corp.pem"))),
    ),
    "a list of one": ('trust = ["system"]', lambda _: TLSPolicy()),
    "certificate": (
        'trust = { certificate = "server.pem" }',
        lambda folder: TLSPolicy(trust=ExactCertificate(str(folder / "server.pem"))),
    ),
    "certificate, as a table": (
        (
            '[servers."mail.example.org".trust]\ncertificate = "server.pem"\nacknowledge = "ours"\n'
            '[servers."mail.example.org".trust.waive_expiry]\nreason = "soon"\nuntil = 2031-03-01'
        ),
        lambda folder: TLSPolicy(
            trust=ExactCertificate(
                str(folder / "server.pem"),
                acknowledge="ours",
                waive=Waive.EXPIRY("soon", until=datetime.date(2031, 3, 1)),
            )
        ),
    ),
    "pin": (
        f'trust = {{ pin = "{PIN}" }}',
        lambda _: TLSPolicy(trust=ExactCertificate(pin=PIN)),
    ),
    "pin, with all that goes with it": (
        (
            f'trust = {{ pin = "certificate-sha256/{FINGERPRINT}", acknowledge = "compared", '
            'waive_expiry = { reason = "ordered", until = 2031-03-01 } }'
        ),
        lambda _: TLSPolicy(
            trust=ExactCertificate(
                pin=Pin.certificate(FINGERPRINT),
                acknowledge="compared",
                waive=Waive.EXPIRY("ordered", until=datetime.date(2031, 3, 1)),
            )
        ),
    ),
    "a form that is waived": (
        (
            'trust = { certificate = "server.pem", '
            'waive_malformed = { reason = "the printer", until = 2031-03-01 } }'
        ),
        lambda folder: TLSPolicy(
            trust=ExactCertificate(
                str(folder / "server.pem"),
                waive=Waive.MALFORMED("the printer", until=datetime.date(2031, 3, 1)),
            )
        ),
    ),
    "crls, one": ('crls = "corp.crl"', lambda folder: TLSPolicy(crls=(str(folder / "corp.crl"),))),
    "crls, several": (
        'crls = ["corp.crl", "FOLDER/corp.crl"]',
        lambda folder: TLSPolicy(crls=(str(folder / "corp.crl"),) * 2),
    ),
    "known servers": (
        'trust = { known = "known-servers", acknowledge = "compared" }',
        lambda folder: TLSPolicy(trust=FirstUseTrust(folder / "known-servers", "compared")),
    ),
    "pins, one": (f'pins = "{PIN}"', lambda _: TLSPolicy(pins=(Pin(PIN),))),
    "pins, several": (
        f'pins = ["{PIN}", "{PIN_B}"]',
        lambda _: TLSPolicy(pins=(Pin(PIN), Pin(PIN_B))),
    ),
    "channel_binding": (
        'channel_binding = "end-point"',
        lambda _: TLSPolicy(channel_binding="end-point"),
    ),
    "client_certificate": (
        'client_certificate = { certificate = "me.pem", key = "me.key" }',
        lambda folder: TLSPolicy(
            client_certificate=ClientCertificate(folder / "me.pem", folder / "me.key")
        ),
    ),
    "client_certificate, in one file": (
        'client_certificate = { certificate = "both.pem" }',
        lambda folder: TLSPolicy(client_certificate=ClientCertificate(folder / "both.pem")),
    ),
    "the rest": (
        'minimum_version = "1.3"\nstrict_x509 = false\nlegacy_ciphers = "an old appliance"',
        lambda _: TLSPolicy(
            minimum_version="1.3",  # type: ignore[arg-type]
            strict_x509=False,
            legacy_ciphers="an old appliance",
        ),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_file_says_what_python_says(
    name: str, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    toml, policy = GOOD[name]
    toml = toml.replace("FOLDER", str(folder)).replace("PEM", (folder / "corp.pem").read_text())
    head = "" if toml.startswith("[") else ANY
    path = write(head + toml)

    found = ask()

    assert found == ServerSettings(
        policy=policy(folder),
        source=f'{path}, [servers."mail.example.org"]',
        is_for_this_server=True,
        says_of_tls=found.says_of_tls,
    )
    assert found == pickle.loads(pickle.dumps(found))


def test_what_is_not_the_tls_policy(write: Write) -> None:
    write(ANY + 'server_hostname = "imap.example.org"\nauth = { mechanisms = ["login"] }')

    found = ask()

    assert found.server_hostname == "imap.example.org"
    assert found.auth == AuthPolicy(mechanisms=("LOGIN",))
    assert (found.policy, found.plaintext) == (TLSPolicy(), None)


def test_one_mechanism_needs_no_list(write: Write) -> None:
    write('[default]\nauth = { mechanisms = "PLAIN" }')
    assert ask().auth == AuthPolicy(mechanisms=("PLAIN",))


def test_all_that_an_auth_policy_has(write: Write) -> None:
    write(
        "[servers.'mail.example.org'.auth]\n"
        'mechanisms = ["SCRAM-SHA-256", "APOP"]\niterations = [4096, 50000]\nseconds = 0.5\n'
        'saslprep = "prefer"\napop_in_clear = "a"\nclear_on_loopback = "b"\n'
    )
    assert ask().auth == AuthPolicy(
        mechanisms=("SCRAM-SHA-256", "APOP"),
        iterations=(4096, 50_000),
        seconds=0.5,
        saslprep="prefer",
        apop_in_clear="a",
        clear_on_loopback="b",
    )


def test_plaintext_has_a_reason(write: Write) -> None:
    write('[servers."relay.example.org:25"]\nplaintext = "the relay has no TLS"')

    assert ask("relay.example.org", 25).plaintext == "the relay has no TLS"
    assert ask("relay.example.org", 587).plaintext is None


def test_without_the_variable_there_are_no_settings(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("")
    assert ask() is not None
    monkeypatch.delenv("SECUREMAIL_POLICY")
    assert settings_for(Host.parse("mail.example.org"), 993) is None


def test_settings_are_safe_as_they_are() -> None:
    assert ServerSettings() == ServerSettings(policy=TLSPolicy(), auth=AuthPolicy())


def test_a_path_that_is_relative_starts_at_the_current_folder(
    write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("[default]\n" + 'trust = { ca = "corp.pem" }')
    monkeypatch.chdir(folder)
    for spelling in ("securemail.toml", "./securemail.toml", "~/securemail.toml"):
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("SECUREMAIL_POLICY", spelling)
        assert ask().source == f"{path}, [default]"
        # What it names starts at its own folder, wherever the program is.
        assert ask().policy == TLSPolicy(trust=CATrust(str(folder / "corp.pem")))


def test_the_mark_that_windows_editors_write_is_passed_over(write: Write) -> None:
    write(b"\xef\xbb\xbf" + ANY.encode() + b'minimum_version = "1.3"')
    assert ask().policy == TLSPolicy(minimum_version="1.3")  # type: ignore[arg-type]


# --- which entry counts

SEVERAL = """
[default]
legacy_ciphers = "default"
[servers."mail.example.org"]
legacy_ciphers = "any port"
[servers."mail.example.org:587"]
minimum_version = "1.3"
[servers."Straße.example.ORG."]
legacy_ciphers = "idn"
[servers."::1"]
legacy_ciphers = "loopback"
[servers."[0:0::1]:993"]
legacy_ciphers = "loopback, 993"
[servers."192.0.2.7:993"]
legacy_ciphers = "IPv4"
[servers."fe80::1%eth0"]
legacy_ciphers = "zone"
[servers.localhost]
legacy_ciphers = "bare"
"""


@pytest.mark.parametrize(
    ("host", "port", "expected", "table"),
    [
        ("mail.example.org", 993, "any port", '[servers."mail.example.org"]'),
        ("MAIL.example.org.", 993, "any port", '[servers."mail.example.org"]'),
        # The whole entry, nothing merged.
        ("mail.example.org", 587, None, '[servers."mail.example.org:587"]'),
        ("straße.example.org", 993, "idn", '[servers."Straße.example.ORG."]'),
        ("xn--strae-oqa.example.org", 993, "idn", '[servers."Straße.example.ORG."]'),
        ("::1", 465, "loopback", '[servers."::1"]'),
        ("[::1]", 993, "loopback, 993", '[servers."[0:0::1]:993"]'),
        ("192.0.2.7", 993, "IPv4", '[servers."192.0.2.7:993"]'),
        ("192.0.2.7", 995, "default", "[default]"),
        ("fe80::1%eth0", 993, "zone", '[servers."fe80::1%eth0"]'),
        ("fe80::1%eth1", 993, "default", "[default]"),
        ("localhost", 993, "bare", "[servers.localhost]"),
        ("sub.mail.example.org", 993, "default", "[default]"),
        ("example.org", 993, "default", "[default]"),
    ],
)
def test_the_entry_that_counts(
    host: str, port: int, expected: str | None, table: str, write: Write
) -> None:
    path = write(SEVERAL)

    found = ask(host, port)

    assert found.policy.legacy_ciphers == expected
    assert found.source == f"{path}, {table}"


def test_a_server_that_is_not_named_has_the_default_policy(write: Write) -> None:
    path = write(ANY + 'minimum_version = "1.3"')
    assert ask("other.example.org") == ServerSettings(
        source=f"{path}, which does not name this server"
    )


# --- what it may not say

PERMITTED = (
    "trust, pins, minimum_version, strict_x509, legacy_ciphers, channel_binding, "
    "client_certificate, crls, auth"
)
STORES = 'one of "system", "certifi", "native"'
FILE_BY_CONTENT = (
    ' A file is named by what it holds: trust = { ca = "corp.pem" } or '
    '{ certificate = "server.pem" }.'
)
TEXT = "text, in quotes"
NO_CREDENTIALS = (
    "this file holds policy, no credentials. Take it out: the program that signs in has user and "
    "password. If others could read the file, change the password."
)
OF_ONE = f"{PERMITTED}, server_hostname, plaintext, any_port"

# In the table of mail.example.org -> what is said after its name.
BAD_ENTRIES: dict[str, tuple[str, str]] = {
    # keys
    "near": ("pin_s = 1", "pin_s: there is no such key. Did you mean pins?"),
    "hyphen": (
        'minimum-version = "1.3"',
        "minimum-version: there is no such key. Did you mean minimum_version?",
    ),
    "case": ('Trust = "system"', "Trust: there is no such key. Did you mean trust?"),
    "far": (
        "verify = false",
        f"verify: there is no such key. Permitted here: {OF_ONE}.",
    ),
    "quoted": (
        '"a b" = 1',
        f'"a b": there is no such key. Permitted here: {OF_ONE}.',
    ),
    "near, in trust": (
        'trust = { certifcate = "server.pem" }',
        "trust.certifcate: there is no such key. Did you mean certificate?",
    ),
    "far, in trust": (
        'trust = { key = "server.pem" }',
        (
            "trust.key: there is no such key. "
            "Permitted here: ca, certificate, pin, known, acknowledge, waive_expiry, "
            "waive_malformed."
        ),
    ),
    "near, in a list": (
        'trust = ["system", { CA = "corp.pem" }]',
        "trust (item 2).CA: there is no such key. Did you mean ca?",
    ),
    "near, in waive_expiry": (
        f'trust = {{ pin = "{PIN}", waive_expiry = {{ reasons = "x", until = 2031-01-01 }} }}',
        "trust.waive_expiry.reasons: there is no such key. Did you mean reason?",
    ),
    "near, in auth": (
        'auth = { mechanism = "PLAIN" }',
        "auth.mechanism: there is no such key. Did you mean mechanisms?",
    ),
    # kinds
    "trust": (
        "trust = true",
        (
            f"trust: expected {STORES}, a table with ca, certificate, pin or known, or a list of "
            "stores, found true or false."
        ),
    ),
    "trust, a list in a list": (
        'trust = [["system"]]',
        (
            f"trust (item 1): expected {STORES}, a table with ca, certificate, pin or "
            "known, or a list of stores, found a list."
        ),
    ),
    "ca": ('trust = { ca = ["corp.pem"] }', f"trust.ca: expected {TEXT}, found a list."),
    "pins": ("pins = 1", "pins: expected text in quotes, or a list of such, found a whole number."),
    "pins, in the list": ("pins = [1]", f"pins (item 1): expected {TEXT}, found a whole number."),
    "pins, a time": (
        "pins = 1979-05-27T07:32:00",
        "pins: expected text in quotes, or a list of such, found a date with a time of day.",
    ),
    "minimum_version": (
        "minimum_version = 1.3",
        f"minimum_version: expected {TEXT}, found a number.",
    ),
    "strict_x509": (
        'strict_x509 = "false"',
        "strict_x509: expected true or false, without quotes, found text.",
    ),
    "strict_x509, a number": (
        "strict_x509 = 0",
        "strict_x509: expected true or false, without quotes, found a whole number.",
    ),
    "legacy_ciphers": (
        "legacy_ciphers = true",
        f"legacy_ciphers: expected {TEXT}, found true or false.",
    ),
    "auth": ('auth = "PLAIN"', "auth: expected a table, found text."),
    "iterations": (
        "auth = { iterations = 4096 }",
        "auth.iterations: expected a list of whole numbers, found a whole number.",
    ),
    "iterations, in the list": (
        'auth = { iterations = [4096, "many"] }',
        "auth.iterations (item 2): expected a whole number, found text.",
    ),
    "seconds": (
        'auth = { seconds = "5" }',
        "auth.seconds: expected a whole number, found text.",
    ),
    "saslprep": (
        "auth = { saslprep = true }",
        f"auth.saslprep: expected {TEXT}, found true or false.",
    ),
    "apop_in_clear": (
        "auth = { apop_in_clear = true }",
        f"auth.apop_in_clear: expected {TEXT}, found true or false.",
    ),
    "clear_on_loopback, without a reason": (
        'auth = { clear_on_loopback = " " }',
        "auth.clear_on_loopback: this needs a reason in words, and is empty.",
    ),
    "server_hostname": (
        "server_hostname = {}",
        f"server_hostname: expected {TEXT}, found a table.",
    ),
    "plaintext": ("plaintext = true", f"plaintext: expected {TEXT}, found true or false."),
    "acknowledge": (
        f'trust = {{ pin = "{PIN}", acknowledge = 07:32:00 }}',
        f"trust.acknowledge: expected {TEXT}, found a time of day.",
    ),
    "until, text": (
        f'trust = {{ pin = "{PIN}", waive_expiry = {{ reason = "x", until = "2031-01-01" }} }}',
        "trust.waive_expiry.until: expected a date such as 2027-03-01, without quotes, found text.",
    ),
    "until, with a time": (
        f'trust = {{ pin = "{PIN}", waive_expiry = {{ until = 2031-01-01 00:00:00 }} }}',
        (
            "trust.waive_expiry.until: expected a date such as 2027-03-01, without quotes, "
            "found a date with a time of day."
        ),
    ),
    # values
    "trust, a file": (
        'trust = "server.pem"',
        f'trust: expected {STORES}, found "server.pem".{FILE_BY_CONTENT}',
    ),
    "an old version": (
        'minimum_version = "1.1"',
        'minimum_version: expected "1.2" or "1.3", found "1.1".',
    ),
    "trust, an empty list": (
        "trust = []",
        "trust: the list is empty, so nobody would be believed.",
    ),
    "pins, an empty list": (
        "pins = []",
        "pins: the list is empty. Leave the key out if there is nothing to say.",
    ),
    "mechanisms, an empty list": (
        "auth = { mechanisms = [] }",
        "auth.mechanisms: the list is empty. Leave the key out if there is nothing to say.",
    ),
    "an empty path": (
        'trust = { ca = "" }',
        "trust.ca: expected the path of a file, found empty text.",
    ),
    "no reason for plaintext": (
        'plaintext = " "',
        "plaintext: this needs a reason in words, and is empty.",
    ),
    "channel_binding": (
        'channel_binding = "tls"',
        'channel_binding: expected one of "prefer", "require", "end-point", "never"; found "tls".',
    ),
    "client_certificate, a path": (
        'client_certificate = "me.pem"',
        "client_certificate: expected a table, found text.",
    ),
    "client_certificate, the key alone": (
        'client_certificate = { key = "me.key" }',
        (
            "client_certificate: certificate is missing. Write "
            'client_certificate = { certificate = "me.pem", key = "me.key" }.'
        ),
    ),
    "client_certificate, a password": (
        'client_certificate = { certificate = "me.pem", password = "x" }',
        f"client_certificate.password: {NO_CREDENTIALS}",
    ),
    "no reason for legacy_ciphers": (
        'legacy_ciphers = ""',
        "legacy_ciphers: this needs a reason in words, and is empty.",
    ),
    "no reason to acknowledge": (
        'trust = { certificate = "server.pem", acknowledge = "" }',
        "trust.acknowledge: this needs a reason in words, and is empty.",
    ),
    "no reason to waive": (
        f'trust = {{ pin = "{PIN}", waive_expiry = {{ reason = "", until = 2031-01-01 }} }}',
        "trust.waive_expiry.reason: this needs a reason in words, and is empty.",
    ),
    "a waiver without its day": (
        f'trust = {{ pin = "{PIN}", waive_expiry = {{ reason = "x" }} }}',
        (
            "trust.waive_expiry: until is missing. "
            'Write waive_expiry = { reason = "new one is ordered", until = 2027-03-01 }.'
        ),
    ),
    "a form waived without its day": (
        'trust = { certificate = "server.pem", waive_malformed = { reason = "x" } }',
        (
            "trust.waive_malformed: until is missing. "
            'Write waive_malformed = { reason = "the old printer", until = 2027-03-01 }.'
        ),
    ),
    "crls": ("crls = 1", f"crls: expected {TEXT}, found a whole number."),
    "crls, in the list": ("crls = [1]", f"crls (item 1): expected {TEXT}, found a whole number."),
    "a waiver without anything": (
        f'trust = {{ pin = "{PIN}", waive_expiry = {{}} }}',
        (
            "trust.waive_expiry: reason, until is missing. "
            'Write waive_expiry = { reason = "new one is ordered", until = 2027-03-01 }.'
        ),
    ),
    # contradictions
    "trust in nobody": (
        "trust = {}",
        "trust: expected one of ca, certificate, pin and known; here is none.",
    ),
    "two trusts": (
        f'trust = {{ ca = "corp.pem", pin = "{PIN}" }}',
        "trust: expected one of ca, certificate, pin and known; here are ca and pin.",
    ),
    "a CA that is acknowledged": (
        'trust = { ca = "corp.pem", acknowledge = "x" }',
        "trust.acknowledge: this goes with certificate or pin, not with ca.",
    ),
    "a known server that is waived": (
        'trust = { known = "k", waive_expiry = { reason = "x", until = 2031-01-01 } }',
        "trust.waive_expiry: this goes with certificate or pin, not with known.",
    ),
    "a known server whose form is waived": (
        'trust = { known = "k", waive_malformed = { reason = "x", until = 2031-01-01 } }',
        "trust.waive_malformed: this goes with certificate or pin, not with known.",
    ),
    "known servers, as PEM": (
        'trust = { known = "-----BEGIN CERTIFICATE-----" }',
        "trust.known: expected the path of a file, found PEM text.",
    ),
    "the system's own verdict that is joined": (
        'trust = [{ ca = "corp.pem" }, "native"]',
        'trust (item 2): "native" stands alone. To join, write "system".',
    ),
    "a certificate that is joined": (
        'trust = ["system", { certificate = "server.pem" }]',
        (
            "trust (item 2): only stores of certificate authorities can be joined. "
            "A server with a certificate of its own has that as its only trust."
        ),
    ),
    # credentials
    "password": ('password = "hunter2"', f"password: {NO_CREDENTIALS}"),
    "user": ('user = "alice"', f"user: {NO_CREDENTIALS}"),
    "in a table": ('auth = { Token = "hunter2" }', f"auth.Token: {NO_CREDENTIALS}"),
    "in a list": ('trust = [{ passwd = "hunter2" }]', f"trust (item 1).passwd: {NO_CREDENTIALS}"),
    "no control character is printed": (
        '"\\u001b[2J\\u202e" = 1',
        (
            r'"\u001b[2J\u202e": there is no such key. '
            f"Permitted here: {OF_ONE}."
        ),
    ),
}

# Whole files -> what is said after the file's name.
BAD_FILES: dict[str, tuple[str, str]] = {
    "an unknown table": (
        '[server."mail.example.org"]\ntrust = "system"',
        "server: there is no such key. Did you mean servers?",
    ),
    "a key outside of tables": (
        'trust = "system"',
        "trust: there is no such key. Permitted here: default, servers.",
    ),
    "no table": (
        '[servers]\nlocalhost = "system"',
        "[servers.localhost]: expected a table, found text.",
    ),
    "servers, no table": ("servers = 1", "servers: expected a table, found a whole number."),
    "default, no table": ('default = "system"', "[default]: expected a table, found text."),
    "default, of one server": (
        '[default]\nserver_hostname = "a.example.org"',
        f"[default], server_hostname: there is no such key. Permitted here: {PERMITTED}.",
    ),
    "default, in clear": (
        '[default]\nplaintext = "x"',
        f"[default], plaintext: there is no such key. Permitted here: {PERMITTED}.",
    ),
    "no quotes": (
        '[servers.mail.example.org]\ntrust = "system"',
        (
            "[servers.mail], example: there is no such key. "
            'A host name is one key, in quotes: [servers."mail.example.org"].'
        ),
    ),
    "no quotes, and empty": (
        "[servers.mail.example.org]",
        (
            "[servers.mail], example: there is no such key. "
            'A host name is one key, in quotes: [servers."mail.example.org"].'
        ),
    ),
    "twice the same": (
        '[servers."mail.example.org"]\n[servers."MAIL.example.org."]',
        (
            '[servers."MAIL.example.org."]: this is the same server as "mail.example.org". '
            "Make one entry of the two."
        ),
    ),
    "twice the same, with a port": (
        '[servers."::1"]\n[servers."[::1]:993"]\n[servers."[0::1]:0993"]',
        (
            '[servers."[0::1]:0993"]: this is the same server as "[::1]:993". '
            "Make one entry of the two."
        ),
    ),
    "not a port": (
        '[servers."mail.example.org:imaps"]',
        (
            "[servers.\"mail.example.org:imaps\"]: the host 'mail.example.org:imaps' is not "
            "HOST:PORT: after the colon comes a port number."
        ),
    ),
    "not from 1 to 65535": (
        '[servers."mail.example.org:65536"]',
        '[servers."mail.example.org:65536"]: port 65536 is not from 1 to 65535.',
    ),
    "not a host": (
        '[servers."imaps://mail.example.org"]',
        (
            "[servers.\"imaps://mail.example.org\"]: the host 'imaps://mail.example.org' is not "
            "HOST:PORT: after the colon comes a port number."
        ),
    ),
    "not a host name": (
        '[servers."two words"]',
        (
            "[servers.\"two words\"]: the host 'two words' is not a host name. "
            "Give the name alone: no port, no path, no blanks."
        ),
    ),
    "an empty host": ('[servers.""]', "[servers.\"\"]: the host '' is empty."),
    "plaintext beside trust": (
        '[servers."mail.example.org"]\nplaintext = "x"\ntrust = "system"\nauth = {}',
        (
            '[servers."mail.example.org"]: plaintext stands alone, but here is also: trust, auth. '
            "In clear there is no certificate and no sign-in. Give the port that has TLS an entry "
            'of its own, such as [servers."mail.example.org:465"].'
        ),
    ),
    "in a key that is not one": (
        '[accounts.a]\nusername = "alice"',
        f"accounts.a.username: {NO_CREDENTIALS}",
    ),
    "in lists of lists": (
        'x = [[{ user = "alice" }]]',
        f"x (item 1) (item 1).user: {NO_CREDENTIALS}",
    ),
    "in place of a host": (
        '[servers]\npassword = "hunter2"',
        f"[servers.password]: {NO_CREDENTIALS}",
    ),
}
OF_THE_LIBRARY = {  # what other rooms say keeps their code
    "not a port": "host-name",
    "not a host": "host-name",
    "not a host name": "host-name",
    "an empty host": "host-name",
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_an_entry_that_is_wrong(name: str, write: Write) -> None:
    toml, words = BAD_ENTRIES[name]
    path = write(ANY + toml)

    error = refusal()

    assert str(error) == f'{path}, [servers."mail.example.org"], {words}{more(error)}'
    assert error.code == "policy-file"
    assert "hunter2" not in str(error)
    # The whole file is checked, whichever server is asked for.
    assert str(refusal("other.example.org")) == str(error)


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_wrong(name: str, write: Write) -> None:
    toml, words = BAD_FILES[name]
    path = write(toml)

    error = refusal()

    assert str(error) == f"{path}, {words}{more(error)}"
    assert error.code == OF_THE_LIBRARY.get(name, "policy-file")
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("host", ["user", "token"])
def test_a_host_may_be_called_like_a_credential(host: str, write: Write) -> None:
    write(f'[servers.{host}]\nminimum_version = "1.3"')
    assert ask(host).policy == TLSPolicy(minimum_version="1.3")  # type: ignore[arg-type]


# What the classes themselves refuse: their words and code, with the place in front. Those that
# need no file are found when the policy file is read, the others when their server is asked for.
REFUSED: dict[str, tuple[str, str, str, bool]] = {  # toml, place, code, at once?
    "pins": ('pins = ["sha256/abc"]', "pins", "pin-malformed", True),
    "pin": ('trust = { pin = "server.pem" }', "trust.pin", "pin-malformed", True),
    "mechanisms": ('auth = { mechanisms = ["NTLM"] }', "auth", "mechanisms", True),
    "server_hostname": ('server_hostname = "a b"', "server_hostname", "host-name", True),
    "no such file": ('trust = { ca = "none.pem" }', "trust", "file-unreadable", False),
    "not a CA": ('trust = { ca = "server.pem" }', "trust", "not-a-ca", False),
    "not a server": ('trust = { certificate = "authority.pem" }', "trust", "not-a-server", False),
    "no certificate": (
        'trust = ["system", { ca = "securemail.toml" }]', "trust", "no-certificate", False
    ),
    "a path with a null": ('trust = { ca = "a\\u0000" }', "trust", "file-unreadable", False),
    "a private key": (
        'trust = { ca = "-----BEGIN PRIVATE KEY-----\\nAA==\\n-----END PRIVATE KEY-----" }',
        "trust",
        "private-key",
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_classes_refuse_has_the_place_in_front(name: str, write: Write) -> None:
    toml, place, code, at_once = REFUSED[name]
    path = write(ANY + toml)

    error = refusal()

    assert error.code == code
    assert str(error).startswith(f'{path}, [servers."mail.example.org"], {place}: ')
    assert error.hint
    if at_once:
        assert refusal("other.example.org").code == code
    else:
        assert ask("other.example.org").policy == TLSPolicy()


def test_the_context_of_an_entry_has_the_place_in_front(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write(ANY + "strict_x509 = false")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))

    error = refusal()

    assert error.code == "empty-store"
    assert str(error).startswith(f'{path}, [servers."mail.example.org"]: the environment variable')


def test_other_servers_do_not_need_the_file_of_this_one(write: Write, folder: Path) -> None:
    write(ANY + 'trust = { certificate = "server.pem" }\n[servers."b.example.org"]\n')
    (folder / "server.pem").unlink()

    assert ask("b.example.org").policy == TLSPolicy()
    assert refusal().code == "file-unreadable"


NOT_TOML: dict[str, tuple[bytes, str]] = {
    "line and column": (
        b"[default]\n\ntrust = system\n",
        "this is not TOML: Invalid value (at line 3, column 9)",
    ),
    "without quotes": (
        b"[servers.mail:993]\n",
        "this is not TOML: Expected ']' at the end of a table declaration (at line 1, column 14)",
    ),
    "no such day": (
        b"[default]\nx = 2031-02-30\n",
        "this is not TOML: Invalid date or datetime (at line 2, column 5)",
    ),
    "not UTF-8": (b"[default]\n# \xff\n", "this is not TOML: line 2 is not UTF-8"),
    "too long a number": (b"x = " + b"9" * 5000, "this is not TOML: Exceeds the limit"),
    "too deep": (b"x = " + b"[" * 100_000, "this is not a policy file: it is nested too deeply"),
}


@pytest.mark.parametrize("name", NOT_TOML)
def test_what_is_not_toml_is_named_with_line_and_column(name: str, write: Write) -> None:
    data, words = NOT_TOML[name]
    path = write(data)

    error = refusal()

    assert str(error).startswith(f"{path}: {words}")
    assert error.code == "policy-file"


def test_keys_nested_however_deep_are_an_error_like_others(write: Write) -> None:
    write(".".join("a" * 5_000) + " = 1")
    too_deep = "it is nested too deeply"  # Python 3.14's reader gives up before
    assert any(words in str(refusal()) for words in ("there is no such key", too_deep))
    write(".".join("a" * 5_000) + ".password = 1")
    assert any(words in str(refusal()) for words in ("no credentials", too_deep))


# --- the variable, and the file as such

HINT = "Set SECUREMAIL_POLICY to the full path of a policy file, or unset it to do without one."


@pytest.mark.parametrize("value", ["", "  "])
def test_set_but_empty(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREMAIL_POLICY", value)
    error = refusal()
    assert str(error) == f"SECUREMAIL_POLICY={value!r} is set but empty. {HINT}{more(error)}"
    assert error.code == "policy-file"


def folder_instead(path: Path) -> str:
    path.mkdir()
    return "is a folder, not a file"


def pipe(path: Path) -> str:
    os.mkfifo(path)
    return "is not a regular file"


def nothing(path: Path) -> str:
    return "cannot be read: No such file or directory"


@pytest.mark.parametrize("make", [folder_instead, pipe, nothing])
def test_a_file_that_cannot_be_read(
    make: Callable[[Path], str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "other.toml"
    words = make(path)
    monkeypatch.setenv("SECUREMAIL_POLICY", str(path))

    error = refusal()

    assert str(error) == f"SECUREMAIL_POLICY={str(path)!r} {words}. {HINT}{more(error)}"
    assert error.code == "policy-file"


def test_a_file_that_may_not_be_opened(write: Write) -> None:
    """Mocked, because root may read everything."""
    path = write("")
    denied = PermissionError(13, "Permission denied")
    with mock.patch("builtins.open", side_effect=denied):
        error = refusal()
    assert (
        str(error)
        == f"SECUREMAIL_POLICY={str(path)!r} cannot be read: Permission denied. {HINT}{more(error)}"
    )
    assert ask() == ServerSettings(source=f"{path}, which does not name this server")


def test_a_current_folder_that_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("SECUREMAIL_POLICY", "securemail.toml")
    assert "SECUREMAIL_POLICY='securemail.toml' cannot be found" in str(refusal())
    os.chdir(folder)


# --- read once, and again when it has changed


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that were read, in order."""
    parsed: list[str] = []
    parse = reading.parse

    def counted(data: bytes, path: str) -> reading.PolicyFile:
        parsed.append(path)
        return parse(data, path)

    monkeypatch.setattr(reading, "parse", counted)
    return parsed


def test_the_file_is_read_once(write: Write, parses: list[str]) -> None:
    path = write(SEVERAL)
    for _ in range(3):
        ask()
        ask("::1", 465)
    assert parses == [str(path)]


def same_size_and_time(path: Path) -> None:
    """Another file in its place: only the inode tells."""
    before = path.stat()
    other = path.with_name("new.toml")
    other.write_text(path.read_text().replace("1.2", "1.3"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def same_size_and_inode(path: Path) -> None:
    before = path.stat()
    path.write_text(path.read_text().replace("1.2", "1.3"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def same_time_and_inode(path: Path) -> None:
    before = path.stat()
    path.write_text(path.read_text().replace("1.2", "1.3") + "\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [same_size_and_time, same_size_and_inode, same_time_and_inode])
def test_a_changed_file_is_read_again(
    change: Callable[[Path], None], write: Write, parses: list[str]
) -> None:
    path = write('[default]\nminimum_version = "1.2"')
    assert ask().policy == TLSPolicy()
    change(path)
    assert ask().policy == TLSPolicy(minimum_version="1.3")  # type: ignore[arg-type]
    ask()
    assert len(parses) == 2


def test_another_file_is_another_policy(
    write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write('[default]\nminimum_version = "1.3"')
    assert ask().policy != TLSPolicy()
    (folder / "other.toml").write_text("")
    monkeypatch.setenv("SECUREMAIL_POLICY", str(folder / "other.toml"))
    assert ask().policy == TLSPolicy()


def test_a_file_that_was_put_right_is_noticed_and_so_is_one_that_has_gone(write: Write) -> None:
    path = write("x")
    for _ in range(2):
        assert "not TOML" in str(refusal())
    write('[default]\nminimum_version = "1.3"')
    assert ask().policy != TLSPolicy()
    path.unlink()
    assert "No such file" in str(refusal())


def test_a_certificate_that_was_replaced_is_noticed(write: Write, folder: Path, pki: PKI) -> None:
    write(ANY + 'trust = { certificate = "server.pem" }')
    policy = ask().policy
    context = policy.ssl_context()
    assert ask().policy.ssl_context() is context
    shutil.copy(pki["self_signed_expired"].leaf_pem, folder / "server.pem")

    assert ask().policy == policy  # by path, as in Python
    assert ask().policy.ssl_context() is not context


def test_threads_get_the_file_as_it_is_before_or_after_a_change(write: Write) -> None:
    """Never a mixture, never an error; and afterwards what is there."""
    texts = [
        f'{ANY}legacy_ciphers = "{word}"\n[default]\nlegacy_ciphers = "{word}"\n' for word in "ab"
    ]
    path = write(texts[0])

    def ask_often(number: int) -> set[str | None]:
        hosts = ("mail.example.org", "other.example.org")
        return {ask(hosts[number % 2]).policy.legacy_ciphers for _ in range(200)}

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask_often, number) for number in range(8)]
        for turn in range(50):
            new = path.with_name("new.toml")
            new.write_text(texts[turn % 2])
            new.replace(path)
        found = [one.result(timeout=60) for one in asking]

    assert set.union(*found) <= {"a", "b"}
    assert ask().policy.legacy_ciphers == "b"


# --- whatever is in it

LITERALS = [
    *('"system"', '"certifi"', '"1.3"', '"corp.pem"', '"server.pem"', '""', '"PLAIN"', "true", "0"),
    *("1.3", "2031-01-01", "2031-01-01T00:00:00Z", "07:32:00", "[]", "{}", "inf", f'"{PIN}"'),
    *('{ ca = "corp.pem" }', '{ certificate = "server.pem" }', f'{{ pin = "{PIN}" }}', "nan"),
]
KEYS = [
    *("trust", "pins", "minimum_version", "strict_x509", "legacy_ciphers"),
    *("channel_binding", "client_certificate", "key", "auth", "plaintext"),
    *("server_hostname", "ca", "certificate", "pin", "waive_expiry", "reason", "until", "default"),
    *("waive_malformed", "crls"),
    *("servers", "mechanisms", "password", '"a.example.org"', '"::1"', "x", '"x:1"', '""'),
]
values = st.recursive(
    st.sampled_from(LITERALS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=3).map(
            lambda found: "{ " + ", ".join(f"{k} = {v}" for k, v in found.items()) + " }"
        ),
    ),
    max_leaves=6,
)
lines = st.one_of(
    st.tuples(st.sampled_from(KEYS), values).map(" = ".join),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(lambda k: f"[{'.'.join(k)}]"),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(lambda k: f"[[{'.'.join(k)}]]"),
)
tomlish = st.one_of(
    st.lists(lines, max_size=6).map("\n".join).map(str.encode),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=100),
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=tomlish)
@example(data=b'[default]\ntrust = ["system", { ca = "corp.pem" }]')
def test_whatever_is_in_the_file_gives_settings_or_a_policy_error(
    data: bytes, write: Write
) -> None:
    path = write(data)
    module._kept = None  # written so fast that time, size and inode may be the same
    for host, port in [("a.example.org", 993), ("::1", 1), ("x", 1)]:
        found = settings_or_error(host, port)
        if isinstance(found, PolicyError):
            assert str(found).startswith(str(path))
            assert str(found).isprintable()
        else:
            assert isinstance(found, ServerSettings)
            assert isinstance(found.policy, TLSPolicy)


def settings_or_error(host: str, port: int) -> ServerSettings | PolicyError | None:
    try:
        return settings_for(Host.parse(host), port)
    except PolicyError as error:
        return error


# --- what it costs, and what documents say of it

COST = """
import json, sys
from securemail.policy import TLSPolicy
before = set(sys.modules)
TLSPolicy._build = None  # a context would need it
import securemail.policy_file
from securemail.hosts import Host
assert securemail.policy_file.settings_for(Host.parse("mail.example.org"), 993) is None
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_without_the_variable_next_to_nothing_is_loaded_and_no_context_made() -> None:
    command = [sys.executable, "-P", "-c", COST]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["securemail.policy_file"]


def toml_of_documents() -> Iterator[tuple[str, str]]:
    page = ROOT / "docs" / "scripts-nobody-wants-to-edit.md"
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind == "toml":
            yield f"line {block.line}", block.text


@pytest.mark.parametrize(("line", "toml"), list(toml_of_documents()))
def test_the_files_in_the_document_are_good(line: str, toml: str, write: Write) -> None:
    write(toml)
    for name in [*tomllib.loads(toml).get("servers", {}), "other.example.org"]:
        host, port = split_port(name)
        assert ask(host, port or 993) is not None
