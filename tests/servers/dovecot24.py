"""A private Dovecot 2.4, whose SCRAM binds to the channel; in a root of its own, by chroot."""

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.dovecot import ALL_MECHANISMS, MECHANISMS, USERS, Dovecot
from servers.introspection import Introspection
from servers.pki import Issued
from servers.processes import (
    ServerUnavailable,
    open_folder,
    require_program,
    skipped_where_unavailable,
)

ROOT = "SECUREMAIL_DOVECOT24"  # in the environment: the folder in which it is
DEFAULT_ROOT = Path(__file__).parents[2] / ".venvs" / "dovecot24"
ADVICE = "Dovecot 2.4 is not in {root}: run scripts/install-test-servers, as root"

PLUS = ("scram-sha-1-plus", "scram-sha-256-plus")
BINDING_MECHANISMS = (*MECHANISMS, *PLUS)
ALL_MECHANISMS_24 = (*ALL_MECHANISMS, *PLUS)

TEMPLATE = """\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
instance_name = securemail-tests
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
log_timestamp = "%Y-%m-%d %H:%M:%S "
auth_verbose = yes
log_debug = category=auth
protocols = imap pop3
listen = {listen}

ssl = yes
ssl_server_cert_file = {folder}/cert.pem
ssl_server_key_file = {folder}/key.pem
ssl_min_protocol = {ssl_min_protocol}
import_environment {{
  OPENSSL_CONF = {folder}/openssl.cnf
}}

auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_username_chars =
passdb passwd-file {{
  mechanisms_filter = {by_password}
  passwd_file_path = {folder}/users
}}
{more_passdbs}
userdb static {{
  fields {{
    uid = {mail_user}
    gid = {mail_group}
    home = {folder}/mail/%{{user}}
  }}
}}
mail_driver = maildir
mail_path = ~/Maildir
first_valid_uid = 1
mail_fsync = never

# The end of each sign-in, for `sign_ins_of`.
event_exporter log {{
  driver = log
  format = json
}}
metric sign_ins {{
  filter = event=auth_request_finished
  exporter = log
}}

service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service auth {{
  unix_listener {folder}/auth {{
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

BY_TOKEN = """\
passdb oauth2 {{
  mechanisms_filter = {by_token}
}}
oauth2_introspection_mode = post
oauth2_introspection_url = {url}
oauth2_active_attribute = active
oauth2_active_value = true
oauth2_username_attribute = username
"""

BY_CERTIFICATE = """\
ssl_server_ca_file = {folder}/client-ca.pem
ssl_server_request_client_cert = yes
ssl_server_require_crl = no
auth_ssl_username_from_cert = yes
passdb static {{
  mechanisms_filter = external
  fields {{
    nopassword = yes
  }}
}}
"""

# Dovecot has a setting for the lowest version only; OpenSSL has one for the highest.
OPENSSL_CNF = """\
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
{maximum}
"""


def place() -> Path:
    """The folder in which those of the servers lie; where there is none, it is unavailable."""
    root = Path(os.environ.get(ROOT) or DEFAULT_ROOT).absolute()
    if not (root / ".made-from").exists():
        raise ServerUnavailable(ADVICE.format(root=root))
    if os.geteuid() != 0:
        raise ServerUnavailable("Dovecot 2.4 can be started by root only (chroot)")
    return root / "srv"


@contextmanager
def running(certificate: Issued, **options: Any) -> Iterator["Dovecot24"]:
    """One with those options, or a test that is skipped."""
    with skipped_where_unavailable():
        within = place()
    with open_folder(within) as folder, Dovecot24(folder, certificate, **options) as server:
        yield server


class Dovecot24(Dovecot):
    """As `Dovecot`, but for what is said here; `folder` has to be in `place()`.

    It offers SCRAM-SHA-1-PLUS and SCRAM-SHA-256-PLUS over TLS: with tls-unique in TLS 1.2, and
    tls-exporter in TLS 1.3. It ends the connection of a client that names any other binding.
    With `introspection` and `client_ca` it has ALL_MECHANISMS_24. It delivers no mail.
    """

    def __init__(
        self,
        folder: Path,
        certificate: Issued,
        *,
        mechanisms: Sequence[str] = BINDING_MECHANISMS,
        users: Mapping[str, str] = USERS,
        stored: Mapping[str, str] | None = None,
        introspection: Introspection | None = None,
        client_ca: Path | None = None,
        ssl_min_protocol: str = "TLSv1.2",
        ssl_max_protocol: str = "",
        settings: str = "",
    ) -> None:
        super().__init__(
            folder,
            certificate,
            mechanisms=mechanisms,
            users=users,
            stored=stored,
            introspection=introspection,
            client_ca=client_ca,
            ssl_min_protocol=ssl_min_protocol,
            settings=settings,
        )
        self._ssl_max_protocol = ssl_max_protocol

    def _require(self) -> str:
        place()
        return require_program("chroot", "chroot is not installed: apt-get install coreutils")

    @property
    def _inside(self) -> Path:
        """The folder, as the server sees it."""
        return Path("/srv", self._folder.name)

    def _command(self, config: Path) -> list[str]:
        root = self._folder.parents[1]
        inside = self._inside / config.name
        return [self._program, str(root), "/usr/sbin/dovecot", "-F", "-c", str(inside)]

    def _write_config(self, mail_user: pwd.struct_passwd) -> Path:
        self._write("users", self._options.passwd_file(), 0o644)
        maximum = f"MaxProtocol = {self._ssl_max_protocol}" if self._ssl_max_protocol else ""
        self._write("openssl.cnf", OPENSSL_CNF.format(maximum=maximum), 0o644)
        shutil.copy(self._certificate.cert, self._folder / "cert.pem")
        shutil.copy(self._certificate.key, self._folder / "key.pem")
        text = TEMPLATE.format(
            folder=self._inside,
            listen=f"{self.host}, {self.remote_host}",
            ssl_min_protocol=self._options.ssl_min_protocol,
            mechanisms=" ".join(self._options.mechanisms),
            by_password=self._options.by_password,
            more_passdbs=self._by_token() + self._by_certificate(),
            mail_user=mail_user.pw_uid,
            mail_group=mail_user.pw_gid,
            settings=self._options.settings,
            **self.ports,
        )
        return self._write("dovecot.conf", text, 0o600)

    def _by_token(self) -> str:
        options = self._options
        if options.introspection is None:
            return ""
        return BY_TOKEN.format(by_token=options.by_token, url=options.introspection.url)

    def _by_certificate(self) -> str:
        if self._options.client_ca is None:
            return ""
        shutil.copy(self._options.client_ca, self._folder / "client-ca.pem")
        return BY_CERTIFICATE.format(folder=self._inside)

    def _write(self, name: str, text: str, mode: int) -> Path:
        path = self._folder / name
        path.write_text(text, "utf-8")
        path.chmod(mode)
        return path
