"""Hands a letter to a mail store on the same computer (LMTP, RFC 2033)."""

import smtplib


def main(where):
    with smtplib.LMTP(where.lmtp_socket) as server:
        yield server.ehlo()
        yield server.has_extn("pipelining")
        yield server.sendmail(
            where.sender, [where.receiver], f"To: {where.receiver}\r\nSubject: lmtp\r\n\r\ntext\r\n"
        )
        yield server.sock.family.name
