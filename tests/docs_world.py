"""The world in which the code blocks of the documents run.

Names under example.org and example.com lead to small servers on loopback, whose CA is
the one in SSL_CERT_FILE; the current folder holds the files that documents speak of.
"""

import asyncio
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import trustme

import docs_oauth
import docs_redirect
from securemail.guard import Guarded
from securemail.testing import MailServers
from securemail.testing.authority import Authority
from servers.asynchronous import to_the_end

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
    25: "relay",
}

# Would lead the examples elsewhere than the reader sees.
DISTURBING = ("SSL_CERT_DIR", "SSL_CERT_FILE", "SSLKEYLOGFILE", "SECUREMAIL_POLICY")


@dataclass(frozen=True)
class World:
    folder: Path
    environment: dict[str, str]  # what programs get in addition, to live in the same world
    ports: dict[str, int]  # where names lead in this process; see `docs_redirect`
    public: Authority  # whom the system's store has
    corp: Authority  # of corp.pem


# Whose certificate the system's store does not vouch for, and what documents do about it.
OWN_CERTIFICATE = "mail.internal.example.org"  # self-signed: server.pem
OWN_CA = "mail.corp.example.org"  # from a private CA: corp.pem


@dataclass(frozen=True)
class Started:
    ports: dict[str, int]  # as docs_redirect.redirecting wants them
    public: Authority
    corp: Authority
    server_pem: bytes


def start_servers(stack: ExitStack) -> Started:
    """Start the servers; they end with the stack."""
    users = {USER: PASSWORD}
    tokens = {docs_oauth.ACCOUNT: docs_oauth.TOKEN}
    public = stack.enter_context(
        MailServers(users=users, tokens=tokens, hostnames=HOSTNAMES, apop=True, relay=True)
    )
    own = stack.enter_context(
        MailServers(users=users, hostnames=(OWN_CERTIFICATE,), certificate="self_signed")
    )
    corp = stack.enter_context(MailServers(users=users, hostnames=(OWN_CA,)))
    ports = {
        **ports_of(public),
        **{f"{OWN_CERTIFICATE}:{port}": target for port, target in ports_of(own).items()},
        **{f"{OWN_CA}:{port}": target for port, target in ports_of(corp).items()},
        "localhost:25": public.ports["relay"],
    }
    return Started(ports, public.authority, corp.authority, own.certificate_pem)


def ports_of(servers: MailServers) -> dict[str, int]:
    return {
        str(port): servers.ports[service]
        for port, service in SERVICES.items()
        if service in servers.ports
    }


def is_local(connection: Any) -> bool:
    """For the Python blocks: relay.example.org is another computer than localhost, as the document
    has it. (In programs that a document starts, all of them are this computer.)"""
    return connection.report.host in docs_redirect.LOOPBACK


def run_to_the_end(run: Callable[..., Any]) -> Callable[..., Any]:
    """An `asyncio.run` that leaves no connection half closed, as some libraries do."""
    return lambda main: run(to_the_end(main))


@contextmanager
def documents_world(folder: Path) -> Iterator[World]:
    """Make it in an empty folder, enter it, and undo everything at the end."""
    with ExitStack() as stack:
        started = start_servers(stack)

        home = folder / "home"
        home.mkdir()
        (home / "corp.pem").write_bytes(started.corp.ca_pem)
        (home / "server.pem").write_bytes(started.server_pem)
        docs_oauth.write_files(home)
        me = trustme.CA().issue_cert("alice@example.org")
        (home / "me.pem").write_bytes(me.cert_chain_pems[0].bytes())
        (home / "me.key").write_bytes(me.private_key_pem.bytes())
        trusted = folder / "trusted.pem"
        trusted.write_bytes(started.public.ca_pem)

        for_programs = folder / "site"
        for_programs.mkdir()
        shutil.copy(docs_redirect.__file__, for_programs / "sitecustomize.py")
        settings = folder / "pytest.ini"
        settings.write_text("[pytest]\n")
        environment = {
            docs_redirect.VARIABLE: json.dumps(started.ports),
            "PYTHONPATH": str(for_programs),
            # A reader's pytest has none of ours; hypothesis takes two seconds to load.
            "PYTEST_ADDOPTS": f"-c {settings} -p no:hypothesispytest",
        }

        stack.enter_context(mock.patch.dict(os.environ))  # puts back what is changed below
        for name in DISTURBING:
            os.environ.pop(name, None)
        os.environ["SSL_CERT_FILE"] = str(trusted)
        redirected = docs_redirect.redirecting(docs_redirect.socket.getaddrinfo, started.ports)
        stack.enter_context(mock.patch("socket.getaddrinfo", redirected))
        stack.enter_context(docs_oauth.token_services())
        stack.enter_context(mock.patch("asyncio.run", run_to_the_end(asyncio.run)))
        stack.enter_context(mock.patch.object(Guarded, "_is_local", is_local))
        stack.enter_context(chdir(home))
        # As for a reader: our warnings are printed. In tests they would be errors.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("default", category=UserWarning)
        yield World(home, environment, started.ports, started.public, started.corp)
