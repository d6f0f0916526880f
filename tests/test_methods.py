"""Every public method of the standard classes, and what it can carry: a secret, mail, or neither.

A method that a new Python adds fails the first test until somebody decides. The table of
docs/methods.md is written from here.
"""

import contextlib
import dataclasses
import imaplib
import poplib
import smtplib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

import pytest

import securemail
from securemail import (
    CATrust,
    CredentialsRefused,
    Limits,
    PlaintextWarning,
    PolicyError,
    TLSPolicy,
)
from securemail import imap as our_imap
from securemail import pop3 as our_pop3
from securemail import smtp as our_smtp
from servers import scripts
from servers.attempts import shown_of
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import RecordingServer

Carries = Literal["secret", "mail", "neither", "anything"]

MARK = "Zq7-marker-of-a-secret"  # in each argument that reaches the server
DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"


@dataclass(frozen=True)
class Method:
    """`call(client, text)` calls it, with `text` in every argument that is text. `before`: what
    Python has it (3.14: from there on)."""

    carries: Carries
    call: Callable[[Any, str], Any] | None = None
    since: tuple[int, int] = (3, 11)
    why: str = ""


def message(text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", text
    mail.set_content(text)
    return mail


def idle(client: Any, text: str) -> None:
    client.capabilities = (*client.capabilities, "IDLE")
    with client.idle(duration=0.1):
        pass


LOCAL = Method("neither", why="talks to nobody")
ATTRIBUTE = Method("neither", why="an exception class")

POP3 = {
    "apop": Method(
        "secret", lambda c, t: c.apop("someone", t), why="a digest that can be guessed from"
    ),
    "capa": Method("neither", lambda c, t: c.capa()),
    "close": LOCAL,
    "dele": Method("mail", lambda c, t: c.dele(t)),
    "getwelcome": LOCAL,
    "list": Method("mail", lambda c, t: c.list(t)),
    "noop": Method("neither", lambda c, t: c.noop()),
    "pass_": Method("secret", lambda c, t: c.pass_(t)),
    "quit": Method("neither", lambda c, t: c.quit()),
    "retr": Method("mail", lambda c, t: c.retr(t)),
    "rpop": Method("secret", lambda c, t: c.rpop(t), why="signs in by the name alone"),
    "rset": Method("mail", lambda c, t: c.rset()),
    "set_debuglevel": LOCAL,
    "stat": Method("mail", lambda c, t: c.stat()),
    "stls": Method("neither", why="the upgrade itself"),
    "top": Method("mail", lambda c, t: c.top(t, t)),
    "uidl": Method("mail", lambda c, t: c.uidl(t)),
    "user": Method("secret", lambda c, t: c.user(t), why="half of a sign-in"),
    "utf8": Method("neither", lambda c, t: c.utf8()),
    # not public, and used by scripts
    "_shortcmd": Method("anything", lambda c, t: c._shortcmd(f"PASS {t}")),
    "_putcmd": Method("anything", lambda c, t: c._putcmd(f"  APOP user {t}")),
    "_putline": Method("anything", lambda c, t: c._putline(f"AUTH\tPLAIN {t}".encode())),
}

IMAP4 = {
    "abort": ATTRIBUTE,
    "append": Method("mail", lambda c, t: c.append(t, t, None, t.encode())),
    "authenticate": Method("secret", lambda c, t: c.authenticate("PLAIN", lambda _: t.encode())),
    "capability": Method("neither", lambda c, t: c.capability()),
    "check": Method("mail", lambda c, t: c.check()),
    "close": Method("mail", lambda c, t: c.close()),
    "copy": Method("mail", lambda c, t: c.copy(t, t)),
    "create": Method("mail", lambda c, t: c.create(t)),
    "delete": Method("mail", lambda c, t: c.delete(t)),
    "deleteacl": Method("mail", lambda c, t: c.deleteacl(t, t)),
    "enable": Method("mail", lambda c, t: enable(c, t)),
    "error": ATTRIBUTE,
    "expunge": Method("mail", lambda c, t: c.expunge()),
    "fetch": Method("mail", lambda c, t: c.fetch(t, t)),
    "getacl": Method("mail", lambda c, t: c.getacl(t)),
    "getannotation": Method("mail", lambda c, t: c.getannotation(t, t, t)),
    "getquota": Method("mail", lambda c, t: c.getquota(t)),
    "getquotaroot": Method("mail", lambda c, t: c.getquotaroot(t)),
    "idle": Method("mail", idle, since=(3, 14)),
    "list": Method("mail", lambda c, t: c.list(t, t)),
    "login": Method("secret", lambda c, t: c.login("someone", t)),
    "login_cram_md5": Method("secret", lambda c, t: c.login_cram_md5("someone", t)),
    "logout": Method("neither", lambda c, t: c.logout()),
    "lsub": Method("mail", lambda c, t: c.lsub(t, t)),
    "myrights": Method("mail", lambda c, t: c.myrights(t)),
    "namespace": Method("mail", lambda c, t: c.namespace()),
    "noop": Method("neither", lambda c, t: c.noop()),
    "open": Method("neither", why="connects"),
    "partial": Method("mail", lambda c, t: c.partial(t, t, t, t)),
    "print_log": LOCAL,
    "proxyauth": Method("mail", lambda c, t: proxyauth(c, t), why="a name, once signed in"),
    "read": LOCAL,
    "readline": LOCAL,
    "readonly": ATTRIBUTE,
    "recent": Method("neither", lambda c, t: c.recent(), why="sends NOOP"),
    "rename": Method("mail", lambda c, t: c.rename(t, t)),
    "response": LOCAL,
    "search": Method("mail", lambda c, t: c.search(t, t)),
    "select": Method("mail", lambda c, t: c.select(t)),
    "send": Method("anything", lambda c, t: c.send(f"x1 LOGIN user {t}\r\n".encode())),
    "setacl": Method("mail", lambda c, t: c.setacl(t, t, t)),
    "setannotation": Method("mail", lambda c, t: c.setannotation(t, t)),
    "setquota": Method("mail", lambda c, t: c.setquota(t, t)),
    "shutdown": LOCAL,
    "socket": LOCAL,
    "sort": Method("mail", lambda c, t: c.sort(t, t, t)),
    "starttls": Method("neither", why="the upgrade itself"),
    "status": Method("mail", lambda c, t: c.status(t, t)),
    "store": Method("mail", lambda c, t: c.store(t, t, t)),
    "subscribe": Method("mail", lambda c, t: c.subscribe(t)),
    "thread": Method("mail", lambda c, t: thread(c, t)),
    "uid": Method("mail", lambda c, t: c.uid("FETCH", t, t)),
    "unselect": Method("mail", lambda c, t: c.unselect()),
    "unsubscribe": Method("mail", lambda c, t: c.unsubscribe(t)),
    "xatom": Method("anything", lambda c, t: c.xatom("login", "user", t)),
    # not public, and used by scripts
    "_simple_command": Method("anything", lambda c, t: c._simple_command("LOGIN", "user", t)),
    "_command": Method("anything", lambda c, t: c._command("AUTHENTICATE", "PLAIN", t)),
}

SMTP = {
    "auth": Method("secret", lambda c, t: c.auth("PLAIN", lambda _=None: t)),
    "auth_cram_md5": LOCAL,
    "auth_login": LOCAL,
    "auth_plain": LOCAL,
    "close": LOCAL,
    "connect": Method("neither", why="connects"),
    "data": Method("mail", lambda c, t: c.data(t)),
    "docmd": Method("anything", lambda c, t: c.docmd("AUTH", f"PLAIN {t}")),
    "ehlo": Method("neither", lambda c, t: c.ehlo(t)),
    "ehlo_or_helo_if_needed": Method("neither", lambda c, t: c.ehlo_or_helo_if_needed()),
    "expn": Method("mail", lambda c, t: c.expn(t)),
    "getreply": LOCAL,
    "has_extn": LOCAL,
    "helo": Method("neither", lambda c, t: c.helo(t)),
    "help": Method("neither", lambda c, t: c.help(t)),
    "login": Method("secret", lambda c, t: c.login("someone", t)),
    "mail": Method("mail", lambda c, t: c.mail(t, [t])),
    "noop": Method("neither", lambda c, t: c.noop()),
    "putcmd": Method("anything", lambda c, t: c.putcmd(f"auth PLAIN {t}")),
    "quit": Method("neither", lambda c, t: c.quit()),
    "rcpt": Method("mail", lambda c, t: c.rcpt(t, [t])),
    "rset": Method("neither", lambda c, t: c.rset()),
    "send": Method("anything", lambda c, t: c.send(f"auth PLAIN {t}\r\n")),
    "send_message": Method("mail", lambda c, t: c.send_message(message(t))),
    "sendmail": Method("mail", lambda c, t: c.sendmail(t, [t], t)),
    "set_debuglevel": LOCAL,
    "starttls": Method("neither", why="the upgrade itself"),
    "verify": Method("mail", lambda c, t: c.verify(t)),
    "vrfy": Method("mail", lambda c, t: c.vrfy(t)),
}


def enable(client: Any, text: str) -> None:
    client.capabilities = (*client.capabilities, "ENABLE")
    client.state = "AUTH"
    client.enable(text)


def proxyauth(client: Any, text: str) -> None:
    client.state = "AUTH"
    client.proxyauth(text)


def thread(client: Any, text: str) -> None:
    client.thread(text, text, text)


@dataclass(frozen=True)
class Family:
    """One protocol: the standard module and ours, the table, and the classes it is for."""

    protocol: str
    standard: Any
    ours: Any
    methods: dict[str, Method]
    names: tuple[str, ...]

    def connect(self, server: RecordingServer, **args: Any) -> Any:
        """In clear."""
        return getattr(self.ours, self.names[0])("127.0.0.1", server.port, limits=SHORT, **args)

    def connect_tls(self, server: RecordingServer, policy: TLSPolicy) -> Any:
        cls = getattr(self.ours, self.names[0] + "_SSL")
        return cls("127.0.0.1", server.port, limits=SHORT, policy=policy)


SHORT = Limits(connect=5, read=2)
FAMILIES = [
    Family("pop3", poplib, our_pop3, POP3, ("POP3", "POP3_SSL")),
    Family("imap", imaplib, our_imap, IMAP4, ("IMAP4", "IMAP4_SSL", "IMAP4_stream")),
    Family("smtp", smtplib, our_smtp, SMTP, ("SMTP", "SMTP_SSL", "LMTP")),
]


def here(methods: dict[str, Method]) -> dict[str, Method]:
    return {name: m for name, m in methods.items() if m.since <= sys.version_info[:2]}


def cases(*carries: Carries) -> list[Any]:
    return [
        pytest.param(family, name, id=f"{family.protocol}-{name}")
        for family in FAMILIES
        for name, method in here(family.methods).items()
        if method.carries in carries and method.call is not None
    ]


def public_methods(cls: type) -> set[str]:
    return {n for n in dir(cls) if not n.startswith("_") and callable(getattr(cls, n))}


# --- the table is complete ------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.protocol)
def test_of_every_public_method_somebody_decided(family: Family) -> None:
    for name in family.names:
        unknown = public_methods(getattr(family.standard, name)) - here(family.methods).keys()
        assert unknown == set(), f"{name}: what can these carry? Add them to the table"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.protocol)
