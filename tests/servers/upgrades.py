"""Servers in clear that are asked for TLS, and the ways in which our classes ask.

`Upgrades("imap", context)` greets, says what it offers, consents and upgrades, as it should; each
step can be exchanged for something else. `WAYS` are all that leads from clear to TLS with us.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from securemail import (
    IMAP4,
    IMAP4_STARTTLS,
    POP3,
    POP3_STARTTLS,
    SMTP,
    SMTP_STARTTLS,
    CATrust,
    Limits,
    Password,
    TLSPolicy,
)
from servers.attempts import PASSWORD, USER, Failure, assert_survives_pickling, failing
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, Record, RecordingServer
from servers.rude import Answer, says, to_all
from servers.scripts import GREETINGS, POLITE
from tables import saw

VERBS = {"imap": "STARTTLS", "pop3": "STLS", "smtp": "STARTTLS"}
OPENINGS = {"CAPABILITY", "CAPA", "EHLO", "LHLO"}
ENOUGH = Limits(connect=5, read=5)
HELLO = b"\x16\x03\x01"  # how a ClientHello begins

greets: Answer = lambda conversation, protocol, tag: conversation.send(GREETINGS[protocol])  # noqa: E731
consents = says(b"%t OK begin\r\n", b"+OK begin\r\n", b"220 2.0.0 begin\r\n")
refuses_verb = says(b"%t NO not now\r\n", b"-ERR not now\r\n", b"454 4.7.0 not now\r\n")

says_hello = to_all(b"250 hello\r\n")


def offers(*words: str) -> Answer:
    """The polite capabilities, and these."""
    imap = " ".join(["IMAP4rev1", "SASL-IR", "AUTH=PLAIN", *words])
    pop3 = "\r\n".join(["+OK", "USER", "UIDL", "SASL PLAIN", *words, "."])
    smtp = ["mail.example.org", "8BITMIME", *words]
    return says(
        f"* CAPABILITY {imap}\r\n%t OK done\r\n".encode(),
        f"{pop3}\r\n".encode(),
        "".join(f"250-{word}\r\n" for word in smtp).encode() + b"250 AUTH PLAIN\r\n",
    )


def offers_upgrade(conversation: Conversation, protocol: str, tag: bytes) -> None:
    offers(VERBS[protocol])(conversation, protocol, tag)


def both(first: Answer, second: Answer) -> Answer:
    """One after the other, unless the first has ended the connection."""

    def answer(conversation: Conversation, protocol: str, tag: bytes) -> None:
        first(conversation, protocol, tag)
        if conversation.is_open:
            second(conversation, protocol, tag)

    return answer


def in_one(first: Answer, second: Answer) -> Answer:
    """What both say, in one segment."""

    def answer(conversation: Conversation, protocol: str, tag: bytes) -> None:
        collected = _Collected()
        first(collected, protocol, tag)  # type: ignore[arg-type]
        second(collected, protocol, tag)  # type: ignore[arg-type]
        conversation.send(bytes(collected.said))

    return answer


class _Collected:
    def __init__(self) -> None:
        self.said = bytearray()

    def send(self, data: bytes) -> None:
        self.said += data


@dataclass(frozen=True)
class Upgrades:
    """A server whose every step before TLS can be exchanged; over TLS it is polite, and takes any
    password. `offer` answers CAPABILITY, CAPA, EHLO and LHLO; `helo` HELO; `consent` the verb;
    `handshake` comes after the consent; `offer_again` is the first answer over TLS."""

    protocol: str
    context: ssl.SSLContext
    greeting: Answer = greets
    offer: Answer = offers_upgrade
    helo: Answer = says_hello
    consent: Answer = consents
    handshake: Answer | None = None
    offer_again: Answer | None = None

    def __call__(self, conversation: Conversation) -> None:
        self.greeting(conversation, self.protocol, b"")
        while conversation.is_open and (line := conversation.read_line()):
            words = line.split()
            tag = words.pop(0) if self.protocol == "imap" and words else b""
            command = words[0].decode("latin-1").upper() if words else ""
            self._answer_of(command)(conversation, self.protocol, tag)
            if not conversation.is_open or conversation.is_tls:
                break
        if conversation.is_open and conversation.is_tls:
            self._serve(conversation)

    def _answer_of(self, command: str) -> Answer:
        if command in OPENINGS:
            return self.offer
        if command == "HELO":
            return self.helo
        if command == VERBS[self.protocol]:
            return both(self.consent, self.handshake or self._shakes_hands)
        return says(b"%t OK fine\r\n", b"+OK fine\r\n", b"250 fine\r\n")

    def _shakes_hands(self, conversation: Conversation, *_: Any) -> None:
        conversation.start_tls(self.context)

    def _serve(self, conversation: Conversation) -> None:
        if self.offer_again is not None:
            tag = conversation.read_line().split(b" ")[0]
            self.offer_again(conversation, self.protocol, tag)
        if conversation.is_open:
            POLITE[self.protocol].serve(conversation)


def goes_on_in_clear(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """No handshake: the server goes on as if nothing had been asked."""


# -- what a client said


def clear_commands(record: Record) -> list[str]:
    """The commands that came in clear, before a handshake began or anything like it."""
    lines = record.received_clear.partition(HELLO)[0].decode("latin-1").splitlines()
    words = [line.upper().split() for line in lines]
    return [line[1] if len(line) > 1 and line[0][-1].isdigit() else line[0] for line in words]


# -- our classes


@dataclass(frozen=True)
class Way:
    """One way from clear to verified TLS. `cls` becomes private in its constructor, or by
    `connect`, or by the standard verb."""

    protocol: str
    cls: Any
    by: str
    says: str

    @property
    def verb(self) -> str:
        return "stls" if self.protocol == "pop3" else "starttls"

    def blank(self) -> Any:
        """An object that is not connected: what fails in its constructor is still in our hands."""
        return self.cls.__new__(self.cls)

    def upgrade(self, client: Any, port: int, host: str = "127.0.0.1", **arguments: Any) -> Any:
        """All the way to verified TLS."""
        if self.by == "connect":
            client.__init__(**arguments)
            client.connect(host, port)
        else:
            client.__init__(host, port, **arguments)
        if self.by == "verb":
            self.ask(client)
        return client

    def ask(self, client: Any, context: ssl.SSLContext | None = None) -> Any:
        """The standard verb."""
        name = "ssl_context" if self.protocol == "imap" else "context"
        return getattr(client, self.verb)(**({name: context} if context else {}))

    def close(self, client: Any) -> None:
        client._close_now()


WAYS = {
    f"{cls.__name__}, {by}": Way(protocol, cls, by, says_)
    for protocol, cls, by, says_ in [
        ("imap", IMAP4_STARTTLS, "constructor", "IMAP with STARTTLS"),
        ("pop3", POP3_STARTTLS, "constructor", "POP3 with STLS"),
        ("smtp", SMTP_STARTTLS, "constructor", "SMTP with STARTTLS"),
        ("smtp", SMTP_STARTTLS, "connect", "SMTP with STARTTLS"),
        ("imap", IMAP4, "verb", "IMAP"),
        ("pop3", POP3, "verb", "POP3"),
        ("smtp", SMTP, "verb", "SMTP"),
    ]
}


def later_verbs(way: Way, client: Any) -> dict[str, Callable[[], object]]:
    """What a script may go on with that did not notice."""
    verbs: dict[str, Callable[[], object]] = {
        "login": lambda: client.login(USER, PASSWORD),
        "authenticate": lambda: client.authenticate(Password(USER, PASSWORD)),
        "noop": client.noop,
        "the verb": lambda: way.ask(client),
    }
    if way.protocol == "imap":
        verbs |= {
            "authenticate by hand": lambda: client.authenticate("PLAIN", lambda _: PASSWORD),
            "login_cram_md5": lambda: client.login_cram_md5(USER, PASSWORD),
            "select": client.select,
            "list": client.list,
            "append": lambda: client.append("INBOX", None, None, b"Subject: x\r\n\r\n"),
            "capability": client.capability,
            "uid": lambda: client.uid("FETCH", "1:*", "(FLAGS)"),
            "enable": lambda: client.enable("UTF8=ACCEPT"),
            "send": lambda: client.send(b"a1 NOOP\r\n"),
        }
    elif way.protocol == "pop3":
        verbs |= {
            "user": lambda: client.user(USER),
            "pass_": lambda: client.pass_(PASSWORD),
            "stat": client.stat,
            "list": client.list,
            "retr": lambda: client.retr(1),
            "capa": client.capa,
            "quit": client.quit,
        }
    else:
        verbs |= {
            "auth": lambda: client.auth("PLAIN", lambda _=None: PASSWORD),
            "ehlo": client.ehlo,
            "sendmail": lambda: client.sendmail("a@b.example", ["c@d.example"], "Subject: x\n\n"),
            "docmd": lambda: client.docmd("AUTH", f"PLAIN {PASSWORD}"),
            "mail": lambda: client.mail("a@b.example"),
            "rset": client.rset,
            "send": lambda: client.send("NOOP\r\n"),
            "quit": client.quit,
        }
    return verbs


def later_errors(way: Way, client: Any) -> list[tuple[str, BaseException | None]]:
    """What each later verb raises."""
    found: list[tuple[str, BaseException | None]] = []
    for name, verb in later_verbs(way, client).items():
        raised: BaseException | None = None
        try:
            verb()
        except Exception as error:  # noqa: BLE001 - compared by the caller
            raised = error
        found.append((name, raised))
    return found


def attempt_and_fail(
    way: Way, server: RecordingServer, *, told_again: bool = True, **arguments: Any
) -> Failure:
    """Goes that way and fails, with one of our errors that says all it should; the socket is closed
    by then, and what the server got is not the password, nor a word after it was asked for TLS.
    `told_again`: every later verb raises the very same error, and connects nowhere."""
    client = way.blank()
    with failing(server) as failure:
        way.upgrade(client, server.port, **{"limits": ENOUGH, **arguments})
    error = failure.error
    assert error.credentials_sent is False
    assert "No password was sent." in failure.text
    assert error.hint
    assert error.hint in failure.text
    assert (error.host, error.port) == ("127.0.0.1", server.port)
    assert f"127.0.0.1:{server.port} ({way.says}" in failure.text
    assert failure.text.replace("\n", "").isprintable()
    assert_survives_pickling(error)
    said, text = bytes(failure.records[0].wire), failure.text
    for name, raised in later_errors(way, client):
        assert raised is not None, name
        assert not told_again or raised is error, name
    assert str(error) == text
    assert server.connections == 1
    assert bytes(failure.records[0].wire) == said
    assert_nothing_escaped(way, failure.records[0])
    saw(way.protocol, error)
    return failure


def assert_nothing_escaped(way: Way, record: Record) -> None:
    """No password in any form; and in clear nothing but questions, of which the last is for TLS."""
    assert leaks(record.everything, PASSWORD) == []
    commands, verb = clear_commands(record), VERBS[way.protocol]
    assert set(commands) <= {*OPENINGS, "HELO", verb}
    assert verb not in commands[:-1]


class Servers:
    """Plays `Upgrades` with a good certificate, in whose CA the policy believes."""

    def __init__(self, pki: PKI, start: Callable[..., RecordingServer]) -> None:
        self._context = pki["good"].server_context()
        self.policy = TLSPolicy(trust=CATrust(pki.ca_pem))
        self._start = start

    def plays(self, protocol: str, **steps: Any) -> RecordingServer:
        return self._start(Upgrades(protocol, self._context, **steps))

    def fail(self, way: Way, **steps: Any) -> Failure:
        server = self.plays(way.protocol, **steps)
        return attempt_and_fail(way, server, policy=self.policy)

    def succeed(self, way: Way, **steps: Any) -> Any:
        """The control: upgraded, signed in, and all of that within TLS."""
        server = self.plays(way.protocol, **steps)
        client = way.upgrade(way.blank(), server.port, policy=self.policy)
        try:
            client.login(USER, PASSWORD)
            assert client.report.tls is not None
            assert client.report.auth is not None
        finally:
            way.close(client)
        (record,) = server.wait()
        assert leaks(record.received_tls, PASSWORD) != []
        assert leaks(bytes(record.wire), PASSWORD) == []
        assert clear_commands(record)[-1] == VERBS[way.protocol]
        return client
