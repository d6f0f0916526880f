"""Transcripts of sign-ins to real servers."""

import warnings

import pytest

from securemail import AuthPolicy, TranscriptLine, WeakMechanismWarning
from servers.leaks import leaks
from servers.ours import CLASSES, Site, close
from servers.pki import PKI

PLACES = ["full_dovecot imap", "full_dovecot pop3", "full_postfix smtp"]


@pytest.mark.real_server
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_sign_in(mechanism: str, place: str, pki: PKI, request: pytest.FixtureRequest) -> None:
    server, protocol = place.split()
    site = Site(request.getfixturevalue(server), protocol, "STARTTLS", pki.ca_pem)
    cls, _ = CLASSES[protocol, site.way]
    user, password = next(iter(site.server.users.items()))
    shown: list[TranscriptLine] = []
    auth = AuthPolicy(mechanisms=(mechanism,))
    client = cls(*site.address, policy=site.policy(), auth=auth, transcript=shown.append)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeakMechanismWarning)
            client.login(user, password)
        client.noop()
        client.logout() if protocol == "imap" else client.quit()
    finally:
        close(client)
    text = "\n".join(map(str, shown))
    assert leaks(text.encode(), password) == []
    assert f"AUTHENTICATE {mechanism} <secret>" in text or f"AUTH {mechanism} <secret>" in text
    assert user not in text.partition("<secret>")[2]
    assert any(line.text.upper().endswith("NOOP") for line in shown if line.side == "C")
    assert shown[-1].text == "closed"
