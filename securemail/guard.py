"""What may be said over what: by the command's name, never by looking for words in octets.

Verbs of the standard modules, and commands that a caller spells himself (`docmd`, `xatom`), come
through here before they are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from .channel import Verified, has_ended, require_verified
from .errors import PlaintextWarning, PolicyError, printable, warn
from .report import AuthReport
from .secret import Secret
from .signing_in import SigningIn
from .values import Value

Kind = Literal["secret", "content", "neutral"]


class Commands(Value, kw_only=True):
    """A protocol's commands, upper case. `secret`: they carry a credential. `neutral`: they tell
    nothing and are answered with nothing worth knowing. Any other carries mail, or may; of these
    `content` are the ones that are known."""

    secret: frozenset[str]
    neutral: frozenset[str]
    content: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """Names of commands, which the next line of a sign-in is not."""
        return self.secret | self.neutral | self.content

    def kind(self, command: str) -> Kind:
        """What `command`, its name alone, can carry."""
        if command in self.secret:
            return "secret"
        return "neutral" if command in self.neutral else "content"


def first_word(line: bytes | str) -> str:
    """The command's name, as a server reads it: in any case, after any blanks."""
    text = line if isinstance(line, str) else line.decode("latin-1")
    words = text.split(None, 1)
    return words[0].upper() if words else ""


class Guarded(SigningIn):
    """The part of a connection that decides what may be sent now."""

    _COMMANDS: ClassVar[Commands]

    _plaintext: str | None = None  # why mail may travel in clear, without a sign-in
    _told: bool = False  # that it does
    _spelled: str = ""  # the sign-in that the caller spells himself, while it is under way
    _spelled_in_vain: bool = False  # one was declined, and a script may go on with its next line
    _asked: bool = False  # the server has asked for more of it: the next line is secret

    def _kind(self, command: str) -> Kind:
        if self._asked or (self._spelled_in_vain and command not in self._COMMANDS.known):
            return "secret"
        return self._COMMANDS.kind(command)

    def _admit(self, command: str) -> Kind:
        """What `command` can carry; or `CredentialsRefused`, `PolicyError` where it may not be
        sent over what there is now."""
        self._raise_ended()
        kind = self._kind(command)
        if kind == "secret":
            self._require_fresh()
        elif kind == "content":
            self._require_content(command)
        return kind

    def _admit_all(self, commands: Iterable[str], *, whole: bool) -> bool:
        """Admit each of several lines that are sent as one; whether any of them is secret. In clear
        half a line may be half of a sign-in: lines are sent `whole` there, or not at all."""
        if not whole and not isinstance(self._current_channel(), Verified):
            self._require_fresh()
        return "secret" in {self._admit(command) for command in commands}

    def _require_content(self, command: str) -> None:
        """Mail in clear only to this computer, or with a reason, and with a warning."""
        channel = self._current_channel()
        # Where TLS was and has ended, no reason to do without was meant.
        if isinstance(channel, Verified) or has_ended(self.sock):
            return require_verified(channel, self.sock, **self._details())
        signed_in = self._auth_report.in_clear if self._auth_report else None
        reason = (
            self._plaintext
            or signed_in
            or ("the server is this computer" if self._is_local() else None)
        )
        if reason is None:
            raise PolicyError(
                f"{printable(command, 20) or 'this'} would send or ask for mail in clear: "
                f"{channel.why}.",
                code="content-in-clear",
                hint="Upgrade first (starttls, stls), or connect with one of the _SSL or _STARTTLS "
                'classes. For a relay that has no TLS: plaintext="why", which warns.',
                **self._details(),
            )
        if not self._told:
            self._told = True
            warn(PlaintextWarning(f"{self._endpoint}: mail travels in clear, because: {reason}."))
        return None

    # -- a sign-in that the caller spells himself: held back and reported like our own

    def _begin_spelled(self, command: str) -> str:
        """A line of it goes out; what may be shown of that."""
        self._sent = "the password"
        if self._asked:
            self._asked = False
            return "<secret>"
        self._spelled = command
        self._hush(Secret(()), learns=True)
        return f"{command} <secret>"

    def _spelled_is_answered(self, kind: str, words: bytes) -> None:
        """The server answered, by a challenge, success or refusal."""
        if not self._spelled:
            return
        if kind == "challenge":
            self._asked = True
            return
        name, self._spelled, self._asked = self._spelled, "", False
        words = self._without_secrets(words)
        self._hush(None)
        if kind == "success":
            self._auth_report = AuthReport(user=None, mechanism=name)
        else:
            self._spelled_in_vain = True
            self._declined = f'the server declined {name} with "{printable(words)}"'
