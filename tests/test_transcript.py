"""What a transcript shows of a real dialogue, and what not; where it goes; and that nothing that
happens to it happens to the connection.

What a server may know is looked for in it: by `leaks`, and by what the recording server was sent.
"""

import base64
import contextlib
import io
import logging
import re
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import securemail
from securemail import (
    AuthenticationFailed,
    AuthPolicy,
    CATrust,
    CertificateRejected,
    ConnectFailed,
    FirstUseTrust,
    LimitExceeded,
    Limits,
    Password,
    PolicyError,
    SecureMailError,
    SecureMailWarning,
    TLSPolicy,
    Token,
    TranscriptLine,
    UnknownServer,
    WeakMechanismWarning,
)
from securemail.imap import IMAP4_stream
from securemail.smtp import LMTP
from securemail.wire import Reader
from servers import scripts
from servers.attempts import MAIL, Mail
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.rude import Answer, Scripted, accepts, asks, closes, refuses, says, to_all
from servers.scram import SALT, ScramServer
from test_transcript_redaction import ENCODINGS, assert_gone, quick, secrets

USER = "ada.lovelace"
PASSWORD = "Tr0ub4dor and 3 horses"
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
by_hypothesis = settings(
    quick,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def policy(pki: PKI) -> TLSPolicy:
    return TLSPolicy(trust=CATrust(pki.ca_pem))


class Studio:
    """Runs a dialogue, and hands out what was written of it."""

    def __init__(self, pki: PKI) -> None:
        self.policy = TLSPolicy(trust=CATrust(pki.ca_pem))
        self.context = pki["good"].server_context()

    @contextlib.contextmanager
    def recording(self, mail: Mail, script: Any, **args: Any) -> Iterator["Take"]:
        with RecordingServer(script, context=self.context) as server:
            take = Take(server)
            args = {"policy": self.policy, "transcript": take.lines.append, **args}
            client = mail.cls("127.0.0.1", server.port, **args)
            try:
                yield take.of(client)
            finally:
                mail.close(client)


class Take:
    def __init__(self, server: RecordingServer) -> None:
        self.server = server
        self.lines: list[TranscriptLine] = []
        self.client: Any = None

    def of(self, client: Any) -> "Take":
        self.client = client
        return self

    @property
    def text(self) -> str:
        return "\n".join(map(str, self.lines))

    def said(self, side: str) -> list[str]:
        return [line.text for line in self.lines if line.side == side]

    @property
    def sent(self) -> bytes:
        """What the server got, through TLS."""
        return bytes(self.server.records[0].tls)


@pytest.fixture(scope="module")
def studio(pki: PKI) -> Studio:
    return Studio(pki)


# -- every class


CLASSES = {
    name: getattr(securemail, name)
    for protocol in ("POP3", "IMAP4", "SMTP")
    for name in (protocol, f"{protocol}_SSL", f"{protocol}_STARTTLS")
} | {"LMTP": LMTP}


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_tells_the_whole_dialogue(
    name: str, pki: PKI, policy: TLSPolicy, tmp_path: Path
) -> None:
    protocol = {"IMAP4": "imap", "POP3": "pop3"}.get(name.split("_")[0], "smtp")
    context = pki["good"].server_context()
    script = scripts.POLITE[protocol]
    is_tls = name.endswith("_SSL")
    script = script if is_tls else script.with_starttls(context)
    path = tmp_path / "transcript.txt"
    with RecordingServer(script, context=context if is_tls else None) as server:
        client = CLASSES[name]("127.0.0.1", server.port, policy=policy, transcript=path)
        if name in ("POP3", "IMAP4", "SMTP"):
            client.stls() if protocol == "pop3" else client.starttls()
        if name != "LMTP":
            client.login(USER, PASSWORD)
        client.noop()
        client.logout() if protocol == "imap" else client.quit()
        record = server.wait()[0]
    text = path.read_text()
    heading, connected, *rest = text.splitlines()
    assert f"127.0.0.1:{server.port}" in heading
    assert f"securemail {securemail.__version__}, Python 3." in heading
    assert "connected to 127.0.0.1" in connected
    secured = any(
        " *  TLSv1.3, TLS_AES_" in line and "verified by CA cert" in line for line in rest
    )
    assert secured == (name != "LMTP")
    assert rest[-1].endswith(" *  closed")
    assert leaks(text.encode(), PASSWORD) == []
    assert name == "LMTP" or (
        f"{'AUTHENTICATE' if protocol == 'imap' else 'AUTH'} PLAIN <secret>" in text
    )
    # In clear is marked, and what was not is not; and each of our lines is there.
    assert (" C! " in text) == (" S! " in text) == (not is_tls)
    for octets, mark in ((record.clear, "C!"), (record.tls, "C ")):
        for line in octets.decode("latin-1").split("\r\n"):
            if line.isascii() and line.isprintable() and line and "PLAIN" not in line:
                assert f" {mark} {line}" in text


def test_a_command_over_pipes(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "def print(*words): sys.stdout.write(' '.join(words) + '\\r\\n'); sys.stdout.flush()\n"
        "print('* OK ready')\n"
        "for line in sys.stdin:\n"
        "    tag, word = line.split()[:2]\n"
        "    if word == 'CAPABILITY': print('* CAPABILITY IMAP4rev1')\n"
        "    if word == 'LOGOUT': print('* BYE')\n"
        "    print(tag, 'OK done')\n"
    )
    (tmp_path / "imapd.py").write_text(program)
    lines: list[TranscriptLine] = []
    command = f"exec {sys.executable} {tmp_path / 'imapd.py'}"
    with IMAP4_stream(command, transcript=lines.append) as client:
        client.noop()
    text = "\n".join(map(str, lines))
    assert "a command  IMAP over a command" in text
    assert [line.text.split()[1] for line in lines if line.side == "C"] == [
        "CAPABILITY",
        "NOOP",
        "LOGOUT",
    ]
    assert not any(line.private for line in lines if line.side != "*")
    assert lines[-1].text == "closed"


@every_class
def test_without_one_nothing_is_in_the_way(mail: Mail, studio: Studio) -> None:
    with studio.recording(mail, scripts.POLITE[mail.protocol], transcript=None) as take:
        assert type(take.client._open_reader()) is Reader
    assert take.lines == []


# -- signing in


def later(words: bytes) -> Answer:
    """An answer to the next command, with these words in it."""
    return says(
        b"* OK " + words + b"\r\n%t OK done\r\n",
        b"+OK " + words + b"\r\n",
        b"250 " + words + b"\r\n",
    )


def refuses_with(words: bytes) -> Answer:
    return says(b"%t NO " + words + b"\r\n", b"-ERR " + words + b"\r\n", b"535 " + words + b"\r\n")


def repeats(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """Refuses with all that it was sent, as it is and decoded."""
    lines = bytes(conversation.record.tls).splitlines()
    words = lines[-1]
    for word in b" ".join(lines).split():
        with contextlib.suppress(ValueError):
            words += b" " + base64.b64decode(word, validate=True).translate(None, b"\r\n")
    refuses_with(words)(conversation, protocol, tag)


def own_command(mail: Mail) -> tuple[Answer, ...]:
    return (accepts,) if mail.protocol == "pop3" else ()


Act = Callable[[Any, str], object]
# How each signs in: what the server offers, what it asks, the policy's mechanisms, and the call.
WAYS: dict[str, tuple[tuple[str, ...], tuple[Answer, ...], Act]] = {
    "PLAIN": (("PLAIN",), (), lambda client, secret: client.login(USER, secret)),
    "LOGIN": (
        ("LOGIN",),
        (asks(b"User:"), asks(b"Password:")),
        lambda client, secret: client.login(USER, secret),
    ),
    "CRAM-MD5": (
        ("CRAM-MD5",),
        (asks(b"<1.2@x>"),),
        lambda client, secret: client.login(USER, secret),
    ),
    "own command": ((), (), lambda client, secret: client.login(USER, secret)),
    "XOAUTH2": (
        ("XOAUTH2",),
        (),
        lambda client, secret: client.authenticate(Token(USER, "T0ken" + secret.encode().hex())),
    ),
    "OAUTHBEARER by a provider": (
        ("OAUTHBEARER",),
        (),
        lambda client, secret: client.authenticate(
            Token(USER, lambda refused: "T0ken" + secret.encode().hex())
        ),
    ),
}


@every_class
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "verdict",
    [accepts, refuses, repeats],
    ids=lambda one: one.__name__ if hasattr(one, "__name__") else "",
)
def test_a_sign_in(way: str, verdict: Any, mail: Mail, studio: Studio) -> None:
    offered, asked, act = WAYS[way]
    if way == "own command" and mail.protocol == "smtp":
        return
    first = (asks(b""),) if mail.protocol == "imap" and offered and not asked else ()
    before = own_command(mail) if not offered else (*first, *asked)
    words = offered or ("PLAIN",)
    script = Scripted(mail.protocol, (*before, verdict), offered)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakMechanismWarning)
        with studio.recording(mail, script, auth=AuthPolicy(mechanisms=words)) as take:
            with contextlib.suppress(AuthenticationFailed):
                act(take.client, PASSWORD)
            sent = take.sent
    assert_gone(PASSWORD, take.text)
    assert_gone("T0ken" + PASSWORD.encode().hex(), take.text)
    assert USER not in take.text
    assert "<secret>" in take.text
    for word in sign_in_words(sent):
        assert word not in take.text
    if verdict is refuses:
        assert "wrong password" in take.text


