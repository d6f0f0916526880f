"""Processes that write one file of known servers; run as programs.

    python known_writers.py expect FILE NUMBER…      enters a key for each number
    python known_writers.py race FILE LETTER COUNT   learns COUNT servers, each by a key of its own
    python known_writers.py hold FILE                takes its lock, says so, and keeps it
    python known_writers.py kill FILE ROUNDS SEED    kills a writer of its own, again and again

The last one needs a process without threads, since it forks; it prints what it saw as JSON.
"""

import base64
import hashlib
import json
import os
import random
import signal
import sys
import time

from securemail import FirstUseTrust, PolicyError, UnknownServer
from securemail.trust.lock import locked

FRESH_EVERY = 50  # rounds, so that the file stays short


def pin_of(word: object) -> str:
    return "sha256/" + base64.b64encode(hashlib.sha256(str(word).encode()).digest()).decode()


def endpoint_of(number: int) -> tuple[str, str, int]:
    return ("imap", f"host{number}.example.org", 993)


def expect(path: str, *numbers: str) -> None:
    store = FirstUseTrust(path)
    for number in map(int, numbers):
        store.expect(endpoint_of(number), pin_of(number))


def race(path: str, letter: str, count: str) -> None:
    """Prints one letter for each server: whether this process's key was learned."""
    store = FirstUseTrust(path)
    won = ""
    for number in range(int(count)):
        fingerprint = hashlib.sha256(letter.encode()).digest().hex(":").upper()
        unknown = UnknownServer(
            "", endpoint=endpoint_of(number), pin=pin_of(letter), fingerprint=fingerprint
        )
        try:
            store.learn(unknown, fingerprint=unknown.fingerprint)
            won += "y"
        except PolicyError as error:
            if error.code != "already-known":
                raise
            won += "n"
    print(won)


def hold(path: str) -> None:
    with locked(path):
        print("held", flush=True)
        time.sleep(60)


def kill(path: str, rounds: str, seed: str) -> None:
    chance = random.Random(seed)
    acknowledged: set[int] = set()
    number, in_the_middle = 0, 0
    for turn in range(int(rounds)):
        if turn % FRESH_EVERY == 0:
            longest = 2 * seconds_of_a_write(path)  # a machine that got busy: as many writes
            acknowledged.clear()
            for name in ("", ".new"):
                if os.path.exists(path + name):
                    os.unlink(path + name)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            write_for_ever(path, number, writer)
        os.close(writer)
        time.sleep(chance.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with open(reader) as pipe:
            acknowledged.update(int(line) for line in pipe.read().split())
        in_the_middle += os.path.exists(path + ".new")
        found = {one.endpoint for one in FirstUseTrust(path).known()}
        lost = [one for one in acknowledged if endpoint_of(one) not in found]
        assert not lost, f"round {turn}: {lost} were written, and are gone"
        number = max(acknowledged, default=number) + 2  # one more may be there than was said
    print(json.dumps({"rounds": int(rounds), "in the middle": in_the_middle, "last": number}))


def seconds_of_a_write(path: str) -> float:
    """Of a new process, until it has written ten times, a tenth."""
    reader, writer = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        write_for_ever(path, 0, writer)
    os.close(writer)
    with open(reader, "rb", buffering=0) as pipe:
        said = b""
        while said.count(b"\n") < 10:
            said += pipe.read(100)
        seconds = (time.monotonic() - began) / 10
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return seconds


def write_for_ever(path: str, number: int, into: int) -> None:
    store = FirstUseTrust(path)
    while True:
        store.expect(endpoint_of(number), pin_of(number))
        os.write(into, b"%d\n" % number)
        number += 1


if __name__ == "__main__":
    {"expect": expect, "race": race, "hold": hold, "kill": kill}[sys.argv[1]](*sys.argv[2:])
