"""APOP, with TLS and without, against two servers of 1998 in their exact words.

One took both APOP and a password in clear; people who believed they used APOP had sent the
password, because their program tried USER and PASS first, or after a refusal, and said nothing. The
other took APOP alone, and hung up at anything else.
"""

import hashlib
import poplib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from securemail import (
    POP3,
    POP3_SSL,
    POP3_STARTTLS,
    AuthenticationFailed,
    AuthPolicy,
    CATrust,
    CredentialsRefused,
    Password,
    PlaintextWarning,
    PolicyError,
    SecureMailError,
    TLSPolicy,
    WeakMechanismWarning,
)
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, Record, RecordingServer

USER, PASSWORD = "taro", "sakura-no-hana"
Factory = Callable[..., RecordingServer]

BY_APOP = AuthPolicy(mechanisms=("APOP",))
WHY = "the provider has had no TLS since 1998"


@dataclass
class Server1998:
    """`greeting`, and answers by command; None hangs up after `last`."""

    greeting: bytes
    answers: dict[bytes, bytes]
    fatal: dict[bytes, bytes]
    context: Any = None  # offers STLS

    def __call__(self, conversation: Conversation) -> None:
        conversation.send(self.greeting + b"\r\n")
        while conversation.is_open and (line := conversation.read_line()):
            command = line.split()[0].upper()
            if command == b"CAPA" and self.context is not None and not conversation.is_tls:
                conversation.send(b"+OK\r\nSTLS\r\n.\r\n")
            elif command == b"STLS" and self.context is not None:
                conversation.send(b"+OK\r\n")
                conversation.start_tls(self.context)
            elif command == b"APOP":
                conversation.send(self._verdict(line))
            elif command in self.fatal:
                conversation.send(self.fatal[command])
                conversation.close()
            else:
                conversation.send(self.answers.get(command, b"-ERR Unknown command\r\n"))

    def _verdict(self, line: bytes) -> bytes:
        _, user, digest = line.split()
        challenge = re.search(rb"<.*>", self.greeting)
        assert challenge is not None
        right = hashlib.md5(challenge[0] + PASSWORD.encode()).hexdigest().encode()
        is_right = (user, digest) == (USER.encode(), right)
        return b"+OK taro has 0 messages\r\n" if is_right else b"-ERR Password supplied is bad\r\n"


COMMON = {b"QUIT": b"+OK\r\n", b"NOOP": b"+OK\r\n", b"STAT": b"+OK 0 0\r\n"}


def nifty(**args: Any) -> Server1998:
    """APOP, and USER with PASS."""
    return Server1998(
        b"+OK NIFTY Corporation Pop server v1.01 <13130.912907545@pop-3.nifty.ne.jp>",
        COMMON
        | {
            b"AUTH": b"-ERR Unknown command: AUTH\r\n",
            b"CAPA": b"-ERR Unknown command: CAPA\r\n",
            b"USER": b"+OK\r\n",
            b"PASS": b"+OK taro has 0 messages\r\n",
        },
        fatal={},
        **args,
    )


def qpop(**args: Any) -> Server1998:
    """APOP alone."""
    leaving = b"+OK Pop server at pop.somewhere.co.jp signing off.\r\n"
    return Server1998(
        b"+OK QPOP (version 2.53) at pop.somewhere.co.jp starting. "
        b"<31336.912908644@pop.somewhere.co.jp>",
        COMMON | {b"CAPA": b'-ERR Unknown command: "capa".\r\n'},
        fatal={
            b"AUTH": b"-ERR Too few arguments for the auth command.\r\n"
            b"-ERR POP EOF received\r\n" + leaving,
            b"USER": b"-ERR You must use APOP to connect to this server\r\n" + leaving,
        },
        **args,
    )


SERVERS: dict[str, Callable[..., Server1998]] = {"nifty": nifty, "qpop": qpop}
every_server = pytest.mark.parametrize("name", SERVERS)
every_tls = pytest.mark.parametrize("cls", [POP3_SSL, POP3_STARTTLS])


class World:
    def __init__(self, pki: PKI, start: Factory) -> None:
        self._context = pki["good"].server_context()
        self._policy = TLSPolicy(trust=CATrust(pki.ca_pem))
        self._start = start
        self.clients: list[Any] = []

    def over_tls(self, name: str, cls: Any = POP3_SSL, **args: Any) -> Any:
        if cls is POP3_SSL:
            self.server = self._start(SERVERS[name](), context=self._context)
        else:
            self.server = self._start(SERVERS[name](context=self._context))
        return self._connected(cls, policy=self._policy, **args)

    def in_clear(self, name: str, **args: Any) -> Any:
        self.server = self._start(SERVERS[name]())
        return self._connected(POP3, **args)

    def _connected(self, cls: Any, **args: Any) -> Any:
        client = cls("127.0.0.1", self.server.port, **args)
        self.clients.append(client)
        return client

    def record(self) -> Record:
        for client in self.clients:
            client.close()
        (record,) = self.server.wait()
        return record

    def commands(self) -> list[str]:
        """What the server was told, by command, QUIT apart."""
        record = self.record()
        said = record.received_tls if record.tls else record.received_clear
        every = [line.split()[0].decode() for line in said.split(b"\r\n") if line.strip()]
        return [command for command in every if command != "QUIT"]


