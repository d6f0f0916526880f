"""A private Dovecot 2.3: IMAP and POP3 for the clients, SASL and delivery for Postfix."""

import base64
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from servers.pki import Issued
from servers.processes import (
    Daemon,
    ServerFailed,
    ServerUnavailable,
    free_ports,
    require_program,
)

ADVICE = "Dovecot is not installed: apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd"
MECHANISMS = ("plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256")
USERS = {
    "alice": "correct horse battery staple",
    "bob": 'quote" backslash\\ percent% brace{3}',
    "user": "pässwörd",
    "jürgen": "grüße aus köln",
}
ATTEMPTS = 3

TEMPLATE = """\
instance_name = securemail-tests
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
log_timestamp = "%Y-%m-%d %H:%M:%S "
auth_verbose = yes
auth_debug = yes
protocols = imap pop3 lmtp
listen = {listen}
{identities}

ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
ssl_min_protocol = {ssl_min_protocol}
{ssl_cipher_list}

auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_username_chars =
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {folder}/users
  auth_verbose = yes
}}
userdb {{
  driver = static
  args = uid={mail_user} gid={mail_group} home={folder}/mail/%n
}}
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_fsync = never

service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
{login_service}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
{login_service}
}}
service lmtp {{
  unix_listener {lmtp_socket} {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener {auth_socket} {{
    mode = 0666
  }}
}}
# Without it, an address whose sign-ins fail waits longer each time, up to 17 seconds.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
{settings}
"""

# An ordinary user cannot change to Dovecot's own users, nor into a chroot.
AS_ORDINARY_USER = """\
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
"""


class Dovecot:
    """Dovecot on free ports of 127.0.0.1 and 127.0.0.2, in a folder of its own.

        with Dovecot(folder, pki["good"]) as dovecot:
            imaplib.IMAP4_SSL(dovecot.host, dovecot.ports["imaps"], ssl_context=context)

    To Dovecot a client whose address is the one it connects to is as good as encrypted: on `host`
    it takes passwords in clear. `remote_host` behaves as the network would: clients there come
    from 127.0.0.1, and LOGINDISABLED shows before TLS.

    When run by root, `folder` and what it lies in must be open to Dovecot's own users (mode 711).
    The path should be short: the sockets' names have 108 bytes.
    """

    host = "127.0.0.1"
    remote_host = "127.0.0.2"

    def __init__(
        self,
        folder: Path,
        certificate: Issued,
        *,
        mechanisms: Sequence[str] = MECHANISMS,
        users: Mapping[str, str] = USERS,
        ssl_min_protocol: str = "TLSv1.2",
        ssl_cipher_list: str = "",
        login_service: str = "",
        settings: str = "",
    ) -> None:
        """`ssl_cipher_list` is for TLS 1.2; `login_service` are further settings of the login
        services, such as "service_count = 0" for benchmarks, and `settings` those of the whole."""
        self._program = require_program("dovecot", ADVICE)
        self._require_modules()
        self._folder = folder
        self._certificate = certificate
        self._mechanisms = tuple(mechanisms)
        self._ssl_min_protocol = ssl_min_protocol
        self._ssl_cipher_list = ssl_cipher_list
        self._login_service = login_service
        self._settings = settings
        self._daemon: Daemon | None = None
        self.users = dict(users)
        self.ports: dict[str, int] = {}
        self.auth_socket = folder / "auth"
        self.lmtp_socket = folder / "lmtp"

    def _require_modules(self) -> None:
        version = subprocess.run(
            [self._program, "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        if not version.startswith("2.3."):
            raise ServerUnavailable(f"Dovecot 2.3 is needed, not {version.strip()}")
        libraries = Path("/usr/lib/dovecot")
        if not all((libraries / name).exists() for name in ("imap", "pop3", "lmtp")):
            raise ServerUnavailable(ADVICE)

    def __enter__(self) -> "Dovecot":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when every port takes connections; other ports are tried if one was taken."""
        for _ in range(ATTEMPTS):
            try:
                return self._start()
            except ServerFailed as failure:
                self.stop()
                if "Address already in use" not in str(failure):
                    raise
        raise ServerFailed(f"no free ports in {ATTEMPTS} attempts")

    def stop(self) -> None:
        """Ends Dovecot and waits for all its processes; the mail and the log stay."""
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def log(self) -> str:
        path = self._folder / "dovecot.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def mail_of(self, user: str) -> list[bytes]:
        """What has come into the user's inbox and has not been seen by any client."""
        new = self._folder / "mail" / user / "Maildir" / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.exists() else []

    def forget_mail(self, user: str) -> None:
        """The user has never had any. Nobody may be signed in as that user."""
        shutil.rmtree(self._folder / "mail" / user, ignore_errors=True)

    def _start(self) -> None:
        hosts = (self.host, self.remote_host)
        names = ("imap", "imaps", "pop3", "pop3s")
        self.ports = dict(zip(names, free_ports(len(names), hosts), strict=True))
        self._write_files()
        config = self._folder / "dovecot.conf"
        self._daemon = Daemon(
            [self._program, "-F", "-c", str(config)], self._folder / "dovecot.log"
        )
        self._daemon.wait_until_ready(
            greeting=[(host, self.ports[name]) for host in hosts for name in ("imap", "pop3")],
            silent=[(host, self.ports[name]) for host in hosts for name in ("imaps", "pop3s")],
        )

    def _write_files(self) -> None:
        mail = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        mail_folder = self._folder / "mail"
        mail_folder.mkdir(exist_ok=True)
        os.chown(mail_folder, mail.pw_uid, mail.pw_gid)
        users = self._folder / "users"
        users.write_text("".join(map(_user_line, self.users.items())), "utf-8")
        users.chmod(0o644)  # Dovecot's auth service reads it as a user of its own
        ciphers = f"ssl_cipher_list = {self._ssl_cipher_list}" if self._ssl_cipher_list else ""
        config = TEMPLATE.format(
            folder=self._folder,
            listen=f"{self.host}, {self.remote_host}",
            identities="" if os.geteuid() == 0 else _as_ordinary_user(),
            cert=self._certificate.cert,
            key=self._certificate.key,
            ssl_min_protocol=self._ssl_min_protocol,
            ssl_cipher_list=ciphers,
            mechanisms=" ".join(self._mechanisms),
            mail_user=mail.pw_uid,
            mail_group=mail.pw_gid,
            login_service=self._login_service,
            settings=self._settings,
            lmtp_socket=self.lmtp_socket,
            auth_socket=self.auth_socket,
            **self.ports,
        )
        (self._folder / "dovecot.conf").write_text(config, "utf-8")


def _user_line(entry: tuple[str, str]) -> str:
    """One line of a passwd-file; base64, since a password may hold its separators."""
    user, password = entry
    return f"{user}:{{PLAIN.b64}}{base64.b64encode(password.encode()).decode('ascii')}\n"


def _as_ordinary_user() -> str:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return AS_ORDINARY_USER.format(user=user, group=grp.getgrgid(os.getegid()).gr_name)
