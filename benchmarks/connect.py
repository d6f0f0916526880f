#!/usr/bin/env python3
"""How long it takes to connect, sign in and sign out: ours against the standard modules.

    python benchmarks/connect.py [--rounds N] [--json]

Ours with `SystemTrust() | CATrust(ca)`, the standard module with `ssl.create_default_context()`
and the same CA loaded into it, strictly in turns against the same server. benchmarks/README.md
says what the lines mean. The exit status is 1 where a wanted ratio was missed.
"""

import argparse
import contextlib
import imaplib
import json
import os
import poplib
import smtplib
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the servers that the tests start

from securemail import IMAP4_SSL, POP3_SSL, SMTP_SSL, AuthPolicy, CATrust, SystemTrust, TLSPolicy  # noqa: E402
from securemail.tls import cache  # noqa: E402
from servers.aiosmtpd_server import AiosmtpdServer  # noqa: E402
from servers.dovecot import USERS, Dovecot  # noqa: E402
from servers.pki import PKI  # noqa: E402
from servers.postfix import Postfix  # noqa: E402
from servers.processes import ServerUnavailable, open_folder  # noqa: E402

USER, PASSWORD = "alice", USERS["alice"]
MESSAGES = 3  # in the mailbox: what a session must find there
WANTED = {"cold": 1.0, "again": 0.25}
# No new server process for each connection: what is measured is the client.
MANY_LOGINS = "  service_count = 0\n  process_limit = 1"
MANY_SESSIONS = """\
service imap {
  service_count = 1000
  process_min_avail = 1
}
service pop3 {
  service_count = 1000
  process_min_avail = 1
}
"""
TIMEOUT = 30

Connect = Callable[[], Any]


@dataclass(frozen=True)
class Line:
    """One line of the result; milliseconds, medians. `ratio`: the median of the pairs' ratios."""

    protocol: str
    situation: str
    ours: float
    standard: float
    ratio: float
    quartiles: tuple[float, float]
    wanted: float
    rounds: int

    @property
    def is_met(self) -> bool:
        """ "Not slower" is missed where three pairs in four are slower: a difference of a few
        hundredths either way is noise. The other bound is for the median itself."""
        return (self.quartiles[0] if self.wanted == 1 else self.ratio) <= self.wanted


class Place:
    """One server's TLS port, and how each side connects to it."""

    def __init__(self, protocol: str, port: int, ca: Path) -> None:
        self.protocol = protocol
        self._address = ("127.0.0.1", port)
        self._ca = ca
        self._ours = {"imap": IMAP4_SSL, "pop3": POP3_SSL, "smtp": SMTP_SSL}[protocol]
        self._theirs = {
            "imap": imaplib.IMAP4_SSL,
            "pop3": poplib.POP3_SSL,
            "smtp": smtplib.SMTP_SSL,
        }[protocol]
        self._context = "ssl_context" if protocol == "imap" else "context"

    def policy(self) -> TLSPolicy:
        return TLSPolicy(trust=SystemTrust() | CATrust(self._ca))

    def ours(self, policy: TLSPolicy) -> Any:
        # By PLAIN, which is what the standard modules send here: what SCRAM costs, sign_in.py says.
        by_plain = AuthPolicy(mechanisms=("PLAIN",))
        return self._ours(*self._address, policy=policy, auth=by_plain, timeout=TIMEOUT)

    def standard(self) -> Any:
        context = ssl.create_default_context()
        context.load_verify_locations(self._ca)
        options: dict[str, Any] = {self._context: context, "timeout": TIMEOUT}
        if self.protocol == "smtp":
            options["local_hostname"] = (
                "localhost"  # its default looks a name up, which may take long
            )
        return self._theirs(*self._address, **options)


# -- one session


def session(client: Any) -> None:
    """Sign in, make sure of it, sign out. Anything but what must be raises."""
    if isinstance(client, imaplib.IMAP4):
        _require(client.login(USER, PASSWORD)[0] == "OK", "IMAP sign-in")
        _require(client.noop()[0] == "OK", "NOOP")
        _require(client.logout()[0] == "BYE", "IMAP sign-out")
    elif isinstance(client, poplib.POP3):
        if isinstance(client, POP3_SSL):
            answer = client.login(USER, PASSWORD)
        else:
            client.user(USER)
            answer = client.pass_(PASSWORD)
        _require(answer.startswith(b"+OK"), "POP3 sign-in")
        _require(client.stat()[0] == MESSAGES, "the mailbox's content")
        _require(client.quit().startswith(b"+OK"), "POP3 sign-out")
    else:
        _require(client.login(USER, PASSWORD)[0] == 235, "SMTP sign-in")
        _require(client.noop()[0] == 250, "NOOP")
        _require(client.quit()[0] == 221, "SMTP sign-out")


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise RuntimeError(f"the benchmark did not do what it measures: {what}")


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


# -- the situations


def cold(place: Place) -> tuple[Callable[[], None], Callable[[], None]]:
    """The first connection of a program: both sides make their context."""

    def ours() -> None:
        session(place.ours(place.policy()))

    return ours, lambda: session(place.standard())