def test_the_table_has_no_method_that_is_not_there(family: Family) -> None:
    for name in family.names:
        missing = [n for n in here(family.methods) if not hasattr(getattr(family.ours, name), n)]
        assert missing == []


def test_every_standard_connection_class_is_in_the_table() -> None:
    for family in FAMILIES:
        base = getattr(family.standard, family.names[0])
        found = {
            name
            for name, value in vars(family.standard).items()
            if isinstance(value, type) and issubclass(value, base)
        }
        assert found == set(family.names)


# --- in clear -------------------------------------------------------------------------------------


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts as another computer. (Nothing talks beyond loopback in the tests; how it
    is told apart has tests of its own.)"""
    monkeypatch.setattr("securemail.guard.Guarded._is_local", lambda self: False)


@contextlib.contextmanager
def in_clear(family: Family, state: str = "SELECTED", **args: Any) -> Iterator[tuple[Any, Any]]:
    """A connection in clear to a server that would take everything, and that server."""
    with RecordingServer(scripts.POLITE[family.protocol]) as server:
        client = family.connect(server, **args)
        try:
            if family.protocol == "imap":
                client.state = state  # the standard module would hold most commands back before
            yield client, server
        finally:
            client._close_now()


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(("family", "name"), cases("secret", "anything"))
def test_a_secret_is_not_sent_in_clear(family: Family, name: str) -> None:
    with in_clear(family, state="NONAUTH") as (client, server):
        with pytest.raises(CredentialsRefused, match="No password was sent") as raised:
            family.methods[name].call(client, MARK)  # type: ignore[misc]
        if name != "user":  # its name is no secret
            assert leaks(shown_of(raised.value), MARK) == [], "no frame of ours holds it"
        assert client.noop() is not None, "the connection goes on: nothing has happened"
    assert leaks(server.wait()[0].everything, MARK) == []


@pytest.mark.parametrize(("family", "name"), cases("secret", "anything"))
@pytest.mark.parametrize("args", [{}, {"plaintext": "a reason"}], ids=["loopback", "plaintext"])
def test_nor_with_a_reason_nor_to_this_computer(
    family: Family, name: str, args: dict[str, str]
) -> None:
    """Those two are for mail."""
    with in_clear(family, state="NONAUTH", **args) as (client, server):
        with pytest.raises(CredentialsRefused):
            family.methods[name].call(client, MARK)  # type: ignore[misc]
    assert leaks(server.wait()[0].everything, MARK) == []


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(("family", "name"), cases("mail"))
def test_mail_is_not_asked_for_nor_sent_in_clear(family: Family, name: str) -> None:
    with in_clear(family) as (client, server):
        with pytest.raises(PolicyError, match="in clear") as raised:
            family.methods[name].call(client, MARK)  # type: ignore[misc]
        assert raised.value.code == "content-in-clear"
        before = bytes(server.records[0].clear)
        assert leaks(before, MARK) == []
    assert leaks(server.wait()[0].everything, MARK) == []


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(("family", "name"), cases("mail"))
def test_with_a_reason_it_is_and_that_warns(family: Family, name: str) -> None:
    """The control: the same call reaches the server."""
    with in_clear(family, plaintext="a lonely wire") as (client, server):
        sent = len(server.records[0].clear)
        with (
            pytest.warns(PlaintextWarning, match="a lonely wire") as caught,
            contextlib.suppress(family_error(family), ValueError, IndexError),
        ):
            family.methods[name].call(client, MARK)  # type: ignore[misc]
        assert caught[0].filename == __file__, "the warning points at the caller's line"
        with contextlib.suppress(family_error(family)):
            client.noop()
        assert len(server.records[0].clear) > sent
        with warnings.catch_warnings():  # once a connection is enough
            warnings.simplefilter("error", PlaintextWarning)
            with contextlib.suppress(family_error(family), ValueError, IndexError):
                family.methods[name].call(client, MARK)  # type: ignore[misc]


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(("family", "name"), cases("neither"))
def test_what_carries_neither_is_let_through(family: Family, name: str) -> None:
    with in_clear(family, state="NONAUTH") as (client, server):
        sent = len(server.records[0].clear)
        with contextlib.suppress(family_error(family)):
            family.methods[name].call(client, "harmless.example.org")  # type: ignore[misc]
        client._close_now()
        assert len(server.wait()[0].clear) > sent


def family_error(family: Family) -> type[Exception]:
    error: type[Exception] = {
        "pop3": poplib.error_proto,
        "imap": imaplib.IMAP4.error,
        "smtp": smtplib.SMTPException,
    }[family.protocol]
    return error


# --- over TLS: sent, and kept out of everything that is shown -------------------------------------


@pytest.fixture
def policy(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


@contextlib.contextmanager
def over_tls(family: Family, pki: PKI, policy: TLSPolicy) -> Iterator[tuple[Any, Any]]:
    script = scripts.POLITE[family.protocol]
    if family.protocol == "pop3":
        script = scripts.PolitePOP3(greeting=b"+OK ready <1896.697170952@mail.example.org>\r\n")
    with RecordingServer(script, context=pki["good"].server_context()) as server:
        client = family.connect_tls(server, policy)
        try:
            yield client, server
        finally:
            client._close_now()


@pytest.mark.parametrize(("family", "name"), cases("secret", "anything"))
def test_a_secret_is_sent_over_tls_and_shown_nowhere(
    family: Family,
    name: str,
    pki: PKI,
    policy: TLSPolicy,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shown: list[str] = []
    audited.append(lambda event, args: shown.append(f"{event} {args!r}"))
    try:
        with over_tls(family, pki, policy) as (client, server):
            level = {"pop3": "_debugging", "imap": "debug", "smtp": "debuglevel"}[family.protocol]
            setattr(client, level, 5)
            with contextlib.suppress(family_error(family)):
                family.methods[name].call(client, MARK)  # type: ignore[misc]
            with contextlib.suppress(family_error(family)):
                client.noop()
            kept = repr(vars(client)) + repr(client.report)
    finally:
        audited.clear()
    printed = "".join(capfd.readouterr())
    received = server.wait()[0].received_tls.decode("latin-1")
    hidden = ("<secret>", "<user>")
    assert any(word in printed for word in hidden), "the line is shown, without the secret"
    assert any(word in "".join(shown) for word in hidden)
    assert "noop" in received.lower()
    if name not in ("apop", "login_cram_md5", "user", "rpop"):
        assert leaks(server.records[0].everything, MARK), "the control: it was sent"
    for where, text in {"printed": printed, "audited": "".join(shown), "kept": kept}.items():
        assert leaks(text.encode(), MARK) == [] or (name == "user" and where == "kept"), where


audited: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if audited and event.partition(".")[0] in ("poplib", "imaplib", "smtplib"):
        audited[-1](event, args[1:])


sys.addaudithook(_hook)


# --- a declined sign-in is the last, whoever spells it --------------------------------------------


@contextlib.contextmanager
def declining(family: Family, pki: PKI, policy: TLSPolicy) -> Iterator[tuple[Any, Any]]:
    greeting = {"greeting": b"+OK <1896.697170952@mail.example.org>\r\n"}
    script = dataclasses.replace(
        scripts.POLITE[family.protocol],
        refusal="no such account",
        **(greeting if family.protocol == "pop3" else {}),
    )
    with RecordingServer(script, context=pki["good"].server_context()) as server:
        client = family.connect_tls(server, policy)
        try:
            yield client, server
        finally:
            client._close_now()


@pytest.mark.parametrize(("family", "name"), cases("secret", "anything"))
def test_after_a_declined_login(family: Family, name: str, pki: PKI, policy: TLSPolicy) -> None:
    with declining(family, pki, policy) as (client, server):
        with pytest.raises(securemail.AuthenticationFailed):
            client.login("someone", "the first password")
        with pytest.raises(CredentialsRefused, match="takes no further sign-in"):
            family.methods[name].call(client, MARK)  # type: ignore[misc]
    received = server.wait()[0].everything
    assert leaks(received, MARK) == []
    assert leaks(received, "the first password"), "the control"


# These send, and leave the reply to somebody else; USER alone is not a whole sign-in.
HALF = {"user", "send", "_putcmd", "_putline", "putcmd", "_command"}
SPELLED = [case for case in cases("secret", "anything") if case.values[1] not in HALF]


@pytest.mark.parametrize(("family", "name"), SPELLED)
def test_after_one_that_the_caller_spelled(
    family: Family, name: str, pki: PKI, policy: TLSPolicy
) -> None:
    with declining(family, pki, policy) as (client, server):
        with contextlib.suppress(family_error(family)):
            family.methods[name].call(client, "the first password")  # type: ignore[misc]
        with pytest.raises(CredentialsRefused, match="takes no further sign-in"):
            client.login("someone", MARK)
    assert leaks(server.wait()[0].everything, MARK) == []


def test_a_spelled_sign_in_that_succeeds_is_in_the_report(pki: PKI, policy: TLSPolicy) -> None:
    """As recipes for OAuth have it: the command, then the answer to the challenge."""
    with over_tls(FAMILIES[2], pki, policy) as (client, _):
        assert client.docmd("AUTH", "PLAIN")[0] == 334
        assert client.docmd("AHUAcA==")[0] == 235
        assert client.report.auth.mechanism == "AUTH"
    with over_tls(FAMILIES[0], pki, policy) as (client, _):
        assert client._shortcmd("AUTH PLAIN").startswith(b"+ ")
        assert client._shortcmd("AHUAcA==").startswith(b"+OK")
        assert client.report.auth.mechanism == "AUTH"
    with over_tls(FAMILIES[1], pki, policy) as (client, _):
        assert client.xatom("LOGIN", "user", '"p"')[0] == "OK"
        assert client.report.auth.mechanism == "LOGIN"


SPELLED_WRONG: dict[str, Callable[[Any], Any]] = {
    "pop3": lambda c: c._shortcmd(f"PASS {MARK}\ud800"),
    "imap": lambda c: c.xatom("LOGIN", "user", f"{MARK}\u00e9"),
    "smtp": lambda c: c.docmd("AUTH", f"PLAIN {MARK}\u00e9"),
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.protocol)
def test_one_that_cannot_be_encoded_is_in_no_error(
    family: Family, pki: PKI, policy: TLSPolicy
) -> None:
    """`UnicodeEncodeError` has the whole line as an attribute."""
    with over_tls(family, pki, policy) as (client, server):
        with pytest.raises(PolicyError, match="cannot be written") as raised:
            SPELLED_WRONG[family.protocol](client)
        assert leaks(shown_of(raised.value), MARK) == []
    assert leaks(server.wait()[0].everything, MARK) == []


# --- no line of the caller's becomes two ----------------------------------------------------------

CONTENT_OF_MAIL = {"data", "sendmail", "send_message", "append", "send"}


@pytest.mark.parametrize("evil", ["x\r\nEVIL", "x\nEVIL", "x\rEVIL", "x\0EVIL"])
@pytest.mark.parametrize(("family", "name"), cases("secret", "mail", "neither", "anything"))
def test_a_line_break_in_any_argument(
    family: Family, name: str, evil: str, pki: PKI, policy: TLSPolicy
) -> None:
    with over_tls(family, pki, policy) as (client, server):
        if family.protocol == "imap" and family.methods[name].carries == "mail":
            client.state = "SELECTED"
        errors = (family_error(family), ValueError)
        with contextlib.suppress(*errors):
            family.methods[name].call(client, evil)  # type: ignore[misc]
    received = server.wait()[0].received_tls
    if name not in CONTENT_OF_MAIL:
        assert b"EVIL" not in received.replace(b"eVIL", b"")
        assert b"\0" not in received


def test_a_sign_in_behind_another_command(pki: PKI, policy: TLSPolicy) -> None:
    """By each line's command, where several are sent as one."""
    with in_clear(FAMILIES[2]) as (client, server):
        with pytest.raises(CredentialsRefused):
            client.send(f"NOOP\r\nAUTH PLAIN {MARK}\r\n")
    assert leaks(server.wait()[0].everything, MARK) == []
    with in_clear(FAMILIES[1], state="NONAUTH") as (client, server):
        with pytest.raises(CredentialsRefused):
            client.send(f"x1 NOOP\r\nx2 LOGIN user {MARK}\r\n".encode())
    assert leaks(server.wait()[0].everything, MARK) == []


