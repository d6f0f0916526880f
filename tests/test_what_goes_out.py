"""What is looked at is what goes out: arguments that are neither text nor octets, octets sent
beside a command, and sockets of which only the near end is this computer."""

import array
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from securemail import (
    IMAP4,
    IMAP4_SSL,
    IMAP4_STARTTLS,
    POP3,
    SMTP,
    AuthPolicy,
    CATrust,
    CredentialsRefused,
    PlaintextWarning,
    PolicyError,
    TLSPolicy,
)
from securemail.imap import IMAP4_stream
from securemail.imap.errors import IMAP4ProtocolViolation
from securemail.wire import octets_of
from servers.attempts import PASSWORD, USER
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.scripts import POLITE

Factory = Callable[..., RecordingServer]

SIGN_IN = f'x\r\nX9 LOGIN {USER} "{PASSWORD}"'.encode()
KINDS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "str": lambda octets: octets.decode("latin-1"),
    "bytearray": bytearray,
    "memoryview": memoryview,
    "array": lambda octets: array.array("B", octets),
    "array of more than octets": lambda octets: array.array("H", octets + b" " * (len(octets) % 2)),
}
OCTETS = {name: kind for name, kind in KINDS.items() if name != "str"}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


# --- one place makes octets of what is given ------------------------------------------------------


@each_kind
def test_octets_of_whatever_holds_some(kind: Callable[[bytes], Any]) -> None:
    made = octets_of(kind(b"12"))
    assert (made, type(made)) == (b"12", bytes)


class Shouting(str):
    def encode(self, *_: Any) -> bytes:
        return b"NOOP"


class Changing(bytes):
    def __bytes__(self) -> bytes:
        return b"NOOP"


def test_a_class_of_the_callers_own_has_no_say_in_it() -> None:
    assert octets_of(Shouting("x\r\n")) == b"x\r\n"
    assert octets_of(Changing(b"x\r\n")) == b"x\r\n"


def test_a_number_is_written_out_and_anything_else_is_refused() -> None:
    assert octets_of(42) == b"42"
    for wrong in ([b"x"], None, 1.5, object()):
        with pytest.raises(TypeError, match="text, octets or a number"):
            octets_of(wrong)
    with pytest.raises(UnicodeEncodeError):
        octets_of("ü")


@contextmanager
def imap_of(server: RecordingServer, cls: Any = IMAP4, **args: Any) -> Iterator[Any]:
    client = cls("127.0.0.1", server.port, timeout=5, plaintext="the tests' own", **args)
    try:
        yield client
    finally:
        client.shutdown()


VERBS: dict[str, Callable[[Any, Any], Any]] = {
    "xatom": lambda imap, x: imap.xatom("NOOP", x),
    "search": lambda imap, x: imap.search(None, x),
    "uid": lambda imap, x: imap.uid("FETCH", "1", x),
    "copy": lambda imap, x: imap.copy("1", x),
    "store": lambda imap, x: imap.store(x, "+FLAGS", "(x)"),
    "fetch": lambda imap, x: imap.fetch("1", x),
    "sort": lambda imap, x: imap.sort("(DATE)", "UTF-8", x),
    "thread": lambda imap, x: imap.thread("REFS", "UTF-8", x),
    "select": lambda imap, x: imap.select(x),
    "list": lambda imap, x: imap.list(x),
    "append": lambda imap, x: imap.append(x, None, None, b"mail"),
}


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@each_kind
def test_imap_no_line_break_in_any_argument(
    kind: Callable[[bytes], Any], verb: Callable[[Any, Any], Any], recording_server: Factory
) -> None:
    server = recording_server(POLITE["imap"])
    with imap_of(server) as client:
        client.state = "SELECTED"
        before = client.capability()
        with pytest.raises((PolicyError, ValueError)):
            verb(client, kind(SIGN_IN))
        assert client.capability() == before
    (record,) = server.wait()
    assert leaks(bytes(record.wire), PASSWORD) == []
    assert b"X9" not in record.wire


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
@each_kind
def test_control_the_same_without_one(
    kind: Callable[[bytes], Any], recording_server: Factory
) -> None:
    server = recording_server(POLITE["imap"])
    with imap_of(server) as client:
        client.xatom("NOOP", kind(b"12"))
    assert b" NOOP 12\r\n" in server.wait()[0].wire


