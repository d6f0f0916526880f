"""What server programs say, and the codes of the RFCs."""

from __future__ import annotations

from .answer import Answer

_LATER = "The password may be right: the server has a trouble of its own. Try again later."
_ANOTHER_WAY = (
    "The server does not take this mechanism, whatever was given: choose another one, "
    "AuthPolicy(mechanisms=(...))."
)
_WRONG = "The user name or the password is wrong, as far as the server tells."
_NO_TLS_SEEN = (
    "The server takes this connection for one without TLS, so something in front of it takes TLS "
    "off; its administrator has to tell the server."
)

PROGRAMS: tuple[Answer, ...] = (
    # Postfix with Dovecot or Cyrus SASL: corecode/dma#68, bigbluebutton/greenlight#2422
    Answer(text="invalid authentication mechanism", hint=_ANOTHER_WAY),
    Answer(text="no mechanism available", hint=_ANOTHER_WAY),
    Answer(text="authentication mechanism not available", hint=_ANOTHER_WAY),
    Answer(text="unsupported authentication mechanism", hint=_ANOTHER_WAY),
    # basecamp/once#12
    Answer(protocol="smtp", replies=(504,), hint=_ANOTHER_WAY),
    # Postfix, smtpd(8)
    Answer(
        text="authentication not enabled",
        hint="This port takes no sign-in: submit on 465 (SMTP_SSL) or 587 (SMTP_STARTTLS).",
    ),
    # Dovecot, "Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
    Answer(text="plaintext authentication disallowed", hint=_NO_TLS_SEEN),
    # RFC 4954, 4: a line over the server's limit
    Answer(
        enhanced="5.5.6",
        hint="The server does not take so long a line: a shorter token, or another mechanism.",
    ),
    # What many say in their own words.
    Answer(
        text="app password",
        hint="This server wants an app password, made in the account's settings, and not the "
        "account's own.",
        of_password=True,
    ),
    Answer(
        text="application password",
        hint="This server wants an app password, made in the account's settings, and not the "
        "account's own.",
        of_password=True,
    ),
)

# Nothing of these says that the password is wrong.
TEMPORARY: tuple[Answer, ...] = (
    # docker-mailserver/docker-mailserver#3891, chatmail/relay#441: also under too many attempts
    Answer(
        text="connection lost to authentication server",
        hint="The password may be right: the server's sign-in service is down or busy. Try again "
        "later.",
    ),
    Answer(text="temporary authentication failure", hint=_LATER),
    Answer(response="UNAVAILABLE", hint=_LATER),  # RFC 5530, 3
    Answer(response="SYS/TEMP", hint=_LATER),  # RFC 3206, 4
    # RFC 5530, 3; RFC 2449, 8.1.2
    Answer(
        response="INUSE",
        hint="The password may be right: something else has the mailbox open. Try again later.",
    ),
    Answer(
        response="IN-USE",
        hint="The password may be right: another POP3 session has the mailbox open. Try again "
        "later.",
    ),
    # RFC 2449, 8.1.1
    Answer(
        response="LOGIN-DELAY",
        hint="The password may be right: the server wants more time between two sign-ins. Wait, "
        "and ask less often.",
    ),
    # RFC 5530, 3
    Answer(
        response="LIMIT",
        hint="The password may be right: too many connections or sign-ins. Close others, and try "
        "again later.",
    ),
    # RFC 4954, 6
    Answer(
        replies=(432,),
        hint="The server asks for one sign-in by PLAIN, over TLS, after which this mechanism will "
        'do: AuthPolicy(mechanisms=("PLAIN",)).',
    ),
    Answer(protocol="smtp", replies=range(400, 500), hint=_LATER),  # RFC 5321, 4.2.1
)

STANDARD: tuple[Answer, ...] = (
    # RFC 5530, 3
    Answer(
        response="EXPIRED",
        hint="The password or the token was right, and has expired: set a new one.",
    ),
    Answer(
        response="AUTHORIZATIONFAILED",
        hint="The password is right, and this user may not do that: act as somebody else, or use "
        "this mailbox.",
    ),
    Answer(
        response="PRIVACYREQUIRED",
        hint=_NO_TLS_SEEN,
    ),
    Answer(
        response="CONTACTADMIN",
        hint="The server sends you to its administrator: the account may be locked.",
    ),
    Answer(response="AUTHENTICATIONFAILED", hint=_WRONG, of_password=True),
    # RFC 3206, 5 and 4
    Answer(response="AUTH", hint=_WRONG, of_password=True),
    Answer(
        response="SYS/PERM",
        hint="The password may be right: the server cannot open this mailbox until its "
        "administrator has done something.",
    ),
    # RFC 4954, 6
    Answer(
        protocol="smtp",
        replies=(534,),
        enhanced="5.7.9",
        hint="The server takes this mechanism for too weak: choose another one, "
        "AuthPolicy(mechanisms=(...)), or a Token.",
        of_password=True,
    ),
    Answer(protocol="smtp", replies=(538,), hint=_NO_TLS_SEEN),
    Answer(protocol="smtp", replies=(535,), hint=_WRONG, of_password=True),
)
