"""Scripts for the standard modules do the same with their import line changed.

Each script in `dropin/` runs as it is (the control), and then with that one line changed, against
the same servers in the same state. What can be seen of both runs is compared line by line.
"""

import imaplib
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from dropin_runs import (
    ENDED,
    SCRIPTS,
    WARNED,
    Where,
    as_it_is,
    normalised,
    run,
    with_the_import_changed,
)
from servers.clients import strict_context
from servers.dovecot import USERS, Dovecot
from servers.pki import PKI
from servers.postfix import Postfix

SENDER, RECEIVER = "alice", "bob"
SENT = {  # how many letters a script sends
    "debug_smtp": 1,
    "mail_the_log": 1,
    "newsletter": 1,
    "send_by_starttls": 1,
    "send_by_starttls_short": 1,
    "send_report": 1,
    "step_by_step": 1,
    "to_lmtp": 1,
    "two_letters": 4,
}
ON_ARRIVAL = re.compile(rb"\A((Return-Path|Delivered-To|Received):.*\n([ \t].*\n)*)+")


@dataclass(frozen=True)
class Difference:
    """What is not the same on purpose: patterns over the whole of a run, which must be found."""

    reason: str
    standard: str
    ours: str


DIFFERENCES: dict[str, list[Difference]] = {
    "ask_the_server": [
        Difference(
            "without a `timeout` the limits hold: no answer is waited for for ever",
            r"^\(True, None\)$",
            r"^\(True, 60\.0\)$",
        ),
    ],
    "debug_imap": [
        Difference(
            "by SCRAM and not LOGIN; neither side's words are shown, to guess the password from",
            r'> b\'TAG1 LOGIN alice "correct horse battery staple"\'',
            r"> TAG1 AUTHENTICATE SCRAM-SHA-256 <secret>"
            r"(\nprinted:   CLOCK < b'\+ <challenge>'\nprinted:   CLOCK > <secret>){2}",
        ),
    ],
    "debug_pop3": [
        Difference(
            "a password is not shown, nor the user whose it is",
            r"'USER alice'\n(.*) 'PASS correct horse battery staple'",
            r"'USER <user>'\n(.*) 'PASS <secret>'",
        ),
        Difference(
            "replies of many lines are read in blocks, so their lines are not shown",
            r"\n(printed: \*get\* b'(?!\+OK).*\n)+",
            r"\n(?=printed: \*cmd\* 'QUIT')",
        ),
    ],
    "debug_smtp": [
        Difference(
            "the EHLO name is this end's address, and not what the DNS calls it",
            r"'ehlo .*\\r\\n'",
            r"'ehlo \[127\.0\.0\.1\]\\r\\n'",
        ),
        Difference(
            "SCRAM over verified TLS and not CRAM-MD5; what is secret is not shown",
            r"send: 'AUTH CRAM-MD5(.*\n)+?.*reply: b'235.*\n.*reply: retcode.*",
            r"send: 'AUTH SCRAM-SHA-256 <secret>'"
            r"(\nprinted: reply: b'334 <challenge>'\nprinted: send: '<secret>'){2}"
            r"\nprinted: reply: b'235.*",
        ),
    ],
    "smtp_wrong_password": [
        Difference(
            "mail in clear to this computer, without a sign-in, warns",
            r"\Z",
            r"\nwarned: PlaintextWarning: localhost:\d+ \(SMTP\): mail travels in clear, .*\Z",
        ),
    ],
    "step_by_step": [
        Difference(
            "the error says why there is no second upgrade",
            r"STARTTLS extension not supported by server\.",
            r"TLS session already established",
        ),
        Difference(
            "mail in clear to this computer, without a sign-in, warns",
            r"\Z",
            r"\nwarned: PlaintextWarning: localhost:\d+ \(SMTP\): mail travels in clear, .*\Z",
        ),
    ],
    "to_lmtp": [
        Difference(
            "mail in clear to this computer, without a sign-in, warns",
            r"\Z",
            r"\nwarned: PlaintextWarning: .*/lmtp \(LMTP\): mail travels in clear, .*\Z",
        ),
    ],
    "imap_wrong_password": [
        Difference(
            "the text of an error says what happened and what to do; `args` are the same",
            r'"b\'\[AUTHENTICATIONFAILED\] Authentication failed\.\'"',
            r"'localhost:\d+ \(IMAP over TLS\): the server declined .*'",
        ),
    ],
    "pop3_wrong_password": [
        Difference(
            "the text of an error says what happened and what to do; `args` are the same",
            r'"b\'-ERR \[AUTH\] Authentication failed\.\'"',
            r"'localhost:\d+ \(POP3 over TLS\): the server declined .*'",
        ),
    ],
}


