"""Our classes sign in to each real server by each mechanism that it has: accepted, refused, chosen.

What a client says of it is compared with what the server has logged. The table of docs/sign-ins.md
is made of what the tests of this file ask for, so that a server that is absent leaves it as it is;
to write it anew: SECUREMAIL_WRITE_TABLES=1 python -m pytest tests/test_real_sign_in.py -k document

The control, with clients that are not ours: `test_servers_sign_in.py`, `test_servers_dovecot24.py`.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    Anonymous,
    AuthenticationFailed,
    AuthPolicy,
    ClientCertificate,
    CredentialsRefused,
    External,
    Password,
    Token,
    WeakMechanismWarning,
)
from securemail.report import AuthReport
from servers.dovecot import Dovecot
from servers.dovecot24 import PLUS, Dovecot24, running
from servers.ours import STANDARD_ERRORS, WAYS, Site, offered_by
from servers.pki import PKI
from servers.processes import open_folder, skipped_where_unavailable
from tables import WRITING

real_server = pytest.mark.real_server
DOCUMENT = Path(__file__).parent.parent / "docs" / "sign-ins.md"

# -- what there is: the rows of the table, and its columns

SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
PASSWORDS = (*(f"{name}-PLUS" for name in SCRAM), *SCRAM, "PLAIN", "LOGIN", "CRAM-MD5")
TOKENS = ("OAUTHBEARER", "XOAUTH2")
COMMANDS = {"imap": "the LOGIN command", "pop3": "USER and PASS", "smtp": ""}
ROWS = (*PASSWORDS, *TOKENS, "EXTERNAL", "ANONYMOUS", "APOP", *filter(None, COMMANDS.values()))
GUESSABLE = ("CRAM-MD5", "APOP")

OF_DOVECOT = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", *TOKENS)
ALONE = ("EXTERNAL", "ANONYMOUS")


@dataclass(frozen=True)
class Column:
    """A server and a protocol. `mechanisms`: what it offers, of what we know. `commands`: another
    server of that kind (its fixture), which leaves no other way than the protocol's own command to
    who wants LOGIN."""

    title: str
    server: str
    protocol: str
    mechanisms: tuple[str, ...]
    commands: str = ""

    @property
    def id(self) -> str:
        return f"{self.server} {self.protocol}"


COLUMNS = (
    Column("Dovecot 2.3, IMAP", "full_dovecot", "imap", (*OF_DOVECOT, *ALONE), "plain_dovecot"),
    Column(
        "Dovecot 2.3, POP3", "full_dovecot", "pop3", (*OF_DOVECOT, *ALONE, "APOP"), "plain_dovecot"
    ),
    Column(
        "Dovecot 2.4, IMAP",
        "full_dovecot24",
        "imap",
        ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", *OF_DOVECOT, *ALONE),
        "dovecot24_tls12",
    ),
    Column(
        "Dovecot 2.4, POP3",
        "full_dovecot24",
        "pop3",
        ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", *OF_DOVECOT, *ALONE, "APOP"),
        "dovecot24_tls12",
    ),
    Column("Postfix with Dovecot, SMTP", "full_postfix", "smtp", OF_DOVECOT),
    Column(
        "Postfix with Cyrus SASL, SMTP",
        "cyrus_postfix",
        "smtp",
        (*SCRAM, "PLAIN", "LOGIN", "CRAM-MD5"),
    ),
)

# With which policy a mechanism binds, where: the server, `channel_binding`, what comes of it.
BINDINGS = (
    ("dovecot24_tls12", "prefer", "tls-unique"),
    ("dovecot24_tls12", "require", "tls-unique"),
    ("full_dovecot24", "require", "tls-exporter"),
)


@dataclass(frozen=True)
class Cell:
    """One way to sign in. `row`: as the table has it; `name`: as our report has it; `wanted`: what
    the policy names; `logged`: what the server takes it for; `others`: what else it offers."""

    server: str
    protocol: str
    row: str
    name: str
    wanted: str
    logged: str
    others: tuple[str, ...]
    policy: str = "prefer"
    binding: str = ""

    @property
    def id(self) -> str:
        bound = f", {self.policy}: {self.binding}" * bool(self.binding)
        return f"{self.server} {self.protocol}, {self.row}{bound}"

    @property
    def user(self) -> str:
        """As the server calls who is signed in."""
        return {"EXTERNAL": "bob", "ANONYMOUS": "anonymous"}.get(self.row, "alice")


def cells_of(column: Column) -> Iterator[Cell]:
    for name in column.mechanisms:
        if not name.endswith("-PLUS"):
            yield cell(column, name)
            continue
        for server, policy, binding in BINDINGS:
            others = column.mechanisms if server == column.server else OF_TLS12
            yield cell(column, name, server=server, others=others, policy=policy, binding=binding)
    if column.commands:
        name = {"imap": "LOGIN", "pop3": "USER"}[column.protocol]
        others = OF_TLS12 if column.commands == "dovecot24_tls12" else OF_PLAIN
        yield cell(
            *(column, COMMANDS[column.protocol]),
            server=column.commands,
            name=name,
            wanted="LOGIN",
            logged="PLAIN",
            others=others,
        )


def cell(column: Column, row: str, **different: Any) -> Cell:
    names = {"name": row, "wanted": row, "logged": row, "others": column.mechanisms}
    given = {"server": column.server, **names, **different}
    return Cell(protocol=column.protocol, row=row, **given)


OF_PLAIN = ("SCRAM-SHA-256", "PLAIN")
OF_TLS12 = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")
CELLS = [one for column in COLUMNS for one in cells_of(column)]

Get = Callable[[str], Any]
each_way = pytest.mark.parametrize("way", WAYS)
each_column = pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.id)


def each(cells: list[Cell]) -> Any:
    return pytest.mark.parametrize("cell", cells, ids=lambda cell: cell.id)


# -- the servers


@pytest.fixture(scope="module")
def plain_dovecot(pki: PKI) -> Iterator[Dovecot]:
    """For who wants LOGIN there is no mechanism, and the protocol's own command is left."""
    with open_folder() as folder:
        with skipped_where_unavailable():
            server = Dovecot(folder, pki["good"], mechanisms=[name.lower() for name in OF_PLAIN])
        with server:
            yield server


