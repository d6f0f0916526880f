"""A server that plays a script over good TLS, and clients of ours that are connected to it."""

import re
import ssl
from collections.abc import Callable
from typing import Any

from securemail import CATrust, TLSPolicy
from servers.attempts import Mail
from servers.pki import PKI
from servers.recording import Record, RecordingServer, Script

Factory = Callable[..., RecordingServer]


class World:
    """Closes its clients at the end; the servers are the fixture's."""

    server: RecordingServer

    def __init__(self, pki: PKI, start: Factory) -> None:
        self._pki, self._start = pki, start
        self._clients: list[tuple[Mail, Any]] = []

    def joined(
        self,
        mail: Mail,
        script: Script,
        *,
        context: ssl.SSLContext | None = None,
        policy: dict[str, Any] | None = None,
        **args: Any,
    ) -> Any:
        """A client of a new server. `policy`: arguments of its `TLSPolicy` beside the trust."""
        self.server = self._start(script, context=context or self._pki["good"].server_context())
        wanted = TLSPolicy(trust=CATrust(self._pki.ca_pem), **(policy or {}))
        client = mail.cls("127.0.0.1", self.server.port, policy=wanted, **args)
        self._clients.append((mail, client))
        return client

    def close(self) -> None:
        for mail, client in self._clients:
            mail.close(client)

    def record(self) -> Record:
        """What the last server was sent, when its client has gone."""
        self.close()
        (record,) = self.server.wait()
        return record

    def attempts(self) -> list[str]:
        return attempts(self.record())


def attempts(record: Record) -> list[str]:
    """The mechanisms and commands by which a sign-in began, in their order."""
    lines = record.received_tls.decode("latin-1").upper().split("\r\n")
    begins = re.compile(r"(?:[A-Z]+\d+ )?(?:(?:AUTH|AUTHENTICATE) (\S+)|(APOP|USER|LOGIN) )")
    return [match[1] or match[2] for line in lines if (match := begins.match(line))]
