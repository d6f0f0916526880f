"""As short as it gets: no EHLO of one's own, no context."""

import smtplib


def main(where):
    with smtplib.SMTP(where.host, where.submission, timeout=30) as smtp:
        yield smtp.starttls()
        yield smtp.ehlo_resp, smtp.esmtp_features, smtp.does_esmtp
        yield smtp.login(where.user, where.password)
        yield smtp.sendmail(
            where.sender, [where.receiver], b"Subject: bytes\r\n\r\n.dots\r\n..and more\r\n"
        )
