"""The mechanisms that are known, by name, the strongest first."""

from __future__ import annotations

from typing import Any

from .anonymous import Anonymous
from .cram_md5 import CramMD5
from .external import External
from .login import Login
from .oauthbearer import OAuthBearer
from .plain import Plain
from .scram import (
    ScramSHA1,
    ScramSHA1Plus,
    ScramSHA256,
    ScramSHA256Plus,
    ScramSHA512,
    ScramSHA512Plus,
)
from .xoauth2 import XOAuth2

_BY_STRENGTH = (
    # The password stays here; both sides are proved, and with -PLUS the connection.
    ScramSHA512Plus,
    ScramSHA256Plus,
    ScramSHA1Plus,
    ScramSHA512,
    ScramSHA256,
    ScramSHA1,
    # A token: it ends, and is for one service.
    OAuthBearer,
    XOAuth2,
    # No secret is sent.
    External,
    Anonymous,
    # The password itself.
    Plain,
    Login,
)

KNOWN: dict[str, Any] = {one.name: one for one in (*_BY_STRENGTH, CramMD5)}
# Not CRAM-MD5: whoever sees one digest can guess the password from it, and it proves no server.
DEFAULT = tuple(one.name for one in _BY_STRENGTH)
