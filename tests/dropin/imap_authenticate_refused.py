"""A SASL mechanism of one's own doing, and a password that is wrong."""

import imaplib
import ssl


def main(where):
    def wrong(challenge):
        return f"\0{where.user}\0wrong".encode()

    mail = imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=ssl.create_default_context())
    try:
        mail.authenticate("PLAIN", wrong)
    except imaplib.IMAP4.error as error:
        yield error
    yield mail.logout()
