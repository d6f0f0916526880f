#!/usr/bin/env python3
"""What signing in costs: SCRAM beside PLAIN, ours against another client, at Dovecot's IMAP.

    python benchmarks/sign_in.py [--rounds N] [--json]

Ours, its peer and our PLAIN strictly in turns, over TLS and with STARTTLS, each with a context that
is kept. Peers: the standard module for PLAIN, scramp over the standard module for SCRAM.
benchmarks/README.md says what the lines mean. The exit status is 1 where a wanted ratio was missed.
"""

import argparse
import contextlib
import imaplib
import json
import os
import ssl
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from connect import MANY_LOGINS, MANY_SESSIONS, TIMEOUT, milliseconds

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the servers that the tests start

from securemail import IMAP4_SSL, IMAP4_STARTTLS, AuthPolicy, CATrust, Password, TLSPolicy  # noqa: E402
from servers.dovecot import ALL_USERS, Dovecot, verifiers  # noqa: E402
from servers.exchanges import scram  # noqa: E402
from servers.pki import PKI  # noqa: E402
from servers.processes import ServerUnavailable, open_folder  # noqa: E402

SCRAM = "SCRAM-SHA-256"
WARM_UP = 2  # rounds that are not counted
MODES = ("TLS", "STARTTLS")
# How many iterations the server asks for, by user.
MANY = 100_000
PLAIN_USER, ITERATIONS = "alice", {"dave": 4_096, "carol": MANY}

KEPT = ", key kept"
WANTED_OF_A_KEPT_KEY = 0.25  # of MANY iterations

SignIn = Callable[[Any], object]


@dataclass(frozen=True)
class Times:
    """Of one session, in milliseconds: from connecting to the end, and of it the sign-in."""

    session: float
    sign_in: float


@dataclass(frozen=True)
class Line:
    """One line of the result: medians of milliseconds, and of the ratios and differences of each
    round. `above_plain`: how much longer the sign-in took than ours by PLAIN did."""

    mode: str
    way: str
    ours: Times
    peer: Times
    session_ratio: float
    session_quartiles: tuple[float, float]
    ratio: float
    quartiles: tuple[float, float]
    above_plain: float
    rounds: int

    @property
    def is_met(self) -> bool:
        """Of SCRAM: not slower, which is missed where three sign-ins in four are slower; and a key
        that is kept is worth it. PLAIN is there for information."""
        if self.way == "PLAIN":
            return True
        if self.way == f"SCRAM, {MANY:,}{KEPT}":
            return self.ratio <= WANTED_OF_A_KEPT_KEY
        return self.quartiles[0] <= 1


class Place:
    """The server, in one of the two modes, and how each side connects to it."""

    def __init__(self, dovecot: Dovecot, mode: str, ca: Path) -> None:
        # Not at `host`: there Dovecot takes a connection for private without STARTTLS.
        self._address = {
            "TLS": (dovecot.host, dovecot.ports["imaps"]),
            "STARTTLS": (dovecot.remote_host, dovecot.ports["imap"]),
        }[mode]
        self._mode = mode
        self._policy = TLSPolicy(trust=CATrust(ca))
        self._context = ssl.create_default_context(cafile=str(ca))

    def ours(self, mechanism: str) -> Any:
        cls = IMAP4_SSL if self._mode == "TLS" else IMAP4_STARTTLS
        wanted = AuthPolicy(mechanisms=(mechanism,))
        return cls(*self._address, policy=self._policy, auth=wanted, timeout=TIMEOUT)

    def peer(self) -> Any:
        if self._mode == "TLS":
            return imaplib.IMAP4_SSL(*self._address, ssl_context=self._context, timeout=TIMEOUT)
        client = imaplib.IMAP4(*self._address, timeout=TIMEOUT)
        client.starttls(self._context)
        return client


# -- one session


def session(connect: Callable[[], Any], sign_in: SignIn) -> Times:
    took: list[float] = []

    def whole() -> None:
        client = connect()
        took.append(milliseconds(lambda: sign_in(client)))
        _require(client.logout()[0] == "BYE", "sign-out")

    return Times(milliseconds(whole), took[0])


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise RuntimeError(f"the benchmark did not do what it measures: {what}")


def ours_by(mechanism: str, credentials: Callable[[], Password]) -> SignIn:
    def sign_in(client: Any) -> None:
        client.authenticate(credentials())
        _require(client.report.auth.mechanism == mechanism, mechanism)

    return sign_in


def plain_of_peer(client: Any) -> None:
    """By the LOGIN command, as scripts do: one round trip, as ours takes with SASL-IR."""
    client.login(PLAIN_USER, ALL_USERS[PLAIN_USER])


def scram_of_peer(user: str) -> SignIn:
    asked = f"i={ITERATIONS[user]}"

    def sign_in(client: Any) -> None:
        exchange, seen = scram(SCRAM, user, ALL_USERS[user]), []
        next(exchange)

        def answer(challenge: bytes) -> bytes:
            seen.append(challenge.decode())
            return exchange.send(challenge)

        client.authenticate(SCRAM, answer)
        _require(asked in seen[1].split(","), asked)

    return sign_in


# -- the ways


@dataclass(frozen=True)
class Way:
    """`name`: as the result has it. `user`: who signs in, both ways."""

    name: str
    user: str
    mechanism: str
    ours: SignIn
    peer: SignIn


