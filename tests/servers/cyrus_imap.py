"""A private Cyrus: IMAP and POP3, by STARTTLS and with TLS from the first byte, and LMTP."""

import os
import subprocess

from servers.rooted import Rooted

_USER, _GROUP = 903, 8  # cyrus and mail, in `root-setup`

IMAPD_CONF = """\
configdirectory: {folder}/lib
defaultpartition: default
partition-default: {folder}/spool
servername: localhost
admins: cyrus
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
sasl_mech_list: PLAIN LOGIN SCRAM-SHA-256
allowplaintext: no
autocreate_quota: 0
autocreate_post: no
tls_server_cert: {folder}/cert.pem
tls_server_key: {folder}/key.pem
tls_session_timeout: 0
lmtpsocket: {folder}/sockets/lmtp
idlesocket: {folder}/sockets/idle
notifysocket: {folder}/sockets/notify
"""

SERVICE = '  {name} cmd="/usr/lib/cyrus/bin/{program}" listen="{host}:{port}" prefork=0\n'
PROGRAMS = {
    "imap": "imapd -C {config}",
    "imaps": "imapd -C {config} -s",
    "pop3": "pop3d -C {config}",
    "pop3s": "pop3d -C {config} -s",
    "lmtp": "lmtpd -C {config} -a",
}

CYRUS_CONF = """\
START {{
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C {config} -r"
}}
SERVICES {{
{services}}}
EVENTS {{ }}
DAEMON {{ }}
"""


class CyrusIMAP(Rooted):
    """Its mailboxes are made when somebody signs in. LMTP takes mail for those who have one."""

    GREETING = ("imap", "pop3", "lmtp")
    SILENT = ("imaps", "pop3s")

    def _prepare(self) -> list[tuple[list[str], dict[str, str]]]:
        for name in ("lib", "spool", "sockets"):
            os.chown(self._new_folder(name, _USER), _USER, _GROUP)
        self._copy_certificate(_USER)
        for user, password in self.users.items():
            self._add_user(user, password)
        os.chown(self.folder / "sasldb2", _USER, _GROUP)
        config = self.inside / "imapd.conf"
        services = "".join(
            SERVICE.format(
                name=name,
                program=program.format(config=config),
                host=self.host,
                port=self.ports[name],
            )
            for name, program in PROGRAMS.items()
        )
        self._write("imapd.conf", IMAPD_CONF.format(folder=self.inside))
        self._write("cyrus.conf", CYRUS_CONF.format(config=config, services=services))
        master = ["/usr/lib/cyrus/bin/master", "-C", str(config)]
        master += [
            "-M",
            str(self.inside / "cyrus.conf"),
            "-p",
            str(self.inside / "sockets" / "pid"),
        ]
        return [(master, {})]

    def _add_user(self, user: str, password: str) -> None:
        command = ["/usr/sbin/saslpasswd2", "-c", "-p", "-u", "localhost"]
        command += ["-f", str(self.inside / "sasldb2"), user]
        subprocess.run(
            [self._chroot, str(self.root), *command],
            input=password.encode(),
            check=True,
            capture_output=True,
            timeout=30,
        )
