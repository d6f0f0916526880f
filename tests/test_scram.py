"""SCRAM against another implementation, against forged words of the server, and for what it must
not show. The documents' own dialogues are in tests/test_mechanisms.py."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scramp import core as scramp

from dialogues import DIALECTS, SCRAM_VECTORS, mechanism_of, named, play, said, terms
from securemail.sasl.credentials import Password, Secret
from securemail.sasl.exchange import Exchange
from securemail.sasl.mechanism import Broken, Refusal, Unproved, Unusable
from securemail.sasl.mechanisms import KNOWN
from securemail.sasl.prep import saslprep
from servers.shown import shown_of

NAMES = [name for name in KNOWN if name.startswith("SCRAM")]
PLAIN_NAMES = [name for name in NAMES if not name.endswith("-PLUS")]
HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
USER, PASSWORD = "ada", "Tr0ub4dor and 3 horses"
SALT = b"a salt of some length"
NONCE = "rOprNGfwEbeRWgbNEkqO"
BINDING = ("tls-unique", Secret(b"what both ends know"))

vectors = pytest.mark.parametrize("vector", SCRAM_VECTORS, ids=named)


def made(name: str = "SCRAM-SHA-256", **changes: Any) -> Any:
    credentials = changes.pop("credentials", None) or Password(USER, PASSWORD)
    if name.endswith("-PLUS"):
        changes.setdefault("binding", BINDING)
    return KNOWN[name](credentials, terms(**changes), _nonce=NONCE)


class Server:
    """The other side, honest: knows the salted password."""

    def __init__(self, mechanism: Any, *, password: str = PASSWORD, iterations: int = 4096) -> None:
        self.hash = HASHES[mechanism.name.removesuffix("-PLUS")]
        self.salted = hashlib.pbkdf2_hmac(self.hash, password.encode(), SALT, iterations)
        self.first = b"r=%sOURS,s=%s,i=%d" % (NONCE.encode(), b64(SALT), iterations)
        self.mechanism = mechanism
        self.began = mechanism.start()

    def final(self, answer: bytes, first: bytes | None = None) -> bytes:
        """The proof that goes with the client's `answer` to `first`."""
        bare = self.began.split(b",", 2)[2]
        everything = b",".join((bare, first or self.first, answer.rpartition(b",p=")[0]))
        key = hmac.digest(self.salted, b"Server Key", self.hash)
        return b"v=" + b64(hmac.digest(key, everything, self.hash))


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def until_the_proof(name: str = "SCRAM-SHA-256", **changes: Any) -> tuple[Any, bytes]:
    """A mechanism that waits for the proof, and the right one."""
    mechanism = made(name, **changes)
    server = Server(mechanism)
    return mechanism, server.final(mechanism.answer(server.first))


# --- the whole, and its parts ----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_sign_in(name: str) -> None:
    """The control of all refusals below."""
    mechanism = made(name)
    server = Server(mechanism)
    assert (mechanism.sent, mechanism.awaits_proof, mechanism.is_complete) == ("", False, False)
    answer = mechanism.answer(server.first)
    assert mechanism.sent == "a proof of the password"
    assert (mechanism.awaits_proof, mechanism.is_complete) == (True, False)
    assert mechanism.answer(server.final(answer)) == b""
    assert (mechanism.awaits_proof, mechanism.is_complete) == (False, True)
    assert mechanism.refusal is None
    assert mechanism.answer(b"") is None


@pytest.mark.parametrize(
    ("name", "changes", "header"),
    [
        ("SCRAM-SHA-256", {}, b"n,,"),
        ("SCRAM-SHA-256", {"binding_offered": True}, b"n,,"),
        ("SCRAM-SHA-256", {"binding": BINDING}, b"y,,"),
        ("SCRAM-SHA-256", {"binding": BINDING, "binding_offered": True}, b"n,,"),
        ("SCRAM-SHA-256-PLUS", {"binding": BINDING, "binding_offered": True}, b"p=tls-unique,,"),
        ("SCRAM-SHA-1-PLUS", {"binding": ("tls-exporter", Secret(b"x"))}, b"p=tls-exporter,,"),
    ],
)
def test_the_header_says_what_is_known_of_the_binding(
    name: str, changes: dict[str, Any], header: bytes
) -> None:
    """RFC 5802, 6; and the server's digest covers it, with the data where there are any."""
    mechanism = made(name, **changes)
    assert mechanism.start() == header + b"n=ada,r=" + NONCE.encode()
    answer = mechanism.answer(Server(mechanism).first)
    covered = base64.b64decode(answer.split(b",")[0].removeprefix(b"c="))
    data = changes["binding"][1].reveal() if name.endswith("-PLUS") else b""
    assert covered == header + data


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-PLUS")])
def test_plus_needs_a_binding(name: str) -> None:
    with pytest.raises(Unusable) as caught:
        made(name, binding=None)
    assert caught.value.code == "channel-binding"
    assert name.removesuffix("-PLUS") in caught.value.hint
    assert made(name).start()


