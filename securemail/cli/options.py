"""The options that the commands share: where to connect, and whom to believe."""

from __future__ import annotations

import argparse
import math

from ..client_certificate import ClientCertificate
from ..hosts import Host, split_port
from ..pins import Pin
from ..policy import Limits, TLSPolicy
from ..policy_file import ServerSettings, settings_for
from ..trust.base import TrustStore, describe
from ..trust.ca import CATrust
from ..trust.exact import ExactCertificate
from ..trust.first_use import FirstUseTrust
from ..trust.system import SystemTrust
from .visit import PROTOCOLS, Place

# port: (protocol, whether by STARTTLS)
_BY_PORT = {
    protocol.way(starttls).port: (name, starttls)
    for name, protocol in PROTOCOLS.items()
    for starttls in (False, True)
}


class WrongUsage(Exception):
    """The command line makes no sense; the text says why."""


def add_place(parser: argparse.ArgumentParser, otherwise: str = "all three") -> None:
    """Which protocols, which port. `otherwise`: what is meant where none is named."""
    group = parser.add_argument_group(
        "where",
        f"With none of --imap, --pop3 and --smtp: {otherwise}. On 993, 995 and 465 TLS is spoken "
        "from the first byte; on 143, 110 and 587 it begins by STARTTLS, also without --starttls.",
    )
    for name, protocol in PROTOCOLS.items():
        group.add_argument(
            f"--{name}",
            action="append_const",
            dest="protocols",
            const=name,
            help=f"{protocol.tls.name} over TLS (port {protocol.tls.port}; with --starttls "
            f"{protocol.starttls.port})",
        )
    group.add_argument(
        "--starttls",
        action="store_true",
        help="begin in clear and upgrade to TLS (POP3: STLS), or be refused",
    )
    group.add_argument(
        "--port", type=int, metavar="N", help="another port, together with one protocol"
    )
    group.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="for connecting, and for each answer (30 and 60 where not given)",
    )


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Whom to believe, as TLSPolicy takes it."""
    group = parser.add_argument_group(
        "whom to believe",
        "With none of these: as the file named by SECUREMAIL_POLICY says, or, where that is not "
        "set, the operating system's certificate authorities.",
    )
    trust = group.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca", metavar="FILE", help="also these certificate authorities: a PEM file or a directory"
    )
    trust.add_argument(
        "--certificate", metavar="FILE", help="exactly the server's certificate in this PEM file"
    )
    trust.add_argument(
        "--pin",
        metavar="PIN",
        help="exactly this key (sha256/...), or the certificate with this SHA-256 fingerprint "
        "(AB:CD:...)",
    )
    trust.add_argument(
        "--known",
        metavar="FILE",
        help="the servers in this file, which `securemail known` keeps",
    )
    group.add_argument("--only-ca", action="store_true", help="with --ca: these authorities only")
    group.add_argument(
        "--also-pin",
        action="append",
        default=[],
        metavar="PIN",
        help="and this pin must fit as well (several: one of them)",
    )
    group.add_argument(
        "--crl",
        action="append",
        default=[],
        metavar="FILE",
        help="refuse a certificate that this revocation list names, or knows nothing of (several)",
    )
    group.add_argument(
        "--client-certificate",
        metavar="FILE",
        help="offer this certificate of your own, with its key in the same file",
    )
    group.add_argument("--client-key", metavar="FILE", help="or with its key in this one")
    group.add_argument(
        "--server-hostname",
        metavar="NAME",
        help="the certificate must be for NAME instead of HOST",
    )
    group.add_argument("--minimum-version", choices=("1.2", "1.3"), help="of TLS (1.2)")
    group.add_argument(
        "--no-strict-x509",
        action="store_true",
        help="tolerate private CAs that RFC 5280 does not allow",
    )
    group.add_argument(
        "--legacy-ciphers",
        metavar="REASON",
        help="also cipher suites without forward secrecy, and why",
    )


def places(args: argparse.Namespace) -> list[Place]:
    """Where to connect. Raises `WrongUsage`, and `PolicyError` for what is not a host or port."""
    text, port = split_port(args.host)
    if port is not None and args.port is not None:
        raise WrongUsage(f"two ports: {args.host} and --port {args.port}")
    port = args.port if port is None else port
    host = Host.parse(text).address
    wanted = list(dict.fromkeys(args.protocols or ()))
    if port is None:
        return [_usual(name, host, args.starttls) for name in wanted or PROTOCOLS]
    if not 0 < port < 65536:
        raise WrongUsage(f"port {port} is not from 1 to 65535")
    usual, starttls = _BY_PORT.get(port, (None, False))
    names = wanted or ([usual] if usual else [])
    if len(names) != 1:
        raise WrongUsage(f"which protocol on port {port}? Give one of --imap, --pop3, --smtp")
    if args.starttls and usual and not starttls:
        raise WrongUsage(f"on port {port} TLS is spoken from the first byte: not with --starttls")
    starttls = args.starttls or (starttls and names == [usual])
    return [Place(protocol=names[0], host=host, port=port, starttls=starttls)]


def _usual(name: str, host: str, starttls: bool) -> Place:
    port = PROTOCOLS[name].way(starttls).port
    return Place(protocol=name, host=host, port=port, starttls=starttls)


def settings(args: argparse.Namespace, places: list[Place]) -> dict[Place, ServerSettings]:
    """What holds for each place: the options, or where none is given the policy file.

    Raises `WrongUsage`, `PolicyError`.
    """
    if not _is_given(args):
        in_file = {place: settings_for(Host.parse(place.host), place.port) for place in places}
        found = {place: one for place, one in in_file.items() if one is not None}
        if found:
            return found
    given = ServerSettings(policy=_policy(args), server_hostname=args.server_hostname)
    return dict.fromkeys(places, given)


def _is_given(args: argparse.Namespace) -> bool:
    """Whether there is any option of `add_policy`."""
    alone = argparse.ArgumentParser(add_help=False)
    add_policy(alone)
    return any(getattr(args, name) != value for name, value in vars(alone.parse_args([])).items())


def _policy(args: argparse.Namespace) -> TLSPolicy:
    return TLSPolicy(
        trust=_trust(args),
        pins=tuple(parse_pin(text) for text in args.also_pin),
        minimum_version=args.minimum_version or TLSPolicy.minimum_version,
        strict_x509=not args.no_strict_x509,
        legacy_ciphers=args.legacy_ciphers,
        client_certificate=_own(args),
        crls=tuple(args.crl),
    )


def _own(args: argparse.Namespace) -> ClientCertificate | None:
    if args.client_certificate is None:
        if args.client_key is not None:
            raise WrongUsage("--client-key goes together with --client-certificate FILE")
        return None
    return ClientCertificate(args.client_certificate, args.client_key)


def limits(args: argparse.Namespace) -> Limits:
    return Limits().with_timeout(args.timeout)


def summary(settings: ServerSettings) -> str:
    """The policy in a sentence."""
    policy, other_name = settings.policy, settings.server_hostname
    source = f" ({settings.source})" if settings.source else ""
    named = f"for the name {other_name!r}" if other_name else "for the name asked for"
    names = named if policy._context().check_hostname else "whatever its name"
    pins = f", with the pin {' or '.join(map(str, policy.pins))}" if policy.pins else ""
    version = "TLS 1.3" if policy.minimum_version.name == "TLSv1_3" else "TLS 1.2 or newer"
    extra = "" if policy.strict_x509 else "; old private CAs tolerated"
    extra += "; old cipher suites allowed" if policy.legacy_ciphers else ""
    believes = f"believes {describe(policy.trust)}, {names}{pins}, over {version}{extra}"
    return f"Policy: {believes}{source}."


def _trust(args: argparse.Namespace) -> TrustStore:
    if args.only_ca and args.ca is None:
        raise WrongUsage("--only-ca goes together with --ca FILE")
    if args.certificate is not None:
        return ExactCertificate(args.certificate)
    if args.pin is not None:
        return ExactCertificate(pin=parse_pin(args.pin))
    if args.known is not None:
        return FirstUseTrust(args.known)
    if args.ca is not None:
        return CATrust(args.ca) if args.only_ca else SystemTrust() | CATrust(args.ca)
    return SystemTrust()


def parse_pin(text: str) -> Pin:
    """A pin, or a fingerprint as `openssl x509 -fingerprint -sha256` prints it."""
    _, _, value = text.rpartition("=") if "ingerprint=" in text else ("", "", text)
    is_digits = all(c in "0123456789abcdefABCDEF: " for c in value)
    return Pin.certificate(value) if value and is_digits else Pin(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and 0 < seconds <= 86_400):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
