"""`securemail check` and `securemail pin`: what they print, what they send, and how they end."""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import securemail
from securemail.cli import _parser, main, options
from securemail.cli.terminal import _wrapped
from securemail.cli.visit import PROTOCOLS, Protocol, Way
from securemail.testing import Authority, MailServers
from servers import scripts
from servers.pki import PKI
from servers.recording import Record, RecordingServer, Script
from servers.revocation import issuer_of, revocation_list

Factory = Callable[..., RecordingServer]
Run = Callable[..., tuple[int, str]]

FINE, WARNING, REFUSED, UNREACHABLE, USAGE = 0, 1, 2, 3, 64
PIN = "sha256/" + "A" * 43 + "="
LONG = re.compile(r"([0-9A-F]{2}:){31}|sha256/[A-Za-z0-9+/]{43}=")  # fingerprint or pin
SAID = {
    "imap": [b"CAPABILITY", b"LOGOUT"],
    "pop3": [b"CAPA", b"QUIT"],
    "smtp": [b"EHLO", b"QUIT"],
}

every_protocol = pytest.mark.parametrize("protocol", SAID)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)


@pytest.fixture
def other_ports(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes what the command takes for a protocol's two ports."""

    def change(name: str, tls: int, starttls: int) -> None:
        known = PROTOCOLS[name]
        ways = {
            "tls": Way(known.tls.connect, tls, known.tls.name),
            "starttls": Way(known.starttls.connect, starttls, known.starttls.name),
        }
        monkeypatch.setitem(PROTOCOLS, name, Protocol(**ways, goodbye=known.goodbye))

    return change


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: its status, and all that it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def target(server: RecordingServer, protocol: str = "imap") -> list[str]:
    return [f"--{protocol}", f"{server.host}:{server.port}"]


def words(text: str) -> str:
    """The text without its line breaks."""
    return " ".join(text.split())


def commands(record: Record) -> list[bytes]:
    """The verbs that the client sent over TLS."""
    return verbs(record.received_tls)


def verbs(sent: bytes) -> list[bytes]:
    lines = sent.split(b"\r\n")[:-1]
    return [re.sub(rb"^[A-Z]{4}\d+ ", b"", line).split(b" ")[0].upper() for line in lines]


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


# --- check, and how it ends


@every_protocol
def test_a_good_server_is_reported_and_only_asked_what_it_offers(
    protocol: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.POLITE[protocol], context=pki["good"].server_context())
    status, text = run("check", *target(server, protocol), "--ca", pki.ca_pem, "--only-ca")
    (record,) = server.wait()

    assert status == FINE
    assert f"{protocol.upper()} on 127.0.0.1:{server.port}: FINE" in text
    assert "TLSv1.3" in text
    assert "trusted by:  CA certificates in" in text
    assert "names:       mail.example.org, imap.example.org" in text
    assert "offered: PLAIN, LOGIN" in text
    assert "login(user, password) would go by PLAIN" in " ".join(text.split())
    assert "Nothing was sent." in text
    assert commands(record) == SAID[protocol]


def test_the_loopback_servers_of_the_demo(tmp_path: Path, run: Run) -> None:
    authority = Authority()
    authority.write_ca(tmp_path / "ca.pem")
    with MailServers(users={"alice": "secret-word"}, authority=authority) as servers:
        for protocol, service in (("imap", "imaps"), ("pop3", "pop3s"), ("smtp", "submissions")):
            port = servers.ports[service]
            status, text = run(
                "check", "localhost", f"--{protocol}", "--port", port, "--ca", tmp_path / "ca.pem"
            )
            assert (status, "PLAIN" in text) == (FINE, True), text


def test_a_self_signed_server_is_refused_with_facts_and_advice(
    pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    status, text = run("check", *target(server))
    (record,) = server.wait()

    assert status == REFUSED
    assert f"IMAP on 127.0.0.1:{server.port}: REFUSED" in text
    assert "- is self-signed (CN=mail.example.org, SHA-256" in text
    assert "No password was sent." in text
    assert "What to do: If this is your own server, compare" in text
    assert "As an option of this command: --pin PIN, only after comparing." in text
    assert f"securemail pin --imap 127.0.0.1:{server.port}" in text
    assert record.received_tls == b""


@pytest.mark.parametrize("option", ["pin", "fingerprint", "openssl", "certificate"])
def test_a_self_signed_server_by_its_pin_works_with_a_warning(
    option: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    issued = pki["self_signed"]
    hexadecimal = hashlib.sha256(issued.leaf_der).hexdigest()
    policy = {
        "pin": ["--pin", issued.spki_pin],
        "fingerprint": ["--pin", hexadecimal],
        "openssl": ["--pin", f"sha256 Fingerprint={hexadecimal}"],
        "certificate": ["--certificate", str(issued.leaf_pem)],
    }[option]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    status, text = run("check", *target(server), *policy)

    assert status == WARNING
    assert f"IMAP on 127.0.0.1:{server.port}: WARNING" in text
    assert "accepted a self-signed certificate" in text
    assert "not checked: the name (the key is the identity)" in text


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("expired", ["expired on", "30 days ago"]),
        ("not_yet_valid", ["is not valid before", "Check this computer's clock"]),
        ("wrong_name", ["is for other.example.net", "--server-hostname NAME"]),
        ("cn_only", ["only a common name", "--certificate FILE"]),
        ("unknown_ca", ["was issued by", "--ca FILE"]),
        ("missing_intermediate", ["was issued by", "the server must send its intermediate"]),
        ("forged_issuer", ["is forged or damaged", "somebody may be between"]),
        ("weak_key", ["1024-bit RSA", "no setting here accepts this one"]),
        ("self_signed_expired", ["- is self-signed", "- expired on"]),
    ],
)
def test_every_fact_of_a_refusal_is_on_a_line_of_its_own(
    kind: str, facts: list[str], pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.imap_ok, context=pki[kind].server_context())
    status, text = run(
        *("check", *target(server), "--ca", pki.ca_pem, "--only-ca"),
        *("--server-hostname", pki[kind].asked_as),
    )

    assert status == REFUSED
    for fact in facts:
        assert fact in words(text) if not fact.startswith("- ") else f"\n  {fact}" in text
    assert server.wait()[0].received_tls == b""


@pytest.mark.parametrize("kind", ["forged_issuer", "weak_key", "expired", "self_signed_expired"])
def test_no_option_is_offered_that_would_not_help(
    kind: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.imap_ok, context=pki[kind].server_context())
    _, text = run("check", *target(server), "--ca", pki.ca_pem, "--server-hostname", "localhost")

    assert "As an option" not in text


def test_a_wrong_pin_is_refused(pki: PKI, recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    status, text = run("check", *target(server), "--pin", pki["good"].spki_pin)

    assert status == REFUSED
    assert pki["good"].spki_pin in text
    assert pki["self_signed"].spki_pin in text
    assert "As an option" not in text


def test_a_certificate_of_ones_own(pki: PKI, recording_server: Factory, run: Run) -> None:
    """In one file with its key, and in two; and what the server says without."""
    context = pki["good"].server_context(own=True)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca_pem)
    server = recording_server(scripts.imap_ok, context=context)
    believes = [*target(server), "--ca", pki.ca_pem]
    own = pki.client_certificate("alice")

    status, text = run("check", *believes)
    assert (status, "server demands a client certificate" in words(text)) == (REFUSED, True)
    status, text = run("check", *believes, "--client-certificate", own)
    assert (status, "a client certificate, SHA-256" in words(text)) == (FINE, True)
    both = ["--client-certificate", own, "--client-key", own]
    assert run("check", *believes, *both)[0] == FINE
    status, text = run("check", *believes, "--client-key", own)
    assert (status, "goes together with --client-certificate" in words(text)) == (USAGE, True)


def test_a_revocation_list(pki: PKI, recording_server: Factory, run: Run, tmp_path: Path) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    issuer, path = issuer_of(pki._workshop.root), tmp_path / "ca.crl"
    for revoked, expected in (((pki["good"],), REFUSED), ((), FINE)):
        path.write_bytes(revocation_list(issuer, *revoked).public_bytes(Encoding.PEM))
        status, text = run("check", *target(server), "--ca", pki.ca_pem, "--crl", path)
        assert status == expected
        assert ("was revoked by its authority" in words(text)) == bool(revoked)
        assert ("is not in the list of" in words(text)) == (not revoked)


def test_a_second_pin_narrows(pki: PKI, recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    trust = ["--ca", pki.ca_pem, "--only-ca"]

    status, text = run("check", *target(server), *trust, "--also-pin", pki["good"].spki_pin)
    assert (status, "pinned:" in text) == (FINE, True)
    status, text = run("check", *target(server), *trust, "--also-pin", pki["expired"].spki_pin)
    assert (status, "is not the pinned one" in text) == (REFUSED, True)


def test_legacy_ciphers_warn(pki: PKI, recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    status, text = run(
        "check", *target(server), "--ca", pki.ca_pem, "--legacy-ciphers", "the old appliance"
    )

    assert status == WARNING
    assert "without forward secrecy: the old appliance" in words(text)


def test_the_minimum_version_and_strictness_are_used(
    pki: PKI, recording_server: Factory, run: Run
) -> None:
    old = pki["good"].server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    server = recording_server(scripts.imap_ok, context=old)
    trust = ["--ca", pki.ca_pem]
    assert run("check", *target(server), *trust)[0] == FINE
    assert run("check", *target(server), *trust, "--minimum-version", "1.3")[0] == REFUSED

    issued = pki["ca_not_critical"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    trust = ["--ca", issued.anchor_pem]
    status, text = run("check", *target(server), *trust)
    assert (status, "--no-strict-x509" in text) == (REFUSED, True)
    assert run("check", *target(server), *trust, "--no-strict-x509")[0] == FINE


def test_a_port_where_nothing_listens_is_unreachable(run: Run) -> None:
    status, text = run("check", "--imap", "--port", unused_port(), "127.0.0.1")

    assert status == UNREACHABLE
    assert "127.0.0.1: Connection refused" in text


def test_silence_is_unreachable_in_bounded_time(recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.silence)
    began = time.monotonic()
    status, text = run("check", *target(server), "--timeout", "0.5")

    assert status == UNREACHABLE
    assert "No TLS within 0.5 s" in text
    assert time.monotonic() - began < 10


@every_protocol
def test_a_port_that_greets_in_clear_is_named(
    protocol: str, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.says(scripts.GREETINGS[protocol]))
    status, text = run("check", *target(server, protocol))

    assert status == REFUSED
    # The second where the greeting came in the instant between looking and the handshake.
    named = f"{protocol.upper()} is spoken on this port, not TLS"
    assert named in words(text) or "does not speak TLS on this port" in words(text)


@every_protocol
@pytest.mark.parametrize("rude", [*scripts.RUDE, *scripts.RUDE_AFTER_GREETING])
def test_rude_servers_end_in_a_message_and_not_in_a_traceback(
    rude: str, protocol: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    script: Script = scripts.RUDE.get(rude) or scripts.RUDE_AFTER_GREETING[rude](protocol)
    server = recording_server(script, context=pki["good"].server_context())
    status, text = run("check", *target(server, protocol), "--ca", pki.ca_pem, "--timeout", "1")

    assert status in (REFUSED, UNREACHABLE)
    assert "No password was sent." in text


def test_a_server_that_does_not_say_goodbye_is_fine(
    pki: PKI, recording_server: Factory, run: Run
) -> None:
    def leaves_at_goodbye(conversation: Any) -> None:
        conversation.send(b"+OK\r\n")
        conversation.read_line()
        conversation.send(b"+OK\r\nSASL PLAIN\r\n.\r\n")
        conversation.reset()

    server = recording_server(leaves_at_goodbye, context=pki["good"].server_context())
    status, text = run("check", *target(server, "pop3"), "--ca", pki.ca_pem)

    assert (status, "offered: PLAIN" in text) == (FINE, True)


def test_a_server_that_hangs_up_at_the_question_offers_nothing(
    pki: PKI, recording_server: Factory, run: Run
) -> None:
    def leaves(conversation: Any) -> None:
        conversation.send(b"+OK\r\n")
        conversation.read_line()

    server = recording_server(leaves, context=pki["good"].server_context())
    status, text = run("check", *target(server, "pop3"), "--ca", pki.ca_pem)

    assert status == UNREACHABLE
    assert "hung up before it was ready" in text


# --- STARTTLS

IN_CLEAR = {
    "imap": [b"CAPABILITY", b"STARTTLS"],
    "pop3": [b"CAPA", b"STLS"],
    "smtp": [b"EHLO", b"STARTTLS"],
}
UPGRADED = {
    "imap": "IMAP with STARTTLS",
    "pop3": "POP3 with STLS",
    "smtp": "SMTP with STARTTLS",
}


def upgrading(start: Factory, protocol: str, context: ssl.SSLContext) -> RecordingServer:
    return start(scripts.POLITE[protocol].with_starttls(context))


@every_protocol
def test_starttls_is_asked_for_and_nothing_else_is_said_in_clear(
    protocol: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = upgrading(recording_server, protocol, pki["good"].server_context())
    arguments = ["--starttls", *target(server, protocol), "--ca", pki.ca_pem]
    status, text = run("check", *arguments)
    (record,) = server.wait()

    assert status == FINE
    assert f"{UPGRADED[protocol]} on 127.0.0.1:{server.port}: FINE" in text
    assert f"({UPGRADED[protocol]}), at 127.0.0.1" in words(text)
    assert "offered: PLAIN, LOGIN" in text
    assert verbs(record.received_clear) == IN_CLEAR[protocol]
    assert verbs(record.received_tls) == SAID[protocol]

    (result,) = json.loads(run("check", *arguments, "--json")[1])["results"]
    assert (result["protocol"], result["mode"]) == (protocol, "starttls")
    assert result["report"]["protocol"] == UPGRADED[protocol]


@every_protocol
def test_without_the_offer_it_is_refused(
    protocol: str, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.POLITE[protocol])
    status, text = run("check", "--starttls", *target(server, protocol))
    (record,) = server.wait()

    assert status == REFUSED
    assert f"the server does not offer {IN_CLEAR[protocol][1].decode()}:" in words(text)
    assert "No password was sent." in text
    assert verbs(record.received_clear) == IN_CLEAR[protocol][:1]


def test_preauth_in_clear_is_refused(recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.says(b"* PREAUTH welcome\r\n"))
    status, text = run("check", "--starttls", *target(server), "--json")

    (result,) = json.loads(text)["results"]
    assert (status, result["error"]["code"]) == (REFUSED, "preauth")
    assert result["error"]["credentials_sent"] is False


@every_protocol
def test_pin_by_starttls_and_what_it_proposes(
    protocol: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = upgrading(recording_server, protocol, pki["self_signed"].server_context())
    arguments = ["--starttls", *target(server, protocol)]
    status, text = run("pin", *arguments)

    assert status == REFUSED
    assert "NOT VERIFIED" in text
    assert f'    Pin("{pki["self_signed"].spki_pin}")\n' in text
    (proposed,) = re.findall(r"^    securemail (check .*)$", text, re.MULTILINE)
    assert run(*proposed.split())[0] == WARNING
    assert server.wait(2)[0].received_tls == b""

    (result,) = json.loads(run("pin", *arguments, "--json")[1])["results"]
    assert result["mode"] == "starttls"


@every_protocol
def test_where_nothing_listens_the_other_port_is_proposed(
    protocol: str,
    other_ports: Callable[..., None],
    pki: PKI,
    recording_server: Factory,
    run: Run,
) -> None:
    server = upgrading(recording_server, protocol, pki["good"].server_context())
    other_ports(protocol, tls=unused_port(), starttls=server.port)
    status, text = run("check", f"--{protocol}", "127.0.0.1")

    assert status == UNREACHABLE
    (proposed,) = re.findall("To try it with STARTTLS: securemail (.*)", words(text))
    assert run(*proposed.split(), "--ca", pki.ca_pem)[0] == FINE


@every_protocol
def test_where_there_is_no_offer_the_other_port_is_proposed(
    protocol: str,
    other_ports: Callable[..., None],
    pki: PKI,
    recording_server: Factory,
    run: Run,
) -> None:
    clear = recording_server(scripts.POLITE[protocol])
    server = recording_server(scripts.POLITE[protocol], context=pki["good"].server_context())
    other_ports(protocol, tls=server.port, starttls=clear.port)
    status, text = run("check", f"--{protocol}", "--starttls", "127.0.0.1")

    assert status == REFUSED
    (proposed,) = re.findall("To try it with TLS from the first byte: securemail (.*)", words(text))
    assert run(*proposed.split(), "--ca", pki.ca_pem)[0] == FINE


@every_protocol
def test_where_clear_text_is_spoken_on_an_unusual_port_starttls_is_proposed_there(
    protocol: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = upgrading(recording_server, protocol, pki["good"].server_context())
    status, text = run("check", *target(server, protocol))

    assert (status, "is spoken on this port" in words(text)) == (REFUSED, True)
    (proposed,) = re.findall("To try it with STARTTLS: securemail (.*)", words(text))
    assert run(*proposed.split(), "--ca", pki.ca_pem)[0] == FINE


@every_protocol
def test_where_a_server_on_an_unusual_port_waits_for_tls_that_is_proposed_there(
    protocol: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.POLITE[protocol], context=pki["good"].server_context())
    status, text = run("check", *target(server, protocol), "--starttls", "--timeout", "0.5")

    assert (status, "said nothing for 0.5 s" in words(text)) == (UNREACHABLE, True)
    (proposed,) = re.findall("To try it with TLS from the first byte: securemail (.*)", words(text))
    assert run(*proposed.split(), "--ca", pki.ca_pem)[0] == FINE


def test_no_other_port_is_proposed_for_an_unusual_one_nor_for_what_it_would_not_help(
    pki: PKI, other_ports: Callable[..., None], recording_server: Factory, run: Run
) -> None:
    assert "To try it" not in run("check", "--imap", f"127.0.0.1:{unused_port()}")[1]
    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    other_ports("imap", tls=server.port, starttls=unused_port())
    assert "To try it" not in run("check", "--imap", "127.0.0.1")[1]


# --- all three protocols


@pytest.fixture
def three(
    pki: PKI, recording_server: Factory, other_ports: Callable[..., None]
) -> dict[str, RecordingServer]:
    """Three servers, the one for POP3 self-signed, on what the command takes for their ports."""
    found = {}
    for name, protocol in PROTOCOLS.items():
        kind = "self_signed" if name == "pop3" else "good"
        found[name] = recording_server(scripts.POLITE[name], context=pki[kind].server_context())
        other_ports(name, tls=found[name].port, starttls=protocol.starttls.port)
    return found


def test_without_a_protocol_all_three_are_checked_and_the_worst_counts(
    three: dict[str, RecordingServer], pki: PKI, run: Run
) -> None:
    status, text = run("check", "127.0.0.1", "--ca", pki.ca_pem)

    assert status == REFUSED
    for name, result in {"IMAP": "FINE", "POP3": "REFUSED", "SMTP": "FINE"}.items():
        assert f"{name} on 127.0.0.1:{three[name.lower()].port}: {result}" in text
    assert "Together: 2 fine, 1 refused." in text


def test_some_protocols_can_be_named(three: dict[str, RecordingServer], pki: PKI, run: Run) -> None:
    status, text = run("check", "127.0.0.1", "--imap", "--smtp", "--ca", pki.ca_pem)

    assert (status, "POP3" in text) == (FINE, False)


def test_a_refusal_outweighs_what_is_unreachable(
    three: dict[str, RecordingServer], pki: PKI, run: Run
) -> None:
    three["imap"].close()
    trust = ["--ca", pki.ca_pem]
    assert run("check", "127.0.0.1", *trust)[0] == REFUSED
    status, text = run("check", "127.0.0.1", "--imap", "--smtp", *trust)
    assert status == UNREACHABLE
    assert "can be left out" in text


def test_pin_shows_each_certificate_once(
    three: dict[str, RecordingServer], pki: PKI, run: Run
) -> None:
    status, text = run("pin", "127.0.0.1", "--ca", pki.ca_pem)

    assert status == REFUSED
    assert text.count("NOT VERIFIED") == 1
    assert text.count(f'Pin("{pki["good"].spki_pin}")') == 1
    assert text.count(f'Pin("{pki["self_signed"].spki_pin}")') == 1
    assert f"IMAP on 127.0.0.1:{three['imap'].port}, SMTP on 127.0.0.1:{three['smtp'].port}" in text


# --- the policy file

Write = Callable[[str], Path]


@pytest.fixture
def policy_file(tmp_path: Path, pki: PKI, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a policy file beside the self-signed server's certificate, and names it."""
    shutil.copy(pki["self_signed"].leaf_pem, tmp_path / "server.pem")

    def write(text: str) -> Path:
        path = tmp_path / "securemail.toml"
        path.write_text(text)
        monkeypatch.setenv("SECUREMAIL_POLICY", str(path))
        return path

    return write


OWN = 'trust = { certificate = "server.pem", acknowledge = "the office server" }'


@pytest.mark.parametrize("command", ["check", "pin"])
def test_the_policy_file_is_used_and_named(
    command: str, policy_file: Write, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    assert run(command, *target(server))[0] == REFUSED

    path = policy_file(f'[servers."127.0.0.1:{server.port}"]\n{OWN}')
    status, text = run(command, *target(server))
    assert status == FINE
    assert "Policy: believes exactly the certificate in" in words(text)
    assert f'TLS 1.2 or newer ({path}, [servers."127.0.0.1:{server.port}"]).' in words(text)

    path = policy_file(f'[servers."127.0.0.1:1"]\n{OWN}')
    status, text = run(command, *target(server))
    assert status == REFUSED
    assert "Policy: believes the system's store" in words(text)
    assert f"TLS 1.2 or newer ({path}, which does not name this server)." in words(text)


def test_the_name_in_the_policy_file_is_checked(
    policy_file: Write, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    trust = f'[default]\ntrust = {{ ca = "{pki.ca_pem}" }}\n'
    entry = f'[servers."127.0.0.1"]\ntrust = {{ ca = "{pki.ca_pem}" }}\nserver_hostname = '
    policy_file(trust + entry + '"mail.example.org"')
    status, text = run("check", *target(server))
    assert (status, "for the name 'mail.example.org'" in words(text)) == (FINE, True)
    policy_file(trust + entry + '"other.example.org"')
    assert run("check", *target(server))[0] == REFUSED


def whom_to_believe() -> list[str]:
    """Every option that says so."""
    parser = argparse.ArgumentParser(add_help=False)
    options.add_policy(parser)
    return [action.option_strings[0] for action in parser._actions]


VALUES = {  # None: the option takes none
    **dict.fromkeys(["--ca", "--certificate"], "FILE"),
    **dict.fromkeys(["--pin", "--also-pin"], "PIN"),
    "--known": "no-such-file-yet",
    "--only-ca": None,
    "--no-strict-x509": None,
    "--minimum-version": "1.2",
    "--legacy-ciphers": "old",
    "--server-hostname": "localhost",
    "--crl": "CRL",
    "--client-certificate": "OWN",
    "--client-key": "KEY",
}
BESIDE = {"--only-ca": ["--ca", "FILE"], "--client-key": ["--client-certificate", "CERTIFICATE"]}


@pytest.mark.parametrize("option", whom_to_believe())
def test_with_any_option_of_these_the_policy_file_is_not_looked_at(
    option: str, policy_file: Write, pki: PKI, recording_server: Factory, run: Run
) -> None:
    issued = pki["self_signed"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    path = policy_file("not TOML")
    crl = path.with_name("ca.crl")
    crl.write_bytes(revocation_list(issuer_of(pki._workshop.root)).public_bytes(Encoding.DER))
    known = {
        "FILE": pki.ca_pem,
        "PIN": issued.spki_pin,
        "CRL": crl,
        "OWN": pki.client_certificate("alice"),
        "CERTIFICATE": pki["good"].leaf_pem,
        "KEY": pki["good"].key,
    }
    words_of = [option, *([VALUES[option]] if VALUES[option] else []), *BESIDE.get(option, [])]
    arguments = [str(known.get(word, word)) for word in words_of]

    status, text = run("check", *target(server), *arguments)

    assert status == (WARNING if option == "--pin" else REFUSED)  # by what the option says
    assert "securemail.toml" not in text
    # The control: without the option, it is.
    status, text = run("check", *target(server))
    assert (status, "securemail.toml" in text) == (USAGE, True)


def test_a_wrong_policy_file_ends_with_64_before_anything_is_connected(
    policy_file: Write, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    path = policy_file("[default]\npin_s = 1")

    status, text = run("check", *target(server))

    assert status == USAGE
    expected = (
        f"securemail check: {path}, [default], pin_s: there is no such key. Did you mean pins? "
        "More: securemail explain policy-file."
    )
    assert words(text) == expected
    assert server.connections == 0


def test_a_policy_file_may_say_different_things_of_the_three_ports(
    three: dict[str, RecordingServer], policy_file: Write, pki: PKI, run: Run
) -> None:
    path = policy_file(
        f'[servers."127.0.0.1"]\ntrust = {{ ca = "{pki.ca_pem}" }}\n'
        f'[servers."127.0.0.1:{three["pop3"].port}"]\n{OWN}'
    )
    status, text = run("check", "127.0.0.1")
    assert status == FINE
    assert text.count("Policy: believes") == 2

    data = json.loads(run("check", "127.0.0.1", "--json")[1])
    assert data["policy"] is None
    tables = {result["protocol"]: result["policy"]["source"] for result in data["results"]}
    anywhere = f'{path}, [servers."127.0.0.1"]'
    own = f'{path}, [servers."127.0.0.1:{three["pop3"].port}"]'
    assert tables == {"imap": anywhere, "pop3": own, "smtp": anywhere}

    data = json.loads(run("check", "127.0.0.1", "--imap", "--smtp", "--json")[1])
    assert data["policy"]["source"] == anywhere
    assert (
        "source" not in json.loads(run("check", "127.0.0.1", "--pin", PIN, "--json")[1])["policy"]
    )


# --- for programs


def test_json_of_a_good_server(pki: PKI, recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    status, text = run("check", *target(server), "--ca", pki.ca_pem, "--json")
    data = json.loads(text)

    assert set(data) == {"policy", "results", "status"}
    assert data["status"] == status == FINE
    (result,) = data["results"]
    assert (result["protocol"], result["host"]) == ("imap", "127.0.0.1")
    assert (result["port"], result["mode"]) == (server.port, "tls")
    assert result["result"] == "fine"
    assert result["report"]["tls"]["version"] == "TLSv1.3"
    assert result["report"]["auth"] is None
    assert result["certificate"]["verified"] is True
    assert result["certificate"]["key_pin"] == pki["good"].spki_pin
    assert result["offers"] == {"mechanisms": ["PLAIN", "LOGIN"], "commands": ["LOGIN"]}
    assert result["login"] == "PLAIN"
    assert result["error"] is None


@pytest.mark.parametrize("command", ["check", "pin"])
def test_json_of_a_refused_server(
    command: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    issued = pki["self_signed_expired"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    status, text = run(command, *target(server), "--json")
    data = json.loads(text)

    assert data["status"] == status == REFUSED
    (result,) = data["results"]
    assert result["result"] == "refused"
    assert result["certificate"]["verified"] is False
    assert result["certificate"]["key_pin"] == issued.spki_pin
    error = result["error"]
    assert (error["type"], error["code"]) == ("CertificateRejected", "self-signed")
    assert error["credentials_sent"] is False
    assert error["hint"]
    assert [reason["code"] for reason in error["reasons"]] == ["self-signed", "certificate-expired"]
    assert "not_after" in error["reasons"][1]
    assert error["chain"] == [result["certificate"]["fingerprint"]]
    assert error["verify_code"] == 18


def test_json_of_an_unreachable_server(run: Run) -> None:
    port = unused_port()
    status, text = run("check", f"127.0.0.1:{port}", "--smtp", "--json")
    data = json.loads(text)

    assert data["status"] == status == UNREACHABLE
    (result,) = data["results"]
    assert (result["result"], result["certificate"]) == ("unreachable", None)
    assert result["error"]["code"] == "connect-refused"


# --- pin


def test_pin_of_a_refused_server_shows_what_the_handshake_presented(
    pki: PKI, recording_server: Factory, run: Run
) -> None:
    issued = pki["self_signed"]
    server = recording_server(scripts.imap_ok, context=issued.server_context())
    status, text = run("pin", *target(server))
    (record,) = server.wait()

    assert status == REFUSED
    assert "NOT VERIFIED" in text
    assert "subject:     CN=mail.example.org" in text
    assert "itself: it is self-signed" in text
    assert f'    Pin("{issued.spki_pin}")\n' in text
    assert re.search(r'    Pin\.certificate\("([0-9A-F]{2}:){31}[0-9A-F]{2}"\)\n', text)
    assert f'    TLSPolicy(trust=ExactCertificate(pin="{issued.spki_pin}"))\n' in text
    compare = text.index("openssl x509 -in server.pem -noout -fingerprint -sha256")
    assert compare < text.index("TLSPolicy(trust=ExactCertificate")
    assert server.connections == 1
    assert record.received_tls == b""
    assert record.handshake_error is not None


def test_the_command_that_pin_proposes_works(pki: PKI, recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    _, text = run("pin", *target(server))
    (proposed,) = re.findall(r"^    securemail (check .*)$", text, re.MULTILINE)

    assert run(*proposed.split())[0] == WARNING


@pytest.mark.parametrize("kind", ["self_signed_expired", "self_signed_weak_key"])
def test_pin_says_where_a_pin_is_no_help(
    kind: str, pki: PKI, recording_server: Factory, run: Run
) -> None:
    server = recording_server(scripts.imap_ok, context=pki[kind].server_context())
    _, text = run("pin", *target(server))

    assert "Even by its pin it stays refused, because it" in words(text)


def test_pin_of_a_good_server(pki: PKI, recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    status, text = run("pin", *target(server), "--ca", pki.ca_pem)
    (record,) = server.wait()

    assert status == FINE
    assert "Verified. Trusted by:" in text
    assert f'TLSPolicy(trust=..., pins="{pki["good"].spki_pin}")' in text
    assert commands(record) == SAID["imap"]


def test_pin_without_a_certificate_says_why(recording_server: Factory, run: Run) -> None:
    server = recording_server(scripts.says(scripts.GREETINGS["imap"]))
    status, text = run("pin", *target(server))

    assert (status, "No certificate was seen." in text) == (REFUSED, True)


def test_pin_of_a_file(pki: PKI, run: Run) -> None:
    path = pki["self_signed"].leaf_pem
    status, text = run("pin", path)

    assert status == FINE
    assert f'    Pin.from_pem("{path}")\n' in text
    assert f'    Pin("{pki["self_signed"].spki_pin}")\n' in text
    assert f'    TLSPolicy(trust=ExactCertificate("{path}"))\n' in text
    status, text = run("pin", path, "--json")
    assert json.loads(text)["certificate"]["key_pin"] == pki["self_signed"].spki_pin


def test_pin_of_an_authority_file(pki: PKI, run: Run) -> None:
    _, text = run("pin", pki.no_aki_ca_pem)

    assert "CATrust(" in text
    assert "ExactCertificate(" not in text


def test_what_is_pasted_is_valid(pki: PKI, run: Run) -> None:
    _, text = run("pin", pki["self_signed"].leaf_pem)
    snippets = re.findall(r"^    ((?:Pin|TLSPolicy)\S*\(.*\))$", text, re.MULTILINE)

    assert len(snippets) == 5
    for snippet in snippets:
        eval(snippet, {name: getattr(securemail, name) for name in securemail.__all__})


# --- wrong usage


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "usage: securemail"),
        (["unheard-of"], "invalid choice"),
        (["check"], "required: HOST"),
        (["check", "--unheard-of", "localhost"], "unrecognized"),
        (["check", "--ima", "localhost"], "unrecognized"),
        (["check", "localhost", "--port", "abc"], "invalid int"),
        (["check", "localhost", "--port", "1993"], "which protocol on port 1993?"),
        (["check", "localhost", "--port", "1993", "--imap", "--smtp"], "which protocol"),
        (["check", "localhost:993", "--port", "993"], "two ports"),
        (["check", "localhost:993", "--starttls"], "TLS is spoken from the first byte"),
        (["check", "localhost:465", "--smtp", "--starttls"], "not with --starttls"),
        (["check", "localhost:587", "--imap"], "contradict each other"),
        (["check", "localhost:2587", "--starttls"], "which protocol on port 2587?"),
        (["check", "localhost:x", "--imap"], "after the colon comes a port number"),
        (["check", "localhost:0", "--imap"], "not from 1 to 65535"),
        (["check", "localhost:99999", "--imap"], "not from 1 to 65535"),
        (["check", "[::1]x", "--imap"], "is not [IPV6]:PORT"),
        (["check", "imaps://localhost", "--imap"], "after the colon comes a port number"),
        (["check", "two words", "--imap"], "is not a host name"),
        (["check", "", "--imap"], "is empty"),
        (["check", "localhost", "--timeout", "0"], "above 0"),
        (["check", "localhost", "--timeout", "inf"], "above 0"),
        (["check", "localhost", "--timeout", "soon"], "invalid"),
        (["check", "localhost", "--pin", "xyz"], "is not a pin"),
        (["check", "localhost", "--pin", ""], "is not a pin"),
        (["check", "localhost", "--pin", "AB:CD"], "64 hexadecimal digits"),
        (["check", "localhost", "--only-ca"], "together with --ca"),
        (["check", "localhost", "--ca", "/does/not/exist.pem"], "cannot be read"),
        (["check", "localhost", "--ca", ""], "cannot be read"),
        (["check", "localhost", "--ca", "a.pem", "--pin", "x"], "not allowed with"),
        (["check", "localhost", "--legacy-ciphers", " "], "needs a reason"),
        (["check", "localhost", "--minimum-version", "1.1"], "invalid choice"),
        (["check", "localhost", "--server-hostname", ""], "is empty"),
        (["pin", "does-not-exist.pem"], "cannot be read"),
        (["pin", "server.pem", "--imap"], "no protocol and no port"),
        (["pin", "server.pem", "--starttls"], "no protocol and no port"),
        (["demo", "surplus"], "unrecognized"),
    ],
)
def test_wrong_usage_ends_with_64_and_says_why(
    arguments: list[str], expected: str, run: Run
) -> None:
    status, text = run(*arguments)

    assert status == USAGE
    assert expected in words(text)


def test_help_and_version_end_with_0(run: Run) -> None:
    assert run("--version") == (FINE, "securemail 0.1.0\n")
    for command in ([], ["check"], ["pin"], ["demo"]):
        status, text = run(*command, "--help")
        assert status == FINE
        assert "exit status: 0 fine" in text


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (["mail.example.org"], [("imap", 993), ("pop3", 995), ("smtp", 465)]),
        (["mail.example.org:995"], [("pop3", 995)]),
        (["mail.example.org", "--port", "465"], [("smtp", 465)]),
        (["mail.example.org:1993", "--imap"], [("imap", 1993)]),
        (["mail.example.org", "--smtp", "--imap", "--smtp"], [("smtp", 465), ("imap", 993)]),
    ],
)
def test_hosts_and_ports(arguments: list[str], places: list[tuple[str, int]]) -> None:
    found = options.places(_parser().parse_args(["check", *arguments]))

    assert [(place.protocol, place.port) for place in found] == places
    assert {(place.host, place.starttls) for place in found} == {("mail.example.org", False)}


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (["mail.example.org", "--starttls"], [("imap", 143), ("pop3", 110), ("smtp", 587)]),
        (["mail.example.org", "--starttls", "--smtp"], [("smtp", 587)]),
        (["mail.example.org:587"], [("smtp", 587)]),
        (["mail.example.org:143"], [("imap", 143)]),
        (["mail.example.org", "--port", "110"], [("pop3", 110)]),
        (["mail.example.org:587", "--smtp"], [("smtp", 587)]),
        (["mail.example.org:587", "--smtp", "--starttls"], [("smtp", 587)]),
        (["mail.example.org:25", "--smtp", "--starttls"], [("smtp", 25)]),
    ],
)
def test_hosts_and_ports_of_starttls(arguments: list[str], places: list[tuple[str, int]]) -> None:
    found = options.places(_parser().parse_args(["check", *arguments]))

    assert [(place.protocol, place.port) for place in found] == places
    assert {(place.host, place.starttls) for place in found} == {("mail.example.org", True)}


@pytest.mark.parametrize("host", ["::1", "[::1]", "[::1]:993"])
def test_addresses_with_colons(host: str) -> None:
    place = options.places(_parser().parse_args(["check", "--imap", host]))[0]

    assert (place.host, place.address) == ("::1", "[::1]:993")


# --- on a terminal


def test_what_a_server_sends_cannot_control_the_terminal(
    pki: PKI, recording_server: Factory, run: Run
) -> None:
    escape = "\x1b]0;owned\x07"
    offering = replace(scripts.pop3_ok, mechanisms=("PLAIN", escape))
    greeting = scripts.says(b"220 \x1b[2J\x1b]0;owned\x07\r\n")
    refusing = scripts.says("* BYE \x1b[2J\x9b31m\u202e\r\n".encode())
    texts = []
    for script, protocol, context in [
        (offering, "pop3", pki["good"].server_context()),
        (greeting, "smtp", None),
        (refusing, "imap", pki["good"].server_context()),
    ]:
        server = recording_server(script, context=context)
        texts.append(run("check", *target(server, protocol), "--ca", pki.ca_pem)[1])

    for text in texts:
        assert all(c.isprintable() or c == "\n" for c in text)
    assert "\\x1b" in texts[0]
    assert "\\x1b" in texts[2]


@pytest.mark.parametrize("columns", ["60", "80", "100", "300"])
@pytest.mark.parametrize("command", ["check", "pin"])
def test_lines_fit_the_terminal(
    command: str,
    columns: str,
    pki: PKI,
    recording_server: Factory,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = ""
    for kind in ("good", "self_signed", "self_signed_expired", "unknown_ca", "wrong_name"):
        server = recording_server(scripts.imap_ok, context=pki[kind].server_context())
        text += run(command, *target(server), "--ca", pki.other_ca_pem)[1]
    lines = [line for line in text.splitlines() if not LONG.search(line)]
    paths = [line for line in lines if "pytest-" in line]  # the tests' own are long

    assert len(lines) > 60
    assert [
        line for line in lines if len(line) > min(int(columns), 100) and line not in paths
    ] == []


def test_a_call_is_not_broken_between_its_words() -> None:
    text = 'One two three four five six: use TLSPolicy(trust=SystemTrust() | CATrust("ca.pem")).'
    assert any(
        'TLSPolicy(trust=SystemTrust() | CATrust("ca.pem")).' in line
        for line in _wrapped(text, "", "")
    )


# --- as a program of its own


def start(*arguments: object, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-W", "error", "-m", "securemail", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def test_python_m_securemail(pki: PKI, recording_server: Factory) -> None:
    server = recording_server(scripts.imap_ok, context=pki["self_signed"].server_context())
    for policy, expected in {(): REFUSED, ("--pin", pki["self_signed"].spki_pin): WARNING}.items():
        process = start("check", *target(server), *policy)
        printed, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (expected, "")
        assert f"IMAP on 127.0.0.1:{server.port}" in printed


def test_a_terminal_without_the_letters(pki: PKI, recording_server: Factory) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    why = "f\N{LATIN SMALL LETTER U WITH DIAERESIS}r das alte Telefon"
    trust = ["--ca", pki.ca_pem, "--legacy-ciphers", why]
    process = start("check", *target(server), *trust, env=ascii_only)
    printed, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (WARNING, "")
    assert "f\\xfcr das alte Telefon" in words(printed)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupted_it_ends_quietly(recording_server: Factory) -> None:
    server = recording_server(scripts.silence)
    process = start("check", *target(server))
    deadline = time.monotonic() + 30
    while not server.connections and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_a_closed_pipe_ends_it_quietly(pki: PKI, recording_server: Factory) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    process = start("check", *target(server), "--ca", pki.ca_pem)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        errors = process.stderr.read()

    assert (process.wait(30), errors) == (141, "")
