"""A sign-in that a script spells itself: in no frame that a traceback shows, nor anywhere once it
was declined at its first line; and bound to TLS only where it is."""

import base64
import contextlib
import io
import ssl
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from securemail import (
    AuthPolicy,
    CATrust,
    CredentialsRefused,
    SecureMailError,
    TLSPolicy,
)
from servers.attempts import MAIL, PASSWORD, USER, Mail
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.scripts import GREETINGS, POLITE

Factory = Callable[..., RecordingServer]
ENCODED = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()

SPELLED: dict[str, dict[str, Callable[[Any], Any]]] = {
    "imap": {
        "xatom": lambda imap: imap.xatom("AUTHENTICATE", "PLAIN", ENCODED),
        "xatom LOGIN": lambda imap: imap.xatom("LOGIN", USER, f'"{PASSWORD}"'),
        "_simple_command": lambda imap: imap._simple_command("LOGIN", USER, f'"{PASSWORD}"'),
        "send": lambda imap: (imap.send(f"a1 LOGIN {USER} {PASSWORD}\r\n".encode()), imap.noop()),
    },
    "pop3": {
        "_shortcmd": lambda pop: pop._shortcmd(f"AUTH PLAIN {ENCODED}"),
        "PASS": lambda pop: pop._shortcmd(f"PASS {PASSWORD}"),
        "_longcmd": lambda pop: pop._longcmd(f"AUTH PLAIN {ENCODED}"),
    },
    "smtp": {
        "docmd": lambda smtp: smtp.docmd("AUTH", f"PLAIN {ENCODED}"),
        "docmd in one": lambda smtp: smtp.docmd(f"AUTH PLAIN {ENCODED}"),
        "putcmd": lambda smtp: (smtp.putcmd("AUTH", f"PLAIN {ENCODED}"), smtp.getreply()),
        "send": lambda smtp: (smtp.send(f"AUTH PLAIN {ENCODED}\r\n"), smtp.getreply()),
    },
}
CASES = [(protocol, verb) for protocol, verbs in SPELLED.items() for verb in verbs]
each_case = pytest.mark.parametrize(("protocol", "verb"), CASES, ids=[" ".join(c) for c in CASES])


class HangsUp:
    """At a sign-in, or says again what it was sent."""

    def __init__(self, protocol: str, *, echoes: bool = False) -> None:
        self.protocol, self.echoes = protocol, echoes

    def __call__(self, talk: Conversation) -> None:
        talk.send(GREETINGS[self.protocol])
        while line := talk.read_line():
            tag = line.split()[0] if self.protocol == "imap" else b""
            if any(word in line.upper() for word in (b"AUTH", b"LOGIN", b"PASS")):
                if self.echoes:
                    talk.send(
                        {"imap": tag + b" BAD ", "pop3": b"-ERR ", "smtp": b"500 "}[self.protocol]
                        + line
                    )
                    continue
                return talk.close()
            talk.send(
                {
                    "imap": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n%t OK done\r\n",
                    "pop3": b"+OK\r\n",
                    "smtp": b"250-me\r\n250 AUTH PLAIN\r\n",
                }[self.protocol].replace(b"%t", tag)
            )
        return None


def connect(mail: Mail, server: RecordingServer, pki: PKI, **args: Any) -> Any:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), **args.pop("more", {}))
    client = mail.cls("127.0.0.1", server.port, timeout=5, policy=policy, **args)
    if mail.protocol == "smtp":
        client.ehlo()
    return client


def frames_of(error: BaseException | None) -> list[tuple[str, str, str]]:
    """All of them, of every exception in the chain, but this file's own."""
    found = []
    while error is not None:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        for frame in shown.stack:
            if frame.filename != __file__:
                found += [(frame.name, name, text) for name, text in (frame.locals or {}).items()]
        error = error.__cause__ or error.__context__
    return found


