"""Where one can sign in, as clients of the standard library do."""

import contextlib
import imaplib
import poplib
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from servers.dovecot import Dovecot
from servers.exchanges import Client, Exchange, sign_in
from servers.postfix import Postfix
from servers.sign_ins import Begun, SignIn


@dataclass(frozen=True)
class Place:
    """Where one can sign in: a server, and a protocol that it speaks with TLS from the start."""

    server: Dovecot | Postfix
    protocol: str
    context: ssl.SSLContext

    @contextmanager
    def connected(self, context: ssl.SSLContext | None = None) -> Iterator[Client]:
        with CONNECTED[self.protocol](self.server, context or self.context) as client:
            yield client

    def sign_in(self, mechanism: str, exchange: Exchange, **connect: ssl.SSLContext) -> bool:
        with self.connected(**connect) as client:
            return sign_in(client, mechanism, exchange)

    def logging(
        self, user: str, mechanism: str, *accepted: bool
    ) -> contextlib.AbstractContextManager[None]:
        """What is done inside is exactly that in the server's log."""
        return logging(self.server, self.protocol, user, mechanism, *accepted)


@contextmanager
def logging(
    server: Dovecot | Postfix,
    protocol: str,
    user: str,
    mechanism: str,
    *accepted: bool,
    binding: str = "",
) -> Iterator[None]:
    """What is done inside is exactly that in the server's log: one sign-in for each `accepted`, and
    no other was begun."""
    begun, ended = map(len, server.sign_ins(user))
    yield
    all_begun, all_ended = server.sign_ins(user)
    new = [SignIn(protocol, mechanism, one, binding) for one in accepted]
    assert all_ended[ended:] == new
    assert all_begun[begun:] == [Begun(protocol, mechanism)] * len(new)


@contextmanager
def connected_imap(server: Dovecot, context: ssl.SSLContext) -> Iterator[Client]:
    port = server.ports["imaps"]
    client = imaplib.IMAP4_SSL(server.host, port, ssl_context=context, timeout=20)
    try:
        yield client
        client.logout()
    finally:
        with contextlib.suppress(OSError):  # the standard IMAP4 does not like it twice
            client.shutdown()


@contextmanager
def connected_pop3(server: Dovecot, context: ssl.SSLContext) -> Iterator[Client]:
    client = poplib.POP3_SSL(server.host, server.ports["pop3s"], context=context, timeout=20)
    try:
        yield client
        client.quit()
    finally:
        client.close()


@contextmanager
def connected_smtp(server: Postfix, context: ssl.SSLContext) -> Iterator[Client]:
    port = server.ports["submissions"]
    client = smtplib.SMTP_SSL(server.host, port, context=context, timeout=20)
    try:
        yield client
        client.quit()
    finally:
        client.close()


CONNECTED: dict[str, Callable[..., contextlib.AbstractContextManager[Client]]] = {
    "imap": connected_imap,
    "pop3": connected_pop3,
    "smtp": connected_smtp,
}
