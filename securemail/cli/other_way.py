"""Where else the server may have the protocol, after an error that says: not that way."""

from __future__ import annotations

from .visit import Place

# The server may have the protocol the other way, on another port; on this one, if it is not the
# usual port for this way: it spoke in clear, or was silent where TLS comes first.
_NOT_THAT_WAY = ("connect-refused", "connect-timed-out", "starttls-not-offered")
_OTHER_WAY_HERE = {False: ("plaintext-port", "not-tls"), True: ("time-limit",)}


def other_way(place: Place, code: str) -> Place | None:
    """`code`: the error's."""
    if code in _NOT_THAT_WAY:
        return place.otherwise()
    if code in _OTHER_WAY_HERE[place.starttls]:
        return place.otherwise() or place.other_way_here()
    return None
