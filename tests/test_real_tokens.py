"""Tokens at the real servers, which ask an introspection endpoint (RFC 7662): renewed once after a
refusal, and what the server says of one that it declines.
"""

from collections.abc import Callable
from typing import Any

import pytest

from securemail import AuthenticationFailed, CredentialsRefused, Token
from servers.introspection import Introspection
from servers.leaks import leaks
from servers.ours import STANDARD_ERRORS, WAYS, Site
from servers.pki import PKI
from servers.shown import shown_of

pytestmark = pytest.mark.real_server

PLACES = [
    *("full_dovecot imap", "full_dovecot pop3", "full_dovecot24 imap", "full_dovecot24 pop3"),
    "full_postfix smtp",
]
every_mechanism = pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
every_way = pytest.mark.parametrize("way", WAYS)
everywhere = pytest.mark.parametrize("place", PLACES)
REVOKED, GOOD = "a-revoked-token", "token-of-alice"


@pytest.fixture
def site(request: pytest.FixtureRequest, pki: PKI) -> Callable[[str, str], Site]:
    def find(place: str, way: str) -> Site:
        server, protocol = place.split()
        return Site(request.getfixturevalue(server), protocol, way, pki.ca_pem)

    return find


class Provider:
    """Has the first token at hand, and the others when it is told that one was refused."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)
        self.asked: list[bool] = []

    def __call__(self, refused: bool) -> str:
        self.asked.append(refused)
        return self._tokens[len(self.asked) - 1]


@everywhere
@every_way
@every_mechanism
def test_a_token_that_was_revoked_is_renewed(
    mechanism: str,
    way: str,
    place: str,
    site: Callable[..., Site],
    introspection: Introspection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the same connection, by the same mechanism."""
    here, provider = site(place, way), Provider(REVOKED, GOOD)
    monkeypatch.setitem(introspection.users, REVOKED, "alice")
    with here.connected(mechanism) as client:  # the control: it was good
        client.authenticate(Token("alice", REVOKED))
    monkeypatch.delitem(introspection.users, REVOKED)
    before = len(introspection.asked)
    with here.logging("alice", mechanism, False, True), here.connected(mechanism) as client:
        client.authenticate(Token("alice", provider))
        assert (client.report.auth.user, client.report.auth.mechanism) == ("alice", mechanism)
    assert provider.asked == [False, True]
    assert list(dict.fromkeys(introspection.asked[before:])) == [REVOKED, GOOD]


@everywhere
@every_mechanism
def test_a_second_refusal_is_the_end(mechanism: str, place: str, site: Callable[..., Site]) -> None:
    here, provider = site(place, "TLS"), Provider(REVOKED, "another-bad-token", GOOD)
    with here.logging("alice", mechanism, False, False), here.connected(mechanism) as client:
        with pytest.raises(AuthenticationFailed) as raised:
            client.authenticate(Token("alice", provider))
        with pytest.raises(CredentialsRefused, match="declined"):
            client.authenticate(Token("alice", GOOD))
        assert client.report.auth is None
    assert provider.asked == [False, True]
    error: Any = raised.value
    assert isinstance(error, STANDARD_ERRORS[here.protocol])
    assert (error.mechanism, error.code) == (mechanism, "authentication")
    for token in (REVOKED, "another-bad-token"):
        assert leaks(shown_of(error), token) == []


# Dovecot's; 2.4 names the scope to both, and an empty "openid-configuration", which is left out.
STATUS = {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}
SCOPE = ("scope", "mail")


@everywhere
@every_mechanism
def test_the_error_has_what_the_server_says_of_it(
    mechanism: str, place: str, site: Callable[..., Site]
) -> None:
    here = site(place, "TLS")
    with here.connected(mechanism) as client:
        with pytest.raises(AuthenticationFailed) as raised:
            client.authenticate(Token("alice", REVOKED))
    error: Any = raised.value
    (said,) = error.reasons
    assert said.status == STATUS[mechanism]
    assert (SCOPE in said.details) is (mechanism == "XOAUTH2" or "24" in place)
    assert f"({said})" in str(error)
    assert ": ," not in f"{said},"
    assert Token.advice in error.hint
    assert "password" not in error.hint
