"""The file of known servers: cut, edited, half written, written by several, and killed.

Nothing wrong is ever accepted, and nothing known is lost.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from securemail import FirstUseTrust, PolicyError, TimeLimitExceeded, TLSPolicy, UnknownServer
from securemail.trust import known_file, lock
from securemail.trust.known_servers import HEADER, KnownServer, KnownServers, parse
from servers import known_writers
from servers.known_writers import endpoint_of, pin_of

IMAP = ("imap", "mail.example.org", 993)
PRINT = ":".join(["AB"] * 32)
WHEN = datetime(2026, 11, 22, 10, 11, 12, tzinfo=UTC)
SERVERS = (
    KnownServer(endpoint=IMAP, pin=pin_of(1), fingerprint=PRINT, learned=WHEN),
    KnownServer(endpoint=IMAP, pin=pin_of(2), learned=WHEN),
    KnownServer(endpoint=("pop3", "::1", 995), pin=pin_of(3), fingerprint=PRINT, learned=WHEN),
    KnownServer(endpoint=("smtp", "192.0.2.7", 587), pin=pin_of(4), learned=WHEN),
)
FILE = (
    "# kept\n\n" + "".join(f"{server}\n" for server in SERVERS[:2]) + "  # kept too\n"
    f"{SERVERS[2]}\n{SERVERS[3]}\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known-servers"


@pytest.fixture
def store(path: Path) -> FirstUseTrust:
    return FirstUseTrust(path)


def write(path: Path, text: str | bytes) -> None:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)


def refused(do: Callable[[], object], code: str = "known-servers") -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        do()
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def unknown(number: int = 1, endpoint: tuple[str, str, int] = IMAP) -> UnknownServer:
    return UnknownServer("", endpoint=endpoint, pin=pin_of(number), fingerprint=PRINT)


# -- what is in it


def test_a_line_says_server_key_certificate_and_time(path: Path, store: FirstUseTrust) -> None:
    store.learn(unknown(), PRINT)
    store.expect(("pop3", "[::1]", 995), pin_of(2))
    lines = path.read_text().splitlines()
    assert tuple(lines[:3]) == HEADER
    time_now = r"  20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(
        re.escape(f"imap://mail.example.org:993  {pin_of(1)}  {PRINT}") + time_now, lines[3]
    )
    assert re.fullmatch(re.escape(f"pop3://[::1]:995  {pin_of(2)}  -") + time_now, lines[4])
    assert path.stat().st_mode & 0o777 == 0o600
    assert (path.parent / "known-servers.lock").stat().st_mode & 0o777 == 0o600


def test_what_was_written_is_read(path: Path, store: FirstUseTrust) -> None:
    write(path, FILE)
    assert store.known() == SERVERS
    assert str(parse(FILE.encode(), "")) == FILE


@given(
    some.sampled_from(["imap", "pop3", "smtp", "lmtp"]),
    some.sampled_from(["mail.example.org", "192.0.2.1", "::1", "xn--strae-oqa.example"]),
    some.integers(1, 65535),
    some.binary(min_size=32, max_size=32),
    some.none() | some.binary(min_size=32, max_size=32),
    some.datetimes(datetime(1990, 1, 1), datetime(9999, 12, 31), timezones=some.just(UTC)),  # noqa: DTZ001
)
def test_every_server_survives_its_line(
    protocol: str, host: str, port: int, key: bytes, seen: bytes | None, learned: datetime
) -> None:
    server = KnownServer(
        endpoint=(protocol, host, port),
        pin=pin_of(key),
        fingerprint=seen.hex(":").upper() if seen else None,
        learned=learned.replace(microsecond=0),
    )
    assert parse(f"{server}\n".encode(), "").servers == (server,)


def test_comments_and_blank_lines_are_kept(path: Path, store: FirstUseTrust) -> None:
    write(path, FILE)
    store.expect(IMAP, pin_of(9))
    store.remove(IMAP, pin_of(2))
    removed = FILE.replace(f"{SERVERS[1]}\n", "")
    assert path.read_text().startswith(removed)
    assert path.read_text().count("\n") == removed.count("\n") + 1


def test_what_an_editor_leaves_is_read(path: Path, store: FirstUseTrust) -> None:
    write(path, b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").replace("  ", "\t ").encode())
    assert store.known() == SERVERS
    write(path, FILE.replace("mail.example.org", "MAIL.example.org.").rstrip("\n"))
    assert store.known() == SERVERS
    store.expect(IMAP, pin_of(9))
    assert len(store.known()) == len(SERVERS) + 1


def test_the_same_twice_does_no_harm(path: Path, store: FirstUseTrust) -> None:
    write(path, FILE + FILE)
    assert set(store.known()) == set(SERVERS)
    store.remove(IMAP)
    assert set(store.known()) == set(SERVERS[2:])


# -- cut, and edited


def test_cut_anywhere_it_is_refused_or_has_whole_entries_alone(path: Path) -> None:
    """Every beginning of the file, octet by octet."""
    data, known = FILE.encode(), set(SERVERS)
    outcomes = set()
    for length in range(len(data)):
        try:
            found = parse(data[:length], str(path)).servers
        except PolicyError as error:
            outcomes.add("refused" if f"{path}, line " in error.message else error.code)
        else:
            assert set(found) <= known
            outcomes.add(f"{len(found)} whole")
    assert outcomes == {"refused", "0 whole", "1 whole", "2 whole", "3 whole", "4 whole"}


@given(some.data())
def test_with_an_octet_changed_it_never_has_another_key_without_another_text(
    data: some.DataObject,
) -> None:
    """It is refused, or reads as what is written there; nothing is passed over."""
    octets = bytearray(FILE.encode())
    place = data.draw(some.integers(0, len(octets) - 1))
    octets[place] = data.draw(some.integers(0, 255))
    try:
        found = parse(bytes(octets), "")
    except PolicyError:
        return
    kept = [line for line in bytes(octets).decode().split("\n") if line.strip(" \t\r")]
    comments = sum(line.strip(" \t").startswith("#") for line in kept)
    assert len(found.servers) + comments == len(kept)


SPOILED = {
    "no time": f"imap://a.example:993  {pin_of(1)}  {PRINT}",
    "no certificate": f"imap://a.example:993  {pin_of(1)}  2026-11-22T10:11:12Z",
    "no key": f"imap://a.example:993  {PRINT}  2026-11-22T10:11:12Z",
    "no port": f"imap://a.example  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "port 0": f"imap://a.example:0  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "port 65536": f"imap://a.example:65536  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "another protocol": f"http://a.example:80  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "no host": f"imap://:993  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "None": f"imap://None None:993  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "any host": f"imap://*:993  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "a path": f"imap://a.example:993/  {pin_of(1)}  -  2026-11-22T10:11:12Z",
    "half a key": f"imap://a.example:993  {pin_of(1)[:30]}  -  2026-11-22T10:11:12Z",
    "a certificate's pin": (
        f"imap://a.example:993  certificate-sha256/{PRINT}  -  2026-11-22T10:11:12Z"
    ),
    "small letters": f"imap://a.example:993  {pin_of(1)}  {PRINT.lower()}  2026-11-22T10:11:12Z",
    "no such day": f"imap://a.example:993  {pin_of(1)}  -  2026-02-30T10:11:12Z",
    "local time": f"imap://a.example:993  {pin_of(1)}  -  2026-11-22T10:11:12",
    "more after it": f"imap://a.example:993  {pin_of(1)}  -  2026-11-22T10:11:12Z # mine",
    "other digits": f"imap://a.example:993  {pin_of(1)}  -  \uff12026-11-22T10:11:12Z",
    "another blank": f"imap://a.example:993\u00a0{pin_of(1)}  -  2026-11-22T10:11:12Z",
    "two in one": f"{SERVERS[2]} {SERVERS[3]}",
    "nothing but zeros": "\0" * 512,
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_line_that_is_wrong_is_never_skipped(name: str, path: Path, store: FirstUseTrust) -> None:
    write(path, FILE + SPOILED[name] + "\n")
    number = FILE.count("\n") + 1
    assert f"{path}, line {number} is " in refused(store.known).message
    before = path.read_bytes()
    for change in (
        lambda: store.learn(unknown(7, ("imap", "b.example", 993)), PRINT),
        lambda: store.expect(IMAP, pin_of(7)),
        lambda: store.remove(IMAP),
        lambda: TLSPolicy(trust=store),
    ):
        refused(change)
    assert path.read_bytes() == before
    write(path, FILE)  # the control
    assert store.known() == SERVERS


def test_what_is_not_utf8_is_refused(path: Path, store: FirstUseTrust) -> None:
    write(path, b"# caf\xe9\n" + FILE.encode())
    assert "line 1 is not UTF-8" in refused(store.known).message


def test_a_file_that_is_too_large_is_refused(path: Path, store: FirstUseTrust) -> None:
    write(path, "#" * (1024 * 1024 - 1) + "\n")
    assert store.known() == ()
    assert "larger" in refused(lambda: store.expect(IMAP, pin_of(1))).message
    assert path.stat().st_size == 1024 * 1024
    write(path, "#" * (1024 * 1024) + "\n")
    assert "larger" in refused(store.known).message


# -- whose it is


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(
    mode: int, path: Path, store: FirstUseTrust
) -> None:
    write(path, FILE)
    path.chmod(mode)
    error = refused(store.known)
    assert "everybody may write it" in error.message
    assert f"chmod go-w {path}" in error.hint
    refused(lambda: store.expect(IMAP, pin_of(9)))
    path.chmod(0o644)
    assert store.known() == SERVERS


def test_a_file_of_another_user_is_refused(
    path: Path, store: FirstUseTrust, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, FILE)
    mine, real = os.geteuid(), os.fstat

    def of(owner: int) -> Callable[[int], Any]:
        def stat(descriptor: int) -> Any:
            fields = list(real(descriptor))
            fields[4] = owner
            return os.stat_result(fields)

        return stat

    monkeypatch.setattr(known_file.os, "fstat", of(mine + 1))
    assert "belongs to another user" in refused(store.known).message
    for owner in (mine, 0):  # and the owner of this library: tests/test_files.py
        monkeypatch.setattr(known_file.os, "fstat", of(owner))
        assert store.known() == SERVERS


def test_what_is_no_file_is_refused(path: Path, store: FirstUseTrust) -> None:
    path.mkdir()
    refused(store.known)
    path.rmdir()
    os.mkfifo(path)
    assert "is not a file" in refused(store.known).message  # and does not wait for a writer
    refused(lambda: store.expect(IMAP, pin_of(1)))


def test_a_folder_must_be_there_and_a_file_need_not(tmp_path: Path) -> None:
    assert FirstUseTrust(tmp_path / "new").known() == ()
    TLSPolicy(trust=FirstUseTrust(tmp_path / "new"))
    nowhere = FirstUseTrust(tmp_path / "no" / "new")
    for do in (nowhere.known, lambda: TLSPolicy(trust=nowhere)):
        assert "there is no folder" in refused(do).message
    refused(lambda: nowhere.expect(IMAP, pin_of(1)))


@pytest.mark.parametrize("path", ["", None, 7])
def test_what_is_no_path_is_refused(path: Any) -> None:
    refused(lambda: FirstUseTrust(path))


def test_an_update_keeps_who_may_read_it(path: Path, store: FirstUseTrust) -> None:
    write(path, FILE)
    path.chmod(0o644)
    store.expect(IMAP, pin_of(9))
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_an_update_by_root_keeps_the_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, FILE)
    os.chown(path, 65534, 65534)
    monkeypatch.setattr(known_file, "_require_ours", lambda *_: None)
    FirstUseTrust(path).expect(IMAP, pin_of(9))
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


def test_a_symbolic_link_stays_one(path: Path, tmp_path: Path) -> None:
    write(path, FILE)
    link = tmp_path / "link"
    link.symlink_to(path.name)
    FirstUseTrust(link).expect(IMAP, pin_of(9))
    assert link.is_symlink()
    assert len(FirstUseTrust(path).known()) == len(SERVERS) + 1
    assert not (tmp_path / "link.lock").exists()  # one lock, whichever name is used


def test_a_trap_in_the_place_of_the_new_file_is_not_written_through(
    path: Path, store: FirstUseTrust, tmp_path: Path
) -> None:
    for trap in (os.symlink, os.link):
        victim = tmp_path / "victim"
        victim.write_text("precious")
        trap(victim, f"{path}.new")
        store.expect(IMAP, pin_of(trap.__name__))
        assert victim.read_text() == "precious"


def test_another_folder_is_not_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FirstUseTrust("known")
    monkeypatch.chdir("/")
    store.expect(IMAP, pin_of(1))
    assert FirstUseTrust(tmp_path / "known").known() == store.known() != ()


# -- the verbs


def test_a_next_key_stands_beside_the_first(store: FirstUseTrust) -> None:
    store.learn(unknown(1), PRINT)
    store.expect(IMAP, pin_of(2))
    assert [one.pin for one in store.known()] == [pin_of(1), pin_of(2)]
    assert [one.pin for one in store.remove(IMAP, pin_of(1))] == [pin_of(1)]
    assert [one.pin for one in store.known()] == [pin_of(2)]
    assert len(store.remove(IMAP)) == 1
    assert store.known() == ()


def test_what_is_not_known_cannot_be_removed(store: FirstUseTrust) -> None:
    store.expect(IMAP, pin_of(1))
    refused(lambda: store.remove(IMAP, pin_of(2)), "not-known")
    refused(lambda: store.remove(("imap", "mail.example.org", 143)), "not-known")
    assert len(store.known()) == 1


def test_twice_the_same_is_once(path: Path, store: FirstUseTrust) -> None:
    first = store.learn(unknown(), PRINT)
    before = path.read_bytes()
    assert store.learn(unknown(), PRINT) == store.expect(IMAP, pin_of(1)) == first
    assert path.read_bytes() == before


def test_another_key_was_learned_meanwhile(path: Path, store: FirstUseTrust) -> None:
    store.learn(unknown(1), PRINT)
    before = path.read_bytes()
    error = refused(lambda: store.learn(unknown(2), PRINT), "already-known")
    assert pin_of(1) in error.message
    assert pin_of(2) in error.message
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "odd",
    [
        {"fingerprint": ""},
        {"fingerprint": "AB:CD"},
        {"fingerprint": PRINT + "\nimap://other.example:993"},
        {"fingerprint": "-"},
        {"fingerprint": None},
        {"pin": "certificate-sha256/" + PRINT},
        {"pin": "sha256/AAAA"},
        {"pin": "nothing"},
    ],
    ids=str,
)
def test_an_odd_error_is_not_learned_and_spoils_nothing(
    odd: dict[str, Any], path: Path, store: FirstUseTrust
) -> None:
    store.expect(("pop3", "other.example", 995), pin_of(2))
    before = path.read_bytes()
    error = UnknownServer("", **{"endpoint": IMAP, "pin": pin_of(1), "fingerprint": PRINT, **odd})
    refused(lambda: store.learn(error, fingerprint=PRINT), "pin-malformed")
    assert path.read_bytes() == before
    assert len(store.known()) == 1


def test_a_fingerprint_in_another_spelling_is_the_same(store: FirstUseTrust) -> None:
    spelled = PRINT.replace(":", "").lower()
    learned = store.learn(
        UnknownServer("", endpoint=IMAP, pin=f" {pin_of(1)}", fingerprint=spelled), PRINT
    )
    assert store.known() == (learned,)
    assert (learned.pin, learned.fingerprint) == (pin_of(1), PRINT)


BAD_ENDPOINTS: list[Any] = [
    None,
    "imap://mail.example.org:993",
    ("imap", "mail.example.org"),
    ("imap", None, 993),
    ("imap", "", 993),
    ("imap", "mail.example.org", None),
    ("imap", "mail.example.org", "993"),
    ("imap", "mail.example.org", True),
    ("imap", "mail.example.org", 0),
    ("imap", "mail.example.org", 65536),
    ("http", "mail.example.org", 993),
    ("", "mail.example.org", 993),
    (None, "mail.example.org", 993),
]


@pytest.mark.parametrize("endpoint", BAD_ENDPOINTS)
def test_an_endpoint_that_is_none(endpoint: Any, store: FirstUseTrust, path: Path) -> None:
    for do in (
        lambda: store.expect(endpoint, pin_of(1)),
        lambda: store.remove(endpoint),
        lambda: store.learn(unknown(endpoint=endpoint), PRINT),
    ):
        with pytest.raises(PolicyError) as caught:
            do()
        assert caught.value.code in ("endpoint", "host-name", "not-unknown")
    assert not path.exists()


def test_a_certificates_pin_is_no_key(store: FirstUseTrust) -> None:
    refused(lambda: store.expect(IMAP, f"certificate-sha256/{PRINT}"), "pin-malformed")
    refused(lambda: store.expect(IMAP, "sha256/AAAA"), "pin-malformed")


# -- several at once


def run(*arguments: object) -> subprocess.Popen[str]:
    program = [sys.executable, "-P", known_writers.__file__, *map(str, arguments)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def results(*processes: subprocess.Popen[str]) -> list[str]:
    ended = [process.communicate(timeout=100) for process in processes]
    assert all(process.returncode == 0 for process in processes), [error for _, error in ended]
    return [out.strip() for out, _ in ended]


def test_two_processes_at_once_lose_nothing(path: Path, store: FirstUseTrust) -> None:
    one, other = range(60), range(100, 160)
    results(run("expect", path, *one), run("expect", path, *other))
    assert {server.endpoint for server in store.known()} == {
        endpoint_of(number) for number in (*one, *other)
    }


def test_of_two_keys_for_one_server_exactly_one_is_learned(
    path: Path, store: FirstUseTrust
) -> None:
    count = 60
    by_a, by_b = results(run("race", path, "A", count), run("race", path, "B", count))
    for number, (a, b) in enumerate(zip(by_a, by_b, strict=True)):
        assert {a, b} == {"y", "n"}, number
        held = [server.pin for server in store.known() if server.endpoint == endpoint_of(number)]
        assert held == [pin_of("A" if a == "y" else "B")]


def test_threads_are_several_too(path: Path, store: FirstUseTrust) -> None:
    def enter(start: int) -> None:
        for number in range(start, start + 10):
            FirstUseTrust(path).expect(endpoint_of(number), pin_of(number))

    threads = [threading.Thread(target=enter, args=[start]) for start in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.known()) == 80


@pytest.mark.timeout(180)
def test_a_thousand_kills_lose_nothing(path: Path) -> None:
    """At random moments; after each the file is whole, and has all that was said to be in it."""
    seed = str(time.time_ns())
    (said,) = results(run("kill", path, 1000, seed))
    found = json.loads(said)
    assert found["rounds"] == 1000
    assert found["last"] > 500, f"hardly anything was written (seed {seed})"
    assert found["in the middle"] > 10, f"no kill met a writer at work (seed {seed})"


def test_a_stopped_process_that_holds_the_lock_is_waited_for(
    path: Path, store: FirstUseTrust, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, FILE)
    monkeypatch.setattr(lock, "_SECONDS", 0.3)
    holder = run("hold", path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(TimeLimitExceeded) as caught:
        store.expect(IMAP, pin_of(9))
    assert caught.value.code == "known-servers-busy"
    assert "nothing was written" in str(caught.value)
    assert store.known() == SERVERS  # reading goes on
    holder.kill()
    holder.communicate()
    store.expect(IMAP, pin_of(9))  # the system takes the lock of a dead process back


def test_ctrl_c_leaves_the_file_whole_and_the_lock_free(
    path: Path, store: FirstUseTrust, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, FILE)
    monkeypatch.setattr(lock, "_SECONDS", 0.3)
    for name in ("fsync", "replace", "fchmod"):
        with monkeypatch.context() as during:
            during.setattr(known_file.os, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.expect(IMAP, pin_of(name))
        assert path.read_text() == FILE
        assert sorted(one.name for one in path.parent.iterdir()) == [path.name, f"{path.name}.lock"]
    store.expect(IMAP, pin_of(9))


def interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_full_disk_leaves_the_file_whole(
    path: Path, store: FirstUseTrust, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, FILE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(known_file.os, "fsync", full)
    assert "No space left" in refused(lambda: store.expect(IMAP, pin_of(9))).message
    assert path.read_text() == FILE


def test_a_change_that_changes_nothing_writes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, FILE)
    monkeypatch.setattr(known_file, "_replace", interrupt)
    assert known_file.update(str(path), lambda servers: servers) == parse(FILE.encode(), "")
    with pytest.raises(KeyboardInterrupt):  # the control
        known_file.update(str(path), lambda _: KnownServers())
