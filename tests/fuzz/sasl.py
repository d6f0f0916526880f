"""Mechanisms and exchanges, against a server that says what the case chooses. No connection."""

import base64
from typing import Any

from dialogues import DIALECTS
from fuzz.choices import INTERESTING, Choices
from fuzz.escapes import Escaped, only, require
from fuzz.polite import PASSWORD, TOKEN, USER, SaslServer
from securemail import Anonymous, AuthPolicy, CredentialsRefused, External, Password, Token
from securemail.redact import hide
from securemail.sasl.choose import APOP, Line, Offer, choose_mechanism, name_of
from securemail.sasl.exchange import Exchange
from securemail.sasl.mechanism import Broken, Cancelled, Terms, Unproved, Unusable
from securemail.sasl.mechanisms import DEFAULT, KNOWN
from securemail.sasl.scram_words import attributes, read_final, read_first
from securemail.secret import Secret

_MOST = 12  # lines that a client says in one exchange
_NONCE = "fyko+d2lbbFgONRv9qkxdawL"
_CREDENTIALS = (
    Password(USER, PASSWORD),
    Token(USER, TOKEN),
    External(USER),
    Anonymous("trace"),
    Password("üser", "pässwörd \u00ad x"),
)
_TRUE_SCRAM = {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}
_SCRAM_WORDS = (
    *(
        b"r=",
        b"s=",
        b"i=",
        b"v=",
        b"e=",
        b"m=",
        b"x=",
        b"p=",
        b",",
        b"=",
        b"4096",
        b"5000",
        b"1000000",
    ),
    *(_NONCE.encode(), b"c2FsdA==", b"AAAA", b"invalid-proof", b"other-error", b"server", b"00"),
    *INTERESTING,
)
_SCRAM_MESSAGES = (
    b"r=%s,s=c2FsdA==,i=4096" % _NONCE.encode(),
    b"r=%sserver,s=c2FsdA==,i=4096" % _NONCE.encode(),
    b"v=cHJvb2Y=,x=y",
    b"e=other-error",
)


def _mechanism(choices: Choices) -> Any:
    cls = choices.one_of(tuple(KNOWN.values()))
    binding = choices.one_of((("tls-unique", Secret(b"finished-pad")), None))
    terms = Terms(
        service="imap",
        host="mail.example.org",
        port=993,
        binding=binding,
        binding_offered=choices.is_rude(),
        iterations=(4096, 5000),
        saslprep=choices.one_of(("require", "prefer")),
    )
    fitting = [one for one in _CREDENTIALS if isinstance(one, cls.takes)]
    return cls(choices.one_of(fitting), terms)


def _said(choices: Choices, due: bytes | None, response: bytes | None) -> bytes | None:
    """A challenge, or None for a success. `due`: what a polite server says."""
    if not choices.is_rude():
        return due
    how = choices.number(6)
    if how == 0:
        return None
    if how == 1:
        return choices.octets(200)
    if how == 2:
        return choices.changed(due or b"")
    if how == 3:
        return b"".join(choices.one_of(_SCRAM_WORDS) for _ in range(choices.number(12)))
    if how == 4:
        return b"r=%s,s=c2FsdA==,i=%s" % (_nonce_in(response) + b"x", choices.one_of(_SCRAM_WORDS))
    return (
        b'{"status":"%s","scope":%s}'
        % (choices.octets(9), choices.one_of(_SCRAM_WORDS))
        * (1 + choices.number(3))
    )


def _nonce_in(response: bytes | None) -> bytes:
    try:
        octets = base64.b64decode(response or b"")
    except ValueError:
        return b""
    return octets.partition(b"r=")[2].partition(b",")[0]


def exchanges(case: bytes) -> None:
    """In few rounds a refusal by `Broken`, `Cancelled` or an end. SCRAM is content with nobody but
    who knows the password; what is sent has no line break."""
    choices = Choices(case)
    dialect = choices.one_of(tuple(DIALECTS.values()))
    try:
        mechanism = _mechanism(choices)
    except Unusable as error:
        require(error.code and str(error), "unusable, without a reason")
        return
    exchange = Exchange(dialect, mechanism, initial=choices.one_of((True, False)))
    try:
        honest = _talk(choices, exchange, mechanism)
    except (Broken, Cancelled) as error:
        require(isinstance(error, Cancelled) or str(error).isprintable(), f"not printable: {error}")
        return
    is_scram = mechanism.name.startswith("SCRAM")
    require(honest or not is_scram, f"{mechanism.name} believes one who does not know the password")


