#!/usr/bin/env python3
"""How fast messages are read: our reader against the standard one, through the inherited verbs.

    python benchmarks/reading.py [--rounds N] [--json]

Both over TLS from the same Dovecot, strictly in turns: POP3 `retr` one by one, IMAP `fetch 1:*`.
What was read is compared with what was put there before a time counts. The exit status is 1 where
ours is slower (three pairs in four).
"""

import argparse
import contextlib
import imaplib
import json
import poplib
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the servers that the tests start

from securemail import IMAP4_SSL, POP3_SSL, CATrust, TLSPolicy  # noqa: E402
from servers.dovecot import USERS, Dovecot  # noqa: E402
from servers.pki import PKI  # noqa: E402
from servers.processes import open_folder  # noqa: E402

USER, PASSWORD = "alice", USERS["alice"]
SETS = {"2,000 of 8 KB": (2000, 8 * 1024), "20 of 10 MB": (20, 10 * 1024 * 1024)}
LINE = b"The quick brown fox jumps over the lazy dog, and does so line by line.\r\n"


def message(octets: int) -> bytes:
    head = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: benchmark\r\n\r\n"
    return head + LINE * ((octets - len(head)) // len(LINE))


def fill(dovecot: Dovecot, context: ssl.SSLContext, count: int, octets: int) -> None:
    with imaplib.IMAP4_SSL("127.0.0.1", dovecot.ports["imaps"], ssl_context=context) as imap:
        imap.login(USER, PASSWORD)
        for _ in range(count):
            assert imap.append("INBOX", "", "", message(octets))[0] == "OK"


def read_pop3(pop: Any, count: int, octets: int) -> None:
    expected = message(octets)
    lines = expected.split(b"\r\n")[:-1]
    for number in range(1, count + 1):
        _, got, size = pop.retr(number)
        assert (len(got), size) == (len(lines), len(expected)), "the message is not whole"
    assert got == lines
    pop.quit()


def read_imap(imap: Any, count: int, octets: int) -> None:
    imap.select(readonly=True)
    status, got = imap.fetch("1:*", "(BODY.PEEK[])")
    bodies = [part[1] for part in got if isinstance(part, tuple)]
    assert (status, len(bodies)) == ("OK", count)
    assert all(len(body) == len(bodies[0]) for body in bodies)
    assert bodies[-1] == message(octets)
    imap.logout()


def timed(connect: Callable[[], Any], read: Callable[..., None], size: tuple[int, int]) -> float:
    client = connect()
    start = time.perf_counter()
    read(client, *size)
    return time.perf_counter() - start


def measure(dovecot: Dovecot, ca: Path, size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    policy, context = TLSPolicy(trust=CATrust(ca)), ssl.create_default_context(cafile=ca)
    imaps, pop3s = dovecot.ports["imaps"], dovecot.ports["pop3s"]

    def signed_in(client: Any) -> Any:
        if isinstance(client, poplib.POP3):
            client.user(USER)
            client.pass_(PASSWORD)
        else:
            client.login(USER, PASSWORD)
        return client

    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[..., None]]] = {
        "POP3 retr": (
            lambda: signed_in(POP3_SSL("127.0.0.1", pop3s, policy=policy)),
            lambda: signed_in(poplib.POP3_SSL("127.0.0.1", pop3s, context=context)),
            read_pop3,
        ),
        "IMAP fetch": (
            lambda: signed_in(IMAP4_SSL("127.0.0.1", imaps, policy=policy)),
            lambda: signed_in(imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=context)),
            read_imap,
        ),
    }
    rows = []
    for name, (ours, standard, read) in pairs.items():
        taken = [(timed(ours, read, size), timed(standard, read, size)) for _ in range(rounds + 1)]
        taken = taken[1:]  # the first one warms the server up
        ratios = [mine / theirs for mine, theirs in taken]
        rows.append(
            {
                "verb": name,
                "ours": statistics.median(mine for mine, _ in taken),
                "standard": statistics.median(theirs for _, theirs in taken),
                "ratio": statistics.median(ratios),
                "lowest_quarter": statistics.quantiles(ratios)[0],
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    for label, size in SETS.items():
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            pki = PKI(folder)
            dovecot = stack.enter_context(Dovecot(stack.enter_context(open_folder()), pki["good"]))
            print(f"putting {label} there ...", file=sys.stderr)
            fill(dovecot, ssl.create_default_context(cafile=pki.ca_pem), *size)
            results[label] = measure(dovecot, pki.ca_pem, size, options.rounds)
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(f"{'':<15}{'':<12}{'ours s':>9}{'standard s':>12}{'ratio':>8}")
        for label, rows in results.items():
            for row in rows:
                print(
                    f"{label:<15}{row['verb']:<12}{row['ours']:>9.2f}"
                    f"{row['standard']:>12.2f}{row['ratio']:>8.2f}"
                )
    missed = any(row["lowest_quarter"] > 1 for rows in results.values() for row in rows)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
