"""Server contexts by kind: of certificate, or of what else is wrong with their TLS."""

from __future__ import annotations

import ssl
import threading
import warnings
from collections.abc import Callable
from weakref import WeakKeyDictionary

from ..authority import Authority

WEAK = "DEFAULT:@SECLEVEL=0"


def _tls10(context: ssl.SSLContext) -> None:
    _only(context, ssl.TLSVersion.TLSv1)


def _tls11(context: ssl.SSLContext) -> None:
    _only(context, ssl.TLSVersion.TLSv1_1)


def _only(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    """RFC 8996. OpenSSL takes these versions at security level 0 alone."""
    context.set_ciphers(WEAK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what it is for
        context.minimum_version = version
        context.maximum_version = version


def _static_rsa(context: ssl.SSLContext) -> None:
    """No forward secrecy: who gets the key later reads it all (RFC 9325 4.1)."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:AES256-GCM-SHA384:@SECLEVEL=0")


def _cbc(context: ssl.SSLContext) -> None:
    """Encryption without authentication in one step (RFC 9325 4.2)."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:@SECLEVEL=0")


#: By kind: whose certificate, and what is done to the context.
_OTHERS: dict[str, Callable[[ssl.SSLContext], None]] = {
    "tls-1.0": _tls10,
    "tls-1.1": _tls11,
    "static-rsa": _static_rsa,
    "cbc": _cbc,
}


#: By authority, for as long as it lives; they cost more than all else at a server's start.
_made: WeakKeyDictionary[Authority, dict[str, ssl.SSLContext]] = WeakKeyDictionary()
_making = threading.Lock()


def server_context(authority: Authority, kind: str) -> ssl.SSLContext:
    """The context for one kind of certificate, or of bad TLS with a good certificate."""
    with _making:
        of_authority = _made.setdefault(authority, {})
        if kind not in of_authority:
            of_authority[kind] = _make(authority, kind)
        return of_authority[kind]


def _make(authority: Authority, kind: str) -> ssl.SSLContext:
    if kind not in _OTHERS:
        return authority.context_for(kind)  # type: ignore[arg-type]  # it says which there are
    context = authority.context_for("rsa")
    _OTHERS[kind](context)
    return context
