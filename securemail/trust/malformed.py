"""What is still checked of a certificate whose form is waived: dates and key, as far as they can be
read. DER (X.690) is followed to these two parts and no further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from ..certificate import key_size
from ..pem import known_key
from ..reasons import Reason
from .key_facts import date_facts, small_key

_VERSION = 0xA0  # the context tag of the optional version
_TIME = re.compile(rb"(\d\d|\d{4})(\d{10})Z\Z")  # UTCTime, GeneralizedTime: RFC 5280, 4.1.2.5


def malformed_facts(der: bytes, now: datetime) -> Iterator[Reason]:
    """What no waiver of the form covers. Raises `ValueError` where the key cannot be read."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    validity, key = _validity_and_key(der)
    with known_key():
        size = key_size(load_der_public_key(key))
    yield from small_key(size, "of a malformed certificate")
    dates = _dates(validity)
    if dates is not None:
        yield from date_facts(*dates, now)


def not_checked(der: bytes) -> tuple[str, ...]:
    """For the report."""
    has_dates = _dates(_validity_and_key(der)[0]) is not None
    return ("its form", "its purpose", *(() if has_dates else ("its dates: they cannot be read",)))


def _validity_and_key(der: bytes) -> tuple[bytes, bytes]:
    """Of TBSCertificate (RFC 5280, 4.1), each with its own tag and length."""
    certificate, *_ = _at_least(1, _elements(der))
    tbs, *_ = _at_least(1, _elements(_content(certificate)))
    parts = (part for part in _elements(_content(tbs)) if part[0] != _VERSION)
    _, _, _, validity, _, key, *_ = _at_least(6, parts)
    return validity, key


def _at_least(number: int, parts: Iterator[bytes]) -> list[bytes]:
    found = list(parts)
    if len(found) < number:
        raise ValueError("a part that every certificate has is not there")
    return found


def _dates(validity: bytes) -> tuple[datetime, datetime] | None:
    """None where they are not in the form of RFC 5280."""
    try:
        first, last = map(_time, _elements(_content(validity)))
    except ValueError:
        return None
    return first, last


def _time(element: bytes) -> datetime:
    found = _TIME.match(_content(element))
    if found is None:
        raise ValueError("not a time of RFC 5280")
    year, rest = found[1].decode(), found[2].decode()
    if len(year) == 2:
        year = ("19" if year >= "50" else "20") + year
    return datetime.strptime(year + rest, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _elements(data: bytes) -> Iterator[bytes]:
    """The elements of `data`, one after another; `ValueError` where one is cut."""
    while data:
        start, end = _bounds(data)
        if end > len(data) or start > end:
            raise ValueError("a part of the certificate is cut")
        yield data[:end]
        data = data[end:]


def _content(element: bytes) -> bytes:
    start, end = _bounds(element)
    return element[start:end]


def _bounds(data: bytes) -> tuple[int, int]:
    """Where the content of the first element begins and ends."""
    if len(data) < 2:
        raise ValueError("a part of the certificate is cut")
    length = data[1]
    if length < 0x80:
        return 2, 2 + length
    start = 2 + (length & 0x7F)
    return start, start + int.from_bytes(data[2:start], "big")
