"""POP3 (RFC 1939) with verified TLS (RFC 8314, RFC 2595) and SASL (RFC 5034), and `poplib`'s own
names: `from securemail import pop3 as poplib`."""

from __future__ import annotations

import poplib as _standard

from ..standard_names import names_of
from .classes import POP3 as POP3
from .classes import POP3_SSL as POP3_SSL
from .classes import POP3_STARTTLS as POP3_STARTTLS
from .errors import POP3AuthenticationFailed as POP3AuthenticationFailed
from .errors import POP3ConnectionLost as POP3ConnectionLost
from .errors import POP3ProtocolViolation as POP3ProtocolViolation
from .errors import POP3Unavailable as POP3Unavailable

__all__ = [*_standard.__all__, "POP3_STARTTLS"]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__ = names_of(_standard, _standard.POP3)


def __dir__() -> list[str]:
    """The standard module's names as well: what looks at a module (a mock's autospec) finds
    them."""
    return sorted({*globals(), *dir(_standard)})
