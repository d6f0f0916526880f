"""What a server offers is what it says over TLS: an offer in clear, which anybody can have changed,
neither adds a way to sign in nor takes one away.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from securemail import IMAP4_STARTTLS, POP3_STARTTLS, SMTP_STARTTLS, CATrust, TLSPolicy
from servers.attempts import PASSWORD, USER
from servers.leaks import leaks
from servers.pki import PKI
from servers.recording import Conversation, RecordingServer
from servers.rude import Scripted
from servers.scram import ScramServer
from servers.scripts import GREETINGS
from servers.world import attempts

CLASSES: dict[str, Any] = {"imap": IMAP4_STARTTLS, "pop3": POP3_STARTTLS, "smtp": SMTP_STARTTLS}
EVERY = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-512-PLUS")


@dataclass(frozen=True)
class TwoOffers:
    """`in_clear` is what somebody in between makes of the offer before TLS."""

    protocol: str
    in_clear: tuple[str, ...]
    over_tls: tuple[str, ...]
    context: ssl.SSLContext

    def __call__(self, conversation: Conversation) -> None:
        conversation.send(GREETINGS[self.protocol])
        while line := conversation.read_line():
            tag, _, rest = line.rstrip(b"\r\n").rpartition(b" ")
            if rest.upper() in (b"STARTTLS", b"STLS"):
                break
            conversation.send(self._offer(tag or b"*"))
        ready = {"imap": tag + b" OK go on\r\n", "pop3": b"+OK\r\n", "smtp": b"220 go on\r\n"}
        conversation.send(ready[self.protocol])
        conversation.start_tls(self.context)
        scram = ScramServer(PASSWORD)
        Scripted(self.protocol, scram(self.protocol), self.over_tls, greeting=lambda *_: None)(
            conversation
        )

    def _offer(self, tag: bytes) -> bytes:
        names = " ".join(self.in_clear)
        auth = " ".join(f"AUTH={name}" for name in self.in_clear)
        said = {
            "imap": f"* CAPABILITY IMAP4rev1 STARTTLS {auth}\r\n{tag.decode()} OK done\r\n",
            "pop3": f"+OK\r\nSTLS\r\nSASL {names}\r\n.\r\n",
            "smtp": f"250-mail.example.org\r\n250-AUTH {names}\r\n250 STARTTLS\r\n",
        }
        return said[self.protocol].encode()


@pytest.mark.parametrize("protocol", CLASSES)
@pytest.mark.parametrize(
    "in_clear", [("PLAIN",), ("CRAM-MD5",), EVERY], ids=["taken out", "weakest", "added to"]
)
def test_only_what_is_offered_over_tls_counts(
    in_clear: tuple[str, ...],
    protocol: str,
    pki: PKI,
    recording_server: Callable[..., RecordingServer],
) -> None:
    over_tls = ("SCRAM-SHA-256", "PLAIN")
    script = TwoOffers(protocol, in_clear, over_tls, pki["good"].server_context())
    server = recording_server(script)
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    client = CLASSES[protocol]("127.0.0.1", server.port, policy=policy)
    client.login(USER, PASSWORD)
    assert client.report.auth.mechanism == "SCRAM-SHA-256"
    client._close_now()
    (record,) = server.wait()
    assert attempts(record) == ["SCRAM-SHA-256"]
    assert leaks(record.everything, PASSWORD) == []
