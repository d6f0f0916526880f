"""TLS can end under a connection: by `unwrap`, or by `shutdown`, as another thread wakes one that
reads. A standard `SSLSocket` goes on in clear then; nothing of ours may."""

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from securemail import CATrust, CredentialsRefused, TLSError, TLSPolicy
from securemail.tls.gate import GatedSocket
from securemail.wire import send_in_pieces
from servers.attempts import MAIL, PASSWORD, USER, Mail
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import RecordingServer
from servers.scripts import POLITE

Factory = Callable[..., RecordingServer]

WORDS = {"imap": "ssl_context", "pop3": "context", "smtp": "context"}
ENDS: dict[str, Callable[[ssl.SSLSocket], Any]] = {
    "shutdown": lambda sock: sock.shutdown(socket.SHUT_RD),
    # As `unwrap` does once the server has answered, which this one does not.
    "unwrap": lambda sock: sock.__dict__.update(_sslobj=None),
}
SECRET_VERBS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "imap": {
        "login": lambda imap: imap.login(USER, PASSWORD),
        "authenticate": lambda imap: imap.authenticate("PLAIN", lambda _: PASSWORD.encode()),
        "spelled": lambda imap: imap.xatom("LOGIN", USER, f'"{PASSWORD}"'),
        "send": lambda imap: imap.send(f'a1 LOGIN {USER} "{PASSWORD}"\r\n'.encode()),
    },
    "pop3": {
        "login": lambda pop: pop.login(USER, PASSWORD),
        "pass": lambda pop: pop.pass_(PASSWORD),
        "spelled": lambda pop: pop._shortcmd(f"PASS {PASSWORD}"),
    },
    "smtp": {
        "login": lambda smtp: smtp.login(USER, PASSWORD),
        "spelled": lambda smtp: smtp.docmd("AUTH", f"PLAIN {PASSWORD}"),
        "send": lambda smtp: smtp.send(f"AUTH PLAIN {PASSWORD}\r\n"),
    },
}


def append_to(imap: Any) -> None:
    imap.state = "AUTH"
    imap.append("INBOX", None, None, PASSWORD.encode())


MAIL_VERBS: dict[str, Callable[[Any], Any]] = {
    "imap": lambda imap: (
        setattr(imap, "state", "AUTH") or imap.append("INBOX", None, None, PASSWORD.encode())
    ),
    "pop3": lambda pop: pop.retr(1),
    "smtp": lambda smtp: smtp.sendmail("a@x.org", ["b@x.org"], PASSWORD),
}
CASES = [
    (protocol, name, verb)
    for protocol in MAIL
    for name, verb in (*SECRET_VERBS[protocol].items(), ("mail", MAIL_VERBS[protocol]))
]


def connect(mail: Mail, server: RecordingServer, pki: PKI, *, own_context: bool) -> Any:
    if own_context:
        context = ssl.create_default_context(cafile=str(pki.ca_pem))
        return mail.cls("127.0.0.1", server.port, timeout=5, **{WORDS[mail.protocol]: context})
    return mail.cls(
        "127.0.0.1", server.port, timeout=5, policy=TLSPolicy(trust=CATrust(pki.ca_pem))
    )