def test_the_nonce_is_new_each_time_and_long() -> None:
    nonces = {
        KNOWN["SCRAM-SHA-256"](Password(USER, PASSWORD), terms()).start().rpartition(b",r=")[2]
        for _ in range(200)
    }
    assert len(nonces) == 200
    assert {len(base64.b64decode(nonce, validate=True)) for nonce in nonces} == {24}
    assert not any(b"," in nonce for nonce in nonces)


# --- names and passwords, prepared -----------------------------------------------------------


def test_name_and_password_are_prepared() -> None:
    plain, styled = Password("pässwörd", "pencil IX"), Password("pa\u0308sswo\u0308rd", "pencil Ⅸ")
    lines = [
        [mechanism.start(), mechanism.answer(Server(mechanism).first)]
        for mechanism in (made(credentials=one) for one in (plain, styled))
    ]
    assert lines[0] == lines[1]
    assert "n=pässwörd,".encode() in lines[0][0]


@pytest.mark.parametrize(
    ("user", "password", "what", "why"),
    [
        (USER, "key \U0001f511", "password", "Unicode 3.2"),
        ("\U0001f511", PASSWORD, "user name", "Unicode 3.2"),
        (USER, "tab\there", "password", "control character"),
        (USER, "\u00ad", "password", "nothing is left"),
    ],
)
def test_what_cannot_be_prepared(user: str, password: str, what: str, why: str) -> None:
    with pytest.raises(Unusable) as caught:
        made(credentials=Password(user, password))
    assert caught.value.code == "saslprep"
    assert what in str(caught.value)
    assert why in str(caught.value)
    assert 'AuthPolicy(saslprep="prefer")' in caught.value.hint
    assert repr(password)[1:-1].encode("utf-8", "backslashreplace") not in shown_of(caught.value)

    mechanism = made(credentials=Password(user, password), saslprep="prefer")
    server = Server(mechanism, password=password)
    assert f"n={user},".encode() in server.began
    assert mechanism.answer(server.final(mechanism.answer(server.first))) == b""
    assert mechanism.is_complete


def test_prefer_prepares_what_can_be_prepared() -> None:
    mechanism = made(credentials=Password(USER, "Ⅸ"), saslprep="prefer")
    server = Server(mechanism, password="IX")
    mechanism.answer(server.final(mechanism.answer(server.first)))
    assert mechanism.is_complete


# --- beside another implementation -----------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1, max_size=9)
PREPARED = TEXTS.filter(lambda text: bool(prepared(text)))
NONCES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","),
    min_size=1,
    max_size=40,
)


def prepared(text: str) -> str:
    try:
        return saslprep(text)
    except ValueError:
        return ""


def answers_of_both(
    name: str, user: str, password: str, salt: bytes, iterations: int, binding: Any, nonces: Any
) -> tuple[Any, list[bytes], list[bytes]]:
    """Our client and scramp's, with scramp's server: ours, and what each of them said."""
    ours, theirs = nonces
    mech = scramp.ScramMechanism(name)
    known = mech.make_auth_info(password, iteration_count=iterations, salt=salt)
    is_plus = name.endswith("-PLUS")
    secret = (binding[0], Secret(binding[1])) if binding else None
    conditions = terms(binding=secret, binding_offered=is_plus)
    mine = KNOWN[name](Password(user, password), conditions, _nonce=ours)
    reference = scramp.ScramClient([name], user, password, channel_binding=binding, c_nonce=ours)
    # A server that can bind takes "y" for an attack, as it should.
    server = mech.make_server(
        lambda _: known, channel_binding=binding if is_plus else None, s_nonce=theirs
    )
    said_first = mine.start()
    server.set_client_first(said_first.decode())
    first = server.get_server_first()
    said_then = mine.answer(first.encode())
    server.set_client_final(said_then.decode())
    final = server.get_server_final()
    mine.answer(final.encode())
    spoken = [reference.get_client_first().encode()]
    reference.set_server_first(first)
    spoken.append(reference.get_client_final().encode())
    reference.set_server_final(final)
    return mine, [said_first, said_then], spoken


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(NAMES),
    PREPARED,
    PREPARED,
    st.binary(min_size=12, max_size=40),
    st.integers(4096, 5000),
    st.sampled_from(["tls-unique", "tls-server-end-point"]),
    st.binary(min_size=1, max_size=64),
    st.tuples(NONCES, NONCES),
    st.booleans(),
)
def test_the_same_as_another_client_for_another_server(
    name: str,
    user: str,
    password: str,
    salt: bytes,
    iterations: int,
    kind: str,
    data: bytes,
    nonces: tuple[str, str],
    can_bind: bool,
) -> None:
    binding = (kind, data) if can_bind or name.endswith("-PLUS") else None
    mine, ours, theirs = answers_of_both(name, user, password, salt, iterations, binding, nonces)
    assert ours == theirs
    assert mine.is_complete