@pytest.fixture(scope="module")
def dovecot24_tls12(pki: PKI) -> Iterator[Dovecot24]:
    """Goes no further than TLS 1.2; likewise without LOGIN."""
    mechanisms = ("plain", "scram-sha-1", "scram-sha-256", *PLUS)
    with running(pki["good"], mechanisms=mechanisms, ssl_max_protocol="TLSv1.2") as server:
        yield server


class World:
    """Where the cells are, and who signs in there."""

    def __init__(self, get: Get, pki: PKI) -> None:
        self._get, self._pki = get, pki

    def site(self, place: Cell | Column, way: str) -> Site:
        return Site(self._get(place.server), place.protocol, way, self._pki.ca_pem)

    def terms(self, row: str, policy: str = "prefer") -> dict[str, Any]:
        """Of the TLS policy."""
        if row != "EXTERNAL":
            return {"channel_binding": policy}
        return {"client_certificate": ClientCertificate(self._pki.client_certificate("bob"))}

    def right(self, site: Site, row: str) -> Any:
        if row in TOKENS:
            return Token("alice", "token-of-alice")
        alone = {"EXTERNAL": External(), "ANONYMOUS": Anonymous("somebody@example.org")}
        return alone.get(row) or Password("alice", site.server.users["alice"])

    def wrong(self, row: str) -> Any:
        """Bob's certificate does not make him Alice."""
        if row in TOKENS:
            return Token("alice", "token-of-nobody")
        return External("alice") if row == "EXTERNAL" else Password("alice", "wrong")


@pytest.fixture
def world(request: pytest.FixtureRequest, pki: PKI) -> World:
    return World(request.getfixturevalue, pki)


def warned_of(name: str) -> contextlib.AbstractContextManager[Any]:
    if name not in GUESSABLE:
        return contextlib.nullcontext()
    return pytest.warns(WeakMechanismWarning, match=name)


# -- each cell


@real_server
@each_way
@each(CELLS)
def test_is_accepted(cell: Cell, way: str, world: World) -> None:
    site = world.site(cell, way)
    who = world.right(site, cell.row)
    with site.logging(cell.user, cell.logged, True, binding=cell.binding), warned_of(cell.name):
        with site.connected(cell.wanted, **world.terms(cell.row, cell.policy)) as client:
            client.authenticate(who)
            assert client.report.auth == AuthReport(
                user=getattr(who, "user", None) or None,
                mechanism=cell.name,
                channel_binding=cell.binding or None,
            )


@real_server
@each_way
@each([cell for cell in CELLS if cell.row != "ANONYMOUS"])
def test_is_refused_once(cell: Cell, way: str, world: World) -> None:
    """By the mechanism that was wanted, and nothing follows, whoever asks for it."""
    site = world.site(cell, way)
    who = world.right(site, cell.row)
    with site.logging(cell.user, cell.logged, False, binding=cell.binding), warned_of(cell.name):
        with site.connected(cell.wanted, **world.terms(cell.row, cell.policy)) as client:
            with pytest.raises(AuthenticationFailed) as raised:
                client.authenticate(world.wrong(cell.row))
            with pytest.raises(CredentialsRefused) as declined:
                client.authenticate(who)
            assert client.report.auth is None
    error = raised.value
    assert isinstance(error, STANDARD_ERRORS[cell.protocol])
    assert (error.code, declined.value.code) == ("authentication", "sign-in-declined")
    assert error.mechanism == cell.name
    assert error.offered == expected_offer(cell)
    advised = re.search(r'auth=AuthPolicy\(mechanisms=\("([A-Z0-9-]+)",\)\)', error.hint)
    assert (advised[1] if advised else None) == expected_advice(cell)
    if advised and way == "TLS":  # it is done, and works; with STARTTLS it would be the same
        with warned_of(advised[1]):
            with site.connected(advised[1], **world.terms(cell.row, cell.policy)) as client:
                client.authenticate(who)
                assert client.report.auth.mechanism == advised[1]


