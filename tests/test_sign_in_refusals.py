"""Sign-ins that fail: refused by the server, declined by us, or broken off.

Exactly one attempt is made, nothing weaker follows, and the password is in no message, traceback,
pickle, log, debug output or audit event.
"""

import contextlib
import imaplib
import logging
import os
import pickle
import poplib
import re
import smtplib
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from securemail import (
    AuthenticationFailed,
    AuthPolicy,
    CATrust,
    ConnectFailed,
    CredentialsRefused,
    LimitExceeded,
    Limits,
    Password,
    PolicyError,
    ProtocolViolation,
    SecureMailError,
    TimeLimitExceeded,
    TLSPolicy,
)
from securemail.tls.gate import GatedSocket
from servers import rude, scripts
from servers.attempts import (
    MAIL,
    PASSWORD,
    USER,
    Failure,
    Mail,
    assert_survives_pickling,
    failing,
    open_sockets,
    shown_of,
)
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Record, RecordingServer, Script
from servers.rude import Answer, Scripted, accepts, asks, asks_raw, refuses, says

Factory = Callable[..., RecordingServer]
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)

SOON = Limits(connect=5, read=0.5)
SLACK = 2.0

# -- what else could give a password away

_events: list[tuple[str, str]] | None = None


def _collect(event: str, arguments: tuple[Any, ...]) -> None:
    if _events is not None and event.startswith(("imaplib.", "poplib.", "smtplib.", "securemail")):
        _events.append((event, repr(arguments)))


sys.addaudithook(_collect)  # for good: there is no way to take one off


@pytest.fixture
def audit() -> Iterator[list[tuple[str, str]]]:
    global _events
    _events = []
    try:
        yield _events
    finally:
        _events = None


@pytest.fixture(autouse=True)
def as_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No policy from the environment; and imap_tools, once imported, raises imaplib's limit."""
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)


class Server:
    """Plays a script over good TLS, and gives out clients that are connected to it."""

    def __init__(self, pki: PKI, start: Factory) -> None:
        self._context = pki["good"].server_context()
        self._policy = TLSPolicy(trust=CATrust(pki.ca_pem))
        self._start = start
        self.clients: list[tuple[Mail, Any]] = []

    def plays(self, script: Script) -> RecordingServer:
        self.recording = self._start(script, context=self._context)
        return self.recording

    def connect(self, mail: Mail, **arguments: Any) -> Any:
        client = mail.cls("127.0.0.1", self.recording.port, policy=self._policy, **arguments)
        self.clients.append((mail, client))
        if mail.protocol == "imap":
            client.debug = 5
        else:
            client.set_debuglevel(2)
        return client

    def close(self) -> None:
        for mail, client in self.clients:
            mail.close(client)


@pytest.fixture
def server(pki: PKI, recording_server: Factory) -> Iterator[Server]:
    one = Server(pki, recording_server)
    yield one
    one.close()


@pytest.fixture
def keeps_secrets(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    audit: list[tuple[str, str]],
    server: Server,
) -> Callable[..., None]:
    """Looks for the password wherever it must not be."""
    caplog.set_level(logging.DEBUG)

    def check(error: BaseException | None = None, password: str = PASSWORD) -> None:
        captured = capsys.readouterr()
        shown = {
            "debug output": captured.out + captured.err,
            "log": caplog.text,
            "audit events": repr(audit),
            "objects": "".join(f"{client!r} {vars(client)!r}" for _, client in server.clients),
        }
        assert audit, "the standard modules raise them, and so must we"
        for where, text in shown.items():
            assert leaks(text.encode(), password) == [], where
        if error is not None:
            assert leaks(shown_of(error), password) == []

    return check


def attempts(record: Record) -> int:
    """How many sign-ins the server saw begin."""
    lines = record.received_tls.decode("latin-1").upper().split("\r\n")
    begins = re.compile(r"(AUTH|APOP|USER|[A-Z]+\d+ (LOGIN|AUTHENTICATE))\b")
    return sum(bool(begins.match(line)) for line in lines)


def sent(record: Record, password: str = PASSWORD) -> bool:
    return leaks(record.received_tls, password) != []


ALL, NO_SMTP = list(MAIL), ["imap", "pop3"]  # SMTP has no sign-in command beside AUTH


