"""A host program that calls `truststore.inject_into_ssl()`, at whatever moment.

It puts another class in place of `ssl.SSLContext`, which breaks classes derived from it before.
Each case is a program of its own, since the change is to the whole process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from servers import scripts
from servers.pki import PKI
from servers.recording import RecordingServer

PROGRAM = """
import importlib, json, ssl, sys

at, paths, port, protocol, pins = json.loads(sys.argv[1])
original = ssl.SSLContext
import truststore


def inject():
    truststore.inject_into_ssl()
    assert ssl.SSLContext is not original, "the injection did nothing"


if at == "before the import":
    inject()
import securemail
from securemail import (
    IMAP4_SSL, POP3_SSL, SMTP_SSL, CATrust, ExactCertificate, Pin, SystemTrust, TLSPolicy
)
if at == "after the import":
    inject()

kind = {"imap": IMAP4_SSL, "pop3": POP3_SSL, "smtp": SMTP_SSL}[protocol]
policies = {
    "good CA": lambda: TLSPolicy(trust=CATrust(paths["ca"])),
    "good CA and pin": lambda: TLSPolicy(trust=CATrust(paths["ca"]), pins=Pin(pins["good"])),
    "system and good CA": lambda: TLSPolicy(trust=SystemTrust() | CATrust(paths["ca"])),
    "exact certificate": lambda: TLSPolicy(trust=ExactCertificate(paths["leaf"])),
    "exact pin": lambda: TLSPolicy(trust=ExactCertificate(pin=pins["good"])),
    "system alone": TLSPolicy,
    "wrong CA": lambda: TLSPolicy(trust=CATrust(paths["other"])),
    "wrong pin": lambda: TLSPolicy(trust=CATrust(paths["ca"]), pins=Pin(pins["wrong"])),
    "wrong exact pin": lambda: TLSPolicy(trust=ExactCertificate(pin=pins["wrong"])),
    "wrong exact certificate": lambda: TLSPolicy(trust=ExactCertificate(paths["wrong leaf"])),
}
made = {name: make() for name, make in policies.items()}
if at == "after the policies":
    inject()
if at == "after a context":
    kept = [policy.ssl_context() for policy in made.values()]
    inject()


def attempt(policy, **options):
    try:
        client = kind("127.0.0.1", port, policy=policy, timeout=20, **options)
    except Exception as error:
        return type(error).__name__
    client.login("alice", "a long password")
    client.logout() if protocol == "imap" else client.quit()
    return client.report.tls.version


def seal(policy):
    try:
        policy.ssl_context().check_hostname = not policy.ssl_context().check_hostname
    except securemail.PolicyError:
        return "sealed"


def own(cafile):
    context = original(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile)
    argument = "ssl_context" if protocol == "imap" else "context"
    return attempt(None, **{argument: context})


answers = {name: attempt(policy) for name, policy in made.items()}
answers["described"] = all("TLS" in policy.describe() for policy in made.values())
answers["sealed"] = {seal(policy) for policy in made.values()} == {"sealed"}
answers["made again"] = {name: attempt(make()) for name, make in policies.items()} == {
    name: answers[name] for name in policies
}
if at != "never":
    truststore.extract_from_ssl()
assert ssl.SSLContext is original
answers["after the extraction"] = {
    name: attempt(policy) for name, policy in made.items()
} == {name: answers[name] for name in policies}
new = TLSPolicy(trust=CATrust(paths["ca"]), pins=(Pin(pins["wrong"]), Pin(pins["good"])))
answers["new after the extraction"] = attempt(new)
answers["own context"] = own(paths["ca"])
answers["own context, wrong CA"] = own(paths["other"])
print(json.dumps(answers))
"""

EXPECTED = {
    "good CA": "TLSv1.3",
    "good CA and pin": "TLSv1.3",
    "system and good CA": "TLSv1.3",
    "exact certificate": "TLSv1.3",
    "exact pin": "TLSv1.3",
    "system alone": "CertificateRejected",
    "wrong CA": "CertificateRejected",
    "wrong pin": "PinMismatch",
    "wrong exact pin": "PinMismatch",
    "wrong exact certificate": "PinMismatch",
    "described": True,
    "sealed": True,
    "made again": True,
    "after the extraction": True,
    "new after the extraction": "TLSv1.3",
    "own context": "TLSv1.3",
    "own context, wrong CA": "CertificateRejected",
}

MOMENTS = (
    "never",  # the control
    "before the import",
    "after the import",
    "after the policies",
    "after a context",
)


@pytest.mark.parametrize(
    ("at", "protocol"),
    [(at, "imap") for at in MOMENTS]
    + [("before the import", "pop3"), ("after the policies", "smtp")],
)
def test_every_policy_holds_whenever_truststore_is_injected(
    at: str, protocol: str, pki: PKI, recording_server: Callable[..., RecordingServer]
) -> None:
    script = scripts.POLITE[protocol]
    server = recording_server(script, context=pki["good"].server_context())
    paths = {
        "ca": str(pki.ca_pem),
        "other": str(pki.other_ca_pem),
        "leaf": str(pki["good"].leaf_pem),
        "wrong leaf": str(pki["self_signed"].leaf_pem),
    }
    pins = {"good": pki["good"].spki_pin, "wrong": pki["good_rsa"].spki_pin}
    assert answers(at, paths, server.port, protocol, pins) == EXPECTED


def answers(at: str, paths: dict[str, str], *more: object) -> Any:
    """The system's store has one authority here: a hundred and more are read forty times."""
    arguments = (at, paths, *more)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SSL_CERT_FILE": paths["other"]},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
