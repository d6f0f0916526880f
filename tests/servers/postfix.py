"""A private Postfix: submission with STARTTLS, and submissions with TLS from the start."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from securemail.testing.running import Running
from servers import cyrus
from servers.dovecot import Dovecot
from servers.pki import Issued
from servers.processes import (
    Daemon,
    ServerFailed,
    ServerUnavailable,
    free_ports,
    require_program,
)
from servers.sign_ins import Begun, SignIn

ADVICE = "Postfix is not installed: apt-get install postfix"
ATTEMPTS = 3

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mail.example.org
mydomain = example.org
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
biff = no
alias_maps =
alias_database =
local_recipient_maps =
mydestination =
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:{lmtp_socket}
default_transport = error:this server delivers to example.org only
smtputf8_enable = yes

smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {key}, {cert}
smtpd_tls_mandatory_protocols = {tls_protocols}
smtpd_tls_mandatory_ciphers = medium
smtpd_tls_loglevel = 1
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
{sasl}
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
"""

BY_DOVECOT = """\
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
"""

MASTER_CF = """\
127.0.0.1:{submission} inet n - n - - smtpd
127.0.0.1:{submissions} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix(Running):
    """Postfix on free ports of 127.0.0.1, in a folder of its own.

        with Postfix(folder, pki["good"], dovecot) as postfix:
            smtplib.SMTP_SSL(postfix.host, postfix.ports["submissions"], context=context)

    `dovecot` checks the passwords and keeps the mail: what is sent to alice@example.org is in the
    mailbox of alice. With `cyrus_mechanisms`, such as `cyrus.MECHANISMS`, Cyrus SASL checks the
    passwords instead, of the same users. It takes mail from nobody who has not signed in, offers
    AUTH after TLS only, and asks no name server anything. It has to be started by root; `folder`
    and what it lies in must be open to Postfix's own user (mode 711).
    """

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        certificate: Issued,
        dovecot: Dovecot,
        *,
        tls_protocols: str = ">=TLSv1.2",
        cyrus_mechanisms: Sequence[str] = (),
    ) -> None:
        self._postfix = require_program("postfix", ADVICE)
        if os.geteuid() != 0:
            raise ServerUnavailable("Postfix can be started by root only")
        if cyrus_mechanisms:
            cyrus.require_plugins()
        self._folder = folder
        self._certificate = certificate
        self._dovecot = dovecot
        self._tls_protocols = tls_protocols
        self._cyrus_mechanisms = tuple(cyrus_mechanisms)
        self._daemon: Daemon | None = None
        self.ports: dict[str, int] = {}

    def start(self) -> None:
        """Returns when both ports take connections; other ports are tried if one was taken."""
        for _ in range(ATTEMPTS):
            try:
                return self._start()
            except ServerFailed as failure:
                self.stop()
                if "Address already in use" not in str(failure):
                    raise
        raise ServerFailed(f"no free ports in {ATTEMPTS} attempts")

    def stop(self) -> None:
        """Ends Postfix and waits for all its processes; the queue and the log stay."""
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def log(self) -> str:
        path = self._folder / "mail.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @property
    def users(self) -> dict[str, str]:
        return self._dovecot.users

    def sign_ins_of(self, user: str) -> list[SignIn]:
        """All that were answered, accepted or not."""
        return self.sign_ins(user)[1]

    def sign_ins_begun(self) -> list[Begun]:
        """All, of any user, also those that came to no end."""
        return self.sign_ins("")[0]

    def sign_ins(self, user: str) -> tuple[list[Begun], list[SignIn]]:
        """`sign_ins_begun` and `sign_ins_of`, by one look at the log."""
        if self._cyrus_mechanisms:
            log = self._log_up_to_now()
            return cyrus.begun(log), cyrus.ended(log, user)
        begun, ended = self._dovecot.sign_ins(user)
        return (
            [found for found in begun if found.service == "smtp"],
            [found for found in ended if found.service == "smtp"],
        )

    def _log_up_to_now(self) -> str:
        cyrus.wait((self.host, self.ports["submission"]), self.log)
        return self.log()

    def _start(self) -> None:
        ports = free_ports(2, [self.host])
        self.ports = dict(zip(("submission", "submissions"), ports, strict=True))
        config = self._folder / "config"
        self._write_config(config)
        self._run("check")  # creates the queue's folders, and complains about the configuration
        master = Path(self._setting("daemon_directory")) / "master"
        self._daemon = Daemon([str(master), "-c", str(config)], self._folder / "mail.log")
        self._daemon.wait_until_ready(
            greeting=[(self.host, self.ports["submission"])],
            silent=[(self.host, self.ports["submissions"])],
        )

    def _write_config(self, config: Path) -> None:
        for folder in (config, self._folder / "queue", self._folder / "data"):
            folder.mkdir(exist_ok=True)
        shutil.chown(self._folder / "data", self._setting("mail_owner"))
        main = MAIN_CF.format(
            folder=self._folder,
            cert=self._certificate.cert,
            key=self._certificate.key,
            tls_protocols=self._tls_protocols,
            sasl=self._sasl(),
            lmtp_socket=self._dovecot.lmtp_socket,
        )
        (config / "main.cf").write_text(main, "utf-8")
        (config / "master.cf").write_text(MASTER_CF.format(**self.ports), "utf-8")

    def _sasl(self) -> str:
        if not self._cyrus_mechanisms:
            return BY_DOVECOT.format(auth_socket=self._dovecot.auth_socket)
        owner = self._setting("mail_owner")
        return cyrus.write(self._folder, self._cyrus_mechanisms, self._dovecot.users, owner)

    def _run(self, command: str) -> None:
        done = subprocess.run(
            [self._postfix, "-c", str(self._folder / "config"), command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise ServerFailed(f"postfix {command}: {done.stdout}{done.stderr}{self.log()}")

    @staticmethod
    def _setting(name: str) -> str:
        """A setting as the package built it, whatever this machine's own main.cf says."""
        postconf = require_program("postconf", ADVICE)
        return subprocess.run(
            [postconf, "-d", "-h", name], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()