def with_each_class(*ways: tuple[str, ...]) -> Any:
    """Each class with the mechanisms that the server offers: none where the protocol's own
    command is to be used."""
    return pytest.mark.parametrize(
        ("mail", "mechanisms"),
        [
            pytest.param(MAIL[name], way, id=f"{name}, {' '.join(way) or 'own command'}")
            for way in ways
            for name in (ALL if way else NO_SMTP)
        ],
    )


VERBS: dict[str, Callable[..., object]] = {
    "login": lambda client, user, password: client.login(user, password),
    "authenticate": lambda client, *both: client.authenticate(Password(*both)),
    "user, pass_": lambda client, user, password: (client.user(user), client.pass_(password)),
}


# -- the control


@with_each_class(("PLAIN",), ("LOGIN",), ("PLAIN", "LOGIN"), ())
def test_a_sign_in_that_succeeds_keeps_the_secret_too(
    mechanisms: tuple[str, ...],
    mail: Mail,
    server: Server,
    keeps_secrets: Callable[..., None],
) -> None:
    server.plays(Scripted(mail.protocol, SUCCEEDS[mail.protocol, mechanisms[:1]], mechanisms))
    client = server.connect(mail)
    client.login(USER, PASSWORD)
    mail.close(client)
    (record,) = server.recording.wait()
    assert sent(record)
    assert leaks(bytes(record.wire), PASSWORD) == []
    assert attempts(record) == 1
    keeps_secrets()


SUCCEEDS: dict[tuple[str, tuple[str, ...]], tuple[Answer, ...]] = {
    ("imap", ("PLAIN",)): (asks(b""), accepts),  # without SASL-IR
    ("pop3", ("PLAIN",)): (accepts,),
    ("smtp", ("PLAIN",)): (accepts,),
    **{
        (protocol, ("LOGIN",)): (asks(b"User Name"), asks(b"Password"), accepts)
        for protocol in MAIL
    },
    ("imap", ()): (accepts,),
    ("pop3", ()): (accepts, accepts),
}


# -- refused by the server


@with_each_class(("PLAIN", "LOGIN"), ("LOGIN",), ())
@pytest.mark.parametrize("verb", ["login", "authenticate"])
def test_a_wrong_password(
    mechanisms: tuple[str, ...],
    verb: str,
    mail: Mail,
    server: Server,
    keeps_secrets: Callable[..., None],
) -> None:
    answers = SUCCEEDS[mail.protocol, mechanisms[:1]][:-1]
    server.plays(Scripted(mail.protocol, (*answers, refuses), mechanisms))
    client = server.connect(mail)
    with pytest.raises(AuthenticationFailed) as raised:
        VERBS[verb](client, USER, PASSWORD)
    error = raised.value
    assert_is_standard(error, mail)
    assert error.code == "authentication"
    assert error.credentials_sent is True
    assert error.port == server.recording.port
    assert "wrong password" in str(error)
    assert "The password had been sent, over verified TLS." in str(error)
    assert_survives_pickling(error)
    keeps_secrets(error)
    assert client.report.auth is None

    # No further sign-in, by any verb.
    before = bytes(server.recording.records[0].tls)
    for again in further_sign_ins(client, mail):
        with pytest.raises(CredentialsRefused) as declined:
            again()
        assert declined.value.code == "sign-in-declined"
        assert declined.value.credentials_sent is False
        assert "wrong password" in str(declined.value)
        assert "Connect again" in declined.value.hint
    mail.close(client)
    (record,) = server.recording.wait()
    assert bytes(record.tls).removeprefix(before) in (b"", b"QUIT\r\n")
    assert attempts(record) == 1


def further_sign_ins(client: Any, mail: Mail) -> list[Callable[[], object]]:
    found = [
        lambda: client.login(USER, "another password"),
        lambda: client.authenticate(Password(USER, "another password")),
    ]
    if mail.protocol == "pop3":
        found += [lambda: client.user(USER), lambda: client.pass_("another password")]
    if mail.protocol == "imap":
        found += [lambda: client.authenticate("PLAIN", lambda _: b"\0user\0another password")]
    return found


def assert_is_standard(error: Any, mail: Mail) -> None:
    assert isinstance(error, mail.standard_error)
    if mail.protocol == "smtp":
        assert isinstance(error, smtplib.SMTPAuthenticationError)
        assert (error.smtp_code, error.smtp_error) == (535, b"wrong password")
        assert error.args == (535, b"wrong password")
    elif mail.protocol == "pop3":
        assert isinstance(error, poplib.error_proto)
        assert error.args == (b"-ERR wrong password",)
    else:
        assert isinstance(error, imaplib.IMAP4.error)
        assert not isinstance(error, imaplib.IMAP4.abort)
        # As that Python's own `login` has it.
        words = "wrong password" if sys.version_info >= (3, 14) else b"wrong password"
        assert error.args == (words,)


