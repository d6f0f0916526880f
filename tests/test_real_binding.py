"""Channel binding by our classes, at Dovecot 2.4: what it accepts, what it declines, and what is
said then. Who is in between, with a certificate that the client believes, gets no use of it.

The control, with clients that are not ours: `test_servers_dovecot24.py`.
"""

import base64
import re
from collections.abc import Callable, Iterator

import pytest

from securemail import AuthenticationFailed, ConnectFailed, CredentialsRefused, Password
from securemail.secret import Secret
from securemail.tls.binding import Binding
from servers.between import Between
from servers.clients import strict_context
from servers.dovecot24 import Dovecot24, running
from servers.leaks import leaks
from servers.ours import STANDARD_ERRORS, WAYS, Site
from servers.pki import PKI
from servers.scram import only_tls12
from servers.sign_ins import Begun

pytestmark = pytest.mark.real_server

BOUND = "SCRAM-SHA-256-PLUS"
each_way = pytest.mark.parametrize("way", WAYS)
each_protocol = pytest.mark.parametrize("protocol", ["imap", "pop3"])


@pytest.fixture(scope="module")
def tls12(pki: PKI) -> Iterator[Dovecot24]:
    with running(pki["good"], ssl_max_protocol="TLSv1.2") as server:
        yield server


@pytest.fixture
def site(request: pytest.FixtureRequest, pki: PKI) -> Callable[..., Site]:
    """By the name of a server's fixture."""

    def find(server: str, protocol: str, way: str = "TLS") -> Site:
        return Site(request.getfixturevalue(server), protocol, way, pki.ca_pem)

    return find


def right(site: Site) -> Password:
    return Password("alice", site.server.users["alice"])


# -- which binding, by the policy and the version of TLS

EXPECTED = {
    ("tls12", "prefer"): (BOUND, "tls-unique"),
    ("tls12", "require"): (BOUND, "tls-unique"),
    ("tls12", "never"): ("SCRAM-SHA-256", ""),
    ("dovecot24", "prefer"): ("SCRAM-SHA-256", ""),
    ("dovecot24", "require"): (BOUND, "tls-exporter"),
    ("dovecot24", "never"): ("SCRAM-SHA-256", ""),
}


@each_way
@each_protocol
@pytest.mark.parametrize(("server", "wanted"), EXPECTED)
def test_the_binding_is_the_policy_s(
    server: str, wanted: str, protocol: str, way: str, site: Callable[..., Site]
) -> None:
    """And a wrong password is declined by the same mechanism."""
    here = site(server, protocol, way)
    mechanism, binding = EXPECTED[server, wanted]
    with here.logging("alice", mechanism, True, False, binding=binding):
        with here.connected(channel_binding=wanted) as client:
            client.authenticate(right(here))
            found = client.report.auth
            assert (found.mechanism, found.channel_binding) == (mechanism, binding or None)
        with here.connected(channel_binding=wanted) as client:
            with pytest.raises(AuthenticationFailed) as raised:
                client.login("alice", "wrong")
            assert raised.value.mechanism == mechanism


@each_way
@each_protocol
@pytest.mark.parametrize("server", ["tls12", "dovecot24"])
def test_it_hangs_up_at_a_binding_that_it_does_not_know(
    server: str, protocol: str, way: str, site: Callable[..., Site]
) -> None:
    here = site(server, protocol, way)
    begun, ended = here.server.sign_ins("alice")
    with here.connected(channel_binding="end-point") as client:
        with pytest.raises(ConnectFailed, match="hung up during the sign-in") as raised:
            client.authenticate(right(here))
        with pytest.raises(ConnectFailed, match="hung up during the sign-in"):
            client.authenticate(right(here))
    error = raised.value
    assert error.code == "connect-reset"
    assert error.credentials_sent is False
    assert "this channel binding, tls-server-end-point" in error.hint
    assert here.server.sign_ins("alice") == ([*begun, Begun(protocol, BOUND)], ended)
    for advised in re.findall(r'"(prefer|never)"', error.hint):
        with here.connected(channel_binding=advised) as client:
            client.authenticate(right(here))


# -- somebody in between


def between(
    site: Site, pki: PKI, changes: Callable[[bytes], bytes] = lambda words: words
) -> Between:
    """With the certificate of the server itself: nothing but the binding is different."""
    own = pki["good"].server_context(own=True)
    version = only_tls12 if site.server._ssl_max_protocol else lambda context: context  # type: ignore[union-attr]
    return Between(version(own), site.address, strict_context(pki.ca_pem), changes)


def without_plus(words: bytes) -> bytes:
    return re.sub(rb" (?:AUTH=)?SCRAM-SHA-(?:1|256)-PLUS", b"", words)


def flags(proxy: Between) -> list[str]:
    """The channel binding flag of each client-first message (RFC 5802, 7)."""
    decoded = [decode(word) for word in proxy.said.split()]
    return [text.partition(",,")[0] for text in decoded if ",,n=" in text]


def decode(word: bytes) -> str:
    try:
        return base64.b64decode(word, validate=True).decode()
    except ValueError:
        return ""