@settings(deadline=None, max_examples=30)
@given(PREPARED, PREPARED)
@example("0", "l")  # a letter of what the server says
def test_another_password_is_refused_by_another_server(password: str, wrong: str) -> None:
    """The control of the one above: that server does look at the proof."""
    mech = scramp.ScramMechanism("SCRAM-SHA-256")
    known = mech.make_auth_info(password)
    mine = KNOWN["SCRAM-SHA-256"](Password(USER, wrong), terms())
    server = mech.make_server(lambda _: known)
    server.set_client_first(mine.start().decode())
    answer = mine.answer(server.get_server_first().encode()).decode()
    if prepared(password) == prepared(wrong):
        server.set_client_final(answer)
        return
    with pytest.raises(scramp.ScramException):
        server.set_client_final(answer)
    assert mine.answer(server.get_server_final().encode()) == b""
    assert mine.refusal == Refusal("invalid-proof")
    assert not mine.is_complete


# --- forged words of the server, first -------------------------------------------------------

R, S = f"r={NONCE}OURS", f"s={b64(SALT).decode()}"
FORGED_FIRST = {
    "wrong nonce": (f"r=x{NONCE}OURS,{S},i=4096", "another nonce"),
    "somebody else's nonce": (
        f"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,{S},i=4096",
        "another",
    ),
    "shortened nonce": (f"r={NONCE[:-1]},{S},i=4096", "another nonce"),
    "our nonce alone": (f"r={NONCE},{S},i=4096", "added nothing"),
    "our nonce in capitals": (f"r={NONCE.upper()}OURS,{S},i=4096", "another nonce"),
    "a blank in the nonce": (f"{R} x,{S},i=4096", "visible ASCII"),
    "a letter beyond ASCII in the nonce": (f"{R}é,{S},i=4096", "visible ASCII"),
    "an endless nonce": (f"{R}{'x' * 2000},{S},i=4096", "up to 1024"),
    "64 KiB": (f"{R}{'x' * 65536},{S},i=4096", "up to 1024"),
    "64 KiB of commas": ("," * 65536, 'sent ""'),
    "a mandatory extension": (f"m=must,{R},{S},i=4096", "must be understood"),
    "a mandatory extension at the end": (f"{R},{S},i=4096,m=must", "must be understood"),
    "4095": (f"{R},{S},i=4095", "asked for 4,095 iterations"),
    "0": (f"{R},{S},i=0", "asked for 0 iterations"),
    "1": (f"{R},{S},i=1", "asked for 1 iterations"),
    "-1": (f"{R},{S},i=-1", '"-1" iterations'),
    "+4096": (f"{R},{S},i=+4096", '"+4096"'),
    "1,000,001": (f"{R},{S},i=1000001", "asked for 1,000,001 iterations"),
    "10^30": (f"{R},{S},i={10**30}", "no usable number"),
    "10^60000": (f"{R},{S},i=1{'0' * 60000}", "no usable number"),
    "4096x": (f"{R},{S},i=4096x", '"4096x"'),
    "04096": (f"{R},{S},i=04096", '"04096"'),
    "4_096": (f"{R},{S},i=4_096", '"4_096"'),
    "a blank before it": (f"{R},{S},i= 4096", '" 4096"'),
    "digits of another script": (f"{R},{S},i=٤٠٩٦", "no usable number"),
    "hexadecimal": (f"{R},{S},i=0x1000", '"0x1000"'),
    "no number": (f"{R},{S},i=", 'sent "i="'),
    "no iterations": (f"{R},{S}", "r, s, i are due"),
    "no salt": (f"{R},i=4096", "r, s, i are due"),
    "an empty salt": (f"{R},s=,i=4096", 'sent "s="'),
    "a salt that is not base64": (f"{R},s=a salt,i=4096", "salt that is not base64"),
    "a salt with half its padding": (f"{R},s=QSXCR+Q6sek8bf9=x,i=4096", "not base64"),
    "a salt of nothing": (f"{R},s====,i=4096", "not base64"),
    "a salt of a KiB and one": (f"{R},s={b64(bytes(1025)).decode()},i=4096", "1025 octets"),
    "another order": (f"{S},{R},i=4096", "r, s, i are due"),
    "twice the salt": (f"{R},{S},{S},i=4096", "twice"),
    "twice the iterations": (f"{R},{S},i=4096,i=4096", "twice"),
    "an extension twice": (f"{R},{S},i=4096,x=1,x=2", "twice"),
    "something before": (f"x=1,{R},{S},i=4096", "r, s, i are due"),
    "something between": (f"{R},x=1,{S},i=4096", "r, s, i are due"),
    "a proof at the end": (f"{R},{S},i=4096,v=abcd", "r, s, i are due"),
    "an error at the end": (f"{R},{S},i=4096,e=other-error", "r, s, i are due"),
    "trailing comma": (f"{R},{S},i=4096,", 'sent ""'),
    "trailing garbage": (f"{R},{S},i=4096,garbage", 'sent "garbage"'),
    "a name of two letters": (f"{R},{S},i=4096,xy=1", 'sent "xy=1"'),
    "a name that is no letter": (f"{R},{S},i=4096,1=1", 'sent "1=1"'),
    "a name beyond ASCII": (f"{R},{S},i=4096,é=1", "attribute"),
    "NUL": (f"{R},{S},i=4096,x=a\0b", "attribute"),
    "the end of a line": (f"{R},{S},i=4096\r\n", "no usable number"),
    "empty": ("", 'sent ""'),
    "the final message": ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "r, s, i are due"),
    "capitals": (f"{R},{S},i=4096".replace("r=", "R=", 1), "r, s, i are due"),
}


