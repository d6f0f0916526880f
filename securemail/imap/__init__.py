"""IMAP4 (RFC 3501, RFC 9051) with verified TLS (RFC 8314) and SASL, and `imaplib`'s own names:
`from securemail import imap as imaplib`."""

from __future__ import annotations

import imaplib as _standard

from ..standard_names import names_of
from .classes import IMAP4 as IMAP4
from .classes import IMAP4_SSL as IMAP4_SSL
from .classes import IMAP4_STARTTLS as IMAP4_STARTTLS
from .errors import IMAP4AuthenticationFailed as IMAP4AuthenticationFailed
from .errors import IMAP4ConnectionLost as IMAP4ConnectionLost
from .errors import IMAP4ProtocolViolation as IMAP4ProtocolViolation
from .errors import IMAP4Unavailable as IMAP4Unavailable
from .stream import IMAP4_stream as IMAP4_stream

__all__ = [*_standard.__all__, "IMAP4_STARTTLS"]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__ = names_of(_standard, _standard.IMAP4)


def __dir__() -> list[str]:
    """The standard module's names as well: what looks at a module (a mock's autospec) finds
    them."""
    return sorted({*globals(), *dir(_standard)})
