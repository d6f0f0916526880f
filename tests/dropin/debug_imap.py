"""Shows the conversation."""

import imaplib
import ssl


def main(where):
    imaplib.Debug = 4
    try:
        mail = imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=ssl.create_default_context())
        yield mail.debug
        mail.login(where.user, where.password)
        mail.select()
        mail.fetch("1", "(FLAGS)")
        mail.logout()
    finally:
        imaplib.Debug = 0