def sign_in_words(sent: bytes) -> Iterator[str]:
    """What was sent in a sign-in, word by word, and what that was the base64 of."""
    for word in sent.split():
        with contextlib.suppress(ValueError):
            plain = base64.b64decode(word, validate=True)
            if len(word) >= 12 and not word.isalpha():
                yield word.decode()
                for part in re.split(rb"[\0\1, ]", plain):
                    if len(part) >= 12 and not part.startswith((b"host=", b"port=")):
                        yield part.decode("latin-1")


@every_class
@pytest.mark.parametrize("ending", ["challenge", "success"])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_scram_leaves_nothing_to_guess_from(
    right: bool, ending: str, mail: Mail, studio: Studio
) -> None:
    scram = ScramServer(PASSWORD if right else "another password").but(ending=ending)
    # It knows the password, which no line of ours had.
    after = (later(b"hello " + PASSWORD.encode()), repeats)
    script = Scripted(mail.protocol, (*scram(mail.protocol), *after), ("SCRAM-SHA-256",))
    with studio.recording(mail, script) as take:
        with contextlib.suppress(SecureMailError):
            take.client.login(USER, PASSWORD)
        if right:
            take.client.noop()
            with contextlib.suppress(SecureMailError, mail.standard_error):
                take.client.noop()
        sent = take.sent
    text = take.text
    words = list(sign_in_words(sent))
    assert any(word.startswith("r=") for word in words)
    assert any(word.startswith("p=") for word in words)
    for word in [*words, "the-server's-half", base64.b64encode(SALT).decode()]:
        assert word not in text
        if re.match("[a-z]=", word):
            assert word[2:] not in text
    # Of the dialogue alone: the throw-away certificate's name has chance letters in it.
    said = "\n".join([*take.said("C"), *take.said("S")])
    for word in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", said):
        with contextlib.suppress(ValueError):
            assert b"=" not in base64.b64decode(word, validate=True), word
    assert "<challenge>" in text
    assert_gone(PASSWORD, text)


