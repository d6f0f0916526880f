"""What a SCRAM server says (RFC 5802, 5.1 and 7), read strictly. Pure."""

from __future__ import annotations

from ..errors import printable
from ..values import Value
from .encoding import decode
from .mechanism import Broken

_DEFINED = frozenset("anmrcsipve")  # attributes that have their place, and are no extension
_LONGEST_NONCE = 1024  # characters: it goes back to the server in a line of ours
_LONGEST_SALT = 1024  # octets; the RFCs name no bound, 16 to 64 are usual
_MOST_DIGITS = 15

# RFC 5802, 7: what `e=` may say. Anything else could be made of our words.
KNOWN_ERRORS = frozenset(
    {
        "invalid-encoding",
        "extensions-not-supported",
        "invalid-proof",
        "channel-bindings-dont-match",
        "server-does-support-channel-binding",
        "channel-binding-not-supported",
        "unsupported-channel-binding-type",
        "unknown-user",
        "invalid-username-encoding",
        "no-resources",
        "other-error",
    }
)

Attributes = list[tuple[str, str]]


class ServerFirst(Value):
    """The server's half of the nonce, after ours; the salt; the number of iterations."""

    nonce: str
    salt: bytes
    iterations: int


def attributes(message: bytes) -> Attributes:
    """Names and values, in order. Raises `Broken`: not UTF-8, no name and value, one name twice, or
    an extension that must be understood (RFC 5802, 5.1, "m")."""
    try:
        parts = message.decode().split(",")
    except UnicodeDecodeError:
        raise Broken("sent a SCRAM message that is not UTF-8") from None
    found = [(part[:1], part[2:]) for part in parts]
    for part, (name, value) in zip(parts, found, strict=True):
        is_one = name.isascii() and name.isalpha() and part[1:2] == "="
        if not (is_one and value) or "\0" in value:
            raise Broken(f'sent "{printable(part, 40)}" for an attribute of SCRAM (RFC 5802, 5.1)')
    names = [name for name, _ in found]
    if "m" in names:
        raise Broken("asked for an extension of SCRAM that must be understood, and is not (m=)")
    if len(set(names)) < len(names):
        raise Broken("sent an attribute of SCRAM twice")
    return found


def server_error(found: Attributes) -> str:
    """The value of `e=`; empty where the server has no error to tell."""
    return found[0][1] if found[0][0] == "e" else ""


def read_first(found: Attributes, ours: str) -> ServerFirst:
    """`r`, `s`, `i` in this order; what follows is an extension, and is ignored (RFC 5802, 7).
    `ours`: the client's nonce. Raises `Broken`."""
    _require_order(found, "rsi")
    nonce, salt, iterations = (value for _, value in found[:3])
    return ServerFirst(_nonce(nonce, ours), _salt(salt), _iterations(iterations))


def read_final(found: Attributes) -> str:
    """The server's signature, still base64. Raises `Broken`."""
    _require_order(found, "v")
    return found[0][1]


def _require_order(found: Attributes, expected: str) -> None:
    names = [name for name, _ in found]
    first, others = names[: len(expected)], names[len(expected) :]
    if first != list(expected) or not _DEFINED.isdisjoint(others):
        raise Broken(
            f"sent the attributes {printable(', '.join(names), 80)} of SCRAM, where "
            f"{', '.join(expected)} are due"
        )


def _nonce(nonce: str, ours: str) -> str:
    """RFC 5802, 5.1, "r": ours, with at least one character after it."""
    if not nonce.startswith(ours):
        raise Broken("answered to another nonce than ours: somebody may be replaying words")
    if len(nonce) == len(ours):
        raise Broken("added nothing to our nonce, so that what it says may be a replay")
    if len(nonce) > _LONGEST_NONCE or not all("!" <= character <= "~" for character in nonce):
        raise Broken(
            f"sent a nonce of {len(nonce)} characters, where up to {_LONGEST_NONCE} visible ASCII "
            "ones are accepted"
        )
    return nonce


def _salt(text: str) -> bytes:
    try:
        salt = decode(text.encode())
    except ValueError:
        raise Broken("sent a salt that is not base64") from None
    if not 1 <= len(salt) <= _LONGEST_SALT:
        raise Broken(f"sent a salt of {len(salt)} octets, where 1 to {_LONGEST_SALT} are accepted")
    return salt


def _iterations(text: str) -> int:
    """Digits, and no others: what `int` takes is more (a sign, a blank, digits of all scripts)."""
    is_number = text.isascii() and text.isdigit() and (text[0] != "0" or text == "0")
    if not is_number or len(text) > _MOST_DIGITS:
        raise Broken(f'asked for "{printable(text, 40)}" iterations, which is no usable number')
    return int(text)
