"""SCRAM through the three classes, against a server that knows the password, or only says so.

What is sent is read from the wire: never the password, never a second attempt, and nothing weaker,
whoever asks for it.
"""

import base64
import re
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    AuthenticationFailed,
    AuthPolicy,
    ConnectFailed,
    CredentialsRefused,
    Password,
    PolicyError,
    ProtocolViolation,
)
from servers.attempts import MAIL, PASSWORD, USER, Mail, assert_survives_pickling, shown_of
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Record
from servers.rude import Scripted, accepts, asks, closes, refuses
from servers.scram import HASHES, ScramServer, only_tls12
from servers.world import Factory, World, attempts

every_class = pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
HONEST = ScramServer(PASSWORD)


class ScramWorld(World):
    def connect(
        self,
        mail: Mail,
        scram: ScramServer | tuple[Any, ...],
        offered: tuple[str, ...] = ("SCRAM-SHA-256", "PLAIN"),
        *,
        tls12: bool = False,
        **args: Any,
    ) -> Any:
        answers = scram(mail.protocol) if isinstance(scram, ScramServer) else scram
        context = self._pki["good"].server_context(own=tls12)
        script = Scripted(mail.protocol, answers, offered)
        return self.joined(mail, script, context=only_tls12(context) if tls12 else context, **args)


@pytest.fixture
def world(pki: PKI, recording_server: Factory) -> Iterator[ScramWorld]:
    one = ScramWorld(pki, recording_server)
    yield one
    one.close()


def gs2_of(record: Record) -> str:
    """The channel binding flag that the client sent."""
    for word in record.received_tls.split():
        try:
            message = base64.b64decode(word, validate=True).decode()
        except ValueError:
            continue
        if re.match(r"[nyp].*,,n=", message):
            return message.partition(",,")[0]
    raise AssertionError("no client-first message")


# -- what succeeds


@every_class
@pytest.mark.parametrize("mechanism", HASHES)
@pytest.mark.parametrize("ending", ["challenge", "success"])
def test_it_succeeds(ending: str, mechanism: str, mail: Mail, world: ScramWorld) -> None:
    scram = HONEST.but(mechanism=mechanism, ending=ending)
    client = world.connect(mail, scram, (mechanism, "PLAIN", "LOGIN"))
    client.login(USER, PASSWORD)
    assert str(client.report.auth) == f"'user' by {mechanism}, no channel binding"
    record = world.record()
    assert attempts(record) == [mechanism]
    assert leaks(record.everything, PASSWORD) == []


@every_class
def test_the_strongest_that_is_offered(mail: Mail, world: ScramWorld) -> None:
    offered = ("PLAIN", "SCRAM-SHA-1", "LOGIN", "SCRAM-SHA-512", "CRAM-MD5", "SCRAM-SHA-256")
    client = world.connect(mail, HONEST.but(mechanism="SCRAM-SHA-512"), offered)
    client.login(USER, PASSWORD)
    assert client.report.auth.mechanism == "SCRAM-SHA-512"


@every_class
def test_bound_to_the_channel(mail: Mail, world: ScramWorld) -> None:
    scram = HONEST.but(mechanism="SCRAM-SHA-256-PLUS")
    offered = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "PLAIN")
    client = world.connect(mail, scram, offered, tls12=True)
    client.login(USER, PASSWORD)
    assert str(client.report.auth) == "'user' by SCRAM-SHA-256-PLUS, tls-unique"
    assert gs2_of(world.record()) == "p=tls-unique"


# -- a wrong password, on either side


