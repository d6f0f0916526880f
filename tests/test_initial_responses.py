"""Initial responses as real servers want them: refused where they were offered, or passed over and
asked for; prompts that are words. The same mechanism once more, and never a weaker one."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from securemail import (
    AuthenticationFailed,
    AuthPolicy,
    CATrust,
    PolicyError,
    ProtocolViolation,
    TLSPolicy,
)
from securemail.policy_file.reading import parse
from servers.attempts import MAIL, PASSWORD, USER, Mail
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.scripts import GREETINGS

PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
Factory = Callable[..., RecordingServer]

REFUSED = {
    "imap": b"%t BAD Request not ending with CRLF\r\n",
    "pop3": b"-ERR syntax error\r\n",
    "smtp": b"501 5.5.2 Cannot decode response\r\n",
}
DECLINED = {
    "imap": b"%t NO [AUTHENTICATIONFAILED] no\r\n",
    "pop3": b"-ERR [AUTH] no\r\n",
    "smtp": b"535 5.7.8 no\r\n",
}
ACCEPTED = {"imap": b"%t OK in\r\n", "pop3": b"+OK in\r\n", "smtp": b"235 2.7.0 in\r\n"}
ASKS = {"imap": b"+ ", "pop3": b"+ ", "smtp": b"334 "}


class Server:
    """Offers PLAIN and LOGIN; `on_line` says what to answer to a response on the command's line:
    octets, or a prompt to go on by."""

    def __init__(
        self, protocol: str, on_line: bytes, prompt: bytes = b"", last: bytes = b""
    ) -> None:
        self.protocol, self.on_line, self.prompt = protocol, on_line, prompt
        self.last = last or ACCEPTED[protocol]

    def __call__(self, talk: Conversation) -> None:
        talk.send(GREETINGS[self.protocol])
        while line := talk.read_line():
            tag = line.split()[0] if self.protocol == "imap" else b""
            words = line.upper().split()[1 if tag else 0 :]
            if words[0] in (b"AUTH", b"AUTHENTICATE"):
                self.sign_in(talk, tag, has_response=len(words) > 2)
            else:
                talk.send(self.polite(words[0]).replace(b"%t", tag))

    def sign_in(self, talk: Conversation, tag: bytes, *, has_response: bool) -> None:
        if has_response and self.on_line:
            return talk.send(self.on_line.replace(b"%t", tag))
        talk.send(ASKS[self.protocol] + self.prompt + b"\r\n")
        talk.read_line()
        return talk.send(self.last.replace(b"%t", tag))

    def polite(self, word: bytes) -> bytes:
        imap = b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN\r\n"
        otherwise = {"imap": b"%t OK done\r\n", "pop3": b"+OK\r\n", "smtp": b"250 ok\r\n"}
        return {
            b"CAPABILITY": imap + b"%t OK done\r\n",
            b"CAPA": b"+OK\r\nSASL PLAIN LOGIN\r\nUSER\r\n.\r\n",
            b"EHLO": b"250-me\r\n250 AUTH PLAIN LOGIN\r\n",
        }.get(word, otherwise[self.protocol])


@pytest.fixture
def sign_in(pki: PKI, recording_server: Factory) -> Callable[..., bytes]:
    def do(
        mail: Mail, script: Server, how: Callable[[Any], Any] | None = None, **args: Any
    ) -> bytes:
        server = recording_server(script, context=pki["good"].server_context())
        policy = TLSPolicy(trust=CATrust(pki.ca_pem))
        client = mail.cls("127.0.0.1", server.port, timeout=5, policy=policy, **args)
        try:
            how(client) if how else client.login(USER, PASSWORD)
        finally:
            mail.close(client)
        return bytes(server.wait()[0].tls)

    return do


@every_class
def test_refused_as_malformed_it_is_given_when_asked(mail: Mail, sign_in: Any) -> None:
    said = sign_in(mail, Server(mail.protocol, REFUSED[mail.protocol]))
    assert said.count(b"PLAIN " + PLAIN) == 1
    assert b"PLAIN\r\n" + PLAIN + b"\r\n" in said
    assert b"LOGIN" not in said


@every_class
def test_refused_twice_it_is_the_end(mail: Mail, sign_in: Any) -> None:
    protocol = mail.protocol
    script = Server(protocol, REFUSED[protocol], last=REFUSED[protocol])
    with pytest.raises(AuthenticationFailed) as raised:
        sign_in(mail, script)
    assert raised.value.mechanism == "PLAIN"


@every_class
def test_a_password_that_was_declined_is_not_sent_again(mail: Mail, sign_in: Any) -> None:
    said: list[bytes] = []

    class Noting(Server):
        def sign_in(self, talk: Conversation, tag: bytes, *, has_response: bool) -> None:
            said.append(b"")
            super().sign_in(talk, tag, has_response=has_response)

    verdicts = [DECLINED[mail.protocol], DECLINED[mail.protocol].replace(b" no", b" syntax ok")]
    if mail.protocol == "pop3":  # which has no codes for it, but of late
        verdicts.append(b"-ERR Authentication failed: invalid arguments\r\n")
    for words in verdicts:
        said.clear()
        with pytest.raises(AuthenticationFailed):
            sign_in(mail, Noting(mail.protocol, words))
        assert len(said) == 1


@every_class
@pytest.mark.parametrize("prompt", [b"", b"=", b"go on", b"NTLM supported", b"\xff\xfe"])
def test_passed_over_it_is_given_when_asked(mail: Mail, prompt: bytes, sign_in: Any) -> None:
    said = sign_in(mail, Server(mail.protocol, b"", prompt))
    assert said.count(PLAIN) == 2


@every_class
def test_asked_for_without_end_it_is_the_end(mail: Mail, sign_in: Any) -> None:
    endless = Server(mail.protocol, b"", last=ASKS[mail.protocol] + b"\r\n")
    with pytest.raises(ProtocolViolation, match="went on asking after PLAIN"):
        sign_in(mail, endless)


@every_class
def test_never_means_when_asked(mail: Mail, sign_in: Any) -> None:
    auth = AuthPolicy(initial_response="never")
    said = sign_in(mail, Server(mail.protocol, b""), auth=auth)
    assert b"PLAIN\r\n" + PLAIN + b"\r\n" in said
    assert b"PLAIN " not in said


def test_a_policy_file_says_it_too() -> None:
    text = b'[servers."imap.163.com"]\nauth = { initial_response = "never" }\n'
    (entry,) = parse(text, "securemail.toml").servers.values()
    assert entry.found["auth"] == AuthPolicy(initial_response="never")
    with pytest.raises(PolicyError, match="initial_response"):
        AuthPolicy(initial_response="sometimes")
    with pytest.raises(PolicyError, match="initial_response"):
        parse(text.replace(b"never", b"sometimes"), "securemail.toml")


@every_class
@pytest.mark.parametrize(
    "prompts", [(b"Username:", b"Password:"), (b"User Name", b"!"), (b"", b"\xff")], ids=str
)
def test_prompts_of_login_are_not_read(mail: Mail, prompts: Any, sign_in: Any) -> None:
    class Words(Server):
        def sign_in(self, talk: Conversation, tag: bytes, *, has_response: bool) -> None:
            for prompt in prompts:
                talk.send(ASKS[self.protocol] + prompt + b"\r\n")
                talk.read_line()
            talk.send(self.last.replace(b"%t", tag))

    said = sign_in(mail, Words(mail.protocol, b""), auth=AuthPolicy(mechanisms=("LOGIN",)))
    assert base64.b64encode(PASSWORD.encode()) in said


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("verb", ["auth_login", "auth_plain"])
def test_the_standard_module_s_own_callables(verb: str, initial: bool, sign_in: Any) -> None:
    def standard(smtp: Any) -> None:
        smtp.ehlo()
        smtp.user, smtp.password = USER, PASSWORD
        name = verb.removeprefix("auth_").upper()
        assert smtp.auth(name, getattr(smtp, verb), initial_response_ok=initial)[0] == 235

    class Both(Server):
        def sign_in(self, talk: Conversation, tag: bytes, *, has_response: bool) -> None:
            for _ in range((2 if verb == "auth_login" else 1) - has_response):
                talk.send(b"334 \r\n")
                talk.read_line()
            talk.send(self.last)

    said = sign_in(MAIL["smtp"], Both("smtp", b""), standard)
    secret = PLAIN if verb == "auth_plain" else base64.b64encode(PASSWORD.encode())
    assert said.split().count(secret) == 1


# --- signed in already ----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["pop3", "smtp"])
def test_signed_in_already_nothing_is_sent_again(protocol: str, sign_in: Any) -> None:
    def twice(client: Any) -> None:
        client.login(USER, PASSWORD)
        if protocol == "smtp":
            assert client.login(USER, PASSWORD)[0] == 503, "what smtplib takes for success"
        else:
            for verb in (client.login, client.apop):
                with pytest.raises(mail.standard_error, match="signed in already"):
                    verb(USER, PASSWORD)
            with pytest.raises(mail.standard_error, match="signed in already"):
                client.user(USER)
        client.noop()

    mail = MAIL[protocol]
    assert sign_in(mail, Server(protocol, b""), twice).count(PLAIN) == 2  # asked for: see above


# --- a mistake of the caller's --------------------------------------------------------------------


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [TypeError, KeyError, ValueError, OSError, EOFError, Stop])
@pytest.mark.parametrize("protocol", ["imap", "smtp"])
def test_what_a_callable_raises_is_the_caller_s(
    protocol: str, error: type[BaseException], sign_in: Any
) -> None:
    def fails(_: bytes) -> str:
        raise error("oops")

    def call(client: Any) -> None:
        if protocol == "imap":
            client.authenticate("X-OWN", fails)
        else:
            client.ehlo()
            client.auth("X-OWN", fails, initial_response_ok=False)

    def then(client: Any) -> None:
        with pytest.raises(error, match="oops"):
            call(client)
        with pytest.raises(MAIL[protocol].standard_error) as raised:
            client.noop()
        assert raised.value.code == "interrupted"  # type: ignore[attr-defined]
        assert error.__name__ in str(raised.value)

    said = sign_in(MAIL[protocol], Server(protocol, b""), then)
    assert b"noop" not in said.lower(), "it would be the answer to the challenge"
    assert said.upper().rstrip().endswith(b"X-OWN")


@pytest.mark.parametrize("protocol", ["imap", "smtp"])
def test_control_a_callable_that_answers(protocol: str, sign_in: Any) -> None:
    def call(client: Any) -> None:
        if protocol == "imap":
            client.authenticate("X-OWN", lambda _: b"yes")
        else:
            client.ehlo()
            client.auth("X-OWN", lambda _: "yes", initial_response_ok=False)
        client.noop()

    assert b"NOOP" in sign_in(MAIL[protocol], Server(protocol, b""), call).upper()


# --- as the standard module of this Python --------------------------------------------------------


@pytest.mark.parametrize("asks_again", [True, False])
def test_imap_capabilities_after_a_sign_in(
    asks_again: bool, sign_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.14 and newer ask again; others do not."""
    monkeypatch.setattr("securemail.imap.sign_in._ASKS_AGAIN", asks_again)

    class MoreLater(Server):
        def sign_in(self, talk: Conversation, tag: bytes, *, has_response: bool) -> None:
            super().sign_in(talk, tag, has_response=has_response)
            self.has_signed_in = True

        def polite(self, word: bytes) -> bytes:
            more = b" ENABLE" if getattr(self, "has_signed_in", False) else b""
            return super().polite(word).replace(b"IMAP4rev1", b"IMAP4rev1" + more)

    def then(imap: Any) -> None:
        imap.login(USER, PASSWORD)
        assert ("ENABLE" in imap.capabilities) is asks_again

    sign_in(MAIL["imap"], MoreLater("imap", b""), then)


def test_imap_login_cram_md5_takes_octets(sign_in: Any) -> None:
    said = [
        sign_in(
            MAIL["imap"],
            Server("imap", b"", prompt=base64.b64encode(b"<1@x>")),
            lambda imap, password=password: imap.login_cram_md5(USER, password),
        )
        for password in (PASSWORD, PASSWORD.encode())
    ]
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ('"al ice"', "al ice"),
        (r'"al\"ice"', 'al"ice'),
        ("alice", "alice"),
        ('"', '"'),
        ('al"ice', 'al"ice'),
    ],
)
def test_imap_login_a_name_that_the_script_has_quoted(given: str, sent: str, sign_in: Any) -> None:
    said = sign_in(MAIL["imap"], Server("imap", b""), lambda imap: imap.login(given, PASSWORD))
    assert base64.b64encode(f"\0{sent}\0{PASSWORD}".encode()) in said
