"""What a hostile server does at a moment: frozen values that play themselves on a `Stage`."""

from __future__ import annotations

import base64
import time

from ...values import Value
from .notes import StillThere, UsedInjected
from .scenario import Protocol
from .stage import Stage
from .words import offer

DRIP_SECONDS = 0.05
PATIENCE = 1.5  # seconds in which a client that has an answer says its next word
GRACE = 5.0  # seconds in which a client that has been sent too much finds out, and leaves
CHUNK = 65536


class Step(Value):
    """One act."""

    def play(self, stage: Stage) -> None:
        raise NotImplementedError

    def octets(self) -> tuple[bytes, ...]:
        """What it may say, as it is in the scenario."""
        return ()


class _Words(Step):
    """Octets by protocol, in which `Stage.filled` puts tags and the like."""

    imap: bytes = b""
    pop3: bytes = b""
    smtp: bytes = b""

    def words(self, protocol: Protocol) -> bytes:
        return {"imap": self.imap, "pop3": self.pop3, "smtp": self.smtp}[protocol]

    def octets(self) -> tuple[bytes, ...]:
        return (self.imap, self.pop3, self.smtp)


class Say(_Words):
    """These octets, in one segment with what else is said at this moment."""

    def play(self, stage: Stage) -> None:
        stage.say(self.words(stage.protocol))


def say_to_all(words: bytes) -> Say:
    return Say(words, words, words)


class Polite(Step):
    """What a polite server does at this moment."""

    def play(self, stage: Stage) -> None:
        stage.polite()


class Offer(Step):
    """The polite answer to CAPABILITY, CAPA or EHLO, changed: `upgrade` in the place of its verb
    (%v), or "" without it; `more` words after it; `login` whether IMAP's LOGIN is not disabled."""

    upgrade: str = ""
    more: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] | None = None
    login: bool = True

    def play(self, stage: Stage) -> None:
        shown = self.mechanisms
        if shown is None:
            scenario = stage.setup.scenario
            shown = scenario.mechanisms if scenario.in_clear is None else scenario.in_clear
        words = tuple(word for word in (self.upgrade, *self.more) if word)
        stage.say(offer(stage.protocol, shown, words, login=self.login))


class Pause(Step):
    """So that what follows is a segment of its own."""

    seconds: float = 0.02

    def play(self, stage: Stage) -> None:
        stage.flush()
        time.sleep(self.seconds)


class Handshake(Step):
    """TLS, with another kind of certificate than the scenario's if one is named."""

    kind: str | None = None

    def play(self, stage: Stage) -> None:
        stage.start_tls(self.kind)


class Close(Step):
    """Hangs up; within TLS without the closing word, so that it may be anybody who cut the line."""

    def play(self, stage: Stage) -> None:
        stage.flush()
        stage.conversation.close()


class Reset(Step):
    """Hangs up with a RST."""

    def play(self, stage: Stage) -> None:
        stage.flush()
        stage.conversation.reset()


class HearHello(Step):
    """Waits for the first record of the client's handshake, and gives none of the server's."""

    def play(self, stage: Stage) -> None:
        stage.flush()
        header = stage.conversation.read(5, timeout=stage.setup.seconds)
        if header.startswith(b"\x16\x03"):
            size = int.from_bytes(header[3:5], "big")
            stage.conversation.read(size, timeout=stage.setup.seconds)


class Silent(Step):
    """Says nothing any more, until the client leaves or the time is up."""

    def play(self, stage: Stage) -> None:
        stage.flush()
        stage.restart_clock()
        started = time.monotonic()
        if not stage.conversation.sleep_until_closed(stage.setup.seconds):
            gave_up(stage, time.monotonic() - started)


class Drip(_Words):
    """The same octets again and again, slowly enough that each read brings something in time."""

    def play(self, stage: Stage) -> None:
        _repeat(stage, self.words(stage.protocol), DRIP_SECONDS)


class Flood(_Words):
    """The same octets again and again, as fast as they are taken."""

    def play(self, stage: Stage) -> None:
        words = stage.filled(self.words(stage.protocol))
        _repeat(stage, words * (CHUNK // max(len(words), 1)), 0.0)


def _repeat(stage: Stage, words: bytes, pause: float) -> None:
    stage.flush()
    stage.restart_clock()
    started, before = time.monotonic(), stage.sent
    try:
        while stage.has_budget:
            stage.say(words)
            stage.flush()
            time.sleep(pause)
    except TimeoutError:
        pass  # it has stopped reading, and stays
    except OSError:
        return  # it has gone
    octets, seconds = stage.sent - before, time.monotonic() - started
    if not stage.conversation.sleep_until_closed(min(GRACE, stage.setup.seconds)):
        gave_up(stage, seconds, octets)  # not even now, with all of it read


def gave_up(stage: Stage, seconds: float, octets: int = 0) -> None:
    stage.note(StillThere(stage.over, round(seconds, 1), octets))
    stage.conversation.close()


class Challenges(Step):
    """One challenge after another, whatever the answer (RFC 4422 5.1 has no bound)."""

    text: bytes = b"and?"

    def play(self, stage: Stage) -> None:
        prompt = b"334 " if stage.protocol == "smtp" else b"+ "
        stage.restart_clock()
        started, before = time.monotonic(), stage.sent
        try:
            while stage.has_budget:
                stage.say(prompt + base64.b64encode(self.text) + b"\r\n")
                stage.flush()
                if stage.conversation.read_line(stage.setup.seconds) in (b"", b"*\r\n"):
                    return
        except TimeoutError:
            pass  # it waits for something else, and stays
        gave_up(stage, time.monotonic() - started, stage.sent - before)


class Unanswered(Step):
    """Leaves a command without an answer for a while, then answers it politely. A client that says
    its next word meanwhile has taken something else for the answer: what was injected."""

    def play(self, stage: Stage) -> None:
        stage.flush()
        try:
            words = stage.conversation.read_line(timeout=PATIENCE)
        except TimeoutError:
            stage.polite()
            return
        if words:
            stage.note(UsedInjected(stage.over, words.rstrip(b"\r\n")))
            stage.conversation.finish()