@every_class
def test_a_wrong_password(mail: Mail, world: ScramWorld) -> None:
    client = world.connect(mail, HONEST, ("SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5"))
    with pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, "another password")
    error: Any = raised.value
    assert isinstance(error, mail.standard_error)
    assert (error.code, error.mechanism) == ("authentication", "SCRAM-SHA-256")
    assert error.offered == ("PLAIN", "LOGIN", "CRAM-MD5")
    assert "A proof of the password had been sent, over verified TLS." in str(error)
    assert "PLAIN" not in error.hint, "the password may just be mistyped"
    assert_survives_pickling(error)
    assert leaks(shown_of(error), "another password") == []
    with pytest.raises(CredentialsRefused, match="takes no further sign-in"):
        client.login(USER, PASSWORD)
    record = world.record()
    assert attempts(record) == ["SCRAM-SHA-256"]
    assert leaks(record.everything, "another password") == []
    assert leaks(record.everything, PASSWORD) == []


@every_class
@pytest.mark.parametrize("tls12", [False, True])
def test_what_is_advised_can_be_done_on_such_a_connection(
    tls12: bool, mail: Mail, world: ScramWorld
) -> None:
    """A mechanism that binds needs a binding, which TLS 1.3 has not unless it is required."""
    offered = ("PLAIN", "SCRAM-SHA-256-PLUS")
    wanted = AuthPolicy(mechanisms=("PLAIN",))
    answers = (asks(b""), refuses) if mail.protocol == "imap" else (refuses,)  # no SASL-IR
    client = world.connect(mail, answers, offered, tls12=tls12, auth=wanted)
    with pytest.raises(AuthenticationFailed) as raised:
        client.login(USER, "another password")
    assert raised.value.offered[0] == "SCRAM-SHA-256-PLUS"
    assert ('mechanisms=("SCRAM-SHA-256-PLUS",)' in raised.value.hint) is tls12


@every_class
@pytest.mark.parametrize("wanted", ["end-point", "never"])
def test_a_server_that_hangs_up_at_a_binding(wanted: str, mail: Mail, world: ScramWorld) -> None:
    """As Dovecot 2.4 does at one that it does not know."""
    client = world.connect(
        mail,
        (closes,),
        ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"),
        policy={"channel_binding": wanted},
    )
    with pytest.raises(ConnectFailed, match="hung up during the sign-in") as raised:
        client.login(USER, PASSWORD)
    assert raised.value.credentials_sent is False
    assert ("tls-server-end-point" in raised.value.hint) is (wanted == "end-point")
    assert ('channel_binding="prefer"' in raised.value.hint) is (wanted == "end-point")


def flipped(final: bytes) -> bytes:
    first = b"B" if final[2:3] == b"A" else b"A"
    return b"v=" + first + final[3:]