def test_apop_shows_no_digest(studio: Studio) -> None:
    greeting = to_all(b"+OK <1896.697170952@mail.example.org>\r\n")
    script = Scripted("pop3", (repeats,), (), greeting=greeting, opening=repeats)
    with studio.recording(MAIL["pop3"], script) as take:
        with pytest.raises(AuthenticationFailed):
            take.client.apop(USER, PASSWORD)
        digest = take.sent.split()[-1].decode()
    assert len(digest) == 32
    assert digest not in take.text
    assert "APOP <user> <secret>" in take.text


SPELLED: dict[str, tuple[str, Act]] = {
    "IMAP, a callable": (
        "imap",
        lambda client, secret: client.authenticate(
            "PLAIN", lambda challenge: f"\0{USER}\0{secret}".encode()
        ),
    ),
    "IMAP, a callable of its own": (
        "imap",
        lambda client, secret: client.authenticate("X-OWN", lambda challenge: secret.encode()),
    ),
    "IMAP, xatom": ("imap", lambda client, secret: client.xatom("LOGIN", USER, f'"{secret}"')),
    "IMAP, octets": (
        "imap",
        lambda client, secret: (
            client.send(b"a1 LOGIN %s {%d}\r\n" % (USER.encode(), len(secret))),
            client.readline(),
            client.send(secret.encode() + b"\r\n"),
            client.readline(),
        ),
    ),
    "POP3": ("pop3", lambda client, secret: (client.user(USER), client.pass_(secret))),
    "POP3, a line": (
        "pop3",
        lambda client, secret: client._shortcmd(f"AUTH PLAIN {_plain(secret)}"),
    ),
    "SMTP, docmd": ("smtp", lambda client, secret: client.docmd("AUTH", f"PLAIN {_plain(secret)}")),
    "SMTP, two lines": (
        "smtp",
        lambda client, secret: (client.docmd("AUTH PLAIN"), client.docmd(_plain(secret))),
    ),
    "SMTP, a callable": (
        "smtp",
        lambda client, secret: client.auth("PLAIN", lambda challenge=None: f"\0{USER}\0{secret}"),
    ),
}