def expected_offer(cell: Cell) -> tuple[str, ...]:
    """The other mechanisms of that server for the same credentials, the strongest first."""
    kinds = ((*PASSWORDS, "APOP"), TOKENS, ("EXTERNAL",))
    (kind,) = (one for one in kinds if cell.wanted in one)
    # IMAP's LOGIN has the name of a mechanism.
    there = {*cell.others, "LOGIN"} if cell.protocol == "imap" else set(cell.others)
    return tuple(name for name in kind if name in there and name != cell.name)


def expected_advice(cell: Cell) -> str | None:
    """The first that can be done on a connection of such a policy."""
    for name in expected_offer(cell):
        is_bound = name.endswith("-PLUS")
        if cell.policy == "require" and not is_bound:
            continue
        if not is_bound or cell.server == "dovecot24_tls12" or cell.policy == "require":
            return name
    return None


# -- by the default policy

STRONGEST = {"cyrus_postfix": "SCRAM-SHA-512"}


@real_server
@each_way
@each_column
def test_the_strongest_is_chosen(column: Column, way: str, world: World) -> None:
    expected = {
        STRONGEST.get(column.server, "SCRAM-SHA-256"): "PLAIN",
        "OAUTHBEARER": "OAUTHBEARER",
        "EXTERNAL": "EXTERNAL",
        "ANONYMOUS": "ANONYMOUS",
    }
    site = world.site(column, way)
    for name, row in expected.items():
        if name in column.mechanisms:
            assert chosen_at(site, world, row) == (name, None)


@real_server
@each_way
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_the_strongest_is_one_that_binds(protocol: str, way: str, world: World) -> None:
    for server, policy, binding in BINDINGS:
        site = world.site(Column("", server, protocol, ()), way)
        found = chosen_at(site, world, "SCRAM-SHA-256-PLUS", policy)
        assert found == ("SCRAM-SHA-256-PLUS", binding)


def chosen_at(site: Site, world: World, row: str, policy: str = "prefer") -> tuple[str, str | None]:
    with site.connected(**world.terms(row, policy)) as client:
        client.authenticate(world.right(site, row))
        return client.report.auth.mechanism, client.report.auth.channel_binding


# -- what is not there


@real_server
@each_way
@each_column
def test_nothing_else_is_offered(column: Column, way: str, world: World) -> None:
    """What has a dash in the table. DIGEST-MD5 is historic (RFC 6331), and not ours."""
    site = world.site(column, way)
    with site.connected() as client:
        sasl = set(column.mechanisms) - {"APOP"}
        assert offered_by(client) == {*sasl, "DIGEST-MD5"}
        if column.protocol == "pop3":
            assert (b"<" in client._greeting) is ("APOP" in column.mechanisms)


@real_server
@pytest.mark.parametrize("server", ["full_dovecot imap", "cyrus_postfix smtp"])
def test_what_is_not_offered_is_not_tried(server: str, world: World) -> None:
    (column,) = (column for column in COLUMNS if column.id == server)
    site = world.site(column, "TLS")
    before = site.server.sign_ins_begun()
    with site.connected("SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS") as client:
        with pytest.raises(CredentialsRefused) as raised:
            client.authenticate(world.right(site, "PLAIN"))
    assert raised.value.code == "no-mechanism"
    assert raised.value.credentials_sent is False
    assert site.server.sign_ins_begun() == before


# -- the document


def table() -> str:
    lines = [
        f"| mechanism | {' | '.join(column.title for column in COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    for row in ROWS:
        found = [said(column, row) for column in COLUMNS]
        shown = row if row in COMMANDS.values() else f"`{row}`"
        lines.append(f"| {shown} | {' | '.join(found)} |")
    return "\n".join(lines) + "\n"


def said(column: Column, row: str) -> str:
    cells = [cell for cell in cells_of(column) if cell.row == row]
    bindings = sorted({f"`{cell.binding}`" for cell in cells if cell.binding}, reverse=True)
    return (f"yes, {', '.join(bindings)}" if bindings else "yes") if cells else "–"  # noqa: RUF001


def test_the_document_has_this_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    if WRITING:
        text = text[: text.index("| mechanism |")] + table()
        DOCUMENT.write_text(text, encoding="utf-8")
    assert text.endswith(table())


def test_the_table_has_a_row_for_whatever_can_be_asked_for() -> None:
    known = {name for name in (*AuthPolicy().mechanisms, *GUESSABLE) if isinstance(name, str)}
    assert set(ROWS) - set(COMMANDS.values()) == known
    assert {name for column in COLUMNS for name in column.mechanisms} <= known
