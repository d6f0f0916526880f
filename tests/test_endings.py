"""How a conversation ends: farewells that nobody answers, mail that may have been accepted, errors
that scripts catch; and what of a caller's own counts beside the policy file."""

import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    IMAP4,
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3,
    POP3_SSL,
    SMTP,
    SMTP_SSL,
    CATrust,
    CertificateRejected,
    LimitExceeded,
    Limits,
    PolicyError,
    TimeLimitExceeded,
    TLSPolicy,
)
from securemail.smtp import LMTP
from securemail.smtp.message import in_crlf, require_address
from servers.attempts import PASSWORD, USER
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.scripts import POLITE

Factory = Callable[..., RecordingServer]
MAIL = "Subject: x\r\n\r\nhi\r\n"
EHLO = b"250-me\r\n250 AUTH PLAIN\r\n"
LONG = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * 1 + (b"x" * 70 + b"\r\n") * 400_000


class Server:
    """SMTP over TLS; `says` has other answers to a command, None for none at all."""

    def __init__(self, **says: bytes | None) -> None:
        self.says = says
        self.accepted = 0

    def __call__(self, talk: Conversation) -> None:
        talk.send(b"220 me\r\n")
        while line := talk.read_line():
            word = line.split()[0].decode().upper()
            if word in self.says:
                said = self.says[word]
                if said is None:
                    talk.sleep_until_closed(30)
                    return
                talk.send(said)
            elif word == "DATA":
                if not self.take_mail(talk):
                    return
            else:
                if word == "BDAT":
                    talk.read(int(line.split()[1]))
                polite = {"EHLO": EHLO, "LHLO": EHLO, "QUIT": b"221 bye\r\n"}
                talk.send(polite.get(word, b"250 ok\r\n"))

    def take_mail(self, talk: Conversation) -> bool:
        talk.send(b"354 go on\r\n")
        while talk.read_line() not in (b".\r\n", b""):
            pass
        self.accepted += 1
        if "END" in self.says:
            if self.says["END"] is None:
                talk.sleep_until_closed(30)
                return False
            talk.send(self.says["END"] or b"")
        else:
            talk.send(b"250 queued\r\n")
        return True


@pytest.fixture
def connect(pki: PKI, recording_server: Factory) -> Callable[..., Any]:
    def do(script: Any, cls: Any = SMTP_SSL, **args: Any) -> Any:
        server = recording_server(script, context=pki["good"].server_context())
        args.setdefault("limits", Limits(connect=5, read=5))
        args.setdefault("policy", TLSPolicy(trust=CATrust(pki.ca_pem)))
        client = cls("127.0.0.1", server.port, **args)
        client._server = server
        return client

    return do


def test_a_farewell_that_nobody_answers_undoes_no_mail(connect: Any) -> None:
    script = Server(QUIT=None)
    with connect(script, limits=Limits(connect=5, read=30)) as smtp:
        smtp.sendmail("a@x.org", ["b@x.org"], MAIL)
    assert script.accepted == 1
    assert smtp.sock is None


def test_control_a_wrong_answer_is_told_as_ever(connect: Any) -> None:
    with pytest.raises(smtplib.SMTPResponseException):
        with connect(Server(QUIT=b"500 what\r\n")) as smtp:
            smtp.sendmail("a@x.org", ["b@x.org"], MAIL)


def test_quit_itself_says_so_in_two_seconds(connect: Any) -> None:
    smtp = connect(Server(QUIT=None), limits=Limits(connect=5, read=30))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.quit()


def test_an_rset_that_nobody_answers_hides_no_refusal(connect: Any) -> None:
    smtp = connect(Server(RSET=None, RCPT=b"550 nobody\r\n"), limits=Limits(connect=5, read=1))
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("a@x.org", ["b@x.org"], MAIL)


def test_after_an_exception_nothing_is_said(connect: Any) -> None:
    with pytest.raises(KeyError):
        with connect(Server()) as smtp:
            smtp.noop()
            raise KeyError
    assert b"QUIT" not in bytes(smtp._server.wait()[0].tls).upper()


