"""What the caller has to prove who he is. Masked when shown, never pickled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NoReturn

from ..errors import PolicyError
from ..secret import Secret as Secret
from ..values import Value

_SMART_QUOTES = "\u2018\u2019\u201c\u201d"
_LONGEST_TRACE = 255  # RFC 4505, 2


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
    was read from a file together with the end of its line. SCRAM prepares the text (RFC 4013);
    everything else sends it as UTF-8, as it is.

    `keep_salted`: what SCRAM derives from the password is kept on this object, so that signing in
    again, on other connections, costs nothing where the server's salt is still the same. It is as
    good as the password to sign in to that server.
    """

    __slots__ = ("_password", "_salted", "user")
    advice = "Check the user name and the password."

    def __init__(self, user: str, password: str | Secret, *, keep_salted: bool = False) -> None:
        password = password if isinstance(password, Secret) else Secret(password)
        self.user = user  # before anything is raised: a traceback may show this object
        wrong = _problem("user name", user) or _problem("password", password.reveal())
        if wrong:
            raise PolicyError(wrong[0], code="credentials-malformed", hint=wrong[1])
        self._password = Secret(password.reveal().encode())
        self._salted: dict[Any, Secret] | None = {} if keep_salted else None

    @property
    def password(self) -> Secret:
        """The password's octets, UTF-8."""
        return self._password

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What no message may repeat."""
        return (self._password.reveal(),)

    @property
    def is_ascii(self) -> bool:
        """Whether both can be sent by commands that know no encoding."""
        return self.user.isascii() and self._password.reveal().isascii()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What looks like a slip in copying, of the user name or the password; quotes neither."""
        both = (("user name", self.user), ("password", self._password.reveal().decode()))
        return tuple(doubt for what, text in both for doubt in _doubts(what, text))

    def salted(self, key: tuple[Any, ...], derive: Callable[[], bytes]) -> Secret:
        """SCRAM's salted password (RFC 5802, 3) for `key` (hash, salt, iterations): the kept one,
        or what `derive` makes."""
        if self._salted is None:
            return Secret(derive())
        kept = self._salted.get(key)
        if kept is None:
            kept = Secret(derive())
            self._salted = {key: kept}  # a server has one salt at a time; and threads share this
        return kept

    def __repr__(self) -> str:
        return f"Password({self.user!r}, <secret>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password is not pickled")


class External(Value):
    """Who signs in is told by the client certificate (EXTERNAL, RFC 4422, A), which the policy
    has: `TLSPolicy(client_certificate=…)`. `user`: whom to act as, where that is not the
    certificate's own."""

    advice: ClassVar[str] = "Check the client certificate, and whom the server takes it for."
    user: str = ""

    def _check(self) -> None:
        wrong = _problem("user name", self.user) if self.user else None
        if wrong:
            raise PolicyError(wrong[0], code="credentials-malformed", hint=wrong[1])


class Anonymous(Value):
    """Nobody in particular (ANONYMOUS, RFC 4505). `trace`: an address, or a word of up to 255
    characters, that the server's log may show; it is no secret."""

    advice: ClassVar[str] = "This server may know its users only."
    trace: str = ""

    def _check(self) -> None:
        wrong = _problem("trace", self.trace) if self.trace else None
        if wrong or len(self.trace) > _LONGEST_TRACE:
            found, hint = wrong or ("the trace has more than 255 characters.", "Shorten it.")
            raise PolicyError(found, code="credentials-malformed", hint=hint)


def _doubts(what: str, text: str) -> Iterator[str]:
    import unicodedata  # only after a refusal

    if text != text.strip():
        yield f"the {what} begins or ends with a blank"
    if any(quote in text for quote in _SMART_QUOTES):
        yield f"the {what} has a typographic quotation mark in it"
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'`":
        yield f"the {what} is in quotation marks"
    if any(unicodedata.category(character) == "Cf" for character in text):
        yield f"the {what} has an invisible character in it"
    inside = text.strip()
    if any(character.isspace() and character != " " for character in inside):
        yield f"the {what} has a blank in it that is no ordinary one (a no-break space, say)"
    if any(unicodedata.category(one) == "Pd" and one != "-" for one in inside):
        yield f"the {what} has a dash in it that is no ordinary hyphen"
    if any("\uff01" <= one <= "\uff5e" for one in inside):
        yield f"the {what} has a full-width character in it"
    if _is_mixed(inside):
        yield f"the {what} mixes letters of several alphabets, some of which look alike"


def _is_mixed(text: str) -> bool:
    """Latin letters beside Cyrillic or Greek ones."""
    import unicodedata

    names = (unicodedata.name(one, "").partition(" ")[0] for one in text if one.isalpha())
    return len(set(names) & {"LATIN", "CYRILLIC", "GREEK"}) > 1


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
