"""Cases at random: mostly polite ones with a few octets of something else, and changed ones of
before.
"""

import random
from collections.abc import Iterator


def made_up(random_: random.Random, longest: int) -> Iterator[bytes]:
    """Without an end. A few of the last ones are kept to be changed further."""
    kept = [b""]
    while True:
        how = random_.random()
        if how < 0.25:
            case = random_.randbytes(random_.randrange(1, longest))
        elif how < 0.75:
            case = _sparse(random_, longest)
        else:
            case = _like(random_, random_.choice(kept))[:longest]
        if random_.random() < 0.05:
            kept = [*kept[-50:], case]
        yield case


def _sparse(random_: random.Random, longest: int) -> bytes:
    """Zeros choose what is polite; more is chosen at the beginning."""
    case = bytearray(random_.randrange(1, longest))
    for _ in range(random_.choice((1, 2, 3, 5, 8, 13, 30))):
        at = int(len(case) * random_.random() ** 1.5)
        case[at : at + 1] = random_.randbytes(random_.choice((1, 1, 1, 2, 4)))
    return bytes(case)


def _like(random_: random.Random, case: bytes) -> bytes:
    changed = bytearray(case)
    for _ in range(random_.choice((1, 1, 2, 4))):
        at = random_.randrange(len(changed) + 1)
        how = random_.randrange(3)
        if how == 0:
            changed[at : at + 1] = random_.randbytes(1)
        elif how == 1:
            changed[at:at] = random_.randbytes(random_.randrange(1, 4))
        else:
            del changed[at : at + random_.randrange(1, 9)]
    return bytes(changed)
