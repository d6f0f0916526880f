"""What is wanted: frozen values."""

from __future__ import annotations

import ssl
from collections.abc import Hashable, Iterable
from functools import partial
from typing import Any

from . import crl
from .client_certificate import ClientCertificate
from .errors import LegacyCiphersWarning, PolicyError
from .pem import Source
from .pins import Pin
from .sasl.choose import find_mechanism
from .sasl.mechanisms import DEFAULT
from .standard_ssl import set_value
from .tls.binding import WANTED
from .tls.cache import cached
from .tls.context import PolicyContext, build_context
from .tls.exporter import ExportingContext
from .tls.parameters import Parameters
from .trust.base import TrustStore, describe
from .trust.endpoint import Endpoint, parse_endpoint
from .trust.system import SystemTrust
from .values import Value, reason_of

_LEAST_ITERATIONS = 4096
_LONGEST = 10**9  # seconds; sockets count nanoseconds in 64 bits
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


_BINDINGS = {  # of a sign-in, to the TLS that it travels over
    "prefer": "tls-unique on TLS 1.2, none on TLS 1.3",
    "require": "tls-unique on TLS 1.2, tls-exporter on TLS 1.3; no sign-in without",
    "end-point": "tls-server-end-point",
    "never": "none",
}


class TLSPolicy(Value, kw_only=True):
    """Which servers are believed, and over what TLS. `TLSPolicy()` is safe as it is.

    - `minimum_version`: `"1.2"` or `"1.3"` (or `ssl.TLSVersion`); a stricter system setting stays.
    - `trust`: a trust store: `SystemTrust()`, `CertifiTrust()`, `CATrust(…)`, these joined with
      `|`, `ExactCertificate(…)`, `FirstUseTrust(…)`, `NativeTrust()`, or one of your own.
    - `pins`: a `Pin` or several; one must fit in the verified chain, beside what `trust` asks.
    - `strict_x509`: RFC 5280 to the letter, as Python 3.13 does; False for old private CAs.
    - `legacy_ciphers`: a reason in words; adds suites without forward secrecy, and warns.
    - `client_certificate`: a `ClientCertificate`, for the rare server that demands one of you.
    - `channel_binding`: what ties a sign-in by a mechanism that can (SCRAM-...-PLUS) to this very
      TLS. `"prefer"`: tls-unique on TLS 1.2, none on 1.3. `"require"`: tls-exporter on TLS 1.3 as
      well, and no sign-in without one. `"end-point"`: tls-server-end-point. `"never"`.
    - `crls`: a revocation list (RFC 5280, 5) or several, as files or PEM. A server is refused whose
      certificate is in one, and so is one whose authority has none there, or a stale one.

    Checked when made: a file that cannot be read or an empty store is a `PolicyError` here, not at
    the first connection. Two policies are equal when their fields are; files count by path.
    """

    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    trust: TrustStore = SystemTrust()
    pins: tuple[Pin, ...] = ()
    strict_x509: bool = True
    legacy_ciphers: str | None = None
    channel_binding: str = "prefer"
    client_certificate: ClientCertificate | None = None
    crls: tuple[Source, ...] = ()

    def _check(self) -> None:
        self._set("minimum_version", _version(self.minimum_version))
        self._set("pins", _pins(self.pins))
        if not (hasattr(self.trust, "prepare") and hasattr(self.trust, "verify")):
            raise PolicyError(
                f"trust={self.trust!r} is not a trust store.",
                code="trust",
                hint="Use SystemTrust(), CATrust(path), ExactCertificate(path), or an object with "
                "prepare(context) and verify(peer).",
            )
        _require_hashable(self.trust)
        why = reason_of(self.legacy_ciphers, "legacy_ciphers", code="legacy-ciphers")
        self._set("legacy_ciphers", why)
        if self.channel_binding not in WANTED:
            raise PolicyError(
                f"channel_binding={self.channel_binding!r} is not known.",
                code="channel-binding",
                hint='Known: "prefer", "require", "end-point", "never".',
            )
        own: Any = self.client_certificate
        if own is not None and not isinstance(own, ClientCertificate):
            raise PolicyError(
                f"client_certificate={own!r} is not a ClientCertificate.",
                code="client-certificate",
                hint='Write client_certificate=ClientCertificate("me.pem", "me.key").',
            )
        lists: Any = self.crls
        if isinstance(lists, (list, set, frozenset, dict)) and not lists:
            raise _empty("crls")
        self._set("crls", crl.crl_sources(lists))
        self._context()

    def ssl_context(self, *, endpoint: Endpoint | None = None) -> PolicyContext:
        """A sealed `ssl.SSLContext` that enforces this policy anywhere, made once and kept.

        A store's file that was replaced is noticed: the next call gives a new context.
        Certificates, trust and pins are enforced by whatever uses it; STARTTLS and what is sent
        in clear are matters of that program.

        `endpoint`: protocol, host and port, `("imap", "mail.example.org", 993)`, where the store
        goes by them (`FirstUseTrust`); the context is for that host alone then.
        """
        if endpoint is None and getattr(self.trust, "needs_endpoint", False):
            raise PolicyError(
                f"{describe(self.trust)}: whether the right one answers cannot be said of a "
                "context for any server.",
                code="endpoint-missing",
                hint='Write ssl_context(endpoint=("imap", "mail.example.org", 993)).',
            )
        return self._context(None if endpoint is None else parse_endpoint(endpoint))

    def _context(self, endpoint: Endpoint | None = None) -> PolicyContext:
        """Without an endpoint, for our own connections: their sockets know where they lead."""
        build = self._build if endpoint is None else partial(self._build, endpoint=endpoint)
        found: PolicyContext = cached((self, endpoint), self._content(), build)
        return found

    def _content(self) -> Hashable:
        """Of the files that the context is made of."""
        content = getattr(self.trust, "content", None)
        own = self.client_certificate
        of_files = own.content() if own else None, crl.content(self.crls)
        return (content() if content else None, *of_files)

    def connection_context(self, last: ssl.SSLContext | None = None) -> PolicyContext:
        """For one connection of ours. `channel_binding="require"` needs a context of its own, which
        takes as long to make as `ssl_context()` did the first time; all others share that.

        `last`: one made before, which will do as long as it fits and nothing has used it.
        """
        shared = self._context()
        if self.channel_binding != "require":
            return shared
        if isinstance(last, ExportingContext) and last.unused_beside is shared:
            return last
        made = self._build(ExportingContext)
        set_value(made, "unused_beside", shared)
        return made

    def _build(
        self, kind: type[PolicyContext] = PolicyContext, endpoint: Endpoint | None = None
    ) -> PolicyContext:
        parameters = Parameters(
            minimum_version=self.minimum_version,
            strict_x509=self.strict_x509,
            legacy_ciphers=self.legacy_ciphers,
        )
        crls = tuple(found for source in self.crls for found in crl.read_crls(source))
        return build_context(
            parameters,
            self.trust,
            self.pins,
            warnings=self._warnings(),
            client_certificate=self.client_certificate,
            crls=crls,
            kind=kind,
            endpoint=endpoint,
        )

    def _warnings(self) -> tuple[Warning, ...]:
        if self.legacy_ciphers is None:
            return ()
        return (
            LegacyCiphersWarning(
                "the policy allows cipher suites without forward secrecy: " + self.legacy_ciphers
            ),
        )

    def describe(self) -> str:
        """What this policy stands for, in words."""
        context = self._context()
        names = "checked" if context.check_hostname else "not checked (the key is the identity)"
        rows = [
            ("TLS", f"{_say(context.minimum_version)} or newer, no resumption, no renegotiation"),
            ("ciphers", _ciphers(self.legacy_ciphers)),
            ("trust", describe(self.trust)),
            ("names", f"{names}; a common name alone never counts"),
            ("pins", ", ".join(map(str, self.pins)) or "none"),
            ("X.509", "strict (RFC 5280)" if self.strict_x509 else "old private CAs tolerated"),
            ("binding", _BINDINGS[self.channel_binding]),
            ("revocation", self._say_revocation()),
        ]
        if self.client_certificate is not None:
            rows.append(("client", self.client_certificate.describe()))
        return "\n".join(f"{label + ':':<13}{text}" for label, text in rows)

    def _say_revocation(self) -> str:
        if not self.crls:
            return "not checked"
        return f"of the server's own certificate, by {crl.names_of(self.crls)}"


