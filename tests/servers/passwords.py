"""Passwords as Dovecot's passwd-file stores them."""

import base64
import hashlib
import hmac

SALT = bytes(range(16))  # always the same: what a test sees can be computed beforehand


def plain(password: str) -> str:
    """As it is, for the mechanisms that need it; base64, since it may hold the separators."""
    return "{PLAIN.b64}" + _base64(password.encode())


def scram(hash_name: str, password: str, iterations: int, salt: bytes = SALT) -> str:
    """A SCRAM verifier (RFC 5802, section 3), as `doveadm pw -s SCRAM-SHA-256` prints it.

    doveadm itself ignores the number of rounds it is given. `hash_name` is "sha1" or "sha256";
    the password has to be ASCII, so that SASLprep leaves it as it is.
    """
    assert password.isascii()
    salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    stored_key = hashlib.new(hash_name, client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", hash_name)
    scheme = {"sha1": "SCRAM-SHA-1", "sha256": "SCRAM-SHA-256"}[hash_name]
    fields = (str(iterations), _base64(salt), _base64(stored_key), _base64(server_key))
    return f"{{{scheme}}}{','.join(fields)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
