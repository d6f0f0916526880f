"""Shows the conversation."""

import poplib
import ssl


def main(where):
    box = poplib.POP3_SSL(where.host, where.pop3s, context=ssl.create_default_context())
    box.set_debuglevel(1)
    box.user(where.user)
    box.pass_(where.password)
    yield box.stat()
    box.set_debuglevel(2)
    yield box.top(1, 0)
    box.quit()
