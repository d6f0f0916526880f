"""Files that people edit: PEM, revocation lists, the policy file, the known servers. Pure."""

import functools
from pathlib import Path

from fuzz.choices import Choices
from fuzz.der import certificates
from fuzz.escapes import only, require
from securemail import pem
from securemail.crl import read_crls
from securemail.policy_file.reading import parse as parse_policy
from securemail.trust import known_servers

SEEDS = Path(__file__).parent / "seeds"

_KNOWN = (
    b"# a comment\n\nimap://mail.example.org:993  sha256/"
    + b"A" * 43
    + b"=  -  2026-11-22T10:11:12Z\n",
    b"smtp://[::1]:465\tsha256/"
    + b"B" * 43
    + b"=  "
    + b"AB:" * 31
    + b"AB  2024-02-29T23:59:59Z\r\n",
    b"pop3://a:1 sha256/" + b"A" * 43 + b"= - 2026-02-30T10:11:12Z",
)
_PIN = 'pin = "sha256/' + "A" * 43 + '="'
_POLICIES = tuple(
    text.encode()
    for text in (
        '[servers."mail.example.org"]\ntrust = "system"\n',
        f'[servers."mail.example.org:993"]\ntrust = {{ {_PIN} }}\nplaintext = "why"\n',
        (
            '[default]\nminimum_version = "1.3"\n'
            'auth = { mechanisms = ["PLAIN"], iterations = [4096, 5000] }\n'
        ),
        '[servers."[::1]"]\nserver_hostname = "mail.example.org"\nchannel_binding = "require"\n',
        (
            '[servers."a"]\ntrust = { certificate = "/nowhere.pem", '
            'waive = { expiry = "why", until = 2030-01-01 } }\n'
        ),
        (
            '[servers."b"]\ntrust = { known = "known-servers" }\n'
            'pins = ["sha256/x"]\ncrls = "corp.crl"\n'
        ),
        '[servers."c"]\nauth = { password = "secret" }\nstrict_x509 = false\nlegacy_ciphers = ""\n',
        'a = [[[[[[[[1]]]]]]]]\nb = 1979-05-27T07:32:00-08:00\nc = """\n\\u0000"""\nd = inf\n',
    )
)


@functools.cache
def _pem_seeds() -> tuple[bytes, ...]:
    return tuple((SEEDS / name).read_bytes() for name in ("certificates.pem", "lists.pem"))


def _changed(case: bytes, beginnings: tuple[bytes, ...]) -> bytes:
    choices = Choices(case)
    octets = b"".join(choices.one_of(beginnings) for _ in range(1 + choices.number(2)))
    return choices.changed(choices.changed(octets)) + choices.rest()


def known(case: bytes) -> None:
    """What was read and is written again is the same."""
    with only():
        found = known_servers.parse(_changed(case, _KNOWN), "known-servers")
        again = known_servers.parse(str(found).encode(), "known-servers")
        require(again.servers == found.servers, f"written and read, it is another: {found!r}")
        for server in found.servers:
            require(server in again.of(server.endpoint), "not found by its endpoint")
        require(not found.without(found.servers).servers, "still there")


def policies(case: bytes) -> None:
    """All of it is checked when it is read."""
    with only():
        found = parse_policy(_changed(case, _POLICIES), "securemail.toml")
        for host, port in found.servers:
            require(host.isprintable() and (port is None or 0 < port < 65536), f"{host}:{port}")


def pem_texts(case: bytes) -> None:
    """Certificates out of PEM: each that is found is DER, whatever stands around it."""
    choices = Choices(case)
    first, lists = _pem_seeds()
    blocks = [
        block + b"-----END CERTIFICATE-----\n"
        for block in first.split(b"-----END CERTIFICATE-----\n")[:-1]
    ]
    octets = choices.changed(choices.one_of((*blocks, lists, b""))) + choices.rest()
    with only():
        found = pem.certificates(octets)
        require(found, "none, and no error")
    with only():
        pem.parse(pem.one_certificate(octets))
    pem.has_key(octets)
    with only():
        require(read_crls(octets), "none, and no error")


def lists(case: bytes) -> None:
    """Revocation lists, PEM and DER, and what is asked of them."""
    import base64

    choices = Choices(case)
    blocks = _pem_seeds()[1].split(b"-----END X509 CRL-----\n")[:-1]
    ders = tuple(base64.b64decode(b"".join(block.split(b"\n")[1:])) for block in blocks)
    with only():
        for one in read_crls(
            choices.changed(choices.changed(choices.one_of(ders))) + choices.rest()
        ):
            require(one.issuer.isprintable(), "an issuer that cannot be shown")
            require(one.next_update, "without an end")
            for der in certificates():
                with only(ValueError):
                    from securemail.certificate import Certificate

                    one.entry(Certificate(der).parsed.serial_number)
            one.entry(0)
