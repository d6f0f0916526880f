"""Nothing secret is left of a line, whatever form a server repeats it in: by hypothesis, and looked
for by `leaks`, which knows nothing of how it was hidden."""

import base64
import html
import json
import quopri
import time
import unicodedata
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from securemail.redact import Redactor, hide
from securemail.redact.material import of_line
from servers.leaks import leaks

settings.register_profile("transcript", max_examples=8, deadline=None)
quick = settings(settings.get_profile("transcript"))
if settings.get_current_profile_name() not in ("default", "ci"):  # a longer one, asked for by name
    quick = settings(deadline=None)

LABELS = "<secret> <user> <someone> octets more"

_letters = st.one_of(
    st.characters(min_codepoint=33, max_codepoint=126),
    st.sampled_from(" \"\\%{}äßéÅ€=,;:<>&+/?#'~漢字ﬁ😀"),
    st.characters(min_codepoint=0xA0, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")),
)
texts = st.text(_letters, min_size=6, max_size=60)
base64_like = st.binary(min_size=5, max_size=60).map(
    lambda octets: base64.b64encode(octets).decode()
)
secrets = st.one_of(texts, base64_like).filter(
    lambda s: not any(s in LABELS for s in (s, s.lower()))
)
neighbours = st.binary(max_size=12).map(
    lambda octets: octets.replace(b"\n", b"").replace(b"\r", b"")
)

Encoding = Callable[[bytes], bytes]


def _any_case(octets: bytes) -> bytes:
    return octets.decode().swapcase().encode()


def _normal(form: str) -> Encoding:
    return lambda octets: unicodedata.normalize(form, octets.decode()).encode()  # type: ignore[arg-type]


def _charset(name: str) -> Encoding:
    """Of characters that it has not, question marks; hardly any letter tells nobody anything."""

    def encode(octets: bytes) -> bytes:
        encoded = octets.decode().encode(name, "replace")
        assume(len(encoded.replace(b"?", b"")) >= 4)
        return encoded

    return encode


def _quoted(octets: bytes) -> bytes:
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


PLAIN: dict[str, Encoding] = {
    "as it is": lambda octets: octets,
    "quoted": _quoted,
    "another case": lambda octets: octets.lower(),
    "NFD": _normal("NFD"),
    "NFKC": _normal("NFKC"),
    "ASCII, the rest as question marks": _charset("ascii"),
    "UTF-16": _charset("utf-16-le"),
    "percent": lambda octets: urllib.parse.quote(octets, safe="").encode(),
    "form": lambda octets: urllib.parse.quote_plus(octets).encode(),
    "JSON": lambda octets: json.dumps(octets.decode()).encode(),
    "HTML": lambda octets: html.escape(octets.decode()).encode(),
    "quoted-printable": lambda octets: quopri.encodestring(octets, quotetabs=True).replace(
        b"=\n", b""
    ),
    "repr": lambda octets: repr(octets).encode(),
    "repr of text": lambda octets: ascii(octets.decode()).encode(),
}
CODE: dict[str, Encoding] = {
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "without padding": lambda octets: base64.b64encode(octets).rstrip(b"="),
    "hex": lambda octets: octets.hex().encode(),
    "HEX": lambda octets: octets.hex().upper().encode(),
}
ENCODINGS = PLAIN | CODE


def told(*words: bytes, secret: str) -> str:
    redactor = Redactor([secret.encode()])
    return "\n".join(redactor.lines(list(words)))


def assert_gone(secret: str, *lines: str) -> None:
    """In no form that `leaks` knows, in any of its cases."""
    shown = "\n".join(lines).encode()
    for form in {secret, secret.lower(), secret.upper()}:
        if len(form) >= 6:
            assert leaks(shown, form) == [], lines


@pytest.mark.parametrize("name", ENCODINGS)
@quick
@example(secret='quote" back\\slash', before=b"", after=b"")
@given(secret=secrets, before=neighbours, after=neighbours)
def test_one_encoding(name: str, secret: str, before: bytes, after: bytes) -> None:
    encoded = ENCODINGS[name](secret.encode())
    shown = told(b"535 " + before + b" " + encoded + b" " + after, secret=secret)
    assert_gone(secret, shown)
    assert encoded.decode("latin-1") not in shown


@pytest.mark.parametrize("name", CODE)
@quick
@given(secret=secrets, before=neighbours, after=neighbours)
def test_inside_of_something_longer(name: str, secret: str, before: bytes, after: bytes) -> None:
    """At any alignment, and without a blank around."""
    encoded = CODE[name](before + secret.encode() + after)
    shown = told(b"+OK said:" + encoded + b".", secret=secret)
    assert_gone(secret, shown)
    assert encoded.decode() not in shown


@quick
@given(
    secret=secrets,
    inner=st.sampled_from(sorted(ENCODINGS)),
    outer=st.sampled_from(sorted(CODE)),
    before=neighbours,
)
def test_twice_encoded(secret: str, inner: str, outer: str, before: bytes) -> None:
    once = before + ENCODINGS[inner](secret.encode())
    twice = CODE[outer](once)
    shown = told(b"535 " + twice + b" no", secret=secret)
    assert twice.decode() not in shown
    assert shown.endswith(" no") or "<secret>" in shown


@quick
@given(secret=texts, encode=st.sampled_from(sorted(ENCODINGS)), width=st.integers(1, 30))
def test_wrapped_over_the_lines_of_one_reply(secret: str, encode: str, width: int) -> None:
    assume(secret not in LABELS and secret.lower() not in LABELS)
    encoded = ENCODINGS[encode](b"\0ada\0" + secret.encode() if encode in CODE else secret.encode())
    folded = [encoded[at : at + width] for at in range(0, len(encoded), width)]
    lines = [b"535-5.7.8 " + piece for piece in folded[:-1]] + [b"535 5.7.8 " + folded[-1]]
    shown = Redactor([secret.encode()]).lines(lines)
    bodies = [line[10:] for line in shown]
    assert_gone(secret, "".join(bodies))
    assert_gone(secret, "\n".join(shown))


@quick
@given(secret=texts.filter(lambda text: len(text) > 16), at=st.integers(0, 700))
def test_wrapped_base64_on_lines_that_are_told_one_by_one(secret: str, at: int) -> None:
    """Six octets of it are enough, so of two pieces of a line the longer one goes."""
    assume(secret not in LABELS)
    encoded = base64.b64encode(b"\0ada\0" + secret.encode())
    redactor = Redactor([secret.encode()])
    at %= len(encoded)
    shown = [redactor.lines([piece])[0] for piece in (encoded[:at], encoded[at:]) if piece]
    assert_gone(secret, "".join(shown))
    begin, end = 8, 4 * (5 + len(secret.encode())) // 3  # in base64, less what others change
    for piece, octets in ((encoded[:at], at - begin), (encoded[at:], end - max(at, begin))):
        assert octets < 12 or piece.decode() not in "".join(shown)


@quick
@given(secret=secrets, name=st.sampled_from(sorted(ENCODINGS)), at=st.integers(0, 300))
def test_where_a_long_line_is_cut(secret: str, name: str, at: int) -> None:
    encoded = ENCODINGS[name](secret.encode())
    line = b"* OK " + b"x " * 80 + b"y" * (at % 80) + b" " + encoded + b" z" * 100
    redactor = Redactor([secret.encode()])
    whole = redactor.lines([line])[0]
    cut = redactor.lines([line], most=170 + at)[0]
    begun = cut.partition(" ... ")[0]
    # What is shown before the cut is what is shown of the whole line.
    assert whole.startswith(begun)
    assert_gone(secret, cut)


@quick
@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=2, max_size=5))
def test_short_ones_garble_words_and_are_hidden(secret: str) -> None:
    assume(secret.lower() not in LABELS)
    shown = told(b"535 no " + secret.encode() + b" here", secret=secret)
    rest = shown.replace("<secret>", "")
    assert secret.lower() not in rest.lower()
    coded = base64.b64encode(b"\0ada\0" + secret.encode())
    assert coded.decode() not in told(b"535 " + coded, secret=secret)