def _plain(secret: str) -> str:
    return base64.b64encode(f"\0{USER}\0{secret}".encode()).decode()


@pytest.mark.parametrize("how", SPELLED)
def test_what_a_caller_spells_himself(how: str, studio: Studio) -> None:
    """Refused with all that was sent, and the next reply has it again."""
    protocol, act = SPELLED[how]
    mail = MAIL[protocol]
    again = later(PASSWORD.encode() + b" or " + _plain(PASSWORD).encode())
    asked = {
        "IMAP, a callable": (asks(b""),),
        "IMAP, a callable of its own": (asks(b"?"),),
        "IMAP, octets": (says(b"+ go on\r\n"),),
        "SMTP, two lines": (asks(b""),),
        "POP3": (accepts,),
    }.get(how, ())
    script = Scripted(protocol, (*asked, repeats, again), ("PLAIN",))
    with studio.recording(mail, script) as take:
        if protocol == "smtp":
            take.client.ehlo()
        with contextlib.suppress(SecureMailError, mail.standard_error):
            act(take.client, PASSWORD)
        with contextlib.suppress(SecureMailError, mail.standard_error):
            take.client.noop()
    sent = take.sent  # all of it has come by now
    assert PASSWORD.encode() in sent or _plain(PASSWORD).encode() in sent or b"AUTH" in sent
    assert_gone(PASSWORD, take.text)
    assert "<secret>" in take.text


@every_class
@by_hypothesis
@given(secret=secrets, name=st.sampled_from(sorted(ENCODINGS)), width=st.integers(5, 40))
def test_a_server_that_tells_it_whenever_it_can(
    secret: str, name: str, width: int, mail: Mail, studio: Studio
) -> None:
    """In its refusal, in any form, over several lines where the protocol has such; and in what it
    answers to the next commands, and on the object's next connection."""
    octets = ENCODINGS[name](secret.encode()).translate(None, b"\r\n\0")
    folded = [octets[at : at + width] for at in range(0, len(octets), width)] or [b""]
    smtp = b"".join(b"250-" + line + b"\r\n" for line in folded) + b"250 done\r\n"
    answers = says(
        b"* OK " + octets + b"\r\n%t OK " + octets + b"\r\n", b"+OK " + octets + b"\r\n", smtp
    )
    first = (asks(b""),) if mail.protocol == "imap" else ()
    script = Scripted(mail.protocol, (*first, refuses_with(octets), answers, answers), ("PLAIN",))
    try:
        credentials = Password(USER, secret)
    except PolicyError:
        return
    with studio.recording(mail, script, auth=AuthPolicy(mechanisms=("PLAIN",))) as take:
        with pytest.raises(AuthenticationFailed):
            take.client.authenticate(credentials)
        take.client.noop()
    bodies = "".join(re.sub(r"^(?:250[- ]|535 )", "", text) for text in take.said("S"))
    assert_gone(secret, take.text, bodies)
    assert "PLAIN" in take.text


