"""What a sign-in may travel over: a verified channel, or an exception that the policy has a reason
for. Asked again before every attempt.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from .channel import Channel, Excepted, Plaintext, Verified, has_ended, require_verified
from .connecting import goes_where_it_says
from .connector import Connector
from .errors import CredentialsRefused, PlaintextWarning, warn
from .policy import AuthPolicy, TLSPolicy
from .sasl.choose import APOP, IN_CLEAR, Line, Offer
from .sasl.exchange import Dialect
from .sasl.mechanism import Terms
from .tls.binding import Binding, NoBinding, binding_of
from .tls.verify import channel_of
from .trouble import Trouble


class Travel(Trouble):
    """The part of a connection that knows what there is to travel over."""

    _DIALECT: ClassVar[Dialect]

    sock: Any = None
    _connector: Connector | None = None  # what opens the socket, where that is the caller's
    _went_by: Connector | None = None  # that, or what the program put in the standard one's place
    _dialled: Any = None  # the socket in clear, where it is one of our own dialling
    _auth: AuthPolicy = AuthPolicy()
    _channel: Channel = Plaintext("there is no connection")
    _excepted: Excepted | None = None  # while a sign-in goes in clear, as the policy allows
    _offered: Offer = Offer(mechanisms=())  # what the server takes, as it said for this sign-in
    _over: Line = Line()  # what there was to travel over, for this sign-in
    _declined: str = ""  # why this connection takes no further sign-in

    def _policy_here(self) -> TLSPolicy | None:
        """The policy that this connection goes by; None beside a context of the caller's own."""
        raise NotImplementedError

    def _wanted_binding(self) -> str:
        policy = self._policy_here()
        return "prefer" if policy is None else policy.channel_binding

    def _binding(self) -> Binding | NoBinding:
        """The channel binding that the policy wants, or why there is none."""
        if not isinstance(self._current_channel(), Verified):
            return NoBinding("there is no verified TLS")
        return binding_of(self.sock, self._wanted_binding())

    def _current_channel(self) -> Channel:
        """What the socket in use now is, whoever put it there (a subclass that goes by a proxy)."""
        held = self._channel
        is_known = isinstance(held, Verified) and held.sock is self.sock
        if has_ended(self.sock) and self.sock.fileno() != -1:  # closed, it is still reported on
            is_known = False
        if self._endpoint is not None and self.sock is not None and not is_known:
            self._channel = channel_of(self.sock, self._endpoint.name)
        return self._channel

    def _require_fresh(self, name: str = "", *, binds: bool = False) -> None:
        """Nothing secret goes by the way `name` unless the channel allows it, it is one that
        `binds` to that where the policy requires it, and no sign-in was declined on it."""
        self._require_channel(name)
        if self._wanted_binding() == "require" and not binds:
            raise CredentialsRefused(
                f"{name or 'a sign-in that is spelled out'} is not bound to this TLS connection, "
                'and the policy says channel_binding="require".',
                code="no-mechanism",
                hint="Use login(user, password), with a server that has SCRAM with -PLUS.",
                **{**self._details(), "credentials_sent": False},
            )

    def _require_channel(self, name: str = "") -> None:
        """The channel is verified, or the policy has a reason for this way; and no sign-in was
        declined on it."""
        self._raise_ended()
        if self._clear_reason(name) is None:
            where = {**self._details(), "credentials_sent": False}
            require_verified(self._current_channel(), self.sock, **where)
        if self._declined:
            raise CredentialsRefused(
                f"this connection takes no further sign-in: {self._declined}.",
                code="sign-in-declined",
                hint="Connect again for another attempt.",
                **{**self._details(), "credentials_sent": False},  # not those of this attempt
            )

    def _clear_reason(self, name: str) -> str | None:
        """The policy's reason for signing in by this way where there is no TLS at all; None over
        TLS, and where it has none."""
        if self.sock is None or isinstance(self.sock, ssl.SSLSocket):
            return None
        if name == APOP:
            return self._auth.apop_in_clear
        is_known = name in IN_CLEAR and self._is_local()
        return self._auth.clear_on_loopback if is_known else None

    def _line(self) -> Line:
        """For the choice. Raises `CredentialsRefused` where nothing may be sent at all."""
        self._raise_ended()
        in_clear = frozenset(n for n in (*IN_CLEAR, APOP) if self._clear_reason(n) is not None)
        self._require_channel(next(iter(in_clear), ""))
        if in_clear:
            return Line(in_clear=in_clear)
        binding, policy = self._binding(), self._policy_here()
        return Line(
            no_binding=binding.why if isinstance(binding, NoBinding) else None,
            must_bind=self._wanted_binding() == "require",
            # Of a context of the caller's own nobody knows what it has.
            has_certificate=policy is None or policy.client_certificate is not None,
        )

    def _terms(self) -> Terms:
        binding = self._binding()
        auth, endpoint = self._auth, self._endpoint
        assert endpoint is not None
        return Terms(
            service=self._DIALECT.service,
            host=endpoint.name.name,
            port=endpoint.port,
            binding=(binding.type, binding.data) if isinstance(binding, Binding) else None,
            binding_offered=any(name.endswith("-PLUS") for name in self._offered.mechanisms),
            iterations=auth.iterations,
            seconds=auth.seconds,
            saslprep=auth.saslprep,
        )

    @contextmanager
    def _excepting(self, name: str) -> Iterator[None]:
        """Around one attempt by this way: where the policy has a reason, told, it may go in
        clear."""
        reason = self._in_clear = self._clear_reason(name)
        if reason is not None:
            warn(
                PlaintextWarning(
                    f"{self._endpoint}: a sign-in by {name} travels in clear, because: {reason}."
                )
            )
            self._excepted = Excepted(self.sock, reason)
        try:
            yield
        finally:
            self._excepted = None

    @property
    def _for_secrets(self) -> Channel | Excepted:
        return self._excepted or self._channel

    def _is_local(self) -> bool:
        """Whether the other end is this computer (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). That is
        known of a socket that we dialled, to an address of the server's name. Of any other, from
        a connector, a subclass or a class put in the place of `socket.socket`, the address may
        be the near end of a proxy or a tunnel, and says nothing of the server."""
        if self._dialled is None or self._dialled is not self.sock:
            return False
        if not goes_where_it_says(self._dialled):
            return False
        try:
            peer = self.sock.getpeername()
        except OSError:
            return False
        if isinstance(peer, (str, bytes)):  # a unix socket
            return True
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
