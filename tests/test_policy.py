"""Policies: safe without arguments, checked when made, every setting read back."""

import datetime
import os
import pickle
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from securemail import (
    AuthPolicy,
    CATrust,
    ExactCertificate,
    Limits,
    Pin,
    PolicyError,
    TLSPolicy,
    Waive,
)
from servers.pki import PKI

PIN = "sha256/" + "A" * 43 + "="


def test_the_default_is_safe() -> None:
    """What `ssl` would have to be told by hand; see docs/architecture.md."""
    context = TLSPolicy().ssl_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.security_level >= 2
    assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert not context.options & (0x4 | 0x8 | 0x40000)  # legacy connect, kTLS, unsafe renegotiation
    assert context.keylog_filename is None


def test_tls_1_2_suites_have_forward_secrecy_and_aead() -> None:
    names = [suite["name"] for suite in TLSPolicy().ssl_context().get_ciphers()]
    assert names
    for name in names:
        assert name.startswith(("TLS_", "ECDHE-", "DHE-")), name
        assert "GCM" in name or "CHACHA20" in name, name


def test_a_stricter_minimum_is_taken_in_every_spelling() -> None:
    for spelling in ("1.3", "TLSv1.3", "tls1.3", "TLS 1.3", ssl.TLSVersion.TLSv1_3):
        policy = TLSPolicy(minimum_version=spelling)  # type: ignore[arg-type]
        assert policy == TLSPolicy(minimum_version=ssl.TLSVersion.TLSv1_3)
        assert policy.ssl_context().minimum_version == ssl.TLSVersion.TLSv1_3


LOWER = [
    *("1.0", "1.1", "SSLv3", "", None),
    *(ssl.TLSVersion.TLSv1, ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.MAXIMUM_SUPPORTED),
]


@pytest.mark.parametrize("lower", LOWER)
def test_a_lower_minimum_is_refused(lower: object) -> None:
    with pytest.raises(PolicyError, match=r"the least is TLS 1\.2"):
        TLSPolicy(minimum_version=lower)  # type: ignore[arg-type]


def test_a_policy_is_a_value(pki: PKI) -> None:
    policy = TLSPolicy(
        trust=ExactCertificate(
            pki["self_signed"].leaf_pem,
            waive=Waive.EXPIRY("ordered", until=datetime.date(2031, 1, 1)),
        ),
        pins=(PIN,),  # type: ignore[arg-type]
        legacy_ciphers="an old appliance",
    )
    assert policy == pickle.loads(pickle.dumps(policy))
    assert hash(policy) == hash(pickle.loads(pickle.dumps(policy)))
    assert "an old appliance" in repr(policy)
    with pytest.raises(AttributeError):
        policy.strict_x509 = False  # type: ignore[misc]


def test_pins_are_taken_one_or_several() -> None:
    one = TLSPolicy(pins=Pin(PIN))  # type: ignore[arg-type]
    assert one == TLSPolicy(pins=PIN) == TLSPolicy(pins=[PIN])  # type: ignore[arg-type]
    assert one.pins == (Pin(PIN),)
    with pytest.raises(PolicyError, match="not a pin"):
        TLSPolicy(pins=["server.pem"])  # type: ignore[list-item]


@pytest.mark.parametrize("reason", ["", "  "])
def test_legacy_ciphers_need_a_reason(reason: str) -> None:
    with pytest.raises(PolicyError, match="reason"):
        TLSPolicy(legacy_ciphers=reason)


def test_legacy_ciphers_leave_verification_alone() -> None:
    context = TLSPolicy(legacy_ciphers="old").ssl_context()
    names = {suite["name"] for suite in context.get_ciphers()}
    assert {"AES128-SHA", "ECDHE-RSA-AES128-SHA"} <= names
    assert not any(name.startswith("DHE-") or "DES" in name or "RC4" in name for name in names)
    assert context.security_level == 1
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_describe_says_what_default_means() -> None:
    said = TLSPolicy().describe()
    for words in ("TLS 1.2 or newer", "forward secrecy", "names:", "revocation:  not checked"):
        assert words in said
    exact = TLSPolicy(trust=ExactCertificate(pin=PIN), legacy_ciphers="old box").describe()
    assert "not checked (the key is the identity)" in exact
    assert "old box" in exact


# -- the seal

