"""Secure mail-client connections: POP3, IMAP and SMTP over verified TLS."""

__all__ = ["__version__"]

__version__ = "0.1.0"


def __dir__() -> list[str]:
    return sorted(__all__)