FORGED: dict[str, dict[str, Any]] = {
    "a wrong signature": {"final": flipped},
    "a wrong signature with the final OK": {"final": flipped, "ending": "success"},
    "an empty signature": {"final": lambda _: b"v="},
    "half a signature": {"final": lambda final: final[: len(final) // 2]},
    "the signature of another password": {
        "final": lambda _: b"v=" + base64.b64encode(b"\0" * 32),
    },
    "no signature": {"ending": "never"},
    "something else": {"final": lambda _: b"x=nothing"},
}


@every_class
@pytest.mark.parametrize("name", FORGED)
def test_a_server_that_cannot_prove_itself(name: str, mail: Mail, world: ScramWorld) -> None:
    """Whatever it says, and although it says that all is well."""
    client = world.connect(mail, HONEST.but(**FORGED[name]))
    with pytest.raises((AuthenticationFailed, ProtocolViolation)) as raised:
        client.login(USER, PASSWORD)
    error: Any = raised.value
    assert isinstance(error, mail.standard_error)
    if name not in ("an empty signature", "something else"):
        assert error.code == "server-unproved"
        assert "may not be the server that it says it is" in error.hint
    assert "A proof of the password had been sent" in str(error)
    assert_survives_pickling(error)
    assert client.sock is None
    assert client.report.auth is None
    with pytest.raises(type(error)) as again:
        client.noop()
    assert str(again.value) == str(error)
    record = world.record()
    assert attempts(record) == ["SCRAM-SHA-256"]
    assert leaks(record.everything + shown_of(error), PASSWORD) == []


@every_class
@pytest.mark.parametrize("words", ["done", "welcome2", "OK", "v"])
def test_success_in_words_that_pass_for_base64(words: str, mail: Mail, world: ScramWorld) -> None:
    """They are no proof, and no broken one either."""
    said = base64.b64decode(words) if len(words) % 4 == 0 else words.encode()
    scram = HONEST.but(final=lambda _: said, ending="success")
    client = world.connect(mail, scram)
    with pytest.raises(AuthenticationFailed, match="that it knows the password"):
        client.login(USER, PASSWORD)
    assert client.sock is None


@every_class
def test_success_before_anything_was_proved(mail: Mail, world: ScramWorld) -> None:
    client = world.connect(mail, (accepts,))
    with pytest.raises(ProtocolViolation, match="said success before SCRAM-SHA-256 was done"):
        client.login(USER, PASSWORD)
    assert client.sock is None
    assert leaks(world.record().everything, PASSWORD) == []


def iterated(number: bytes) -> dict[str, Any]:
    return {"first": lambda message: re.sub(rb"i=\d+", b"i=" + number, message)}


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "too few iterations": (iterated(b"4095"), "4,095 iterations"),
    "far too many iterations": (iterated(b"2000000000"), "2,000,000,000 iterations"),
    "a number without end": (iterated(b"9" * 3000), "no usable number"),
    "another nonce": ({"first": lambda m: b"r=zzz" + m[5:]}, "another nonce than ours"),
    "our nonce alone": (
        {"first": lambda m: m.replace(b"the-server's-half", b"")},
        "added nothing to our nonce",
    ),
    "an extension that must be understood": (
        {"first": lambda m: b"m=x," + m},
        "must be understood",
    ),
    "no salt": ({"first": lambda m: re.sub(rb"s=[^,]*", b"s=", m)}, "attribute of SCRAM"),
}


@every_class
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_terms_are_no_terms(name: str, mail: Mail, world: ScramWorld) -> None:
    """Nothing that is made of the password is sent, and no time is spent."""
    changes, said = HOSTILE[name]
    client = world.connect(mail, HONEST.but(**changes))
    started = time.monotonic()
    with pytest.raises(ProtocolViolation) as raised:
        client.login(USER, PASSWORD)
    assert time.monotonic() - started < 2
    assert said in str(raised.value)
    assert raised.value.credentials_sent is False
    assert client.sock is None
    assert b"p=" not in b"".join(decoded(world.record()))


def decoded(record: Record) -> Iterator[bytes]:
    for word in record.received_tls.split():
        try:
            yield base64.b64decode(word, validate=True)
        except ValueError:
            continue


def test_the_bounds_are_the_callers(world: ScramWorld) -> None:
    scram = HONEST.but(iterations=20_000)
    refused = world.connect(MAIL["imap"], scram, auth=AuthPolicy(iterations=(4096, 19_999)))
    with pytest.raises(ProtocolViolation, match=r"20,000 iterations.*AuthPolicy\(iterations="):
        refused.login(USER, PASSWORD)
    refused = world.connect(MAIL["imap"], scram, auth=AuthPolicy(seconds=0.000001))
    with pytest.raises(ProtocolViolation, match=r"AuthPolicy\(seconds="):
        refused.login(USER, PASSWORD)
    world.connect(MAIL["imap"], scram).login(USER, PASSWORD)  # the control


# -- channel binding and stripping (RFC 5802, 6)

PLUS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN")


@every_class
def test_an_offer_that_was_taken_out_is_found_out(mail: Mail, world: ScramWorld) -> None:
    """The client could have bound, was offered nothing, and says so: the server knows better."""
    scram = HONEST.but(offers_plus=True)
    client = world.connect(mail, scram, ("SCRAM-SHA-256", "PLAIN"), tls12=True)
    with pytest.raises(AuthenticationFailed):
        client.login(USER, PASSWORD)
    record = world.record()
    assert gs2_of(record) == "y"
    assert attempts(record) == ["SCRAM-SHA-256"]


FLAGS: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, Any], str]] = {
    "could bind, not offered": ({"tls12": True}, ("SCRAM-SHA-256",), {}, "y"),
    "cannot bind on 1.3": ({}, ("SCRAM-SHA-256",), {}, "n"),
    "cannot bind on 1.3, although offered": ({}, PLUS, {}, "n"),
    "is told not to": ({"tls12": True}, PLUS, {"channel_binding": "never"}, "n"),
    "could bind on 1.3 by the certificate, not offered": (
        *({}, ("SCRAM-SHA-256",), {"channel_binding": "end-point"}),
        "y",
    ),
}