@dataclass(frozen=True)
class Run:
    seen: list[str]
    arrived: list[bytes]

    def text(self, patterns: list[str]) -> str:
        """All that was seen, with what the patterns find made the same."""
        text = "\n".join(self.seen)
        for number, pattern in enumerate(patterns):
            text, found = re.subn(pattern, f"DIFFERENCE {number}", text, flags=re.MULTILINE)
            assert found, f"not found: {pattern}\nin:\n{text}"
        return text


Runner = Callable[[str, Callable[[str], str]], Run]


@pytest.fixture
def runner(dovecot: Dovecot, postfix: Postfix, pki: PKI, monkeypatch: pytest.MonkeyPatch) -> Runner:
    # What both trust, where they verify: this is the store of a computer, for a script.
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_pem))
    monkeypatch.delenv("SECUREMAIL_POLICY", raising=False)
    where = Where(
        host="localhost",
        remote_host=dovecot.remote_host,
        imap=dovecot.ports["imap"],
        imaps=dovecot.ports["imaps"],
        pop3=dovecot.ports["pop3"],
        pop3s=dovecot.ports["pop3s"],
        submission=postfix.ports["submission"],
        submissions=postfix.ports["submissions"],
        lmtp_socket=str(dovecot.lmtp_socket),
        user=SENDER,
        password=USERS[SENDER],
        sender=f"{SENDER}@example.org",
        receiver=f"{RECEIVER}@example.org",
    )

    def run_script(name: str, change: Callable[[str], str]) -> Run:
        begin(dovecot, strict_context(pki.ca_pem))
        seen = [normalised(line) for line in run(name, where, change)]
        return Run(seen, arrived(dovecot, SENT.get(name, 0)))

    return run_script


def begin(dovecot: Dovecot, context: ssl.SSLContext) -> None:
    """Three letters for the one, none for the other."""
    dovecot.forget_mail(SENDER)
    dovecot.forget_mail(RECEIVER)
    with imaplib.IMAP4_SSL(dovecot.host, dovecot.ports["imaps"], ssl_context=context) as imap:
        imap.login(SENDER, USERS[SENDER])
        for name in ("first", "second", "third"):
            letter = (
                f"From: {name}@example.org\r\nSubject: the {name}\r\n\r\n.{name} letter\r\nend\r\n"
            )
            imap.append("INBOX", "", '"01-Feb-2026 10:00:00 +0100"', letter.encode())


def arrived(dovecot: Dovecot, count: int) -> list[bytes]:
    """The letters as they were sent, without what was written on them on the way."""
    deadline = time.monotonic() + 20
    while len(dovecot.mail_of(RECEIVER)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    letters = [ON_ARRIVAL.sub(b"", letter) for letter in dovecot.mail_of(RECEIVER)]
    assert len(letters) == count
    return sorted(normalised(letter.decode("latin-1")).encode() for letter in letters)


@pytest.mark.real_server
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_with_the_import_line_changed(name: str, runner: Runner) -> None:
    standard = runner(name, as_it_is)
    assert [line for line in standard.seen if line.startswith((ENDED, WARNED))] == []
    differences = DIFFERENCES.get(name, [])
    text = standard.text([difference.standard for difference in differences])

    ours = runner(name, with_the_import_changed)

    assert ours.text([difference.ours for difference in differences]) == text
    assert ours.arrived == standard.arrived


@pytest.mark.real_server
def test_starttls_without_a_context_verifies(
    runner: Runner, pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the standard module hands the password to whoever shows any certificate."""
    script = "send_by_starttls_short"
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.other_ca_pem))
    assert ENDED not in runner(script, as_it_is).text([])

    monkeypatch.setitem(SENT, script, 0)
    (only,) = runner(script, with_the_import_changed).seen
    assert only.startswith(f"{ENDED} SSLCertVerificationError SSLError OSError")


def test_there_is_a_script_for_each_difference_and_letter() -> None:
    assert len(SCRIPTS) >= 14
    assert DIFFERENCES.keys() | SENT.keys() <= SCRIPTS.keys()


@pytest.mark.parametrize("name", SCRIPTS)
def test_one_line_is_changed(name: str) -> None:
    before = SCRIPTS[name].read_text(encoding="utf-8")
    after = with_the_import_changed(before)
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    changed = [line for pair in pairs if pair[0] != pair[1] for line in pair]
    assert len(changed) == 2
    assert "securemail" not in before
    assert re.fullmatch(
        r"from securemail import (imap|pop3|smtp) as (imap|pop|smtp)lib", changed[1]
    )
