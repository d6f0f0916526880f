"""SMTP submission (RFC 6409) with verified TLS (RFC 8314, RFC 3207) and AUTH (RFC 4954), LMTP, and
`smtplib`'s own names: `from securemail import smtp as smtplib`."""

from __future__ import annotations

import smtplib as _standard

from ..standard_names import names_of
from .classes import SMTP as SMTP
from .classes import SMTP_SSL as SMTP_SSL
from .classes import SMTP_STARTTLS as SMTP_STARTTLS
from .errors import SMTPAuthenticationFailed as SMTPAuthenticationFailed
from .errors import SMTPConnectionLost as SMTPConnectionLost
from .errors import SMTPProtocolViolation as SMTPProtocolViolation
from .errors import SMTPUnavailable as SMTPUnavailable
from .lmtp import LMTP as LMTP

__all__ = [*_standard.__all__, "LMTP", "SMTP_STARTTLS"]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__ = names_of(_standard, _standard.SMTP)


def __dir__() -> list[str]:
    """The standard module's names as well: what looks at a module (a mock's autospec) finds
    them."""
    return sorted({*globals(), *dir(_standard)})
