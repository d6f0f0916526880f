"""All that a mailbox tells about itself."""

import imaplib
import ssl


def main(where):
    context = ssl.create_default_context()
    with imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=context, timeout=30) as mail:
        yield mail.host, mail.debug, mail.literal, mail.sock.gettimeout()
        mail.login(where.user, where.password)
        yield mail.capability(), mail.capabilities
        try:
            yield mail.enable("UTF8=ACCEPT")
        except imaplib.IMAP4.error as error:
            yield error
        yield mail.enable("CONDSTORE"), mail.utf8_enabled
        yield mail.namespace(), mail.noop()
        yield mail.status("INBOX", "(MESSAGES UNSEEN UIDNEXT RECENT)")
        yield mail.status("Nowhere", "(MESSAGES)")
        yield mail.select()
        yield (
            mail.recent(),
            mail.response("FLAGS"),
            mail.response("EXISTS"),
            mail.response("nothing"),
        )
        yield mail.response("UIDNEXT"), mail.response("PERMANENTFLAGS")
        yield mail.check(), mail.noop(), mail.untagged_responses
        yield mail.unselect()
        yield mail.xatom("ID", '("name" "dropin")')[0]
        yield mail.is_readonly
