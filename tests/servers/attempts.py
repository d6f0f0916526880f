"""An attempt of one of our classes to sign in to a server, and all that may be seen of it.

`MAIL` has the three classes, with what differs between them. `Watch` looks at a failed attempt
from all sides: how long it took, what it left open, and what the server was told.
"""

import imaplib
import os
import pickle
import poplib
import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from securemail import IMAP4_SSL, POP3_SSL, SMTP_SSL, SecureMailError
from servers.leaks import leaks
from servers.recording import Record, RecordingServer
from servers.shown import shown_of as shown_of

USER = "user"
PASSWORD = "Tr0ub4dor and 3 horses"


@dataclass(frozen=True)
class Mail:
    """One of the three classes. `says`: its protocol, as messages name it."""

    protocol: str
    cls: Any
    standard_error: type[Exception]
    says: str

    def attempt(
        self,
        server: RecordingServer,
        password: str = PASSWORD,
        host: str = "127.0.0.1",
        **args: Any,
    ) -> None:
        """Connects, signs in, and signs out. What fails leaves a closed connection behind."""
        client = self.cls(host, server.port, **args)
        try:
            client.login(USER, password)
            self.say_goodbye(client)
        finally:
            self.close(client)

    def say_goodbye(self, client: Any) -> None:
        client.logout() if self.protocol == "imap" else client.quit()

    def close(self, client: Any) -> None:
        with suppress(OSError):  # the standard IMAP4 does not like it twice
            client.shutdown() if self.protocol == "imap" else client.close()


MAIL = {
    "imap": Mail("imap", IMAP4_SSL, imaplib.IMAP4.error, "IMAP over TLS"),
    "pop3": Mail("pop3", POP3_SSL, poplib.error_proto, "POP3 over TLS"),
    "smtp": Mail("smtp", SMTP_SSL, smtplib.SMTPException, "SMTP over TLS"),
}


def open_sockets() -> set[str]:
    """The sockets of this process, by inode."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:  # the one that listed them
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@dataclass
class Failure:
    """How an attempt failed."""

    seconds: float = 0.0
    records: list[Record] = field(default_factory=list)
    _error: SecureMailError | None = None

    @property
    def error(self) -> Any:
        assert self._error is not None, "nothing was raised"
        return self._error

    @property
    def text(self) -> str:
        return str(self.error)


@contextmanager
def failing(server: RecordingServer, connections: int = 1) -> Iterator[Failure]:
    """What is done inside fails with one of our errors and closes its sockets at once: while the
    error is still held, and with no help from the garbage collector."""
    failure = Failure()
    before, started = open_sockets(), time.monotonic()
    try:
        yield failure
    except SecureMailError as error:
        failure._error = error
    failure.seconds = time.monotonic() - started
    assert failure._error is not None, "it did not fail"
    # A client that kept its socket open would keep the server listening.
    failure.records = list(server.wait(connections)) if connections else []
    assert server.connections == connections
    assert open_sockets() <= before, "a socket was left open"


def assert_nothing_said(records: list[Record], secret: str = PASSWORD) -> None:
    """No octet for the server, neither through TLS nor in clear, and no secret anywhere."""
    for record in records:
        assert record.received_tls == b""
        assert leaks(record.everything, secret) == []


def assert_survives_pickling(error: SecureMailError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    for name in ("args", "code", "hint", "host", "port", "protocol", "reasons", "credentials_sent"):
        assert getattr(again, name) == getattr(error, name), name
    assert str(again) == str(error)
    assert vars(again) == vars(error)