def again(place: Place) -> tuple[Callable[[], None], Callable[[], None]]:
    """From the second connection on: ours has its context, the standard module gets a new one for
    each connection, as scripts do."""
    policy = place.policy()
    return lambda: session(place.ours(policy)), lambda: session(place.standard())


def measure(
    place: Place,
    situation: Callable[[Place], tuple[Callable[[], None], Callable[[], None]]],
    rounds: int,
) -> Line:
    """In turns: ours, standard, ours, standard …; the first two of each are not counted."""
    name = situation.__name__
    connect_ours, connect_standard = situation(place)
    pairs = []
    for number in range(rounds + 2):
        if name == "cold":
            cache._kept.clear()
        pair = milliseconds(connect_ours), milliseconds(connect_standard)
        if number >= 2:
            pairs.append(pair)
    ratios = statistics.quantiles((ours / standard for ours, standard in pairs), n=4)
    return Line(
        protocol=place.protocol,
        situation=name,
        ours=statistics.median(pair[0] for pair in pairs),
        standard=statistics.median(pair[1] for pair in pairs),
        ratio=ratios[1],
        quartiles=(ratios[0], ratios[2]),
        wanted=WANTED[name],
        rounds=rounds,
    )


# -- servers


@contextlib.contextmanager
def places() -> Iterator[list[Place]]:
    with contextlib.ExitStack() as running:
        folders = [running.enter_context(open_folder()) for _ in range(3)]
        pki = PKI(folders[0])
        dovecot = running.enter_context(
            Dovecot(folders[1], pki["good"], login_service=MANY_LOGINS, settings=MANY_SESSIONS)
        )
        found = [
            Place("imap", dovecot.ports["imaps"], pki.ca_pem),
            Place("pop3", dovecot.ports["pop3s"], pki.ca_pem),
        ]
        try:
            postfix = running.enter_context(Postfix(folders[2], pki["good"], dovecot))
            found.append(Place("smtp", postfix.ports["submissions"], pki.ca_pem))
        except ServerUnavailable as reason:  # it has to be started by root
            print(f"aiosmtpd, in this process, instead of Postfix: {reason}", file=sys.stderr)
            aiosmtpd = running.enter_context(AiosmtpdServer(pki["good"]))
            found.append(Place("smtp", aiosmtpd.port, pki.ca_pem))
        put_messages(found[0])
        yield found


def put_messages(place: Place) -> None:
    with place.ours(place.policy()) as imap:
        imap.login(USER, PASSWORD)
        for number in range(MESSAGES):
            text = f"Subject: message {number}\r\n\r\nhello\r\n".encode()
            _require(imap.append("INBOX", None, None, text)[0] == "OK", "APPEND")


# -- imports, for information


def import_cost(statement: str, rounds: int = 11) -> float:
    """Milliseconds that a fresh Python takes for `statement`, beyond starting."""
    with tempfile.TemporaryDirectory() as compiled:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        env.pop("PYTHONDONTWRITEBYTECODE", None)

        def run(code: str) -> float:
            command = [sys.executable, "-c", code]
            return milliseconds(lambda: subprocess.run(command, check=True, env=env))

        run(statement)  # compiles what it imports
        return statistics.median(run(statement) - run("pass") for _ in range(rounds))


IMPORTS = (
    "import ssl",
    "import securemail",
    "import imaplib",
    "from securemail import IMAP4_SSL, TLSPolicy",
    "import smtplib",
    "from securemail import SMTP_SSL, TLSPolicy",
)


def table(lines: list[Line], imports: dict[str, float]) -> str:
    rows = [
        f"Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION}; medians of {lines[0].rounds}",
        "",
        f"{TITLE:28} {'ours':>9} {'standard':>9}   ratio   (quartiles)  wanted",
    ]
    for line in lines:
        verdict = "" if line.is_met else "  MISSED"
        rows.append(
            f"{line.protocol + ', ' + TITLES[line.situation]:28} {line.ours:6.1f} ms "
            f"{line.standard:6.1f} ms {line.ratio:7.2f} ({line.quartiles[0]:.2f} to "
            f"{line.quartiles[1]:.2f}) {line.wanted:6.2f}{verdict}"
        )
    rows += ["", "import, in a Python of its own"]
    rows += [f"{statement:45} {cost:6.1f} ms" for statement, cost in imports.items()]
    return "\n".join(rows)


TITLE = "connect, sign in, sign out"
TITLES = {"cold": "first connection", "again": "from the second on"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40, help="pairs for each line (default 40)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    try:
        with places() as found:
            lines = [
                measure(place, situation, options.rounds)
                for place in found
                for situation in (cold, again)
            ]
    except ServerUnavailable as missing:
        sys.exit(f"{missing}; see scripts/install-test-servers")
    imports = {statement: import_cost(statement) for statement in IMPORTS}
    if options.json:
        result = {
            "python": sys.version.split()[0],
            "openssl": ssl.OPENSSL_VERSION,
            "lines": [{**asdict(line), "is_met": line.is_met} for line in lines],
            "imports": imports,
        }
        print(json.dumps(result, indent=2))
    else:
        print(table(lines, imports))
    return 0 if all(line.is_met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
