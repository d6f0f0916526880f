"""Certificates with a few octets changed, under all that reads and explains them. Pure."""

import base64
import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fuzz.choices import Choices
from fuzz.escapes import only, require
from securemail import ExactCertificate, Pin, PolicyError
from securemail.certificate import Certificate
from securemail.cli.facts import fact_rows
from securemail.reasons import Malformed
from securemail.tls.explain import advise, say
from securemail.tls.facts import find_facts
from securemail.trust.base import Peer
from securemail.trust.key_facts import leaf_facts
from securemail.trust.malformed import malformed_facts, not_checked

_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_CODES = (
    0,
    1,
    2,
    3,
    7,
    9,
    10,
    11,
    13,
    18,
    19,
    20,
    23,
    26,
    34,
    41,
    62,
    66,
    67,
    68,
    79,
    80,
    89,
    94,
    999,
)
_PROPERTIES = (
    *("subject", "issuer", "common_name", "fingerprint", "not_before", "not_after", "names"),
    *("addresses", "is_ca", "is_self_issued", "is_self_signed", "key", "signature_hash"),
    *("key_usages", "may_do_tls", "purposes", "may_be_server", "not_understood"),
)


@functools.cache
def certificates() -> tuple[bytes, ...]:
    """The seeds, DER."""
    text = (Path(__file__).parent / "seeds" / "certificates.pem").read_text(encoding="ascii")
    blocks = text.split("-----END CERTIFICATE-----\n")[:-1]
    return tuple(base64.b64decode("".join(block.split("\n")[1:])) for block in blocks)


def _mutated(choices: Choices) -> bytes:
    der = choices.one_of(certificates())
    for _ in range(choices.number(4)):
        der = choices.changed(der)
    return der


def properties(case: bytes) -> None:
    """Making one raises `PolicyError`, and its parts `ValueError`, as they say."""
    der = _mutated(Choices(case))
    try:
        certificate = Certificate(der)
    except PolicyError:
        return
    for name in _PROPERTIES:
        with only(ValueError):
            found: Any = getattr(certificate, name)
            shown = found if isinstance(found, tuple) else (found,)
            texts = [one for one in shown if isinstance(one, str)]
            require(all(text.isprintable() for text in texts), f"{name}: {texts}")
    with only(ValueError):
        Pin.of_key(der)
    require(Pin.of_certificate(der).matches(der), "a certificate that does not match its own pin")


def explained(case: bytes) -> None:
    """Whatever a server shows, the refusal has reasons, in words."""
    choices = Choices(case)
    code = choices.one_of(_CODES)
    chain = tuple(_mutated(choices) for _ in range(choices.number(3) + 1))
    host = choices.one_of(("mail.example.org", "127.0.0.1", "::1", None))
    store = ExactCertificate(pin=Pin("sha256/" + "A" * 43 + "="))
    peer = Peer(host=host, port=993, protocol="IMAP over TLS", presented=chain)
    reasons = find_facts(peer, store, code, "OpenSSL's words", names=True, now=_NOW)
    require(reasons or not code, "a refusal without a reason")
    if reasons:
        _show(say(reasons))
        _advised(reasons, peer, store)


def _advised(reasons: Any, peer: Peer, store: object) -> None:
    """What advises may look into the certificate again, which the refusal has looked into."""
    _show(advise(reasons, peer, store, ()))


def leaves(case: bytes) -> None:
    """The checks of one certificate that is believed by itself, and of one whose form is waived."""
    der = _mutated(Choices(case))
    for reason in leaf_facts(der, _NOW):
        _show(str(reason))
    with only(ValueError):
        for reason in malformed_facts(der, _NOW):
            _show(str(reason))
        require(not_checked(der), "nothing left out")
    if not any(isinstance(reason, Malformed) for reason in leaf_facts(der, _NOW)):
        Pin.of_key(der)
    for label, text in fact_rows(der):
        _show(f"{label} {text}")


def _show(text: str) -> None:
    require(text and text.isprintable(), f"not to be shown: {text!r}")
