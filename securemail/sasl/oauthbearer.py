"""OAUTHBEARER (RFC 7628): a bearer token, with whom it is for and where it goes."""

from __future__ import annotations

from .gs2 import saslname
from .oauth import SEPARATOR, Bearer


class OAuthBearer(Bearer):
    """Without channel binding ("n"), which the RFC allows and no server of ours asks for."""

    name = "OAUTHBEARER"
    after_error = SEPARATOR

    def _message(self) -> bytes:
        fields = (
            b"n,a=" + saslname(self._credentials.user) + b",",
            b"host=" + self._terms.host.encode(),
            b"port=%d" % self._terms.port,
            b"auth=Bearer " + self._credentials.token.reveal(),
        )
        return SEPARATOR.join(fields) + SEPARATOR * 2
