"""The servers together, in one thread."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from .accounts import Accounts
from .authority import DEFAULT_NAMES, Authority, CertificateKind
from .connection import Site, log
from .mailbox import Mailbox
from .ports import PROTOCOLS
from .recording import Recorded, Recording, tapped
from .running import Running
from .smtp_server import QuietLog

#: How long the end waits for bytes of clients that have hung up, so that `received` has them.
LAST_BYTES = 0.2


class MailServers(Running):
    """IMAP, POP3 and submission on free ports of loopback: with TLS from the first byte (``imaps``,
    ``pop3s``, ``submissions``) and with STARTTLS (``imap``, ``pop3``, ``submission``).

    >>> with MailServers(users={"alice": "secret"}) as servers:
    ...     imaplib.IMAP4_SSL(servers.host, servers.ports["imaps"], ssl_context=...)

    `users` maps names to passwords, which go by SCRAM-SHA-256, PLAIN and the protocol's own command
    (for submission: LOGIN). `tokens` maps names to access tokens, which go by OAUTHBEARER and
    XOAUTH2; it is looked at for each sign-in, so a test that changes it revokes or renews one.
    Without it these two are not offered. All users see the same :class:`Mailbox`, and every message
    submitted lands in it. `certificate` is the kind that the servers show, `hostnames` the names
    it is made out to. `hosts` are the loopback addresses to listen on, one port number for all.
    `authority` and `mailbox` are used where they are given, and made where not.
    `apop` puts an APOP timestamp into the POP3 greeting. `relay` adds one more port, ``relay``,
    that takes mail in clear and from anybody, as a machine's relay for its own programs does.
    A `MailServers` is used once.

    The ports with STARTTLS take no password before TLS. What a client sends along with STARTTLS is
    dropped, and what it sends in clear after that ends the connection.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        tokens: Mapping[str, str] | None = None,
        certificate: CertificateKind = "good",
        hostnames: Sequence[str] = DEFAULT_NAMES,
        hosts: Sequence[str] = ("127.0.0.1",),
        authority: Authority | None = None,
        mailbox: Mailbox | None = None,
        apop: bool = False,
        relay: bool = False,
    ) -> None:
        beyond = [host for host in hosts if not ipaddress.ip_address(host).is_loopback]
        if beyond or not hosts:
            raise ValueError(f"hosts must be loopback addresses, not {beyond or 'none'}")
        self.hosts = tuple(hosts)
        self.host = self.hosts[0]
        self.authority = authority or Authority()
        self.mailbox = mailbox if mailbox is not None else Mailbox()
        self.certificate: CertificateKind = certificate
        self.hostnames = tuple(hostnames)
        self.ports: dict[str, int] = {}
        self._site = Site(Accounts(users, tokens), self.mailbox, apop=apop)
        self._protocols = [name for name in PROTOCOLS if relay or name != "relay"]
        self._recordings: list[Recording] = []
        self._listeners: dict[socket.socket, str] = {}
        self._conversations: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="securemail.testing", daemon=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host} {self.ports}>"

    @property
    def received(self) -> list[tuple[str, bytes]]:
        """For each connection, in order: the protocol, and what the client sent within TLS.

        A client that broke the handshake off is there with nothing. As proof that something was
        *not* sent, read it after the servers have stopped: then nothing is on its way any more.
        """
        return [(each.protocol, each.within_tls) for each in self._recordings.copy()]

    @property
    def received_clear(self) -> list[tuple[str, bytes]]:
        """For the same connections: the protocol, and what the client sent outside TLS.

        That is what came before an upgrade or without one, to ports with TLS from the first byte
        too. Of a handshake that succeeded there is nothing; one that failed is there as it came.
        """
        return [(each.protocol, each.outside_tls) for each in self._recordings.copy()]

    @property
    def certificate_pem(self) -> bytes:
        """The certificate that the servers show."""
        return self.authority.certificate_pem(self.certificate, *self.hostnames)

    # Starting and stopping

    def start(self) -> None:
        """Listen. When this returns, clients can connect."""
        self._context = self.authority.context_for(self.certificate, *self.hostnames)
        try:
            for protocol in self._protocols:
                listeners = listen(self.hosts)
                self._listeners |= dict.fromkeys(listeners, protocol)
                self.ports[protocol] = listeners[0].getsockname()[1]
        except BaseException:
            self._close_listeners()
            raise
        self._loop = asyncio.SelectorEventLoop()
        self._stopping = asyncio.Event()
        self._thread.start()

    def stop(self) -> None:
        """End every connection and the thread. Not running, or not any more, is no error."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    # In the thread

    def _run(self) -> None:
        with QuietLog(self._thread), asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            self._loop.set_exception_handler(report_mistake)
            runner.run(self._serve())

    async def _serve(self) -> None:
        for listener, protocol in self._listeners.items():
            self._loop.add_reader(listener, self._accept, listener, protocol)
        await self._stopping.wait()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        self._close_listeners()
        await self._end_conversations()

    def _accept(self, listener: socket.socket, protocol: str) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # the client has gone already
        recording = Recording(protocol)
        self._recordings.append(recording)
        connection = tapped(connection, recording)
        connection.setblocking(False)
        # The greeting follows the session tickets at once: Nagle would hold it back for 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._converse(connection, recording))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def _converse(self, connection: socket.socket, recording: Recording) -> None:
        """One connection to its end."""
        port = PROTOCOLS[recording.protocol]
        try:
            transport, conversation = await self._loop.connect_accepted_socket(
                lambda: port.speak(self._site, recording, self._context),
                connection,
                ssl=self._context if port.implicit_tls else None,
            )
        except OSError:
            return  # no handshake: it refused our certificate, spoke no TLS, or hung up
        try:
            await conversation.over.wait()
            if (successor := conversation.successor()) is not None:
                await self._go_on_within_tls(transport, successor)
        finally:
            transport.abort()

    async def _go_on_within_tls(self, transport: asyncio.Transport, successor: Recorded) -> None:
        """The upgrade, and what follows it."""
        try:
            tls = await self._loop.start_tls(transport, successor, self._context, server_side=True)
        except OSError:
            return  # as above
        if tls is not None:  # which it is if the client has gone meanwhile
            successor.connection_made(tls)
            await successor.over.wait()

    async def _end_conversations(self) -> None:
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=LAST_BYTES)
        for task in self._conversations:
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports close their sockets one turn later

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()


def listen(hosts: Sequence[str]) -> list[socket.socket]:
    """Sockets on one free port number at each of the addresses."""
    listeners: list[socket.socket] = []
    try:
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            port = listeners[0].getsockname()[1] if listeners else 0
            listeners.append(socket.create_server((host, port), family=family))
            listeners[-1].setblocking(False)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def report_mistake(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For errors that no conversation caught; clients that hang up on aiosmtpd cause some."""
    error = context.get("exception")
    if not isinstance(error, OSError):
        log.error("%s", context["message"], exc_info=error)