def test_the_next_connection_of_an_object_hides_it_too(studio: Studio) -> None:
    def script(conversation: Conversation) -> None:
        Scripted("smtp", greeting=to_all(b"220 hello " + PASSWORD.encode() + b"\r\n"))(conversation)

    with studio.recording(MAIL["smtp"], scripts.POLITE["smtp"]) as take:
        take.client.login(USER, PASSWORD)
        take.client.quit()
        with RecordingServer(script, context=studio.context) as again:
            take.client.connect("127.0.0.1", again.port)
            take.client.close()
    assert "220 hello <secret>" in take.said("S")
    assert_gone(PASSWORD, take.text)


# -- mail and privacy


def test_no_mail_and_no_mailbox_of_imap(studio: Studio) -> None:
    answers = (
        asks(b""),
        says(b"%t OK in\r\n"),
        says(b"* 2 EXISTS\r\n* FLAGS (\\Seen)\r\n%t OK [READ-WRITE] done\r\n"),
        says(
            b'* 1 FETCH (UID 7 FLAGS (\\Seen) ENVELOPE ("Mon" "Our secret plan"))\r\n%t OK done\r\n'
        ),
        says(b"* 1 FETCH (BODY[] {17}\r\nSubject: lunch\r\n\rx OK At noon?)\r\n%t OK done\r\n"),
        says(
            b'* LIST (\\Noselect) "/" "Divorce papers"\r\n'
            b'* LIST () "/" {5}\r\nCrime x\r\n%t OK done\r\n'
        ),
        says(b"* SEARCH 1 2\r\n%t OK done\r\n"),
    )

    def append(conversation: Conversation, protocol: str, tag: bytes) -> None:
        conversation.send(b"+ go on\r\n")
        conversation.read(12)
        conversation.send(tag + b" OK kept\r\n")

    script = Scripted("imap", (*answers, append), ("PLAIN",))
    with studio.recording(MAIL["imap"], script) as take:
        client = take.client
        client.login(USER, PASSWORD)
        client.select()
        client.fetch("1", "(FLAGS ENVELOPE)")
        client.fetch("1", "(BODY[])")
        client.list()
        client.search(None, "FROM", '"Eve"')
        client.append("Hobbies", None, None, b"one line\r\n")
    text = take.text
    for word in ("plan", "lunch", "noon", "Divorce", "Crime", "Eve", "Hobbies", "one line"):
        assert word not in text
    said = [re.sub(r"^[A-P]{4}\d+ ", "", one) for one in take.said("C")]
    assert said[3:] == [
        "SELECT INBOX",
        "FETCH 1 (FLAGS ENVELOPE)",
        "FETCH 1 (BODY[])",
        "LIST <4 octets>",
        "SEARCH <10 octets>",
        "APPEND <12 octets>",
        "<10 octets>",
    ]
    heard = take.said("S")
    for shown in (
        "* 2 EXISTS",
        "* 1 FETCH <56 octets>",
        "<17 octets>",
        "* SEARCH 1 2",
        "* FLAGS (\\Seen)",
    ):
        assert shown in heard


