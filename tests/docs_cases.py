"""For the documents that speak of them: servers with something the matter. Each is started where a
document has its name, and what a document names of it lies in the current folder."""

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docs_redirect
from docs_certificates import CASES, Made
from docs_world import PASSWORD, USER, World, ports_of
from securemail.testing import MailServers
from securemail.testing.authority import Authority, CertificateKind
from servers import scripts
from servers.recording import RecordingServer

# What two large providers say to a password, word for word, on port 465.
DECLINES = {
    "smtp.google-like.example.org": "5.7.9 Application-specific password required.",
    "smtp.microsoft-like.example.org": (
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    ),
}
BRIDGE = "127.0.0.1"
_BRIDGE_PORTS = {"localhost:1143": "imap", "localhost:1025": "submission"}


@contextmanager
def cases_of(path: Path, world: World) -> Iterator[None]:
    """`world` with the servers that the document at `path` names."""
    text = path.read_text(encoding="utf-8")
    with ExitStack() as stack:
        for host, case in CASES.items():
            if speaks_of(text, host):
                world.ports.update(_start(stack, host, case(world), world.folder))
        for host, refusal in DECLINES.items():
            if speaks_of(text, host):
                world.ports[f"{host}:465"] = _declining(stack, refusal, world)
        world.environment[docs_redirect.VARIABLE] = json.dumps(world.ports)
        yield


def speaks_of(text: str, host: str) -> bool:
    return f"{host}:1143" in text if host == BRIDGE else host in text


def _start(stack: ExitStack, host: str, made: Made, folder: Path) -> dict[str, int]:
    for name, content in made.files.items():
        (folder / name).write_bytes(content)
    if made.alerts:
        server = stack.enter_context(RecordingServer(scripts.imap_ok, context=made.context))
        return {f"{host}:993": server.port}
    servers = stack.enter_context(
        MailServers({USER: PASSWORD}, hostnames=(host,), authority=Showing(made.context))
    )
    if host == BRIDGE:
        return {here: servers.ports[name] for here, name in _BRIDGE_PORTS.items()}
    return {f"{host}:{port}": target for port, target in ports_of(servers).items()}


def _declining(stack: ExitStack, refusal: str, world: World) -> int:
    script = scripts.PoliteSMTP(mechanisms=("PLAIN",), refusal=refusal)
    context = world.public.server_context(*DECLINES)
    return stack.enter_context(RecordingServer(script, context=context)).port


class Showing(Authority):
    """For servers that show what the context has, whatever they ask for."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def context_for(self, kind: CertificateKind, *names: str) -> ssl.SSLContext:
        return self._context