@pytest.mark.parametrize("refused", ["USER", "PASS"])
def test_pop3_verbs_one_by_one(refused: str, server: Server) -> None:
    """user() and pass_() are literal; a refused PASS ends it all the same."""
    mail = MAIL["pop3"]
    answers = {"USER": (refuses,), "PASS": (accepts, refuses)}[refused]
    server.plays(Verbs(answers))
    client = server.connect(mail)
    with pytest.raises(AuthenticationFailed) as raised:
        VERBS["user, pass_"](client, USER, PASSWORD)
    assert_is_standard(raised.value, mail)
    with pytest.raises(CredentialsRefused):
        client.login(USER, PASSWORD)


class Verbs:
    """POP3 without CAPA before the sign-in."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self._answers = answers

    def __call__(self, conversation: Any) -> None:
        conversation.send(scripts.GREETINGS["pop3"])
        for answer in self._answers:
            if not conversation.read_line():
                return
            answer(conversation, "pop3", b"")
        while conversation.is_open and conversation.read_line():
            conversation.send(b"+OK\r\n")


REFUSALS_OF_AUTH = [501, 503, 504, 530, 534, 535, 538, 550, 454, 421]


@pytest.mark.parametrize("number", REFUSALS_OF_AUTH)
def test_no_refusal_of_auth_is_success(number: int, server: Server) -> None:
    """smtplib alone takes 503 for "already signed in"."""
    # Twice: 501 refuses the form of the line, and it is asked once more without the response on it.
    no = says(smtp=b"%d 5.5.1 no\r\n" % number)
    server.plays(Scripted("smtp", (no, no)))
    client = server.connect(MAIL["smtp"])
    with pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, PASSWORD)
    assert raised.value.smtp_code == number  # type: ignore[attr-defined]
    assert client.report.auth is None


@pytest.mark.parametrize("number", [200, 220, 250, 251, 354, 399, 100])
def test_only_235_is_success(number: int, server: Server) -> None:
    server.plays(Scripted("smtp", (says(smtp=b"%d fine\r\n" % number),)))
    client = server.connect(MAIL["smtp"])
    with failing(server.recording) as failure:
        client.login(USER, PASSWORD)
    assert isinstance(failure.error, ProtocolViolation)
    assert client.report.auth is None


# -- broken off, after so many lines of the client's


BREAKS: dict[str, tuple[Answer, ...]] = {
    "reset": (rude.resets,),
    "close": (rude.closes,),
    "BYE": (says(b"* BYE overloaded\r\n", b"", b"421 overloaded\r\n"), rude.closes),
}
# Mechanism, and the polite answers before the break: each place where it can break.
STEPS = {
    "PLAIN, at the command": ("PLAIN", ()),
    "PLAIN, after the challenge": ("PLAIN", (asks(b""),)),
    "LOGIN, at the command": ("LOGIN", ()),
    "LOGIN, at the user name": ("LOGIN", (asks(b"User Name"),)),
    "LOGIN, at the password": ("LOGIN", (asks(b"User Name"), asks(b"Password"))),
    "own command": (None, ()),
    "own command, second line": (None, (accepts,)),
}


def steps_of(protocol: str) -> list[str]:
    without = {
        "imap": {"own command, second line"},
        "pop3": {"PLAIN, after the challenge"},
        "smtp": {"PLAIN, after the challenge", "own command", "own command, second line"},
    }
    return [step for step in STEPS if step not in without[protocol]]


every_step = pytest.mark.parametrize(
    ("mail", "step"),
    [
        pytest.param(MAIL[protocol], step, id=f"{protocol}, {step}")
        for protocol in MAIL
        for step in steps_of(protocol)
    ],
)


def break_off(server: Server, mail: Mail, step: str, *ends: Answer) -> Failure:
    """The client is still held when everything is looked at: the library itself must close."""
    mechanism, answers = STEPS[step]
    mechanisms = () if mechanism is None else (mechanism,)
    server.plays(Scripted(mail.protocol, (*answers, *ends), mechanisms))
    before = open_sockets()
    client = server.connect(mail, limits=SOON)
    with failing(server.recording) as failure:
        client.login(USER, PASSWORD)
    assert open_sockets() <= before, "a socket was left open"
    assert client.report.auth is None
    assert failure.seconds < 0.5 + SLACK
    assert failure.error.port == server.recording.port
    assert failure.error.hint
    assert_survives_pickling(failure.error)
    with pytest.raises((SecureMailError, mail.standard_error)):
        client.login(USER, PASSWORD)
    assert server.recording.connections == 1
    return failure


@every_step
@pytest.mark.parametrize("end", ["reset", "close"])
def test_the_server_hangs_up(
    step: str, end: str, mail: Mail, server: Server, keeps_secrets: Callable[..., None]
) -> None:
    failure = break_off(server, mail, step, *BREAKS[end])
    assert isinstance(failure.error, ConnectFailed)
    assert isinstance(failure.error, ConnectionResetError)
    assert isinstance(failure.error, mail.standard_error)
    assert "hung up during the sign-in" in failure.text
    assert_says_truly_what_was_sent(failure)
    keeps_secrets(failure.error)


@every_step
def test_the_server_goes_silent(
    step: str, mail: Mail, server: Server, keeps_secrets: Callable[..., None]
) -> None:
    failure = break_off(server, mail, step, rude.says_nothing)
    assert isinstance(failure.error, TimeLimitExceeded)
    assert isinstance(failure.error, TimeoutError)
    assert "said nothing for 0.5 s" in failure.text
    assert_says_truly_what_was_sent(failure)
    keeps_secrets(failure.error)


NONSENSE: dict[str, Answer] = {
    "garbage": rude.to_all(b"What a lovely day it is\r\n"),
    "binary": rude.to_all(bytes(range(256)) + b"\r\n"),
    "not UTF-8": says(b"* \xff\xfe\r\n", b"\xff\xfe\r\n", b"\xff\xfe\r\n"),
    "an empty line": rude.to_all(b"\r\n"),
    "an endless line": rude.to_all(b"+" * 3_000_000),
    "a literal without end": says(b"* X {99999999999999999999999}\r\n", b"x\r\n", b"x\r\n"),
    "a literal of a petabyte": says(b"* X {999999999999999}\r\n", b"x\r\n", b"x\r\n"),
    "another tag": says(b"zzz OK done\r\n* x\r\n", b"OK\r\n", b"OK\r\n"),
    "a kind not UTF-8": says(b"%t \xff\r\n", b"\xff\r\n", b"\xff\r\n"),
}


@every_step
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_the_server_talks_nonsense(
    step: str, nonsense: str, mail: Mail, server: Server, keeps_secrets: Callable[..., None]
) -> None:
    failure = break_off(server, mail, step, NONSENSE[nonsense], rude.closes)
    if isinstance(failure.error, LimitExceeded):
        # In IMAP an empty line is passed over, and the next one waited for.
        passed_over = (nonsense, mail.protocol) == ("an empty line", "imap")
        assert nonsense.startswith(("an endless", "a literal")) or passed_over
    else:
        assert isinstance(failure.error, (ProtocolViolation, ConnectFailed))
        assert isinstance(failure.error, mail.standard_error)
    assert failure.text.isprintable()
    assert_says_truly_what_was_sent(failure)
    keeps_secrets(failure.error)


def assert_says_truly_what_was_sent(failure: Failure) -> None:
    (record,) = failure.records
    assert attempts(record) == 1
    assert failure.error.credentials_sent is sent(record)
    assert ("The password had been sent" in failure.text) is sent(record)
    assert ("No password was sent." in failure.text) is not sent(record)


@every_class
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_connection_that_is_lost_while_sending(
    mechanism: str, mail: Mail, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of `ssl` that hold the octets are in no traceback either."""
    answers = SUCCEEDS[mail.protocol, (mechanism,)]
    server.plays(Scripted(mail.protocol, answers, (mechanism,)))
    client = server.connect(mail)
    real = GatedSocket.send

    def send(sock: GatedSocket, data: Any, *flags: Any) -> int:
        if leaks(bytes(data), PASSWORD):
            del data, flags
            raise BrokenPipeError(32, "Broken pipe")
        return real(sock, data, *flags)

    monkeypatch.setattr(GatedSocket, "send", send)
    with failing(server.recording) as failure:
        client.login(USER, PASSWORD)
    assert isinstance(failure.error, ConnectFailed)
    assert isinstance(failure.error, mail.standard_error)
    assert failure.error.credentials_sent is True  # for all we know
    for module in (ssl, smtplib):
        folder = os.path.dirname(str(module.__file__))
        assert leaks(shown_of(failure.error, within=folder), PASSWORD) == []
    assert leaks(shown_of(failure.error), PASSWORD) == []


