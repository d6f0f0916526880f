"""The operating system's store, and certifi's."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Hashable

from ..errors import PolicyError
from .base import CAStore

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+\Z")  # the names OpenSSL looks for in a directory


class SystemTrust(CAStore):
    """The operating system's certificate authorities, as OpenSSL finds them.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's file and directory, as everywhere with
    OpenSSL; the report names what was used. One that is set and leads to no certificate is a
    `PolicyError`. Only where the system has no store at all is certifi's bundle used instead.
    """

    def prepare(self, context: ssl.SSLContext) -> None:
        _check_directory()
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        # Counting takes a millisecond: it reads every certificate. So only where it decides.
        if _from_environment("SSL_CERT_FILE") is not None:
            if not context.cert_store_stats()["x509"]:
                raise _nothing_in("SSL_CERT_FILE", "is not a readable file with certificates")
        elif not _has_files() and not context.cert_store_stats()["x509"]:
            CertifiTrust().prepare(context)

    def content(self) -> Hashable:
        return tuple((path, state(path)) for path in _paths() if path)

    def describe(self) -> str:
        if os.name == "posix" and not _has_files():
            return CertifiTrust().describe() + ", because this system has no store"
        used = [
            f"{variable}={path}" if variable in os.environ else path
            for variable, path in zip(_ENVIRONMENT, _paths(), strict=True)
            if _holds_something(path)
        ]
        return f"the system's store ({', '.join(used)})"


class CertifiTrust(CAStore):
    """Mozilla's certificate authorities, in the `certifi` package's edition that is installed."""

    def prepare(self, context: ssl.SSLContext) -> None:
        context.load_verify_locations(cafile=_certifi_file())

    def content(self) -> Hashable:
        return state(_certifi_file())

    def describe(self) -> str:
        import certifi

        return f"certifi {certifi.__version__}"


_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def _from_environment(name: str) -> str | None:
    """The variable's value, None where it is not set; set but blank is an error."""
    value = os.environ.get(name)
    if value is not None and not value.strip():
        raise _nothing_in(name, "is set but empty")
    return value


def _paths() -> tuple[str, str]:
    """The file and the directory that OpenSSL will use."""
    built_in = ssl.get_default_verify_paths()
    return (
        _from_environment("SSL_CERT_FILE") or built_in.openssl_cafile,
        _from_environment("SSL_CERT_DIR") or built_in.openssl_capath,
    )


def _check_directory() -> None:
    folder = _from_environment("SSL_CERT_DIR")
    if folder is not None and not hashed(folder):
        raise _nothing_in("SSL_CERT_DIR", "has no certificates under hashed names")


def hashed(folders: str) -> bool:
    """Whether OpenSSL will find anything there: a list of directories with hashed names."""
    return any(map(_has_hashed, folders.split(os.pathsep)))


def _has_hashed(folder: str) -> bool:
    # Every connection asks; so no further than to the first one.
    try:
        with os.scandir(folder) as entries:
            return any(_HASHED.match(entry.name) for entry in entries)
    except OSError:
        return False


def _has_files() -> bool:
    """Whether there is a system store, as files (on Windows there are none)."""
    return any(map(_holds_something, _paths()))


def _holds_something(path: str) -> bool:
    return hashed(path) or (os.path.isfile(path) and os.path.getsize(path) > 0)


def state(path: str) -> Hashable:
    """Changes when the file or directory does."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _certifi_file() -> str:
    import certifi

    return certifi.where()


def _nothing_in(variable: str, why: str) -> PolicyError:
    value = os.environ.get(variable, "")
    return PolicyError(
        f"the environment variable {variable}={value!r} {why}, so nobody would be believed.",
        code="empty-store",
        hint=f"Unset {variable} to use the system's store, or correct it"
        + (" (openssl rehash DIRECTORY makes the names)." if variable == "SSL_CERT_DIR" else "."),
    )
