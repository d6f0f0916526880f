"""The transaction by hand."""

import smtplib
import ssl


def main(where):
    server = smtplib.SMTP(where.host, where.submission)
    yield server.helo("me.example.org")
    yield server.mail(where.sender)
    yield server.ehlo("me.example.org")
    code, words = server.starttls(context=ssl.create_default_context())
    yield code, words, server.ehlo_resp, server.helo_resp
    yield server.ehlo("me.example.org")[0]
    yield server.login(where.user, where.password, initial_response_ok=False)
    yield server.mail(where.sender, ["BODY=8BITMIME"])
    yield server.rcpt(where.receiver)
    yield server.data("Subject: by hand\nX: ä\n\n.one\ntwo".encode())
    try:
        yield server.starttls()
    except smtplib.SMTPNotSupportedError as error:
        yield error
    yield server.close()
    try:
        server.rset()
    except smtplib.SMTPServerDisconnected as error:
        yield error
