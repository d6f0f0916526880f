"""Print a server's certificate and its pins, and how to compare them.

From the server itself, which is verified as `securemail check` does; or from a PEM file: a name
with a slash in it, or one that ends in .pem, .crt, .cer, .cert or .der.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from .. import pem
from ..errors import PolicyError
from ..policy import TLSPolicy
from ..policy_file import ServerSettings
from ..reasons import Expired, NotYetValid, WeakKey, WrongKeyUsage, WrongPurpose
from ..trust.base import CAStore
from ..trust.exact import ExactCertificate
from ..trust.system import SystemTrust
from . import options, status
from .check import certificate_as_dict
from .facts import Facts, read_facts
from .refusal import error_as_dict, say_error
from .terminal import say, say_code, say_json, say_rows
from .visit import Outcome, Place, visit

_FILE_ENDINGS = (".pem", ".crt", ".cer", ".cert", ".der")
_STILL = (Expired, NotYetValid, WeakKey, WrongPurpose, WrongKeyUsage)  # an exact pin is no help


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "host", metavar="HOST|FILE", help="the server (also HOST:PORT), or a certificate's file"
    )
    options.add_place(parser)
    options.add_policy(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    if os.sep in args.host or args.host.lower().endswith(_FILE_ENDINGS):
        return _file(args)
    settings, limits = options.settings(args, options.places(args)), options.limits(args)
    outcomes = [visit(place, wanted, limits) for place, wanted in settings.items()]
    result = status.worst(outcome.status for outcome in outcomes)
    if args.json:
        say_json({"results": [_as_dict(outcome) for outcome in outcomes], "status": result})
    else:
        for position, together in enumerate(_by_certificate(outcomes, settings)):
            if position:
                say()
            _say_found(together, settings[together[0].place])
    return result


def _file(args: argparse.Namespace) -> int:
    if args.protocols or args.starttls or args.port is not None:
        raise options.WrongUsage(f"{args.host} is taken for a file: it has no protocol and no port")
    facts = _read_file(args.host)
    if args.json:
        result = {"file": args.host, "certificate": facts.as_dict(), "status": status.FINE}
        say_json(result)
        return status.FINE
    say(f"The certificate in {args.host}")
    say_rows(facts.lines())
    _say_pins(facts, args.host)
    say("Whether this is the right certificate depends on how the file came here.")
    if _is_for_a_server(args.host):
        say("If it did by a way that you trust, this is all that is needed:")
        say_code(f"TLSPolicy(trust=ExactCertificate({_quoted(args.host)}))")
        say("or by the key alone, which also fits after a renewal under the same key:")
        say_code(f'TLSPolicy(trust=ExactCertificate(pin="{facts.key_pin}"))')
    if facts.ca:
        say("It is a certificate authority's. To believe the servers that it vouches for:")
        say_code(f"TLSPolicy(trust=SystemTrust() | CATrust({_quoted(args.host)}))")
    return status.FINE


def _read_file(path: str) -> Facts:
    try:
        return read_facts(pem.one_certificate(path))
    except PolicyError:
        raise
    except ValueError as error:
        raise PolicyError(f"the certificate in {path!r} is malformed: {error}.") from error


def _is_for_a_server(path: str) -> bool:
    try:
        ExactCertificate(path)
    except PolicyError:
        return False
    return True


def _quoted(path: str) -> str:
    """As Python and people write it."""
    return json.dumps(path, ensure_ascii=False)


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "protocol": outcome.place.protocol,
        "host": outcome.place.host,
        "port": outcome.place.port,
        "mode": outcome.place.mode,
        "result": status.NAMES[outcome.status],
        "certificate": certificate_as_dict(outcome),
        "error": error_as_dict(outcome.error) if outcome.error else None,
    }


def _by_certificate(
    outcomes: list[Outcome], settings: dict[Place, ServerSettings]
) -> list[list[Outcome]]:
    """Servers that showed the same certificate, with the same verdict by the same policy, are one
    finding."""
    found: dict[object, list[Outcome]] = {}
    for outcome in outcomes:
        place = outcome.place
        alike = (
            (outcome.chain[0], outcome.error is None, settings[place]) if outcome.chain else place
        )
        found.setdefault(alike, []).append(outcome)
    return list(found.values())


def _say_found(together: list[Outcome], settings: ServerSettings) -> None:
    outcome = together[0]
    say(", ".join(str(one.place) for one in together))
    if settings.source:
        say(options.summary(settings), "  ")
    if not outcome.chain:
        assert outcome.error is not None
        say("No certificate was seen.", "  ")
        say_error(outcome.error)
        return
    try:
        facts = read_facts(outcome.chain[0])
    except ValueError as error:
        say(f"The certificate cannot be read: {error}", "  ")
        return
    if outcome.error is None:
        _say_verified(outcome, facts, settings.policy)
    else:
        _say_refused(outcome, facts)


def _say_verified(outcome: Outcome, facts: Facts, policy: TLSPolicy) -> None:
    assert outcome.report is not None
    assert outcome.report.tls is not None
    say(f"Verified. Trusted by: {outcome.report.tls.trusted_by}", "  ")
    for warning in outcome.warnings:
        say(f"Warning: {warning}", "  ")
    say_rows(facts.lines())
    _say_pins(facts)
    _say_compare(facts)
    if isinstance(policy.trust, CAStore):
        as_now = "" if policy.trust == SystemTrust() else "trust=..., "
        say("Then, to believe this key only, beside everything else that is checked now:")
        say_code(f'TLSPolicy({as_now}pins="{facts.key_pin}")')
    say("To believe this key alone, whatever the name and whoever issued the certificate:")
    say_code(f'TLSPolicy(trust=ExactCertificate(pin="{facts.key_pin}"))')


def _say_refused(outcome: Outcome, facts: Facts) -> None:
    assert outcome.error is not None
    say("NOT VERIFIED: anybody between you and the server could have shown this certificate.", "  ")
    say_rows(facts.lines())
    say()
    # The advice for a self-signed certificate is what follows here anyway.
    say_error(outcome.error, advise=outcome.error.code != "self-signed")
    _say_pins(facts)
    _say_compare(facts)
    say("Only if they are equal, to believe exactly this server:")
    say_code(f'TLSPolicy(trust=ExactCertificate(pin="{facts.key_pin}"))')
    say("and to try that:")
    say_code(f"securemail check {outcome.place.arguments} --pin {facts.key_pin}")
    if still := [str(reason) for reason in outcome.error.reasons if isinstance(reason, _STILL)]:
        say(f"Even by its pin it stays refused, because it {', and '.join(still)}.")


def _say_pins(facts: Facts, file: str | None = None) -> None:
    say()
    say("Its pins, in every spelling. Of its key, which a renewal may keep:")
    say_code(f'Pin("{facts.key_pin}")')
    if file is not None:
        say_code(f"Pin.from_pem({_quoted(file)})")
    say("Of this one certificate, until it is renewed:")
    say_code(f'Pin.certificate("{facts.fingerprint}")')
    say()


def _say_compare(facts: Facts) -> None:
    say(
        "Before you use one, compare it by another way than this connection. On the server "
        "itself, or with its administrator on the telephone, this command"
    )
    say_code("openssl x509 -in server.pem -noout -fingerprint -sha256")
    say("must show")
    say_code(facts.fingerprint)
