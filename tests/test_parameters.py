"""The rules of `tls.parameters`, each alone: whatever a context was set to, by the system or by a
trust store, comes out as the policy wants it. On whole policies: tests/test_policy.py."""

import ssl
from collections.abc import Callable
from typing import Any

import pytest

from securemail import PolicyError
from securemail.tls.parameters import Parameters, _read_back, after_trust, before_trust

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


def test_parameters_are_made_by_name_and_strict_unless_told_otherwise() -> None:
    with pytest.raises(TypeError):
        Parameters(ssl.TLSVersion.TLSv1_3)  # type: ignore[call-arg,misc]
    assert Parameters().strict_x509 is True


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


def test_options_that_nobody_asked_about_stay() -> None:
    one = context()
    one.options |= 0x1  # type: ignore[assignment]  # OpenSSL's NO_EXTENDED_MASTER_SECRET
    assert int(settled(one).options) & 0x1


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


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_names_are_checked_and_common_names_are_none(mode: ssl.VerifyMode) -> None:
    one = context()
    one.check_hostname, one.verify_mode = False, mode
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


# -- what was set is read back: a build of OpenSSL may not take it


class NoTLS12(ssl.SSLContext):
    def get_ciphers(self) -> Any:
        return [one for one in super().get_ciphers() if one["protocol"] == "TLSv1.3"]


def without(option: int) -> Callable[[ssl.SSLContext], None]:
    def change(one: ssl.SSLContext) -> None:
        one.options &= ~option  # type: ignore[assignment]

    return change


def with_option(option: int) -> Callable[[ssl.SSLContext], None]:
    def change(one: ssl.SSLContext) -> None:
        one.options |= option  # type: ignore[assignment]

    return change


def set_to(**values: Any) -> Callable[[ssl.SSLContext], None]:
    def change(one: ssl.SSLContext) -> None:
        for name, value in values.items():
            setattr(one, name, value)

    return change


NOT_TAKEN: dict[str, tuple[str, Callable[[ssl.SSLContext], None]]] = {
    "a lower minimum": ("minimum version", set_to(minimum_version=ssl.TLSVersion.TLSv1_1)),
    "a higher minimum": ("minimum version", set_to(minimum_version=ssl.TLSVersion.TLSv1_3)),
    "a maximum below it": (
        "minimum version, maximum version",
        set_to(minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1),
    ),
    "renegotiation": ("options", without(ssl.OP_NO_RENEGOTIATION)),
    "compression": ("options", without(ssl.OP_NO_COMPRESSION)),
    "an option that weakens": ("options", with_option(LEGACY_CONNECT)),
    "common names": ("common names", set_to(hostname_checks_common_name=True)),
    "no strictness": (
        "strict X.509",
        set_to(verify_flags=ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN),
    ),
    "no partial chains": (
        "partial chains",
        set_to(verify_flags=ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_STRICT),
    ),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_what_openssl_did_not_take_is_told(name: str) -> None:
    words, change = NOT_TAKEN[name]
    one, minimum = settled(context()), ssl.TLSVersion.TLSv1_2
    _read_back(one, Parameters(), minimum)
    change(one)
    with pytest.raises(PolicyError, match=f"did not take the TLS settings: {words}\\.") as caught:
        _read_back(one, Parameters(), minimum)
    assert caught.value.code == "settings-not-taken"


def test_a_maximum_may_be_the_minimum() -> None:
    one = context()
    one.maximum_version = ssl.TLSVersion.TLSv1_2
    assert settled(one).maximum_version == one.minimum_version == ssl.TLSVersion.TLSv1_2


def test_without_a_cipher_suite_of_tls_1_2_there_is_to_be_none_of_1_2() -> None:
    made = NoTLS12(ssl.PROTOCOL_TLS_CLIENT)
    settled(made, minimum_version=ssl.TLSVersion.TLSv1_3)
    with pytest.raises(PolicyError, match=r"settings: cipher suites\."):
        settled(NoTLS12(ssl.PROTOCOL_TLS_CLIENT))
