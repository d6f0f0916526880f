"""What of a sign-in's lines is secret, or a name: told to the redactor before the line is shown.

Pure. In doubt it is secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

_NAMED = {b"LOGIN", b"USER", b"APOP", b"RPOP"}  # the first word after it is a user's name
_ENCODED = {b"AUTH", b"AUTHENTICATE"}  # the first word after it is a mechanism's name
_COMMANDS = _NAMED | _ENCODED | {b"PASS"}
_LITERAL = re.compile(rb"\{[0-9]+\+?\}")
_DIGEST = re.compile(rb"(.*) ([0-9A-Fa-f]{32,})", re.DOTALL)  # CRAM-MD5's answer
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|(\S+)')
_FIELD = re.compile(rb"([A-Za-z][A-Za-z0-9]{0,9})=(.*)", re.DOTALL)
_NAMES = {b"n", b"a", b"user"}  # of SCRAM, GS2 and OAuth: who it is
_PUBLIC = {b"host", b"port", b"i"}  # where to; how many iterations
_LEAST = 8  # octets of a part: shorter ones are words
_SCRAM = re.compile(rb"(?:[a-z]=[^,]*,)*[rsvpce]=")


class Material(NamedTuple):
    users: frozenset[bytes]
    secrets: frozenset[bytes]


def of_line(line: bytes, *, goes_on: bool) -> Material:
    """Of one that is sent: a command with its arguments, or the answer to a challenge. A password
    is never taken apart: its words are words, and to hide them would tell them."""
    users: set[bytes] = set()
    secrets: set[bytes] = set()
    for each in line.splitlines():
        command, rest = (b"", each) if goes_on else _command(each)
        if command in _NAMED or command in _ENCODED:
            first = _TOKEN.match(rest)
            name, rest = (_unquoted(first), rest[first.end() :].strip()) if first else (b"", rest)
            if command in _NAMED:
                users.add(name)
        if command in _ENCODED or not command:
            _add_encoded(rest.strip(), users, secrets)
        elif not _LITERAL.fullmatch(rest):
            secrets.add(rest)
        if (quoted := _TOKEN.fullmatch(rest.strip())) is not None:
            secrets.add(_unquoted(quoted))
    return Material(frozenset(users - {b""}), frozenset(secrets - users - {b"", b"*", b"="}))


def of_challenge(text: bytes) -> Material:
    """Of what a server asks, still base64: SCRAM's, whose nonce, salt and proofs a password can be
    tried on. Others tell nothing."""
    users: set[bytes] = set()
    secrets: set[bytes] = set()
    for word in text.split():
        message = _decoded(word)
        if message is not None and _SCRAM.match(message):
            secrets.add(word)
            _add_parts(message, users, secrets)
    return Material(frozenset(), frozenset(secrets))


def _command(line: bytes) -> tuple[bytes, bytes]:
    """The command's name, after a tag or not, and what follows; none, where it has no such name."""
    words = line.split(None, 2)
    for at, word in enumerate(words[:2]):
        if word.upper() in _COMMANDS:
            return word.upper(), line.partition(word)[2][1:] if at == 0 else b" ".join(words[2:])
    return b"", line


def _unquoted(found: re.Match[bytes]) -> bytes:
    return found[2] if found[1] is None else re.sub(rb"\\(.)", rb"\1", found[1])


def _add_encoded(text: bytes, users: set[bytes], secrets: set[bytes]) -> None:
    message = _decoded(text)
    secrets.add(text)
    if message is not None:
        _add_message(message, users, secrets)


def _add_message(message: bytes, users: set[bytes], secrets: set[bytes]) -> None:
    """PLAIN has its three parts; of SCRAM and OAuth all is secret but who and where to; of CRAM-MD5
    the digest; of what is not known, all."""
    parts = message.split(b"\0")
    if len(parts) == 3:
        users.update(parts[:2])
        secrets.add(parts[2])
    elif b"\1" in message or message.startswith((b"n,", b"y,", b"p=", b"c=")):
        _add_parts(message, users, secrets)
    elif digest := _DIGEST.fullmatch(message):
        users.add(digest[1])
        secrets.add(digest[2])
    else:
        secrets.update(parts)


def _add_parts(message: bytes, users: set[bytes], secrets: set[bytes]) -> None:
    for part in re.split(rb"[\0\1, ]", message):
        field = _FIELD.fullmatch(part)
        name, value = (field[1], field[2]) if field else (b"", part)
        if name in _NAMES:
            users.add(value)
        elif name not in _PUBLIC:
            secrets.update(_long(value))


def _long(value: bytes) -> Iterator[bytes]:
    """A part, and what it is the base64 of: a salt, a proof."""
    if len(value) >= _LEAST:
        yield value
        yield _decoded(value) or b""


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