class AuthPolicy(Value, kw_only=True):
    """How to sign in. `AuthPolicy()` is safe as it is.

    - `mechanisms`: by rank; the first that takes the credentials, that the server offers and that
      the channel allows is used, and no other after it. Names, or classes of your own. Where
      "PLAIN" or "LOGIN" is among them, and none can be taken, the protocol's own command (IMAP
      LOGIN, POP3 USER and PASS) is used, over verified TLS as well. "CRAM-MD5" and "APOP",
      which can be guessed from, are used only where they are named here, and warn.
    - `iterations`: the least and the most that a SCRAM server may ask for (RFC 7677, 4).
    - `seconds`: how long deriving a key from the password may take.
    - `saslprep`: "require": a password that SCRAM cannot prepare (RFC 4013) is an error; "prefer":
      it is used as it is.
    - `apop_in_clear`: a reason in words; allows APOP without TLS, and warns. Whoever listens can
      guess the password from it.
    - `clear_on_loopback`: a reason in words; allows signing in without TLS to a server on this
      computer, and warns. For development servers.
    - `initial_response`: "prefer": on the command's line where the server takes one there (RFC
      4422, 4.3), which saves a round trip; where it refuses that line as malformed, once more
      without, by the same mechanism. "never": only when asked, for servers that offer it wrongly.
    """

    mechanisms: tuple[Any, ...] = DEFAULT
    iterations: tuple[int, int] = (4096, 1_000_000)
    seconds: float = 5.0
    saslprep: str = "require"
    apop_in_clear: str | None = None
    clear_on_loopback: str | None = None
    initial_response: str = "prefer"

    def _check(self) -> None:
        given: Any = self.mechanisms
        several = (given,) if isinstance(given, (str, type)) else tuple(given)
        for one in several:
            find_mechanism(one)
        if not several:
            raise PolicyError("mechanisms=(): nobody could sign in.", code="mechanisms")
        names = (one.upper() if isinstance(one, str) else one for one in several)
        self._set("mechanisms", tuple(names))
        self._set("iterations", _bounds(self.iterations))
        seconds: Any = self.seconds
        if not _is_time(seconds):
            raise PolicyError(f"AuthPolicy(seconds={self.seconds!r}): above 0.", code="auth")
        if self.saslprep not in ("require", "prefer"):
            raise PolicyError(
                f'AuthPolicy(saslprep={self.saslprep!r}): "require" or "prefer".', code="auth"
            )
        if self.initial_response not in ("prefer", "never"):
            raise PolicyError(
                f'AuthPolicy(initial_response={self.initial_response!r}): "prefer" or "never".',
                code="auth",
            )
        for name in ("apop_in_clear", "clear_on_loopback"):
            self._set(name, reason_of(getattr(self, name), name, code="auth"))


