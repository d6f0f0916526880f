"""Says which OAuth tokens are good (RFC 7662), for servers that ask: HTTP on 127.0.0.1."""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs

LONGEST = 64 * 1024  # of a question; a token is far shorter


class Introspection:
    """Knows the tokens of `users`, which belong to users; any other is not active.

    with Introspection({"a token": "alice"}) as introspection:
        Dovecot(folder, certificate, introspection=introspection)

    `users` may be changed at any time: a token that is taken out is revoked. `asked` has each
    token that was asked for, in order.
    """

    host = "127.0.0.1"

    def __init__(self, users: Mapping[str, str]) -> None:
        self.users = dict(users)
        self.asked: list[str] = []
        self._server = _Server((self.host, 0), _Handler)
        self._server.introspection = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self._server.server_address[1]}/introspect"

    def __enter__(self) -> "Introspection":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def answer(self, question: str) -> dict[str, object]:
        """RFC 7662, sections 2.1 and 2.2: a form goes in, JSON comes out."""
        token = parse_qs(question).get("token", [""])[0]
        self.asked.append(token)
        user = self.users.get(token)
        return {"active": False} if user is None else {"active": True, "username": user}


class _Server(ThreadingHTTPServer):
    introspection: Introspection


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # of a connection that says nothing
    server: _Server

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", "0")), LONGEST)
        question = self.rfile.read(length).decode("ascii", "replace")
        answer = json.dumps(self.server.introspection.answer(question)).encode("ascii")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing: pytest would show it beside a failure that it has nothing to do with."""
