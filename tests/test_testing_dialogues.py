"""The server's side of the mechanisms by itself: which words sign in, and which do not.

What is accepted is the control of what is refused: the same words, with one thing put right.
`tests/test_testing_sasl.py` has them over the wire, with clients of others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("aiosmtpd")
pytest.importorskip("trustme")

from securemail.testing.accounts import Accounts
from securemail.testing.sasl import oauthbearer, plain, scram_sha_256, xoauth2

PASSWORD = "correct horse"  # alice's
ADA, ADAS_PASSWORD, TOKEN = "ada@example.org", "battery staple", "ya29.a-token"
ODD, ODD_PASSWORD = "björn, =1", "pässwörd €"
USERS = {"alice": PASSWORD, ADA: ADAS_PASSWORD, ODD: ODD_PASSWORD}


def accounts() -> Accounts:
    return Accounts(USERS, {ADA: TOKEN})


def encoded(words: bytes) -> bytes:
    return base64.b64encode(words)


def ended(dialogue: Generator[bytes, bytes, bool], words: bytes) -> bool:
    """The verdict on words that are the last ones."""
    with pytest.raises(StopIteration) as end:
        dialogue.send(words)
    assert isinstance(end.value.value, bool)
    return end.value.value


@dataclass
class Client:
    """SCRAM by hand, so that each part of it can be another one than is due. `{nonce}` and
    `{header}` in `unproved` are what the RFC puts there (RFC 5802 5)."""

    password: str = PASSWORD
    header: bytes = b"n,,"
    bare: bytes = b"n=alice,r=a-nonce"
    unproved: str = "c={header},r={nonce}"
    proof: Callable[[bytes], bytes] = encoded
    last: bytes = b""

    def final(self, server_first: bytes) -> bytes:
        found = re.fullmatch(rb"r=([^,]+),s=([^,]+),i=(\d+)", server_first)
        assert found is not None
        salt, iterations = base64.b64decode(found[2]), int(found[3])
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), salt, iterations)
        key = hmac.digest(salted, b"Client Key", "sha256")
        header, nonce = encoded(self.header).decode(), found[1].decode()
        unproved = self.unproved.format(header=header, nonce=nonce).encode()
        everything = b",".join((self.bare, server_first, unproved))
        signature = hmac.digest(hashlib.sha256(key).digest(), everything, "sha256")
        pairs = zip(key, signature, strict=True)
        return unproved + b",p=" + self.proof(bytes(one ^ other for one, other in pairs))

    def sign_in(self) -> bool:
        """The server's verdict, wherever it says it."""
        dialogue = scram_sha_256(accounts())
        assert next(dialogue) == b""
        try:
            server_first = dialogue.send(self.header + self.bare)
            server_final = dialogue.send(self.final(server_first))
            assert re.fullmatch(rb"v=[A-Za-z0-9+/]{43}=", server_final)
            dialogue.send(self.last)
        except StopIteration as end:
            return bool(end.value)
        raise AssertionError("it goes on")