@pytest.fixture
def world(pki: PKI, recording_server: Factory) -> Iterator[World]:
    one = World(pki, recording_server)
    yield one
    for client in one.clients:
        client.close()


def assert_no_password(record: Record) -> None:
    assert leaks(record.everything + record.received_tls, PASSWORD) == []


# -- over TLS, and after STLS


@every_tls
@every_server
def test_apop_over_tls(name: str, cls: Any, world: World) -> None:
    client = world.over_tls(name, cls)
    assert client.apop(USER, PASSWORD) == b"+OK taro has 0 messages"
    assert client.report.auth.mechanism == "APOP"
    assert client.report.auth.in_clear is None
    record = world.record()
    assert b"APOP taro " in record.received_tls
    assert b"APOP" not in record.received_clear
    assert_no_password(record)


@every_tls
@every_server
@pytest.mark.parametrize("verb", ["login", "authenticate"])
def test_apop_is_chosen_where_the_policy_names_it(
    verb: str, name: str, cls: Any, world: World
) -> None:
    client = world.over_tls(name, cls, auth=BY_APOP)
    arguments = (USER, PASSWORD) if verb == "login" else (Password(USER, PASSWORD),)
    with pytest.warns(WeakMechanismWarning, match="can be guessed from what APOP sends"):
        getattr(client, verb)(*arguments)
    assert str(client.report.auth) == "'taro' by APOP, no channel binding"
    assert_no_password(world.record())


@every_tls
def test_it_is_never_chosen_by_itself(cls: Any, world: World) -> None:
    """Where USER and PASS are taken, they go over verified TLS, and nothing else does."""
    client = world.over_tls("nifty", cls)
    client.login(USER, PASSWORD)
    assert client.report.auth.mechanism == "USER"
    assert world.commands() == ["CAPA", "USER", "PASS"]


@every_tls
def test_a_server_that_takes_apop_alone_is_named_as_such(cls: Any, world: World) -> None:
    client = world.over_tls("qpop", cls)
    with pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, PASSWORD)
    error = raised.value
    assert "You must use APOP to connect to this server" in str(error)
    assert error.credentials_sent is False
    assert error.offered == ("APOP",)
    assert 'AuthPolicy(mechanisms=("APOP",))' in error.hint
    assert_no_password(world.record())
    assert world.commands() == ["CAPA", "USER"], "APOP never follows a refused USER"


@every_server
def test_nothing_follows_a_refused_apop(name: str, world: World) -> None:
    client = world.over_tls(name)
    with pytest.raises(AuthenticationFailed, match="Password supplied is bad") as raised:
        client.apop(USER, "another password")
    assert raised.value.credentials_sent is True
    assert raised.value.sent == "a digest of the password"
    assert "A digest of the password had been sent, over verified TLS." in str(raised.value)
    for again in (
        lambda: client.login(USER, PASSWORD),
        lambda: client.user(USER),
        lambda: client.pass_(PASSWORD),
        lambda: client.apop(USER, PASSWORD),
        client.mechanisms,
    ):
        with pytest.raises(CredentialsRefused, match="takes no further sign-in"):
            again()
    assert_no_password(world.record())
    assert world.commands() == ["APOP"]


# -- a bare AUTH


@every_server
@pytest.mark.parametrize("auth", [AuthPolicy(), BY_APOP], ids=["default", "by APOP"])
def test_a_bare_auth_is_never_sent_by_itself(name: str, auth: AuthPolicy, world: World) -> None:
    client = world.over_tls(name, auth=auth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakMechanismWarning)
        try:
            client.login(USER, PASSWORD)
        except AuthenticationFailed:
            assert (name, auth) == ("qpop", AuthPolicy())
    assert "AUTH" not in world.commands()


def test_a_server_that_does_not_know_it_goes_on(world: World) -> None:
    client = world.over_tls("nifty")
    with pytest.raises(poplib.error_proto, match="Unknown command: AUTH"):
        client.mechanisms()
    client.login(USER, PASSWORD)
    assert world.commands() == ["AUTH", "CAPA", "USER", "PASS"]


def test_a_server_that_hangs_up_at_it(world: World) -> None:
    client = world.over_tls("qpop")
    with pytest.raises(poplib.error_proto, match="Too few arguments"):
        client.mechanisms()
    with pytest.raises(SecureMailError):
        client.login(USER, PASSWORD)
    assert_no_password(world.record())


