"""Whether a server that is accepted would be accepted under stricter policies too.

Each question is a second connection, verified as ever, without credentials; only what the policy
is laxer in is asked.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

from ...certificate import Certificate
from ...errors import PolicyError
from ...policy import Limits, TLSPolicy
from ...policy_file import ServerSettings
from ...trust.exact import ExactCertificate
from ...values import Value
from .. import status
from ..visit import Outcome, visit

NOTHING = "Nothing to suggest: it is accepted."
_SOON, _NOW = 30, 14  # days before the end of a certificate


class Answer(Value):
    """`works` is None where nobody can tell."""

    question: str
    works: bool | None
    text: str

    def as_dict(self) -> dict[str, Any]:
        return {"question": self.question, "works": self.works, "text": self.text}


def answers(outcome: Outcome, settings: ServerSettings, limits: Limits) -> tuple[Answer, ...]:
    """Connects once for each policy that is stricter than the one of `settings`."""
    asked = [
        _ask(question, outcome, settings, changes, limits)
        for question, changes in _stricter(settings.policy).items()
    ]
    return (*asked, _days_left(outcome, datetime.now(UTC)))


def _stricter(policy: TLSPolicy) -> dict[str, dict[str, Any]]:
    """By question: the fields of the policy that it changes."""
    found: dict[str, dict[str, Any]] = {}
    if policy.minimum_version != ssl.TLSVersion.TLSv1_3:
        found["TLS 1.3 only"] = {"minimum_version": "1.3"}
    if not policy.strict_x509:
        found["Strict X.509"] = {"strict_x509": True}
    if policy.legacy_ciphers is not None:
        found["Without old cipher suites"] = {"legacy_ciphers": None}
    if isinstance(policy.trust, ExactCertificate) and policy.trust.waive:
        found["Without its waivers"] = {"waive": ()}  # of its trust
    return found


def _ask(
    question: str,
    outcome: Outcome,
    settings: ServerSettings,
    changes: dict[str, Any],
    limits: Limits,
) -> Answer:
    try:
        found = visit(outcome.place, _with(settings, changes), limits)
    except PolicyError as error:  # a certificate that is not even read without its waiver
        return Answer(question, False, f"no: {error.message}")
    if found.error is None:
        return Answer(question, True, "yes, it would be accepted")
    if found.status == status.UNREACHABLE:
        return Answer(question, None, f"could not be asked: {found.error.message.rstrip()}")
    return Answer(question, False, f"no: {found.error.message.rstrip()}")


def _with(settings: ServerSettings, changes: dict[str, Any]) -> ServerSettings:
    policy = settings.policy
    if "waive" in changes:
        changes = {"trust": ExactCertificate(**_fields(policy.trust) | changes)}
    stricter = TLSPolicy(**_fields(policy) | changes)
    return ServerSettings(**{**_fields(settings), "policy": stricter})


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value._fields}


def _days_left(outcome: Outcome, now: datetime) -> Answer:
    """Of the server's own certificate."""
    try:
        ends = Certificate(outcome.chain[0]).not_after
    except ValueError:
        return Answer("Days left", None, "unknown: the certificate's end cannot be read")
    days = (ends - now).days
    said = f"{days} day{'s' * (days != 1)}, until {ends:%Y-%m-%d}"
    if days <= _NOW:
        return Answer("Days left", False, f"{said}: RENEW NOW")
    if days <= _SOON:
        return Answer("Days left", False, f"{said}: to be renewed soon")
    return Answer("Days left", True, said)