# -- exchanges that are not how it is done


BROKEN: dict[str, tuple[str, tuple[Answer, ...], str]] = {
    "success at once": ("LOGIN", (accepts,), "success before LOGIN was done"),
    "success before the password": (
        "LOGIN",
        (asks(b"User Name"), accepts),
        "success before LOGIN was done",
    ),
    "a third question": (
        "LOGIN",
        (asks(b"User Name"), asks(b"Password"), asks(b"And?")),
        "went on asking after LOGIN was done",
    ),
    "a question after PLAIN": ("PLAIN", (asks(b""), asks(b"more")), "went on asking after PLAIN"),
    "questions without end": ("LOGIN", (rude.goes_on_asking,), "went on asking after LOGIN"),
    "not base64": ("SCRAM-SHA-256", (asks(b""), asks_raw(b"User Name:")), "not base64"),
    "words where JSON would be": (
        "LOGIN",
        (asks(b"User"), asks(b"Pass"), asks_raw(b"!!!")),
        "LOGIN",
    ),
    "half a base64": ("SCRAM-SHA-256", (asks(b""), asks_raw(b"VXNlcm5hbWU")), "not base64"),
    "not ASCII": ("SCRAM-SHA-256", (asks(b""), asks_raw(b"\xff\xfe\xe9")), "not base64"),
    "very long": ("LOGIN", (asks(b"x" * 100_000),), ""),
}