@pytest.mark.parametrize("args", [{}, {"plaintext": "a reason"}], ids=["loopback", "plaintext"])
def test_a_state_that_somebody_set_opens_nothing_in_clear(args: dict[str, str]) -> None:
    """As recipes do after a LOGIN of their own; or a server did, by PREAUTH."""
    with in_clear(FAMILIES[1], state="AUTH", **args) as (client, server):
        with pytest.raises(CredentialsRefused):
            client.send(f"x1 LOGIN user {MARK}\r\n".encode())
    assert leaks(server.wait()[0].everything, MARK) == []


@pytest.mark.parametrize("args", [{}, {"plaintext": "a reason"}], ids=["loopback", "plaintext"])
def test_half_a_line_is_not_sent_in_clear(args: dict[str, str]) -> None:
    """The other half could make a sign-in of it."""
    with in_clear(FAMILIES[2], **args) as (client, server):
        for half in ("AU", b"AU", "NOOP\r\nAU"):
            with pytest.raises(CredentialsRefused):
                client.send(half)
        client.send("NOOP\r\n")  # the control
        assert client.getreply()[0] == 250
    assert b"AU" not in server.wait()[0].everything
    with in_clear(FAMILIES[1], **args) as (client, server):
        with pytest.raises(CredentialsRefused):
            client.send(b"x1 LOG")
    assert b"LOG" not in server.wait()[0].everything


