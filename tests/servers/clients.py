"""Clients of the standard library, set up as strictly as it allows: the control of the tests."""

import ssl
from pathlib import Path


def strict_context(anchor: Path) -> ssl.SSLContext:
    """Trusts `anchor` alone, and verifies as `kinds.Kind.verify_code` presumes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(anchor)
    return context
