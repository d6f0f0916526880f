"""Cyrus SASL inside Postfix: its configuration, its users, and what is logged of it."""

import base64
import binascii
import re
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from servers.processes import Address, ServerUnavailable, require_program
from servers.sign_ins import PATIENCE_SECONDS, Begun, NotLogged, SignIn

ADVICE = "Cyrus SASL is not installed: apt-get install sasl2-bin libsasl2-modules"
MECHANISMS = (
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
)
REALM = "example.org"

# Debian reads smtpd.conf in the folder `sasl` beside main.cf, others where they are told to.
# Postfix itself logs refusals only; with the dialogue of its clients the log has all.
MAIN_CF = """\
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {realm}
cyrus_sasl_config_path = {folder}/config/sasl
debug_peer_list = 127.0.0.1
debug_peer_level = 1
"""

SMTPD_CONF = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {users}
mech_list: {mechanisms}
"""


def require_plugins() -> None:
    require_program("saslpasswd2", ADVICE)
    folders = [*Path("/usr/lib").glob("*/sasl2"), Path("/usr/lib/sasl2")]
    for plugin in ("libscram.so", "libdigestmd5.so", "libsasldb.so"):
        if not any((folder / plugin).exists() for folder in folders):
            raise ServerUnavailable(f"{ADVICE} (there is no {plugin})")


def write(folder: Path, mechanisms: Sequence[str], users: Mapping[str, str], owner: str) -> str:
    """Writes what Cyrus SASL reads in Postfix's folder, and returns its lines for main.cf."""
    database = folder / "sasldb2"
    database.unlink(missing_ok=True)
    for user, password in users.items():
        _add_user(database, user, password)
    shutil.chown(database, owner)
    config = folder / "config" / "sasl"
    config.mkdir(parents=True, exist_ok=True)
    text = SMTPD_CONF.format(users=database, mechanisms=" ".join(mechanisms))
    (config / "smtpd.conf").write_text(text, "utf-8")
    return MAIN_CF.format(folder=folder, realm=REALM)


def _add_user(database: Path, user: str, password: str) -> None:
    program = require_program("saslpasswd2", ADVICE)
    command = [program, "-c", "-p", "-u", REALM, "-f", str(database), user]
    subprocess.run(command, input=password.encode(), check=True, capture_output=True, timeout=30)


# -- what is logged

# One line of a client's, or one to it, in the log of the process that talks with it.
LINE = re.compile(r"smtpd\[(\d+)\]: ([<>]) [^ ]*: (.*)")

# Where each mechanism has the user's name, in the first message of the client's that fits.
USER_IN = {
    "PLAIN": re.compile(rb"[^\0]*\0([^\0]*)\0"),
    "LOGIN": re.compile(rb"(.*)", re.DOTALL),
    "CRAM-MD5": re.compile(rb"(.*) [0-9a-f]{32}"),
    "DIGEST-MD5": re.compile(rb'.*username="([^"]*)"', re.DOTALL),
    "SCRAM": re.compile(rb"[nyp][^,]*,[^,]*,n=([^,]*),"),
}


class _Exchange:
    """What the client of one process has sent, from AUTH on."""

    def __init__(self, line: str) -> None:
        self.mechanism = _mechanism_of(line)
        self.messages: list[bytes] = []
        for word in line.split()[2:]:
            self.add(word)

    def add(self, word: str) -> None:
        try:
            self.messages.append(base64.b64decode(word, validate=True))
        except binascii.Error:
            self.messages.append(b"")

    @property
    def user(self) -> str:
        name = "SCRAM" if self.mechanism.startswith("SCRAM-") else self.mechanism
        for message in self.messages:
            if name in USER_IN and (found := USER_IN[name].match(message)):
                return found[1].decode("utf-8", "replace")
        return ""


def begun(log: str) -> list[Begun]:
    """All that any client has begun, in order."""
    said = [line for _, direction, line in LINE.findall(log) if direction == "<"]
    return [Begun("smtp", _mechanism_of(line)) for line in said if _is_auth(line)]


def ended(log: str, user: str) -> list[SignIn]:
    """All of that user that were answered, in order; not those that the client gave up."""
    return [
        SignIn("smtp", exchange.mechanism, reply.startswith("235"))
        for exchange, reply in _answered(log)
        if exchange.user == user and not reply.startswith(("220", "501"))
    ]


def _answered(log: str) -> Iterator[tuple[_Exchange, str]]:
    """Each exchange and the reply at its end: 501 when the client has cancelled it, and where it
    has hung up, the 220 with which the same process greets the next."""
    going_on: dict[str, _Exchange] = {}
    for pid, direction, line in LINE.findall(log):
        if direction == "<" and _is_auth(line):
            going_on[pid] = _Exchange(line)
        elif direction == "<" and pid in going_on:
            going_on[pid].add(line)
        elif pid in going_on and not line.startswith("334"):
            yield going_on.pop(pid), line


def _is_auth(line: str) -> bool:
    return line.upper().startswith("AUTH ")


def _mechanism_of(line: str) -> str:
    return line.split()[1].upper()


def wait(clear: Address, log: Callable[[], str]) -> None:
    """Returns when all that has happened up to now is in the log: it is one queue, and what a
    client says now comes after it."""
    marker, deadline = f"{uuid.uuid4().hex}.example.org", time.monotonic() + PATIENCE_SECONDS
    with socket.create_connection(clear, PATIENCE_SECONDS) as connection:
        connection.recv(8192)
        connection.sendall(f"EHLO {marker}\r\n".encode())
        connection.recv(8192)
        connection.sendall(b"QUIT\r\n")
    while marker not in log():
        if time.monotonic() > deadline:
            raise NotLogged(f"no {marker} in {PATIENCE_SECONDS} s\n{log()}")
        time.sleep(0.005)
