"""Puts read mail away."""

import imaplib
import ssl


def main(where):
    letter = b"From: me@example.org\r\nSubject: draft\r\n\r\nto be continued\r\n"
    with imaplib.IMAP4_SSL(
        where.host, where.imaps, ssl_context=ssl.create_default_context()
    ) as mail:
        mail.login(where.user, where.password)
        yield mail.create("Archive"), mail.create("Archive.2026"), mail.create("Archive")
        yield mail.list('""', "*"), mail.list('""', "Arch%"), mail.list("Archive.")
        yield mail.append("Archive", r"\Draft \Seen", None, letter)[0]
        yield mail.append("Nowhere", None, None, letter)
        yield mail.select()
        yield mail.store("1", "+FLAGS", r"\Deleted")
        yield mail.store("1:2", "FLAGS", r"(\Seen \Flagged)")
        yield mail.copy("1:2", "Archive")
        yield mail.copy("1", "Nowhere")
        yield mail.store("1", "+FLAGS", r"\Deleted"), mail.expunge()
        yield mail.uid("SEARCH", "ALL"), mail.uid("FETCH", "2", "(FLAGS)")
        yield mail.uid("COPY", "2", "Archive.2026"), mail.uid("STORE", "2", "-FLAGS.SILENT", "()")
        yield mail.uid("STORE", "3", "+FLAGS", r"(\Deleted)"), mail.close()
        yield mail.select("Archive", readonly=True), mail.is_readonly
        yield mail.fetch("1:*", "(FLAGS BODY[HEADER])")
        yield mail.rename("Archive.2026", "Old"), mail.subscribe("Old"), mail.lsub()
        yield mail.unsubscribe("Old"), mail.delete("Old"), mail.delete("Nowhere")
        yield mail.unselect()
    yield mail.state
