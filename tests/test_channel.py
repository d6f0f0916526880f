"""The rules of `channel`, each alone: who may make one, and what it opens. With real sockets and
real verdicts: tests/test_gate.py; through whole connections: tests/test_sign_in_on_loopback.py."""

from typing import Any, cast

import pytest

from securemail import CredentialsRefused
from securemail.channel import (
    _MAKER,
    Channel,
    Excepted,
    Plaintext,
    Verified,
    require_admitted,
    require_verified,
)
from securemail.report import TLSReport

SOCKET, ANOTHER = object(), object()
REPORT = cast(TLSReport, None)
ASK: list[Any] = [require_verified, require_admitted]

either = pytest.mark.parametrize("ask", ASK, ids=["verified", "admitted"])


def verified(sock: object = SOCKET) -> Verified:
    return Verified(_MAKER, sock, REPORT)


@pytest.mark.parametrize("maker", [None, object(), True])
def test_nobody_else_makes_a_verified_channel(maker: object) -> None:
    with pytest.raises(TypeError, match=r"made by securemail\.tls\.verify alone"):
        Verified(maker, SOCKET, REPORT)


@either
def test_a_verified_channel_opens_its_own_socket(ask: Any) -> None:
    assert ask(verified(), SOCKET) is None


@either
@pytest.mark.parametrize(
    ("channel", "sock", "why"),
    [
        (verified(), ANOTHER, "the connection is another one now"),
        (verified(), None, "the connection is another one now"),
        (verified(cast(object, None)), None, "the connection is another one now"),
        (Plaintext(), SOCKET, "the connection is not encrypted"),
        (Plaintext("it was closed"), SOCKET, "it was closed"),
    ],
)
def test_anything_else_opens_nothing(ask: Any, channel: Channel, sock: object, why: str) -> None:
    with pytest.raises(CredentialsRefused, match=f"^nothing secret is sent here: {why}\\.") as met:
        ask(channel, sock)
    assert met.value.code == "channel-not-verified"
    assert met.value.credentials_sent is False
    assert "_SSL or _STARTTLS" in met.value.hint


def test_the_error_says_where_and_that_nothing_was_sent_whoever_asks() -> None:
    where = {"host": "mail.example.org", "port": 993, "protocol": "imap", "credentials_sent": True}
    with pytest.raises(CredentialsRefused) as met:
        require_verified(Plaintext(), SOCKET, **where)
    assert (met.value.host, met.value.port) == ("mail.example.org", 993)
    assert met.value.credentials_sent is False


def test_an_exception_of_the_policy_opens_its_own_socket() -> None:
    excepted = Excepted(SOCKET, "a development server")
    assert excepted.reason == "a development server"
    assert require_admitted(excepted, SOCKET) is None


@pytest.mark.parametrize(
    ("excepted", "sock"), [(SOCKET, ANOTHER), (SOCKET, None), (None, None), (None, SOCKET)]
)
def test_and_no_other(excepted: object, sock: object) -> None:
    with pytest.raises(CredentialsRefused, match="the connection is another one now"):
        require_admitted(Excepted(excepted, "a development server"), sock)


def test_where_a_verdict_is_wanted_no_exception_of_the_policy_will_do() -> None:
    with pytest.raises(CredentialsRefused):
        require_verified(cast(Channel, Excepted(SOCKET, "a development server")), SOCKET)
