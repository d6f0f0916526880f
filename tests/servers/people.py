"""Certificates of people, for servers that demand one, and such servers."""

import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from servers.pki import PKI

PASSWORD = "an Open-Sesame of 1001"  # of the encrypted keys


class People:
    """In a folder: `me.pem` and `me.key`; `both.pem`; `encrypted.key` and `traditional.key`, which
    `PASSWORD` opens; `with_chain.pem` by an intermediate; `stranger.pem` with its key, by an
    authority that the servers do not know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = trustme.CA(organization_name="Who hands out certificates to people")
        self._write("ca.pem", self._root.cert_pem.bytes())
        me = self._root.issue_cert("alice@example.org", common_name="Alice")
        key = me.private_key_pem.bytes()
        self._write("me.pem", me.cert_chain_pems[0].bytes())
        self._write("me.key", key)
        self._write("both.pem", key + me.cert_chain_pems[0].bytes())
        private = serialization.load_pem_private_key(key, None)
        for name, form in (
            ("encrypted.key", serialization.PrivateFormat.PKCS8),
            ("traditional.key", serialization.PrivateFormat.TraditionalOpenSSL),
        ):
            locked = serialization.BestAvailableEncryption(PASSWORD.encode())
            self._write(name, private.private_bytes(serialization.Encoding.PEM, form, locked))
        below = self._root.create_child_ca().issue_cert("bob@example.org", common_name="Bob")
        chain = b"".join(blob.bytes() for blob in below.cert_chain_pems)
        self._write("with_chain.pem", chain + below.private_key_pem.bytes())
        self._write(
            "without_chain.pem",
            below.private_key_and_cert_chain_pem.bytes().split(b"-----END CERTIFICATE-----")[0]
            + b"-----END CERTIFICATE-----\n",
        )
        stranger = trustme.CA().issue_cert("eve@example.org", common_name="Eve")
        self._write("stranger.pem", stranger.private_key_and_cert_chain_pem.bytes())

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        assert path.exists(), name
        return path

    def fingerprint(self, name: str) -> str:
        from cryptography.hazmat.primitives import hashes

        found = x509.load_pem_x509_certificate(self[name].read_bytes())
        return found.fingerprint(hashes.SHA256()).hex(":").upper()

    def server_context(
        self, pki: PKI, version: ssl.TLSVersion, *, kind: str = "good", required: bool = True
    ) -> ssl.SSLContext:
        """A server that believes these people, and nobody else."""
        context = pki[kind].server_context(minimum_version=version, maximum_version=version)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        context.load_verify_locations(self["ca.pem"])
        return context

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.touch(0o600)
        path.write_bytes(content)
