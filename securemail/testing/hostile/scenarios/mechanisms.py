"""Which way of signing in: the weakest that both know is the attacker's choice.

RFC 4422 6.1.2: a client decides what it accepts, and not the list that it is shown. Whoever
declines a proof may be asking for the password; smtplib gives it.
"""

from __future__ import annotations

from ..scenario import Scenario
from ..steps import Say

FAMILY = "mechanisms"
DECLINED = Say(
    b"%t NO [AUTHENTICATIONFAILED] declined\r\n",
    b"-ERR [AUTH] declined\r\n",
    b"535 5.7.8 declined\r\n",
)

SCENARIOS = (
    Scenario(
        name="downgrade-after-scram",
        family=FAMILY,
        says="the proof by SCRAM-SHA-256 is declined, whatever it is; PLAIN is offered beside it",
        mechanisms=("SCRAM-SHA-256", "PLAIN"),
        at={"answer": (DECLINED,), "challenge": (DECLINED,)},
    ),
    Scenario(
        name="downgrade-after-cram",
        family=FAMILY,
        says="CRAM-MD5 is declined, whatever comes; PLAIN and LOGIN are offered beside it",
        mechanisms=("CRAM-MD5", "PLAIN", "LOGIN"),
        at={"answer": (DECLINED,)},
    ),
)
