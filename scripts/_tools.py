"""What the commands in this folder share: finding Pythons, making environments, running programs.

Only the standard library, and no syntax newer than Python 3.6: the commands are started with
whatever `python3` a machine has, and must be able to say what is missing.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENVS = os.path.join(ROOT, ".venvs")

WANTED = ((3, 11), (3, 12), (3, 13))  # what the library promises to run on
NEWER = ((3, 14), (3, 15), (3, 16))  # tested too where they are present
PREFERRED = (3, 13)  # where one Python is enough

NO_PYTHON = "no Python from 3.11 on found, on PATH or under pyenv"

INSTALL_SECONDS = 900  # one pip or apt run, on a slow connection
ENDING_SECONDS = 20  # for a program that was asked to end, so that servers get stopped

# Things in a developer's environment that would change what is tested.
DISTURBING = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONWARNINGS",
    "SECUREMAIL_POLICY",
    "SSLKEYLOGFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "VIRTUAL_ENV",
)


class Failure(Exception):
    """Ends a command with a message and exit status 1."""


def say(text):
    print(text, flush=True)


def heading(text):
    say("\n==> " + text)


def dotted(minor):
    return "{}.{}".format(*minor)


def command(main):
    """Run a command's main function; turn its failures and Ctrl-C into an exit status."""

    def terminated(signum, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)  # a cancelled CI job ends as Ctrl-C does
    # A shell starts what is in the background with SIGINT ignored, and so would our children.
    signal.signal(signal.SIGINT, terminated)
    try:
        status = main()
    except Failure as failure:
        say("\nFAILED: {}".format(failure))
        status = 1
    except KeyboardInterrupt:
        say("\ninterrupted")
        status = 130
    sys.exit(status)