@each_protocol
@pytest.mark.parametrize(("server", "wanted"), [("tls12", "prefer"), ("dovecot24", "require")])
def test_who_is_in_between_is_found_out(
    server: str, wanted: str, protocol: str, site: Callable[..., Site], pki: PKI
) -> None:
    """The sign-in is bound to the client's connection with him, and the server has another."""
    here = site(server, protocol)
    with here.logging("alice", BOUND, False, binding=EXPECTED[server, wanted][1]):
        with between(here, pki) as proxy:
            with here.connected(at=proxy.address, channel_binding=wanted) as client:
                with pytest.raises(AuthenticationFailed) as raised:
                    client.authenticate(right(here))
                with pytest.raises(CredentialsRefused, match="declined"):
                    client.login("alice", here.server.users["alice"])
    assert isinstance(raised.value, STANDARD_ERRORS[protocol])
    assert leaks(proxy.said, here.server.users["alice"]) == []
    assert flags(proxy) == [f"p={EXPECTED[server, wanted][1]}"]


@each_protocol
def test_an_offer_that_he_took_out_is_found_out(
    protocol: str, site: Callable[..., Site], pki: PKI
) -> None:
    """The client says "y", that it could have bound, and the server knows that it could as well."""
    here = site("tls12", protocol)
    found_out = "Potential downgrade attack detected"
    begun, ended = here.server.sign_ins("alice")
    before = here.server.log().count(found_out)
    with between(here, pki, without_plus) as proxy:
        with here.connected(at=proxy.address) as client:
            with pytest.raises(AuthenticationFailed) as raised:
                client.authenticate(right(here))
            assert not any(name.endswith("-PLUS") for name in raised.value.offered)
            with pytest.raises(CredentialsRefused, match="declined"):
                client.login("alice", here.server.users["alice"])
    assert flags(proxy) == ["y"]
    assert leaks(proxy.said, here.server.users["alice"]) == []
    # The server logs no end of such a sign-in, but this.
    after = here.server.sign_ins("alice")
    assert after == ([*begun, Begun(protocol, "SCRAM-SHA-256")], ended)
    assert here.server.log().count(found_out) > before


@each_protocol
@pytest.mark.parametrize("server", ["tls12", "dovecot24"])
def test_where_a_binding_is_required_he_gets_nothing_for_a_stripped_offer(
    server: str, protocol: str, site: Callable[..., Site], pki: PKI
) -> None:
    here = site(server, protocol)
    before = here.server.sign_ins_begun()
    with between(here, pki, without_plus) as proxy:
        with here.connected(at=proxy.address, channel_binding="require") as client:
            with pytest.raises(CredentialsRefused) as raised:
                client.authenticate(right(here))
    assert (raised.value.code, raised.value.credentials_sent) == ("no-mechanism", False)
    assert flags(proxy) == []
    assert b"alice" not in proxy.said
    assert here.server.sign_ins_begun() == before


@each_protocol
@pytest.mark.parametrize(
    ("server", "wanted"), [("tls12", "never"), ("dovecot24", "never"), ("dovecot24", "prefer")]
)
def test_without_a_binding_he_passes(
    server: str, wanted: str, protocol: str, site: Callable[..., Site], pki: PKI
) -> None:
    """The control: it is the binding that stops him. The client has none, and says "n"."""
    here = site(server, protocol)
    with between(here, pki) as proxy:
        with here.connected(at=proxy.address, channel_binding=wanted) as client:
            client.authenticate(right(here))
    assert flags(proxy) == ["n"]


# -- another connection's data


@each_way
@each_protocol
@pytest.mark.parametrize(("server", "wanted"), [("tls12", "prefer"), ("dovecot24", "require")])
def test_another_connection_s_data_is_declined(
    server: str,
    wanted: str,
    protocol: str,
    way: str,
    site: Callable[..., Site],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, binding = site(server, protocol, way), EXPECTED[server, wanted][1]
    with (
        here.logging("alice", BOUND, False, True, binding=binding),
        here.connected(channel_binding=wanted) as other,
        here.connected(channel_binding=wanted) as client,
    ):
        stolen = other._binding()
        own = client._binding()
        assert isinstance(stolen, Binding)
        assert (stolen.type, own.type) == (binding, binding)
        assert stolen.data.reveal() != own.data.reveal()
        monkeypatch.setattr(client, "_binding", lambda: stolen)
        with pytest.raises(AuthenticationFailed):
            client.authenticate(right(here))
        other.authenticate(right(here))  # the control: where it belongs, it is good


@each_protocol
def test_a_bit_more_or_less_is_declined(
    protocol: str, site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site("dovecot24", protocol)
    for change in (lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:12]):
        with here.connected(channel_binding="require") as client:
            changed = Secret(change(client._binding().data.reveal()))
            wrong = Binding("tls-exporter", changed)
            monkeypatch.setattr(client, "_binding", lambda wrong=wrong: wrong)
            with pytest.raises(AuthenticationFailed):
                client.authenticate(right(here))
