"""A suggestion for people: what to compare stands before what is to be copied."""

from __future__ import annotations

from ..facts import fact_rows
from ..terminal import say, say_code, say_rows
from .found import Comparison, Refused, Suggestion, Way
from .stricter import NOTHING, Answer

_MARGIN = "  "


def say_suggestion(refused: Refused, suggestion: Suggestion) -> None:
    say()
    say("What would accept it", _MARGIN)
    if refused.chain:
        say("The server's certificate, as it was shown:", _MARGIN)
        say_rows(fact_rows(refused.chain[0]), _MARGIN * 2)
    if suggestion.none:
        say(suggestion.none, _MARGIN)
    if suggestion.compare is not None:
        _say_comparison(suggestion.compare)
    if suggestion.warning:
        say(suggestion.warning, _MARGIN)
    if refused.settings.source and suggestion.ways:
        source = f"The settings start from {refused.settings.source}."
        say(
            f"{source} An entry counts whole: what else is said there (auth) goes with it.", _MARGIN
        )
    for number, way in enumerate(suggestion.ways):
        say()
        _say_way(way, "Or: " if number else "")
    if suggestion.administrator:
        say()
        say("To send to the server's administrator:", _MARGIN)
        for sentence in suggestion.administrator:
            say(sentence, f"{_MARGIN}> ")


def say_stricter(found: tuple[Answer, ...]) -> None:
    """For a server that is accepted."""
    say()
    say(NOTHING, _MARGIN)
    say("Under stricter policies:", _MARGIN)
    for answer in found:
        say(f"{answer.question}: {answer.text}", f"{_MARGIN}- ", f"{_MARGIN}  ")


def _say_comparison(compare: Comparison) -> None:
    say(
        "First compare the certificate by another way than this connection. On the server itself, "
        "or with its administrator on the telephone, with its certificate in server.pem, this "
        "command",
        _MARGIN,
    )
    say_code(compare.read_fingerprint)
    say("must show", _MARGIN)
    say_code(compare.fingerprint)
    if compare.pin is None:
        return
    say(
        "The pin of its key is shown by `securemail pin server.pem` there, or, after sha256/, by",
        _MARGIN,
    )
    say_code(compare.read_pin)
    say("and must be", _MARGIN)
    say_code(compare.pin)


def _say_way(way: Way, before: str) -> None:
    say(f"{before}{way.title}.", _MARGIN)
    for need in way.needs:
        say(f"It needs {need}.", _MARGIN)
    _say_lines("On a terminal:", way.command)
    _say_lines("In Python:", way.python)
    _say_lines("In the file that SECUREMAIL_POLICY names:", way.toml)


def _say_lines(title: str, text: str) -> None:
    if not text:
        return
    say(title, _MARGIN)
    for line in text.split("\n"):
        say_code(line) if line else say()
