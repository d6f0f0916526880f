"""Mails what goes wrong. (`SMTPHandler` imports smtplib itself, so `emit` is one's own.)"""

import logging
import logging.handlers
import smtplib
import ssl


class MailHandler(logging.handlers.SMTPHandler):
    def emit(self, record):
        try:
            with smtplib.SMTP(self.mailhost, self.mailport, timeout=self.timeout) as smtp:
                smtp.starttls(context=ssl.create_default_context())
                smtp.login(self.username, self.password)
                text = f"Subject: {self.getSubject(record)}\r\n\r\n{self.format(record)}\r\n"
                smtp.sendmail(self.fromaddr, self.toaddrs, text)
        except smtplib.SMTPException:
            self.handleError(record)


def main(where):
    handler = MailHandler(
        (where.host, where.submission),
        where.sender,
        [where.receiver],
        "It went wrong",
        credentials=(where.user, where.password),
        secure=(),
    )
    log = logging.getLogger("dropin")
    log.propagate = False
    log.addHandler(handler)
    try:
        log.error("The disk is %d %% full", 99)
    finally:
        log.removeHandler(handler)
    yield handler.mailport == where.submission
