"""What the caller has to prove who he is. Masked when shown, never pickled."""

from __future__ import annotations

from typing import NoReturn

from ..errors import PolicyError


class Secret:
    """Octets that no `repr`, message, log or traceback shows; `reveal()` is where they come out."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class Password:
    """A user name and its password, as text.

    Refused with `PolicyError`: an empty one, and one with a line break or NUL, which most often
    was read from a file together with the end of its line. The text is sent as UTF-8, as it is.
    """

    __slots__ = ("_password", "user")

    def __init__(self, user: str, password: str) -> None:
        self.user = _encode("user name", user).decode()
        self._password = Secret(_encode("password", password))

    @property
    def password(self) -> Secret:
        """The password's octets, UTF-8."""
        return self._password

    @property
    def is_ascii(self) -> bool:
        """Whether both can be sent by commands that know no encoding."""
        return self.user.isascii() and self._password.reveal().isascii()

    def __repr__(self) -> str:
        return f"Password({self.user!r}, <secret>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password is not pickled")


def _encode(what: str, text: str) -> bytes:
    """UTF-8; no error here may quote the text, which a UnicodeEncodeError would."""
    if not isinstance(text, str):
        raise PolicyError(
            f"the {what} is {type(text).__name__}, not text.", code="credentials-malformed"
        )
    if not text:
        raise PolicyError(
            f"the {what} is empty.",
            code="credentials-malformed",
            hint="Was a setting or an environment variable left out?",
        )
    if not text.isprintable() and any(c in text for c in "\r\n\0"):
        raise PolicyError(
            f"the {what} has a line break or a NUL in it.",
            code="credentials-malformed",
            hint="If it was read from a file, take the end of the line off: text.rstrip('\\n').",
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise PolicyError(f"the {what} cannot be written as UTF-8.", code="credentials-malformed")