@each_case
@pytest.mark.parametrize("echoes", [False, True], ids=["hangs up", "echoes"])
def test_no_frame_holds_it(
    echoes: bool, protocol: str, verb: str, pki: PKI, recording_server: Factory
) -> None:
    server = recording_server(
        HangsUp(protocol, echoes=echoes), context=pki["good"].server_context()
    )
    client = connect(MAIL[protocol], server, pki)
    with contextlib.suppress(SecureMailError):
        caught: BaseException | None = None
        try:
            SPELLED[protocol][verb](client)
        except Exception as error:  # noqa: BLE001 - whatever it is
            caught = error
        for where, name, text in frames_of(caught):
            assert leaks(text.encode("utf-8", "replace"), PASSWORD) == [], (where, name)
    MAIL[protocol].close(client)
    assert leaks(bytes(server.wait()[0].tls), PASSWORD) != [], "the control: it was sent"


class Interrupt(BaseException):
    """As Ctrl-C, in the middle of a sending."""


@each_case
def test_nor_where_an_interruption_comes_in_between(
    protocol: str,
    verb: str,
    pki: PKI,
    recording_server: Factory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = recording_server(POLITE[protocol], context=pki["good"].server_context())
    client = connect(MAIL[protocol], server, pki)
    standard = ssl.SSLSocket.sendall

    def interrupted(self: Any, data: Any, *rest: Any) -> None:
        raise Interrupt

    monkeypatch.setattr(type(client.sock), "sendall", interrupted)
    with pytest.raises(Interrupt) as raised:
        SPELLED[protocol][verb](client)
    for where, name, text in frames_of(raised.value):
        if where != "interrupted":
            assert leaks(text.encode("utf-8", "replace"), PASSWORD) == [], (where, name)
    monkeypatch.undo()
    assert standard is not interrupted
    with pytest.raises(SecureMailError) as later:
        client.noop()
    assert later.value.code == "interrupted"
    assert client.sock is None


# --- declined at its first line -------------------------------------------------------------------


def declines_first_lines(protocol: str) -> Callable[[Conversation], None]:
    """And calls everything else unknown, with what it was sent in its words."""

    def talk(conversation: Conversation) -> None:
        conversation.send(GREETINGS[protocol])
        while line := conversation.read_line():
            tag = line.split()[0] if protocol == "imap" else b""
            polite = {
                "imap": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK done\r\n",
                "pop3": b"+OK\r\n",
                "smtp": b"250-me\r\n250 AUTH PLAIN\r\n",
            }[protocol]
            no = {"imap": tag + b" BAD no ", "pop3": b"-ERR no ", "smtp": b"504 no "}[protocol]
            known = any(word in line.upper() for word in (b"CAPA", b"EHLO", b"NOOP", b"STAT"))
            conversation.send(polite if known else no + line)

    return talk


LINES: dict[str, tuple[Callable[[Any], Any], Callable[[Any, str], Any], Callable[[Any], Any]]] = {
    "pop3": (
        lambda pop: pop._shortcmd("AUTH LOGIN"),
        lambda pop, line: pop._shortcmd(line),
        lambda pop: pop.noop(),
    ),
    "smtp": (
        lambda smtp: smtp.docmd("AUTH", "LOGIN"),
        lambda smtp, line: smtp.docmd(line),
        lambda smtp: smtp.noop(),
    ),
}


@pytest.mark.parametrize("protocol", LINES)
def test_a_script_that_goes_on_after_a_declined_first_line(
    protocol: str, pki: PKI, recording_server: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    first, more, other = LINES[protocol]
    server = recording_server(declines_first_lines(protocol), context=pki["good"].server_context())
    transcript = io.StringIO()
    audited: list[Any] = []
    sys.addaudithook(lambda name, args: audited.append((name, args)) if listening else None)
    listening = True
    client = connect(MAIL[protocol], server, pki, transcript=transcript)
    client.set_debuglevel(2)
    with contextlib.suppress(MAIL[protocol].standard_error):
        first(client)
    for line in (USER, PASSWORD):
        with pytest.raises(CredentialsRefused):
            more(client, base64.b64encode(line.encode()).decode())
    other(client)  # a command that is one goes on
    listening = False
    client.close()
    shown = capsys.readouterr()
    everything = f"{transcript.getvalue()}{shown.out}{shown.err}{audited!r}".encode()
    assert leaks(everything, PASSWORD) == []
    assert leaks(bytes(server.wait()[0].tls), PASSWORD) == []


# --- channel bindings that are only a name --------------------------------------------------------


class PlusInTheName:
    """A mechanism of the caller's own whose name promises what it does not do."""

    name = "X-PLUS"
    takes = object
    is_complete = True
    sent = "the password"

    def __init__(self, credentials: Any, terms: Any) -> None:
        self.credentials, self.terms = credentials, terms
        assert terms.binding is not None

    def start(self) -> bytes:
        return PASSWORD.encode()

    def answer(self, challenge: bytes) -> None:
        return None


class ReallyBinds(PlusInTheName):
    binds = True
    bound: str | None = None

    def start(self) -> bytes:
        self.bound = self.terms.binding[0]
        return b"with " + self.terms.binding[1].reveal()


def offers_plus(protocol: str) -> Any:
    return POLITE[protocol].__class__(mechanisms=("X-PLUS", "PLAIN"))


WAYS: dict[str, Callable[[Mail, Any], Any]] = {
    "callable": lambda mail, client: (
        client.authenticate("X-PLUS", lambda _: PASSWORD)
        if mail.protocol == "imap"
        else client.auth("X-PLUS", lambda _=None: PASSWORD)
    ),
    "spelled": lambda mail, client: {
        "imap": lambda: client.xatom("AUTHENTICATE", "X-PLUS", ENCODED),
        "pop3": lambda: client._shortcmd(f"AUTH X-PLUS {ENCODED}"),
        "smtp": lambda: client.docmd("AUTH", f"X-PLUS {ENCODED}"),
    }[mail.protocol](),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_a_name_that_ends_in_plus_binds_nothing(
    mail: Mail, way: str, pki: PKI, recording_server: Factory
) -> None:
    if (mail.protocol, way) == ("pop3", "callable"):
        assert not hasattr(mail.cls, "auth"), "POP3 has no verb that takes one"
        return
    tls12 = pki["good"].server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    server = recording_server(offers_plus(mail.protocol), context=tls12)
    client = connect(mail, server, pki, more={"channel_binding": "require"})
    with pytest.raises(CredentialsRefused, match="is not bound"):
        WAYS[way](mail, client)
    mail.close(client)
    assert leaks(bytes(server.wait()[0].tls), PASSWORD) == []


@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_a_mechanism_of_the_caller_s_own_is_believed_where_it_says_so(
    mail: Mail, pki: PKI, recording_server: Factory
) -> None:
    tls12 = pki["good"].server_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    for mechanism, expected in ((PlusInTheName, None), (ReallyBinds, "tls-unique")):
        for wanted in ("prefer", "require"):
            server = recording_server(accepts_plus(mail.protocol), context=tls12)
            auth = AuthPolicy(mechanisms=(mechanism,))
            client = connect(mail, server, pki, more={"channel_binding": wanted}, auth=auth)
            if wanted == "require" and expected is None:
                with pytest.raises(CredentialsRefused):
                    client.authenticate(object())
            else:
                client.authenticate(object())
                assert client.report.auth.channel_binding == expected
            mail.close(client)


def accepts_plus(protocol: str) -> Callable[[Conversation], None]:
    def talk(conversation: Conversation) -> None:
        conversation.send(GREETINGS[protocol])
        while line := conversation.read_line():
            tag = line.split()[0] if protocol == "imap" else b""
            if b"AUTH" in line.upper():
                if protocol == "imap":
                    conversation.send(b"+ \r\n")
                    conversation.read_line()
                said = {"imap": tag + b" OK in\r\n", "pop3": b"+OK in\r\n", "smtp": b"235 in\r\n"}
            else:
                said = {
                    "imap": b"* CAPABILITY IMAP4rev1 AUTH=X-PLUS\r\n" + tag + b" OK done\r\n",
                    "pop3": b"+OK\r\nSASL X-PLUS\r\n.\r\n",
                    "smtp": b"250-me\r\n250 AUTH X-PLUS\r\n",
                }
            conversation.send(said[protocol])

    return talk
