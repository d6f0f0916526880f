"""Takes the mail home by POP3."""

import poplib
import ssl
from email.parser import BytesParser


def main(where):
    box = poplib.POP3_SSL(where.host, where.pop3s, context=ssl.create_default_context())
    yield box.getwelcome(), box.user(where.user), box.pass_(where.password)
    count, size = box.stat()
    yield count, size
    yield box.list(), box.list(1), box.uidl(), box.uidl(2), box.noop()
    for number in range(1, count + 1):
        response, lines, octets = box.retr(number)
        message = BytesParser().parsebytes(b"\r\n".join(lines) + b"\r\n")
        yield response, octets, message["Subject"], message.get_payload()
        yield box.top(number, 1)
    yield box.dele(1), box.stat(), box.rset(), box.stat(), box.dele(2)
    try:
        box.retr(99)
    except poplib.error_proto as error:
        yield error
    try:
        box.list(2)
    except poplib.error_proto as error:
        yield error
    yield box.quit()
    yield box.close(), hasattr(box, "sock")
