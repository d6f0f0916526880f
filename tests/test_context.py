"""How a sealed context is made, each rule alone. What it refuses to do: tests/test_gate.py and
tests/test_policy.py."""

import ssl

import pytest

from securemail import CATrust, PolicyError
from securemail.tls.context import build_context
from securemail.tls.parameters import Parameters
from securemail.trust.base import Peer
from servers.pki import PKI


class Fails:
    """A trust store that cannot be loaded."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def prepare(self, context: ssl.SSLContext) -> None:
        raise self.error

    def verify(self, peer: Peer) -> None: ...


@pytest.mark.parametrize("error", [ssl.SSLError("no start line"), OSError(13, "Permission denied")])
def test_a_store_that_cannot_be_loaded_is_a_mistake_in_the_policy(error: Exception) -> None:
    with pytest.raises(PolicyError, match="the trust store cannot be loaded: ") as caught:
        build_context(Parameters(), Fails(error), ())
    assert str(error) in str(caught.value)
    assert caught.value.code == "store-unreadable"
    assert caught.value.__cause__ is error


def test_keys_are_openssl_s_to_judge_from_security_level_two_on(pki: PKI) -> None:
    trust = CATrust(pki.ca_pem)
    for legacy, strong in ((None, True), ("a fax", False)):
        made = build_context(Parameters(legacy_ciphers=legacy), trust, ())
        assert made._rules is not None
        assert made._rules.strong is strong