@every_class
@pytest.mark.parametrize("how", BROKEN)
def test_an_exchange_that_is_not_how_it_is_done(
    how: str, mail: Mail, server: Server, keeps_secrets: Callable[..., None]
) -> None:
    mechanism, answers, words = BROKEN[how]
    server.plays(Scripted(mail.protocol, answers, (mechanism,)))
    before = open_sockets()
    client = server.connect(mail, limits=SOON)
    with failing(server.recording) as failure:
        client.login(USER, PASSWORD)
    assert open_sockets() <= before
    kind = LimitExceeded if how == "very long" else ProtocolViolation
    assert isinstance(failure.error, kind)
    assert isinstance(failure.error, mail.standard_error)
    assert words in failure.text
    with pytest.raises(kind) as again:
        client.noop()
    assert again.value is failure.error, "every later verb says the same"
    assert client.report.auth is None
    assert_says_truly_what_was_sent(failure)
    assert_survives_pickling(failure.error)
    keeps_secrets(failure.error)


@pytest.mark.parametrize("name", ["imap"])
def test_success_before_plain_was_asked_for(name: str, server: Server) -> None:
    """Without SASL-IR the response is held until the server asks."""
    server.plays(Scripted(name, (accepts,)))
    client = server.connect(MAIL[name])
    with failing(server.recording) as failure:
        client.login(USER, PASSWORD)
    assert "success before PLAIN was done" in failure.text
    assert client.state != "AUTH"
    assert not sent(failure.records[0])


# -- declined by us


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("imap", ("LOGINDISABLED",), "LOGINDISABLED"),
        ("smtp", (), "offered: none"),
    ],
)
def test_nothing_offered(name: str, words: tuple[str, ...], why: str, server: Server) -> None:
    """In POP3 there are always USER and PASS (RFC 1939)."""
    server.plays(Scripted(name, (), (), words))
    assert_declines(server, MAIL[name], why)


def assert_declines(
    server: Server, mail: Mail, why: str, password: str = PASSWORD, **arguments: Any
) -> CredentialsRefused:
    client = server.connect(mail, **arguments)
    with pytest.raises(CredentialsRefused) as raised:
        client.login(USER, password)
    error = raised.value
    assert not isinstance(error, (OSError, smtplib.SMTPException, mail.standard_error))
    assert error.credentials_sent is False
    assert error.code == "no-mechanism"
    assert error.port == server.recording.port
    assert "No password was sent." in str(error)
    assert why in str(error)
    assert error.hint
    assert error.reasons
    assert_survives_pickling(error)
    assert leaks(shown_of(error), password) == []
    mail.close(client)
    (record,) = server.recording.wait()
    assert attempts(record) == 0
    assert not sent(record, password)
    return error


