"""securemail: POP3, IMAP and SMTP over verified TLS.

Every public name is on this screen; each is loaded when it is first used (PEP 562), so importing
the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    # connections
    "POP3": "pop3",
    "POP3_SSL": "pop3",
    "POP3_STARTTLS": "pop3",
    "IMAP4": "imap",
    "IMAP4_SSL": "imap",
    "IMAP4_STARTTLS": "imap",
    "SMTP": "smtp",
    "SMTP_SSL": "smtp",
    "SMTP_STARTTLS": "smtp",
    # what is wanted
    "TLSPolicy": "policy",
    "AuthPolicy": "policy",
    "Limits": "policy",
    "Pin": "pins",
    "ClientCertificate": "client_certificate",
    # who is believed
    "SystemTrust": "trust.system",
    "CertifiTrust": "trust.system",
    "CATrust": "trust.ca",
    "ExactCertificate": "trust.exact",
    "FirstUseTrust": "trust.first_use",
    "NativeTrust": "trust.native",
    "Waive": "trust.waive",
    "TrustStore": "trust.base",
    "Peer": "trust.base",
    "Vouched": "report",
    # who we are
    "Password": "sasl.credentials",
    "Token": "sasl.token",
    "External": "sasl.credentials",
    "Anonymous": "sasl.credentials",
    "Mechanism": "sasl.mechanism",
    "Terms": "sasl.mechanism",
    # what was found
    "ConnectionReport": "report",
    "TLSReport": "report",
    "AuthReport": "report",
    "TranscriptLine": "transcript.line",
    # errors
    "SecureMailError": "errors",
    "PolicyError": "errors",
    "ConnectFailed": "errors",
    "TLSError": "errors",
    "CertificateRejected": "errors",
    "PinMismatch": "errors",
    "UnknownServer": "errors",
    "UpgradeRefused": "errors",
    "CredentialsRefused": "errors",
    "ProtocolViolation": "errors",
    "LimitExceeded": "errors",
    "TimeLimitExceeded": "errors",
    "AuthenticationFailed": "errors",
    # warnings
    "SecureMailWarning": "errors",
    "SelfSignedWarning": "errors",
    "WaiverWarning": "errors",
    "LegacyCiphersWarning": "errors",
    "PlaintextWarning": "errors",
    "WeakMechanismWarning": "errors",
}
if TYPE_CHECKING:  # the same names, for type checkers
    from .client_certificate import ClientCertificate as ClientCertificate
    from .errors import (
        AuthenticationFailed as AuthenticationFailed,
    )
    from .errors import (
        CertificateRejected as CertificateRejected,
    )
    from .errors import (
        ConnectFailed as ConnectFailed,
    )
    from .errors import (
        CredentialsRefused as CredentialsRefused,
    )
    from .errors import (
        LegacyCiphersWarning as LegacyCiphersWarning,
    )
    from .errors import (
        LimitExceeded as LimitExceeded,
    )
    from .errors import (
        PinMismatch as PinMismatch,
    )
    from .errors import (
        PlaintextWarning as PlaintextWarning,
    )
    from .errors import (
        PolicyError as PolicyError,
    )
    from .errors import (
        ProtocolViolation as ProtocolViolation,
    )
    from .errors import (
        SecureMailError as SecureMailError,
    )
    from .errors import (
        SecureMailWarning as SecureMailWarning,
    )
    from .errors import (
        SelfSignedWarning as SelfSignedWarning,
    )
    from .errors import (
        TimeLimitExceeded as TimeLimitExceeded,
    )
    from .errors import (
        TLSError as TLSError,
    )
    from .errors import (
        UnknownServer as UnknownServer,
    )
    from .errors import (
        UpgradeRefused as UpgradeRefused,
    )
    from .errors import (
        WaiverWarning as WaiverWarning,
    )
    from .errors import (
        WeakMechanismWarning as WeakMechanismWarning,
    )
    from .imap import (
        IMAP4 as IMAP4,
    )
    from .imap import (
        IMAP4_SSL as IMAP4_SSL,
    )
    from .imap import (
        IMAP4_STARTTLS as IMAP4_STARTTLS,
    )
    from .pins import Pin as Pin
    from .policy import (
        AuthPolicy as AuthPolicy,
    )
    from .policy import (
        Limits as Limits,
    )
    from .policy import (
        TLSPolicy as TLSPolicy,
    )
    from .pop3 import (
        POP3 as POP3,
    )
    from .pop3 import (
        POP3_SSL as POP3_SSL,
    )
    from .pop3 import (
        POP3_STARTTLS as POP3_STARTTLS,
    )
    from .report import (
        AuthReport as AuthReport,
    )
    from .report import (
        ConnectionReport as ConnectionReport,
    )
    from .report import (
        TLSReport as TLSReport,
    )
    from .report import (
        Vouched as Vouched,
    )
    from .sasl.credentials import (
        Anonymous as Anonymous,
    )
    from .sasl.credentials import (
        External as External,
    )
    from .sasl.credentials import (
        Password as Password,
    )
    from .sasl.mechanism import Mechanism as Mechanism
    from .sasl.mechanism import Terms as Terms
    from .sasl.token import Token as Token
    from .smtp import (
        SMTP as SMTP,
    )
    from .smtp import (
        SMTP_SSL as SMTP_SSL,
    )
    from .smtp import (
        SMTP_STARTTLS as SMTP_STARTTLS,
    )
    from .transcript import TranscriptLine as TranscriptLine
    from .trust.base import (
        Peer as Peer,
    )
    from .trust.base import (
        TrustStore as TrustStore,
    )
    from .trust.ca import CATrust as CATrust
    from .trust.exact import ExactCertificate as ExactCertificate
    from .trust.first_use import FirstUseTrust as FirstUseTrust
    from .trust.native import NativeTrust as NativeTrust
    from .trust.system import (
        CertifiTrust as CertifiTrust,
    )
    from .trust.system import (
        SystemTrust as SystemTrust,
    )
    from .trust.waive import Waive as Waive

# Made from the table: one screen to keep, not two. Type checkers read the imports above.
__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'securemail' has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