@pytest.mark.parametrize("name", FORGED_FIRST)
def test_a_forged_first_message(name: str) -> None:
    """Nothing is answered to it, and nothing was made of the password."""
    words, why = FORGED_FIRST[name]
    mechanism = made()
    mechanism.start()
    with pytest.raises(Broken) as caught:
        mechanism.answer(words.encode())
    assert why in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    assert_over(mechanism)
    assert mechanism.sent == ""


def assert_over(mechanism: Any) -> None:
    """Whatever comes now, nothing is said, and no success is believed."""
    assert not mechanism.is_complete
    assert not mechanism.awaits_proof
    honest = Server(made())
    for words in (honest.first, b"v=abcd", b"", b"e=other-error"):
        assert mechanism.answer(words) is None
    assert not mechanism.is_complete
    with pytest.raises(Broken, match="said success before"):
        Exchange(DIALECTS["imap"], mechanism, initial=True).finish(b"")


def test_not_utf_8() -> None:
    for words in (f"{R},{S},i=4096,x=".encode() + b"\xff", b"\xff\xfe", b"r=\xc3"):
        mechanism = made()
        mechanism.start()
        with pytest.raises(Broken, match="not UTF-8"):
            mechanism.answer(words)
        assert_over(mechanism)


@pytest.mark.parametrize(
    "words",
    [
        f"{R},{S},i=4096,x=1,y=2",
        f"{R},{S},i=4096,X=1,x=é=,",
        f"{R},s={b64(bytes(1024)).decode()},i=4096",
        f"{R},s=QQ==,i=4096",
        f"r={NONCE}~,{S},i=4096",
        f"r={NONCE}{'x' * (1024 - len(NONCE))},{S},i=4096",
        f"{R},{S},i=5000",
    ],
)
def test_unusual_first_messages_that_are_answered(words: str) -> None:
    """The control: extensions, and the limits themselves."""
    mechanism = made(iterations=(4096, 5000))
    mechanism.start()
    assert b",p=" in mechanism.answer(words.removesuffix(",").encode())


def test_an_error_in_the_first_message_is_a_refusal() -> None:
    mechanism = made()
    mechanism.start()
    assert mechanism.answer(b"e=unknown-user") == b""
    assert mechanism.refusal == Refusal("unknown-user")
    assert mechanism.sent == ""
    assert_over(mechanism)


# --- forged words of the server, final -------------------------------------------------------


def one_bit(proof: bytes) -> bytes:
    octets = bytearray(base64.b64decode(proof.removeprefix(b"v=")))
    octets[7] ^= 1
    return b"v=" + b64(bytes(octets))