@every_class
@pytest.mark.parametrize(
    "mechanisms", [("CRAM-MD5",), ("GSSAPI", "XOAUTH2"), ("PLAIN-X", "XPLAIN", "LOGINS")]
)
def test_only_unknown_mechanisms(mechanisms: tuple[str, ...], mail: Mail, server: Server) -> None:
    words = ("LOGINDISABLED",) if mail.protocol == "imap" else ()
    server.plays(Scripted(mail.protocol, (), mechanisms, words))
    error = assert_declines(server, mail, ", ".join(mechanisms))
    assert "PLAIN, LOGIN" in str(error).partition("wanted: ")[2]


@every_class
def test_a_mechanism_that_the_policy_does_not_rank(mail: Mail, server: Server) -> None:
    words = ("LOGINDISABLED",) if mail.protocol == "imap" else ()
    server.plays(Scripted(mail.protocol, (), ("LOGIN",), words))
    assert_declines(server, mail, "wanted: PLAIN", auth=AuthPolicy(mechanisms=("PLAIN",)))


def test_a_terminal_is_safe_from_the_names_of_mechanisms(server: Server) -> None:
    server.plays(Scripted("smtp", (), ("\x1b]0;gone\x07",)))
    assert str(assert_declines(server, MAIL["smtp"], "offered")).isprintable()


UNICODE = "pässwörd €"


@pytest.mark.parametrize("name", ["imap", "pop3"])
@pytest.mark.parametrize("mechanisms", [(), ("CRAM-MD5",)])
def test_the_protocols_own_commands_take_ascii_only(
    mechanisms: tuple[str, ...], name: str, server: Server
) -> None:
    words = ("USER",) if name == "pop3" else ()
    server.plays(Scripted(name, (), mechanisms, words))
    assert_declines(server, MAIL[name], "takes ASCII only", password=UNICODE)


@every_class
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_mechanisms_take_every_password(
    mechanism: str, mail: Mail, server: Server, keeps_secrets: Callable[..., None]
) -> None:
    server.plays(Scripted(mail.protocol, SUCCEEDS[mail.protocol, (mechanism,)], (mechanism,)))
    client = server.connect(mail)
    client.login("jürgen", UNICODE)
    mail.close(client)
    (record,) = server.recording.wait()
    assert any(found.startswith("utf-8, base64") for found in leaks(record.received_tls, UNICODE))
    keeps_secrets(password=UNICODE)


ODD = {
    "quotes": 'pass"word"s',
    "backslashes": "back\\slash\\es\\",
    "both": 'a\\"b\\"c"\\',
    "blanks": " leading and trailing  ",
    "tab": "tab\tinside",
    "literal": "{10+} (x) %* ]",
    "percent": "per%cent%sign",
    "dot": ".password.",
    "long": "x" * 120,
    "controls": "bell\x07 and \x7f",
}


@with_each_class(("PLAIN",), ("LOGIN",), ())
@pytest.mark.parametrize("kind", ODD)
def test_odd_passwords_arrive_as_they_are(
    kind: str, mechanisms: tuple[str, ...], mail: Mail, server: Server
) -> None:
    server.plays(Scripted(mail.protocol, SUCCEEDS[mail.protocol, mechanisms], mechanisms))
    client = server.connect(mail)
    client.login(USER, ODD[kind])
    mail.close(client)
    (record,) = server.recording.wait()
    assert sent(record, ODD[kind])
    if not mechanisms and mail.protocol == "imap":
        quoted = ODD[kind].replace("\\", "\\\\").replace('"', '\\"')
        assert f'LOGIN "user" "{quoted}"\r\n'.encode() in record.received_tls
    if not mechanisms and mail.protocol == "pop3":
        assert f"USER user\r\nPASS {ODD[kind]}\r\n".encode() in record.received_tls


def test_a_response_too_long_for_a_command_line_waits(server: Server) -> None:
    """RFC 5034, 4: 255 octets. It is sent when the server asks for it."""
    server.plays(Scripted("pop3", (asks(b""), accepts)))
    client = server.connect(MAIL["pop3"])
    client.login(USER, "long password " * 40)
    client.close()
    (record,) = server.recording.wait()
    assert b"\r\nAUTH PLAIN\r\n" in record.received_tls
    assert sent(record, "long password " * 40)