@quick
@given(line=st.binary(max_size=200), secret=secrets)
def test_what_is_shown_is_one_line_of_printable_ascii(line: bytes, secret: str) -> None:
    (shown,) = Redactor([secret.encode()]).lines([line])
    assert shown.isascii()
    assert shown.isprintable()


# -- what is shown


ORDINARY = (
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE AUTH=PLAIN] ready.",
    b"AAAA1 OK [CAPABILITY IMAP4rev1 UNSELECT UIDPLUS ESEARCH] Logged in",
    b"250-mail.example.org Hello [192.0.2.7], pleased to meet you",
    b"250-AUTH SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN XOAUTH2",
    b"535 5.7.8 Error: authentication failed: invalid password, see https://x.example.org/?p=1",
    b"-ERR [AUTH] Authentication failed.",
)


@pytest.mark.parametrize("line", ORDINARY)
@quick
@given(secret=texts)
@example(secret="password123")
@example(secret="authentication2")
def test_a_line_without_it_is_as_it_was(line: bytes, secret: str) -> None:
    """Control: also where the secret begins with one of its words, which would tell that."""
    assume(secret.lower() not in line.decode().lower())
    redactor = Redactor([secret.encode()])
    redactor.learn_user("ada@mail.example.net")
    assert redactor.lines([line]) == [line.decode()]