CHANGES: dict[str, Callable[[ssl.SSLContext], object]] = {
    "verify_mode": lambda c: setattr(c, "verify_mode", ssl.CERT_NONE),
    "check_hostname": lambda c: setattr(c, "check_hostname", False),
    "hostname_checks_common_name": lambda c: setattr(c, "hostname_checks_common_name", True),
    "minimum_version": lambda c: setattr(c, "minimum_version", ssl.TLSVersion.TLSv1),
    "maximum_version": lambda c: setattr(c, "maximum_version", ssl.TLSVersion.TLSv1_2),
    "options": lambda c: setattr(c, "options", 0),
    "verify_flags": lambda c: setattr(c, "verify_flags", 0),
    "keylog_filename": lambda c: setattr(c, "keylog_filename", "/dev/null"),
    "post_handshake_auth": lambda c: setattr(c, "post_handshake_auth", True),
    "sslsocket_class": lambda c: setattr(c, "sslsocket_class", ssl.SSLSocket),
    "sslobject_class": lambda c: setattr(c, "sslobject_class", ssl.SSLObject),
    "sni_callback": lambda c: setattr(c, "sni_callback", lambda *_: None),
    "anything": lambda c: setattr(c, "anything", 1),
    "delete": lambda c: delattr(c, "_rules"),
    "set_ciphers": lambda c: c.set_ciphers("ALL:@SECLEVEL=0"),
    "set_alpn_protocols": lambda c: c.set_alpn_protocols(["http/1.1"]),
    "set_default_verify_paths": lambda c: c.set_default_verify_paths(),
    "load_default_certs": lambda c: c.load_default_certs(),
    "load_verify_locations": lambda c: c.load_verify_locations("/nowhere"),
    "load_cert_chain": lambda c: c.load_cert_chain("/nowhere"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_context_is_sealed(change: str) -> None:
    context = TLSPolicy().ssl_context()
    with pytest.raises(PolicyError, match="sealed"):
        CHANGES[change](context)
    test_the_default_is_safe()


def test_every_setter_and_loader_of_this_python_is_sealed() -> None:
    """By name, so that one which a newer Python adds is noticed here."""
    context = TLSPolicy().ssl_context()
    names = [name for name in dir(ssl.SSLContext) if name.startswith(("set_", "load_"))]
    assert len(names) > 5
    for name in names:
        with pytest.raises(PolicyError, match="sealed"):
            getattr(context, name)()


def test_setting_what_is_there_already_is_fine() -> None:
    """Libraries do that."""
    context = TLSPolicy().ssl_context()
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION


# -- the cache


def test_equal_policies_share_one_context(pki: PKI) -> None:
    first = TLSPolicy(trust=CATrust(pki.ca_pem)).ssl_context()
    assert TLSPolicy(trust=CATrust(str(pki.ca_pem))).ssl_context() is first
    assert TLSPolicy(trust=CATrust(pki.other_ca_pem)).ssl_context() is not first


def test_a_replaced_file_is_noticed(pki: PKI, tmp_path: Path) -> None:
    """Also one of the same size and date: its content counts."""
    file = tmp_path / "server.pem"
    for store in (CATrust, ExactCertificate):
        file.write_bytes(pki["self_signed_ca"].leaf_pem.read_bytes())
        policy = TLSPolicy(trust=store(file))  # type: ignore[arg-type]
        before, stat = policy.ssl_context(), file.stat()
        assert policy.ssl_context() is before
        file.write_bytes(pki["self_signed_cn_only"].leaf_pem.read_bytes())
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        after = policy.ssl_context()
        assert after is not before
        assert policy.ssl_context() is after


def test_a_file_that_went_away_is_an_error_at_the_next_connection(pki: PKI, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(pki.ca_pem.read_bytes())
    policy = TLSPolicy(trust=CATrust(file))
    file.unlink()
    with pytest.raises(PolicyError, match="cannot be read"):
        policy.ssl_context()


# -- builds and settings from outside


def fresh(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_key_log_of_the_environment_is_ignored(tmp_path: Path) -> None:
    log = tmp_path / "keys"
    said = fresh(
        "from securemail import TLSPolicy; print(TLSPolicy().ssl_context().keylog_filename)",
        SSLKEYLOGFILE=str(log),
    )
    assert said == "None"
    assert not log.exists()


def test_a_lax_openssl_configuration_changes_nothing(tmp_path: Path) -> None:
    """Where the build of Python obeys it; elsewhere there is nothing to change."""
    conf = tmp_path / "openssl.cnf"
    conf.write_text(OPENSSL_CONF.format(minimum="TLSv1", ciphers="ALL:@SECLEVEL=0"))
    said = fresh(
        "from securemail import TLSPolicy; c = TLSPolicy().ssl_context();"
        "print(c.minimum_version.name, c.security_level, c.options & 0x40000)",
        OPENSSL_CONF=str(conf),
    )
    assert said == "TLSv1_2 2 0"


def test_a_stricter_setting_of_the_system_stays() -> None:
    """As a build that obeys its configuration would leave the raw context."""
    from securemail.standard_ssl import StandardContext
    from securemail.tls.parameters import Parameters, after_trust, before_trust

    context = StandardContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ciphers("ECDHE+AES256:@SECLEVEL=3")
    before_trust(context, Parameters())
    after_trust(context, Parameters())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.security_level == 3
    suites = {suite["name"] for suite in context.get_ciphers() if "TLS_" not in suite["name"]}
    assert suites == {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"}


def test_a_setting_that_was_not_taken_is_an_error() -> None:
    from securemail.standard_ssl import StandardContext
    from securemail.tls.parameters import Parameters, after_trust, before_trust

    context = StandardContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    before_trust(context, Parameters())
    with pytest.raises(PolicyError, match="maximum version"):
        after_trust(context, Parameters(minimum_version=ssl.TLSVersion.TLSv1_3))


OPENSSL_CONF = """
openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = {minimum}
CipherString = {ciphers}
Options = UnsafeLegacyRenegotiation
"""

# -- the small policies


def test_auth_policy_knows_its_mechanisms() -> None:
    assert AuthPolicy(mechanisms="login").mechanisms == ("LOGIN",)  # type: ignore[arg-type]
    assert AuthPolicy(mechanisms=("cram-md5", "APOP")).mechanisms == ("CRAM-MD5", "APOP")
    for unknown in (("PLAIN", "NTLM"), ("",)):
        with pytest.raises(PolicyError, match="there is no such mechanism"):
            AuthPolicy(mechanisms=unknown)
    with pytest.raises(PolicyError, match="nobody could sign in"):
        AuthPolicy(mechanisms=())


@pytest.mark.parametrize("value", [0, -1, "5", float("nan")])
def test_limits_are_seconds_above_zero(value: object) -> None:
    with pytest.raises(PolicyError, match="seconds above 0"):
        Limits(read=value)  # type: ignore[arg-type]


def test_limits_under_the_standard_timeout() -> None:
    assert Limits().with_timeout(None) == Limits()
    assert Limits().with_timeout(5) == Limits(connect=5, read=5)
    with pytest.raises(ValueError, match="timeout=0"):
        Limits().with_timeout(0)
