"""The operating system's own verdict, by `truststore` (extra `native`)."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Hashable
from typing import Any

from ..certificate import Certificate
from ..errors import CertificateRejected, PolicyError, printable
from ..reasons import CommonNameOnly, Reason
from ..report import Vouched
from ..standard_ssl import scratch_context
from .base import Peer, Store
from .exact import self_signed_warning
from .key_facts import key_facts
from .system import SystemTrust, hashed, state

_ASKS_AFTERWARDS = sys.platform in ("win32", "darwin")
_KNOWN = "0.10.4 and 0.10.5"
# What is called there has no public name. These are the names and arguments that we know.
_CALLED = {
    "_configure_context": ("ctx",),
    "_verify_peercerts_impl": ("ssl_context", "cert_chain", "server_hostname"),
}


class NativeTrust(Store):
    """Believes whom the operating system believes, as its browsers do: on Windows and macOS the
    system is asked about each server (with authorities that its administrator has added, or
    withdrawn), elsewhere its files are used, also where OpenSSL does not look for them.

    Needs `pip install 'securemail[native]'`. Checked on Windows and macOS, after the handshake and
    before any data: what the system checks, the name among it; besides, the key's size, that the
    certificate is for TLS servers, and that its name is no mere common name. There, pins are
    compared with the server's own certificate alone, a client certificate is a `PolicyError`, and
    `strict_x509` means nothing. Elsewhere all is as with `SystemTrust`, certifi apart: a system
    without any store is a `PolicyError`.
    """

    def _check(self) -> None:
        _truststore()

    def prepare(self, context: ssl.SSLContext) -> None:
        if _ASKS_AFTERWARDS:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # `verify` asks the system
        elif "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ:
            SystemTrust().prepare(context)  # as everywhere with OpenSSL; an empty one is an error
        else:
            with _truststore()._configure_context(context):
                _require_some(context)

    def verify(self, peer: Peer) -> Vouched:
        by = self.describe()
        if not _ASKS_AFTERWARDS:
            return Vouched(by)
        if peer.host is None:
            raise CertificateRejected(
                "no host was given, and the system's verdict is about a name.",
                hint="Give server_hostname=, the name that the certificate must be for.",
            )
        _ask(peer.presented, peer.host)
        leaf = Certificate(peer.presented[0])
        if reasons := _objections(leaf, peer.host):
            raise CertificateRejected("", reasons=reasons, chain=peer.presented)
        return Vouched(
            by,
            identified_by="name",
            not_checked=("strict X.509 (the system has rules of its own)",),
            warnings=(self_signed_warning(peer, "revocation"),) if leaf.is_self_signed else (),
        )

    def content(self) -> Hashable:
        if _ASKS_AFTERWARDS:
            return None
        return (SystemTrust().content(), tuple(map(state, _other_files())))

    def describe(self) -> str:
        how = "the operating system" if _ASKS_AFTERWARDS else "the operating system's files"
        return f"{how}, through truststore {_version()}"


def _truststore() -> Any:
    """The module of truststore that has what we call. Raises `PolicyError`."""
    try:
        from truststore import _api
    except ImportError as error:
        raise PolicyError(
            f"NativeTrust needs truststore, which cannot be imported ({error}).",
            code="native",
            hint="pip install 'securemail[native]'. SystemTrust() does without it.",
        ) from error
    for name, arguments in _CALLED.items():
        if _arguments(getattr(_api, name, None)) != arguments:
            raise PolicyError(
                f"truststore {_version()} has no {name}({', '.join(arguments)}), which NativeTrust "
                f"calls. Known to have it: {_KNOWN}.",
                code="native",
                hint="pip install 'truststore==0.10.5', and look for a newer securemail. "
                "SystemTrust() does without it.",
            )
    return _api


def _arguments(function: Any) -> tuple[str, ...]:
    import inspect  # slow to import

    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _version() -> str:
    import truststore

    return str(getattr(truststore, "__version__", "of an unknown version"))


def _ask(chain: tuple[bytes, ...], host: str) -> None:
    """Whatever is raised is a refusal. The context tells truststore what is asked for."""
    wanted = scratch_context()  # CERT_REQUIRED, check_hostname
    try:
        _truststore()._verify_peercerts_impl(wanted, list(chain), server_hostname=host)
    except Exception as error:
        said = printable(str(getattr(error, "verify_message", "") or error))
        raise CertificateRejected(
            f'the operating system does not accept the certificate: "{said}".',
            hint="For a private authority: have its certificate added to the system's store, or "
            "trust=CATrust(...). For one server with a certificate of its own: "
            "trust=ExactCertificate(...).",
            chain=chain,
        ) from error


def _objections(leaf: Certificate, host: str) -> tuple[Reason, ...]:
    """What some systems accept, and we do nowhere."""
    nameless = () if leaf.names else (CommonNameOnly(host, leaf.common_name),)
    return (*key_facts(leaf), *nameless)


def _require_some(context: ssl.SSLContext) -> None:
    folder = ssl.get_default_verify_paths().capath
    if not context.cert_store_stats()["x509"] and not hashed(folder or ""):
        raise PolicyError(
            "this system has no store of certificate authorities, so nobody would be believed.",
            code="empty-store",
            hint="Install its package (ca-certificates), or use CertifiTrust().",
        )


def _other_files() -> tuple[str, ...]:
    """Where truststore looks as well."""
    try:
        from truststore import _openssl
    except ImportError:
        return ()
    return tuple(getattr(_openssl, "_CA_FILE_CANDIDATES", ()))
