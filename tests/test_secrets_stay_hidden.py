"""Whatever a program prints, logs, keeps or pickles of a sign-in, no secret is in it.

Any password and any token, by hypothesis; every way to sign in; accepted, refused, and refused by a
server that repeats what it was sent. It is looked for by value, in every form in which it can
appear: plain, quoted, base64 at any alignment, inside of a SASL message. What SCRAM derives from a
password is looked for too, since the password can be guessed from it.
"""

import base64
import contextlib
import hashlib
import hmac
import io
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from securemail import (
    AuthPolicy,
    CATrust,
    Password,
    SecureMailError,
    TLSPolicy,
    Token,
    WeakMechanismWarning,
)
from servers.attempts import MAIL, Mail
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.rude import Answer, Scripted, accepts, asks, refuses
from servers.scram import SALT, ScramServer
from servers.shown import shown_of

USER = "ada"
every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
by_hypothesis = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Letters that encodings treat in different ways; after a beginning that nothing has by chance.
BEGINNING = "q9Zk"
passwords = st.text(
    st.one_of(
        st.sampled_from(" \"\\%{}äß€=,;:<>&+/?#'~漢字"),
        st.characters(min_codepoint=33, max_codepoint=126),
    ),
    min_size=4,
    max_size=40,
).map(lambda text: BEGINNING + text + "!")
visible = st.characters(min_codepoint=33, max_codepoint=126)
tokens = st.text(visible, min_size=8, max_size=200).map(lambda text: BEGINNING + text)

_events: list[str] | None = None


def _collect(event: str, arguments: tuple[Any, ...]) -> None:
    if _events is not None and event.startswith(("imaplib.", "poplib.", "smtplib.", "securemail")):
        _events.append(f"{event} {arguments!r}")


sys.addaudithook(_collect)  # for good: there is no way to take one off


# -- servers


def repeats(conversation: Conversation, protocol: str, tag: bytes) -> None:
    """Refuses, with all that it was sent last, as it was and decoded."""
    line = bytes(conversation.record.tls).splitlines()[-1]
    word = line.split(b" ")[-1]
    with contextlib.suppress(ValueError):
        word += b" " + base64.b64decode(word, validate=True).replace(b"\0", b" ")
    words = (line + b" " + word).replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\1", b" ")
    start = {"imap": tag + b" NO ", "pop3": b"-ERR ", "smtp": b"535 "}[protocol]
    conversation.send(start + words + b"\r\n")


VERDICTS: dict[str, Answer] = {"accepts": accepts, "refuses": refuses, "repeats": repeats}


@dataclass(frozen=True)
class Way:
    """`mechanism` is what the server offers, none for the protocol's own command; `asked`: how
    many challenges come before the verdict."""

    mechanism: str
    asked: int = 0

    def script(self, protocol: str, verdict: Answer) -> Scripted:
        if not self.mechanism:
            before = (accepts,) if protocol == "pop3" else ()
            return Scripted(protocol, (*before, verdict), ())
        challenges = [asks(b"<1.2@x>")] * self.asked
        if protocol == "imap" and self.asked == 0:
            challenges = [asks(b"")]
        return Scripted(protocol, (*challenges, verdict), (self.mechanism,))


WAYS = {
    "PLAIN": Way("PLAIN"),
    "LOGIN": Way("LOGIN", asked=2),
    "CRAM-MD5": Way("CRAM-MD5", asked=1),
    "own command": Way(""),
}


@dataclass
class Overheard:
    """A sign-in, and all that could be seen of it but the wire."""

    client: Any
    printed: str = ""
    logged: str = ""
    events: tuple[str, ...] = ()
    shown: bytes = b""
    error: SecureMailError | None = None

    def everything(self) -> bytes:
        kept = f"{self.client!r} {self.client!s} {vars(self.client)!r}"
        report = self.client.report
        kept += f"{report!r} {report} {report.as_dict()} {report.line()}"
        parts = (self.printed, self.logged, "\n".join(self.events), kept)
        return "\n".join(parts).encode("utf-8", "backslashreplace") + self.shown


