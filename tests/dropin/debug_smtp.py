"""Shows the conversation."""

import smtplib
import ssl


def main(where):
    with smtplib.SMTP(where.host, where.submission) as server:
        server.set_debuglevel(1)
        server.starttls(context=ssl.create_default_context())
        server.login(where.user, where.password)
        server.sendmail(where.sender, where.receiver, "Subject: debug\r\n\r\ntext\r\n")
        yield server.debuglevel
