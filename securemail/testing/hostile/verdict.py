"""What a client is to be told, from what it sent. Pure: a scenario and records in, words out.

Only what a server can see counts. What a client keeps of injected words inside itself, or shows to
people, is for others to find: such words carry the marker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from ...values import Value
from .digests import digests
from .leaks import leaks
from .notes import Did, Heard, Note, Proved, SignedIn, StillThere, UsedInjected
from .recording import Record
from .scenario import Kind, Scenario

#: What asks for or ends something, and is no mail.
GOODBYE = frozenset({"LOGOUT", "QUIT"})
QUESTIONS = frozenset({"CAPABILITY", "CAPA", "EHLO", "LHLO", "HELO", "ID", "NOOP", "RSET"})
NEUTRAL = GOODBYE | QUESTIONS | {"STARTTLS", "STLS"}
SIGN_IN = frozenset({"USER", "PASS", "APOP", "AUTH", "LOGIN", "AUTHENTICATE"})
SIGN_IN_LINE = re.compile(
    rb"(?im)^(?:[!-~]{1,40} )?((?:USER|PASS|APOP|AUTH|LOGIN|AUTHENTICATE) [!-~].*?)\r?$"
)
FEWEST_ITERATIONS = 4096  # RFC 7677 4
LONGEST = 60
N = TypeVar("N", bound=Note)
RANK: tuple[Kind, ...] = ("LEAK", "FOOLED", "STUCK", "fine", "refused")


class Case(Value, kw_only=True):
    """What was played to the client, and who it was to sign in as."""

    scenario: Scenario
    protocol: str
    mode: str
    user: str
    password: str


class Verdict(Value):
    """`kind` is LEAK, FOOLED, STUCK, refused or fine; `says` why, and `shown` are the commands that
    show it. `as_expected`: whether that is what the scenario expects of a good client."""

    kind: Kind
    says: str
    shown: tuple[str, ...] = ()
    as_expected: bool = False

    def __str__(self) -> str:
        shown = f" [{'; '.join(self.shown)}]" if self.shown else ""
        return f"{self.kind}: {self.says}{shown}"


def judge(case: Case, records: Sequence[Record], elsewhere: Sequence[Record] = ()) -> Verdict:
    """Of all connections together, the worst. `elsewhere`: where a referral led."""
    found = [verdict for record in records for verdict in _findings(case, record)]
    found += _fell_back(records)
    found += [verdict for record in elsewhere for verdict in _referred(case, record)]
    if not any(verdict.kind in ("LEAK", "FOOLED", "STUCK") for verdict in found):
        found += [
            *_signed_in(case, records),
            Verdict("refused", "nothing was said that should not be"),
        ]
    worst = min(found, key=lambda verdict: RANK.index(verdict.kind))
    expected = worst.kind in case.scenario.expects
    return Verdict(worst.kind, worst.says, worst.shown, expected)


def _findings(case: Case, record: Record) -> Iterator[Verdict]:
    yield from _in_clear(case, record)
    yield from _over_tls(case, record)
    yield from _used_injected(record)
    yield from _mail_in_clear(record)
    yield from _went_on(case, record)
    yield from _stuck(record)


def _in_clear(case: Case, record: Record) -> Iterator[Verdict]:
    sent = bytes(record.wire)
    commands = shown(note for note in _heard(record, "clear") if _is_sign_in(note))
    for form in leaks(sent, case.password)[:1]:
        yield Verdict("LEAK", f"the password ({form}) was sent in clear", commands)
    for what in digests(sent, case.password, record.notes):
        yield Verdict("LEAK", f"{what} was sent in clear: passwords can be tried on it", commands)
    for note in _of(record, Proved):
        if note.over == "clear":
            yield Verdict("LEAK", f"a {note.mechanism} proof was sent in clear", commands)
    if commands:
        yield Verdict("LEAK", "a sign-in was begun in clear", commands)
    elif not record.tls and (line := SIGN_IN_LINE.search(sent)):
        text = quoted(line[1])
        yield Verdict("LEAK", "a sign-in was sent in clear, where TLS should begin", (text,))


def _over_tls(case: Case, record: Record) -> Iterator[Verdict]:
    scenario, sent = case.scenario, bytes(record.tls)
    heard = [note for note in _heard(record, "tls") if note.command not in GOODBYE]
    to = _to(scenario)
    if scenario.may_get != "password":
        for form in leaks(sent, case.password)[:1]:
            yield Verdict("LEAK", f"the password ({form}) was sent {to}", shown(heard))
    if scenario.may_get == "nothing":
        for what in digests(sent, case.password, record.notes):
            yield Verdict("LEAK", f"{what} was sent {to}", shown(heard))
        for proof in _of(record, Proved):
            why = f" for {proof.iterations} iterations" * (proof.iterations < FEWEST_ITERATIONS)
            yield Verdict("LEAK", f"a {proof.mechanism} proof{why} was sent {to}", shown(heard))
    if scenario.is_impostor and any(map(_is_sign_in, heard)):
        yield Verdict("LEAK", f"a sign-in was begun {to}", shown(heard))
    if scenario.is_impostor and heard:
        yield Verdict("FOOLED", f"it spoke {to}", shown(heard))
    if scenario.is_weak and heard:
        yield Verdict("FOOLED", f"it agreed to {scenario.says}", shown(heard))
    known = {*scenario.mechanisms, *(["LOGIN"] if "PLAIN" in scenario.mechanisms else [])}
    # Who never asked what there is, as POP3 clients need not, did not go by what was said in clear.
    asked = any(note.command in QUESTIONS for note in _heard(record, "clear"))
    for note in heard:
        name = "" if note.command in ("USER", "PASS") and not asked else _mechanism(note)
        if name and scenario.in_clear is not None and name not in known:
            says = f"it signed in by {name}, which was offered in clear alone"
            yield Verdict("FOOLED", says, shown([note]))


def _to(scenario: Scenario) -> str:
    if scenario.is_impostor:
        return f"over TLS to whoever has a certificate that is {scenario.certificate!r}"
    return "to a server that had not shown that it knows the password"


def _fell_back(records: Sequence[Record]) -> Iterator[Verdict]:
    """To the password itself, after a proof of it had been declined."""
    tried = [note for record in records for note in _heard(record, "tls") if _mechanism(note)]
    proof = next((note for note in tried if _is_proof(note)), None)
    after = tried[tried.index(proof) :] if proof else []
    given = [note for note in after if not _is_proof(note)]
    if given:
        says = "when a proof of the password was declined, it gave the password itself"
        yield Verdict("LEAK", says, shown(after))


def _is_proof(note: Heard) -> bool:
    return _mechanism(note).startswith(("SCRAM-", "CRAM-", "DIGEST-"))


def _used_injected(record: Record) -> Iterator[Verdict]:
    for note in _of(record, UsedInjected):
        says = "it took words that were injected in clear for the answer to its first command"
        yield Verdict("FOOLED", f"{says} over TLS", (quoted(note.words),))


def _mail_in_clear(record: Record) -> Iterator[Verdict]:
    mail = [
        note
        for note in _heard(record, "clear")
        if note.command not in NEUTRAL and note.command not in SIGN_IN
    ]
    if mail:
        yield Verdict("FOOLED", "it went on to mail in clear", shown(mail))


def _went_on(case: Case, record: Record) -> Iterator[Verdict]:
    """Past the moment after which nothing but a goodbye should be said."""
    ends, over = case.scenario.ends, False
    after: list[Heard] = []
    for note in record.notes:
        if isinstance(note, Heard) and over and note.command not in NEUTRAL:
            after.append(note)
        over = over or (isinstance(note, Did) and note.moment == ends)
    if after:
        yield Verdict("FOOLED", f"it went on after this: {case.scenario.says}", shown(after))


def _stuck(record: Record) -> Iterator[Verdict]:
    for note in _of(record, StillThere):
        took = f", {note.octets:,} octets" if note.octets else ""
        says = f"it was still there when the server gave up, after {note.seconds} s{took}"
        yield Verdict("STUCK", says)


def _referred(case: Case, record: Record) -> Iterator[Verdict]:
    yield from _in_clear(case, record)
    yield Verdict("FOOLED", "it followed a referral that came in clear", shown(_heard(record)))


def _signed_in(case: Case, records: Iterable[Record]) -> Iterator[Verdict]:
    """Where `ends` is set, the success was a lie."""
    for record in records if case.scenario.ends is None else ():
        for note in _of(record, SignedIn):
            assert note.over == "tls", "a sign-in in clear is a LEAK"
            yield Verdict("fine", f"it signed in over TLS, by {note.mechanism}")


def _heard(record: Record, over: str = "") -> list[Heard]:
    return [note for note in _of(record, Heard) if not over or note.over == over]


def _of(record: Record, kind: type[N]) -> list[N]:
    return [note for note in record.notes if isinstance(note, kind)]


def _is_sign_in(note: Heard) -> bool:
    """POP3's bare AUTH only asks what there is (RFC 1734)."""
    return note.command in SIGN_IN and (note.command != "AUTH" or b" " in note.words.strip())


def _mechanism(note: Heard) -> str:
    """By which a sign-in began: the protocols' own commands are there where PLAIN or LOGIN is."""
    if not _is_sign_in(note) or note.command == "APOP":
        return ""
    if note.command in ("AUTH", "AUTHENTICATE"):
        return b"".join(note.words.split()[1:2]).decode("latin-1").upper()
    return "LOGIN"


def shown(heard: Iterable[Heard]) -> tuple[str, ...]:
    return tuple(quoted(note.words) for note in heard)[:4]


def quoted(words: bytes) -> str:
    """As it came, on one line, and not too long."""
    text = words[:LONGEST].decode("utf-8", "backslashreplace")
    text = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
    return text + " ..." * (len(words) > LONGEST)