class Listener:
    def __init__(self, pki: PKI) -> None:
        self._context = pki["good"].server_context()
        self._policy = TLSPolicy(trust=CATrust(pki.ca_pem))

    @contextlib.contextmanager
    def sign_in(
        self, mail: Mail, script: Scripted, credentials: Any, **args: Any
    ) -> Iterator[Overheard]:
        """The attempt is over when the body runs."""
        global _events
        with RecordingServer(script, context=self._context) as server:
            log, out = io.StringIO(), io.StringIO()
            handler = logging.StreamHandler(log)
            logging.getLogger().addHandler(handler)
            logging.getLogger().setLevel(logging.DEBUG)
            _events = []
            client = mail.cls("127.0.0.1", server.port, policy=self._policy, **args)
            heard = Overheard(client)
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                    if mail.protocol == "imap":
                        client.debug = 5
                    else:
                        client.set_debuglevel(2)
                    try:
                        client.authenticate(credentials)
                    except SecureMailError as error:
                        heard.error = error
                        heard.shown = shown_of(error)
                heard.printed, heard.logged = out.getvalue(), log.getvalue()
                heard.events = tuple(_events)
                assert heard.events, "the standard modules raise them, and so must we"
                yield heard
            finally:
                _events = None
                logging.getLogger().removeHandler(handler)
                mail.close(client)


@pytest.fixture(scope="module")
def listener(pki: PKI) -> Listener:
    return Listener(pki)


# -- passwords


@every_class
@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("name", WAYS)
@by_hypothesis
@example(password='quote" backslash\\ percent%')
@given(password=passwords)
def test_a_password(password: str, name: str, verdict: str, mail: Mail, listener: Listener) -> None:
    way = WAYS[name]
    if not way.mechanism and (mail.protocol == "smtp" or not password.isascii()):
        return  # there is no such command, or it does not take it
    auth = AuthPolicy(mechanisms=(way.mechanism or "PLAIN",))
    script = way.script(mail.protocol, VERDICTS[verdict])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakMechanismWarning)
        with listener.sign_in(mail, script, Password(USER, password), auth=auth) as heard:
            assert (heard.error is None) == (verdict == "accepts"), heard.error
            assert leaks(heard.everything(), password) == []


@every_class
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
@by_hypothesis
@given(password=passwords)
def test_scram_and_what_it_derives(
    password: str, right: bool, mail: Mail, listener: Listener
) -> None:
    scram = ScramServer(password if right else "another password")
    script = Scripted(mail.protocol, scram(mail.protocol), ("SCRAM-SHA-256",))
    credentials = Password(USER, password, keep_salted=True)
    policy = AuthPolicy(saslprep="prefer")
    with listener.sign_in(mail, script, credentials, auth=policy) as heard:
        everything = heard.everything() + repr(credentials).encode()
        assert leaks(everything, password) == []
        for name, octets in derived(password).items():
            forms = (octets, base64.b64encode(octets), octets.hex().encode(), repr(octets).encode())
            assert not [form for form in forms if form in everything], name
        # The server's messages with the client's name: what a password could be guessed from.
        assert b"r=" not in b"".join(decoded(everything))
        assert b"v=" not in b"".join(decoded(everything))


def derived(password: str) -> dict[str, bytes]:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, 4096)
    client_key = hmac.new(salted, b"Client Key", "sha256").digest()
    return {
        "the salted password": salted,
        "the client key": client_key,
        "the stored key": hashlib.sha256(client_key).digest(),
        "the server key": hmac.new(salted, b"Server Key", "sha256").digest(),
    }


def decoded(text: bytes) -> Iterator[bytes]:
    """Whatever in there is base64 of something."""
    for word in re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", text):
        with contextlib.suppress(ValueError):
            yield base64.b64decode(word, validate=True)


# -- tokens


@every_class
@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@by_hypothesis
@given(token=tokens)
def test_a_token(token: str, mechanism: str, verdict: str, mail: Mail, listener: Listener) -> None:
    credentials = Token(USER, token)
    script = Way(mechanism).script(mail.protocol, VERDICTS[verdict])
    with listener.sign_in(mail, script, credentials) as heard:
        assert (heard.error is None) == (verdict == "accepts"), heard.error
        assert leaks(heard.everything(), token) == []


# -- the control: the listener hears


def test_what_is_shown_would_be_found(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, where nothing is hidden of what the server says."""
    password = "an echo in the hall"
    mail = MAIL["imap"]
    monkeypatch.setattr("securemail.signing_in.hide", lambda words, secrets: words)
    script = WAYS["own command"].script("imap", repeats)
    with listener.sign_in(mail, script, Password(USER, password)) as heard:
        assert leaks(heard.everything(), password) != []


def test_the_servers_words_would_be_found(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, where challenges are shown."""
    mail = MAIL["smtp"]
    quoted: Callable[[Any, bytes], bytes] = lambda self, line: line  # noqa: E731
    monkeypatch.setattr("securemail.signing_in.SigningIn._quotable", quoted)
    scram = ScramServer("an echo in the hall")
    script = Scripted("smtp", scram("smtp"), ("SCRAM-SHA-256",))
    credentials = Password(USER, "an echo in the hall")
    with listener.sign_in(mail, script, credentials) as heard:
        assert b"v=" in b"".join(decoded(heard.everything()))
