"""Connect to a mail server and report what was found.

No user name and no password is sent.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..errors import CertificateRejected
from ..policy import Limits
from ..policy_file import ServerSettings
from ..sasl.choose import APOP, Offer
from . import options, status
from .facts import fact_rows, read_facts
from .other_way import other_way
from .refusal import error_as_dict, option_for, say_error
from .suggest import refused_of, suggestion_for
from .suggest.screen import say_stricter, say_suggestion
from .suggest.stricter import NOTHING, answers
from .terminal import say, say_json, say_rows
from .visit import Outcome, visit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="the server; also HOST:PORT or [IPV6]:PORT")
    options.add_place(parser)
    options.add_policy(parser)
    parser.add_argument(
        "--suggest",
        action="store_true",
        help="for a server that is refused, what would accept it; for another, whether stricter "
        "policies would",
    )
    parser.add_argument(
        "--transcript",
        metavar="FILE",
        help="append the dialogue to this file, fit to be shown to others",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--verbose", action="store_true", help="say what the policy stands for")


def run(args: argparse.Namespace) -> int:
    settings, limits = options.settings(args, options.places(args)), options.limits(args)
    if not args.json:
        _say_policies(settings.values(), args)
    outcomes, suggested = [], []
    for place, wanted in settings.items():
        outcomes.append(visit(place, wanted, limits, args.transcript))
        if not args.json:
            say_outcome(outcomes[-1])
        if args.suggest:
            suggested.append(_suggest(outcomes[-1], wanted, limits, aloud=not args.json))
        sys.stdout.flush()
    result = status.worst(outcome.status for outcome in outcomes)
    if args.json:
        _say_json(outcomes, list(settings.values()), suggested, result)
    elif len(outcomes) > 1:
        _say_total(outcomes, result)
    return result


def say_outcome(outcome: Outcome) -> None:
    """One result, for people."""
    say()
    say(f"{outcome.place}: {status.NAMES[outcome.status].upper()}")
    if outcome.report is not None:
        say_rows(_rows(outcome))
    if outcome.error is not None:
        say_error(outcome.error)
        _say_next(outcome)


def _suggest(
    outcome: Outcome, wanted: ServerSettings, limits: Limits, *, aloud: bool
) -> dict[str, Any]:
    """For people where `aloud`; for programs what is returned."""
    if outcome.error is None:
        found = answers(outcome, wanted, limits)
        if aloud:
            say_stricter(found)
        return {"none": NOTHING, "stricter": [answer.as_dict() for answer in found]}
    refused = refused_of(outcome, wanted)
    suggestion = suggestion_for(refused)
    if aloud:
        say_suggestion(refused, suggestion)
    return suggestion.as_dict()


def outcome_as_dict(outcome: Outcome) -> dict[str, Any]:
    """One result, for programs."""
    return {
        "protocol": outcome.place.protocol,
        "host": outcome.place.host,
        "port": outcome.place.port,
        "mode": outcome.place.mode,
        "result": status.NAMES[outcome.status],
        "report": outcome.report.as_dict() if outcome.report else None,
        "certificate": certificate_as_dict(outcome),
        "offers": _offer_as_dict(outcome.offer) if outcome.offer else None,
        "login": outcome.login,
        "error": error_as_dict(outcome.error) if outcome.error else None,
    }


def certificate_as_dict(outcome: Outcome) -> dict[str, Any] | None:
    """The facts of the server's certificate, for programs; None where none was seen or read."""
    if not outcome.chain:
        return None
    try:
        facts = read_facts(outcome.chain[0])
    except ValueError:
        return None
    return {"verified": outcome.error is None, **facts.as_dict()}


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    """The report's, with what the certificate says after the certificate's own."""
    assert outcome.report is not None
    rows: list[tuple[str, str]] = []
    for label, text in outcome.report.lines():
        if label == "sign-in" and outcome.offer is not None:
            rows.append(("sign-in", _say_offer(outcome.offer, outcome.login)))
            continue
        rows.append((label, text))
        if label == "certificate":
            rows += fact_rows(outcome.chain[0])
    return rows


def _say_offer(offer: Offer, login: str | None) -> str:
    ways = [*offer.mechanisms, *(f"the {command} command" for command in offer.commands)]
    offered = f"offered: {', '.join(ways)}" if ways else "not offered"
    why_not = "".join(f"; {why}" for command, why in offer.notes if command != APOP)
    would = f"login(user, password) would go by {login}" if login else "a password has no way in"
    return f"{offered}{why_not}; {would}. Nothing was sent."


def _offer_as_dict(offer: Offer) -> dict[str, Any]:
    return {"mechanisms": list(offer.mechanisms), "commands": list(offer.commands)}


def _say_policies(settings: Iterable[ServerSettings], args: argparse.Namespace) -> None:
    """Each once: a policy file may say different things of different ports."""
    for wanted in dict.fromkeys(settings):
        if args.verbose:
            say("The policy:")
            say_rows(_policy_as_dict(wanted).items())
        else:
            say(options.summary(wanted))


def _policy_as_dict(settings: ServerSettings) -> dict[str, str]:
    rows = (line.partition(":") for line in settings.policy.describe().splitlines())
    source = {"source": settings.source} if settings.source else {}
    return source | {label: text.strip() for label, _, text in rows}


def _say_json(
    outcomes: list[Outcome],
    settings: list[ServerSettings],
    suggested: list[dict[str, Any]],
    result: int,
) -> None:
    """`policy` is that of all results; null where a policy file has several, which they name."""
    policies = [_policy_as_dict(wanted) for wanted in settings]
    shared = policies[0] if policies.count(policies[0]) == len(policies) else None
    results = [
        outcome_as_dict(outcome) | {"policy": policy}
        for outcome, policy in zip(outcomes, policies, strict=True)
    ]
    for found, suggestion in zip(results, suggested, strict=False):  # none without --suggest
        found["suggestion"] = suggestion
    say_json({"policy": shared, "results": results, "status": result})


def _say_next(outcome: Outcome) -> None:
    assert outcome.error is not None
    if option := option_for(outcome.error):
        say(f"As an option of this command: {option}.", "  ")
    if isinstance(outcome.error, CertificateRejected) and outcome.chain:
        say(f"To see the certificate: securemail pin {outcome.place.arguments}", "  ")
    if (other := other_way(outcome.place, outcome.error.code)) is not None:
        how = "with STARTTLS" if other.starttls else "with TLS from the first byte"
        say(f"To try it {how}: securemail check {other.arguments}", "  ")


def _say_total(outcomes: list[Outcome], result: int) -> None:
    counted = Counter(status.NAMES[outcome.status] for outcome in outcomes)
    say()
    say(f"Together: {', '.join(f'{n} {name}' for name, n in counted.items())}.")
    if result == status.UNREACHABLE and counted["unreachable"] < len(outcomes):
        say("A protocol that the server does not have can be left out: name the others.")
