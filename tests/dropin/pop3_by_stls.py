"""Port 110, then STLS."""

import poplib
import ssl


def main(where):
    box = poplib.POP3(where.remote_host, where.pop3, timeout=30)
    yield box.getwelcome(), box.capa(), box.host, box.port == where.pop3
    yield box.stls(context=ssl.create_default_context())
    yield box.capa(), box.sock.gettimeout()
    yield box.user(where.user), box.pass_(where.password)
    yield box.stat(), box.retr(1)
    try:
        box.stls()
    except poplib.error_proto as error:
        yield error
    yield box.quit()
    box = poplib.POP3(where.remote_host, where.pop3)
    yield box.stls(), box.user(where.user), box.pass_(where.password), box.list()
    yield box.utf8() if "UTF8" in box.capa() else None
    yield box.quit()
