"""tls-exporter (RFC 9266), which `ssl` does not have: derived from the key log of one handshake.

Such a connection has a context of its own, since the key log is the context's. It is there from
the beginning of the handshake until the verdict; what is kept is the derived value alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import struct

from ..secret import Secret
from ..standard_ssl import set_value
from .context import PolicyContext
from .gate import GatedSocket
from .key_log import KeyLog

_LABEL, _LENGTH = b"EXPORTER-Channel-Binding", 32  # RFC 9266, 2; the context is empty
_HASHES = ("sha256", "sha384")  # of the TLS 1.3 suites that OpenSSL has: RFC 8446, B.4


class ExportingSocket(GatedSocket):
    """Has the exporter's value once it was verified, on TLS 1.3; or `why` says why not."""

    _log: KeyLog | None = None
    exported: Secret | None = None
    why: str = ""

    def do_handshake(self, block: bool = False) -> None:
        """As `GatedSocket` does. What fails, or interrupts it, closes the socket and so the log."""
        try:
            if self._log is None and self.report is None:
                self._begin()
            super().do_handshake(block)
            self._take()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        set_value(self.context, "unused_beside", None)
        try:
            self._log = KeyLog(self.context)
        except OSError as error:
            self.why = f"its secret could not be had: {error.strerror}"

    def _take(self) -> None:
        """Derive the value; drop all else."""
        if self._log is not None and self.version() == "TLSv1.3":
            secret = self._log.take("EXPORTER_SECRET")
            self.exported = None if secret is None else _exported(secret, self.cipher())
            self.why = "" if self.exported else "its secret could not be had from OpenSSL"
        self._drop()

    def _drop(self) -> None:
        if self._log is not None:
            self._log.erase()
            self._log = None

    def _real_close(self) -> None:
        """However it ends: also between two steps of the handshake."""
        self._drop()
        super()._real_close()  # type: ignore[misc]


class ExportingContext(PolicyContext):
    """The context of one connection, whose exporter is wanted. Another connection that uses it
    meanwhile is as safe, and has no exporter."""

    sslsocket_class = ExportingSocket
    unused_beside: PolicyContext | None = None  # the shared one of the policy; until it is used


def _exported(master: Secret, cipher: tuple[str, str, int] | None) -> Secret | None:
    """TLS-Exporter(_LABEL, "", _LENGTH) of the exporter's master secret: RFC 8446, 7.5."""
    name = (cipher or ("",))[0].rpartition("_")[2].lower()
    if name not in _HASHES or len(master.reveal()) != hashlib.new(name).digest_size:
        return None
    empty = hashlib.new(name).digest()  # of no messages, and of the empty context
    derived = _expand(name, master, _LABEL, empty, len(empty))
    return _expand(name, derived, b"exporter", empty, _LENGTH)


def _expand(name: str, secret: Secret, label: bytes, context: bytes, length: int) -> Secret:
    """HKDF-Expand-Label (RFC 8446, 7.1), for no more than one block of HKDF-Expand (RFC 5869)."""
    full = b"tls13 " + label
    info = struct.pack("!HB", length, len(full)) + full + bytes([len(context)]) + context
    return Secret(hmac.digest(secret.reveal(), info + b"\x01", name)[:length])
