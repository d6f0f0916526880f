"""One policy in many threads and processes, and the cache of contexts under it."""

import multiprocessing
import os
import pickle
import shutil
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from securemail import (
    IMAP4_SSL,
    CATrust,
    CertificateRejected,
    ExactCertificate,
    Pin,
    PinMismatch,
    PolicyError,
    SystemTrust,
    TLSPolicy,
)
from securemail.tls import cache
from servers import scripts
from servers.pki import PKI
from servers.recording import RecordingServer
from servers.sessions import connects, session_outcome

RecordingServerFactory = Callable[..., RecordingServer]


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """Each test starts, and leaves, without contexts."""
    cache._kept.clear()
    yield
    cache._kept.clear()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[TLSPolicy]:
    """The policies whose context was built, in order."""
    built: list[TLSPolicy] = []
    build = TLSPolicy._build

    def counted(self: TLSPolicy) -> Any:
        built.append(self)
        return build(self)

    monkeypatch.setattr(TLSPolicy, "_build", counted)
    return built


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` returns in that many threads, which all begin at the same moment."""
    start = threading.Barrier(count)

    def begin(number: int) -> Any:
        start.wait(20)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


# -- threads


def test_twenty_threads_get_one_context_from_one_build(builds: list[TLSPolicy]) -> None:
    policy = TLSPolicy()
    cache._kept.clear()
    builds.clear()
    contexts = at_once(20, lambda _: policy.ssl_context())
    assert len({id(context) for context in contexts}) == 1
    assert builds == [policy]


def test_equal_policies_of_twenty_threads_share_one_context(
    pki: PKI, builds: list[TLSPolicy]
) -> None:
    ca = pki.ca_pem

    def work(_: int) -> Any:
        return TLSPolicy(trust=CATrust(ca)).ssl_context()

    assert len({id(context) for context in at_once(20, work)}) == 1
    assert len(builds) == 1


def test_sixteen_threads_shake_hands_on_one_context(
    pki: PKI, recording_server: RecordingServerFactory
) -> None:
    good = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    bad = recording_server(scripts.imap_ok, context=pki["good_rsa"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem), pins=Pin(pki["good"].spki_pin))
    context = policy.ssl_context()

    def work(number: int) -> list[str]:
        found = []
        for attempt in range(5):
            server = good if (number + attempt) % 2 else bad
            found.append(outcome(server.port, context))
        return found

    for number, found in enumerate(at_once(16, work)):
        expected = ["TLSv1.3" if (number + attempt) % 2 else "PinMismatch" for attempt in range(5)]
        assert found == expected
    assert good.connections == bad.connections == 40


def outcome(port: int, context: ssl.SSLContext) -> str:
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
                assert wrapped.recv(4) == b"* OK"
                return str(wrapped.version())
        except PinMismatch:
            return "PinMismatch"


def test_sixteen_threads_sign_in_by_one_policy(
    pki: PKI, recording_server: RecordingServerFactory
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))

    def work(number: int) -> str:
        with IMAP4_SSL(server.host, server.port, policy=policy, timeout=20) as imap:
            imap.login(f"user{number}", "password")
            assert imap.report.auth is not None
            return str(imap.report.auth.user)

    assert at_once(16, work) == [f"user{number}" for number in range(16)]


# -- processes


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_fork(work: Callable[[], str]) -> str:
    """What `work` returns in a forked child, or how it failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = work()
        except BaseException:  # noqa: BLE001 - told to the parent
            said = traceback.format_exc()
        os.write(writing, said.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        said = answers.read()
    os.waitpid(child, 0)
    return said


# Since 3.12 Python warns of a fork in a process with threads; that is what is tested here.
forks_with_threads = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")


@needs_fork
@forks_with_threads
def test_a_forked_child_connects_with_the_parent_s_context_and_with_a_new_one(
    pki: PKI, recording_server: RecordingServerFactory
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    context = policy.ssl_context()

    def work() -> str:
        assert policy.ssl_context() is context
        new = TLSPolicy(trust=CATrust(pki.ca_pem), pins=Pin(pki["good"].spki_pin))
        return connects(policy, server.port) + connects(new, server.port)

    assert in_fork(work) == "TLSv1.3" * 2
    assert connects(policy, server.port) == "TLSv1.3"


@needs_fork
@forks_with_threads
def test_a_child_forked_during_a_build_does_not_wait_for_it(
    pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    cache._kept.clear()
    building, go_on = threading.Event(), threading.Event()
    build = TLSPolicy._build

    def slow(self: TLSPolicy) -> Any:
        building.set()
        go_on.wait(20)
        return build(self)

    monkeypatch.setattr(TLSPolicy, "_build", slow)
    thread = threading.Thread(target=policy.ssl_context)
    thread.start()
    try:
        assert building.wait(20)

        def work() -> str:
            TLSPolicy._build = build  # type: ignore[method-assign]
            done = threading.Event()
            waiting = threading.Thread(
                target=lambda: (policy.ssl_context(), done.set()), daemon=True
            )
            waiting.start()
            return "built" if done.wait(10) else "waits for ever"

        assert in_fork(work) == "built"
    finally:
        go_on.set()
        thread.join()


@pytest.mark.parametrize("make", ["ca", "exact", "pin", "system"])
def test_a_policy_survives_pickling(make: str, pki: PKI) -> None:
    policy = {
        "ca": lambda: TLSPolicy(trust=SystemTrust() | CATrust(pki.ca_pem), minimum_version="1.3"),
        "exact": lambda: TLSPolicy(trust=ExactCertificate(pki["self_signed"].leaf_pem)),
        "pin": lambda: TLSPolicy(trust=ExactCertificate(pin=pki["self_signed"].spki_pin)),
        "system": lambda: TLSPolicy(pins=Pin(pki["good"].spki_pin), strict_x509=False),
    }[make]()
    copy = pickle.loads(pickle.dumps(policy))
    assert copy == policy
    assert hash(copy) == hash(policy)
    assert copy.ssl_context() is policy.ssl_context()
    assert b"SSLContext" not in pickle.dumps(policy)


def test_a_policy_goes_to_a_spawned_process_and_connects_there(
    pki: PKI, recording_server: RecordingServerFactory
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    good = TLSPolicy(trust=CATrust(pki.ca_pem), pins=Pin(pki["good"].spki_pin))
    bad = TLSPolicy(trust=CATrust(pki.ca_pem), pins=Pin(pki["good_rsa"].spki_pin))
    spawn = multiprocessing.get_context("spawn")
    # Not multiprocessing.Pool: that starts a process that cannot start again and again.
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(session_outcome, good, server.port).result(60) == "TLSv1.3"
        assert pool.submit(session_outcome, bad, server.port).result(60) == "PinMismatch"


# -- the cache


def test_the_same_files_give_the_same_context(pki: PKI, builds: list[TLSPolicy]) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    assert policy.ssl_context() is policy.ssl_context()
    assert TLSPolicy(trust=CATrust(str(pki.ca_pem))).ssl_context() is policy.ssl_context()
    assert len(builds) == 1


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_replaced_ca_file_gives_a_new_context(
    keep_times: bool, pki: PKI, tmp_path: Path, recording_server: RecordingServerFactory
) -> None:
    """With its times put back as well: what counts is what is in the file."""
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    path = tmp_path / "ca.pem"
    shutil.copy(pki.other_ca_pem, path)
    policy = TLSPolicy(trust=CATrust(path))
    first = policy.ssl_context()
    with pytest.raises(CertificateRejected):
        connects(policy, server.port)
    times = path.stat()
    shutil.copy(pki.ca_pem, path)
    if keep_times:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert policy.ssl_context() is not first
    assert connects(policy, server.port) == "TLSv1.3"
    # And back: the old CA is believed no longer.
    shutil.copy(pki.other_ca_pem, path)
    with pytest.raises(CertificateRejected):
        connects(policy, server.port)


def test_a_file_added_to_a_ca_directory_is_noticed(
    pki: PKI, tmp_path: Path, recording_server: RecordingServerFactory
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    shutil.copy(pki.other_ca_pem, tmp_path / "one.pem")
    policy = TLSPolicy(trust=CATrust(tmp_path))
    with pytest.raises(CertificateRejected):
        connects(policy, server.port)
    shutil.copy(pki.ca_pem, tmp_path / "two.pem")
    assert connects(policy, server.port) == "TLSv1.3"


def test_a_replaced_exact_certificate_gives_a_new_context(pki: PKI, tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    shutil.copy(pki["self_signed"].leaf_pem, path)
    policy = TLSPolicy(trust=ExactCertificate(path))
    first = policy.ssl_context()
    shutil.copy(pki["renewed_same_key"].leaf_pem, path)
    assert policy.ssl_context() is not first


def test_a_file_that_went_away_is_an_error_and_not_the_old_context(
    pki: PKI, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    shutil.copy(pki.ca_pem, path)
    policy = TLSPolicy(trust=CATrust(path))
    path.unlink()
    with pytest.raises(PolicyError):
        policy.ssl_context()


def test_two_hundred_policies_leave_a_bounded_cache(pki: PKI, builds: list[TLSPolicy]) -> None:
    policies = [
        TLSPolicy(
            trust=CATrust(pki.ca_pem),
            pins=Pin.certificate(number.to_bytes(32, "big").hex()),
        )
        for number in range(200)
    ]
    assert len(builds) == 200
    assert len(cache._kept) == cache._MOST < 200
    # The one used last stays, the one used longest ago is built again.
    assert policies[-1].ssl_context() is policies[-1].ssl_context()
    assert len(builds) == 200
    policies[0].ssl_context()
    assert len(builds) == 201
    assert len(cache._kept) == cache._MOST


def test_a_context_in_use_outlives_the_cache(
    pki: PKI, recording_server: RecordingServerFactory
) -> None:
    server = recording_server(scripts.imap_ok, context=pki["good"].server_context())
    context = TLSPolicy(trust=CATrust(pki.ca_pem), pins=Pin(pki["good"].spki_pin)).ssl_context()
    cache._kept.clear()
    assert outcome(server.port, context) == "TLSv1.3"


def test_a_failed_build_is_not_kept(pki: PKI, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = TLSPolicy(trust=CATrust(pki.ca_pem))
    cache._kept.clear()
    build = TLSPolicy._build

    def fails(self: TLSPolicy) -> Any:
        raise PolicyError("not now")

    monkeypatch.setattr(TLSPolicy, "_build", fails)
    with pytest.raises(PolicyError, match="not now"):
        policy.ssl_context()
    monkeypatch.setattr(TLSPolicy, "_build", build)
    assert policy.ssl_context() is policy.ssl_context()
