"""What servers said, in their own words, and the hint that each gets."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securemail.answers import TABLE, hint_for
from securemail.answers.answer import Said

OUTLOOK, GMAIL = "outlook.office365.com", "imap.gmail.com"
OTHER = "mail.example.org"

SAID: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "vectors" / "answers.toml").read_text(encoding="utf-8")
)["said"]


def heard(row: dict[str, Any]) -> tuple[str, str, bytes, int | None]:
    return row["protocol"], row["host"], row["words"].encode(), row.get("code")


@pytest.mark.parametrize("row", SAID, ids=lambda row: f"{row['host']}: {row['words'][:40]}")
def test_the_hint_for_what_a_server_said(row: dict[str, Any]) -> None:
    assert row["hint"] in hint_for(*heard(row))


@pytest.mark.parametrize("row", SAID, ids=lambda row: f"{row['host']}: {row['words'][:40]}")
def test_who_signed_in_by_a_token_is_told_nothing_of_passwords(row: dict[str, Any]) -> None:
    hint = hint_for(*heard(row), password=False)
    assert "password" not in hint.lower()
    assert "use a token" not in hint.lower()


def test_what_is_no_matter_of_the_password_is_told_to_everybody() -> None:
    words = (
        b"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
    )
    assert "for the whole organisation" in hint_for(
        "smtp", "smtp.office365.com", words + b"Tenant.", password=False
    )


def first_fit(row: dict[str, Any]) -> int:
    said = Said.read(*heard(row))
    return next(number for number, one in enumerate(TABLE) if one.fits(said))


def test_every_answer_of_the_table_is_met_by_words_that_a_server_said() -> None:
    """None stands where another one before it takes all that is meant for it."""
    met = {first_fit(row) for row in SAID}
    assert [TABLE[number] for number in range(len(TABLE)) if number not in met] == []


@pytest.mark.parametrize(
    ("protocol", "host", "words", "code"),
    [
        ("imap", OTHER, "Sorry", None),
        ("imap", OTHER, "", None),
        ("pop3", OTHER, "-ERR no", None),
        ("smtp", OTHER, "5.3.0 no", 550),
        # a code in another place, or of another protocol
        ("imap", OTHER, "see [UNAVAILABLE]", None),
        ("imap", OTHER, "535 times tried", None),
        ("imap", OTHER, "451 times tried", None),
        ("smtp", OTHER, "version 15.7.30", 550),
        ("smtp", OTHER, "from 5.7.30.1", 550),
    ],
)
def test_what_is_not_known_gets_no_hint(
    protocol: str, host: str, words: str, code: int | None
) -> None:
    assert hint_for(protocol, host, words.encode(), code) == ""


@pytest.mark.parametrize("host", ["gmail.com", "IMAP.Gmail.com.", "imap.googlemail.com"])
def test_a_provider_is_known_by_the_end_of_its_name(host: str) -> None:
    assert "Google" in hint_for("imap", host, b"[AUTHENTICATIONFAILED] no")


@pytest.mark.parametrize("host", ["notgmail.com", "gmail.com.example.org", "gmail", ""])
def test_and_by_nothing_else(host: str) -> None:
    assert "Google" not in hint_for("imap", host, b"[AUTHENTICATIONFAILED] no")


@pytest.mark.parametrize(
    ("protocol", "words", "code"),
    [
        ("imap", "[UNAVAILABLE] Try again", None),
        ("pop3", "-ERR [SYS/TEMP] Try again", None),
        ("pop3", "-ERR [IN-USE] Try again", None),
        ("imap", "[INUSE] Try again", None),
        ("imap", "[LIMIT] Try again", None),
        ("smtp", "4.7.0 Try again", 454),
        ("smtp", "Try again", 421),
    ],
)
@pytest.mark.parametrize(
    "host",
    [OTHER, OUTLOOK, GMAIL, "imap.aol.com", "imap.gmx.net", "imap.zoho.com", "imap.mail.me.com"],
)
def test_a_passing_trouble_says_that_the_password_may_be_right(
    host: str, protocol: str, words: str, code: int | None
) -> None:
    """At a provider that is known for another trouble as well."""
    assert hint_for(protocol, host, words.encode(), code).startswith("The password may be right")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("4.7.0 Internal error", 451),
        ("451 4.7.0 Internal error", None),
        ("451-4.7.0 Internal\r\n451 4.7.0 error", None),
        ("451 4.7.0 INTERNAL\n\terror", None),
    ],
)
def test_the_reply_code_may_stand_in_the_words(words: str, code: int | None) -> None:
    for protocol in ("smtp", "SMTP over TLS", "SMTP with STARTTLS"):
        assert "trouble of its own" in hint_for(protocol, OTHER, words.encode(), code)


@pytest.mark.parametrize("words", ["[AUTH] no", "-ERR [AUTH] no", "-ERR [auth]", "NO [AUTH] no"])
def test_the_code_in_brackets_may_follow_the_status(words: str) -> None:
    assert "is wrong" in hint_for("pop3", OTHER, words.encode())


def test_every_hint_is_a_sentence_of_ours() -> None:
    """Nothing of the server's words is repeated, and nothing says that verification may go."""
    for one in TABLE:
        assert one.hint[0].isupper()
        assert one.hint.endswith((".", "?"))
        assert len(one.hint) < 300
        assert one.text == one.text.lower()
        assert one.response == one.response.upper()
        assert all(host == host.lower() and not host.startswith(".") for host in one.hosts)


@given(
    st.sampled_from(["imap", "pop3", "smtp"]),
    st.text(max_size=30),
    st.binary(max_size=200),
    st.none() | st.integers(200, 599),
)
def test_whatever_the_words_are(protocol: str, host: str, words: bytes, code: int | None) -> None:
    assert hint_for(protocol, host, words, code) in {"", *(one.hint for one in TABLE)}


def test_long_words_take_no_long_time() -> None:
    for words in (b"[" * 10**6, b"5." * 10**6, b" " * 10**6, b"535-" * 10**6):
        assert isinstance(hint_for("smtp", OTHER, words), str)
