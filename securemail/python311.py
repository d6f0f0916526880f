"""Python 3.11's signatures, where `keyfile` and `certfile` came before other arguments.

Imported on Python 3.11 alone. Deprecated there, as here; together they become the caller's own
context: the default one of `ssl`, which verifies, with the client's certificate.
"""

from __future__ import annotations

import poplib
import ssl
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .connection import DEFAULT
from .connector import Connector
from .policy import AuthPolicy, Limits, TLSPolicy

if TYPE_CHECKING:
    from .transcript import To


Method = Callable[..., Any]


def pop3_ssl(init: Method) -> Method:
    def __init__(
        self: Any,
        host: str,
        port: int = poplib.POP3_SSL_PORT,
        keyfile: str | None = None,
        certfile: str | None = None,
        timeout: float | None = DEFAULT,
        context: ssl.SSLContext | None = None,
        *,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        init(
            self,
            host,
            port,
            timeout=timeout,
            context=_with_files(context, keyfile, certfile),
            policy=policy,
            auth=auth,
            limits=limits,
            server_hostname=server_hostname,
            connector=connector,
            transcript=transcript,
        )

    return _named(__init__, init)


def imap4_ssl(init: Method) -> Method:
    def __init__(
        self: Any,
        host: str = "",
        port: int = 993,
        keyfile: str | None = None,
        certfile: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float | None = None,
        *,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        init(
            self,
            host,
            port,
            timeout=timeout,
            ssl_context=_with_files(ssl_context, keyfile, certfile),
            policy=policy,
            auth=auth,
            limits=limits,
            server_hostname=server_hostname,
            connector=connector,
            transcript=transcript,
        )

    return _named(__init__, init)


def smtp_ssl(init: Method) -> Method:
    def __init__(
        self: Any,
        host: str = "",
        port: int = 0,
        local_hostname: str | None = None,
        keyfile: str | None = None,
        certfile: str | None = None,
        timeout: float | None = DEFAULT,
        source_address: Any = None,
        context: ssl.SSLContext | None = None,
        *,
        policy: TLSPolicy | None = None,
        auth: AuthPolicy | None = None,
        limits: Limits | None = None,
        server_hostname: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        init(
            self,
            host,
            port,
            local_hostname,
            timeout=timeout,
            source_address=source_address,
            context=_with_files(context, keyfile, certfile),
            policy=policy,
            auth=auth,
            limits=limits,
            server_hostname=server_hostname,
            connector=connector,
            transcript=transcript,
        )

    return _named(__init__, init)


def starttls(upgrade: Method) -> Method:
    """Of SMTP; and of POP3_SSL, as `stls`."""

    def method(
        self: Any,
        keyfile: str | None = None,
        certfile: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Any:
        return upgrade(self, context=_with_files(context, keyfile, certfile))

    return _named(method, upgrade)


def _named(method: Any, original: Any) -> Method:
    """`functools.wraps` less `__wrapped__`, which would show the other signature."""
    method.__name__, method.__qualname__ = original.__name__, original.__qualname__
    method.__doc__, method.__module__ = original.__doc__, original.__module__
    wrapped: Method = method
    return wrapped


def _with_files(
    context: ssl.SSLContext | None, keyfile: str | None, certfile: str | None
) -> ssl.SSLContext | None:
    if keyfile is None and certfile is None:
        return context
    if context is not None:
        raise ValueError("context and keyfile or certfile arguments are mutually exclusive")
    warnings.warn(
        "keyfile and certfile are deprecated, use a custom context instead",
        DeprecationWarning,
        stacklevel=3,
    )
    context = ssl.create_default_context()
    context.load_cert_chain(certfile, keyfile)  # type: ignore[arg-type]
    return context
