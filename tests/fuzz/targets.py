"""All targets, by name. `share`: of all cases of a run, the quick ones getting more."""

from collections.abc import Callable
from typing import NamedTuple

from fuzz import connections, der, files, live, names, reader, sasl, words


class Target(NamedTuple):
    run: Callable[[bytes], None]
    share: float
    longest: int = 300  # octets of a case that is made up


TARGETS = {
    "imap": Target(connections.imap, 5, 400),
    "pop3": Target(connections.pop3, 5, 400),
    "smtp": Target(connections.smtp, 5, 400),
    "live": Target(live.live, 0.05, 100),
    "reader": Target(reader.reader, 12),
    "exchanges": Target(sasl.exchanges, 6),
    "scram-words": Target(sasl.scram_words, 10),
    "choosing": Target(sasl.choosing, 6),
    "hiding": Target(sasl.hiding, 5),
    "hosts": Target(names.hosts, 8, 80),
    "pins": Target(names.pins, 5, 80),
    "texts": Target(names.texts, 6, 80),
    "values": Target(names.values, 3, 20),
    "certificates": Target(der.properties, 5, 60),
    "explanations": Target(der.explained, 4, 90),
    "leaves": Target(der.leaves, 5, 60),
    "pem": Target(files.pem_texts, 5, 120),
    "lists": Target(files.lists, 3, 60),
    "known-servers": Target(files.known, 5, 150),
    "policy-file": Target(files.policies, 4, 150),
    "answers": Target(words.answers, 6),
    "pop3-lines": Target(words.pop3_lines, 6),
    "small-words": Target(words.small_words, 6, 120),
}
