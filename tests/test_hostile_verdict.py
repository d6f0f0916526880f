"""The verdicts of the hostile servers, one rule after the other; and clients that make no sense."""

import base64
import hashlib
import hmac
import imaplib
import random
import socket
import ssl
from typing import Any

import pytest
from cryptography import x509

from securemail import IMAP4_SSL, CATrust, CertificateRejected, SecureMailError, TLSPolicy
from securemail.testing import SCENARIOS, Authority, HostileServer
from securemail.testing.hostile.notes import (
    Challenged,
    Did,
    Heard,
    Note,
    Proved,
    SignedIn,
    StillThere,
    UsedInjected,
)
from securemail.testing.hostile.recording import Record
from securemail.testing.hostile.scenario import Scenario, Scram
from securemail.testing.hostile.stage import next_tag
from securemail.testing.hostile.verdict import Case, Verdict, judge
from servers.naive import Naive

PASSWORD = "correct-horse-7f3a"
CHALLENGE = b"<1@example.org>"
APOP = hashlib.md5(CHALLENGE + PASSWORD.encode()).hexdigest()
CRAM = hmac.new(PASSWORD.encode(), CHALLENGE, "md5").hexdigest()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def on(name: str, *notes: Note, clear: bytes = b"", tls: bytes = b"") -> Verdict:
    """The verdict on one connection of which this is known."""
    record = Record(bytearray(clear), bytearray(clear), bytearray(tls), notes=list(notes))
    return judged(name, record)


def judged(name: str, *records: Record) -> Verdict:
    case = Case(
        scenario=SCENARIOS[name], protocol="imap", mode="tls", user="user", password=PASSWORD
    )
    return judge(case, list(records))


def heard(words: str, over: str = "tls") -> Heard:
    return Heard(over, words.split()[0], words.encode())  # type: ignore[arg-type]


SIGNED_IN = SignedIn("tls", "PLAIN")
LOGIN = f"LOGIN user {PASSWORD}"
PLAIN = base64.b64encode(f"\0user\0{PASSWORD}".encode())


def test_the_password_in_clear_is_a_leak_in_any_form() -> None:
    for sent in (LOGIN.encode(), b"AUTH PLAIN " + PLAIN, b"PASS " + PASSWORD.encode()):
        assert on("control", clear=sent + b"\r\n").kind == "LEAK"
    assert on("control", SIGNED_IN, heard(LOGIN), tls=LOGIN.encode()).kind == "fine"


def test_a_command_in_clear_is_a_leak_whoevers_password_it_carries() -> None:
    verdict = on("strip-offer", heard("LOGIN somebody else", "clear"))
    assert str(verdict) == "LEAK: a sign-in was begun in clear [LOGIN somebody else]"
    assert on("strip-offer", heard("AUTH", "clear")).kind == "refused", "that only asks"
    assert on("strip-offer", heard("CAPABILITY", "clear"), heard("LOGOUT", "clear")).as_expected


def test_a_command_where_tls_should_begin_is_a_leak() -> None:
    assert on("control", clear=b"a1 LOGIN me secret\r\n").kind == "LEAK"
    assert on("control", clear=b"a1 LOGOUT\r\n").kind == "refused"


@pytest.mark.parametrize(("mechanism", "digest"), [("APOP", APOP), ("CRAM-MD5", CRAM)])
def test_a_digest_is_a_leak_where_the_password_would_be(mechanism: str, digest: str) -> None:
    sent = digest.encode() if mechanism == "APOP" else base64.b64encode(f"user {digest}".encode())
    challenged = Challenged("clear", mechanism, CHALLENGE)
    assert f"the {mechanism} digest" in on("control", challenged, clear=sent).says
    assert on("control", challenged, clear=sent[::-1]).kind == "refused"
    over_tls = Challenged("tls", mechanism, CHALLENGE)
    assert on("expired", over_tls, tls=sent).kind == "LEAK"
    assert on("control", over_tls, SIGNED_IN, tls=sent).kind == "fine"