def unused_bits(proof: bytes) -> bytes:
    """Another spelling in base64 of the same octets (RFC 4648, 3.5)."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = proof.rstrip(b"=")[-1:]
    other = alphabet[alphabet.index(last) + 1 :][:1]
    changed = proof.rstrip(b"=")[:-1] + other
    changed += b"=" * (len(proof) - len(changed))
    assert base64.b64decode(changed[2:]) == base64.b64decode(proof[2:])
    return changed


FORGED_FINAL: dict[str, tuple[Callable[[bytes], bytes], type[Broken], str]] = {
    "one bit": (one_bit, Unproved, "wrong proof"),
    "the unused bits": (unused_bits, Unproved, "wrong proof"),
    "shortened": (lambda proof: b"v=" + b64(base64.b64decode(proof[2:])[:-1]), Unproved, "wrong"),
    "lengthened": (
        lambda proof: b"v=" + b64(base64.b64decode(proof[2:]) + b"x"),
        Unproved,
        "wrong",
    ),
    "nothing but zeros": (lambda _: b"v=" + b64(bytes(32)), Unproved, "wrong proof"),
    "not base64": (lambda _: b"v=not base64", Unproved, "wrong proof"),
    "not ASCII": (lambda _: "v=é".encode(), Unproved, "wrong proof"),
    "empty": (lambda _: b"v=", Broken, 'sent "v="'),
    "nothing": (lambda _: b"", Unproved, "without proving that it knows the password"),
    "a word": (lambda _: b"Welcome", Unproved, "gave no proof"),
    "a blank in front": (lambda proof: b" " + proof, Unproved, "gave no proof"),
    "in capitals": (lambda proof: b"V" + proof[1:], Unproved, "gave no proof"),
    "an extension in front": (lambda proof: b"x=1," + proof, Unproved, "gave no proof"),
    "trailing garbage": (lambda proof: proof + b",garbage", Broken, 'sent "garbage"'),
    "trailing NUL": (lambda proof: proof + b"\0", Broken, "attribute"),
    "the end of a line": (lambda proof: proof + b"\r\n", Unproved, "wrong proof"),
    "two proofs": (lambda proof: proof + b"," + proof, Broken, "twice"),
    "an error after it": (lambda proof: proof + b",e=other-error", Broken, "are due"),
    "a mandatory extension": (lambda proof: proof + b",m=must", Broken, "must be understood"),
    "not UTF-8": (lambda proof: proof + b",x=\xff", Broken, "not UTF-8"),
    "64 KiB": (lambda proof: proof + b"A" * 65536, Unproved, "wrong proof"),
    "the first message": (lambda _: Server(made()).first, Unproved, "gave no proof"),
}


@pytest.mark.parametrize("name", FORGED_FINAL)
def test_a_forged_final_message(name: str) -> None:
    forge, kind, why = FORGED_FINAL[name]
    mechanism, proof = until_the_proof()
    with pytest.raises(kind) as caught:
        mechanism.answer(forge(proof))
    assert type(caught.value) is kind
    assert why in str(caught.value)
    assert str(caught.value).isprintable()
    assert_over(mechanism)

    mechanism, proof = until_the_proof()
    assert mechanism.answer(proof) == b""


def test_a_final_message_with_extensions() -> None:
    mechanism, proof = until_the_proof()
    assert mechanism.answer(proof + b",x=1,y=2") == b""
    assert mechanism.is_complete


@pytest.mark.parametrize("error", ["invalid-proof", "unknown-user", "channel-bindings-dont-match"])
def test_an_error_is_a_refusal_and_no_success(error: str) -> None:
    mechanism, _ = until_the_proof()
    assert mechanism.answer(f"e={error}".encode()) == b""
    assert mechanism.refusal == Refusal(error)
    assert_over(mechanism)


def test_an_error_is_told_short_and_printable_and_without_the_password() -> None:
    mechanism, _ = until_the_proof()
    mechanism.answer(f"e=\x1b[2J {PASSWORD} {'x' * 9999}".encode())
    assert len(mechanism.refusal.status) <= 300
    assert mechanism.refusal.status.startswith("\\x1b[2J <secret> xxx")


@pytest.mark.parametrize("proof_of", ["another password", "another nonce", "our own words"])
def test_a_proof_of_something_else(proof_of: str) -> None:
    """A server that does not know the password cannot make one, nor use an older one."""
    mechanism = made()
    server = Server(mechanism, password="another" if "password" in proof_of else PASSWORD)
    answer = mechanism.answer(server.first)
    if proof_of == "another nonce":
        words = server.final(answer.replace(b"OURS", b"THEIRS"), b"r=x," + server.first)
    elif proof_of == "our own words":
        words = b"v=" + answer.rpartition(b",p=")[2]
    else:
        words = server.final(answer)
    with pytest.raises(Unproved, match="wrong proof"):
        mechanism.answer(words)
    assert_over(mechanism)


@vectors
def test_a_vector_with_one_character_changed(vector: dict[str, Any]) -> None:
    """Every character of the server's proof; and of its first message, after which no proof of
    the vector is the right one."""
    lines = [said(line, "S") for line in vector["dialogue"] if line.startswith("S ")]
    for number, line in enumerate(lines):
        step = 1 if number else 9  # each one of these is a key to derive
        for place in range(0, len(line), step):
            changed = (
                line[:place] + (b"A" if line[place:][:1] != b"A" else b"B") + line[place + 1 :]
            )
            mechanism = mechanism_of(vector)
            mechanism.start()
            with pytest.raises(Broken):
                for words in [*lines[:number], changed, *lines[number + 1 :]]:
                    mechanism.answer(words)
            assert not mechanism.is_complete


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "swap"]),
        st.integers(0, 200),
        st.binary(min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def edited(words: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, octets in edits:
        at = where % (len(words) + 1)
        if kind == "insert":
            words = words[:at] + octets + words[at:]
        elif kind == "delete":
            words = words[:at] + words[at + len(octets) :]
        elif kind == "swap":
            words = words[at:] + words[:at]
        else:
            words = words[:at] + octets + words[at + len(octets) :]
    return words


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.booleans(), EDITS)
@example(True, [("insert", 0, b"m=1"), ("insert", 3, b",")])
def test_changed_words_of_the_server_never_complete(is_first: bool, edits: Any) -> None:
    """The server's own words, changed on the way. (An extension after them is no change: the
    server's digest covers it in its first message, and nothing hangs on it in the final one.)"""
    mechanism = made()
    server = Server(mechanism)
    first = edited(server.first, edits) if is_first else server.first
    try:
        answer = mechanism.answer(first)
    except Broken:
        assert mechanism.answer(server.first) is None
        return
    if answer == b"":
        assert mechanism.refusal is not None
        return
    # The honest server digests what it said itself.
    proof = server.final(answer)
    final = proof if is_first else edited(proof, edits)
    if (first, final) == (server.first, proof) or final.startswith(proof + b","):
        return
    with suppress(Broken):
        mechanism.answer(final)
    assert not mechanism.is_complete