def test_what_it_lists_is_chosen_from(world: World) -> None:
    """RFC 1734's time: no CAPA, and a list for a bare AUTH."""
    script = nifty()
    script.answers |= {
        b"AUTH": b"+OK\r\nLOGIN\r\nX-OURS\r\n.\r\n",
    }
    SERVERS["listing"] = lambda **_: script
    try:
        client = world.over_tls("listing")
    finally:
        del SERVERS["listing"]
    assert client.mechanisms() == ("LOGIN", "X-OURS")
    with pytest.raises(SecureMailError):  # this server plays no LOGIN
        client.login(USER, PASSWORD)
    assert world.record().received_tls.count(b"AUTH LOGIN\r\n") == 1


# -- in clear


@every_server
def test_in_clear_it_is_refused(name: str, world: World) -> None:
    client = world.in_clear(name)
    for attempt in (client.apop, client.login):
        with pytest.raises(CredentialsRefused) as raised:
            attempt(USER, PASSWORD)
        assert raised.value.code == "channel-not-verified"
    assert world.commands() == []


@every_server
def test_in_clear_with_a_reason(name: str, world: World) -> None:
    client = world.in_clear(name, auth=AuthPolicy(apop_in_clear=WHY))
    with pytest.warns(PlaintextWarning, match=f"APOP travels in clear, because: {WHY}"):
        client.apop(USER, PASSWORD)
    assert client.report.auth.in_clear == WHY
    assert WHY in str(client.report)
    with pytest.warns(PlaintextWarning, match=f"mail travels in clear, because: {WHY}"):
        assert client.stat() == (0, 0)
    record = world.record()
    assert b"APOP taro " in record.received_clear
    assert_no_password(record)


@every_server
def test_in_clear_it_is_chosen_where_it_is_named_too(name: str, world: World) -> None:
    auth = AuthPolicy(mechanisms=("APOP", "PLAIN", "LOGIN"), apop_in_clear=WHY)
    client = world.in_clear(name, auth=auth)
    with pytest.warns(WeakMechanismWarning), pytest.warns(PlaintextWarning):
        client.login(USER, PASSWORD)
    assert_no_password(world.record())
    assert world.commands() == ["CAPA", "APOP"]


@every_server
def test_the_reason_is_for_apop_and_nothing_else(name: str, world: World) -> None:
    """Not for a password in clear, to whomever; nor for a choice that it was not named in."""
    client = world.in_clear(name, auth=AuthPolicy(apop_in_clear=WHY))
    with pytest.raises(CredentialsRefused) as raised:
        client.login(USER, PASSWORD)
    assert raised.value.code == "no-mechanism"
    for attempt in (
        lambda: client.user(USER),
        lambda: client.pass_(PASSWORD),
        lambda: client._shortcmd(f"APOP {USER} 0123456789abcdef"),
        lambda: client._shortcmd("AUTH PLAIN AHRhcm8Ac2FrdXJhLW5vLWhhbmE="),
    ):
        with pytest.raises(CredentialsRefused, match="nothing secret is sent here"):
            attempt()
    record = world.record()
    assert_no_password(record)
    assert b"APOP" not in record.everything
    assert b"USER" not in record.everything


def test_a_refusal_in_clear_says_what_was_sent(world: World) -> None:
    client = world.in_clear("nifty", auth=AuthPolicy(apop_in_clear=WHY))
    with pytest.warns(PlaintextWarning), pytest.raises(AuthenticationFailed) as raised:
        client.apop(USER, "another password")
    assert "A digest of the password had been sent, in clear." in str(raised.value)


def test_a_warning_made_an_error_comes_before_anything_is_sent(world: World) -> None:
    client = world.in_clear("nifty", auth=AuthPolicy(apop_in_clear=WHY))
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlaintextWarning)
        with pytest.raises(PlaintextWarning):
            client.apop(USER, PASSWORD)
    assert world.commands() == []


def test_a_challenge_that_draws_passwords_out_is_refused_in_clear_too(world: World) -> None:
    """CVE-2007-1558: octets that no msg-id has."""
    script = nifty()
    script.greeting = b"+OK <\x80\xff@x>"
    SERVERS["collider"] = lambda **_: script
    try:
        client = world.in_clear("collider", auth=AuthPolicy(apop_in_clear=WHY))
    finally:
        del SERVERS["collider"]
    with pytest.raises(SecureMailError) as raised:
        client.apop(USER, PASSWORD)
    assert raised.value.code == "apop-challenge"
    assert b"APOP" not in world.record().everything


def test_a_policy_file_may_say_it_of_one_server_only(
    world: World, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "securemail.toml"
    monkeypatch.setenv("SECUREMAIL_POLICY", str(file))
    file.write_text(f'[servers."127.0.0.1"]\nauth = {{ apop_in_clear = "{WHY}" }}\n')
    client = world.in_clear("nifty")
    with pytest.warns(PlaintextWarning, match=WHY):
        client.apop(USER, PASSWORD)
    file.write_text(f'[default]\nauth = {{ apop_in_clear = "{WHY}" }}\n')
    with pytest.raises(PolicyError, match="apop_in_clear: there is no such key"):
        POP3("127.0.0.1", 1)