def ways() -> Iterator[Way]:
    def given(user: str, **options: bool) -> Password:
        return Password(user, ALL_USERS[user], **options)

    plain = ours_by("PLAIN", lambda: given(PLAIN_USER))
    yield Way("PLAIN", PLAIN_USER, "PLAIN", plain, plain_of_peer)
    for user, count in ITERATIONS.items():
        fresh = ours_by(SCRAM, lambda user=user: given(user))  # type: ignore[misc]
        kept = given(user, keep_salted=True)
        again = ours_by(SCRAM, lambda kept=kept: kept)  # type: ignore[misc]
        yield Way(f"SCRAM, {count:,} iterations", user, SCRAM, fresh, scram_of_peer(user))
        yield Way(f"SCRAM, {count:,}{KEPT}", user, SCRAM, again, scram_of_peer(user))


def measure(place: Place, mode: str, way: Way, rounds: int) -> Line:
    """In turns: ours, its peer, our PLAIN; the first rounds are not counted (the first derives the
    key that is kept)."""
    plain = next(ways())
    found = []
    for _ in range(rounds + WARM_UP):
        ours = session(lambda: place.ours(way.mechanism), way.ours)
        peer = session(place.peer, way.peer)
        base = session(lambda: place.ours("PLAIN"), plain.ours)
        found.append((ours, peer, base))
    counted = found[WARM_UP:]
    sessions = statistics.quantiles((o.session / p.session for o, p, _ in counted), n=4)
    sign_ins = statistics.quantiles((o.sign_in / p.sign_in for o, p, _ in counted), n=4)
    return Line(
        mode=mode,
        way=way.name,
        ours=medians(ours for ours, _, _ in counted),
        peer=medians(peer for _, peer, _ in counted),
        session_ratio=sessions[1],
        session_quartiles=(sessions[0], sessions[2]),
        ratio=sign_ins[1],
        quartiles=(sign_ins[0], sign_ins[2]),
        above_plain=statistics.median(o.sign_in - b.sign_in for o, _, b in counted),
        rounds=rounds,
    )


def medians(several: Iterator[Times]) -> Times:
    found = list(several)
    return Times(
        statistics.median(one.session for one in found),
        statistics.median(one.sign_in for one in found),
    )


def run(dovecot: Dovecot, ca: Path, rounds: int) -> list[Line]:
    lines = []
    for mode in MODES:
        place = Place(dovecot, mode, ca)
        lines += [measure(place, mode, way, rounds) for way in ways()]
    _require_log(dovecot, rounds + WARM_UP)
    return lines


def _require_log(dovecot: Dovecot, rounds: int) -> None:
    """Each sign-in that was measured, and no other, is in the server's log, and was accepted."""
    per_way, by_scram = rounds * len(MODES), 2 * len(ITERATIONS)
    begun, by_plain = dovecot.sign_ins(PLAIN_USER)
    found = {user: dovecot.sign_ins(user)[1] for user in ITERATIONS}
    expected = dict.fromkeys(ITERATIONS, 2 * 2 * per_way)  # two ways, by ours and by its peer
    _require({user: len(one) for user, one in found.items()} == expected, "count of SCRAM")
    _require(len(by_plain) == (2 + 1 + by_scram) * per_way, "count of PLAIN")
    _require(all(one.mechanism == "PLAIN" for one in by_plain), "PLAIN in the log")
    for several in found.values():
        _require(all(one.mechanism == SCRAM for one in several), "SCRAM in the log")
    ended = [*by_plain, *(one for several in found.values() for one in several)]
    _require(all(one.accepted for one in ended), "accepted")
    _require(len(begun) == len(ended), "nothing else was begun")


# -- the result

HEAD = f"{'connect, sign in, sign out':36} {'ours':>9} {'peer':>9}   ratio   (quartiles) "


def table(lines: list[Line]) -> str:
    python, load = sys.version.split()[0], " ".join(f"{one:.2f}" for one in os.getloadavg())
    rows = [
        f"Python {python}, {ssl.OPENSSL_VERSION}; medians of {lines[0].rounds}; load {load}",
        "",
        f"{HEAD} |  {'sign-in':>8} {'peer':>9}   ratio   (quartiles)   beyond PLAIN",
    ]
    for line in lines:
        session = _columns(
            line.ours.session, line.peer.session, line.session_ratio, line.session_quartiles
        )
        sign_in = _columns(line.ours.sign_in, line.peer.sign_in, line.ratio, line.quartiles)
        missed = "" if line.is_met else "  MISSED"
        rows.append(
            f"{line.mode + ', ' + line.way:36} {session} | {sign_in} "
            f"{line.above_plain:+10.1f} ms{missed}"
        )
    return "\n".join(rows)


def _columns(ours: float, peer: float, ratio: float, quartiles: tuple[float, float]) -> str:
    between = f"({quartiles[0]:.2f} to {quartiles[1]:.2f})"
    return f"{ours:6.1f} ms {peer:6.1f} ms {ratio:7.2f} {between:>14}"


@contextlib.contextmanager
def server() -> Iterator[tuple[Dovecot, Path]]:
    with contextlib.ExitStack() as running:
        folders = [running.enter_context(open_folder()) for _ in range(2)]
        pki = PKI(folders[0])
        dovecot = Dovecot(
            folders[1],
            pki["good"],
            mechanisms=("plain", SCRAM.lower()),
            users=ALL_USERS,
            stored=verifiers(),
            login_service=MANY_LOGINS,
            settings=MANY_SESSIONS,
        )
        yield running.enter_context(dovecot), pki.ca_pem


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40, help="for each line (default 40)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    try:
        with server() as (dovecot, ca):
            lines = run(dovecot, ca, options.rounds)
    except ServerUnavailable as missing:
        sys.exit(f"{missing}; see scripts/install-test-servers")
    if options.json:
        found = [{**asdict(line), "is_met": line.is_met} for line in lines]
        print(json.dumps({"python": sys.version.split()[0], "lines": found}, indent=2))
    else:
        print(table(lines))
    return 0 if all(line.is_met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