IMPOSSIBLE: dict[str, tuple[Any, Any, str]] = {
    "CR": (USER, "line\rbreak", "the password has a line break or a NUL"),
    "LF": (USER, "line\nbreak", "the password has a line break or a NUL"),
    "CRLF and a command": (USER, "x\r\nDELE 1", "the password has a line break or a NUL"),
    "end of line": (USER, "s3cret word\n", "the password has a line break or a NUL"),
    "NUL": (USER, "nul\0inside", "the password has a line break or a NUL"),
    "empty": (USER, "", "the password is empty"),
    "None": (USER, None, "the password is NoneType, not text"),
    "octets": (USER, b"octets of a secret", "the password is bytes, not text"),
    "a number": (USER, 12345678, "the password is int, not text"),
    "half a character": (USER, "half \ud800 one", "the password cannot be written as UTF-8"),
    "user with CRLF": ("us\r\ner", PASSWORD, "the user name has a line break or a NUL"),
    "user with NUL": ("us\0er", PASSWORD, "the user name has a line break or a NUL"),
    "no user": ("", PASSWORD, "the user name is empty"),
    "user of octets": (b"user", PASSWORD, "the user name is bytes, not text"),
    "half a user": ("us\udc80er", PASSWORD, "the user name cannot be written as UTF-8"),
}


@every_class
@pytest.mark.parametrize("verb", ["login", "authenticate"])
@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_impossible_passwords(kind: str, verb: str, mail: Mail, server: Server) -> None:
    user, password, words = IMPOSSIBLE[kind]
    server.plays(scripts.POLITE[mail.protocol])
    client = server.connect(mail)
    before = bytes(server.recording.records[0].tls)
    with pytest.raises(PolicyError, match=words) as raised:
        VERBS[verb](client, user, password)
    assert_not_quoted(raised.value, password)
    mail.close(client)
    (record,) = server.recording.wait()
    assert attempts(record) == 0
    assert bytes(record.tls).startswith(before)


def assert_not_quoted(error: PolicyError, password: Any) -> None:
    assert error.code == "credentials-malformed"
    shown = shown_of(error)
    if isinstance(password, (str, bytes)) and len(password) >= 6:
        octets = password if isinstance(password, bytes) else password.encode(errors="replace")
        assert octets not in shown
        assert repr(password).encode()[2:-1] not in shown
    if isinstance(password, int):
        assert str(password).encode() not in shown


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_impossible_passwords_in_pop3_verbs(kind: str, server: Server) -> None:
    user, password, words = IMPOSSIBLE[kind]
    server.plays(scripts.pop3_ok)
    client = server.connect(MAIL["pop3"])
    with pytest.raises(PolicyError) as raised:
        VERBS["user, pass_"](client, user, password)
    if user == USER:
        assert words in str(raised.value)
        assert_not_quoted(raised.value, password)
    assert b"\r\nDELE" not in server.recording.records[0].received_tls


@every_class
def test_what_is_no_credentials(mail: Mail, server: Server) -> None:
    server.plays(scripts.POLITE[mail.protocol])
    client = server.connect(mail)
    for thing in (None, PASSWORD, (USER, PASSWORD), object()):
        with pytest.raises(PolicyError, match=r"authenticate\(Password") as raised:
            client.authenticate(thing)
        assert leaks(str(raised.value).encode(), PASSWORD) == []
    assert attempts(server.recording.records[0]) == 0


def test_a_password_shows_itself_nowhere() -> None:
    password = Password(USER, PASSWORD)
    assert leaks(f"{password!r} {password} {password.password!r}".encode(), PASSWORD) == []
    for secret in (password, password.password):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret)


# -- imaplib's own way


def test_the_standard_pair_of_imap_keeps_the_secret(
    server: Server, keeps_secrets: Callable[..., None]
) -> None:
    server.plays(Scripted("imap", (asks(b""), refuses)))
    client = server.connect(MAIL["imap"])
    with pytest.raises(imaplib.IMAP4.error, match="wrong password") as raised:
        client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
    assert sent(server.recording.records[0])
    keeps_secrets(raised.value)


@pytest.mark.parametrize("name", ["imap", "smtp"])
def test_user_and_password_are_no_such_pair(name: str, server: Server) -> None:
    """Nothing is sent: not the user name either, as a mechanism's."""
    server.plays(scripts.POLITE[name])
    client = server.connect(MAIL[name])
    if name == "smtp":
        client.ehlo()
    verb = client.authenticate if name == "imap" else client.auth
    with pytest.raises(PolicyError, match="a mechanism's name and a callable") as raised:
        verb(USER, PASSWORD)
    assert "login(user, password)" in raised.value.hint
    assert leaks(shown_of(raised.value), PASSWORD) == []
    MAIL[name].close(client)
    (record,) = server.recording.wait()
    assert attempts(record) == 0
    assert not sent(record)