def test_silence_after_the_final_dot_may_be_a_success(connect: Any) -> None:
    smtp = connect(Server(END=None), limits=Limits(connect=5, read=1))
    with pytest.raises(smtplib.SMTPServerDisconnected, match="may have been accepted") as raised:
        smtp.sendmail("a@x.org", ["b@x.org"], MAIL)
    assert isinstance(raised.value, TimeLimitExceeded)


def test_silence_before_it_is_not(connect: Any) -> None:
    smtp = connect(Server(MAIL=None), limits=Limits(connect=5, read=1))
    with pytest.raises(smtplib.SMTPServerDisconnected) as raised:
        smtp.sendmail("a@x.org", ["b@x.org"], MAIL)
    assert "may have been accepted" not in str(raised.value)


def test_a_refusal_within_the_message_is_quoted(connect: Any) -> None:
    class Declines(Server):
        def take_mail(self, talk: Conversation) -> bool:
            talk.send(b"354 go on\r\n")
            talk.read_line()
            talk.send(b"552 5.3.4 too large\r\n")
            talk.reset()
            return False

    smtp = connect(Declines())
    with pytest.raises(smtplib.SMTPDataError, match=r"552 5\.3\.4 too large") as raised:
        smtp.sendmail("a@x.org", ["b@x.org"], LONG)
    assert (raised.value.smtp_code, raised.value.smtp_error) == (552, b"5.3.4 too large")
    assert isinstance(raised.value, smtplib.SMTPServerDisconnected)


def test_a_mail_s_text_is_no_command(connect: Any) -> None:
    """MAIL, RCPT and DATA sent as one (RFC 2920): what comes after 354 is mail, whatever it
    says."""
    smtp = connect(Server())
    smtp.ehlo()
    smtp.send("MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n")
    assert [smtp.getreply()[0] for _ in range(3)] == [250, 250, 354]
    smtp.send(b"Subject: x\r\n\r\nAUTH PLAIN, I think.\r\n.\r\n")
    assert smtp.getreply()[0] == 250
    smtp.noop()
    smtp.send(b"BDAT 12 LAST\r\nAUTH PLAIN\r\n")
    assert smtp.getreply()[0] == 250
    smtp.quit()


def test_lmtp_answers_for_each_recipient(recording_server: Factory) -> None:
    class Two(Server):
        def take_mail(self, talk: Conversation) -> bool:
            super().take_mail(talk)
            talk.send(b"452 4.2.2 carol is full\r\n")
            return True

    server = recording_server(Two())
    with LMTP("127.0.0.1", server.port, timeout=5) as lmtp:
        with pytest.warns(UserWarning, match="in clear"):
            refused = lmtp.sendmail("a@x.org", ["bob@x.org", "carol@x.org"], MAIL)
        assert refused == {"carol@x.org": (452, b"4.2.2 carol is full")}
        assert lmtp.noop()[0] == 250, "every reply is its own command's"


def test_lmtp_where_no_mailbox_takes_it(recording_server: Factory) -> None:
    class None_(Server):
        def take_mail(self, talk: Conversation) -> bool:
            super().take_mail(talk)
            talk.send(b"552 carol too\r\n")
            return True

    server = recording_server(None_(END=b"552 bob is full\r\n"))
    with LMTP("127.0.0.1", server.port, timeout=5, plaintext="a test") as lmtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as raised, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lmtp.sendmail("a@x.org", ["bob@x.org", "carol@x.org"], MAIL)
    assert set(raised.value.recipients) == {"bob@x.org", "carol@x.org"}


# --- errors that scripts catch --------------------------------------------------------------------


def test_a_bound_is_the_standard_module_s_error_too(connect: Any) -> None:
    long = b"x" * 5000
    cases: list[tuple[Any, Any, Any, Callable[[Any], Any]]] = [
        (SMTP_SSL, lambda t: (t.send(b"220 me\r\n"), t.read_line(), t.send(b"250 " + long)),
         smtplib.SMTPServerDisconnected, lambda c: c.noop()),
        (POP3_SSL, lambda t: (t.send(b"+OK me\r\n"), t.read_line(), t.send(b"+OK " + long)),
         poplib.error_proto, lambda c: c.noop()),
    ]  # fmt: skip
    for cls, script, standard, verb in cases:
        client = connect(script, cls, limits=Limits(line=1000, read=5))
        with pytest.raises(LimitExceeded) as raised:
            verb(client)
        assert isinstance(raised.value, standard)