def _talk(choices: Choices, exchange: Exchange, mechanism: Any) -> bool:
    """Whether the server proved what it knows, where the exchange ends well."""
    server = SaslServer(mechanism.name.encode())
    words = exchange.command().reveal().split(b" ")
    line = words[2] if len(words) > 2 else b""
    honest = True
    for _ in range(_MOST):
        require(not any(octet in line for octet in b"\r\n\0"), f"a line break: {line!r}")
        due = server.next(line)
        challenge = _said(choices, due, line)
        is_heard = exchange._held is None  # else it only makes the client say what it has to say
        honest = honest and (challenge == due or (challenge is not None and not is_heard))
        if challenge is None:
            exchange.finish(choices.octets(40))
            return honest
        text = base64.b64encode(challenge)
        line = exchange.respond(choices.changed(text) if choices.is_rude() else text).reveal()
        require(exchange.sent in ("", "the password") or exchange.sent.isprintable(), "in words")
    raise Escaped(f"{mechanism.name} goes on and on")


def scram_words(case: bytes) -> None:
    """Attributes are read strictly: what was read, written again, is what came."""
    choices = Choices(case)
    parts = [choices.one_of(_SCRAM_WORDS) for _ in range(choices.number(12))]
    whole = choices.one_of((b"", *_SCRAM_MESSAGES))
    message = choices.changed(choices.changed(whole) + b"".join(parts)) + choices.rest()
    try:
        found = attributes(message)
    except Broken as error:
        require(str(error).isprintable(), f"not printable: {error}")
        return
    again = ",".join(f"{name}={value}" for name, value in found)
    require(again.encode() == message, f"{message!r} was read as {again!r}")
    for read in (lambda: read_first(found, _NONCE), lambda: read_final(found)):
        try:
            one: Any = read()
        except Broken as error:
            require(str(error).isprintable(), f"not printable: {error}")
            continue
        if not isinstance(one, str):
            require(one.nonce.startswith(_NONCE) and len(one.nonce) > len(_NONCE), "a nonce")
            require(0 <= one.iterations < 10**15 and 1 <= len(one.salt) <= 1024, "a bound")


_OFFERS = (*KNOWN, "PLAIN ", "", "X-OURS", "\udcff", "\x1b[2J", "SCRAM-SHA-3", "plain")


def choosing(case: bytes) -> None:
    """What is chosen was offered, wanted and is allowed over this line; else it says why not."""
    choices = Choices(case)
    offered = tuple(choices.one_of(_OFFERS) for _ in range(choices.number(6)))
    commands = choices.one_of(((), ("LOGIN",), ("USER",), ("USER", APOP)))
    offer = Offer(mechanisms=offered, commands=commands)
    wanted = choices.one_of((DEFAULT, ("PLAIN",), ("CRAM-MD5", APOP), (*DEFAULT, APOP)))
    line = Line(
        in_clear=choices.one_of((None, None, frozenset({"PLAIN"}), frozenset())),
        no_binding=choices.one_of((None, "why")),
        must_bind=choices.one_of((False, True)),
        has_certificate=choices.one_of((False, True)),
    )
    credentials = choices.one_of(_CREDENTIALS)
    try:
        way = choose_mechanism(credentials, offer, wanted, line)
    except CredentialsRefused as error:
        require(str(error).isprintable() and error.hint, f"not to be shown: {error}")
        return
    name = name_of(way)
    require(name in (*offered, *commands), f"{name} is chosen, and was not offered")
    require(name in wanted or name in ("LOGIN", "USER"), f"{name} is chosen, and was not wanted")
    require(line.in_clear is None or name in line.in_clear, f"{name} is chosen in clear")
    require(not line.must_bind or name.endswith("-PLUS"), f"{name} is not bound")
    require(name not in ("CRAM-MD5", APOP) or name in wanted, f"{name} by itself")


def hiding(case: bytes) -> None:
    """A secret that a server repeats is hidden, wherever it stands, also in base64 of more."""
    choices = Choices(case)
    secret = b"s3cr" + choices.octets(20)
    before, after = choices.octets(20), choices.octets(20)
    whole = before + secret + after
    for words in (
        whole,
        base64.b64encode(whole),
        b'"%s"' % secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"'),
    ):
        shown = hide(words, (secret,))
        require(secret not in shown or secret in b"<secret>", f"{shown!r} has {secret!r}")
        require(b"<secret>" in shown, "nothing is hidden")
    with only():
        AuthPolicy(mechanisms=(choices.one_of(_OFFERS),))
    require(issubclass(Unproved, Broken), "another tree")
