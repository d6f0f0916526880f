"""Sign-ins without a connection: a mechanism, and what a server says to it.

`tests/vectors/mechanisms.toml` has the dialogues that the documents print.
"""

import tomllib
from pathlib import Path
from typing import Any

from securemail.sasl.credentials import Anonymous, External, Password, Secret
from securemail.sasl.exchange import Dialect
from securemail.sasl.mechanism import Terms
from securemail.sasl.mechanisms import KNOWN
from securemail.sasl.token import Token

_FILE: dict[str, Any] = tomllib.loads(
    (Path(__file__).parent / "vectors" / "mechanisms.toml").read_text(encoding="utf-8")
)
VECTORS: list[dict[str, Any]] = _FILE["vector"]
LINES: list[dict[str, Any]] = _FILE["line"]
SCRAM_VECTORS = [vector for vector in VECTORS if vector["mechanism"].startswith("SCRAM")]

DIALECTS = {
    "imap": Dialect("AUTHENTICATE", "imap"),
    "pop3": Dialect("AUTH", "pop", longest=255),
    "smtp": Dialect("AUTH", "smtp", longest=12288),
}


def named(vector: dict[str, Any]) -> str:
    """For the ids of tests."""
    return f"{vector['mechanism']}: {vector['name']}"


def terms(**changes: Any) -> Terms:
    return Terms(**{"service": "imap", "host": "mail.example.org", "port": 993, **changes})


def credentials_of(vector: dict[str, Any]) -> Any:
    if "token" in vector:
        return Token(vector["user"], vector["token"])
    if "trace" in vector:
        return Anonymous(vector["trace"])
    if "password" in vector:
        return Password(vector["user"], vector["password"])
    return External(vector["user"])


def mechanism_of(vector: dict[str, Any], credentials: Any = None, **changes: Any) -> Any:
    """The mechanism of `vector`, about to begin."""
    for name in ("host", "port"):
        if name in vector:
            changes.setdefault(name, vector[name])
    if "binding" in vector:
        kind, data = vector["binding"]
        changes.setdefault("binding", (kind, Secret(data.encode())))
    nonce = {"_nonce": vector["nonce"]} if "nonce" in vector else {}
    cls = KNOWN[vector["mechanism"]]
    return cls(credentials or credentials_of(vector), terms(**changes), **nonce)


def said(line: str, side: str) -> bytes:
    """The octets of a line of `side` in a vector's dialogue."""
    assert line.startswith(f"{side} "), line
    return line[2:].encode()


def play(vector: dict[str, Any], mechanism: Any) -> list[bytes]:
    """What `mechanism` says where the server says its lines of `vector`."""
    first = mechanism.start()
    servers = [said(line, "S") for line in vector["dialogue"] if line.startswith("S ")]
    return [*([] if first is None else [first]), *map(mechanism.answer, servers)]
