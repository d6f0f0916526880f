"""SASLprep (RFC 4013): one spelling for what people type in several ways, so that both sides digest
the same octets.

Made of the standard library's tables, Unicode 3.2 as the RFC has it; they are loaded where the text
is not ASCII.
"""

from __future__ import annotations

# Tables of RFC 3454 whose characters the result must not have (RFC 4013, 2.3 and 2.5).
_PROHIBITED = (
    (
        "in_table_a1",
        "a character that Unicode 3.2 does not have, such as most emoji (RFC 3454, A.1)",
    ),
    ("in_table_c12", "a blank of another kind than the usual one (RFC 3454, C.1.2)"),
    ("in_table_c21_c22", "a control character (RFC 3454, C.2)"),
    ("in_table_c3", "a character for private use (RFC 3454, C.3)"),
    ("in_table_c4", "a code point that is no character (RFC 3454, C.4)"),
    ("in_table_c5", "half a character (RFC 3454, C.5)"),
    ("in_table_c6", "a character that is not for plain text (RFC 3454, C.6)"),
    ("in_table_c7", "an ideographic description character (RFC 3454, C.7)"),
    ("in_table_c8", "a character that changes how others are shown (RFC 3454, C.8)"),
    ("in_table_c9", "a tagging character (RFC 3454, C.9)"),
)
_CONTROL = _PROHIBITED[2][1]
_DIRECTIONS = "letters that are written from the right among others (RFC 3454, 6)"


def saslprep(text: str) -> str:
    """`text` as a "stored string" (RFC 5802, 2.2): what Unicode 3.2 does not have is an error.

    Raises `ValueError`, which says what the text has that cannot be prepared, and shows none of it.
    """
    prepared = text if text.isascii() else _mapped(text)
    wrong = _broken_rule(prepared)
    if wrong:
        del text, prepared  # a traceback may show this frame
        raise ValueError(wrong)
    return prepared


def _mapped(text: str) -> str:
    """RFC 4013, 2.1 and 2.2. U+200B is in both tables of 2.1: here it goes, as in other
    implementations in Python."""
    import stringprep
    import unicodedata

    left = (character for character in text if not stringprep.in_table_b1(character))
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in left)
    return unicodedata.ucd_3_2_0.normalize("NFKC", mapped)


def _broken_rule(prepared: str) -> str:
    """What is in there that must not be; empty where all is well."""
    if prepared.isascii():
        return _CONTROL if any(c < " " or c == "\x7f" for c in prepared) else ""
    import stringprep

    for table, what in _PROHIBITED:
        if any(map(getattr(stringprep, table), prepared)):
            return what
    from_right = [stringprep.in_table_d1(character) for character in prepared]
    is_mixed = any(map(stringprep.in_table_d2, prepared)) or not (from_right[0] and from_right[-1])
    return _DIRECTIONS if any(from_right) and is_mixed else ""
