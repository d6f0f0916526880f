"""The certificates of `kinds.KINDS` as files, and as contexts for servers.

pki = PKI(folder)
pki["expired"].server_context()      # a server that shows it
pki["expired"].asked_as              # the host a client asks for
pki.ca_pem                           # what the client trusts
"""

import base64
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from servers.certificates import pem, private_key_pem
from servers.kinds import KINDS, Kind, Workshop

ContextT = TypeVar("ContextT", bound=ssl.SSLContext)


class Shared(ssl.SSLContext):
    """For several tests, none of which may change it: to make one takes as long as a handshake."""

    is_made = False

    def __setattr__(self, name: str, value: object) -> None:
        assert not self.is_made, "this is for several tests: server_context(own=True)"
        super().__setattr__(name, value)

    def load_verify_locations(self, *args: Any, **keywords: Any) -> None:
        assert not self.is_made, "this is for several tests: server_context(own=True)"
        super().load_verify_locations(*args, **keywords)


@dataclass(frozen=True)
class Issued:
    """A certificate in files. `kind` says what is the matter with it."""

    name: str
    kind: Kind
    anchor_pem: Path
    cert: Path  # everything that the server sends, the leaf first
    key: Path
    leaf_pem: Path
    leaf_der: bytes
    shared: list[Shared] = field(default_factory=list)  # one, when it was made

    @property
    def description(self) -> str:
        return self.kind.description

    @property
    def asked_as(self) -> str:
        """The host name or address by which a client asks for this server."""
        return self.kind.asked_as

    @property
    def verify_code(self) -> int:
        """OpenSSL's verdict when the client trusts `anchor_pem`; see `kinds.Kind`."""
        return self.kind.verify_code

    @property
    def spki_pin(self) -> str:
        """The pin of its key: "sha256/" and the base64 of the SubjectPublicKeyInfo's hash."""
        public_key = x509.load_der_x509_certificate(self.leaf_der).public_key()
        spki = public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii")

    def server_context(self, *, own: bool = False, **settings: Any) -> ssl.SSLContext:
        """A server's context showing this certificate, for the caller alone where he wants his
        `own`, or has settings: those of `_new_context`."""
        if own or settings:
            return self._new_context(ssl.SSLContext, **settings)
        if not self.shared:
            self.shared.append(self._new_context(Shared))
            self.shared[0].is_made = True
        return self.shared[0]

    def _new_context(
        self,
        kind: type[ContextT],
        *,
        minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        maximum_version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
        ciphers: str | None = None,
    ) -> ContextT:
        """Weak kinds lower the security level: else OpenSSL would not even load them."""
        context = kind(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = minimum_version
        context.maximum_version = maximum_version
        if ciphers is None and self.kind.weak:
            ciphers = "DEFAULT:@SECLEVEL=0"
        if ciphers is not None:
            context.set_ciphers(ciphers)
        context.load_cert_chain(self.cert, self.key)
        return context


class PKI:
    """The certificates of the tests, in a folder; each is made when it is first asked for.

    Where the `anchor` of a kind is no attribute here, it is the kind of that name.
    """

    def __init__(self, folder: Path, kinds: Mapping[str, Kind] = KINDS) -> None:
        self._folder = folder
        self._kinds = kinds
        self._workshop = Workshop(kinds)
        self._issued: dict[str, Issued] = {}

    @staticmethod
    def names() -> list[str]:
        return list(KINDS)

    @property
    def ca_pem(self) -> Path:
        """The root that clients trust."""
        return self._write("ca.pem", self._workshop.root.cert_pem.bytes())

    @property
    def other_ca_pem(self) -> Path:
        """A root that has nothing to do with `ca_pem`."""
        return self._write("other-ca.pem", self._workshop.other_root.cert_pem.bytes())

    @property
    def intermediate_pem(self) -> Path:
        """The intermediate, issued by the root of `ca_pem`."""
        return self._write("intermediate.pem", self._workshop.intermediate.cert_pem.bytes())

    @property
    def no_aki_ca_pem(self) -> Path:
        """The root of `no_aki`."""
        return self._write("no-aki-ca.pem", pem(self._workshop.root_without_identifier.leaf))

    @property
    def ca_not_critical_pem(self) -> Path:
        """The root of `ca_not_critical`."""
        return self._write("ca-not-critical.pem", pem(self._workshop.root_not_critical.leaf))

    def client_certificate(self, user: str) -> Path:
        """A client's certificate by the root of `ca_pem`, whose common name is the user, and its
        key, in one file."""
        path = self._folder / f"client-{user}.pem"
        if not path.exists():
            issued = self._workshop.root.issue_cert(common_name=user)
            path.touch(0o600)
            path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return path

    def __getitem__(self, name: str) -> Issued:
        if name not in self._issued:
            self._issued[name] = self._issue(name)
        return self._issued[name]

    def _issue(self, name: str) -> Issued:
        kind, made = self._kinds[name], self._workshop.made(name)
        sent = b"".join(pem(certificate) for certificate in (made.leaf, *made.chain))
        return Issued(
            name=name,
            kind=kind,
            anchor_pem=self._anchor(kind),
            cert=self._write(f"{name}.pem", sent),
            key=self._write(f"{name}.key", made.key_pem or private_key_pem(made.key), 0o600),
            leaf_pem=self._write(f"{name}-leaf.pem", pem(made.leaf)),
            leaf_der=made.leaf.public_bytes(serialization.Encoding.DER),
        )

    def _anchor(self, kind: Kind) -> Path:
        if kind.anchor in self._kinds:
            return self[kind.anchor].leaf_pem
        found: Path = getattr(self, kind.anchor)
        return found

    def _write(self, name: str, content: bytes, mode: int = 0o644) -> Path:
        path = self._folder / name
        if not path.exists():
            path.touch(mode)
            path.write_bytes(content)
        return path
