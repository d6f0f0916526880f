"""The letter that every tutorial sends, through port 587."""

import smtplib
import ssl


def main(where):
    message = f"From: {where.sender}\nTo: {where.receiver}\nSubject: Hi there\n\nSent by Python."
    context = ssl.create_default_context()
    server = smtplib.SMTP(where.host, where.submission)
    try:
        yield server.ehlo()
        yield server.starttls(context=context)
        yield server.ehlo()
        yield server.login(where.user, where.password)
        yield server.sendmail(where.sender, where.receiver, message)
    except smtplib.SMTPException as error:
        yield error
    finally:
        yield server.quit()
