"""SCRAM (RFC 5802, 7677): both sides prove that they know the password, and neither shows it. With
-PLUS, also that both are ends of the same TLS connection (RFC 5056).

Checked here: the server's nonce, salt and number of iterations before anything is made of the
password; its proof before its success is believed. What is sent can be guessed from off-line by the
server it goes to: verified TLS is what keeps others from it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from typing import ClassVar

from ..errors import printable
from ..redact import hide
from .credentials import Password, Secret
from .encoding import encode
from .gs2 import saslname
from .mechanism import Broken, Refusal, Terms, Unproved, Unusable
from .prep import saslprep
from .scram_words import (
    KNOWN_ERRORS,
    Attributes,
    ServerFirst,
    attributes,
    read_final,
    read_first,
    server_error,
)

_NONCE_OCTETS = 24  # random: 32 characters of base64 (RFC 5802, 5.1, "r")
_NOT_WORTH_MEASURING = 16_384  # iterations: some milliseconds, wherever this runs
_PROBE = 2048  # iterations, twice


class Scram:
    """Client first, server first, client final, server final (RFC 5802, 3). Made for one hash by a
    subclass. `_nonce`: for the examples of the RFCs."""

    name: ClassVar[str]
    hash: ClassVar[str]
    binds: ClassVar[bool] = False
    takes = Password

    def __init__(self, credentials: Password, terms: Terms, *, _nonce: str = "") -> None:
        self._credentials, self._terms = credentials, terms
        self._gs2 = _gs2_header(self.name, terms)
        self._nonce = _nonce or encode(os.urandom(_NONCE_OCTETS)).decode()
        user = _prepared("user name", Secret(credentials.user), terms)
        self._bare = b"n=" + saslname(user.reveal()) + b",r=" + self._nonce.encode()
        password = Secret(credentials.password.reveal().decode())
        self._password = _prepared("password", password, terms)
        self._expected: Secret | None = None  # the server's signature, while it is due
        self._next = "server-first"
        self.refusal: Refusal | None = None
        self.is_complete = False
        self.sent = ""
        self.bound: str | None = None

    @property
    def awaits_proof(self) -> bool:
        return self._expected is not None

    def start(self) -> bytes:
        return self._gs2 + self._bare

    def answer(self, challenge: bytes) -> bytes | None:
        now, self._next = self._next, "nothing"  # unless all is well
        if now == "server-first":
            return self._prove(challenge)
        return self._believe(challenge) if now == "server-final" else None

    def _prove(self, message: bytes) -> bytes:
        """The client-final message, to a server-first one that keeps the terms."""
        found = attributes(message)
        if server_error(found):
            return self._refused(found)
        first = read_first(found, self._nonce)
        _require_bounds(first.iterations, self._terms)
        key = (self.hash, first.salt, first.iterations)
        salted = self._credentials.salted(key, lambda: self._derive(first))
        unproved = Secret(b"c=%s,r=%s" % (self._binding(), first.nonce.encode()))
        everything = Secret(b",".join((self._bare, message, unproved.reveal())))
        proof, self._expected = _proofs(self.hash, salted, everything)
        self._next, self.sent = "server-final", "a proof of the password"
        return b"%s,p=%s" % (unproved.reveal(), encode(proof.reveal()))

    def _believe(self, message: bytes) -> bytes:
        """Complete, if the server's signature is that of one who knows the password."""
        expected, self._expected = self._expected, None
        if not message:
            raise Unproved("said success without proving that it knows the password")
        if not message.startswith((b"v=", b"e=")):  # a word of its success, perhaps
            raise Unproved("gave no proof that it knows the password")
        found = attributes(message)
        if server_error(found):
            return self._refused(found)
        proof = read_final(found).encode()
        # As base64: nothing else than the one spelling of it (RFC 4648, 3.5).
        if expected is None or not hmac.compare_digest(encode(expected.reveal()), proof):
            raise Unproved("sent a wrong proof: it does not know the password")
        self.is_complete = True
        return b""

    def _refused(self, found: Attributes) -> bytes:
        said = server_error(found)
        if said not in KNOWN_ERRORS:
            said = printable(hide(said.encode(), self._credentials.secrets))
        self.refusal = Refusal(said)
        return b""

    def _binding(self) -> bytes:
        """The header again, and what both ends know of the channel (RFC 5802, 5.1, "c")."""
        binding = self._terms.binding if self._gs2.startswith(b"p") else None
        self.bound = binding[0] if binding else None
        return encode(self._gs2 + (binding[1].reveal() if binding else b""))

    def _derive(self, first: ServerFirst) -> bytes:
        _require_time(self.hash, first.iterations, self._terms.seconds)
        octets = Secret(self._password.reveal().encode())
        return hashlib.pbkdf2_hmac(self.hash, octets.reveal(), first.salt, first.iterations)


