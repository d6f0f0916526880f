"""`leaks` finds a secret in every encoding that mail clients use, and nothing else."""

import base64
import random
import urllib.parse

import pytest

from servers.leaks import leaks

SECRET = 'pässwörd & "more" \\ +/='


def in_base64(before: bytes, after: bytes) -> bytes:
    return base64.b64encode(before + SECRET.encode() + after)


SENT = {
    "as it is": SECRET.encode(),
    "latin-1": SECRET.encode("latin-1"),
    "UTF-16": SECRET.encode("utf-16"),
    "decomposed": b'pa\xcc\x88sswo\xcc\x88rd & "more" \\ +/=',
    "IMAP quoted": b'"' + SECRET.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"',
    "hexadecimal": SECRET.encode().hex().encode(),
    "hexadecimal in capitals": SECRET.encode().hex().upper().encode(),
    "URL-quoted": urllib.parse.quote(SECRET).encode(),
    "URL-quoted, small letters": urllib.parse.quote(SECRET).lower().encode(),
    "form": urllib.parse.quote_plus(SECRET).encode(),
    "SASL PLAIN": base64.b64encode(f"\0user\0{SECRET}".encode()),
    "SASL PLAIN, authzid": base64.b64encode(f"u\0user\0{SECRET}".encode()),
    "SASL LOGIN": base64.b64encode(SECRET.encode()),
    "base64 at offset 0, followed": in_base64(b"abc", b"z"),
    "base64 at offset 1, followed": in_base64(b"abcd", b"zz"),
    "base64 at offset 2, followed": in_base64(b"abcde", b"zzz"),
    "base64 in lines": base64.encodebytes(b"x" * 50 + SECRET.encode() + b"x" * 50),
    "URL-safe base64": base64.urlsafe_b64encode(b"\xff\xfe\xfd" + SECRET.encode()),
    "base64 of UTF-16": base64.b64encode(b"x" + SECRET.encode("utf-16-le")),
}


@pytest.mark.parametrize("name", SENT)
def test_found(name: str) -> None:
    noise = random.Random(1).randbytes(500)
    assert leaks(noise + SENT[name] + noise, SECRET)


@pytest.mark.parametrize("user", ["", "u", "us", "user", "jürgen@example.org"])
def test_found_in_plain_whatever_the_length_of_the_user(user: str) -> None:
    for password in ("secret", "secrets", "secretss"):
        assert leaks(base64.b64encode(f"\0{user}\0{password}".encode()), password)


def test_says_which_encoding() -> None:
    assert leaks(b"LOGIN secret", "secret") == ["utf-8"]
    assert leaks(base64.b64encode(b"secret"), "secret") == ["utf-8, base64 at offset 0"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a1 LOGOUT\r\n",
        SECRET.encode()[:-1],
        SECRET.encode()[1:],
        base64.b64encode(b"\0user\0" + SECRET.encode()[1:]),
        base64.b64encode(SECRET.encode()[:-2]),
        random.Random(2).randbytes(1_000_000),
        base64.b64encode(random.Random(3).randbytes(1_000_000)),
    ],
)
def test_not_found(data: bytes) -> None:
    assert leaks(data, SECRET) == []


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="by chance"):
        leaks(b"", "12345")
