"""What the caller has to prove who he is. Masked when shown, never pickled."""

from __future__ import annotations

from typing import Any, NoReturn

from ..errors import PolicyError


class Secret:
    """Something that no `repr`, message, log or traceback shows; `reveal()` is where it comes out.

    A function that is handed a password rebinds the name to a `Secret` on its first line, so that
    a traceback that shows local variables shows this.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def encoded(secret: Secret, encoding: str) -> Secret:
    """The octets of a text, or of octets; `PolicyError` where it cannot be written so."""
    try:
        is_text = isinstance(secret.reveal(), str)
        return Secret(secret.reveal().encode(encoding)) if is_text else secret
    except UnicodeEncodeError:
        pass
    # Outside of the handler: that error has the whole text on it.
    raise PolicyError(
        f"a sign-in cannot be written as {encoding}.",
        code="encoding",
        hint="Use login(user, password), which takes any text.",
    )


class Password:
    """A user name and its password, as text.

    Refused with `PolicyError`: an empty one, and one with a line break or NUL, which most often
    was read from a file together with the end of its line. The text is sent as UTF-8, as it is.
    """

    __slots__ = ("_password", "user")

    def __init__(self, user: str, password: str | Secret) -> None:
        password = password if isinstance(password, Secret) else Secret(password)
        self.user = user  # before anything is raised: a traceback may show this object
        wrong = _problem("user name", user) or _problem("password", password.reveal())
        if wrong:
            raise PolicyError(wrong[0], code="credentials-malformed", hint=wrong[1])
        self._password = Secret(password.reveal().encode())

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


def _problem(what: str, text: object) -> tuple[str, str] | None:
    """What is wrong with `text`, and what to do. Returned, not raised, and not quoting it: the
    frame that holds the text must not end up in a traceback."""
    if not isinstance(text, str):
        return (f"the {what} is {type(text).__name__}, not text.", "Give it as str.")
    if not text:
        return (f"the {what} is empty.", "Was a setting or an environment variable left out?")
    if any(control in text for control in "\r\n\0"):
        return (
            f"the {what} has a line break or a NUL in it.",
            "If it was read from a file, take the end of the line off: text.rstrip('\\n').",
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        return (f"the {what} cannot be written as UTF-8.", "It holds half a character.")
    return None
