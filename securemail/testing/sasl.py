"""The server's side of the SASL mechanisms (RFC 4422), for all protocols: octets in, octets out.

Written apart from `securemail.sasl`, which these servers are there to try: what either has wrong,
it has wrong by itself. Base64 and lines are the sessions' matter.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Generator

from .accounts import ITERATIONS, Accounts

#: Yields challenges, is sent the answers, and tells at last whether the client has signed in.
Dialogue = Generator[bytes, bytes, bool]
Mechanism = Callable[[Accounts], Dialogue]


def offered(accounts: Accounts) -> dict[str, Mechanism]:
    """The mechanisms by name, less LOGIN, which is for submission alone."""
    for_tokens = {"OAUTHBEARER": oauthbearer, "XOAUTH2": xoauth2} if accounts.has_tokens else {}
    return {"SCRAM-SHA-256": scram_sha_256, "PLAIN": plain, **for_tokens}


async def play(
    dialogue: Dialogue, initial: bytes | None, ask: Callable[[bytes], Awaitable[bytes]]
) -> bool:
    """Whether the client signs in. `ask` sends a challenge and returns what it answers; an initial
    response is the answer to the first challenge, which is not sent then."""
    challenge = next(dialogue)
    answer = await ask(challenge) if initial is None else initial
    while True:
        try:
            challenge = dialogue.send(answer)
        except StopIteration as end:
            return end.value is True
        answer = await ask(challenge)


# Passwords


def plain(accounts: Accounts) -> Dialogue:
    """RFC 4616 2: identity NUL user NUL password."""
    parts = (yield b"").split(b"\0")
    if len(parts) != 3:
        return False
    identity, user, password = parts
    return identity in (b"", user) and accounts.accept(user, password)


def login(accounts: Accounts) -> Dialogue:
    """draft-murchison-sasl-login. Its initial response, which the draft has not, is the user."""
    user = yield b"User Name\0"
    password = yield b"Password\0"
    return accounts.accept(user, password)


_NAME = rb"(?:[^,=]|=2C|=3D)+"  # RFC 5802 5.1, also within OAUTHBEARER (RFC 5801 4)
_EXTENSIONS = rb"(?:,[A-Za-z]=[^,]+)*"
_CLIENT_FIRST = re.compile(
    rb"(?P<header>[ny],(?:a=(?P<identity>%b))?,)"
    rb"(?P<bare>n=(?P<user>%b),r=(?P<nonce>[!-+\x2d-~]+)%b)" % (_NAME, _NAME, _EXTENSIONS)
)
_CLIENT_FINAL = re.compile(
    rb"(?P<unproved>c=(?P<bound>[^,]+),r=(?P<nonce>[^,]+)%b),p=(?P<proof>[^,]+)" % _EXTENSIONS
)


def scram_sha_256(accounts: Accounts) -> Dialogue:
    """RFC 5802 5 and 7, RFC 7677. There is no -PLUS, so "n" and "y" are taken alike, and "p" is
    refused (RFC 5802 6)."""
    first = _CLIENT_FIRST.fullmatch((yield b""))
    if first is None or first["identity"] not in (None, first["user"]):
        return False
    keys = accounts.scram_keys(_unescaped(first["user"]))
    nonce = first["nonce"] + b64encode(os.urandom(18))
    server_first = b"r=%b,s=%b,i=%d" % (nonce, b64encode(keys.salt), ITERATIONS)
    final = _CLIENT_FINAL.fullmatch((yield server_first))
    if final is None or final["nonce"] != nonce or final["bound"] != b64encode(first["header"]):
        return False
    everything = b",".join((first["bare"], server_first, final["unproved"]))
    if not _proves(final["proof"], keys.stored_key, everything):
        return False
    signature = hmac.digest(keys.server_key, everything, "sha256")
    return (yield b"v=" + b64encode(signature)) == b""


def _unescaped(name: bytes) -> bytes:
    return name.replace(b"=2C", b",").replace(b"=3D", b"=")


def _proves(proof: bytes, stored_key: bytes, everything: bytes) -> bool:
    """RFC 5802 3: under the signature, the proof is the key that we have the hash of."""
    try:
        octets = b64decode(proof)
    except Base64Error:
        return False
    if len(octets) != hashlib.sha256().digest_size or b64encode(octets) != proof:
        return False  # the one spelling of it (RFC 4648 3.5)
    signature = hmac.digest(stored_key, everything, "sha256")
    client_key = bytes(one ^ other for one, other in zip(octets, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)


# Tokens

_XOAUTH2 = re.compile(rb"user=(?P<user>[^\x01]+)\x01auth=Bearer (?P<token>[^\x01]+)\x01\x01")
_OAUTHBEARER = re.compile(
    rb"[ny],a=(?P<user>%b),\x01(?P<fields>(?:[A-Za-z]+=[^\x01]*\x01)*)\x01" % _NAME
)


def xoauth2(accounts: Accounts) -> Dialogue:
    """https://developers.google.com/workspace/gmail/imap/xoauth2-protocol, with its error."""
    found = _XOAUTH2.fullmatch((yield b""))
    if found is None:
        return False
    if accounts.accept_token(found["user"], found["token"]):
        return True
    yield _as_json(status="401", schemes="bearer", scope="mail")
    return False


def oauthbearer(accounts: Accounts) -> Dialogue:
    """RFC 7628 3. The user must be named, which a server may ask for (3.1); host and port are not
    looked at. The answer to the error may be any (3.2.3 has one)."""
    found = _OAUTHBEARER.fullmatch((yield b""))
    if found is None:
        return False
    fields = dict(field.split(b"=", 1) for field in found["fields"].split(b"\x01")[:-1])
    scheme, _, token = fields.get(b"auth", b"").partition(b" ")
    if scheme.lower() == b"bearer" and accounts.accept_token(_unescaped(found["user"]), token):
        return True
    yield _as_json(status="invalid_token", scope="mail")
    return False


def _as_json(**members: str) -> bytes:
    return json.dumps(members).encode()
