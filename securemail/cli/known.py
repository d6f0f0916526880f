"""List, learn and remove the servers that are known by a file.

The file is that of FirstUseTrust(FILE), of trust = { known = "FILE" } in a policy file, and of
check --known FILE. A server is learned after its fingerprint was compared by another way than the
connection that shows it. No user name and no password is sent.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..errors import CertificateRejected, TimeLimitExceeded, UnknownServer
from ..hosts import Host, split_port
from ..pins import Pin
from ..policy import TLSPolicy
from ..policy_file import ServerSettings
from ..trust.first_use import FirstUseTrust
from ..trust.known_servers import KnownServer
from . import options, status
from .facts import fact_rows
from .refusal import say_error
from .terminal import say, say_code, say_json, say_rows
from .visit import PROTOCOLS, Outcome, Place, visit

_WHY = "securemail known: the owner of the file was asked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for run_verb, summary in _VERBS.items():
        name = run_verb.__name__.strip("_")
        verb = verbs.add_parser(name, help=summary, description=f"{summary}.", allow_abbrev=False)
        verb.add_argument("file", metavar="FILE", help="of known servers; need not exist yet")
        verb.set_defaults(run_verb=run_verb)
        if name != "list":
            verb.add_argument("host", metavar="HOST", help="the server; also HOST:PORT")
            options.add_place(verb, _OTHERWISE.get(name, "all that are known"))
        if name in ("list", "show"):
            verb.add_argument("--json", action="store_true", help="for programs")
        _ADDITIONAL.get(name, lambda _: None)(verb)


def run(args: argparse.Namespace) -> int:
    try:
        result: int = args.run_verb(args, FirstUseTrust(args.file, acknowledge=_WHY))
    except TimeLimitExceeded as error:  # of the file's lock
        say_error(error)
        return status.UNREACHABLE
    return result


# -- what is in the file


def _list(args: argparse.Namespace, store: FirstUseTrust) -> int:
    _say_servers(store.known(), args)
    return status.FINE


def _show(args: argparse.Namespace, store: FirstUseTrust) -> int:
    found = _chosen(args, store)
    _say_servers(found, args)
    return status.FINE if found else status.REFUSED


def _remove(args: argparse.Namespace, store: FirstUseTrust) -> int:
    pin = None if args.pin is None else Pin(args.pin)
    gone = [one for one in _chosen(args, store) if pin is None or one.pin == str(pin)]
    for endpoint in dict.fromkeys(one.endpoint for one in gone):
        for one in store.remove(endpoint, pin):
            say("Removed:")
            say_code(str(one))
    if not gone:
        say("Nothing was removed: no such server, or no such key, is known.")
    return status.FINE if gone else status.REFUSED


def _chosen(args: argparse.Namespace, store: FirstUseTrust) -> list[KnownServer]:
    """Those of this host; where protocols or a port are named, those alone."""
    text, port = split_port(args.host)
    if port is not None and args.port is not None:
        raise options.WrongUsage(f"two ports: {args.host} and --port {args.port}")
    port = args.port if port is None else port
    host = Host.parse(text).name
    upgraded = {PROTOCOLS[name].starttls.port for name in PROTOCOLS}
    return [
        one
        for one in store.known()
        if one.endpoint[1] == host
        and (not args.protocols or one.endpoint[0] in args.protocols)
        and (port is None or one.endpoint[2] == port)
        and (port is not None or not args.starttls or one.endpoint[2] in upgraded)
    ]


def _say_servers(servers: Any, args: argparse.Namespace) -> None:
    if args.json:
        say_json({"file": args.file, "servers": [_as_dict(one) for one in servers]})
        return
    for one in servers:
        say_code(str(one))
    if not servers:
        say("No such server is known." if args.verb == "show" else "No server is known.")


def _as_dict(one: KnownServer) -> dict[str, Any]:
    protocol, host, port = one.endpoint
    return {
        "protocol": protocol,
        "host": host,
        "port": port,
        "pin": one.pin,
        "fingerprint": one.fingerprint,
        "learned": one.learned.isoformat(),
    }


# -- what comes into it


def _expect(args: argparse.Namespace, store: FirstUseTrust) -> int:
    for place in _places(args):
        entered = store.expect((place.protocol, Host.parse(place.host).name, place.port), args.pin)
        say("Known now:")
        say_code(str(entered))
    return status.FINE


def _learn(args: argparse.Namespace, store: FirstUseTrust) -> int:
    compared = _compared(args)
    if compared is None and not sys.stdin.isatty():
        raise options.WrongUsage(
            "without a terminal to ask on, it needs --fingerprint AB:CD:... or --pin sha256/..., "
            "as its administrator says it, got by another way than this connection"
        )
    wanted = ServerSettings(policy=TLSPolicy(trust=store), server_hostname=args.server_hostname)
    return status.worst(
        _learn_one(visit(place, wanted, options.limits(args)), store, compared)
        for place in _places(args)
    )


def _learn_one(outcome: Outcome, store: FirstUseTrust, compared: Pin | None) -> int:
    unknown = outcome.error
    say(f"{outcome.place}")
    if unknown is None:
        assert outcome.report is not None
        assert outcome.report.tls is not None
        say(f"Nothing to learn: {outcome.report.tls.trusted_by}.", "  ")
        return status.FINE
    if not isinstance(unknown, UnknownServer):
        if isinstance(unknown, CertificateRejected) and unknown.chain:
            say_rows(fact_rows(unknown.chain[0]))
        say_error(unknown)
        return outcome.status
    _say_unknown(unknown)
    if not (_asked() if compared is None else _fits(compared, unknown)):
        say("Nothing was learned.")
        return status.REFUSED
    learned = store.learn(unknown, unknown.fingerprint)  # compared, just above
    say("Known now:")
    say_code(str(learned))
    return status.FINE


def _say_unknown(unknown: UnknownServer) -> None:
    say("NOT VERIFIED: anybody between you and the server could have shown this certificate.", "  ")
    say_rows([*fact_rows(unknown.chain[0]), ("key pin", unknown.pin)])
    say()
    say(
        "Compare it by another way than this connection. On the server itself, or with its "
        "administrator on the telephone, this command"
    )
    say_code("openssl x509 -in server.pem -noout -fingerprint -sha256")
    say("must show")
    say_code(unknown.fingerprint)


def _asked() -> bool:
    """On "yes" alone; the end of the input is no."""
    say("Is it the same? yes/no")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() == "yes"


def _fits(compared: Pin, unknown: UnknownServer) -> bool:
    fits = compared.matches(unknown.chain[0])
    if not fits:
        say(
            f"It is not the one that was given, {compared}: somebody is intercepting the "
            "connection, or what was given is another server's."
        )
    return fits


def _compared(args: argparse.Namespace) -> Pin | None:
    given = args.fingerprint or args.pin
    return None if given is None else options.parse_pin(given)


def _places(args: argparse.Namespace) -> list[Place]:
    """What is learned is named: not every protocol that a server could have."""
    found = options.places(args)
    if len(found) > 1 and not args.protocols:
        raise options.WrongUsage("which server? Give --imap, --pop3 or --smtp, or HOST:PORT")
    return found


def _add_compared(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--server-hostname", metavar="NAME", help="the server is known as NAME instead of HOST"
    )
    group = verb.add_argument_group(
        "instead of asking", "As the server's administrator says it, got by another way."
    ).add_mutually_exclusive_group()
    group.add_argument("--fingerprint", metavar="AB:CD:...", help="of its certificate, SHA-256")
    group.add_argument("--pin", metavar="sha256/...", help="of its key")


def _add_pin(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--pin", metavar="sha256/...", help="this key alone")


def _add_expected(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pin", metavar="PIN", help="of the key that will come, sha256/...")


_VERBS = {
    _list: "Print all keys in the file",
    _show: "Print the keys of one server",
    _learn: "Connect, show the fingerprint, ask, and learn the key",
    _expect: "Enter a key by hand: the first one, or the next one beforehand",
    _remove: "Forget a server, or one of its keys",
}
_OTHERWISE: dict[str, str] = {
    "learn": "what is usual on the port of HOST:PORT",
    "expect": "what is usual on the port of HOST:PORT",
}
_ADDITIONAL = {"learn": _add_compared, "expect": _add_expected, "remove": _add_pin}