@pytest.mark.parametrize("name", FLAGS)
def test_the_flag_says_what_the_client_can(name: str, world: ScramWorld) -> None:
    how, offered, policy, flag = FLAGS[name]
    client = world.connect(MAIL["imap"], HONEST, offered, policy=policy, **how)
    client.login(USER, PASSWORD)
    assert gs2_of(world.record()) == flag
    assert client.report.auth.channel_binding is None


def test_the_caller_who_ranks_the_unbound_first_gets_it(world: ScramWorld) -> None:
    """And says "n", not "y", which an honest server would take for stripping."""
    auth = AuthPolicy(mechanisms=("SCRAM-SHA-256",))
    scram = HONEST.but(offers_plus=True)
    client = world.connect(MAIL["imap"], scram, PLUS, tls12=True, auth=auth)
    client.login(USER, PASSWORD)
    assert gs2_of(world.record()) == "n"


@every_class
@pytest.mark.parametrize("offered", [("SCRAM-SHA-256", "PLAIN"), ("PLAIN",), ("SCRAM-SHA-512",)])
def test_a_binding_that_is_required_is_not_done_without(
    offered: tuple[str, ...], mail: Mail, world: ScramWorld
) -> None:
    policy = {"channel_binding": "require"}
    client = world.connect(mail, HONEST, offered, policy=policy)
    with pytest.raises(CredentialsRefused) as raised:
        client.login(USER, PASSWORD)
    assert 'channel_binding="require"' in str(raised.value)
    assert world.attempts() == []


# -- a policy that names SCRAM alone

ALONE = AuthPolicy(mechanisms=("SCRAM-SHA-512", "SCRAM-SHA-256"))


@every_class
@pytest.mark.parametrize("offered", [("PLAIN", "LOGIN", "CRAM-MD5"), ()], ids=["weaker", "none"])
def test_it_shows_the_password_to_nobody(
    offered: tuple[str, ...], mail: Mail, world: ScramWorld
) -> None:
    """Who took SCRAM out of the offer, with a certificate that is believed, gets nothing: neither
    by another mechanism nor by the protocol's own command."""
    client = world.connect(mail, (accepts, accepts), offered, auth=ALONE)
    with pytest.raises(CredentialsRefused) as raised:
        client.login(USER, PASSWORD)
    assert raised.value.code == "no-mechanism"
    record = world.record()
    assert attempts(record) == []
    assert leaks(record.everything, PASSWORD) == []


@every_class
def test_and_signs_in_where_the_server_has_it(mail: Mail, world: ScramWorld) -> None:
    client = world.connect(mail, HONEST, auth=ALONE)
    client.login(USER, PASSWORD)
    assert world.attempts() == ["SCRAM-SHA-256"]


# -- what cannot be prepared


@every_class
def test_a_password_that_cannot_be_prepared_is_an_error(mail: Mail, world: ScramWorld) -> None:
    """And nothing weaker is taken because of it."""
    secret = "sn\N{SNOWMAN}wman \N{SLEEPING FACE} two"
    client = world.connect(mail, HONEST.but(password=secret))
    with pytest.raises(PolicyError) as raised:
        client.login(USER, secret)
    assert raised.value.code == "saslprep"
    assert 'AuthPolicy(saslprep="prefer")' in raised.value.hint
    assert leaks(shown_of(raised.value), secret) == []
    record = world.record()
    assert attempts(record) == []
    assert leaks(record.everything, secret) == []


