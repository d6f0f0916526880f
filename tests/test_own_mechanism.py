"""A mechanism that somebody else wrote: it plugs in without a change of ours, and goes the same way
as ours do: over verified TLS, within bounds, once.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from securemail import (
    AuthenticationFailed,
    AuthPolicy,
    CredentialsRefused,
    Password,
    PolicyError,
    ProtocolViolation,
    Terms,
)
from securemail.sasl.mechanism import Broken, Cancelled
from servers.attempts import MAIL, PASSWORD, USER, Mail
from servers.pki import PKI
from servers.rude import Scripted, accepts, asks, refuses
from servers.world import Factory, World

every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)


class Badge:
    """Credentials of somebody else's."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.user = f"badge {number}"


class ShowBadge:
    """Says which service it is for; then answers with the badge's number, once."""

    name = "X-SHOW-BADGE"
    takes = (Badge, Password)

    def __init__(self, credentials: Any, terms: Terms) -> None:
        self.credentials, self.terms = credentials, terms
        self.is_complete = False

    def start(self) -> bytes:
        return self.terms.service.encode()

    def answer(self, challenge: bytes) -> bytes | None:
        if challenge == b"go away":
            raise Cancelled
        if challenge == b"nonsense":
            raise Broken("asked for nonsense")
        if self.is_complete:
            return None
        self.is_complete = True
        return challenge + b" " + getattr(self.credentials, "number", "none").encode()


class BadgeWorld(World):
    def connect(self, mail: Mail, *answers: Any, mechanisms: Any = (ShowBadge, "PLAIN")) -> Any:
        first = (asks(b""),) if mail.protocol == "imap" else ()
        script = Scripted(mail.protocol, (*first, *answers), ("PLAIN", "X-SHOW-BADGE"))
        return self.joined(mail, script, auth=AuthPolicy(mechanisms=mechanisms))


@pytest.fixture
def world(pki: PKI, recording_server: Factory) -> Iterator[BadgeWorld]:
    one = BadgeWorld(pki, recording_server)
    yield one
    one.close()


@every_class
def test_it_signs_in(mail: Mail, world: BadgeWorld) -> None:
    client = world.connect(mail, asks(b"number?"), accepts)
    client.authenticate(Badge("4711"))
    assert str(client.report.auth) == "'badge 4711' by X-SHOW-BADGE, no channel binding"
    said = world.record().received_tls
    service = {"imap": b"aW1hcA==", "pop3": b"cG9w", "smtp": b"c210cA=="}[mail.protocol]
    assert service in said
    assert b"bnVtYmVyPyA0NzEx" in said  # "number? 4711"


@every_class
def test_with_credentials_of_ours(mail: Mail, world: BadgeWorld) -> None:
    client = world.connect(mail, asks(b"number?"), accepts)
    client.login(USER, PASSWORD)
    assert client.report.auth.mechanism == "X-SHOW-BADGE"


@every_class
def test_it_is_declined_like_ours(mail: Mail, world: BadgeWorld) -> None:
    client = world.connect(mail, asks(b"number?"), refuses)
    with pytest.raises(AuthenticationFailed) as raised:
        client.authenticate(Badge("4711"))
    assert isinstance(raised.value, mail.standard_error)
    assert raised.value.mechanism == "X-SHOW-BADGE"
    assert "A part of the credentials had been sent, over verified TLS." in str(raised.value)
    with pytest.raises(CredentialsRefused, match="takes no further sign-in"):
        client.authenticate(Badge("4711"))


@every_class
def test_it_may_cancel(mail: Mail, world: BadgeWorld) -> None:
    client = world.connect(mail, asks(b"go away"), refuses)
    with pytest.raises(AuthenticationFailed):
        client.authenticate(Badge("4711"))
    assert b"*\r\n" in world.record().received_tls


BROKEN: dict[str, tuple[tuple[Any, ...], str]] = {
    "it says so": ((asks(b"nonsense"),), "asked for nonsense"),
    "success too early": ((accepts,), "said success before X-SHOW-BADGE was done"),
    "asked after its end": (
        (asks(b"number?"), asks(b"number?")),
        "went on asking after X-SHOW-BADGE was done",
    ),
}


@every_class
@pytest.mark.parametrize("name", BROKEN)
def test_the_bounds_of_the_exchange_hold(name: str, mail: Mail, world: BadgeWorld) -> None:
    answers, said = BROKEN[name]
    client = world.connect(mail, *answers)
    with pytest.raises(ProtocolViolation, match=said):
        client.authenticate(Badge("4711"))
    assert client.sock is None


@every_class
def test_nobody_takes_such_credentials_unless_asked(mail: Mail, world: BadgeWorld) -> None:
    client = world.connect(mail, mechanisms=("PLAIN",))
    with pytest.raises(PolicyError, match="Badge is no credentials"):
        client.authenticate(Badge("4711"))
