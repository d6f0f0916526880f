"""The server's side of SCRAM (RFC 5802), honest or forged.

Written apart from the library's own: what that has wrong, it has wrong by itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Literal

from .notes import Did, Proved

if TYPE_CHECKING:
    from .play import Session
    from .sign_in import SignIn

HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MOST_ITERATIONS = 1 << 20  # that this side counts itself; beyond, nobody's proof is looked at
FIRST = re.compile(rb"(?P<gs2>[^,]*,[^,]*,)(?P<bare>n=[^,]*,r=(?P<nonce>[^,]*).*)", re.DOTALL)
Word = Literal["right", "wrong", "empty", "missing", "error"]


class ScramServer:
    def __init__(self, session: Session, sign_in: SignIn, mechanism: str) -> None:
        self._session, self._sign_in, self._mechanism = session, sign_in, mechanism
        self._scram = session.setup.scenario.scram

    def play(self, initial: bytes | None) -> None:
        from .sign_in import CalledOff

        first = FIRST.fullmatch(self._sign_in.challenge(b"") if initial is None else initial)
        if first is None:
            raise CalledOff
        server_first = self._first(first["nonce"])
        final = self._sign_in.challenge(server_first)
        unproved, _, proof = final.rpartition(b",p=")
        if not proof:
            raise CalledOff
        iterations = self._scram.iterations
        self._session.note(Proved(self._session.over, self._mechanism, iterations))
        self._end(self._final(b",".join((first["bare"], server_first, unproved))))

    def _first(self, nonce: bytes) -> bytes:
        own = {"appended": nonce + b"the-server's", "the client's": nonce}
        salt = base64.b64encode(self._scram.salt)
        used = own.get(self._scram.nonce, b"the-server's-alone")
        return b"r=%s,s=%s,i=%d" % (used, salt, self._scram.iterations)

    def _final(self, everything: bytes) -> bytes:
        right = base64.b64encode(self._signature(everything))
        wrong = base64.b64encode(bytes(len(base64.b64decode(right))))
        said: dict[Word, bytes] = {
            "right": b"v=" + right,
            "wrong": b"v=" + wrong,
            "empty": b"v=",
            "error": b"e=other-error",
        }
        return said.get(self._scram.signature, b"")

    def _signature(self, everything: bytes) -> bytes:
        name, scram = HASHES[self._mechanism], self._scram
        password = self._session.setup.password.encode()
        iterations = min(scram.iterations, MOST_ITERATIONS)
        salted = hashlib.pbkdf2_hmac(name, password, scram.salt, max(iterations, 1))
        server_key = hmac.digest(salted, b"Server Key", name)
        return hmac.digest(server_key, everything, name)

    def _end(self, final: bytes) -> None:
        """The last challenge, with the proof, is answered by an empty line; then comes success."""
        if final:
            self._sign_in.challenge(final, last=True)
        self._sign_in.succeed(self._mechanism)
        if self._scram.signature != "right":
            self._session.note(Did(self._session.over, "proof"))
