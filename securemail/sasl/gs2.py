"""What SCRAM and OAUTHBEARER share (RFC 5801, 4): names within a list that has commas."""

from __future__ import annotations


def saslname(name: str) -> bytes:
    """`name` with the list's own signs written otherwise (RFC 5802, 5.1)."""
    return name.replace("=", "=3D").replace(",", "=2C").encode()
