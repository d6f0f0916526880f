"""Reads what is new."""

import email
import email.policy
import imaplib
import ssl


def main(where):
    mail = imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=ssl.create_default_context())
    yield mail.welcome, mail.PROTOCOL_VERSION, mail.state
    yield mail.login(where.user, where.password)
    yield mail.list()
    yield mail.select("INBOX")
    status, data = mail.search(None, "UNSEEN")
    yield status, data
    for number in data[0].split():
        status, header = mail.fetch(number, "(BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)])")
        yield status, header
        status, parts = mail.fetch(number, "(RFC822)")
        for part in parts:
            if isinstance(part, tuple):
                message = email.message_from_bytes(part[1], policy=email.policy.default)
                yield message["Subject"], message.get_body().get_content()
    yield mail.search(None, "UNSEEN")
    yield mail.search(None, "SUBJECT", '"second"')
    yield mail.fetch("1:*", "(FLAGS UID RFC822.SIZE)")
    yield mail.sort("REVERSE ARRIVAL", "UTF-8", "ALL"), mail.thread("REFERENCES", "UTF-8", "ALL")
    yield mail.close(), mail.state
    yield mail.logout(), mail.state
