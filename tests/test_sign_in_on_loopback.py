"""`clear_on_loopback`: a development server on this computer that has no TLS.

A named exception with a reason: by the peer's address, for what sends the password or a token
itself, and never for what it can be guessed from, which would be one secret more on the wire.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from securemail import (
    IMAP4,
    POP3,
    SMTP,
    AuthenticationFailed,
    AuthPolicy,
    CredentialsRefused,
    Password,
    PlaintextWarning,
    PolicyError,
    Token,
)
from servers.leaks import leaks
from servers.recording import Record, RecordingServer
from servers.rude import Scripted, accepts, asks, refuses

CLASSES: dict[str, Any] = {"imap": IMAP4, "pop3": POP3, "smtp": SMTP}
USER, PASSWORD = "dev", "not so secret here"
WHY = "the test server of this checkout"
ALLOWED = AuthPolicy(clear_on_loopback=WHY)
Factory = Callable[..., RecordingServer]
every_class = pytest.mark.parametrize("name", CLASSES)


class World:
    def __init__(self, start: Factory) -> None:
        self._start = start
        self.clients: list[Any] = []

    def connect(
        self,
        name: str,
        *mechanisms: str,
        auth: AuthPolicy | None = ALLOWED,
        verdict: Any = accepts,
        opening: Any = None,
    ) -> Any:
        first = (asks(b""),) if name == "imap" and mechanisms else ()
        answers = (*first, *((accepts,) if name == "pop3" and not mechanisms else ()), verdict)
        self.server = self._start(Scripted(name, answers, mechanisms, opening=opening))
        client = CLASSES[name]("127.0.0.1", self.server.port, auth=auth)
        self.clients.append((name, client))
        return client

    def close(self) -> None:
        for name, client in self.clients:
            with contextlib.suppress(OSError):  # the standard IMAP4 does not like it twice
                client.shutdown() if name == "imap" else client.close()

    def record(self) -> Record:
        self.close()
        (record,) = self.server.wait()
        return record


@pytest.fixture
def world(recording_server: Factory) -> Iterator[World]:
    one = World(recording_server)
    yield one
    one.close()


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts as another computer; how that is told apart has tests of its own."""
    monkeypatch.setattr("securemail.travel.Travel._is_local", lambda self: False)


@pytest.mark.parametrize(
    ("name", "mechanisms"),
    [
        *((name, ("PLAIN",)) for name in CLASSES),
        ("imap", ()),  # by the LOGIN command
        ("pop3", ()),  # by USER and PASS
    ],
)
def test_it_signs_in_and_warns(mechanisms: tuple[str, ...], name: str, world: World) -> None:
    client = world.connect(name, *mechanisms)
    with pytest.warns(PlaintextWarning, match=f"travels in clear, because: {WHY}") as caught:
        client.login(USER, PASSWORD)
    assert len(caught) == 1
    assert client.report.auth.in_clear == WHY
    assert f"in clear, because: {WHY}" in str(client.report)
    assert client.report.as_dict()["auth"]["in_clear"] == WHY
    assert leaks(world.record().received_clear, PASSWORD) != []


@every_class
def test_a_token_too(name: str, world: World) -> None:
    client = world.connect(name, "XOAUTH2")
    with pytest.warns(PlaintextWarning):
        client.authenticate(Token(USER, "ya29.for-testing"))
    assert client.report.auth.mechanism == "XOAUTH2"


def test_pop3_verbs_too(world: World) -> None:
    client = world.connect("pop3", opening=accepts)  # nothing is asked before
    with pytest.warns(PlaintextWarning):
        client.user(USER)
    with pytest.warns(PlaintextWarning):
        client.pass_(PASSWORD)
    assert client.report.auth.in_clear == WHY


@every_class
def test_not_without_the_reason(name: str, world: World) -> None:
    client = world.connect(name, "PLAIN", auth=None)
    with pytest.raises(CredentialsRefused) as raised:
        client.login(USER, PASSWORD)
    assert raised.value.code == "channel-not-verified"
    assert leaks(world.record().everything, PASSWORD) == []


@every_class
@pytest.mark.usefixtures("far_away")
def test_not_to_another_computer(name: str, world: World) -> None:
    client = world.connect(name, "PLAIN")
    with pytest.raises(CredentialsRefused) as raised:
        client.login(USER, PASSWORD)
    assert raised.value.code == "channel-not-verified"
    assert leaks(world.record().everything, PASSWORD) == []


@every_class
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "CRAM-MD5"])
def test_nothing_that_a_password_can_be_guessed_from(
    mechanism: str, name: str, world: World
) -> None:
    auth = AuthPolicy(mechanisms=(mechanism,), clear_on_loopback=WHY)
    client = world.connect(name, mechanism, auth=auth)
    with pytest.raises(CredentialsRefused) as raised:
        client.login(USER, PASSWORD)
    assert raised.value.code == "no-mechanism"
    assert "never without verified TLS" in str(raised.value)
    assert b"AUTH" not in world.record().everything.upper().replace(b"AUTH=", b"")


@every_class
def test_not_what_a_caller_spells(name: str, world: World) -> None:
    client = world.connect(name, "PLAIN")
    with pytest.raises(CredentialsRefused) as raised:
        {
            "imap": lambda: client.xatom("LOGIN", USER, PASSWORD),
            "pop3": lambda: client._shortcmd(f"AUTH PLAIN {PASSWORD}"),
            "smtp": lambda: client.docmd("AUTH", f"PLAIN {PASSWORD}"),
        }[name]()
    assert raised.value.code == "channel-not-verified"
    assert leaks(world.record().everything, PASSWORD) == []


@every_class
def test_a_refusal_says_that_it_went_in_clear(name: str, world: World) -> None:
    client = world.connect(name, "PLAIN", verdict=refuses)
    with pytest.warns(PlaintextWarning), pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, PASSWORD)
    assert "The password had been sent, in clear." in str(raised.value)
    assert raised.value.in_clear is True


@every_class
def test_a_warning_made_an_error_comes_first(name: str, world: World) -> None:
    client = world.connect(name, "PLAIN")
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlaintextWarning)
        with pytest.raises(PlaintextWarning):
            client.login(USER, PASSWORD)
    assert leaks(world.record().everything, PASSWORD) == []


@every_class
def test_the_exception_is_for_one_attempt(name: str, world: World) -> None:
    """What sends secrets has no leave any more once that is over."""
    client = world.connect(name, "PLAIN")
    with pytest.warns(PlaintextWarning):
        client.authenticate(Password(USER, PASSWORD))
    assert client._excepted is None
    client._auth, client._auth_report = AuthPolicy(), None
    if name == "imap":
        client.state = "NONAUTH"
    with pytest.raises(CredentialsRefused):
        client.login(USER, "another password")
    assert leaks(world.record().everything, "another password") == []


def test_a_policy_file_may_say_it_of_one_server(
    world: World, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "securemail.toml"
    file.write_text(f'[servers."127.0.0.1"]\nauth = {{ clear_on_loopback = "{WHY}" }}\n')
    monkeypatch.setenv("SECUREMAIL_POLICY", str(file))
    client = world.connect("smtp", "PLAIN", auth=None)
    with pytest.warns(PlaintextWarning, match=WHY):
        client.login(USER, PASSWORD)
    file.write_text('[default]\nauth = { clear_on_loopback = "x" }\n')
    with pytest.raises(PolicyError, match="clear_on_loopback: there is no such key"):
        SMTP("127.0.0.1", 2525)
