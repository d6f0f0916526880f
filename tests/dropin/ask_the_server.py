"""Asks an SMTP server what it can do."""

import smtplib
import ssl


def main(where):
    server = smtplib.SMTP_SSL(where.host, where.submissions, context=ssl.create_default_context())
    yield server.ehlo_or_helo_if_needed()
    yield server.does_esmtp, server.sock.gettimeout()
    for name in ("size", "AUTH", "8bitmime", "smtputf8", "starttls", "nonsense"):
        yield name, server.has_extn(name), server.esmtp_features.get(name.lower())
    yield server.ehlo_resp
    yield server.helo_resp
    yield server.helo()
    yield server.noop()
    yield server.vrfy("bob"), server.verify("bob"), server.expn("friends")
    yield server.help()
    yield server.rset()
    yield server.docmd("NOOP"), server.docmd("NONSENSE", "at all"), server.docmd("MAIL", "nonsense")
    server.putcmd("NOOP")
    yield server.getreply()
    yield server.mail(where.sender)
    yield server.default_port, smtplib.SMTP_PORT, smtplib.SMTP_SSL_PORT
    yield server.quit()
    yield server.sock, server.file
    try:
        server.noop()
    except smtplib.SMTPServerDisconnected as error:
        yield error
