"""What goes wrong, as programs catch it."""

import imaplib
import ssl


def main(where):
    context = ssl.create_default_context()
    mail = imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=context)
    try:
        mail.login(where.user, "wrong")
    except imaplib.IMAP4.error as error:
        yield error, isinstance(error, imaplib.IMAP4.abort), str(error)
    yield mail.state
    try:
        mail.select()
    except imaplib.IMAP4.error as error:
        yield error
    yield mail.logout()

    with imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=context) as mail:
        yield mail.login(where.user, where.password)
        yield mail.select("Nowhere"), mail.state
        try:
            mail.fetch("1", "(FLAGS)")
        except imaplib.IMAP4.error as error:
            yield error
        yield mail.select(readonly=True)
        yield mail.store("1", "+FLAGS", r"\Seen")
        try:
            mail.fetch("1", "(NONSENSE)")
        except imaplib.IMAP4.error as error:
            yield error
        try:
            mail.uid("NONSENSE", "1")
        except mail.error as error:
            yield error
        try:
            mail.nonsense()
        except AttributeError as error:
            yield error