def test_the_standard_pair_of_imap_ends_the_attempt(server: Server) -> None:
    server.plays(Scripted("imap", (asks(b""), refuses)))
    client = server.connect(MAIL["imap"])
    with pytest.raises(AuthenticationFailed):
        client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
    with pytest.raises(CredentialsRefused):
        client.login(USER, PASSWORD)


# -- after the connection was lost


@every_class
def test_a_closed_connection_takes_no_password(mail: Mail, server: Server) -> None:
    server.plays(scripts.POLITE[mail.protocol])
    client = server.connect(mail)
    mail.close(client)
    for again in further_sign_ins(client, mail):
        with pytest.raises((SecureMailError, mail.standard_error)):
            again()
    assert attempts(server.recording.wait()[0]) == 0


@every_class
@pytest.mark.parametrize("how", ["unwrap", "shutdown"])
def test_tls_that_was_ended_takes_no_password(how: str, mail: Mail, server: Server) -> None:
    """Nothing in clear on a socket whose TLS is over."""
    server.plays(scripts.POLITE[mail.protocol])
    client = server.connect(mail)
    client.sock.settimeout(0.1)
    with contextlib.suppress(OSError):
        client.sock.unwrap() if how == "unwrap" else client.sock.shutdown(socket.SHUT_RD)
    for again in further_sign_ins(client, mail):
        with pytest.raises((SecureMailError, mail.standard_error)):
            again()
    mail.close(client)
    (record,) = server.recording.wait()
    assert leaks(record.everything, "another password") == []


# -- what to do about it


ANSWERS: dict[str, tuple[str, Answer, str]] = {
    "Exchange": (
        "smtp",
        says(
            smtp=b"535 5.7.139 Authentication unsuccessful, basic authentication is disabled.\r\n"
        ),
        "Microsoft takes none here",
    ),
    "Gmail": (
        "imap",
        says(imap=b"%t NO [ALERT] Application-specific password required (Failure)\r\n"),
        "create an app password",
    ),
    "Dovecot that is busy": (
        "imap",
        says(imap=b"%t NO [UNAVAILABLE] Temporary authentication failure.\r\n"),
        "The password may be right",
    ),
    "a POP3 server whose disk is full": (
        "pop3",
        says(pop3=b"-ERR [SYS/PERM] cannot open the mailbox\r\n"),
        "The password may be right",
    ),
    "nobody that is known": ("pop3", says(pop3=b"-ERR no\r\n"), "Check the user name"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_known_answer_means_is_said(name: str, server: Server) -> None:
    protocol, answer, hint = ANSWERS[name]
    first = (asks(b""),) if protocol == "imap" else ()
    server.plays(Scripted(protocol, (*first, answer)))
    client = server.connect(MAIL[protocol])
    with pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, PASSWORD)
    assert hint in raised.value.hint


SLIPS = {
    PASSWORD + " ": "the password begins or ends with a blank",
    "\N{LEFT DOUBLE QUOTATION MARK}" + PASSWORD: "has a typographic quotation mark",
    f'"{PASSWORD}"': "the password is in quotation marks",
    f"{PASSWORD}\N{ZERO WIDTH SPACE}": "has an invisible character",
}


@every_class
@pytest.mark.parametrize("slip", SLIPS, ids=range(len(SLIPS)))
def test_a_slip_in_copying_is_named_and_not_shown(
    slip: str, mail: Mail, server: Server, keeps_secrets: Callable[..., None]
) -> None:
    server.plays(Scripted(mail.protocol, (*SUCCEEDS[mail.protocol, ("PLAIN",)][:-1], refuses)))
    client = server.connect(mail)
    with pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, slip)
    assert SLIPS[slip] in raised.value.hint
    keeps_secrets(raised.value, slip)


@every_class
def test_a_password_without_slips_gets_no_such_hint(mail: Mail, server: Server) -> None:
    server.plays(Scripted(mail.protocol, (*SUCCEEDS[mail.protocol, ("PLAIN",)][:-1], refuses)))
    client = server.connect(mail)
    with pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, "a \" fine ` password with ' inside")
    assert "Look at what was given" not in raised.value.hint