@every_class
def test_unless_the_policy_says_to_use_it_as_it_is(mail: Mail, world: ScramWorld) -> None:
    secret = "sn\N{SNOWMAN}wman \N{SLEEPING FACE} two"
    auth = AuthPolicy(saslprep="prefer")
    client = world.connect(mail, HONEST.but(password=secret), auth=auth)
    client.login(USER, secret)
    assert client.report.auth.mechanism == "SCRAM-SHA-256"


# -- what is kept


def test_a_password_that_keeps_its_salted_form_works_again(world: ScramWorld) -> None:
    password = Password(USER, PASSWORD, keep_salted=True)
    for scram in (HONEST, HONEST, HONEST.but(salt=b"another salt altogether")):
        client = world.connect(MAIL["smtp"], scram)
        client.authenticate(password)
        assert client.report.auth.mechanism == "SCRAM-SHA-256"
    assert leaks(repr(password).encode() + repr(vars(client)).encode(), PASSWORD) == []


DIRECT: dict[str, tuple[str, Callable[[Any], object]]] = {
    "the login_cram_md5 verb": ("imap", lambda client: client.login_cram_md5(USER, PASSWORD)),
    "the standard pair": ("imap", lambda client: client.authenticate("PLAIN", lambda _: b"x")),
    "a command that is spelled out": ("imap", lambda client: client.xatom("LOGIN", USER, PASSWORD)),
    "the apop verb": ("pop3", lambda client: client.apop(USER, PASSWORD)),
    "the user verb": ("pop3", lambda client: client.user(USER)),
    "the pass_ verb": ("pop3", lambda client: client.pass_(PASSWORD)),
    "smtplib's auth": ("smtp", lambda client: client.auth("PLAIN", lambda _=None: "x")),
    "docmd": ("smtp", lambda client: client.docmd("AUTH", "PLAIN x")),
}


@pytest.mark.parametrize("name", DIRECT)
def test_nor_by_any_verb(name: str, world: ScramWorld) -> None:
    protocol, verb = DIRECT[name]
    policy = {"channel_binding": "require"}
    client = world.connect(MAIL[protocol], HONEST, policy=policy)
    with pytest.raises(CredentialsRefused, match='channel_binding="require"'):
        verb(client)
    assert world.attempts() == []


def test_a_context_of_the_callers_needs_no_policy_of_ours(
    pki: PKI, recording_server: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system has no store that a policy could be made of; and it binds."""
    script = Scripted("imap", HONEST.but(mechanism="SCRAM-SHA-256-PLUS")("imap"), PLUS)
    server = recording_server(script, context=only_tls12(pki["good"].server_context(own=True)))
    context = ssl.create_default_context(cafile=str(pki.ca_pem))
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all.pem")
    client = IMAP4_SSL("127.0.0.1", server.port, ssl_context=context)
    client.login(USER, PASSWORD)
    assert client.report.auth is not None
    assert client.report.auth.channel_binding == "tls-unique"
    client.shutdown()


def test_threads_may_share_what_is_kept() -> None:
    """One that derives for another salt takes nothing from one that is looking: here it comes in
    between while the key is compared."""
    password = Password(USER, PASSWORD, keep_salted=True)

    compared: list[object] = []

    class Salt(bytes):
        __hash__ = bytes.__hash__

        def __eq__(self, other: object) -> bool:
            compared.append(other)
            if len(compared) == 2:
                password.salted(("sha256", b"another salt", 4096), lambda: b"another's")
            return bytes.__eq__(self, other)  # type: ignore[arg-type]

    for _ in range(3):
        key = ("sha256", Salt(b"salt"), 4096)
        assert password.salted(key, lambda: b"ours").reveal() == b"ours"
    assert len(compared) >= 2