def _bounds(given: Any) -> tuple[int, int]:
    try:
        least, most = given
        if _LEAST_ITERATIONS <= int(least) <= int(most):
            return int(least), int(most)
    except (TypeError, ValueError):
        pass
    raise PolicyError(
        f"AuthPolicy(iterations={given!r}): two numbers, the least and the most; the least is "
        f"{_LEAST_ITERATIONS} or more (RFC 7677, 4).",
        code="auth",
    )


class Limits(Value, kw_only=True):
    """Bounds on what a server may take, for each connection. What goes over one closes it.

    Seconds (None: no bound): `connect`, until TCP and TLS are up, over all addresses of the name
    together; `read`, for a whole reply, and for all that is said while a connection is opened,
    taken together. Of a reply that brings mail, or may, each line has `read`, and each 1 KiB of a
    message; so have 16 KiB that are sent. The standard `timeout=` sets both. Octets: `line`,
    `literal` (IMAP, RFC 9051, 4.3), `reply`, a whole one; before a sign-in never more than 64 KiB.
    Numbers: `lines`, or untagged responses, of one command; in the greeting, and in what the
    classes ask before a sign-in by themselves, never more than 1,000. There is no bound on a whole
    connection.
    """

    connect: float | None = 30.0
    read: float | None = 60.0
    line: int = 1024 * 1024
    literal: int = 256 * 1024 * 1024
    reply: int = 1024 * 1024 * 1024
    lines: int = 1_000_000

    def _check(self) -> None:
        for name in ("connect", "read"):
            value: Any = getattr(self, name)
            if value is not None and not _is_time(value):
                raise PolicyError(
                    f"Limits({name}={value!r}): seconds above 0, or None for no limit.",
                    code="limits",
                )
        for name in ("line", "literal", "reply", "lines"):
            value = getattr(self, name)
            if isinstance(value, bool) or not (isinstance(value, int) and value > 0):
                raise PolicyError(f"Limits({name}={value!r}): a number above 0.", code="limits")

    def with_timeout(self, timeout: float | None) -> Limits:
        """These limits under the standard `timeout=` argument; None leaves them as they are."""
        if timeout is None:
            return self
        given: Any = timeout
        if isinstance(given, (int, float)) and given <= 0:
            raise ValueError("Non-blocking socket (timeout=0) is not supported")
        if not _is_time(given):
            raise PolicyError(
                f"timeout={given!r} is no time in seconds.",
                code="limits",
                hint="A number above 0; to wait for ever: limits=Limits(connect=None, read=None).",
            )
        return Limits(
            connect=timeout,
            read=timeout,
            line=self.line,
            literal=self.literal,
            reply=self.reply,
            lines=self.lines,
        )