def test_after_logout_a_verb_is_an_abort(connect: Any) -> None:
    imap = connect(POLITE["imap"], IMAP4_SSL)
    imap.logout()
    for verb in (imap.noop, imap.capability):
        with pytest.raises(imaplib.IMAP4.abort):
            verb()


def test_after_a_bye_logout_returns_it(connect: Any) -> None:
    def says_bye(talk: Conversation) -> None:
        talk.send(b"* OK me\r\n")
        while line := talk.read_line():
            if b"NOOP" in line:
                talk.send(b"* BYE going down\r\n")
                return
            capability = b"* CAPABILITY IMAP4rev1\r\n"
            talk.send(capability + line.split()[0] + b" OK done\r\n")

    imap = connect(says_bye, IMAP4_SSL)
    with pytest.raises(imaplib.IMAP4.abort, match="going down"):
        imap.noop()
    assert imap.logout() == ("BYE", [b"going down"])


# --- what goes out between commands ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb\n", b"a\r\nb\r\n"),
        (b"\n.\n", b"\r\n.\r\n"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"", b""),
    ],
)
def test_a_lone_lf_becomes_crlf(given: bytes, sent: bytes) -> None:
    assert in_crlf(given) == sent


@pytest.mark.parametrize("given", [b"a\rb", b"\r.\r", b"a\r\r\n", b"a\r\nb\r"])
def test_a_lone_cr_is_refused(given: bytes, connect: Any) -> None:
    smtp = connect(Server())
    with pytest.raises(PolicyError, match="CR without an LF") as raised:
        smtp.sendmail("a@x.org", ["b@x.org"], given)
    assert raised.value.code == "line-break"
    smtp.quit()
    assert b"MAIL" not in bytes(smtp._server.wait()[0].tls).upper()


@pytest.mark.parametrize(
    "address",
    ["<a@x.org> AUTH=<b@x.org>", "<a@x.org> NOTIFY=NEVER", "<a@x.org>x", "<a@x.org><b@x.org>"],
)
def test_an_address_is_an_address_alone(address: str, connect: Any) -> None:
    smtp = connect(Server())
    for verb in (
        lambda: smtp.mail(address),
        lambda: smtp.rcpt(address),
        lambda: smtp.sendmail("a@x.org", ["b@x.org", address], MAIL),
        lambda: smtp.sendmail(address, ["b@x.org"], MAIL),
    ):
        with pytest.raises(PolicyError, match="is not an address alone"):
            verb()
    smtp.quit()
    said = bytes(smtp._server.wait()[0].tls).upper()
    assert b"MAIL" not in said
    assert b"RCPT" not in said


@pytest.mark.parametrize(
    "address",
    ["a@x.org", "<a@x.org>", "Ada <a@x.org>", "", "<>", '"a b"@x.org', "a+b=c@x.org", "postmaster"],
)
def test_control_what_is_one(address: str) -> None:
    require_address(address, wide=False)


def test_an_address_that_is_not_ascii(connect: Any) -> None:
    require_address("bücher@x.org", wide=True)
    smtp = connect(Server())
    with pytest.raises(PolicyError, match="not ASCII") as raised:
        smtp.sendmail("a@x.org", ["bücher@x.org"], MAIL)
    assert raised.value.code == "address"
    smtp.quit()


# --- beside the policy file -----------------------------------------------------------------------