def test_no_mail_of_pop3(studio: Studio) -> None:
    answers = (
        accepts,
        says(pop3=b"+OK 1 12\r\n"),
        says(pop3=b"+OK\r\n1 12\r\n.\r\n"),
        says(pop3=b"+OK 12 octets\r\nSubject: lunch\r\n.\r\n"),
        says(pop3=b"+OK\r\n1 uid-of-it\r\n.\r\n"),
        says(pop3=b"surprise: lunch\r\n"),
    )
    with studio.recording(MAIL["pop3"], Scripted("pop3", answers)) as take:
        client = take.client
        client.login(USER, PASSWORD)
        client.stat()
        client.list()
        client.retr(1)
        client.uidl()
        with pytest.raises(MAIL["pop3"].standard_error):
            client.noop()
    assert "lunch" not in take.text
    assert take.said("C") == [
        "CAPA",
        "AUTH PLAIN <secret>",
        "STAT",
        "LIST",
        "RETR 1",
        "UIDL",
        "NOOP",
    ]
    for shown in ("+OK 1 12", "1 12", "<16 octets>", "1 uid-of-it", "<15 octets>"):
        assert shown in take.said("S")


def test_no_mail_of_smtp_and_nobodys_name(studio: Studio) -> None:
    refusal = b"550-5.1.1 <bob@example.net>: no mailbox\r\n550 5.1.1 of bobby\r\n"
    answers = (
        to_all(b"250 2.1.0 fine\r\n"),
        to_all(b"250 2.1.5 fine\r\n"),
        to_all(refusal),
        to_all(b"354 go on\r\n"),
    )

    def take_mail(conversation: Conversation, protocol: str, tag: bytes) -> None:
        while conversation.read_line() not in (b".\r\n", b""):
            pass
        conversation.send(b"250 2.0.0 kept\r\n")

    script = Scripted("smtp", (*answers, take_mail), ())
    with studio.recording(MAIL["smtp"], script) as take:
        to = ["eve@example.net", "bobby@example.net"]
        take.client.sendmail(
            "carol.x@example.org", to, "Subject: lunch\r\n\r\nMAIL FROM:<me@x>\r\n"
        )
        take.client.verify("mallory")
    for word in ("lunch", "eve@", "bob", "carol", "me@x", "mallory"):
        assert word not in take.text
    assert [line.lower() for line in take.said("C")[1:]] == [
        "mail from:<<someone>@example.org>",
        "rcpt to:<<someone>@example.net>",
        "rcpt to:<<someone>@example.net>",
        "data",
        "<39 octets>",
        "vrfy <7 octets>",
    ]
    assert "550 5.1.1 of <someone>" in take.said("S")


def test_a_server_cannot_write_lines_of_its_own(studio: Studio) -> None:
    words = b"\x1b[2J\x07 \x9b31m \xe2\x80\xae \x0b\x0c\x85\r 0.001 C  RETR 1"
    with studio.recording(MAIL["pop3"], Scripted("pop3", opening=later(words))) as take:
        take.client.noop()
    (line,) = [line for line in take.text.splitlines() if "RETR" in line]
    assert line.isascii()
    assert line.isprintable()
    assert "\\x1b[2J\\x07 \\x9b31m \\xe2\\x80\\xae \\x0b\\x0c\\x85\\x0d" in line
    assert " S  +OK" in line


def test_a_very_long_line_is_cut(studio: Studio) -> None:
    with studio.recording(MAIL["pop3"], Scripted("pop3", opening=later(b"x" * 2_020))) as take:
        take.client._putline(b"NOOP")
        take.client._getline()
    assert take.said("S")[-1] == "+OK " + "x" * 1_996 + " ... 24 octets more"


# -- where it goes


def _dialogue(studio: Studio, to: Any) -> str:
    with studio.recording(MAIL["pop3"], scripts.POLITE["pop3"], transcript=to) as take:
        take.client.login(USER, PASSWORD)
        return str(take.client.quit())