# --- through the protocols' lines ------------------------------------------------------------


def exchanged(protocol: str = "smtp") -> tuple[Exchange, Any, bytes]:
    """An exchange in which the client's proof was sent; the server's, not yet encoded."""
    mechanism = made()
    exchange = Exchange(DIALECTS[protocol], mechanism, initial=True)
    exchange.command()
    server = Server(made())
    answer = exchange.respond(b64(server.first)).reveal()
    assert exchange.sent == "a proof of the password"
    return exchange, mechanism, server.final(base64.b64decode(answer))


def test_success_with_the_proof_in_it() -> None:
    """RFC 4954, 4: some servers save a round."""
    exchange, mechanism, proof = exchanged()
    exchange.finish(b"2.7.0 " + b64(proof))
    assert mechanism.is_complete


def test_success_with_a_proof_in_clear_words_is_none() -> None:
    exchange, mechanism, proof = exchanged()
    with pytest.raises(Unproved):
        exchange.finish(b"2.7.0 " + proof)
    assert not mechanism.is_complete


@pytest.mark.parametrize(
    "words", [b"", b"2.7.0 Authentication successful", b"2.7.0 ok", b"OK done", b"Logged in."]
)
@pytest.mark.parametrize("protocol", DIALECTS)
def test_success_without_a_proof_is_not_believed(protocol: str, words: bytes) -> None:
    exchange, mechanism, _ = exchanged(protocol)
    with pytest.raises(Unproved, match=r"without proving|gave no proof"):
        exchange.finish(words)
    assert not mechanism.is_complete

    exchange, mechanism, proof = exchanged(protocol)
    assert exchange.respond(b64(proof)).reveal() == b""
    exchange.finish(words)


def test_success_with_a_wrong_proof_or_an_error_is_not_believed() -> None:
    exchange, mechanism, proof = exchanged()
    with pytest.raises(Unproved, match="wrong proof"):
        exchange.finish(b"2.7.0 " + b64(one_bit(proof)))
    assert not mechanism.is_complete

    exchange, mechanism, _ = exchanged()
    with pytest.raises(Broken, match="said success before"):
        exchange.finish(b"2.7.0 " + b64(b"e=invalid-proof"))
    assert mechanism.refusal == Refusal("invalid-proof")


def test_success_before_anything_was_proved() -> None:
    mechanism = made()
    exchange = Exchange(DIALECTS["imap"], mechanism, initial=True)
    exchange.command()
    with pytest.raises(Broken, match="said success before SCRAM-SHA-256 was done"):
        exchange.finish(b"Logged in")


def test_two_finals() -> None:
    exchange, _, proof = exchanged()
    exchange.respond(b64(proof))
    with pytest.raises(Broken, match="went on asking"):
        exchange.respond(b64(proof))


# --- iterations, and time --------------------------------------------------------------------


def test_the_terms_bound_the_iterations() -> None:
    for least, most, asked, is_fine in (
        (4096, 1_000_000, 4096, True),
        (10_000, 1_000_000, 9_999, False),
        (10_000, 1_000_000, 10_000, True),
        (4096, 8192, 8192, True),
        (4096, 8192, 8193, False),
    ):
        mechanism = made(iterations=(least, most))
        server = Server(mechanism, iterations=asked)
        if is_fine:
            assert b",p=" in mechanism.answer(server.first)
        else:
            with pytest.raises(Broken, match=f"where {least:,} to {most:,} are accepted"):
                mechanism.answer(server.first)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_what_would_take_too_long_is_not_begun(name: str) -> None:
    for allowed, is_fine in ((0.001, False), (300.0, True)):
        mechanism = made(name, seconds=allowed)
        server = Server(mechanism, iterations=50_000)
        started = time.perf_counter()
        if is_fine:
            assert b",p=" in mechanism.answer(server.first)
            continue
        with pytest.raises(Broken, match=r"50,000 iterations .* s of work .* 0.001 s are accepted"):
            mechanism.answer(server.first)
        # Much less than what was declined.
        begun = time.perf_counter()
        hashlib.pbkdf2_hmac(HASHES[name], b"x", SALT, 50_000)
        assert begun - started < time.perf_counter() - begun
        assert_over(mechanism)