def respelled(octets: bytes) -> bytes:
    """32 octets leave two bits of the last letter unused: its successor stands for the same."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    *others, last, end = encoded(octets)
    return bytes([*others, letters[letters.index(last) + 1], end])


ACCEPTED = {
    "as usual": Client(),
    "y": Client(header=b"y,,"),
    "an identity that is the user": Client(header=b"n,a=alice,"),
    "an identity with odd signs": Client(
        password=ODD_PASSWORD,
        header="n,a=björn=2C =3D1,".encode(),
        bare="n=björn=2C =3D1,r=a-nonce".encode(),
    ),
    "extensions": Client(bare=b"n=alice,r=a-nonce,x=1,y=2", unproved="c={header},r={nonce},z=3"),
    "all that a nonce may have": Client(
        bare=b"n=alice,r=" + bytes(set(range(0x21, 0x7F)) - {ord(",")})
    ),
}
REFUSED = {
    "another password": Client(password=ADAS_PASSWORD),
    "no password": Client(password=""),
    "an unknown user": Client(bare=b"n=nobody,r=a-nonce"),
    "a binding": Client(header=b"p=tls-unique,,"),
    "an unknown flag": Client(header=b"x,,"),
    "no flag": Client(header=b",,"),
    "no header": Client(header=b""),
    "another identity": Client(header=b"n,a=ada@example.org,"),
    "an identity without its name": Client(header=b"n,alice,"),
    "no user": Client(bare=b"r=a-nonce"),
    "an empty user": Client(bare=b"n=,r=a-nonce"),
    "an unescaped sign": Client(password=ODD_PASSWORD, bare="n=björn=2C =1,r=a-nonce".encode()),
    "escaped by small letters": Client(
        password=ODD_PASSWORD, bare="n=björn=2c =3d1,r=a-nonce".encode()
    ),
    "no nonce": Client(bare=b"n=alice"),
    "an empty nonce": Client(bare=b"n=alice,r="),
    "a blank in the nonce": Client(bare=b"n=alice,r=a nonce"),
    "a nonce beyond ASCII": Client(bare="n=alice,r=ä".encode()),
    "the wrong order": Client(bare=b"r=a-nonce,n=alice"),
    "an extension that must be understood": Client(bare=b"m=1,n=alice,r=a-nonce"),
    "an extension that is none": Client(bare=b"n=alice,r=a-nonce,x"),
    "half of the nonce": Client(unproved="c={header},r=a-nonce"),
    "more than the nonce": Client(unproved="c={header},r={nonce}x"),
    "another nonce": Client(unproved="c={header},r=x{nonce}"),
    "no nonce at the end": Client(unproved="c={header}"),
    "no binding at the end": Client(unproved="r={nonce}"),
    "another header": Client(unproved="c=eSws,r={nonce}"),
    "a binding after all": Client(unproved="c=biwsYmluZGluZw==,r={nonce}"),
    "the header in clear": Client(unproved="c=n,,,r={nonce}"),
    "an empty proof": Client(proof=lambda octets: b""),
    "a proof that is no base64": Client(proof=lambda octets: b"!"),
    "a short proof": Client(proof=lambda octets: encoded(octets[:-1])),
    "a long proof": Client(proof=lambda octets: encoded(octets + b"\0")),
    "one bit": Client(proof=lambda octets: encoded(octets[:-1] + bytes([octets[-1] ^ 1]))),
    "a proof of nothing": Client(proof=lambda octets: encoded(bytes(32))),
    "base64 in another spelling": Client(proof=respelled),
    "base64 without its end": Client(proof=lambda octets: encoded(octets).rstrip(b"=")),
    "words after the end": Client(last=b"v="),
}


class TestScram:
    @pytest.mark.parametrize("client", ACCEPTED.values(), ids=ACCEPTED.keys())
    def test_accepted(self, client: Client) -> None:
        assert client.sign_in() is True

    @pytest.mark.parametrize("client", REFUSED.values(), ids=REFUSED.keys())
    def test_refused(self, client: Client) -> None:
        assert client.sign_in() is False

    def test_the_other_spelling_decodes_to_the_same(self) -> None:
        """Else the case above would be about another proof."""
        octets = bytes(range(32))
        assert respelled(octets) != encoded(octets)
        assert base64.b64decode(respelled(octets), validate=True) == octets

    def test_a_dialogue_that_was_recorded(self) -> None:
        """The same words of the client are no sign-in to another nonce of the server."""
        client = Client()
        both = accounts()
        one, other = scram_sha_256(both), scram_sha_256(both)
        for dialogue in (one, other):
            next(dialogue)
        final = client.final(one.send(client.header + client.bare))
        other.send(client.header + client.bare)
        assert ended(other, final) is False
        assert one.send(final).startswith(b"v=")
        assert ended(one, b"") is True

    def test_one_salt_for_each_name(self) -> None:
        names = (b"alice", ADA.encode(), b"nobody", b"nobody else")
        one, other = accounts(), accounts()
        salts = [one.scram_keys(name).salt for name in names]
        assert salts == [one.scram_keys(name).salt for name in names]
        assert len({*salts, *(other.scram_keys(name).salt for name in names)}) == 2 * len(names)
        assert {len(salt) for salt in salts} == {16}

    def test_iterations_and_nonces(self) -> None:
        said = set()
        for _ in range(20):
            dialogue = scram_sha_256(accounts())
            next(dialogue)
            words = dialogue.send(b"n,,n=alice,r=a-nonce")
            found = re.fullmatch(rb"r=a-nonce([!-+\x2d-~]{24}),s=[^,]+,i=4096", words)
            assert found is not None
            said.add(found[1])
        assert len(said) == 20


class TestOtherDialogues:
    @pytest.mark.parametrize(
        ("words", "verdict"),
        [
            (b"\0alice\0correct horse", True),
            (b"alice\0alice\0correct horse", True),
            (b"ada@example.org\0alice\0correct horse", False),
            (b"\0alice\0correct horse\0", False),
            (b"alice\0correct horse", False),
            (b"\0\0", False),
        ],
    )
    def test_plain(self, words: bytes, verdict: bool) -> None:
        dialogue = plain(accounts())
        assert next(dialogue) == b""
        assert ended(dialogue, words) is verdict

    @pytest.mark.parametrize(
        ("mechanism", "words"),
        [
            (oauthbearer, b"n,a=ada@example.org,\1auth=Bearer ya29.a-token\1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1auth=bEARER ya29.a-token\1\1"),
            (oauthbearer, b"y,a=ada@example.org,\1auth=Bearer ya29.a-token\1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1port=1\1auth=Bearer ya29.a-token\1host=\1\1"),
            (xoauth2, b"user=ada@example.org\1auth=Bearer ya29.a-token\1\1"),
        ],
    )
    def test_tokens_are_taken(self, mechanism: Any, words: bytes) -> None:
        dialogue = mechanism(accounts())
        assert next(dialogue) == b""
        assert ended(dialogue, words) is True

    @pytest.mark.parametrize(
        ("mechanism", "words"),
        [
            (oauthbearer, b"n,a=ada@example.org,\1auth=Bearer another\1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1auth=Bearer \1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1auth=Basic ya29.a-token\1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1auth=ya29.a-token\1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1host=localhost\1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1\1"),
            (oauthbearer, b"n,a=alice,\1auth=Bearer ya29.a-token\1\1"),
            (xoauth2, b"user=ada@example.org\1auth=Bearer another\1\1"),
            (xoauth2, b"user=alice\1auth=Bearer ya29.a-token\1\1"),
            (xoauth2, b"user=\xff\1auth=Bearer ya29.a-token\1\1"),
        ],
    )
    @pytest.mark.parametrize("last", [b"", b"\1", b"whatever"])
    def test_a_wrong_token_has_an_error_and_then_the_refusal(
        self, mechanism: Any, words: bytes, last: bytes
    ) -> None:
        dialogue = mechanism(accounts())
        next(dialogue)
        assert json.loads(dialogue.send(words))["scope"] == "mail"
        assert ended(dialogue, last) is False

    @pytest.mark.parametrize(
        ("mechanism", "words"),
        [
            (oauthbearer, b"\1"),
            (oauthbearer, b"n,,\1auth=Bearer ya29.a-token\1\1"),
            (oauthbearer, b"p=tls-unique,a=ada@example.org,\1auth=Bearer ya29.a-token\1\1"),
            (oauthbearer, b"n,a=ada@example.org,\1auth=Bearer ya29.a-token\1"),
            (oauthbearer, b"n,a=ada@example.org,\1auth=Bearer ya29.a-token\1\1\1"),
            (oauthbearer, b"n,a=ada=example.org,\1auth=Bearer ya29.a-token\1\1"),
            (oauthbearer, b"user=ada@example.org\1auth=Bearer ya29.a-token\1\1"),
            (xoauth2, b"n,a=ada@example.org,\1auth=Bearer ya29.a-token\1\1"),
            (xoauth2, b"user=ada@example.org\1auth=Bearer ya29.a-token\1"),
            (xoauth2, b"user=ada@example.org\1auth=Basic ya29.a-token\1\1"),
            (xoauth2, b"user=ada@example.org\1auth=Bearer ya29.a-token\1\1\1"),
        ],
    )
    def test_other_words_are_refused_at_once(self, mechanism: Any, words: bytes) -> None:
        dialogue = mechanism(accounts())
        next(dialogue)
        assert ended(dialogue, words) is False