def test_a_file_is_for_its_owner_and_is_appended_to(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "transcript.txt"
    for to in (path, str(path)):
        _dialogue(studio, to)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.count("POP3 over TLS") == text.count("closed") == 2
    assert text.count("AUTH PLAIN <secret>") == 2


def test_each_line_of_a_file_is_there_at_once(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "transcript.txt"
    with studio.recording(MAIL["pop3"], scripts.POLITE["pop3"], transcript=path) as take:
        take.client.noop()
        assert path.read_text().splitlines()[-1].endswith(" S  +OK")


def test_a_stream_stays_open(studio: Studio) -> None:
    stream = io.StringIO()
    _dialogue(studio, stream)
    assert not stream.closed
    assert "AUTH PLAIN <secret>" in stream.getvalue()


def test_a_logger_at_debug(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="securemail.wire"):
        _dialogue(studio, logging.getLogger("securemail.wire"))
    records = [record for record in caplog.records if record.name == "securemail.wire"]
    assert {record.levelno for record in records} == {logging.DEBUG}
    assert any("AUTH PLAIN <secret>" in record.getMessage() for record in records)


def test_a_function_gets_values(studio: Studio) -> None:
    before = datetime.now(UTC)
    lines: list[TranscriptLine] = []
    _dialogue(studio, lines.append)
    for line in lines:
        assert line.at.tzinfo is UTC
        assert before - timedelta(seconds=1) <= line.at <= datetime.now(UTC)
        assert 0 <= line.seconds < 60
        assert line.side in "CS*"
        assert line.private
    with pytest.raises(AttributeError):
        lines[0].text = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    "to", [3, b"path", object(), ["x"]], ids=["a number", "octets", "an object", "a list"]
)
def test_what_is_nothing_to_write_to(to: Any, studio: Studio) -> None:
    with RecordingServer(scripts.POLITE["pop3"], context=studio.context) as server:
        with pytest.raises(PolicyError, match="nothing that a transcript") as raised:
            securemail.POP3_SSL("127.0.0.1", server.port, policy=studio.policy, transcript=to)
        assert raised.value.code == "transcript"
        assert server.connections == 0


def test_a_file_that_cannot_be_written(studio: Studio, tmp_path: Path) -> None:
    with RecordingServer(scripts.POLITE["pop3"], context=studio.context) as server:
        for path in (tmp_path, tmp_path / "no" / "folder", "", "nul\0"):
            with pytest.raises(PolicyError, match="cannot be written") as raised:
                securemail.POP3_SSL("127.0.0.1", server.port, policy=studio.policy, transcript=path)
            assert raised.value.code == "transcript"
        assert server.connections == 0


# -- what goes wrong


class Broken:
    """Takes so many lines, and no more."""

    def __init__(self, lines: int, error: BaseException) -> None:
        self.left, self.error, self.text = lines, error, ""

    def write(self, text: str) -> None:
        if self.left == 0:
            raise self.error
        self.left -= 1
        self.text += text


@pytest.mark.parametrize("lines", [0, 1, 5, 8])
def test_what_cannot_be_written_ends_the_transcript_alone(lines: int, studio: Studio) -> None:
    to = Broken(lines, OSError(28, "No space left on device"))
    with pytest.warns(SecureMailWarning, match=r"transcript of .* ended: OSError") as caught:
        assert _dialogue(studio, to).startswith("b'+OK")
    assert len(caught) == 1
    assert to.text.count("\n") == lines
    assert leaks(to.text.encode(), PASSWORD) == []


def test_also_where_warnings_are_errors(studio: Studio) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _dialogue(studio, Broken(3, ValueError("closed"))).startswith("b'+OK")


def test_ctrl_c_in_a_function_is_ctrl_c(studio: Studio) -> None:
    with pytest.raises(KeyboardInterrupt):
        _dialogue(studio, Broken(5, KeyboardInterrupt()))


def test_ctrl_c_while_it_connects_is_told(studio: Studio, tmp_path: Path) -> None:
    def connector(host: str, port: int, seconds: float | None) -> Any:
        raise KeyboardInterrupt

    path = tmp_path / "transcript.txt"
    with pytest.raises(KeyboardInterrupt):
        securemail.POP3_SSL(
            "mail.example.org", policy=studio.policy, connector=connector, transcript=path
        )
    assert path.read_text().splitlines()[-1].endswith(" *  KeyboardInterrupt")


def test_nobody_there(studio: Studio) -> None:
    lines: list[TranscriptLine] = []
    with RecordingServer(scripts.POLITE["imap"]) as server:
        port = server.port
    with pytest.raises(ConnectFailed):
        securemail.IMAP4_SSL("127.0.0.1", port, policy=studio.policy, transcript=lines.append)
    assert lines[-1].text.startswith("ConnectRefused (connect-refused): could not connect.")


def test_a_certificate_that_is_refused(pki: PKI, studio: Studio) -> None:
    lines: list[TranscriptLine] = []
    with RecordingServer(scripts.POLITE["imap"], context=pki["expired"].server_context()) as server:
        with pytest.raises(CertificateRejected):
            securemail.IMAP4_SSL(
                "127.0.0.1", server.port, policy=studio.policy, transcript=lines.append
            )
    assert lines[-2].text == "connected to 127.0.0.1"
    assert lines[-1].text.startswith("CertificateRejected (certificate-expired): ")


def test_no_fingerprint_to_be_believed(pki: PKI, studio: Studio, tmp_path: Path) -> None:
    lines: list[TranscriptLine] = []
    trust = FirstUseTrust(tmp_path / "known-servers")
    with RecordingServer(scripts.POLITE["imap"], context=studio.context) as server:
        with pytest.raises(UnknownServer) as raised:
            securemail.IMAP4_SSL(
                "127.0.0.1",
                server.port,
                policy=TLSPolicy(trust=trust),
                transcript=lines.append,
            )
    text = lines[-1].text
    assert text.startswith("UnknownServer (unknown-server): ")
    assert raised.value.fingerprint not in text
    assert raised.value.pin not in text


@every_class
def test_a_server_that_hangs_up(mail: Mail, studio: Studio) -> None:
    opening = None if mail.protocol == "imap" else closes
    with studio.recording(mail, Scripted(mail.protocol, (closes,), opening=opening)) as take:
        with pytest.raises(ConnectFailed):
            take.client.noop()
    assert "hung up" in take.lines[-1].text
    assert "(connect-reset)" in take.lines[-1].text


def test_a_bound_that_is_crossed(studio: Studio) -> None:
    script = Scripted("pop3", opening=later(b"x" * 5000))
    with studio.recording(MAIL["pop3"], script, limits=Limits(line=1000)) as take:
        with pytest.raises(LimitExceeded):
            take.client.noop()
    assert take.lines[-1].text.startswith("POP3LimitExceeded (limit-line): ")
    assert take.said("C")[-1] == "NOOP"


def test_an_error_quotes_nobody_once_there_is_something_to_hide(studio: Studio) -> None:
    """Its words may have been cut in the middle of a secret."""
    words = b"x" * 290 + PASSWORD.encode()
    garbage = says(words + b"\r\n", words + b"\r\n", words + b"\r\n")
    script = Scripted("imap", (asks(b""), accepts, garbage), ("PLAIN",))
    with studio.recording(MAIL["imap"], script) as take:
        take.client.login(USER, PASSWORD)
        with pytest.raises(SecureMailError):
            take.client.noop()
    assert take.lines[-1].text == "IMAP4ProtocolViolation (protocol)"
    assert PASSWORD[:6] not in take.text


# -- the command


def test_check_writes_one(pki: PKI, studio: Studio, tmp_path: Path) -> None:
    from securemail.cli import main

    path = tmp_path / "transcript.txt"
    with RecordingServer(scripts.POLITE["imap"], context=studio.context) as server:
        place = [f"127.0.0.1:{server.port}", "--imap", "--ca", str(pki.ca_pem), "--only-ca"]
        assert main(["check", *place, "--transcript", str(path)]) == 0
    assert "CAPABILITY" in path.read_text()
    assert path.read_text().splitlines()[-1].endswith("closed")
