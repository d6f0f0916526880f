"""Servers that cannot prove that they know the password, and say that all is well (RFC 5802 5).

The server's signature is what SCRAM has over PLAIN: a client that does not look at it, and goes on,
talks to anybody. Few iterations, or a nonce that is not the client's own with more behind it, make
guessing cheap.
"""

from __future__ import annotations

from ..scenario import Scenario, Scram
from ..steps import Say

FAMILY = "scram"
ONLY = ("SCRAM-SHA-256",)
SUCCESS = Say(b"%t OK signed in\r\n", b"+OK signed in\r\n", b"235 2.7.0 signed in\r\n")

SCENARIOS = (
    Scenario(
        name="scram-wrong-signature",
        family=FAMILY,
        says="the server's signature is wrong",
        mechanisms=ONLY,
        scram=Scram(signature="wrong"),
        may_get="proof",
        ends="proof",
    ),
    Scenario(
        name="scram-empty-signature",
        family=FAMILY,
        says="the server's signature is empty",
        mechanisms=ONLY,
        scram=Scram(signature="empty"),
        may_get="proof",
        ends="proof",
    ),
    Scenario(
        name="scram-no-signature",
        family=FAMILY,
        says="success without the server's signature",
        mechanisms=ONLY,
        scram=Scram(signature="missing"),
        may_get="proof",
        ends="proof",
    ),
    Scenario(
        name="scram-error-then-success",
        family=FAMILY,
        says="an error in the place of the signature, and then success",
        mechanisms=ONLY,
        scram=Scram(signature="error"),
        may_get="proof",
        ends="proof",
    ),
    Scenario(
        name="scram-early-success",
        family=FAMILY,
        says="success in the place of the challenge, before anybody has proved anything",
        mechanisms=ONLY,
        at={"challenge": (SUCCESS,)},
        may_get="nothing",
        ends="challenge",
    ),
    Scenario(
        name="success-at-once",
        family=FAMILY,
        says="success as the answer to the command, before the exchange has begun",
        mechanisms=ONLY,
        at={"sign-in": (SUCCESS,)},
        may_get="nothing",
        ends="sign-in",
    ),
    Scenario(
        name="scram-one-iteration",
        family=FAMILY,
        says="one iteration: the proof can be tried on as fast as a hash (RFC 7677 4 wants 4096)",
        mechanisms=ONLY,
        scram=Scram(iterations=1),
        may_get="nothing",
    ),
    Scenario(
        name="scram-no-iterations",
        family=FAMILY,
        says="no iterations at all",
        mechanisms=ONLY,
        scram=Scram(iterations=0),
        may_get="nothing",
    ),
    Scenario(
        name="scram-nonce-not-extended",
        family=FAMILY,
        says="the client's nonce comes back with nothing of the server's (RFC 5802 5.1)",
        mechanisms=ONLY,
        scram=Scram(nonce="the client's"),
        may_get="nothing",
    ),
    Scenario(
        name="scram-nonce-replaced",
        family=FAMILY,
        says="a nonce that does not begin with the client's (RFC 5802 5.1)",
        mechanisms=ONLY,
        scram=Scram(nonce="the server's"),
        may_get="nothing",
    ),
)