def takes_appended(conversation: Conversation) -> None:
    """Announces nothing, and reads as many octets as it was told."""
    conversation.send(b"* OK ready\r\n")
    while line := conversation.read_line():
        tag = line.split()[0]
        if line.endswith(b"}\r\n"):
            conversation.send(b"+ go on\r\n")
            conversation.read(int(line[line.rindex(b"{") + 1 : -3]))
            conversation.read_line()
        capability = b"* CAPABILITY IMAP4rev1\r\n" if b"CAPABILITY" in line else b""
        conversation.send(capability + tag + b" OK done\r\n")


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
@pytest.mark.parametrize("kind", OCTETS.values(), ids=OCTETS)
def test_a_message_is_announced_by_its_octets(
    kind: Callable[[bytes], Any], recording_server: Factory
) -> None:
    """An array has fewer items than octets: what is over would be another command."""
    server = recording_server(takes_appended)
    message = kind(b"12345678 X9 LOGIN")
    with imap_of(server) as client:
        client.state = "AUTH"
        assert client.append("INBOX", None, None, message)[0] == "OK"
        client.noop()
    (record,) = server.wait()
    assert b"{17}\r\n12345678 X9 LOGIN\r\n" in record.wire or (
        b"{18}\r\n12345678 X9 LOGIN \r\n" in record.wire
    )


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
def test_a_message_that_was_never_asked_for_is_not_stored(recording_server: Factory) -> None:
    def says_ok_at_once(conversation: Conversation) -> None:
        conversation.send(b"* OK ready\r\n")
        while line := conversation.read_line():
            capability = b"* CAPABILITY IMAP4rev1\r\n" if b"CAPABILITY" in line else b""
            conversation.send(capability + line.split()[0] + b" OK [APPENDUID 1 1] done\r\n")

    server = recording_server(says_ok_at_once)
    with imap_of(server) as client:
        client.state = "AUTH"
        with pytest.raises(IMAP4ProtocolViolation, match="before it asked") as raised:
            client.append("INBOX", None, None, b"mail")
        with pytest.raises(IMAP4ProtocolViolation):
            client.noop()
    assert "Nothing was stored" in raised.value.hint
    assert b"mail\r\n" not in server.wait()[0].wire


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
@each_kind
@pytest.mark.parametrize("cls", [POP3, SMTP], ids=["pop3", "smtp"])
def test_pop3_and_smtp_see_a_sign_in_in_whatever_holds_it(
    cls: Any, kind: Callable[[bytes], Any], recording_server: Factory
) -> None:
    server = recording_server(POLITE["pop3" if cls is POP3 else "smtp"])
    client = cls("127.0.0.1", server.port, timeout=5, plaintext="the tests' own")
    with pytest.raises((CredentialsRefused, TypeError)):
        if cls is POP3:
            client._putline(kind(f"PASS {PASSWORD}".encode()))
        else:
            client.send(kind(f"AUTH PLAIN {PASSWORD}\r\n".encode()))
    client.close()
    assert leaks(bytes(server.wait()[0].wire), PASSWORD) == []


# --- octets sent beside a command -----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
def test_what_another_thread_sends_meanwhile_is_looked_at(recording_server: Factory) -> None:
    asked = threading.Event()

    def waits_with_its_consent(conversation: Conversation) -> None:
        conversation.send(b"* OK ready\r\n")
        while line := conversation.read_line():
            if b"APPEND" in line:
                asked.set()
                conversation.sleep_until_closed(10)
                return
            conversation.send(b"* CAPABILITY IMAP4rev1\r\n" + line.split()[0] + b" OK done\r\n")

    server = recording_server(waits_with_its_consent)
    with imap_of(server) as client:
        client.state = "AUTH"

        def append() -> None:
            with pytest.raises(OSError):
                client.append("INBOX", None, None, b"x")

        thread = threading.Thread(target=append)
        thread.start()
        assert asked.wait(10)
        client.state = "NONAUTH"
        with pytest.raises(CredentialsRefused):
            client.send(f'a1 LOGIN {USER} "{PASSWORD}"\r\n'.encode())
        client.sock.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert leaks(bytes(server.wait()[0].wire), PASSWORD) == []


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
@pytest.mark.parametrize("blank", ["\t", "  ", "\x0b", " \t "])
@pytest.mark.parametrize("before", ["a1", "", " a1", "a1 b2"])
def test_a_sign_in_is_seen_behind_any_blanks(
    before: str, blank: str, recording_server: Factory
) -> None:
    server = recording_server(POLITE["imap"])
    with imap_of(server) as client, pytest.raises(CredentialsRefused):
        client.send(f'{before}{blank}login{blank}{USER} "{PASSWORD}"\r\n'.encode())
    assert leaks(bytes(server.wait()[0].wire), PASSWORD) == []


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
def test_control_a_program_that_overrides_send_goes_on(recording_server: Factory) -> None:
    sent = []

    class Logging(IMAP4):
        def send(self, data: Any) -> None:
            sent.append(data)
            super().send(data)

    server = recording_server(takes_appended)
    with imap_of(server, Logging) as client:
        client.state = "AUTH"
        assert client.append("INBOX", None, None, b"a1 LOGIN in a message")[0] == "OK"
    assert b"a1 LOGIN in a message" in sent


