"""What every test can ask for: certificates and servers on loopback.

Where Dovecot or Postfix cannot run, the tests that need them are skipped; with
SECUREMAIL_REQUIRE_SERVERS=1 in the environment they fail instead. `scripts/install-test-servers`
installs both.
"""

import contextlib
import gc
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import census
from securemail import policy_file as policy_file_module
from securemail.testing import Authority
from servers import cyrus
from servers.aiosmtpd_server import AiosmtpdServer
from servers.clients import strict_context
from servers.dovecot import ALL_MECHANISMS, ALL_USERS, Dovecot, verifiers
from servers.dovecot24 import ALL_MECHANISMS_24, Dovecot24, running
from servers.introspection import Introspection
from servers.pki import PKI
from servers.places import Place
from servers.postfix import Postfix
from servers.processes import open_folder, skipped_where_unavailable
from servers.recording import RecordingServer, Script
from tables import _compared_with_the_document as _compared_with_the_document
from tables import write

# Files that take long, as against the number of their tests; begun last they would be waited for,
# by one process of several. Those that wait for their servers and those that compute, in turns.
LONGEST = (
    "test_bad_servers",
    "test_certificates",
    "test_census_imap",
    "test_upgrade_ends",
    "test_docs",
    "test_census_smtp",
    "test_census_pop3",
    "test_servers_sign_in",
    "test_transcript_redaction",
    "test_real_servers",
    "test_slow_lines",
    "test_known_servers",
    "test_broken_replies",
    "test_real_sign_in",
    "test_hostile_kit",
    "test_real_transcript",
    "test_real_scram",
    "test_channel_binding",
    "test_dropin",
    "test_plain_connections",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then those with the most tests. Within a file nothing changes."""
    tests = Counter(item.path for item in items)
    ranks = {name: rank for rank, name in enumerate(LONGEST)}

    def order(item: pytest.Item) -> tuple[int, int]:
        return ranks.get(item.path.stem, len(LONGEST)), -tests[item.path]

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """Eleven thousand tests are nothing to look through, each time that garbage is collected."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    write()
    census.write()


@pytest.fixture(autouse=True)
def _a_program_of_its_own() -> None:
    """What a relative SECUREMAIL_POLICY means is settled once in a program; a test is one."""
    policy_file_module._meant.clear()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return PKI(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def policy_file(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever says nothing else: that authority is believed."""
    authority.write_ca(tmp_path / "ca.pem")
    path = tmp_path / "securemail.toml"
    path.write_text('[default]\ntrust = { ca = "ca.pem" }\n', encoding="utf-8")
    monkeypatch.setenv("SECUREMAIL_POLICY", str(path))


@pytest.fixture
def client_context(pki: PKI) -> ssl.SSLContext:
    """A client's context that trusts the tests' root; see `strict_context`."""
    return strict_context(pki.ca_pem)


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """For a Dovecot or Postfix of one test's own."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def dovecot(pki: PKI) -> Iterator[Dovecot]:
    with open_folder() as folder:
        with skipped_where_unavailable():
            server = Dovecot(folder, pki["good"])
        with server:
            yield server


@pytest.fixture(scope="session")
def postfix(pki: PKI, dovecot: Dovecot) -> Iterator[Postfix]:
    with open_folder() as folder:
        with skipped_where_unavailable():
            server = Postfix(folder, pki["good"], dovecot)
        with server:
            yield server


@pytest.fixture(scope="session")
def introspection() -> Iterator[Introspection]:
    """Who revokes a token in a test puts it back."""
    with Introspection({f"token-of-{user}": user for user in ALL_USERS}) as server:
        yield server


@pytest.fixture(scope="session")
def full_dovecot(pki: PKI, introspection: Introspection) -> Iterator[Dovecot]:
    """With all mechanisms, and users for whom it has but a SCRAM verifier."""
    with open_folder() as folder:
        with skipped_where_unavailable():
            server = Dovecot(
                folder,
                pki["good"],
                mechanisms=ALL_MECHANISMS,
                users=ALL_USERS,
                stored=verifiers(),
                introspection=introspection,
                client_ca=pki.ca_pem,
            )
        with server:
            yield server


@pytest.fixture(scope="session")
def full_postfix(pki: PKI, full_dovecot: Dovecot) -> Iterator[Postfix]:
    """With the mechanisms of `full_dovecot`, less EXTERNAL, ANONYMOUS and APOP."""
    with open_folder() as folder:
        with skipped_where_unavailable():
            server = Postfix(folder, pki["good"], full_dovecot)
        with server:
            yield server


@pytest.fixture(scope="session")
def cyrus_postfix(pki: PKI, full_dovecot: Dovecot) -> Iterator[Postfix]:
    """With the mechanisms of Cyrus SASL, for the users of `full_dovecot`."""
    with open_folder() as folder:
        with skipped_where_unavailable():
            server = Postfix(folder, pki["good"], full_dovecot, cyrus_mechanisms=cyrus.MECHANISMS)
        with server:
            yield server


@pytest.fixture(scope="session")
def dovecot24(pki: PKI) -> Iterator[Dovecot24]:
    """With the users of `full_dovecot`."""
    with running(pki["good"], users=ALL_USERS, stored=verifiers()) as server:
        yield server


@pytest.fixture(scope="session")
def full_dovecot24(pki: PKI, introspection: Introspection) -> Iterator[Dovecot24]:
    """With all mechanisms, and the users, of `full_dovecot`, and those that bind."""
    with running(
        pki["good"],
        mechanisms=ALL_MECHANISMS_24,
        users=ALL_USERS,
        stored=verifiers(),
        introspection=introspection,
        client_ca=pki.ca_pem,
    ) as server:
        yield server


@pytest.fixture
def place(request: pytest.FixtureRequest, client_context: ssl.SSLContext) -> Place:
    """By the name of a server's fixture, and a protocol: "full_dovecot imap"."""
    server, protocol = request.param.split()
    return Place(request.getfixturevalue(server), protocol, client_context)


@pytest.fixture(scope="session")
def aiosmtpd_server(pki: PKI) -> Iterator[AiosmtpdServer]:
    with AiosmtpdServer(pki["good"]) as server:
        yield server


RecordingServerFactory = Callable[..., RecordingServer]


@pytest.fixture
def recording_server() -> Iterator[RecordingServerFactory]:
    """Starts servers as `RecordingServer(...)` does, and closes them after the test."""
    with contextlib.ExitStack() as servers:

        def start(
            script: Script, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
        ) -> RecordingServer:
            return servers.enter_context(RecordingServer(script, context=context, host=host))

        yield start