@contextlib.contextmanager
def only_one(name):
    """Two runs of one command would write to the same environments."""
    os.makedirs(VENVS, exist_ok=True)
    with open(os.path.join(VENVS, name + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure("another scripts/{} is running in this folder".format(name)) from None
        yield  # the lock goes with the file


# --- running programs ---------------------------------------------------------------------


def run(arguments, seconds, env=None, show=True):
    """Run a program to its end, at most `seconds`; return its exit status and its output."""
    program = Program(arguments, env, show)
    try:
        return program.wait(seconds)
    finally:
        program.end()


class Program:
    """A program that runs. Whoever starts one calls `end`, whatever happens.

    It gets a process group of its own, so that on Ctrl-C, or when the time is up, whatever it
    started (test workers, mail servers) can be told as well.
    """

    def __init__(self, arguments, env=None, show=True):
        self.name = arguments[0]
        self._process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._output = bytearray()
        self._reader = threading.Thread(
            target=_copy, args=(self._process.stdout, self._output, show), daemon=True
        )
        self._reader.start()

    def wait(self, seconds):
        """Return its exit status and its output; after `seconds` it is ended."""
        try:
            status = self._process.wait(timeout=seconds)
            if _group_exists(self._process.pid):
                say("note: {} left processes behind; ending them".format(self.name))
        except subprocess.TimeoutExpired:
            say("\n{} did not end within {} s".format(self.name, seconds))
            status = 124
        self.end()
        return status, self._output.decode("utf-8", "replace")

    def end(self):
        """Does nothing where it, and all that it started, has ended."""
        _end_group(self._process)
        self._reader.join(timeout=5)


def _copy(stream, output, show):
    for chunk in iter(lambda: os.read(stream.fileno(), 65536), b""):
        output.extend(chunk)
        if show:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    stream.close()


def _group_exists(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _end_group(process):
    """First the polite way, as Ctrl-C does, then for good. Does nothing when all has ended."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C: no more patience
            _wait_for_group(process)


def _wait_for_group(process):
    deadline = time.monotonic() + ENDING_SECONDS
    while _group_exists(process.pid) and time.monotonic() < deadline:
        if process.poll() is not None:  # the program has ended; a little longer for the rest
            deadline = min(deadline, time.monotonic() + 5)
        time.sleep(0.05)


def run_quietly(arguments, env=None):
    """Run a step whose output matters only if it fails."""
    status, output = run(arguments, INSTALL_SECONDS, env=env, show=False)
    if status != 0:
        say(output)
        raise Failure("exit status {} from: {}".format(status, " ".join(arguments)))


# --- Pythons and environments -------------------------------------------------------------

# `ensurepip` and `venv` are packages of their own on Debian; the others are what we build on.
PROBE = """
import ensurepip, ssl, sys, sysconfig, venv
assert sys.implementation.name == "cpython"
assert not sysconfig.get_config_var("Py_GIL_DISABLED")
print("%d %d" % sys.version_info[:2], ".".join(map(str, sys.version_info[:3])), sys.executable)
"""


def find_pythons():
    """Return {(3, 11): (version, path), ...}, one for each minor version from 3.11 on.

    Each candidate is run: a name on PATH proves nothing (pyenv puts a `python3.12` there that
    fails unless that version is switched on), and a Python may lack a module we need.
    """
    found = {}
    for candidate in _candidates():
        try:
            answer = subprocess.check_output(
                [candidate, "-c", PROBE],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=clean_environment(),
                timeout=30,
                universal_newlines=True,
            )
            major, minor, version, executable = answer.strip().split(" ", 3)
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
        key = (int(major), int(minor))
        if key >= WANTED[0]:
            found.setdefault(key, (version, executable))
    return dict(sorted(found.items()))


def _candidates():
    for minor in WANTED + NEWER:
        path = shutil.which("python" + dotted(minor))
        if path:
            yield path
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    installed = glob.glob(os.path.join(glob.escape(pyenv), "versions", "*", "bin", "python"))
    yield from sorted(installed, key=_numbers, reverse=True)
    for name in ("python3", "python"):
        path = shutil.which(name)
        if path:
            yield path


def _numbers(path):
    """3.12.10 is newer than 3.12.9."""
    return [int(number) for number in re.findall(r"\d+", path)]


def find_python():
    """Return the version and the path of one Python, the preferred one if it is here."""
    pythons = find_pythons()
    if not pythons:
        raise Failure(NO_PYTHON)
    return pythons.get(PREFERRED) or pythons[max(pythons)]


def clean_environment(**extra):
    env = {name: value for name, value in os.environ.items() if name not in DISTURBING}
    env.update(extra)
    return env


class Venv:
    """A virtual environment in .venvs/, made anew only when what it is made from changes.

    `installer`: the one whose pip installs into it. A pip of its own takes a quarter of a minute.
    """

    def __init__(self, name, version, base, installer=None):
        self.path = os.path.join(VENVS, name)
        self.base = base
        self.installer = installer
        with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
            made_from = file.read() + "\n{} {}".format(version, base).encode()
        self.stamp = hashlib.sha256(made_from).hexdigest()

    def bin(self, name):
        return os.path.join(self.path, "bin", name)

    def pip(self, *arguments):
        # Not clean_environment: SSL_CERT_FILE and the like may be what pip needs.
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        options = ["--quiet", "--disable-pip-version-check", "--no-input"]
        if self.installer is not None:
            options += ["--python", self.bin("python")]
        pip = [(self.installer or self).bin("python"), "-m", "pip", *options]
        run_quietly([*pip, *arguments], env=env)

    def is_current(self):
        try:
            with open(os.path.join(self.path, "stamp")) as file:
                return file.read() == self.stamp
        except OSError:
            return False

    def make(self, *requirements):
        """Make it if needed. The stamp is written last: an interrupted one is made again."""
        if self.is_current():
            return
        say("making {} (the first time this takes a minute)".format(self.path))
        if os.path.exists(self.path):
            shutil.rmtree(self.path)
        without = ["--without-pip"] if self.installer is not None else []
        run_quietly([self.base, "-m", "venv", *without, self.path], env=clean_environment())
        if self.installer is None:
            self.pip("install", "--upgrade", "pip>=25.1")  # the first that knows --group
        self.pip("install", *requirements)
        with open(os.path.join(self.path, "stamp"), "w") as file:
            file.write(self.stamp)
