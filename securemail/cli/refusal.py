"""An error in words, one fact a line, and for machines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..errors import CertificateRejected, SecureMailError
from ..pins import fingerprint
from ..reasons import Reason
from ..values import Value
from .terminal import say

# By the code of a reason or an error: the option of these commands that its hint speaks of.
_OPTIONS = {
    "self-signed": "--pin PIN, only after comparing",
    "untrusted-root": "--ca FILE",
    "unknown-issuer": "--ca FILE",
    "name-mismatch": "--server-hostname NAME",
    "common-name-only": "--certificate FILE",
    "not-strict": "--no-strict-x509",
    "no-common-cipher": "--legacy-ciphers REASON",
    "weak-dh": "--legacy-ciphers REASON",
    # Neither "unknown-server" nor "key-changed": their hints name another command.
}
_MOST_PAGES = 3  # to be read: the first ones are the deepest trouble


def say_error(error: SecureMailError, margin: str = "  ", *, advise: bool = True) -> None:
    """The facts, whether a password was sent, what to do, and where more is said about it."""
    if isinstance(error, CertificateRejected) and error.reasons:
        say("The server's certificate", margin)
        for reason in error.reasons:
            say(str(reason), f"{margin}- ", f"{margin}  ")
    else:
        say(_capital(error.message.rstrip("\n")), margin)
    if error.credentials_sent is False:
        say("No password was sent.", margin)
    if error.hint and advise:
        say()
        say(f"What to do: {error.hint}", margin)
    say(f"More: securemail explain {', '.join(_codes(error)[:_MOST_PAGES])}", margin)


def _codes(error: SecureMailError) -> list[str]:
    """Of all that is wrong; what the error itself goes by first."""
    reasons = [reason.code for reason in error.reasons if isinstance(reason, Reason)]
    return list(dict.fromkeys([error.code, *reasons]))


def option_for(error: SecureMailError) -> str:
    """The options that follow the error's hint on this command line; empty where none does."""
    codes = [reason.code for reason in error.reasons if isinstance(reason, Reason)] or [error.code]
    if not all(code in _OPTIONS for code in codes):
        return ""  # something that no option should make go away
    if "self-signed" in codes:
        codes = ["self-signed"]  # an exact certificate needs no name and no CA
    return ", ".join(dict.fromkeys(_OPTIONS[code] for code in codes))


def error_as_dict(error: SecureMailError) -> dict[str, Any]:
    """Plain data, for JSON."""
    data: dict[str, Any] = {
        "type": type(error).__name__,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "more": error.more,
        "host": error.host,
        "port": error.port,
        "credentials_sent": error.credentials_sent,
        "reasons": [_reason_as_dict(reason) for reason in error.reasons],
    }
    if isinstance(error, CertificateRejected):
        data["verify_code"] = error.verify_code
        data["chain"] = [fingerprint(der) for der in error.chain]
    return data


def _reason_as_dict(reason: Any) -> dict[str, Any]:
    if not isinstance(reason, Reason):
        return {"text": str(reason)}
    fields = {name: getattr(reason, name) for name in reason._fields}
    return {"code": reason.code, "text": str(reason), **_plain(fields)}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Value):
        return {name: _plain(getattr(value, name)) for name in value._fields}
    return value


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
