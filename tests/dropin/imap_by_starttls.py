"""Port 143, then STARTTLS."""

import imaplib
import ssl


def main(where):
    with imaplib.IMAP4(where.remote_host, where.imap) as mail:
        yield mail.welcome, mail.capabilities, mail.state
        yield mail.starttls(ssl_context=ssl.create_default_context())
        yield mail.capabilities
        yield mail.login(where.user, where.password)
        yield mail.select("INBOX", True)
        yield mail.fetch("1", "(BODY[TEXT])")
        try:
            mail.starttls()
        except mail.abort as error:
            yield error
    yield mail.state

    mail = imaplib.IMAP4(where.remote_host, where.imap, timeout=30)
    yield mail.starttls()
    yield mail.login(where.user, where.password), mail.sock.gettimeout(), mail.socket() is mail.sock
    yield mail.logout()
