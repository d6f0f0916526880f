"""The client's side of SASL mechanisms, written by hand or by others, and nothing of ours.

Each is a generator that is sent the server's challenges and yields what to answer; the first
challenge is the one that comes before the client has said anything, and may be empty. `sign_in`
takes one through a client of the standard library.
"""

import base64
import hashlib
import hmac
import imaplib
import poplib
import re
import secrets
import smtplib
from collections.abc import Callable, Generator

from scramp import ScramClient

Exchange = Generator[bytes, bytes, None]
Client = imaplib.IMAP4 | poplib.POP3 | smtplib.SMTP

MOST_STEPS = 8  # none has more than four


def plain(user: str, password: str) -> Exchange:
    yield b""
    yield f"\0{user}\0{password}".encode()


def login(user: str, password: str) -> Exchange:
    yield b""
    yield user.encode()
    yield password.encode()


def cram_md5(user: str, password: str) -> Exchange:
    """RFC 2195."""
    challenge = yield b""
    digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    yield f"{user} {digest}".encode()


def digest_md5(user: str, password: str) -> Exchange:
    """RFC 2831, section 2.1.2, with the first realm that the server names. Cyrus SASL wants the
    right service in digest-uri; Dovecot looks for none."""
    challenge = yield b""
    found = dict(re.findall(r'([a-z-]+)="?([^",]*)"?', challenge.decode()))
    realm, nonce, cnonce = found.get("realm", ""), found["nonce"], secrets.token_hex(16)
    uri, tail = "smtp/mail.example.org", "00000001"
    secret = hashlib.md5(f"{user}:{realm}:{password}".encode()).digest()
    a1 = hashlib.md5(secret + f":{nonce}:{cnonce}".encode()).hexdigest()
    a2 = hashlib.md5(f"AUTHENTICATE:{uri}".encode()).hexdigest()
    response = hashlib.md5(f"{a1}:{nonce}:{tail}:{cnonce}:auth:{a2}".encode()).hexdigest()
    yield (
        f'charset=utf-8,username="{user}",realm="{realm}",nonce="{nonce}",nc={tail},'
        f'cnonce="{cnonce}",digest-uri="{uri}",response={response},qop=auth'
    ).encode()
    yield b""  # the server has shown that it knows the password, too


def scram(
    name: str, user: str, password: str, binding: tuple[str, bytes] | None = None
) -> Exchange:
    """RFC 5802, by scramp. With a binding and a mechanism whose name does not end in -PLUS it
    says "y": that it could bind, and believes that the server cannot."""
    client = ScramClient([name], user, password, channel_binding=binding)
    yield b""
    server_first = yield client.get_client_first().encode()
    client.set_server_first(server_first.decode())
    server_final = yield client.get_client_final().encode()
    client.set_server_final(server_final.decode())
    yield b""


def oauthbearer(user: str, token: str) -> Exchange:
    """RFC 7628, section 3.1; a refusal is answered with a lone Ctrl-A (section 3.2.3)."""
    yield b""
    yield f"n,a={user},\1host=mail.example.org\1port=993\1auth=Bearer {token}\1\1".encode()
    yield b"\1"


def xoauth2(user: str, token: str) -> Exchange:
    """As Google describes it; a refusal is answered with an empty line."""
    yield b""
    yield f"user={user}\1auth=Bearer {token}\1\1".encode()
    yield b""


def external(user: str = "") -> Exchange:
    yield b""
    yield user.encode()


def anonymous() -> Exchange:
    yield b""
    yield b"somebody@example.org"


BY_PASSWORD: dict[str, Callable[[str, str], Exchange]] = {
    "PLAIN": plain,
    "LOGIN": login,
    "CRAM-MD5": cram_md5,
    "DIGEST-MD5": digest_md5,
    "SCRAM-SHA-1": lambda user, password: scram("SCRAM-SHA-1", user, password),
    "SCRAM-SHA-256": lambda user, password: scram("SCRAM-SHA-256", user, password),
    "SCRAM-SHA-512": lambda user, password: scram("SCRAM-SHA-512", user, password),
}
BY_TOKEN = {"OAUTHBEARER": oauthbearer, "XOAUTH2": xoauth2}


# -- through the standard library's clients


def sign_in(client: Client, mechanism: str, exchange: Exchange) -> bool:
    """Whether the server accepts it; anything but a plain yes or no is raised."""
    next(exchange)
    if isinstance(client, imaplib.IMAP4):
        return _by_imap(client, mechanism, exchange)
    if isinstance(client, poplib.POP3):
        return _by_pop3(client, mechanism, exchange)
    return _by_smtp(client, mechanism, exchange)


def _by_imap(client: imaplib.IMAP4, mechanism: str, exchange: Exchange) -> bool:
    try:
        client.authenticate(mechanism, exchange.send)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        if "AUTHENTICATIONFAILED" in str(error):
            return False
        raise
    return True


def _by_pop3(client: poplib.POP3, mechanism: str, exchange: Exchange) -> bool:
    """RFC 5034; poplib itself knows no AUTH."""
    line = f"AUTH {mechanism}"
    for _ in range(MOST_STEPS):
        try:
            reply: bytes = client._shortcmd(line)  # type: ignore[attr-defined]
        except poplib.error_proto as error:
            if "[AUTH]" in str(error):
                return False
            raise
        if reply.startswith(b"+OK"):
            return True
        line = _base64(exchange.send(base64.b64decode(reply.removeprefix(b"+ "))))
    raise AssertionError(f"no end after {MOST_STEPS} steps")


def _by_smtp(client: smtplib.SMTP, mechanism: str, exchange: Exchange) -> bool:
    """RFC 4954; smtplib's own `auth` would take ASCII only."""
    client.ehlo_or_helo_if_needed()
    code, reply = client.docmd("AUTH", mechanism)
    for _ in range(MOST_STEPS):
        if code != 334:
            break
        code, reply = client.docmd(_base64(exchange.send(base64.b64decode(reply))))
    if code not in (235, 535):
        raise smtplib.SMTPAuthenticationError(code, reply)
    return code == 235


def _base64(message: bytes) -> str:
    return base64.b64encode(message).decode("ascii")
