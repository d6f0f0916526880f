"""What a program does with a connection: the verbs, and the ways to sign in."""

from collections.abc import Callable
from typing import Any

from fuzz.polite import PASSWORD, TOKEN, USER
from securemail import Anonymous, External, Password, Token

Step = Callable[[Any], object]

_MAIL = b"Subject: x\r\n\r\nhello\r\n"

VERBS: dict[str, dict[str, Step]] = {
    "imap": {
        "select": lambda c: c.select(),
        "fetch": lambda c: c.fetch("1", "(BODY[])"),
        "list": lambda c: c.list(),
        "noop": lambda c: c.noop(),
        "append": lambda c: c.append("INBOX", None, None, _MAIL),
        "search": lambda c: c.search(None, "ALL"),
        "uid": lambda c: c.uid("FETCH", "1:*", "(FLAGS)"),
        "capability": lambda c: c.capability(),
        "status": lambda c: c.status("INBOX", "(MESSAGES)"),
        "examine": lambda c: c.select(readonly=True),
        "recent": lambda c: c.recent(),
        "response": lambda c: c.response("FETCH"),
        "store": lambda c: c.store("1", "+FLAGS", "(\\Seen)"),
        "expunge": lambda c: c.expunge(),
        "namespace": lambda c: c.namespace(),
        "enable": lambda c: c.enable("UTF8=ACCEPT"),
        "thread": lambda c: c.thread("REFERENCES", "UTF-8", "ALL"),
        "xatom": lambda c: c.xatom("ID", "NIL"),
        "close": lambda c: c.close(),
        "unselect": lambda c: c.unselect(),
        "logout": lambda c: c.logout(),
    },
    "pop3": {
        "stat": lambda c: c.stat(),
        "retr": lambda c: c.retr(1),
        "list": lambda c: c.list(),
        "list one": lambda c: c.list(1),
        "uidl": lambda c: c.uidl(),
        "uidl one": lambda c: c.uidl(1),
        "top": lambda c: c.top(1, 0),
        "noop": lambda c: c.noop(),
        "dele": lambda c: c.dele(1),
        "rset": lambda c: c.rset(),
        "capa": lambda c: c.capa(),
        "getwelcome": lambda c: c.getwelcome(),
        "utf8": lambda c: c.utf8(),
        "mechanisms": lambda c: c.mechanisms(),
        "quit": lambda c: c.quit(),
    },
    "smtp": {
        "sendmail": lambda c: c.sendmail("a@b.example", ["c@d.example", "e@f.example"], _MAIL),
        "ehlo": lambda c: c.ehlo(),
        "helo": lambda c: c.helo(),
        "noop": lambda c: c.noop(),
        "rset": lambda c: c.rset(),
        "vrfy": lambda c: c.verify("a@b.example"),
        "expn": lambda c: c.expn("list"),
        "help": lambda c: c.help(),
        "mail": lambda c: c.mail("a@b.example"),
        "rcpt": lambda c: c.rcpt("c@d.example"),
        "data": lambda c: c.data(_MAIL),
        "docmd": lambda c: c.docmd("SIZE", "1"),
        "has_extn": lambda c: c.has_extn("auth"),
        "quit": lambda c: c.quit(),
    },
}

_WAYS: dict[str, Step] = {
    "login": lambda c: c.login(USER, PASSWORD),
    "password": lambda c: c.authenticate(Password(USER, PASSWORD)),
    "token": lambda c: c.authenticate(Token(USER, TOKEN)),
    "provider": lambda c: c.authenticate(Token(USER, lambda refused: f"{TOKEN}{refused}")),
    "external": lambda c: c.authenticate(External()),
    "anonymous": lambda c: c.authenticate(Anonymous("trace")),
}
_PLAIN = f"\0{USER}\0{PASSWORD}".encode()
SIGN_IN: dict[str, dict[str, Step]] = {
    "imap": {
        **_WAYS,
        "callable": lambda c: c.authenticate("PLAIN", lambda _: _PLAIN),
        "login_cram_md5": lambda c: c.login_cram_md5(USER, PASSWORD),
        "spelled": lambda c: c.xatom("LOGIN", USER, f'"{PASSWORD}"'),
    },
    "pop3": {
        **_WAYS,
        "user": lambda c: (c.user(USER), c.pass_(PASSWORD)),
        "apop": lambda c: c.apop(USER, PASSWORD),
        "spelled": lambda c: c._shortcmd(f"PASS {PASSWORD}"),
    },
    "smtp": {
        **_WAYS,
        "callable": lambda c: c.auth("PLAIN", lambda challenge=None: _PLAIN.decode()),
        "spelled": lambda c: c.docmd("AUTH", f"PLAIN {PASSWORD}"),
    },
}

# The commands that may be said in clear.
NEUTRAL = {
    "imap": {"CAPABILITY", "STARTTLS", "NOOP", "LOGOUT", "ID"},
    "pop3": {"CAPA", "STLS", "NOOP", "QUIT", "UTF8"},
    "smtp": {"EHLO", "HELO", "STARTTLS", "NOOP", "RSET", "HELP", "QUIT"},
}
UPGRADE = {"imap": "STARTTLS", "pop3": "STLS", "smtp": "STARTTLS"}
