"""A password that is wrong, and what programs tell of it."""

import smtplib
import ssl


def main(where):
    context = ssl.create_default_context()
    with smtplib.SMTP_SSL(where.host, where.submissions, context=context) as server:
        try:
            server.login(where.user, "wrong")
        except smtplib.SMTPAuthenticationError as error:
            code, text = error.smtp_code, error.smtp_error
            yield code, text
            yield error
        try:
            server.sendmail(where.sender, where.receiver, "Subject: no\r\n\r\n")
        except smtplib.SMTPRecipientsRefused as error:
            yield error

    try:
        with smtplib.SMTP(where.host, where.submission) as server:
            server.starttls(context=context)
            server.login(where.user, "wrong")
    except smtplib.SMTPException as error:
        yield error, isinstance(error, OSError), isinstance(error, smtplib.SMTPResponseException)
    try:
        with smtplib.SMTP(where.host, where.submission) as server:
            server.sendmail(where.sender, where.receiver, "Subject: no\r\n\r\n")
    except smtplib.SMTPSenderRefused as error:
        yield error
