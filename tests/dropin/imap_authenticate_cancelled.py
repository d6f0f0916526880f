"""A SASL mechanism that changes its mind: None calls the sign-in off."""

import imaplib
import ssl


def main(where):
    mail = imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=ssl.create_default_context())
    try:
        mail.authenticate("PLAIN", lambda challenge: None)
    except imaplib.IMAP4.error as error:
        yield error
    yield mail.state
    yield mail.logout()
