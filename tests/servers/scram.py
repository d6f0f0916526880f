"""The server's side of SCRAM (RFC 5802), honest or forged, as answers of a `Scripted` server.

Written apart from the library's own: what it has wrong, it has wrong by itself.
"""

import base64
import dataclasses
import hashlib
import hmac
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from servers.recording import Conversation
from servers.rude import Answer, asks, says

HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
SALT = b"a salt of 16 oct"


def _hmac(name: str, key: bytes, words: bytes) -> bytes:
    return hmac.new(key, words, name).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class ScramServer:
    """Knows one password. `first` and `final` change its messages before they are sent; `ending`:
    how its signature comes: as a "challenge", with the "success", or "never". `offers_plus`: what
    it believes its offer to be, so that a client that was told otherwise is found out."""

    password: str
    mechanism: str = "SCRAM-SHA-256"
    iterations: int = 4096
    salt: bytes = SALT
    ending: str = "challenge"
    first: Callable[[bytes], bytes] = lambda message: message
    final: Callable[[bytes], bytes] = lambda message: message
    offers_plus: bool = False

    def __call__(self, protocol: str) -> tuple[Answer, ...]:
        """The answers to AUTH and what follows it."""
        if protocol == "imap":  # without SASL-IR
            return (asks(b""), self._play)
        return (self._play_from_command,)

    def _play_from_command(self, conversation: Conversation, protocol: str, tag: bytes) -> None:
        line = bytes(conversation.record.tls).splitlines()[-1]
        self._go_on(conversation, protocol, tag, line.split(b" ")[-1])

    def _play(self, conversation: Conversation, protocol: str, tag: bytes) -> None:
        line = bytes(conversation.record.tls).splitlines()[-1]
        self._go_on(conversation, protocol, tag, line)

    def _go_on(self, conversation: Conversation, protocol: str, tag: bytes, line: bytes) -> None:
        client_first = base64.b64decode(line)
        found = re.fullmatch(
            rb"(?P<gs2>(?:n|y|p=[^,]*),[^,]*,)(?P<bare>n=(.*),r=(?P<r>.*))", client_first
        )
        assert found is not None, client_first
        nonce = found["r"] + b"the-server's-half"
        salt = base64.b64encode(self.salt)
        server_first = self.first(b"r=%s,s=%s,i=%d" % (nonce, salt, self.iterations))
        asks(server_first)(conversation, protocol, tag)
        answer = conversation.read_line().rstrip(b"\r\n")
        if not answer or answer == b"*":
            return refuse(conversation, protocol, tag)
        client_final = base64.b64decode(answer)
        unproved, _, proof = client_final.rpartition(b",p=")
        everything = b",".join((found["bare"], server_first, unproved))
        bound = base64.b64decode(unproved.split(b",")[0].removeprefix(b"c="))
        signature = self._signature(everything, base64.b64decode(proof))
        if signature is None or not self._binding_fits(conversation, found["gs2"], bound):
            return refuse(conversation, protocol, tag)
        return self._end(conversation, protocol, tag, self.final(b"v=" + signature))

    def _signature(self, everything: bytes, proof: bytes) -> bytes | None:
        """In base64; None where the client's proof is wrong."""
        name = HASHES[self.mechanism.removesuffix("-PLUS")]
        salted = hashlib.pbkdf2_hmac(name, self.password.encode(), self.salt, self.iterations)
        stored = hashlib.new(name, _hmac(name, salted, b"Client Key")).digest()
        key = _xor(proof, _hmac(name, stored, everything))
        if hashlib.new(name, key).digest() != stored:
            return None
        server_key = _hmac(name, salted, b"Server Key")
        return base64.b64encode(_hmac(name, server_key, everything))

    def _binding_fits(self, conversation: Conversation, gs2: bytes, bound: bytes) -> bool:
        if gs2.startswith(b"y") and self.offers_plus:
            return False  # somebody took our offer out
        if self.mechanism.endswith("-PLUS"):
            expected = conversation.tls_unique() if gs2.startswith(b"p=tls-unique,") else None
            return expected is not None and bound == gs2 + expected
        return bound == gs2 and not gs2.startswith(b"p")

    def _end(self, conversation: Conversation, protocol: str, tag: bytes, final: bytes) -> None:
        if self.ending == "challenge":
            asks(final)(conversation, protocol, tag)
            conversation.read_line()
        words = base64.b64encode(final) if self.ending == "success" else b"signed in"
        says(
            b"%t OK " + words + b"\r\n", b"+OK " + words + b"\r\n", b"235 2.7.0 " + words + b"\r\n"
        )(conversation, protocol, tag)

    def but(self, **changes: object) -> "ScramServer":
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def refuse(conversation: Conversation, protocol: str, tag: bytes) -> None:
    says(b"%t NO wrong password\r\n", b"-ERR wrong password\r\n", b"535 5.7.8 wrong password\r\n")(
        conversation, protocol, tag
    )


def only_tls12(context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
