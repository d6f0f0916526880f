"""SASLprep against the RFC's examples, against scramp's own, and for what it must not show."""

import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scramp import utils as scramp

from securemail.sasl.prep import saslprep
from servers.shown import shown_of

VECTORS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "vectors" / "saslprep.toml").read_text(encoding="utf-8")
)["vector"]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FROM_THE_RIGHT = st.text("אבגا١\u200f1a,. ", max_size=6)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    if "error" in vector:
        with pytest.raises(ValueError, match=vector["error"]):
            saslprep(vector["text"])
    else:
        assert saslprep(vector["text"]) == vector["prepared"]


def test_half_a_character_is_an_error() -> None:
    with pytest.raises(ValueError, match="half a character"):
        saslprep("a\ud800")


def reference(text: str) -> str | None:
    try:
        return scramp.saslprep(text)
    except scramp.ScramException:
        return None


def ours(text: str) -> str | None:
    try:
        return saslprep(text)
    except ValueError:
        return None


@given(TEXTS | FROM_THE_RIGHT)
@example("\u0627\u0628a")
@example("a\u0627")
@example("\u200b")
def test_the_same_as_another_implementation(text: str) -> None:
    assert ours(text) == reference(text)


def test_every_single_character_as_another_implementation_has_it() -> None:
    """Between two letters: whatever table it is in. All of the first two planes, the tags, and the
    ends of the others."""
    ends = (plane + last for plane in range(0, 0x110000, 0x10000) for last in (0, 0xFFFD, 0xFFFF))
    numbers = [*range(0x20000), *range(0xE0000, 0xE0200), *ends]
    texts = [f"a{chr(number)}b" for number in numbers]
    assert [ascii(text) for text in texts if ours(text) != reference(text)] == []


@given(TEXTS | FROM_THE_RIGHT)
def test_prepared_text_stays_as_it_is(text: str) -> None:
    prepared = ours(text)
    if prepared is not None and ours(prepared) is not None:
        assert ours(prepared) == prepared
        assert unicodedata.ucd_3_2_0.normalize("NFKC", prepared) == prepared


@given(st.text(st.characters(min_codepoint=0, max_codepoint=127)))
def test_ascii_is_never_changed(text: str) -> None:
    has_control = any(unicodedata.category(character) == "Cc" for character in text)
    assert ours(text) == (None if has_control else text)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "error" in v], ids=lambda v: v["name"])
def test_an_error_shows_nothing_of_the_text(vector: dict[str, Any]) -> None:
    marker = "s3cr3t-w0rds"
    text = vector["text"] + marker if "right" not in vector["error"] else f"\u0627{marker}"
    with pytest.raises(ValueError) as caught:
        saslprep(text)
    shown = shown_of(caught.value)
    assert b"'wrong'" in shown, "the control: the local variables of our frame are there"
    assert marker.encode() not in shown
