"""The world in which the code blocks of the documents run.

Names under example.org and example.com lead to small servers on loopback, whose CA is
the one in SSL_CERT_FILE; the current folder holds the files that documents speak of.
"""

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import trustme

import docs_redirect

USER = "alice"
PASSWORD = "correct horse battery staple"

HOSTNAMES = tuple(
    f"{host}.{domain}"
    for domain in docs_redirect.DOMAINS
    for host in ("mail", "imap", "pop3", "smtp")
)

# The port that a document names -> what securemail.testing calls the server for it.
SERVICES = {
    993: "imaps",
    995: "pop3s",
    465: "submissions",
    143: "imap",
    110: "pop3",
    587: "submission",
}

# Would lead the examples elsewhere than the reader sees.
DISTURBING = ("SSL_CERT_DIR", "SSL_CERT_FILE", "SSLKEYLOGFILE", "SECUREMAIL_POLICY")


@dataclass(frozen=True)
class World:
    folder: Path
    ports: dict[int, int]  # the port that documents name -> the port on loopback
    environment: dict[str, str]  # what programs get in addition, to live in the same world


@dataclass(frozen=True)
class Certificates:
    ca: bytes
    server: bytes


def start_servers(stack: ExitStack) -> tuple[dict[int, int], Certificates]:
    """Start the servers; they end with the stack."""
    try:
        from securemail.testing import MailServers
    except ModuleNotFoundError:  # not there yet: an example that connects fails, by name
        ca = trustme.CA()
        leaf = ca.issue_cert("mail.example.org")
        return {}, Certificates(ca.cert_pem.bytes(), leaf.cert_chain_pems[0].bytes())

    servers = stack.enter_context(MailServers(users={USER: PASSWORD}, hostnames=HOSTNAMES))
    ports = {
        port: servers.ports[service]
        for port, service in SERVICES.items()
        if service in servers.ports
    }
    return ports, Certificates(servers.authority.ca_pem, servers.certificate_pem)


@contextmanager
def documents_world(folder: Path) -> Iterator[World]:
    """Make it in an empty folder, enter it, and undo everything at the end."""
    with ExitStack() as stack:
        ports, certificates = start_servers(stack)

        home = folder / "home"
        home.mkdir()
        (home / "corp.pem").write_bytes(certificates.ca)
        (home / "server.pem").write_bytes(certificates.server)
        trusted = folder / "trusted.pem"
        trusted.write_bytes(certificates.ca)

        for_programs = folder / "site"
        for_programs.mkdir()
        shutil.copy(docs_redirect.__file__, for_programs / "sitecustomize.py")
        targets = {str(port): target for port, target in ports.items()}
        environment = {
            docs_redirect.VARIABLE: json.dumps(targets),
            "PYTHONPATH": str(for_programs),
        }

        stack.enter_context(mock.patch.dict(os.environ))  # puts back what is changed below
        for name in DISTURBING:
            os.environ.pop(name, None)
        os.environ["SSL_CERT_FILE"] = str(trusted)
        redirected = docs_redirect.redirecting(docs_redirect.socket.getaddrinfo, targets)
        stack.enter_context(mock.patch("socket.getaddrinfo", redirected))
        stack.enter_context(chdir(home))
        # As for a reader: our warnings are printed. In tests they would be errors.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("default", category=UserWarning)
        yield World(home, ports, environment)
