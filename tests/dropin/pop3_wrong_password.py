"""What goes wrong, as programs catch it."""

import poplib
import ssl


def main(where):
    context = ssl.create_default_context()
    box = poplib.POP3_SSL(where.host, where.pop3s, context=context)
    try:
        box.user(where.user)
        box.pass_("wrong")
    except poplib.error_proto as error:
        yield error, str(error)
    try:
        box.stat()
    except poplib.error_proto as error:
        yield error
    yield box.quit()
    box = poplib.POP3_SSL(where.host, where.pop3s, context=context)
    try:
        box.apop(where.user, where.password)
    except poplib.error_proto as error:
        yield error
    yield box.quit()
    yield poplib.POP3_PORT, poplib.POP3_SSL_PORT, poplib.error_proto.__mro__[1:]
