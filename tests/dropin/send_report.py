"""Sends a report with an attachment, TLS from the start."""

import smtplib
import ssl
from email.message import EmailMessage


def main(where):
    letter = EmailMessage()
    letter["Subject"] = "Report of the week"
    letter["From"] = where.sender
    letter["To"] = where.receiver
    letter.set_content("Everything is fine.\n")
    letter.add_attachment(b"a,b\r\n1,2\r\n", maintype="text", subtype="csv", filename="week.csv")

    context = ssl.create_default_context()
    with smtplib.SMTP_SSL(where.host, where.submissions, context=context) as server:
        yield server.login(where.user, where.password)
        yield server.send_message(letter)
    yield server.sock
