"""The rules of `tls.parameters`, each alone: whatever a context was set to, by the system or by a
trust store, comes out as the policy wants it. On whole policies: tests/test_policy.py."""

import ssl
from typing import Any

import pytest

from securemail.tls.parameters import Parameters, after_trust, before_trust

LEGACY_CONNECT, KTLS, UNSAFE_RENEGOTIATION = 0x4, 0x8, 0x40000  # OpenSSL's numbers


def settled(context: ssl.SSLContext, **wanted: Any) -> ssl.SSLContext:
    """After all of it, with nothing of a trust store's in between."""
    parameters = Parameters(**wanted)
    before_trust(context, parameters)
    after_trust(context, parameters)
    return context


def context(level: int | None = None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if level is not None:
        made.set_ciphers(f"DEFAULT:@SECLEVEL={level}")
    return made


def test_parameters_are_made_by_name() -> None:
    with pytest.raises(TypeError):
        Parameters(ssl.TLSVersion.TLSv1_3)  # type: ignore[call-arg,misc]


@pytest.mark.parametrize(("before", "after"), [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_the_security_level_is_two_at_least(before: int, after: int) -> None:
    assert settled(context(before)).security_level == after


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_old_ciphers_are_at_level_one_whatever_the_system_has(before: int) -> None:
    assert settled(context(before), legacy_ciphers="a fax").security_level == 1


@pytest.mark.parametrize(
    "number", [LEGACY_CONNECT, KTLS, UNSAFE_RENEGOTIATION, LEGACY_CONNECT | KTLS]
)
def test_options_that_weaken_are_taken_away(number: int) -> None:
    one = context()
    one.options |= number  # type: ignore[assignment]
    others = int(one.options) & ~number
    assert one.options & number == number, "or it is no test"
    assert int(settled(one).options) & number == 0
    assert int(one.options) & others == others


@pytest.mark.parametrize("number", [ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION])
def test_options_that_protect_are_set(number: ssl.Options) -> None:
    one = context()
    one.options &= ~number  # type: ignore[assignment]
    assert settled(one).options & number


@pytest.mark.parametrize("strict", [True, False])
def test_the_flags_of_verification_are_these_and_no_others(strict: bool) -> None:
    one = context()
    one.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_ALLOW_PROXY_CERTS
    wanted = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    wanted |= ssl.VERIFY_X509_STRICT if strict else 0  # type: ignore[assignment]
    assert settled(one, strict_x509=strict).verify_flags == wanted


def test_names_are_checked_and_common_names_are_none() -> None:
    one = context()
    one.check_hostname, one.verify_mode = False, ssl.CERT_NONE
    one.hostname_checks_common_name = True
    assert (settled(one).check_hostname, one.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert one.hostname_checks_common_name is False


@pytest.mark.parametrize("own", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("wanted", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_higher_of_two_minimum_versions_holds(
    own: ssl.TLSVersion, wanted: ssl.TLSVersion
) -> None:
    one = context()
    one.minimum_version = own
    assert settled(one, minimum_version=wanted).minimum_version == max(own, wanted)