@pytest.fixture
def names_server(
    pki: PKI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """A policy file with one table: its name, and what is in it."""

    def write(table: str, text: str) -> None:
        (tmp_path / "ca.pem").write_bytes(Path(pki.ca_pem).read_bytes())
        (tmp_path / "securemail.toml").write_text(f"[{table}]\n{text}\n")
        monkeypatch.setenv("SECUREMAIL_POLICY", str(tmp_path / "securemail.toml"))

    return write


OF_FILE = 'trust = { ca = "ca.pem" }'


def test_a_context_gives_way_to_an_entry_for_this_very_server(
    connect: Any, names_server: Any
) -> None:
    names_server('servers."127.0.0.1"', OF_FILE)
    knows_nobody = ssl.create_default_context()  # which verifies, by the system's store
    smtp = connect(Server(), policy=None, context=knows_nobody)
    assert "ca.pem" in smtp.report.tls.trusted_by
    assert "instead of the context that was given" in smtp.report.policy_file
    smtp.quit()


def test_control_not_to_default_nor_where_a_policy_made_it(
    connect: Any, names_server: Any, pki: PKI
) -> None:
    names_server("default", OF_FILE)
    with pytest.raises(CertificateRejected):
        connect(Server(), policy=None, context=ssl.create_default_context())
    names_server('servers."127.0.0.1"', 'trust = "system"')
    own = TLSPolicy(trust=CATrust(pki.ca_pem)).ssl_context()
    connect(Server(), policy=None, context=own).quit()


def test_nor_one_that_verifies_nothing(connect: Any, names_server: Any) -> None:
    names_server('servers."127.0.0.1"', OF_FILE)
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    with pytest.raises(PolicyError, match="does not verify"):
        connect(Server(), policy=None, context=careless)


@contextlib.contextmanager
def to(server: RecordingServer) -> Iterator[Callable[..., socket.socket]]:
    yield lambda *_: socket.create_connection(("127.0.0.1", server.port), 5)


def test_any_port_with_a_reason(pki: PKI, names_server: Any, recording_server: Factory) -> None:
    server = recording_server(POLITE["imap"].with_starttls(pki["good"].server_context()))
    with to(server) as connector:
        with pytest.raises(PolicyError, match="contradict each other") as raised:
            IMAP4_STARTTLS("127.0.0.1", 993, connector=connector)
        assert "any_port" in raised.value.hint
        names_server('servers."127.0.0.1:993"', OF_FILE + '\nany_port = "it speaks STARTTLS there"')
        with IMAP4_STARTTLS("127.0.0.1", 993, connector=connector) as imap:
            assert imap.report.tls is not None
        names_server('servers."127.0.0.1:993"', OF_FILE + '\nany_port = ""')
        with pytest.raises(PolicyError, match="any_port"):
            IMAP4_STARTTLS("127.0.0.1", 993, connector=connector)


SUBCLASSES = {
    IMAP4: (993, "imap", "_create_socket"),
    POP3: (995, "pop3", "_create_socket"),
    SMTP: (465, "smtp", "_get_socket"),
}
each_subclass = pytest.mark.parametrize("cls", SUBCLASSES, ids=lambda cls: cls.__name__)


def with_tls_of_its_own(cls: Any, server: RecordingServer, context: ssl.SSLContext) -> Any:
    def dial(self: Any, *_: Any) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", server.port), 5)
        return context.wrap_socket(sock, server_hostname="127.0.0.1")

    return type("Own", (cls,), {SUBCLASSES[cls][2]: dial})


@each_subclass
def test_a_subclass_with_tls_of_its_own_may_use_the_usual_port(
    cls: Any, pki: PKI, recording_server: Factory
) -> None:
    port, protocol, _ = SUBCLASSES[cls]
    server = recording_server(POLITE[protocol], context=pki["good"].server_context())
    own = ssl.create_default_context(cafile=str(pki.ca_pem))
    client = with_tls_of_its_own(cls, server, own)("127.0.0.1", port, timeout=5)
    client.login(USER, PASSWORD)
    client.shutdown() if cls is IMAP4 else client.close()
    with pytest.raises(PolicyError, match="contradict each other"):
        cls("127.0.0.1", port)


@each_subclass
def test_what_its_context_refuses_is_still_that(
    cls: Any, pki: PKI, recording_server: Factory
) -> None:
    port, protocol, _ = SUBCLASSES[cls]
    server = recording_server(POLITE[protocol], context=pki["good"].server_context())
    subclass = with_tls_of_its_own(cls, server, ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        subclass("127.0.0.1", port, timeout=5)
    assert raised.value.verify_code in (18, 19, 20)
