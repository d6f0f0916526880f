"""The mailbox that the three servers share."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

DELETED = "\\Deleted"
SEEN = "\\Seen"


@dataclass(frozen=True)
class Message:
    """One message, byte for byte as it arrived, and what IMAP keeps beside it (RFC 3501 2.3)."""

    uid: int
    data: bytes
    flags: frozenset[str]
    arrived: datetime

    @property
    def header(self) -> bytes:
        """Everything up to the empty line, and that line (RFC 5322 2.1)."""
        header, empty_line, _ = self.data.partition(b"\r\n\r\n")
        return header + empty_line

    @property
    def text(self) -> bytes:
        """Everything after the empty line."""
        return self.data[len(self.header) :]


class Mailbox:
    """Messages in memory, in the order of arrival. All methods may be called from any thread.

    There is one mailbox for all users of the servers: these serve demonstrations and tests.
    """

    #: A new mailbox starts its UIDs anew, and nobody keeps the old ones (RFC 3501 2.3.1.1).
    uid_validity = 1

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: dict[int, Message] = {}
        self._next_uid = 1

    def __len__(self) -> int:
        with self._lock:
            return len(self._messages)

    @property
    def next_uid(self) -> int:
        """The UID that the next message will get."""
        with self._lock:
            return self._next_uid

    def messages(self) -> list[Message]:
        """The messages that are there now."""
        with self._lock:
            return list(self._messages.values())

    def deliver(
        self, data: bytes, flags: Iterable[str] = (), arrived: datetime | None = None
    ) -> int:
        """Add a message, and tell its UID."""
        with self._lock:
            uid = self._next_uid
            self._next_uid += 1
            self._messages[uid] = Message(uid, data, frozenset(flags), arrived or datetime.now(UTC))
            return uid

    def get(self, uid: int) -> Message | None:
        """The message with that UID, unless it has been removed."""
        with self._lock:
            return self._messages.get(uid)

    def change_flags(
        self, uid: int, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Message | None:
        """Add flags and take flags away, in one step. Tells the message as it is now."""
        with self._lock:
            message = self._messages.get(uid)
            if message is not None:
                message = replace(message, flags=(message.flags - set(remove)) | set(add))
                self._messages[uid] = message
            return message

    def remove(self, uids: Iterable[int]) -> None:
        """Remove messages; those that are gone already are no error."""
        with self._lock:
            for uid in uids:
                self._messages.pop(uid, None)

    def expunge(self) -> None:
        """Remove the messages that are marked as deleted."""
        self.remove([message.uid for message in self.messages() if DELETED in message.flags])
