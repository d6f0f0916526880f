"""A server close by can answer so quickly that its hello is there when we first look for it."""

import ssl
from collections.abc import Callable
from typing import Any

import pytest

from securemail import CATrust, Limits, TLSPolicy
from securemail.tls.gate import GatedSocket
from servers.attempts import MAIL, Mail
from servers.pki import PKI
from servers.recording import RecordingServer
from servers.scripts import POLITE
from servers.upgrades import WAYS, Upgrades, Way

Factory = Callable[..., RecordingServer]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


@pytest.fixture(autouse=True)
def whole_handshakes(monkeypatch: pytest.MonkeyPatch) -> list[GatedSocket]:
    """The first call does all of it, as if every answer had been there."""
    done: list[GatedSocket] = []
    standard = GatedSocket.do_handshake

    def at_once(self: GatedSocket, block: bool = False) -> None:
        done.append(self)
        self.settimeout(5)
        standard(self, block)

    monkeypatch.setattr(GatedSocket, "do_handshake", at_once)
    return done


def context_of(pki: PKI, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Without session tickets, which would be an answer."""
    context = pki["good"].server_context(minimum_version=version, maximum_version=version)
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


@every_version
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_after_the_upgrade_the_client_speaks_first(
    way: Way,
    version: ssl.TLSVersion,
    pki: PKI,
    recording_server: Factory,
    whole_handshakes: list[Any],
) -> None:
    server = recording_server(Upgrades(way.protocol, context_of(pki, version)))
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = way.upgrade(way.blank(), server.port, policy=policy, limits=Limits(connect=2, read=2))
    client.login("user", "password")
    way.close(client)
    assert len(whole_handshakes) == 1


@every_version
@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_from_the_first_byte_it_greets(
    mail: Mail,
    version: ssl.TLSVersion,
    pki: PKI,
    recording_server: Factory,
    whole_handshakes: list[Any],
) -> None:
    server = recording_server(POLITE[mail.protocol], context=context_of(pki, version))
    mail.attempt(server, policy=TLSPolicy(trust=CATrust(pki.ca_pem)), timeout=2)
    assert len(whole_handshakes) == 1