def test_a_proof_is_a_leak_where_it_can_be_guessed_from() -> None:
    assert on("control", Proved("clear", "SCRAM-SHA-256", 4096)).kind == "LEAK"
    verdict = on("scram-one-iteration", Proved("tls", "SCRAM-SHA-256", 1))
    assert verdict.kind == "LEAK"
    assert "for 1 iterations" in verdict.says
    assert on("control-scram", Proved("tls", "SCRAM-SHA-256", 4096), SIGNED_IN).kind == "fine"
    assert on("scram-wrong-signature", Proved("tls", "SCRAM-SHA-256", 4096)).kind == "refused"


def test_any_word_to_a_bad_certificate_is_fooled_and_a_sign_in_a_leak() -> None:
    assert on("expired", heard("EHLO me")).kind == "FOOLED"
    assert on("expired", heard("USER user")).kind == "LEAK"
    assert on("expired", heard("QUIT")).kind == "refused"
    assert on("control", heard("EHLO me")).kind == "refused", "refused although all was well"
    assert not on("control", heard("EHLO me")).as_expected


def test_the_password_to_who_has_proved_nothing_is_a_leak() -> None:
    assert on("scram-wrong-signature", tls=LOGIN.encode()).kind == "LEAK"


def test_going_on_after_a_lie_is_fooled() -> None:
    lie = Did("tls", "proof")
    assert on("scram-wrong-signature", lie, heard("SELECT INBOX")).kind == "FOOLED"
    assert on("scram-wrong-signature", lie, heard("LOGOUT")).kind == "refused"
    assert on("scram-wrong-signature", heard("SELECT INBOX"), lie).kind == "refused"


def test_falling_back_to_the_password_is_a_leak_also_on_another_connection() -> None:
    proof, password = heard("AUTHENTICATE SCRAM-SHA-256 x"), heard("AUTHENTICATE PLAIN x")
    assert on("downgrade-after-scram", proof, password).kind == "LEAK"
    assert on("downgrade-after-scram", password).kind == "refused"
    assert on("downgrade-after-scram", proof, proof).kind == "refused"
    two = judged("downgrade-after-scram", Record(notes=[proof]), Record(notes=[password]))
    assert two.kind == "LEAK"


def test_a_mechanism_of_the_clear_offer_alone_is_fooled() -> None:
    assert on("inject-capabilities", heard("AUTHENTICATE PLAIN")).kind == "FOOLED"
    assert on("inject-capabilities", heard("LOGIN user x")).kind == "FOOLED"
    assert on("inject-capabilities", heard("AUTHENTICATE SCRAM-SHA-256 x")).kind == "refused"


def test_the_worst_is_said() -> None:
    still = StillThere("clear", 20.0, 0)
    mail = heard("SELECT INBOX", "clear")
    assert on("preauth", still).kind == "STUCK"
    assert on("preauth", still, mail).kind == "FOOLED"
    assert (
        on("preauth", still, mail, UsedInjected("tls", b"x"), clear=LOGIN.encode()).kind == "LEAK"
    )
    assert judged("preauth", Record(), Record(notes=[mail]), Record()).kind == "FOOLED"


@pytest.mark.parametrize(
    ("tag", "following"),
    [(b"A7", b"A8"), (b"a009", b"a010"), (b"ABC99", b"ABC100"), (b"x", b"x"), (b"", b"")],
)
def test_tags_are_counted_as_clients_do(tag: bytes, following: bytes) -> None:
    assert next_tag(tag) == following


# -- servers


def test_nobody_came() -> None:
    with HostileServer("control") as server:
        with pytest.raises(LookupError, match="no client has connected"):
            server.verdict(wait=0)


def test_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="there is no scenario 'nonsense'"):
        HostileServer("nonsense")
    with pytest.raises(ValueError, match="preauth is for imap by starttls"):
        HostileServer("preauth", "imap", mode="tls")
    with pytest.raises(ValueError, match="no such moment: lunch"):
        Scenario(name="x", says="x", family="x", at={"lunch": ()})  # type: ignore[dict-item]


def test_a_scenario_of_ones_own(authority: Authority) -> None:
    scenario = Scenario(
        name="own", says="one of ours", family="own", scram=Scram(iterations=2), may_get="nothing",
        mechanisms=("SCRAM-SHA-256",),
    )  # fmt: skip
    with HostileServer(scenario, "smtp", mode="tls", authority=authority) as server:
        Naive(server, patient=True).run()
        with pytest.raises(AssertionError, match=r"own \(smtp, tls\): LEAK: .* for 2 iterations"):
            server.require_no_leak()