@pytest.fixture(params=[True, False], ids=["own context", "policy"])
def own_context(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize(
    ("protocol", "name", "verb"), CASES, ids=[f"{one[0]} {one[1]}" for one in CASES]
)
def test_nothing_goes_out_in_clear(
    protocol: str,
    name: str,
    verb: Callable[[Any], Any],
    end: Callable[[ssl.SSLSocket], Any],
    own_context: bool,
    pki: PKI,
    recording_server: Factory,
) -> None:
    server = recording_server(POLITE[protocol], context=pki["good"].server_context())
    client = connect(MAIL[protocol], server, pki, own_context=own_context)
    end(client.sock)
    with pytest.raises((CredentialsRefused, TLSError)) as raised:
        verb(client)
    assert "TLS has ended" in str(raised.value)
    assert raised.value.credentials_sent is False
    MAIL[protocol].close(client)
    (record,) = server.wait()
    assert leaks(bytes(record.wire), PASSWORD) == []
    assert b"mail" not in record.wire.lower(), "the envelope"


@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_the_report_does_not_say_tls_any_more(
    mail: Mail, own_context: bool, pki: PKI, recording_server: Factory
) -> None:
    server = recording_server(POLITE[mail.protocol], context=pki["good"].server_context())
    client = connect(mail, server, pki, own_context=own_context)
    assert client.report.tls.version.startswith("TLS")
    client.sock.shutdown(socket.SHUT_RD)
    assert client.report.tls is None
    mail.close(client)


@pytest.mark.parametrize("mail", MAIL.values(), ids=MAIL)
def test_control_as_long_as_tls_lasts_all_goes_through_it(
    mail: Mail, own_context: bool, pki: PKI, recording_server: Factory
) -> None:
    server = recording_server(POLITE[mail.protocol], context=pki["good"].server_context())
    client = connect(mail, server, pki, own_context=own_context)
    client.login(USER, PASSWORD)
    mail.close(client)
    (record,) = server.wait()
    assert leaks(bytes(record.tls), PASSWORD) != []


# --- TLS ends between the look and the sending, as by another thread ------------------------------


@pytest.fixture
def pair(pki: PKI) -> Any:
    """A function of a context: a client's TLS socket, and what arrives at the other end."""
    with contextlib.ExitStack() as stack:

        def connected(context: ssl.SSLContext) -> tuple[Any, Callable[[], bytes]]:
            server = stack.enter_context(
                RecordingServer(lambda talk: talk.finish(), context=pki["good"].server_context())
            )
            plain = socket.create_connection(("127.0.0.1", server.port), 5)
            sock = stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))

            def arrived() -> bytes:
                sock.close()
                return bytes(server.wait()[0].wire)

            return sock, arrived

        yield connected


def test_the_writer_asks_the_tls_below_and_not_the_socket(pki: PKI, pair: Any) -> None:
    sock, arrived = pair(ssl.create_default_context(cafile=str(pki.ca_pem)))
    sock._sslobj = None
    with pytest.raises(TLSError, match="TLS has ended"):
        send_in_pieces(sock, PASSWORD.encode())
    assert leaks(arrived(), PASSWORD) == []


def in_a_file(sock: Any) -> Any:
    with tempfile.TemporaryFile() as file:
        file.write(PASSWORD.encode())
        file.seek(0)
        return sock.sendfile(file)


MOVES: dict[str, Callable[[Any], Any]] = {
    "send": lambda sock: sock.send(PASSWORD.encode()),
    "sendall": lambda sock: sock.sendall(PASSWORD.encode()),
    "sendto": lambda sock: sock.sendto(PASSWORD.encode(), sock.getpeername()),
    "sendfile": in_a_file,
    "write": lambda sock: sock.write(PASSWORD.encode()),
    "recv": lambda sock: sock.recv(1),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_nor_does_a_gated_socket_whose_gate_has_just_been_passed(
    move: Callable[[Any], Any], pki: PKI, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, arrived = pair(TLSPolicy(trust=CATrust(pki.ca_pem)).ssl_context())
    monkeypatch.setattr(GatedSocket, "_require_open", lambda self: setattr(self, "_sslobj", None))
    with pytest.raises((TLSError, ValueError, TimeoutError)):
        move(sock)
    monkeypatch.undo()
    assert leaks(arrived(), PASSWORD) == []


@pytest.mark.parametrize("name", ["send", "sendall"])
def test_control_a_gated_socket_sends_through_tls(name: str, pki: PKI, pair: Any) -> None:
    sock, arrived = pair(TLSPolicy(trust=CATrust(pki.ca_pem)).ssl_context())
    getattr(sock, name)(b"")
    assert getattr(sock, name)(PASSWORD.encode()) in (None, len(PASSWORD))
    with pytest.raises(ValueError, match="flags"):
        getattr(sock, name)(b"x", socket.MSG_OOB)
    assert leaks(arrived(), PASSWORD) == []