def _is_time(seconds: Any) -> bool:
    """A number of seconds that a socket can wait: not infinity, nor what is no number."""
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    return is_number and 0 < seconds <= _LONGEST


def _require_hashable(trust: TrustStore) -> None:
    try:
        hash(trust)
    except TypeError:
        raise PolicyError(
            f"trust={trust!r} cannot be hashed, and policies are.",
            code="trust",
            hint="Give its class __eq__ and __hash__ by what it trusts, or leave both out.",
        ) from None


def _version(given: object) -> ssl.TLSVersion:
    text = str(given).upper().removeprefix("TLSV").removeprefix("TLS").strip()
    version = given if isinstance(given, ssl.TLSVersion) else _VERSIONS.get(text)
    if version is None or version not in _VERSIONS.values():
        raise PolicyError(
            f"minimum_version={given!r}: the least is TLS 1.2 (RFC 8996 retired TLS 1.0 and 1.1).",
            code="minimum-version",
            hint='Write minimum_version="1.2" or "1.3".',
        )
    return version


def _pins(given: Pin | str | Iterable[Pin | str] | None) -> tuple[Pin, ...]:
    several = (given,) if isinstance(given, (Pin, str)) else tuple(given or ())
    if not several and given is not None and given != ():
        raise _empty("pins")
    return tuple(pin if isinstance(pin, Pin) else Pin(pin) for pin in several)


def _empty(name: str) -> PolicyError:
    return PolicyError(
        f"{name}= is empty, so nothing would be checked by it.",
        code="policy",
        hint=f"Leave {name} out where none is meant; else look why nothing was found.",
    )


def _say(version: ssl.TLSVersion) -> str:
    return "TLS 1.3" if version == ssl.TLSVersion.TLSv1_3 else "TLS 1.2"


def _ciphers(legacy: str | None) -> str:
    if legacy is None:
        return "forward secrecy and AEAD only (RFC 9325)"
    return f"also suites without forward secrecy, because: {legacy}"
