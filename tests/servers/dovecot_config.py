"""The configuration of a private Dovecot 2.3."""

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from servers import passwords
from servers.introspection import Introspection

OAUTH = ("oauthbearer", "xoauth2")
NOT_BY_PASSWORD = (*OAUTH, "external", "anonymous")


@dataclass(frozen=True)
class Options:
    """What may be different from one Dovecot to the next; `Dovecot` says what each means."""

    mechanisms: tuple[str, ...]
    users: Mapping[str, str]
    stored: Mapping[str, str] = field(default_factory=dict)
    introspection: Introspection | None = None
    client_ca: Path | None = None
    ssl_min_protocol: str = "TLSv1.2"
    ssl_cipher_list: str = ""
    login_service: str = ""
    settings: str = ""

    @property
    def by_password(self) -> str:
        """The mechanisms for which the passwd-file is asked."""
        return " ".join(name for name in self.mechanisms if name not in NOT_BY_PASSWORD)

    @property
    def by_token(self) -> str:
        return " ".join(name for name in self.mechanisms if name in OAUTH)

    def passwd_file(self) -> str:
        lines = {user: passwords.plain(password) for user, password in self.users.items()}
        lines |= self.stored
        if "anonymous" in self.mechanisms:
            lines["anonymous"] = "{CRYPT}*"  # a mailbox, and no password
        # With the fields of an account, which are the same for all and follow from the defaults.
        return "".join(f"{user}:{password}::::::\n" for user, password in lines.items())


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
# Refusals are told twice a second only, whatever auth_failure_delay says, unless a passdb says
# `nodelay`. What the one that refuses says is forgotten for these mechanisms; so one before it says
# it, whose own consent counts for nothing ("continue-fail").
passdb {{
  driver = static
  mechanisms = plain login oauthbearer xoauth2
  args = nopassword=y nodelay=y
  result_success = continue-fail
}}
passdb {{
  driver = passwd-file
  default_fields = nodelay
  mechanisms = {by_password}
  args = scheme=PLAIN username_format=%n {folder}/users
  auth_verbose = yes
}}
{more_passdbs}
userdb {{
  driver = passwd-file
  args = username_format=%n {folder}/users
  default_fields = uid={mail_user} gid={mail_group} home={folder}/mail/%n
}}
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_fsync = never

# The end of each sign-in, for `sign_ins_of`.
event_exporter log {{
  format = json
  format_args = time-rfc3339
  transport = log
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
  unix_listener {folder}/lmtp {{
    mode = 0666
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
passdb {{
  driver = oauth2
  mechanisms = {by_token}
  args = {folder}/oauth2.conf
}}
"""

OAUTH2_CONF = """\
introspection_mode = post
introspection_url = {url}
active_attribute = active
active_value = true
username_attribute = username
"""

# A certificate of that CA signs in the user whom its common name names. It is asked for, not
# demanded: who shows none uses another mechanism.
BY_CERTIFICATE = """\
ssl_ca = <{client_ca}
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
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


def write(
    folder: Path,
    options: Options,
    *,
    listen: str,
    ports: Mapping[str, int],
    cert: Path,
    key: Path,
    mail_user: pwd.struct_passwd,
) -> Path:
    """Writes all that Dovecot reads, and returns where its configuration is."""
    users = folder / "users"
    users.write_text(options.passwd_file(), "utf-8")
    users.chmod(0o644)  # Dovecot's auth service reads it as a user of its own
    ciphers = f"ssl_cipher_list = {options.ssl_cipher_list}" if options.ssl_cipher_list else ""
    text = TEMPLATE.format(
        folder=folder,
        listen=listen,
        identities="" if os.geteuid() == 0 else _as_ordinary_user(),
        cert=cert,
        key=key,
        ssl_min_protocol=options.ssl_min_protocol,
        ssl_cipher_list=ciphers,
        mechanisms=" ".join(options.mechanisms),
        by_password=options.by_password or "none",
        more_passdbs=_by_token(folder, options) + _by_certificate(options),
        mail_user=mail_user.pw_uid,
        mail_group=mail_user.pw_gid,
        login_service=options.login_service,
        settings=options.settings,
        **ports,
    )
    config = folder / "dovecot.conf"
    config.write_text(text, "utf-8")
    return config


def _by_token(folder: Path, options: Options) -> str:
    if options.introspection is None or not options.by_token:
        return ""
    file = folder / "oauth2.conf"
    file.write_text(OAUTH2_CONF.format(url=options.introspection.url), "utf-8")
    file.chmod(0o644)
    return BY_TOKEN.format(by_token=options.by_token, folder=folder)


def _by_certificate(options: Options) -> str:
    if options.client_ca is None or "external" not in options.mechanisms:
        return ""
    return BY_CERTIFICATE.format(client_ca=options.client_ca)


def _as_ordinary_user() -> str:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return AS_ORDINARY_USER.format(user=user, group=grp.getgrgid(os.getegid()).gr_name)