# --- which sockets lead to this computer ----------------------------------------------------------

HERE = {"auth": AuthPolicy(clear_on_loopback="a development server"), "timeout": 5}
DIALS = {
    IMAP4: ("_create_socket", lambda self, timeout=None: socket.create_connection(self.proxy)),
    POP3: ("_create_socket", lambda self, timeout: socket.create_connection(self.proxy)),
    SMTP: ("_get_socket", lambda self, *_: socket.create_connection(self.proxy)),
}
each_class = pytest.mark.parametrize("cls", DIALS, ids=lambda cls: cls.__name__)


def assert_refused(client: Any) -> None:
    with pytest.raises(CredentialsRefused):
        client.login(USER, PASSWORD)
    client.shutdown() if isinstance(client, IMAP4) else client.close()


@each_class
def test_a_socket_that_a_subclass_brought_is_no_proof(cls: Any, recording_server: Factory) -> None:
    """It may be a proxy's near end."""
    server = recording_server(POLITE[cls.__name__[:4].lower()])
    name, dial = DIALS[cls]
    proxied = type("Proxied", (cls,), {name: dial, "proxy": ("127.0.0.1", server.port)})
    assert_refused(proxied("mail.example.org", 2525, **HERE))
    (record,) = server.wait()
    assert leaks(bytes(record.wire), PASSWORD) == []


@each_class
@pytest.mark.parametrize("what", ["socket", "create_connection"])
def test_nor_is_one_of_a_program_that_put_its_own_in_the_place_of_the_standard_ones(
    what: str, cls: Any, recording_server: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = recording_server(POLITE[cls.__name__[:4].lower()])
    to_the_proxy = socket.create_connection
    asked = []

    class Proxied(socket.socket):
        def connect(self, address: Any) -> None:
            asked.append(address)
            super().connect(address)

    def by_the_proxy(address: Any, *_: Any) -> socket.socket:
        asked.append(address)
        return to_the_proxy(("127.0.0.1", server.port))

    monkeypatch.setattr(socket, what, Proxied if what == "socket" else by_the_proxy)
    client = cls("127.0.0.1", server.port, **HERE)
    assert asked[0] == ("127.0.0.1", server.port), "the program's own way is taken"
    assert_refused(client)
    monkeypatch.undo()
    (record,) = server.wait()
    assert leaks(bytes(record.wire), PASSWORD) == []


@each_class
def test_control_one_of_our_own_dialling_is(cls: Any, recording_server: Factory) -> None:
    server = recording_server(POLITE[cls.__name__[:4].lower()])
    client = cls("127.0.0.1", server.port, **HERE)
    with pytest.warns(PlaintextWarning):
        client.login(USER, PASSWORD)
    client.shutdown() if cls is IMAP4 else client.close()
    assert leaks(bytes(server.wait()[0].wire), PASSWORD) != []


# --- a connection in clear is not handed out a second time either ---------------------------------


def test_imap_starttls_is_not_opened_again(pki: PKI, recording_server: Factory) -> None:
    polite = POLITE["imap"].with_starttls(pki["good"].server_context())
    server = recording_server(polite)
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    with IMAP4_STARTTLS("127.0.0.1", server.port, policy=policy, timeout=5) as client:
        with pytest.raises(PolicyError, match="in clear"):
            client.open("127.0.0.1", server.port)
        client.noop()
    assert server.connections == 1


def test_control_imap_over_tls_is(pki: PKI, recording_server: Factory) -> None:
    server = recording_server(POLITE["imap"], context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = IMAP4_SSL("127.0.0.1", server.port, policy=policy, timeout=5)
    client.shutdown()
    client.open("127.0.0.1", server.port)
    assert client.report.tls is not None
    client.shutdown()
    assert not issubclass(IMAP4_stream, IMAP4_STARTTLS)


@pytest.mark.filterwarnings("ignore::securemail.PlaintextWarning")
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_smtp_sees_a_sign_in_behind_any_line_end(end: str, recording_server: Factory) -> None:
    server = recording_server(POLITE["smtp"])
    client = SMTP("127.0.0.1", server.port, timeout=5, plaintext="the tests' own")
    with pytest.raises(CredentialsRefused):
        client.send(f"NOOP{end}AUTH PLAIN {PASSWORD}\r\n")
    client.close()
    assert leaks(bytes(server.wait()[0].wire), PASSWORD) == []
