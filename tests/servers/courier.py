"""A private Courier: IMAP and POP3, by STARTTLS and with TLS from the first byte."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from servers.pki import Issued
from servers.rooted import Rooted

_COURIER, _MAIL = 904, 906  # courier and vmail, in `root-setup`
_LIBRARY = "/usr/lib/courier/courier"
_CAPABILITIES = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE SORT QUOTA IDLE"

# What is read at fixed places, so that each instance has a root of its own, of hard links.
_COPIED = ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc")
_LINKED = ("bin", "sbin", "lib", "lib64")

# "alice-pw", by crypt's MD5: `openssl passwd -1`.
_HASHES = {
    "alice": "$1$securema$IVOQVlUY2a/MV5/f4xLf8/",
}

TCPD = ("-maxprocs=40", "-nodnslookup", "-noidentlookup", "-access=/srv/access.dat")


class Courier(Rooted):
    """Option: `most`, how many connections one address may have (as text)."""

    GREETING = ("imap", "pop3")
    SILENT = ("imaps", "pop3s")

    def __init__(self, folder: Path, certificate: Issued, **options: Any) -> None:
        super().__init__(folder, certificate, **options)
        self._shared, self.root = self.root, folder / "root"
        self.inside = Path("/srv")

    def _prepare(self) -> list[tuple[list[str], dict[str, str]]]:
        self._make_root()
        self.folder, outer = self.root / "srv", self.folder
        self._copy_certificate(_COURIER)
        self._make_mail()
        self.folder = outer
        environment = {
            "PATH": "/usr/bin:/usr/sbin",
            "COURIERTLS": "/usr/bin/couriertls",
            "TLS_CERTFILE": "/srv/both.pem",
            "TLS_VERIFYPEER": "NONE",
            "IMAP_CAPABILITY": _CAPABILITIES,
            "IMAP_CAPABILITY_TLS": f"{_CAPABILITIES} AUTH=PLAIN",
            "POP3AUTH": "",
            "POP3AUTH_TLS": "PLAIN LOGIN",
            "MAILDIRPATH": "Maildir",
        }
        imap = [f"{_LIBRARY}/imaplogin", "/usr/bin/imapd", "Maildir"]
        pop3 = [f"{_LIBRARY}/courierpop3login", f"{_LIBRARY}/courierpop3d", "Maildir"]
        tls = ["/usr/bin/couriertls", "-server", "-tcpd", "-user=courier"]
        by_starttls = {"IMAP_STARTTLS": "YES", "IMAP_TLS_REQUIRED": "1"}
        by_stls = {"POP3_STARTTLS": "YES", "POP3_TLS_REQUIRED": "1"}
        return [
            (["/usr/lib/courier/courier-authlib/authdaemond"], environment),
            (self._tcpd("imap", imap), environment | by_starttls),
            (self._tcpd("pop3", pop3), environment | by_stls),
            (self._tcpd("imaps", [*tls, *imap]), environment | {"IMAP_TLS": "1"}),
            (self._tcpd("pop3s", [*tls, *pop3]), environment | {"POP3_TLS": "1"}),
        ]

    def _tcpd(self, name: str, command: list[str]) -> list[str]:
        most = f"-maxperip={self.options.get('most', '40')}"
        address = f"-address={self.host}"
        return ["/usr/sbin/couriertcpd", address, most, *TCPD, str(self.ports[name]), *command]

    def _make_root(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        for name in _COPIED:
            shutil.copytree(
                self._shared / name, self.root / name, symlinks=True, copy_function=_link
            )
        for name in _LINKED:
            (self.root / name).symlink_to(f"usr/{name}")
        for name in ("dev", "srv", "tmp", "run/courier/authdaemon"):
            (self.root / name).mkdir(parents=True)
        self.root.chmod(0o755)
        (self.root / "tmp").chmod(0o1777)
        os.link(self._shared / "dev" / "null", self.root / "dev" / "null")
        settings = self.root / "etc" / "courier" / "authdaemonrc"
        text = settings.read_text("utf-8").replace('"authpam"', '"authuserdb"', 1)
        settings.unlink()  # else all roots would have it
        settings.write_text(text, "utf-8")

    def _make_mail(self) -> None:
        self._database("/srv/access", "", _LIBRARY)
        entries = [
            f"{user}\tuid={_MAIL}|gid={_MAIL}|home=/srv/mail/{user}|shell=/bin/sh|_=\n"
            for user in _HASHES
        ]
        by_name = "/usr/lib/courier/courier-authlib"
        self._database("/etc/courier/userdb", "".join(entries), by_name)
        hashes = [f"{user}\tsystempw={hashed}\n" for user, hashed in _HASHES.items()]
        self._database("/etc/courier/userdbshadow", "".join(hashes), by_name)
        for user in _HASHES:
            home = self.folder / "mail" / user
            home.mkdir(parents=True)
            self._run(["/usr/bin/maildirmake.courier", f"/srv/mail/{user}/Maildir"], "")
            for path in (home, *home.rglob("*")):
                os.chown(path, _MAIL, _MAIL)

    def _database(self, name: str, lines: str, folder: str) -> None:
        self._run([f"{folder}/makedatprog", "-", f"{name}.tmp", f"{name}.dat"], f"{lines}.\n")

    def _run(self, command: list[str], text: str) -> None:
        subprocess.run(
            [self._chroot, str(self.root), *command],
            input=text.encode(),
            check=True,
            capture_output=True,
            timeout=30,
        )


def _link(source: str, target: str) -> str:
    os.link(source, target, follow_symlinks=False)
    return target
