"""The IMAP commands of the selected state (RFC 3501 6.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from .imap_fetch import marks_seen, parse_items, render
from .imap_syntax import Argument, Bad, No, sequence_set, take, word, words
from .mailbox import DELETED, SEEN, Message

if TYPE_CHECKING:
    from .imap_server import IMAPSession

Handler = Callable[[Any, list[Argument]], Awaitable[str]]  # its first argument is the session

FLAGS = ("\\Answered", "\\Flagged", DELETED, SEEN, "\\Draft")
#: SEARCH keys without an argument.
SEARCH_KEYS: dict[str, Callable[[Message], bool]] = {
    "ALL": lambda message: True,
    "SEEN": lambda message: SEEN in message.flags,
    "UNSEEN": lambda message: SEEN not in message.flags,
    "DELETED": lambda message: DELETED in message.flags,
    "UNDELETED": lambda message: DELETED not in message.flags,
}


async def fetch(session: IMAPSession, arguments: list[Argument], *, uid: bool = False) -> str:
    """RFC 3501 6.4.5; UID FETCH always tells the UID (6.4.8)."""
    chosen, wanted = take(arguments, 2)
    items = parse_items(words(wanted))
    if uid and "UID" not in items:
        items = ["UID", *items]
    for number, message in pick(session, chosen, uid=uid):
        shown, current = items, message
        if marks_seen(items) and SEEN not in message.flags and not session.read_only:
            current = session.site.mailbox.change_flags(message.uid, add=[SEEN]) or message
            shown = items if "FLAGS" in items else [*items, "FLAGS"]
        session.send(b"* %d FETCH " % number + render(current, shown))
    return "done"


async def store(session: IMAPSession, arguments: list[Argument], *, uid: bool = False) -> str:
    """RFC 3501 6.4.6: FLAGS, +FLAGS and -FLAGS, each also .SILENT."""
    require_writable(session)
    chosen, how, *flags = arguments if len(arguments) > 2 else take(arguments, 3)
    action, _, silent = word(how).partition(".")
    if action not in ("FLAGS", "+FLAGS", "-FLAGS") or silent not in ("", "SILENT"):
        raise Bad("STORE item")
    named = known_flags(flags[0] if isinstance(flags[0], list) else flags)
    add = [] if action == "-FLAGS" else named
    remove: Iterable[str] = {"FLAGS": FLAGS, "+FLAGS": (), "-FLAGS": named}[action]
    for number, message in pick(session, chosen, uid=uid):
        changed = session.site.mailbox.change_flags(message.uid, add=add, remove=remove)
        if changed is not None and not silent:
            items = ["UID", "FLAGS"] if uid else ["FLAGS"]
            session.send(b"* %d FETCH " % number + render(changed, items))
    return "done"


async def search(session: IMAPSession, arguments: list[Argument], *, uid: bool = False) -> str:
    """RFC 3501 6.4.4, with all keys joined by "and". A character set is read over."""
    criteria = flatten(arguments)
    if criteria[:1] == ["CHARSET"]:
        criteria = criteria[2:]
    found = dict(pick(session, "1:*", uid=False))
    keys = iter(criteria)
    for key in keys:
        if key in SEARCH_KEYS:
            found = {n: message for n, message in found.items() if SEARCH_KEYS[key](message)}
        else:
            by_uid = key == "UID"
            chosen = dict(pick(session, next(keys, "") if by_uid else key, uid=by_uid))
            found = {number: message for number, message in found.items() if number in chosen}
    numbers = [message.uid if uid else number for number, message in found.items()]
    session.send(b"* SEARCH" + b"".join(b" %d" % number for number in numbers))
    return "done"


async def uid_(session: IMAPSession, arguments: list[Argument]) -> str:
    """RFC 3501 6.4.8."""
    command = UID_COMMANDS.get(word(arguments[0]) if arguments else "")
    if command is None:
        raise Bad("UID what?")
    return await command(session, arguments[1:], uid=True)


async def expunge(session: IMAPSession, arguments: list[Argument]) -> str:
    """RFC 3501 6.4.3. The session tells the numbers when it catches up."""
    require_writable(session)
    session.site.mailbox.expunge()
    return "done"


async def close(session: IMAPSession, arguments: list[Argument]) -> str:
    """RFC 3501 6.4.2."""
    if not session.read_only:
        session.site.mailbox.expunge()
    return await unselect(session, arguments)


async def unselect(session: IMAPSession, arguments: list[Argument]) -> str:
    """RFC 3691: close, and remove nothing."""
    session.commands = session.AUTHENTICATED
    return "closed"


async def check(session: IMAPSession, arguments: list[Argument]) -> str:
    """RFC 3501 6.4.1."""
    return "done"


def pick(session: IMAPSession, chosen: Argument, *, uid: bool) -> list[tuple[int, Message]]:
    """The messages of a sequence set, with their numbers. Those removed meanwhile are left out."""
    largest = max(session.view, default=0) if uid else len(session.view)
    is_chosen = sequence_set(word(chosen), largest)
    numbered = enumerate(session.view, start=1)
    pairs = [
        (number, session.site.mailbox.get(known))
        for number, known in numbered
        if is_chosen(known if uid else number)
    ]
    return [(number, message) for number, message in pairs if message is not None]


def flatten(argument: Argument) -> list[str]:
    """Key words, whatever parentheses are around them."""
    if not isinstance(argument, list):
        return [word(argument)]
    return [key for item in argument for key in flatten(item)]


def known_flags(argument: Argument) -> list[str]:
    """System flags in their usual spelling; flags of one's own are refused."""
    spelling = {flag.upper(): flag for flag in FLAGS}
    try:
        return [spelling[flag] for flag in words(argument)]
    except KeyError:
        raise No("only the system flags are kept") from None


def require_writable(session: IMAPSession) -> None:
    """After EXAMINE nothing changes (RFC 3501 6.3.2)."""
    if session.read_only:
        raise No("opened read-only")


UID_COMMANDS = {"FETCH": fetch, "STORE": store, "SEARCH": search}
COMMANDS: dict[str, Handler] = {
    **UID_COMMANDS,
    "UID": uid_,
    "EXPUNGE": expunge,
    "CLOSE": close,
    "UNSELECT": unselect,
    "CHECK": check,
}
