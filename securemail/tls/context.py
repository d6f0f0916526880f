"""The sealed context: an `ssl.SSLContext` that enforces a policy wherever it is used."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, NoReturn

from ..client_certificate import ClientCertificate
from ..crl import CRL, load_crls
from ..errors import PolicyError
from ..hosts import Host
from ..pins import Pin
from ..report import TLSReport
from ..standard_ssl import StandardContext, set_value
from ..trust.base import TrustStore, describe
from ..trust.endpoint import Endpoint, say_url
from .gate import Gate, GatedObject, GatedSocket
from .parameters import Parameters, after_trust, before_trust
from .refusal import refusal
from .verify import Rules, judge, negotiated, peer_of


class PolicyContext(StandardContext):  # type: ignore[misc]
    """Made by `TLSPolicy.ssl_context()`; usable wherever an `ssl.SSLContext` is, as a client.

    Sealed: a setting that would change anything raises `PolicyError`, and so does a session to
    resume, or no host where the policy checks names.
    """

    sslsocket_class = GatedSocket
    sslobject_class = GatedObject
    _rules: Rules | None = None  # set last: a context that has rules is sealed
    _endpoint: Endpoint | None = None

    @property
    def port_and_protocol(self) -> tuple[int, str] | None:
        """Of the endpoint that this context was made for."""
        return (self._endpoint[2], self._endpoint[0].upper()) if self._endpoint else None

    def __setattr__(self, name: str, value: Any) -> None:
        if self._rules is None:
            set_value(self, name, value)
        elif getattr(self, name, None) != value:
            raise _sealed(f"{name} = {value!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise _sealed(f"del {name}")

    def wrap_socket(
        self,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | None = None,
        session: Any = None,
    ) -> GatedSocket:
        name = self._server_name(server_side, server_hostname, session)
        wrapped: GatedSocket = StandardContext.wrap_socket(
            self,
            sock,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=name,
        )
        return wrapped

    def wrap_bio(
        self,
        incoming: Any,
        outgoing: Any,
        server_side: bool = False,
        server_hostname: str | None = None,
        session: Any = None,
    ) -> GatedObject:
        name = self._server_name(server_side, server_hostname, session)
        wrapped: GatedObject = StandardContext.wrap_bio(
            self, incoming, outgoing, server_hostname=name
        )
        return wrapped

    def _server_name(self, server_side: bool, host: str | bytes | None, session: Any) -> str | None:
        """The normalised name, or a refusal of what would skip verification."""
        if server_side:
            raise PolicyError("a TLSPolicy is for clients.", code="server-side")
        if session is not None:
            raise PolicyError(
                "session= would resume TLS without verifying the server.",
                code="session-resumed",
                hint="Leave session out.",
            )
        if not host:
            if self._endpoint is not None:
                return self._endpoint[1]
            if self.check_hostname:
                raise PolicyError(
                    "no host was given, and the policy checks names.",
                    code="host-missing",
                    hint="Give server_hostname=, the name that the certificate must be for.",
                )
            return None
        name = Host.parse(host.decode("ascii") if isinstance(host, bytes) else host).name
        if self._endpoint is not None and name != self._endpoint[1]:
            raise PolicyError(
                f"this context is for {say_url(self._endpoint)}, not for the host {name!r}.",
                code="endpoint-mismatch",
                hint="Ask the policy for a context for that host: ssl_context(endpoint=...).",
            )
        return name

    def judge(self, sock: Gate) -> TLSReport:
        """For the gate: the verdict on the socket whose handshake is done."""
        assert self._rules is not None
        return judge(peer_of(sock), negotiated(sock), self._rules)

    def refusal(self, sock: Gate, error: BaseException) -> BaseException:
        """For the gate: the error to raise for `error`, with all that is known of the peer."""
        assert self._rules is not None
        return refusal(sock, error, self._rules)


def _refusing(name: str) -> Callable[..., Any]:
    standard = getattr(StandardContext, name)

    def method(self: PolicyContext, *args: Any, **kwargs: Any) -> Any:
        if self._rules is not None:
            raise _sealed(f"{name}()")
        return standard(self, *args, **kwargs)

    method.__name__ = name
    return method


# By prefix and not by list: a newer Python's set_… and load_… are sealed too.
for _name in dir(StandardContext):
    if _name.startswith(("set_", "load_")):
        setattr(PolicyContext, _name, _refusing(_name))


def _sealed(what: str) -> PolicyError:
    return PolicyError(
        f"this context is sealed: {what} would change what it enforces.",
        code="sealed",
        hint="Make another TLSPolicy, and take its ssl_context().",
    )


def build_context(
    parameters: Parameters,
    trust: TrustStore,
    pins: tuple[Pin, ...],
    warnings: tuple[Warning, ...] = (),
    client_certificate: ClientCertificate | None = None,
    crls: tuple[CRL, ...] = (),
    kind: type[PolicyContext] = PolicyContext,
    endpoint: Endpoint | None = None,
) -> PolicyContext:
    """A new sealed context. Raises `PolicyError` where the store is empty or a setting fails."""
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    before_trust(context, parameters)
    try:
        trust.prepare(context)
    except (ssl.SSLError, OSError) as error:
        raise PolicyError(
            f"the trust store cannot be loaded: {error}.", code="store-unreadable"
        ) from error
    if crls:
        _require_authorities(context, trust)
        load_crls(context, crls)
    after_trust(context, parameters)
    offered = _offer(client_certificate, context, trust) if client_certificate else None
    rules = Rules(
        trust=trust,
        pins=pins,
        in_handshake=context.verify_mode == ssl.CERT_REQUIRED,
        names=context.check_hostname,
        strong=context.security_level >= 2,
        warnings=warnings,
        client_certificate=offered,
        crls=crls,
    )
    set_value(context, "_endpoint", endpoint)
    set_value(context, "_rules", rules)
    return context


def _require_authorities(context: ssl.SSLContext, trust: TrustStore) -> None:
    """A revocation list is an authority's word about what it issued."""
    if context.verify_mode != ssl.CERT_REQUIRED or not context.check_hostname:
        raise PolicyError(
            f"crls= does not go together with {describe(trust)}, where no authority is asked.",
            code="crl",
            hint="Leave crls out; or use SystemTrust() or CATrust(...).",
        )


def _offer(own: ClientCertificate, context: ssl.SSLContext, trust: TrustStore) -> str:
    """Its fingerprint. It is shown in the handshake, so the server must be verified there."""
    if context.verify_mode != ssl.CERT_REQUIRED:
        raise PolicyError(
            f"a client certificate does not go together with {describe(trust)}, which verifies the "
            "server after the handshake only: it would be shown to anybody before.",
            code="client-certificate-trust",
            hint="Use SystemTrust(), CATrust(...) or, for one server, its certificate instead of a "
            'pin: ExactCertificate("server.pem").',
        )
    return own.load(context)
