"""What Dovecot has logged of the sign-ins that it was asked for."""

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 20.0
OURS = "marker"  # the service that our own sign-ins are for

# What a client of the auth process asked: a login process of Dovecot's, or Postfix. Where
# Dovecot 2.3 says "service", 2.4 says "protocol".
BEGUN = re.compile(r"client in: AUTH\t\d+\t(\S+)\t(?:service|protocol)=(\S+)")


class NotLogged(AssertionError):
    """The server's log does not come to where it must come."""


@dataclass(frozen=True)
class Begun:
    """A client has named a mechanism, however that went on.

    `service` is imap, pop3 or smtp. The mechanism is as the server counts it: IMAP's LOGIN and
    POP3's USER and PASS are PLAIN to Dovecot.
    """

    service: str
    mechanism: str


@dataclass(frozen=True)
class SignIn(Begun):
    """An attempt that the server has answered; one that the client gave up is not among them.

    `binding` is the type of the channel binding, as Dovecot 2.4 has it.
    """

    accepted: bool
    binding: str = ""


def begun(log: str) -> list[Begun]:
    """All that any client has begun, in order."""
    found = BEGUN.findall(log)
    return [Begun(service, mechanism) for mechanism, service in found if service != OURS]


def ended(log: str, user: str) -> list[SignIn]:
    """All of that user that were answered, in order."""
    return [
        SignIn(
            fields.get("service") or fields["protocol"],
            fields["mechanism"].upper(),
            fields.get("success") == "yes",
            fields.get("channel_binding", ""),
        )
        for fields in _exported(log)
        if user in (fields.get("user"), fields.get("original_user"))
    ]


def _exported(log: str) -> Iterator[dict[str, str]]:
    """The fields of each event that Dovecot's auth process exported at the end of a sign-in."""
    for line in log.splitlines():
        _, found, event = line.partition("stats: Info: ")
        if found and event.startswith("{"):
            yield json.loads(event)["fields"]


def wait(auth_socket: Path, mechanism: str, log: Callable[[], str]) -> None:
    """Returns when all that has happened up to now is in the log.

    The beginnings of sign-ins and their ends are logged by two processes, each in order. So one
    more is tried, which fails, and when both its beginning and its end are in the log, those of
    the others are.
    """
    session, deadline = uuid.uuid4().hex, time.monotonic() + PATIENCE_SECONDS
    with _trying_to_sign_in(auth_socket, mechanism, session) as go_on:
        while not _is_logged(session, log()):
            if time.monotonic() > deadline:
                raise NotLogged(f"no sign-in {session} in {PATIENCE_SECONDS} s\n{log()}")
            go_on()


def _is_logged(session: str, log: str) -> bool:
    lines = [line for line in log.splitlines() if session in line]
    has_begun = any(BEGUN.search(line) for line in lines)
    return has_begun and any("auth_request_finished" in line for line in lines)


@contextmanager
def _trying_to_sign_in(
    auth_socket: Path, mechanism: str, session: str
) -> Iterator[Callable[[], None]]:
    """Speaks Dovecot's authentication protocol, as Postfix does, and answers with nonsense."""
    with _connected(auth_socket) as connection:
        connection.sendall(
            f"VERSION\t1\t1\nCPID\t{os.getpid()}\n"
            f"AUTH\t1\t{mechanism.upper()}\tservice={OURS}\tsession={session}\n".encode()
        )

        def go_on() -> None:
            with suppress(TimeoutError):
                if b"CONT\t1" in connection.recv(8192):
                    connection.sendall(b"CONT\t1\tbm9uc2Vuc2U=\n")

        yield go_on


def _connected(path: Path) -> socket.socket:
    """By way of the folder's descriptor: a socket's path may have 107 bytes only."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(0.005)  # between two looks at the log
    folder = os.open(path.parent, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection
