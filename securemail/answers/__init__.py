"""What a server says when it declines a sign-in, and what to do then: one sentence each.

Servers say little, and many say "wrong password" for something else: a setting, an app password
that is wanted, a database that is down. `providers.py` has what the large ones say, `servers.py`
what server programs and the RFCs have. Pure; loaded after a refusal only.
"""

from __future__ import annotations

from .answer import Answer, Said
from .providers import PROVIDERS
from .servers import PROGRAMS, STANDARD, TEMPORARY

# The most specific first. A passing trouble comes before what a provider's name alone suggests.
TABLE: tuple[Answer, ...] = (
    *(one for one in PROVIDERS if one.is_specific),
    *PROGRAMS,
    *TEMPORARY,
    *(one for one in PROVIDERS if not one.is_specific),
    *STANDARD,
)


def hint_for(
    protocol: str, host: str, words: bytes, code: int | None = None, *, password: bool = True
) -> str:
    """What to do after `words`, with which the server `host` declined a sign-in; empty where
    nothing is known. `protocol`: its name, "imap", "pop3" or "smtp", or a text that begins so.
    `code`: SMTP's reply code, where `words` do not begin with it. `password`: that was what was
    given, and no token."""
    said = Said.read(protocol, host, words, code)
    fitting = (one for one in TABLE if password or not one.of_password)
    hint = next((one.hint for one in fitting if one.fits(said)), "")
    return hint if password else hint.replace("The password", "The token")