def _gs2_header(name: str, terms: Terms) -> bytes:
    """RFC 5802, 6: `y` tells the server that its offer of -PLUS, should it have made one, was taken
    out on the way."""
    if not name.endswith("-PLUS"):
        return b"y,," if terms.binding and not terms.binding_offered else b"n,,"
    if terms.binding is None:
        raise Unusable(
            f"{name} needs a channel binding, and this connection has none.",
            code="channel-binding",
            hint=f"Take {name.removesuffix('-PLUS')}.",
        )
    return f"p={terms.binding[0]},,".encode()


def _prepared(what: str, text: Secret, terms: Terms) -> Secret:
    """The text as SASLprep has it; as it is, where it cannot be prepared and the terms allow it."""
    try:
        prepared = Secret(saslprep(text.reveal()))
        if prepared.reveal():
            return prepared
        wrong = "nothing is left of it"
    except ValueError as error:
        wrong = f"it has {error}"
    if terms.saslprep == "prefer":
        return text
    raise Unusable(
        f"SCRAM cannot prepare the {what} (SASLprep, RFC 4013): {wrong}.",
        code="saslprep",
        hint=f'Another {what}; or AuthPolicy(saslprep="prefer"), which uses it as it is.',
    )


def _require_bounds(iterations: int, terms: Terms) -> None:
    """RFC 7677, 4 has the least. The most: what a server asks for is work for this computer."""
    least, most = terms.iterations
    if not least <= iterations <= most:
        raise Broken(
            f"asked for {iterations:,} iterations of SCRAM, where {least:,} to {most:,} are "
            "accepted (AuthPolicy(iterations=...))"
        )


def _require_time(name: str, iterations: int, seconds: float) -> None:
    """Nothing interrupts PBKDF2 once it runs, so a little of it is measured first."""
    if iterations <= _NOT_WORTH_MEASURING:
        return
    expected = min(_measured(name) for _ in range(2)) * iterations / _PROBE
    if expected > seconds:
        raise Broken(
            f"asked for {iterations:,} iterations of SCRAM, some {expected:.2g} s of work for "
            f"this computer, where {seconds:g} s are accepted (AuthPolicy(seconds=...))"
        )


def _measured(name: str) -> float:
    started = time.perf_counter()
    hashlib.pbkdf2_hmac(name, b"password", b"salt", _PROBE)
    return time.perf_counter() - started


def _proofs(name: str, salted: Secret, everything: Secret) -> tuple[Secret, Secret]:
    """The client's proof, and the server's signature (RFC 5802, 3)."""

    def signed(key: Secret, words: Secret) -> Secret:
        return Secret(hmac.digest(key.reveal(), words.reveal(), name))

    client_key = signed(salted, Secret(b"Client Key"))
    stored_key = Secret(hashlib.new(name, client_key.reveal()).digest())
    signature = signed(stored_key, everything)
    pairs = Secret(zip(client_key.reveal(), signature.reveal(), strict=True))
    proof = Secret(bytes(key ^ sign for key, sign in pairs.reveal()))
    return proof, signed(signed(salted, Secret(b"Server Key")), everything)


class ScramSHA1(Scram):
    """RFC 5802."""

    name = "SCRAM-SHA-1"
    hash = "sha1"


class ScramSHA1Plus(ScramSHA1):
    """RFC 5802, with channel binding."""

    name = "SCRAM-SHA-1-PLUS"
    binds = True


class ScramSHA256(Scram):
    """RFC 7677."""

    name = "SCRAM-SHA-256"
    hash = "sha256"


class ScramSHA256Plus(ScramSHA256):
    """RFC 7677, with channel binding."""

    name = "SCRAM-SHA-256-PLUS"
    binds = True


class ScramSHA512(Scram):
    """draft-melnikov-scram-sha-512."""

    name = "SCRAM-SHA-512"
    hash = "sha512"


class ScramSHA512Plus(ScramSHA512):
    """draft-melnikov-scram-sha-512, with channel binding."""

    name = "SCRAM-SHA-512-PLUS"
    binds = True