def test_two_clients_at_once(authority: Authority) -> None:
    with HostileServer("strip-offer", "pop3", authority=authority) as server:
        for in_clear in (False, True):
            Naive(server, in_clear=in_clear).run()
        assert len(server.records) == 2
        assert server.verdict().kind == "LEAK"


def test_weak_tls_is_fooled_whatever_was_sent() -> None:
    """The right server has it, and who reads along may have it too, one day."""
    assert on("tls-1.0", heard(LOGIN), SIGNED_IN, tls=LOGIN.encode()).kind == "FOOLED"
    assert on("cbc", heard("EHLO me")).kind == "FOOLED"
    assert on("cbc", heard("QUIT")).kind == "refused"


# Why ours refuses: that each certificate is bad in the way it says, and in no other.
CODES = {
    "expired": "certificate-expired",
    "not-yet-valid": "certificate-not-yet-valid",
    "wrong-name": "name-mismatch",
    "self-signed": "self-signed",
    "unknown-ca": "unknown-issuer",
    "missing-intermediate": "unknown-issuer",
    "no-san": "common-name-only",
    "client-only": "wrong-purpose",
    "weak-key": "weak-key",
    "sha1-signature": "weak-signature",
    "tls-1.0": "tls-too-old",
    "tls-1.1": "tls-too-old",
    "static-rsa": "no-common-cipher",
    "cbc": "no-common-cipher",
}


def test_the_common_name_alone_is_the_right_one(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.certificate_pem("no_san"))
    (name,) = certificate.subject
    assert name.value == "localhost"
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_each_certificate_has_its_reason() -> None:
    of_family = {name for name in SCENARIOS if SCENARIOS[name].family == "certificates"}
    assert of_family == CODES.keys()


@pytest.mark.parametrize("name", CODES)
def test_each_certificate_is_bad_in_the_way_it_says(name: str, authority: Authority) -> None:
    policy = TLSPolicy(trust=CATrust(authority.ca_pem))
    with HostileServer(name, "imap", mode="tls", authority=authority) as server:
        with pytest.raises(SecureMailError) as raised:
            IMAP4_SSL(server.host, server.port, policy=policy)
    assert raised.value.code == CODES[name]
    if isinstance(raised.value, CertificateRejected):
        assert len(raised.value.reasons) == 1


@pytest.mark.parametrize("protocol", ["imap", "pop3", "smtp"])
def test_clients_that_make_no_sense(protocol: str, authority: Authority) -> None:
    """What they say is no mistake of the server's: `stop` would raise those."""
    some = random.Random(protocol)
    words = [
        *("a1", "AUTHENTICATE", "AUTH", "LOGIN", "SCRAM-SHA-256", "PLAIN", "CRAM-MD5", "=", "*"),
        *("USER", "PASS", "APOP", "{3}", "{99999999999}", "UID", "FETCH", "\xff\xfe", "\0", ""),
        *("STARTTLS", "STLS", "DATA", ".", "EHLO", "CAPA", "biwsbj11LHI9YQ==", "e30=", "MAIL"),
    ]
    with HostileServer("control", protocol, mode="starttls", authority=authority) as server:  # type: ignore[arg-type]
        for _ in range(30):
            lines = [" ".join(some.choices(words, k=some.randint(0, 4))) for _ in range(40)]
            with socket.create_connection((server.host, server.port), 10) as client:
                client.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n")
                client.shutdown(socket.SHUT_WR)
        server.verdict()


def test_who_waits_among_the_challenges_is_stuck(authority: Authority) -> None:
    """As `imaplib` does, whose LOGIN knows no challenges."""
    context = ssl.create_default_context(cadata=authority.ca_pem.decode())
    options: dict[str, Any] = {"mode": "tls", "authority": authority, "seconds": 0.3}
    with HostileServer("endless-challenges", "imap", **options) as server:
        client = imaplib.IMAP4_SSL(server.host, server.port, ssl_context=context, timeout=30)
        with pytest.raises(imaplib.IMAP4.abort):
            client.login(server.user, server.password)
        client.shutdown()
        assert server.verdict().kind == "STUCK"
