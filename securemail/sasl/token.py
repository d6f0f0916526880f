"""A bearer token (RFC 6750), given or fetched when it is needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn

from ..errors import PolicyError
from .credentials import Secret, _problem

Provider = Callable[[bool], str | Awaitable[str]]


class Token:
    """A user name and an OAuth 2.0 access token, or the function that gets one.

        Token("ada@example.org", access_token)
        Token("ada@example.org", provider)

    `provider(refused)` is called for each sign-in; it returns the token, or is a coroutine
    function that does. `refused` is True where the server has just declined the token that it
    returned before: then it should renew, not look into its cache. That happens once; a second
    refusal is the end. What it raises reaches the caller of `authenticate`, and how long it may
    take is for it to say: no limit of ours holds there.
    """

    __slots__ = ("_source", "user")
    advice = "Check the user name and the token's scope, owner and expiry."

    def __init__(self, user: str, token: str | Secret | Provider) -> None:
        is_given = isinstance(token, (str, Secret))
        token = Secret(token) if not isinstance(token, Secret) else token
        self.user = user  # before anything is raised: a traceback may show this object
        self._source: Secret | Provider = token if is_given else token.reveal()
        if wrong := _problem("user name", user):
            raise PolicyError(wrong[0], code="credentials-malformed", hint=wrong[1])
        if "\x01" in user:  # it ends a field of the message
            raise PolicyError(
                "the user name has a control character in it.",
                code="credentials-malformed",
                hint="Give it as the provider shows it, most often an address.",
            )
        if is_given:
            _require_token(token)
        else:
            _require_provider(token)

    @property
    def token(self) -> Secret:
        """The token's octets. Only of one that was given or fetched: see `attempts`."""
        assert isinstance(self._source, Secret)
        return Secret(self._source.reveal().encode())

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What no message may repeat."""
        return (self.token.reveal(),) if isinstance(self._source, Secret) else ()

    def attempts(self) -> Iterator[Token]:
        """This user with a token that is there; a second one after the first was declined, where
        the provider has another."""
        if isinstance(self._source, Secret):
            yield self
            return
        first = _fetch(self._source, refused=False)
        yield Token(self.user, first)
        second = _fetch(self._source, refused=True)
        if second.reveal() != first.reveal():
            yield Token(self.user, second)

    def __repr__(self) -> str:
        kind = "<secret>" if isinstance(self._source, Secret) else "<provider>"
        return f"Token({self.user!r}, {kind})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is not pickled")


def _require_provider(provider: Secret) -> None:
    """Here and not at the first sign-in, where a `TypeError` could be the provider's own."""
    import inspect

    if not callable(provider.reveal()):
        raise PolicyError(
            f"the token is {type(provider.reveal()).__name__}: neither text nor a function.",
            code="credentials-malformed",
            hint="Give the access token as str, or a function provider(refused).",
        )
    try:
        inspect.signature(provider.reveal()).bind(False)
    except ValueError:  # what is not written in Python may not tell
        return
    except TypeError as error:
        raise PolicyError(
            f"the token's provider cannot be called with one argument ({error}).",
            code="credentials-malformed",
            hint="It is called as provider(refused): True where the server has just declined the "
            "token that it returned before.",
        ) from None


def _fetch(provider: Provider, *, refused: bool) -> Secret:
    found: Any = provider(refused)
    return Secret(_awaited(found) if hasattr(found, "__await__") else found)


def _awaited(found: Awaitable[str]) -> str:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def wait() -> str:
        return await found

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    # The loop of this thread waits for us, so that it cannot run what we wait for.
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, wait()).result()


def _require_token(token: Secret) -> None:
    """Visible ASCII without blanks: more than RFC 6750, 2.1 allows, and nothing that could end a
    field of the message."""
    raise_for = _token_problem(token.reveal())
    if raise_for:
        raise PolicyError(raise_for[0], code="credentials-malformed", hint=raise_for[1])


def _token_problem(token: object) -> tuple[str, str] | None:
    """As `_problem`: returned, not raised, because this frame holds the token."""
    if not isinstance(token, str):
        kind = "nothing" if token is None else type(token).__name__
        return (f"the token is {kind}, not text.", "Give the access token as str.")
    if not token:
        return ("the token is empty.", "Was a setting or an environment variable left out?")
    if token.lower().startswith("bearer "):
        return ('the token begins with "Bearer".', "Leave that word out: it is added.")
    if not all("!" <= character <= "~" for character in token):
        return (
            "the token has blanks, line breaks or other characters that no token has.",
            "If it was read from a file, take the end of the line off: text.strip().",
        )
    return None
