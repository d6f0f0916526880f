"""A private Exim: submission with STARTTLS, and with TLS from the first byte."""

from pathlib import Path

from servers.rooted import Rooted

_USER = 905  # Debian-exim, in `root-setup`

CONFIG = """\
primary_hostname = exim.example.org
exim_user = Debian-exim
exim_group = Debian-exim
keep_environment =
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
pid_file_path = {folder}/spool/exim.pid
local_interfaces = {host}
daemon_smtp_ports = {smtp} : {smtps}
tls_on_connect_ports = {smtps}
tls_advertise_hosts = *
tls_certificate = {folder}/cert.pem
tls_privatekey = {folder}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
host_lookup =
acl_smtp_rcpt = recipient
queue_only = true
{settings}
begin acl
recipient:
  deny local_parts = nobody-here
       message = no such user here
  accept authenticated = *
  deny message = sign in first
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{alice}}}}{{eq{{$auth3}}{{alice-pw}}}}}}}}
  server_set_id = $auth2
"""


class Exim(Rooted):
    """It takes mail of alice's and keeps it in its queue. Option: `settings`, lines of its own."""

    GREETING = ("smtp",)
    SILENT = ("smtps",)

    def queued(self) -> list[bytes]:
        """The texts of the messages that were accepted."""
        files = sorted((self.folder / "spool" / "input").glob("**/*-D"))
        return [path.read_bytes().partition(b"\n")[2] for path in files]

    def log(self) -> str:
        logs = [self.folder / "spool" / name for name in ("mainlog", "rejectlog", "paniclog")]
        return super().log() + "".join(log.read_text("utf-8") for log in logs if log.exists())

    def _prepare(self) -> list[tuple[list[str], dict[str, str]]]:
        self._new_folder("spool", _USER)
        self._copy_certificate(_USER)
        config = CONFIG.format(
            folder=self.inside,
            host=self.host,
            settings=self.options.get("settings", ""),
            **self.ports,
        )
        self._write("exim.conf", config)
        path: Path = self.inside / "exim.conf"
        return [(["/usr/sbin/exim4", "-C", str(path), "-bdf"], {})]