def test_a_small_number_is_not_measured() -> None:
    mechanism = made(seconds=1e-9)
    assert b",p=" in mechanism.answer(Server(mechanism, iterations=16_384).first)
    mechanism = made(seconds=1e-9)
    with pytest.raises(Broken, match="16,385 iterations"):
        mechanism.answer(Server(mechanism, iterations=16_385).first)


# --- the salted password, kept ---------------------------------------------------------------


@pytest.fixture
def derivations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The keys that are derived from now on: hash and iterations."""
    calls: list[tuple[str, int]] = []
    derive = hashlib.pbkdf2_hmac

    def counting(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        if password == PASSWORD.encode():
            calls.append((name, iterations))
        return derive(name, password, salt, iterations)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counting)
    return calls


def sign_in(credentials: Password, name: str = "SCRAM-SHA-256", salt: bytes = SALT) -> None:
    """By scramp's server, which derives for itself."""
    mech = scramp.ScramMechanism(name)
    stored = mech.make_auth_info(PASSWORD, iteration_count=20_000, salt=salt)
    server = mech.make_server(lambda _: stored)
    mechanism = KNOWN[name](credentials, terms())
    server.set_client_first(mechanism.start().decode())
    server.set_client_final(mechanism.answer(server.get_server_first().encode()).decode())
    assert mechanism.answer(server.get_server_final().encode()) == b""
    assert mechanism.is_complete


def derived_by_us(calls: list[Any], act: Callable[[], None]) -> int:
    """Less the one of scramp's server, for each sign-in."""
    before = len(calls)
    act()
    return len(calls) - before - 1


def test_a_kept_password_is_derived_once(derivations: list[Any]) -> None:
    kept, not_kept = Password(USER, PASSWORD, keep_salted=True), Password(USER, PASSWORD)
    counts = [derived_by_us(derivations, lambda: sign_in(kept)) for _ in range(3)]
    assert counts == [1, 0, 0]
    counts = [derived_by_us(derivations, lambda: sign_in(not_kept)) for _ in range(2)]
    assert counts == [1, 1]


def test_another_salt_or_hash_is_derived_anew(derivations: list[Any]) -> None:
    kept = Password(USER, PASSWORD, keep_salted=True)
    ways = [("SCRAM-SHA-256", SALT), ("SCRAM-SHA-256", SALT[::-1]), ("SCRAM-SHA-1", SALT[::-1])]
    for name, salt in ways:
        assert derived_by_us(derivations, lambda: sign_in(kept, name, salt)) == 1  # noqa: B023
        assert derived_by_us(derivations, lambda: sign_in(kept, name, salt)) == 0  # noqa: B023


def test_what_is_refused_is_not_kept(derivations: list[Any]) -> None:
    kept = Password(USER, PASSWORD, keep_salted=True)
    mechanism = made(credentials=kept, seconds=1e-9)
    with pytest.raises(Broken, match="s of work"):
        mechanism.answer(Server(mechanism, iterations=20_000).first)
    assert derived_by_us(derivations, lambda: sign_in(kept)) == 1


# --- secrets ---------------------------------------------------------------------------------


class Stop(Exception):
    """Raised in the middle of things, to look at the frames."""


def secrets_of(name: str, password: str, answer: bytes, began: bytes) -> dict[str, bytes]:
    """All that is made of the password, by name: octets."""
    hashed = HASHES[name]
    salted = hashlib.pbkdf2_hmac(hashed, password.encode(), SALT, 4096)
    client_key = hmac.digest(salted, b"Client Key", hashed)
    found = {
        "password": password.encode(),
        "salted": salted,
        "client key": client_key,
        "stored key": hashlib.new(hashed, client_key).digest(),
        "server key": hmac.digest(salted, b"Server Key", hashed),
    }
    if answer:
        proof = base64.b64decode(answer.rpartition(b",p=")[2])
        found["proof"] = proof
        found["signature"] = bytes(a ^ b for a, b in zip(proof, client_key, strict=True))
        first = Server(made(name)).first
        unproved = answer.rpartition(b",p=")[0]
        found["what is signed"] = b",".join((began.split(b",", 2)[2], first, unproved))
        found["server's signature"] = hmac.digest(
            found["server key"], found["what is signed"], hashed
        )
    return found


def forms(octets: bytes) -> list[bytes]:
    """As a repr, a text, base64 or hexadecimal would show them; a good part is too much. (What is
    signed begins with what both said in the open.)"""
    if b",r=" in octets:
        return [octets, repr(octets)[2:-1].encode()]
    parts = [octets, octets[:16]]
    shown = [repr(part)[2:-1].encode() for part in parts]
    return [*parts, *shown, octets.hex().encode(), b64(octets)[:-4], b64(octets[:15])]


