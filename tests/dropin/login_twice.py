"""Signs in once more, to be sure: 503 is fine for `login`."""

import smtplib
import ssl


def main(where):
    context = ssl.create_default_context()
    with smtplib.SMTP_SSL(where.host, where.submissions, context=context) as server:
        yield server.login(where.user, where.password)
        yield server.login(where.user, where.password)
        yield server.noop()