def test_who_it_is() -> None:
    redactor = Redactor()
    redactor.learn_user("ada.lovelace@example.org")
    redactor.learn_person(b"somebody")
    lines = (
        b"+OK ADA.Lovelace@example.org has 3 messages in /var/mail/ada.lovelace",
        b'550 <bob@example.net>: no such user; nor somebody; nor "b o b"@example.com',
        b"535 " + base64.b64encode(b"\0ada.lovelace\0..."),
    )
    assert [redactor.lines([line])[0] for line in lines] == [
        "+OK <user>@example.org has 3 messages in /var/mail/<user>".replace(
            "<user>@example.org", "<user>"
        ),
        "550 <<someone>@example.net>: no such user; nor <someone>; nor <someone>@example.com",
        "535 <user>",
    ]


PHRASE = "Tr0ub4dor and 3 horses"
LINES = {
    "PASS": (b"PASS %s", False),
    "LOGIN": (b'a1 LOGIN ada "%s"', False),
    "LOGIN, not quoted": (b"a1 LOGIN ada %s", False),
    "an answer in base64": (b"%b64", True),
    "an answer in octets": (b"%s", True),
    "a quoted answer": (b'"%s"', True),
    "PLAIN": (b"AUTH PLAIN %plain", False),
    "a mechanism of one's own": (b"a1 AUTHENTICATE X-OWN %b64", False),
}


@pytest.mark.parametrize("name", LINES)
def test_what_a_line_tells_is_one_secret_and_not_its_words(name: str) -> None:
    line, goes_on = LINES[name]
    line = line.replace(b"%s", PHRASE.encode())
    line = line.replace(b"%b64", base64.b64encode(PHRASE.encode()))
    line = line.replace(b"%plain", base64.b64encode(b"\0ada\0" + PHRASE.encode()))
    found = of_line(line, goes_on=goes_on)
    redactor = Redactor(found.secrets)
    for user in found.users:
        redactor.learn_user(user.decode())
    assert_gone(PHRASE, *redactor.lines([b"no: " + PHRASE.encode(), b"no: " + line]))
    words = "3 horses and a login for the plain user, own and octets; PASS or AUTH"
    assert redactor.lines([words.encode()]) == [words]


def test_a_short_name_is_a_word_of_its_own() -> None:
    redactor = Redactor()
    redactor.learn_user("ad")
    assert redactor.lines([b"ad adds /ad/ AD"]) == ["<user> adds /<user>/ <user>"]


def test_the_rest_of_a_long_line_is_counted() -> None:
    (shown,) = Redactor().lines([b"* OK " + b"x" * 1_000_000])
    assert shown.startswith("* OK xxxx")
    assert shown.endswith(" ... 998,005 octets more")


@pytest.mark.parametrize("filling", [b"A", b"AbCdEfGh", b"%41\\u00e9&amp;=41", b"word ", b"\\"])
def test_long_lines_take_no_time(filling: bytes) -> None:
    """Whatever is in them; also beside a token as long as they get."""
    redactor = Redactor([bytes(range(33, 127)) * 40])
    line = (filling * 1024 * 1024)[: 1024 * 1024]
    started = time.process_time()
    redactor.lines([line])
    assert time.process_time() - started < 2  # 0.1 s here
    started = time.process_time()
    hide(line, (b"Tr0ub4dor and 3 horses",))
    assert time.process_time() - started < 4


def test_it_shows_nothing_itself() -> None:
    redactor = Redactor([b"Tr0ub4dor"])
    redactor.learn_user("ada")
    assert leaks(f"{redactor!r} {vars(redactor)!r}".encode(), "Tr0ub4dor") == []
    assert "ada" not in f"{vars(redactor)!r}"
