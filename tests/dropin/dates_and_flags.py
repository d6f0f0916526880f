"""The helpers of the module."""

import imaplib
import ssl
import time


def main(where):
    when = time.gmtime(1_700_000_000)
    yield imaplib.Int2AP(4711), imaplib.ParseFlags(b"1 (FLAGS (\\Seen \\Flagged own))")
    yield imaplib.ParseFlags(b"no flags")
    date = imaplib.Time2Internaldate(when)
    yield date, imaplib.Time2Internaldate('"01-Feb-2026 10:00:00 +0100"')
    yield time.strftime(
        "%Y-%m-%d", imaplib.Internaldate2tuple(b"1 (INTERNALDATE %s)" % date.encode())
    )
    yield imaplib.Internaldate2tuple(b"nonsense")
    yield imaplib.Commands["STARTTLS"], imaplib.IMAP4_PORT, imaplib.IMAP4_SSL_PORT
    yield imaplib.CRLF, sorted(imaplib.Mon2num), imaplib.AllowedVersions
    mail = imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=ssl.create_default_context())
    mail.login(where.user, where.password)
    yield mail.append("INBOX", "(own \\Seen)", date, b"Subject: dated\r\n\r\ntext\r\n")[0]
    mail.select()
    _, data = mail.fetch("*", "(FLAGS INTERNALDATE)")
    yield imaplib.ParseFlags(data[0])
    yield time.mktime(imaplib.Internaldate2tuple(data[0]))
    yield mail.logout()
