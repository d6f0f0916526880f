"""The clients that the census sends to each hostile server: each connects, signs in, looks at some
mail or sends some, and leaves. What they raise, the census looks at.

Ours come with a policy; scripts on the standard modules have only their import line changed, and
the policy file; clients of others get `policy.ssl_context()`, and the upgrade is their own.
"""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import aioimaplib
import aiosmtplib
import imap_tools
import imapclient

from securemail import (
    IMAP4,
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3,
    POP3_SSL,
    POP3_STARTTLS,
    SMTP,
    SMTP_SSL,
    SMTP_STARTTLS,
    AuthPolicy,
    Limits,
    TLSPolicy,
    imap,
    pop3,
    smtp,
)
from securemail.testing import HostileServer

MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\n\r\nHello.\r\n"
# Seconds of patience: little where it is the server's purpose to use it up.
SOON, LATE = 0.5, 10.0
LINES = 20_000
Made = Callable[[Any], None]  # is told of the client's object, as soon as there is one


@dataclass(frozen=True)
class Visit:
    """One client at one server. `policy` believes in the server's authority."""

    server: HostileServer
    policy: TLSPolicy
    limits: Limits | None = None
    made: Made = lambda client: None

    @property
    def seconds(self) -> float:
        return SOON if self.server.scenario.family == "resources" else LATE

    @property
    def where(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    @property
    def who(self) -> tuple[str, str]:
        return self.server.user, self.server.password

    @property
    def ours(self) -> dict[str, Any]:
        """The arguments of our classes."""
        mechanisms = ("SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5")
        auth = AuthPolicy(mechanisms=mechanisms if self._is_cram else AuthPolicy().mechanisms)
        limits = self.limits or Limits(connect=self.seconds, read=self.seconds, lines=LINES)
        return {"policy": self.policy, "auth": auth, "limits": limits}

    @property
    def _is_cram(self) -> bool:
        return "CRAM-MD5" in self.server.scenario.mechanisms

    @property
    def is_apop(self) -> bool:
        return bool(self.server.scenario.apop)


Use = Callable[[Visit], None]


@dataclass(frozen=True)
class Client:
    """`whose`: "ours" has to be safe everywhere, "theirs" where it goes by our context."""

    name: str
    protocol: str
    mode: Literal["starttls", "tls"]
    whose: Literal["ours", "theirs"]
    use: Use


CLIENTS: list[Client] = []


def client(
    name: str, protocol: str, mode: Literal["starttls", "tls"], whose: Any = "ours"
) -> Callable[[Use], Use]:
    def register(use: Use) -> Use:
        CLIENTS.append(Client(name, protocol, mode, whose, use))
        return use

    return register


# -- what is done once there is a connection


def read_imap(client: Any, visit: Visit) -> None:
    visit.made(client)
    client.login(*visit.who)
    client.select("INBOX")
    client.list()
    client.fetch("1", "(BODY[])")
    client.logout()


def read_pop3(client: Any, visit: Visit) -> None:
    visit.made(client)
    if visit.is_apop:
        client.apop(*visit.who)
    else:
        client.login(*visit.who) if hasattr(client, "login") else by_user(client, visit)
    client.stat()
    client.list()
    client.uidl()
    client.retr(1)
    client.quit()


def by_user(client: Any, visit: Visit) -> None:
    user, password = visit.who
    client.user(user)
    client.pass_(password)


def send(client: Any, visit: Visit) -> None:
    visit.made(client)
    client.login(*visit.who)
    client.sendmail("a@example.org", ["b@example.org"], MAIL)
    client.quit()


@contextlib.contextmanager
def closed(client: Any) -> Any:
    """Closed at the end, without a word."""
    try:
        yield client
    finally:
        client._close_now()


# -- our nine classes, the plain ones also by the standard verb


@client("`IMAP4` in clear", "imap", "starttls")
def imap_clear(visit: Visit) -> None:
    with closed(IMAP4(*visit.where, **visit.ours)) as client:
        read_imap(client, visit)


@client("`IMAP4.starttls`", "imap", "starttls")
def imap_verb(visit: Visit) -> None:
    with closed(IMAP4(*visit.where, **visit.ours)) as client:
        visit.made(client)
        client.starttls()
        read_imap(client, visit)


@client("`IMAP4_STARTTLS`", "imap", "starttls")
def imap_class(visit: Visit) -> None:
    with closed(IMAP4_STARTTLS(*visit.where, **visit.ours)) as client:
        read_imap(client, visit)


@client("`IMAP4_SSL`", "imap", "tls")
def imap_tls(visit: Visit) -> None:
    with closed(IMAP4_SSL(*visit.where, **visit.ours)) as client:
        read_imap(client, visit)


@client("`POP3` in clear", "pop3", "starttls")
def pop3_clear(visit: Visit) -> None:
    with closed(POP3(*visit.where, **visit.ours)) as client:
        read_pop3(client, visit)


@client("`POP3.stls`", "pop3", "starttls")
def pop3_verb(visit: Visit) -> None:
    with closed(POP3(*visit.where, **visit.ours)) as client:
        visit.made(client)
        client.stls()
        read_pop3(client, visit)


@client("`POP3_STARTTLS`", "pop3", "starttls")
def pop3_class(visit: Visit) -> None:
    with closed(POP3_STARTTLS(*visit.where, **visit.ours)) as client:
        read_pop3(client, visit)


@client("`POP3_SSL`", "pop3", "tls")
def pop3_tls(visit: Visit) -> None:
    with closed(POP3_SSL(*visit.where, **visit.ours)) as client:
        read_pop3(client, visit)


@client("`SMTP` in clear", "smtp", "starttls")
def smtp_clear(visit: Visit) -> None:
    with closed(SMTP(*visit.where, **visit.ours)) as client:
        send(client, visit)


@client("`SMTP.starttls`", "smtp", "starttls")
def smtp_verb(visit: Visit) -> None:
    with closed(SMTP(*visit.where, **visit.ours)) as client:
        visit.made(client)
        client.starttls()
        send(client, visit)


@client("`SMTP_STARTTLS`", "smtp", "starttls")
def smtp_class(visit: Visit) -> None:
    with closed(SMTP_STARTTLS(*visit.where, **visit.ours)) as client:
        send(client, visit)


@client("`SMTP_SSL`", "smtp", "tls")
def smtp_tls(visit: Visit) -> None:
    with closed(SMTP_SSL(*visit.where, **visit.ours)) as client:
        send(client, visit)


# -- scripts on the standard modules, of which the import line alone is changed


@client("`import imaplib` changed", "imap", "starttls")
def imap_script(visit: Visit) -> None:
    imaplib = imap
    connection = imaplib.IMAP4(*visit.where, timeout=visit.seconds)
    with closed(connection):
        visit.made(connection)
        connection.starttls()
        read_imap(connection, visit)


@client("`import imaplib` changed", "imap", "tls")
def imap_script_tls(visit: Visit) -> None:
    imaplib = imap
    with closed(imaplib.IMAP4_SSL(*visit.where, timeout=visit.seconds)) as connection:
        read_imap(connection, visit)


@client("`import poplib` changed", "pop3", "starttls")
def pop3_script(visit: Visit) -> None:
    poplib = pop3
    connection = poplib.POP3(*visit.where, timeout=visit.seconds)
    with closed(connection):
        visit.made(connection)
        connection.stls()
        if not visit.is_apop:
            by_user(connection, visit)
            connection.retr(1)
            connection.quit()
        else:
            read_pop3(connection, visit)


@client("`import poplib` changed", "pop3", "tls")
def pop3_script_tls(visit: Visit) -> None:
    poplib = pop3
    with closed(poplib.POP3_SSL(*visit.where, timeout=visit.seconds)) as connection:
        read_pop3(connection, visit)


@client("`import smtplib` changed", "smtp", "starttls")
def smtp_script(visit: Visit) -> None:
    smtplib = smtp
    connection = smtplib.SMTP(*visit.where, timeout=visit.seconds)
    with closed(connection):
        visit.made(connection)
        connection.starttls()
        send(connection, visit)


@client("`import smtplib` changed", "smtp", "tls")
def smtp_script_tls(visit: Visit) -> None:
    smtplib = smtp
    with closed(smtplib.SMTP_SSL(*visit.where, timeout=visit.seconds)) as connection:
        send(connection, visit)


# -- clients of others, with `policy.ssl_context()`


@client("IMAPClient", "imap", "tls", "theirs")
def imapclient_tls(visit: Visit) -> None:
    context = visit.policy.ssl_context()
    with imapclient.IMAPClient(*visit.where, ssl_context=context, timeout=visit.seconds) as client:
        with_imapclient(client, visit)


@client("IMAPClient", "imap", "starttls", "theirs")
def imapclient_starttls(visit: Visit) -> None:
    with imapclient.IMAPClient(*visit.where, ssl=False, timeout=visit.seconds) as client:
        client.starttls(visit.policy.ssl_context())
        with_imapclient(client, visit)


def with_imapclient(client: Any, visit: Visit) -> None:
    client.login(*visit.who)
    client.select_folder("INBOX")
    client.fetch([1], ["BODY[]"])


@client("imap_tools", "imap", "tls", "theirs")
def imap_tools_tls(visit: Visit) -> None:
    context = visit.policy.ssl_context()
    with imap_tools.MailBox(*visit.where, timeout=visit.seconds, ssl_context=context).login(
        *visit.who
    ):
        pass


@client("imap_tools", "imap", "starttls", "theirs")
def imap_tools_starttls(visit: Visit) -> None:
    context = visit.policy.ssl_context()
    box = imap_tools.MailBoxStartTls(*visit.where, timeout=visit.seconds, ssl_context=context)
    with box.login(*visit.who):
        pass


@client("aioimaplib", "imap", "tls", "theirs")
def aioimaplib_tls(visit: Visit) -> None:
    async def session() -> None:
        imap = aioimaplib.IMAP4_SSL(
            *visit.where, timeout=visit.seconds, ssl_context=visit.policy.ssl_context()
        )
        greeting = asyncio.ensure_future(imap.wait_hello_from_server())
        connected = imap._client_task
        await asyncio.wait([greeting, connected], return_when=asyncio.FIRST_EXCEPTION)
        greeting.cancel()
        # Both looked at: asyncio logs what nobody did, whenever the task is collected, and on
        # Python 3.11 a log in the middle of ast.parse breaks that (python/cpython#106905).
        await asyncio.gather(greeting, connected, return_exceptions=True)
        connected.result()
        assert (await imap.login(*visit.who)).result == "OK"
        await imap.logout()

    asyncio.run(asyncio.wait_for(session(), 4 * visit.seconds))


@client("aiosmtplib", "smtp", "tls", "theirs")
def aiosmtplib_tls(visit: Visit) -> None:
    _aiosmtplib(visit, use_tls=True)


@client("aiosmtplib", "smtp", "starttls", "theirs")
def aiosmtplib_starttls(visit: Visit) -> None:
    _aiosmtplib(visit, start_tls=True)


def _aiosmtplib(visit: Visit, **how: bool) -> None:
    host, port = visit.where

    async def session() -> None:
        context: ssl.SSLContext = visit.policy.ssl_context()
        smtp = aiosmtplib.SMTP(
            hostname=host, port=port, tls_context=context, timeout=visit.seconds, **how
        )
        async with smtp:
            await smtp.login(*visit.who)
            await smtp.sendmail("a@example.org", ["b@example.org"], MAIL)

    asyncio.run(asyncio.wait_for(session(), 4 * visit.seconds))


def of(protocol: str, mode: str) -> list[Client]:
    return [each for each in CLIENTS if (each.protocol, each.mode) == (protocol, mode)]


def quietly(use: Use, visit: Visit) -> BaseException | None:
    """What it raised. Warnings are for people, and other tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            use(visit)
        except Exception as error:  # noqa: BLE001 - what it is, the census says
            return error
    return None
