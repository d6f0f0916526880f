"""A letter to several, of whom a server does not take all."""

import smtplib
import ssl


def main(where):
    letter = "Subject: Newsletter\r\n\r\nNews.\r\n"
    bad = ["nobody@example..org", "nobody@.example.org"]
    with smtplib.SMTP_SSL(
        where.host, where.submissions, context=ssl.create_default_context()
    ) as server:
        server.login(where.user, where.password)
        refused = server.sendmail(where.sender, [where.receiver, *bad], letter)
        for address, (code, reason) in sorted(refused.items()):
            yield address, code, reason
        try:
            server.sendmail(where.sender, bad, letter)
        except smtplib.SMTPRecipientsRefused as error:
            yield error
            yield error.recipients
        try:
            server.sendmail("me@example..org", where.receiver, letter)
        except smtplib.SMTPSenderRefused as error:
            yield error, error.smtp_code, error.smtp_error, error.sender
