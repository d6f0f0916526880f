"""A certificate of the client's own, for the rare server that demands one."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable, Hashable
from typing import Any

from . import pem
from .errors import PolicyError
from .files import fixed
from .pins import fingerprint
from .secret import Secret
from .standard_ssl import scratch_context
from .values import Value

_Path = str | os.PathLike[str]
_Password = str | bytes | Callable[[], str | bytes]
_EXAMPLE = 'Write ClientCertificate("me.pem", "me.key"), two files in PEM.'


class ClientCertificate(Value):
    """The certificate in `cert`, a PEM file that may have its intermediate certificates after it,
    and its private key in `key` (none: in the same file).

    `password`: of an encrypted key; text, or better a callable that returns it, which is called
    each time the key is read: when this is made, and when a TLS context is. Nobody is ever asked on
    a terminal. Checked when made: files that can be read, and a key that fits. Raises
    `PolicyError`. Two are equal when their paths are; one that holds a password is not pickled.

    The key signs, and goes nowhere. The certificate is shown to whoever asks, once OpenSSL has
    verified that server: before `pins=` are compared, and on TLS 1.2 for everybody to read.
    """

    cert: _Path
    key: _Path | None = None
    password: Secret | None = None  # what was given, a callable too

    def __init__(
        self, cert: _Path, key: _Path | None = None, password: _Password | None = None
    ) -> None:
        files, asked = Secret((cert, key)), Secret(password)  # one may hold a key by mistake
        del cert, key, password
        super().__init__(*_paths(files), None if asked.reveal() is None else asked)

    def _check(self) -> None:
        self.load(scratch_context())

    def load(self, context: ssl.SSLContext) -> str:
        """Put both into `context`; the certificate's fingerprint. Raises `PolicyError`."""
        found, password = self._fingerprint(), _Asked(self)
        try:
            context.load_cert_chain(self.cert, self._key_file, password)
            return found
        except PolicyError:
            raise
        except (ssl.SSLError, OSError, ValueError) as error:
            problem = self._unusable(error, password)
        # Outside of the handler: an error about the password's text has the text on it.
        raise problem

    def content(self) -> Hashable:
        """What is in the files, without its being known by it."""
        data = Secret([pem.read(self.cert), pem.read(self._key_file, "key")])
        return tuple(hashlib.sha256(one).digest() for one in data.reveal())

    def describe(self) -> str:
        """In words, for a policy's description."""
        return f"shows the certificate in {pem.name_of(self.cert)} to servers that ask for one"

    @property
    def _key_file(self) -> _Path:
        return self.cert if self.key is None else self.key

    def _fingerprint(self) -> str:
        """Of the certificate, after a look at what the files hold: OpenSSL's errors do not say."""
        if b"-----BEGIN" not in pem.read(self.cert):
            raise _wrong(
                f"{pem.name_of(self.cert)} is not PEM text.",
                "openssl pkcs12 -in FILE -out me.pem makes it of a .p12 or .pfx file, "
                "openssl x509 -in FILE -out me.pem of a certificate in DER.",
            )
        first, *_ = pem.certificates(self.cert, beside_key=True)
        pem.parse(first, self.cert)
        if not pem.has_key(pem.read(self._key_file, "key")):
            raise _wrong(
                f"{pem.name_of(self._key_file)} holds no private key in PEM.",
                "It begins with -----BEGIN PRIVATE KEY----- or the like. Where it is in another "
                'file than the certificate: ClientCertificate("me.pem", "me.key").',
            )
        return fingerprint(first)

    def _unusable(self, error: Exception, password: _Asked) -> PolicyError:
        key, cert = pem.name_of(self._key_file), pem.name_of(self.cert)
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            return _wrong(
                f"the private key in {key} is not that of the certificate in {cert}.",
                "The certificate belongs first in its file, before its intermediate certificates.",
            )
        if password.was_asked:
            return _wrong(
                f"the private key in {key} cannot be decrypted with the password that was given.",
                "Check the password; or the file is damaged.",
            )
        return _wrong(
            f"OpenSSL does not take the certificate in {cert} with the key in {key}: {error}.",
            "Its key or its signature may be too weak (RSA below 2048 bits, SHA-1), or the file "
            "damaged.",
        )

    def __repr__(self) -> str:
        # Also of one that is not complete: a traceback may show it.
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"ClientCertificate({shown})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClientCertificate):
            return NotImplemented
        return (self.cert, self.key) == (other.cert, other.key)

    def __hash__(self) -> int:
        return hash((ClientCertificate, self.cert, self.key))

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.password.reveal() if self.password else None
        if isinstance(given, (str, bytes)):
            raise TypeError("a key's password is not pickled; give a callable as password=")
        return ClientCertificate, (self.cert, self.key, given)


class _Asked:
    """What OpenSSL calls for the password of a key that is encrypted."""

    was_asked = False

    def __init__(self, certificate: ClientCertificate) -> None:
        self._certificate = certificate

    def __call__(self) -> str | bytes:
        self.was_asked = True
        return self._ask().reveal()  # type: ignore[no-any-return]

    def _ask(self) -> Secret:
        if self._certificate.password is None:
            raise _wrong(
                f"the private key in {pem.name_of(self._certificate._key_file)} is encrypted, and "
                "no password was given.",
                "Give password=, best a callable that fetches it; or keep the key unencrypted, in "
                "a file that its user alone may read.",
            )
        given = _fetched(self._certificate.password)
        if not isinstance(given.reveal(), (str, bytes)) or not given.reveal():
            raise _wrong("the password of the client's key is empty, or not text.", _EXAMPLE)
        return given


def _fetched(password: Secret) -> Secret:
    if not callable(password.reveal()):
        return password
    try:
        return Secret(password.reveal()())
    except Exception as error:
        raise _wrong(
            f"the password of the client's key could not be fetched ({type(error).__name__}).",
            "That is the callable that was given as password=.",
        ) from error


def _paths(files: Secret) -> tuple[Any, ...]:
    """As text. PEM itself is refused, and not quoted: OpenSSL takes keys from files alone."""
    for position, file in enumerate(map(Secret, files.reveal())):
        if position == 1 and file.reveal() is None:
            continue
        if not isinstance(file.reveal(), (str, os.PathLike)) or pem.is_pem(file.reveal()):
            raise _wrong(
                "the client's certificate, or its key, is not the path of a file.", _EXAMPLE
            )
    return tuple(None if file is None else fixed(file) for file in files.reveal())


def _wrong(said: str, hint: str) -> PolicyError:
    return PolicyError(said, code="client-certificate", hint=hint)
