"""Signs in by a SASL mechanism of one's own doing."""

import imaplib
import ssl


def main(where):
    def plain(challenge):
        asked.append(challenge)
        return f"\0{where.user}\0{where.password}".encode()

    context = ssl.create_default_context()
    asked = []
    with imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=context) as mail:
        yield mail.authenticate("PLAIN", plain)
        yield asked, mail.state, mail.select()
    mail = imaplib.IMAP4_SSL(where.host, where.imaps, ssl_context=context)
    yield mail.login_cram_md5(where.user, where.password), mail.logout()