def assert_hidden(shown: bytes, secrets: dict[str, bytes]) -> None:
    for name, octets in secrets.items():
        for form in forms(octets):
            assert form not in shown, name


def the_nth(number: int) -> Callable[..., Any]:
    """A function that counts its calls, and raises at one of them."""
    calls = iter(range(100))

    def wrap(inner: Callable[..., Any]) -> Callable[..., Any]:
        def stopping(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == number:
                raise Stop
            return inner(*args, **kwargs)

        return stopping

    return wrap


# Where a step may be cut short, as by a signal: what is called there, and how often.
CUTS = {
    "hashlib.pbkdf2_hmac": 1,
    "hashlib.new": 1,
    "hmac.digest": 4,
    "securemail.sasl.scram.encode": 3,
    "securemail.sasl.scram.attributes": 2,
    "hmac.compare_digest": 1,
}
# There the server's proof is its own word, which it has just sent.
AFTER_THE_PROOF = {
    ("securemail.sasl.scram.encode", 2),
    ("securemail.sasl.scram.attributes", 1),
    ("hmac.compare_digest", 0),
}


@pytest.mark.parametrize("name", PLAIN_NAMES)
@pytest.mark.parametrize(
    ("target", "number"), [(target, n) for target, count in CUTS.items() for n in range(count)]
)
def test_no_frame_shows_a_secret(
    name: str, target: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mechanism = made(name)
    server = Server(mechanism)
    twin = made(name)
    began, answer = twin.start(), twin.answer(server.first)
    final = server.final(answer)
    module, _, function = target.rpartition(".")
    owner = {"hashlib": hashlib, "hmac": hmac}.get(module)
    with monkeypatch.context() as patched, pytest.raises(Stop) as caught:
        stopping = the_nth(number)
        if owner is not None:
            patched.setattr(owner, function, stopping(getattr(owner, function)))
        else:
            import securemail.sasl.scram as scram

            patched.setattr(scram, function, stopping(getattr(scram, function)))
        mechanism.answer(server.first)
        mechanism.answer(final)
    shown = shown_of(caught.value)
    assert b"'self': '<securemail.sasl.scram.Scram" in shown, "the control: our frames are there"
    secrets = secrets_of(name, PASSWORD, answer, began)
    if (target, number) in AFTER_THE_PROOF:
        del secrets["server's signature"]
    assert_hidden(shown + repr(vars(mechanism)).encode(), secrets)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(PLAIN_NAMES), st.sampled_from(sorted(FORGED_FIRST)), PREPARED)
def test_no_error_of_a_forged_first_message_shows_a_secret(
    name: str, forged: str, password: str
) -> None:
    password = f"{password}-{PASSWORD}"  # long enough not to be found by chance
    if not prepared(password):
        return
    mechanism = made(name, credentials=Password(USER, password))
    mechanism.start()
    with pytest.raises(Broken) as caught:
        mechanism.answer(FORGED_FIRST[forged][0].encode())
    shown = shown_of(caught.value) + repr(vars(mechanism)).encode()
    assert_hidden(shown, secrets_of(name, prepared(password), b"", b""))


@pytest.mark.parametrize("forged", sorted(FORGED_FINAL))
def test_no_error_of_a_forged_final_message_shows_a_secret(forged: str) -> None:
    mechanism = made()
    server = Server(mechanism)
    answer = mechanism.answer(server.first)
    with pytest.raises(Broken) as caught:
        mechanism.answer(FORGED_FINAL[forged][0](server.final(answer)))
    secrets = secrets_of("SCRAM-SHA-256", PASSWORD, answer, server.began)
    words = FORGED_FINAL[forged][0](server.final(answer))
    if b64(secrets["server's signature"])[:20] in words:
        del secrets["server's signature"]  # the server's own word, which it has just sent
    if forged in ("one bit", "the unused bits", "shortened", "lengthened"):
        secrets.pop("server's signature", None)
    assert_hidden(shown_of(caught.value) + repr(vars(mechanism)).encode(), secrets)


def test_the_control_of_these_an_open_secret_is_found() -> None:
    octets = hashlib.sha256(b"x").digest()
    for shown in (repr(octets).encode(), octets.hex().encode(), b64(b"abc" + octets)):
        with pytest.raises(AssertionError):
            assert_hidden(b"... " + shown + b" ...", {"it": octets})


def test_a_vector_is_played_for_its_own_sake() -> None:
    """The control of the changed vectors above: unchanged, they complete."""
    for vector in SCRAM_VECTORS:
        mechanism = mechanism_of(vector)
        play(vector, mechanism)
        assert mechanism.is_complete
