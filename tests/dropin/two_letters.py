"""One object, which connects again."""

import smtplib
import ssl


def main(where):
    context = ssl.create_default_context()
    server = smtplib.SMTP_SSL(where.host, where.submissions, context=context)
    for number in (1, 2):
        yield server.login(where.user, where.password)
        yield server.sendmail(where.sender, where.receiver, f"Subject: {number}\r\n\r\ntext\r\n")
        yield server.quit()
        yield server.connect(where.host, where.submissions)
    server.close()

    server = smtplib.SMTP(where.host, where.submission)
    for number in (3, 4):
        yield server.starttls(context=context)
        yield server.login(where.user, where.password)
        yield server.sendmail(where.sender, where.receiver, f"Subject: {number}\r\n\r\ntext\r\n")
        yield server.quit()
        yield server.connect(f"{where.host}:{where.submission}")
    yield server.quit()
