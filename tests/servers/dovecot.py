"""A private Dovecot 2.3: IMAP and POP3 for the clients, SASL and delivery for Postfix."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from securemail.testing.running import Running
from servers import dovecot_config, passwords, sign_ins
from servers.dovecot_config import Options
from servers.introspection import Introspection
from servers.pki import Issued
from servers.processes import (
    Daemon,
    ServerFailed,
    ServerUnavailable,
    free_ports,
    require_program,
)
from servers.sign_ins import Begun, SignIn

ADVICE = "Dovecot is not installed: apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd"
MECHANISMS = ("plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256")
ALL_MECHANISMS = (
    *MECHANISMS,
    "digest-md5",
    "apop",
    "oauthbearer",
    "xoauth2",
    "external",
    "anonymous",
)
USERS = {
    "alice": "correct horse battery staple",
    "bob": 'quote" backslash\\ percent% brace{3}',
    "user": "pässwörd",
    "jürgen": "grüße aus köln",
}
# For whom the server keeps but a verifier, with that many iterations.
ITERATIONS = {"carol": 100_000, "dave": 4_096}
ALL_USERS = USERS | {"carol": "a hundred thousand", "dave": "four thousand, and 96"}
ATTEMPTS = 3


def verifiers() -> dict[str, str]:
    """What is stored of the users in ITERATIONS."""
    return {
        user: passwords.scram("sha256", ALL_USERS[user], count)
        for user, count in ITERATIONS.items()
    }


class Dovecot(Running):
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
        stored: Mapping[str, str] | None = None,
        introspection: Introspection | None = None,
        client_ca: Path | None = None,
        ssl_min_protocol: str = "TLSv1.2",
        ssl_cipher_list: str = "",
        login_service: str = "",
        settings: str = "",
    ) -> None:
        """`mechanisms` may be any of ALL_MECHANISMS; SCRAM and the digests need the passwords as
        they are, which is how those of `users` are stored. `stored` has the users for whom
        something else is: a line of `passwords.scram`.

        `introspection` is asked for the tokens of OAUTHBEARER and XOAUTH2. EXTERNAL signs in
        whom the common name of a certificate of `client_ca` names, and ANONYMOUS "anonymous".

        `ssl_cipher_list` is for TLS 1.2; `login_service` are further settings of the login
        services, such as "service_count = 0" for benchmarks, and `settings` those of the whole."""
        self._program = self._require()
        self._folder = folder
        self._certificate = certificate
        self._options = Options(
            mechanisms=tuple(mechanisms),
            users=dict(users),
            stored=dict(stored or {}),
            introspection=introspection,
            client_ca=client_ca,
            ssl_min_protocol=ssl_min_protocol,
            ssl_cipher_list=ssl_cipher_list,
            login_service=login_service,
            settings=settings,
        )
        self._daemon: Daemon | None = None
        self.users = dict(users)
        self.ports: dict[str, int] = {}
        self.auth_socket = folder / "auth"
        self.lmtp_socket = folder / "lmtp"

    def _require(self) -> str:
        """The program to start."""
        program = require_program("dovecot", ADVICE)
        version = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        if not version.startswith("2.3."):
            raise ServerUnavailable(f"Dovecot 2.3 is needed, not {version.strip()}")
        libraries = Path("/usr/lib/dovecot")
        if not all((libraries / name).exists() for name in ("imap", "pop3", "lmtp")):
            raise ServerUnavailable(ADVICE)
        return program

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

    def sign_ins_of(self, user: str) -> list[SignIn]:
        """All that were answered, accepted or not, also those that Postfix asked about."""
        return self.sign_ins(user)[1]

    def sign_ins_begun(self) -> list[Begun]:
        """All, of any user, also those that came to no end."""
        return self.sign_ins("")[0]

    def sign_ins(self, user: str) -> tuple[list[Begun], list[SignIn]]:
        """`sign_ins_begun` and `sign_ins_of`, by one look at the log."""
        log = self._log_up_to_now()
        return sign_ins.begun(log), sign_ins.ended(log, user)

    def _log_up_to_now(self) -> str:
        sign_ins.wait(self.auth_socket, self._options.mechanisms[0], self.log)
        return self.log()

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
        command = self._command(self._write_files())
        self._daemon = Daemon(command, self._folder / "dovecot.log")
        self._daemon.wait_until_ready(
            greeting=[(host, self.ports[name]) for host in hosts for name in ("imap", "pop3")],
            silent=[(host, self.ports[name]) for host in hosts for name in ("imaps", "pop3s")],
        )

    def _write_files(self) -> Path:
        mail_user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        mail_folder = self._folder / "mail"
        mail_folder.mkdir(exist_ok=True)
        os.chown(mail_folder, mail_user.pw_uid, mail_user.pw_gid)
        return self._write_config(mail_user)

    def _command(self, config: Path) -> list[str]:
        return [self._program, "-F", "-c", str(config)]

    def _write_config(self, mail_user: pwd.struct_passwd) -> Path:
        return dovecot_config.write(
            self._folder,
            self._options,
            listen=f"{self.host}, {self.remote_host}",
            ports=self.ports,
            cert=self._certificate.cert,
            key=self._certificate.key,
            mail_user=mail_user,
        )
