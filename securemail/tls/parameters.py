"""Every TLS parameter, set by name and read back: no build of Python or OpenSSL decides for us."""

from __future__ import annotations

import ssl

from ..errors import PolicyError
from ..standard_ssl import set_value
from ..values import Value

# TLS 1.2 suites with forward secrecy and AEAD only (RFC 9325, 4.2). TLS 1.3 has no others.
_MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
# For servers that have nothing better. No DHE: those that need this list often have weak
# parameters for it, and connect by ECDHE or RSA. No 3DES, RC4 or export suites.
_LEGACY = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!aDSS"
_MODERN_LEVEL, _LEGACY_LEVEL = 2, 1  # OpenSSL security levels: 112 and 80 bits

_OP_ENABLE_KTLS = 0x8  # has no name before Python 3.12
_OP_UNSAFE_LEGACY_RENEGOTIATION = 0x40000  # has no name in Python
_ON = ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
_OFF = 0x4 | _OP_UNSAFE_LEGACY_RENEGOTIATION | _OP_ENABLE_KTLS  # 0x4: OP_LEGACY_SERVER_CONNECT


class Parameters(Value, kw_only=True):
    """The part of a policy that is TLS's own, beside trust and pins."""

    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    strict_x509: bool = True
    legacy_ciphers: str | None = None


def before_trust(context: ssl.SSLContext, wanted: Parameters) -> None:
    """What a trust store may build on."""
    set_value(context, "verify_mode", ssl.CERT_REQUIRED)
    set_value(context, "check_hostname", True)
    strict = ssl.VERIFY_X509_STRICT if wanted.strict_x509 else 0
    flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN | strict
    set_value(context, "verify_flags", flags)


def after_trust(context: ssl.SSLContext, wanted: Parameters) -> None:
    """What no trust store decides; a stricter setting of the distribution stays."""
    minimum = max(int(wanted.minimum_version), int(context.minimum_version))
    set_value(context, "minimum_version", minimum)
    set_value(context, "options", (int(context.options) | _ON) & ~_OFF)
    set_value(context, "hostname_checks_common_name", False)
    _set_ciphers(context, wanted)
    _read_back(context, wanted, minimum)


def _set_ciphers(context: ssl.SSLContext, wanted: Parameters) -> None:
    least = _LEGACY_LEVEL if wanted.legacy_ciphers else _MODERN_LEVEL
    # A legacy policy asks for level 1 on purpose; otherwise a higher system level stays.
    level = least if wanted.legacy_ciphers else max(least, context.security_level)
    suites = _LEGACY if wanted.legacy_ciphers else _MODERN
    allowed = _tls12(context)
    context.set_ciphers(f"{suites}:@SECLEVEL={level}")
    both = [name for name in _tls12(context) if name in allowed]
    if both and not wanted.legacy_ciphers:
        context.set_ciphers(":".join(both) + f":@SECLEVEL={level}")


def _tls12(context: ssl.SSLContext) -> list[str]:
    return [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]


def _read_back(context: ssl.SSLContext, wanted: Parameters, minimum: int) -> None:
    """Believe nothing that was only set."""
    maximum = context.maximum_version
    held = {
        "minimum version": int(context.minimum_version) == minimum,
        "maximum version": maximum < 0 or maximum >= minimum,  # below 0: OpenSSL's own bounds
        "options": context.options & _ON == _ON and not context.options & _OFF,
        "common names": not context.hostname_checks_common_name,
        "security level": context.security_level
        >= (_LEGACY_LEVEL if wanted.legacy_ciphers else _MODERN_LEVEL),
        "strict X.509": bool(context.verify_flags & ssl.VERIFY_X509_STRICT) == wanted.strict_x509,
        "partial chains": bool(context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN),
        "key log": context.keylog_filename is None,
        "cipher suites": bool(_tls12(context)) or minimum >= ssl.TLSVersion.TLSv1_3,
    }
    if wrong := [name for name, is_right in held.items() if not is_right]:
        raise PolicyError(
            f"this build of OpenSSL did not take the TLS settings: {', '.join(wrong)}.",
            code="settings-not-taken",
            hint="Look into OPENSSL_CONF and the system's crypto policy.",
        )