def test_a_message_may_speak_of_commands(pki: PKI, policy: TLSPolicy) -> None:
    """What is in a message is no command: it arrives, also after a declined sign-in."""
    text = b"Subject: x\r\n\r\nAUTH PLAIN secret\r\nx1 LOGIN user password\r\n"
    with over_tls(FAMILIES[2], pki, policy) as (client, server):
        client.sendmail("a@example.org", ["b@example.org"], text)
    assert text in server.wait()[0].received_tls
    with over_tls(FAMILIES[1], pki, policy) as (client, server):
        client.login("user", "password")
        with contextlib.suppress(imaplib.IMAP4.error):  # that server keeps no mail
            client.append("INBOX", None, None, text)
    assert text in server.wait()[0].received_tls


def test_a_literal_is_not_begun_by_an_argument(pki: PKI, policy: TLSPolicy) -> None:
    """The server would take the next command for its text."""
    with over_tls(FAMILIES[1], pki, policy) as (client, server):
        client.login("user", "password")
        with pytest.raises(PolicyError, match="announces a literal"):
            client._simple_command("SELECT", "INBOX {12+}")
        client.select('"INBOX {12+}"')  # the control: quoted, it is a name
    assert server.wait()[0].received_tls.count(b"{12+}") == 1


@pytest.mark.usefixtures("far_away")
def test_a_message_that_was_refused_goes_with_no_later_command() -> None:
    """The standard module keeps it for the next command that is sent, whichever that is."""
    with in_clear(FAMILIES[1], state="AUTH") as (client, server):
        with pytest.raises(PolicyError, match="mail in clear"):
            client.append("INBOX", None, None, MARK.encode())
        assert client.noop()[0] == "OK"
    assert leaks(server.wait()[0].everything, MARK) == []
    with in_clear(FAMILIES[1], state="AUTH", plaintext="a lonely wire") as (client, server):
        with pytest.warns(PlaintextWarning), contextlib.suppress(imaplib.IMAP4.error):
            client.append("INBOX", None, None, MARK.encode())  # the control
    assert leaks(server.wait()[0].everything, MARK) != []


# --- the document ---------------------------------------------------------------------------------


def table() -> str:
    lines = []
    for family in FAMILIES:
        lines += [f"## {', '.join(family.names)}", "", "| method | can carry | |", "|---|---|---|"]
        for name, method in sorted(family.methods.items(), key=lambda row: row[0].lstrip("_")):
            note = method.why or (
                f"from Python {'.'.join(map(str, method.since))}" * (method.since > (3, 11))
            )
            lines.append(f"| `{name}` | {method.carries} | {note} |")
        lines.append("")
    return "\n".join(lines)


def test_the_document_has_this_table() -> None:
    """To write it anew: python tests/test_methods.py"""
    assert table() in DOCUMENT.read_text(encoding="utf-8")


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(text[: text.index("## POP3")] + table(), encoding="utf-8")
    print(f"written: {DOCUMENT}, of securemail {securemail.__version__}")
