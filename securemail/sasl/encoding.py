"""Base64 (RFC 4648, 4): of the protocols' lines, and of SCRAM's messages. Nowhere else."""

from __future__ import annotations

import base64
import binascii


def encode(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def decode(text: bytes) -> bytes:
    """Raises `ValueError` for what is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
