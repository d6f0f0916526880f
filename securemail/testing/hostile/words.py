"""What polite servers say."""

from __future__ import annotations

from collections.abc import Sequence

from .scenario import Protocol

GREETINGS: dict[Protocol, bytes] = {
    "imap": b"* OK IMAP ready\r\n",
    "pop3": b"+OK POP3 ready\r\n",
    "smtp": b"220 mail.example.org ESMTP\r\n",
}
CONSENTS: dict[Protocol, bytes] = {
    "imap": b"%t OK begin TLS\r\n",
    "pop3": b"+OK begin TLS\r\n",
    "smtp": b"220 2.0.0 begin TLS\r\n",
}
SUCCESSES: dict[Protocol, bytes] = {
    "imap": b"%t OK signed in\r\n",
    "pop3": b"+OK signed in\r\n",
    "smtp": b"235 2.7.0 signed in\r\n",
}
FAILURES: dict[Protocol, bytes] = {
    "imap": b"%t NO [AUTHENTICATIONFAILED] declined\r\n",
    "pop3": b"-ERR [AUTH] declined\r\n",
    "smtp": b"535 5.7.8 declined\r\n",
}
PROMPTS: dict[Protocol, bytes] = {"imap": b"+ ", "pop3": b"+ ", "smtp": b"334 "}
NOT_KNOWN: dict[Protocol, bytes] = {
    "imap": b"%t BAD not known\r\n",
    "pop3": b"-ERR not known\r\n",
    "smtp": b"502 5.5.2 not known\r\n",
}
#: By their names, so that a password is asked for where clients give it.
BY_PASSWORD = {"PLAIN", "LOGIN"}


def offer(
    protocol: Protocol, mechanisms: Sequence[str], more: Sequence[str], *, login: bool = True
) -> bytes:
    """The answer to CAPABILITY (RFC 9051 7.2.2), CAPA (RFC 2449 5) or EHLO (RFC 5321 4.1.1.1)."""
    if protocol == "imap":
        disabled = () if login and BY_PASSWORD & {*mechanisms} else ("LOGINDISABLED",)
        auth = (f"AUTH={name}" for name in mechanisms)
        words = " ".join(("IMAP4rev1", "SASL-IR", *more, *disabled, *auth))
        return f"* CAPABILITY {words}\r\n%t OK done\r\n".encode()
    names = " ".join(mechanisms)
    if protocol == "pop3":
        user = ("USER",) if login and BY_PASSWORD & {*mechanisms} else ()
        sasl = (f"SASL {names}",) if names else ()
        return "".join(f"{line}\r\n" for line in ("+OK", *user, "UIDL", *more, *sasl, ".")).encode()
    auth_line = (f"AUTH {names}",) if names else ()
    lines = ("mail.example.org", *more, *auth_line)
    return "".join(f"250-{line}\r\n" for line in lines).encode() + b"250 8BITMIME\r\n"
