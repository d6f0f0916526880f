"""What people and servers write: hosts, pins, texts to show, texts to prepare. Pure."""

import contextlib
import pickle

from fuzz.choices import INTERESTING, Choices
from fuzz.escapes import only, require
from securemail import Pin, PolicyError
from securemail.errors import printable
from securemail.hosts import Host, split_port
from securemail.sasl.prep import saslprep
from securemail.tls.facts import _is_named
from securemail.trust.endpoint import parse_url, say_url
from securemail.values import Value

_HOSTS = (
    *(
        b"mail.example.org",
        b"127.0.0.1",
        b"[::1]",
        b"fe80::1%eth0",
        b"::ffff:10.0.0.1",
        b"xn--bcher-kva.de",
    ),
    *(
        "straße.example".encode(),
        b"a_b.example",
        b"1.2.3",
        b"0x7f.1",
        b"-a.b",
        b"a" * 63 + b".b",
        b"a.",
    ),
    *(
        "\u0661.example".encode(),
        b"mail.example.org:993",
        b"[::1]:143",
        "ß\u200d\u0301".encode(),
        b"*.a.b",
    ),
)
_PINS = (
    b"sha256/" + b"A" * 43 + b"=",
    b"certificate-sha256/" + b"AB:" * 31 + b"AB",
    b"sha1/x",
    b"",
)


def _text(case: bytes, beginnings: tuple[bytes, ...]) -> str:
    """A changed beginning and what is left of the case, in UTF-8, as far as that goes."""
    choices = Choices(case)
    octets = choices.changed(choices.one_of(beginnings)) + choices.rest()
    return octets.decode("utf-8", choices.one_of(("surrogateescape", "replace", "surrogatepass")))


def _safely(case: bytes, beginnings: tuple[bytes, ...]) -> str:
    try:
        return _text(case, beginnings)
    except UnicodeDecodeError:
        return case.decode("latin-1")


def _host(text: str) -> Host | None:
    with contextlib.suppress(PolicyError):
        return Host.parse(text)
    return None


def hosts(case: bytes) -> None:
    """A host has one form: parsed again it is the same, and fit for DNS, SNI and messages."""
    text = _safely(case, _HOSTS)
    with only():
        host = Host.parse(text)
        require(host.name.isascii() and host.name.isprintable(), f"unfit: {host!r}")
        require(" " not in host.name and len(host.name) <= 253, f"unfit: {host!r}")
        require(host.address.isascii() and host.address.isprintable(), f"unfit: {host!r}")
        require(host.name == host.name.lower(), f"not one spelling: {host!r}")
        if text.isascii() and "%" not in text:  # a zone id is in the case that the system gave it
            require(_host(text.swapcase()) == host, f"{text!r} is another in other case")
        again = Host.parse(host.address)
        require(again == host, f"{text!r} is {host!r}, and that again {again!r}")
        require(pickle.loads(pickle.dumps(host)) == host, "pickled, it is another")
        _is_named([text, host.name, f"*.{host.name}"], host.name)
    with only():
        name, port = split_port(text)
        require(port is None or 0 <= port <= 99999, f"port {port}")
        require(name in text, "a host that nobody wrote")
    with only():
        endpoint = parse_url(f"imap://{text}")
        require(parse_url(say_url(endpoint)) == endpoint, f"{endpoint!r} is another when said")


def pins(case: bytes) -> None:
    """A pin has one spelling."""
    text = _safely(case, _PINS)
    with only():
        pin = Pin(text)
        require(Pin(str(pin)) == pin, f"{text!r}: {pin!r}")
        require(str(pin) == str(pin).strip() and len(str(pin)) in (51, 114), f"a spelling: {pin!r}")
        require(str(pin).isprintable() and str(pin).isascii(), "unfit")
        require(hash(Pin(str(pin))) == hash(pin), "the same, with another hash")
    with only():
        require(Pin.certificate(text).is_certificate, "no certificate's")


def texts(case: bytes) -> None:
    """Whatever is shown is one line without controls, and short; what is prepared stays so."""
    choices = Choices(case)
    longest = choices.number(400) + 3
    octets = (
        b"".join(choices.one_of(INTERESTING) for _ in range(choices.number(5))) + choices.rest()
    )
    for text in (
        octets,
        octets.decode("utf-8", "surrogateescape"),
        octets.decode("utf-16-le", "replace"),
    ):
        shown = printable(text, longest)
        require(shown.isprintable(), f"not printable: {shown!r}")
        require(len(shown) <= longest, "too long")
        shown.encode()  # fit for a log
    text = octets.decode("utf-8", "replace")
    try:
        prepared = saslprep(text)
    except ValueError:
        return
    require(saslprep(prepared) == prepared, f"prepared twice, it is another: {text!r}")


class _Pair(Value):
    first: object
    second: object = None


def values(case: bytes) -> None:
    """Equal values are equal in every way; nothing changes one."""
    choices = Choices(case)
    one, other = (
        _Pair(choices.octets(4), choices.one_of((None, 0, "", choices.octets(2)))) for _ in range(2)
    )
    require((one == other) == (one._values() == other._values()), "equal or not")
    require(one != other or hash(one) == hash(other), "equal, and another hash")
    require(pickle.loads(pickle.dumps(one)) == one, "pickled, it is another")
    require(eval(repr(one), {"_Pair": _Pair}) == one, "its repr makes another")
    for name in ("first", "new"):
        try:
            setattr(one, name, 1)
        except AttributeError:
            continue
        require(False, "it can be changed")
