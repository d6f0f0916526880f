"""What the three protocols share: opening a connection, verified or not yet, and reporting.

A protocol class adds its standard base, its capabilities and how it reads a reply.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from .channel import Plaintext, Verified, require_verified
from .connecting import Deadline, Endpoint, dial, secure
from .connector import Connector, dial_by, programs_own, require_connector
from .errors import (
    LimitExceeded,
    PolicyError,
    SecureMailError,
    TimeLimitExceeded,
    printable,
    say_seconds,
)
from .guard import Guarded
from .hosts import Host
from .modes import CLEAR, TLS, Mode, require_port, unheard
from .policy import AuthPolicy, Limits, TLSPolicy
from .policy_file import ServerSettings, settings_for
from .report import BY_CONNECTOR, ConnectionReport
from .secret import Secret
from .tls.context import PolicyContext
from .tls.gate import GatedSocket
from .tls.verify import channel_of
from .values import reason_of
from .wire import Reader, send_in_pieces, send_secret

if TYPE_CHECKING:
    from .transcript import To

_LAST_WORDS = 2.0  # seconds for the answer to QUIT or LOGOUT
DEFAULT: Any = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]


class Connection(Guarded):
    """Mixed in before a standard class."""

    _MODE: ClassVar[Mode]

    _policy: TLSPolicy | None = None  # the caller's own
    _context: ssl.SSLContext | None = None  # the caller's own, for this connection
    _policys_context: ssl.SSLContext | None = None  # the policy's, for this or the next connection
    _own_context: ssl.SSLContext | None = None  # what the constructor was given of that kind
    _own_auth: AuthPolicy | None = None
    _own_server_hostname: Host | None = None
    _own_plaintext: str | None = None
    _settings: ServerSettings | None = None
    _server_hostname: Host | None = None
    _address: str = ""
    _reader: Reader | None = None
    _farewell_until: float | None = None
    _was_connected: bool = False
    _context_gave_way: bool = False

    # -- reading: one bounded reader of ours in place of the standard file

    @property
    def file(self) -> Reader | None:
        """What the standard modules read from. What they assign is exchanged for our reader."""
        return self._reader

    @file.setter
    def file(self, standard: Any) -> None:
        self._reader = None
        if standard is not None:
            standard.close()
            self._open_reader()

    def _open_reader(self) -> Reader:
        """The reader of the socket in use now; or the error that ended the connection."""
        if self._ended is not None:
            self._raise_ended()
        if self._reader is None or self._reader.sock is not self.sock:
            if self.sock.gettimeout() is None:  # a socket that a subclass brought
                self.sock.settimeout(self._limits.read)
            self._reader = self._new_reader(self.sock)
            self._begin_reply()
        return self._reader

    def _begin_reply(self) -> None:
        """What comes next has the bounds to itself; while the connection is opened, all that is
        said has one time."""
        if self._reader is None:
            return
        until = self._farewell_until
        if self._is_opening and self._limits.read is not None:
            if self._open_until is None:
                self._open_until = time.monotonic() + self._limits.read
            until = self._open_until
        self._reader.expect(
            is_opening=self._is_opening,
            is_early=self._is_early(),
            goes_on=self._goes_on(),
            until=until,
        )

    @contextmanager
    def _farewell(self) -> Iterator[None]:
        """Around the last words: nobody waits long for what does not matter any more."""
        self._farewell_until = time.monotonic() + _LAST_WORDS
        try:
            yield
        finally:
            self._farewell_until = None

    def _is_early(self) -> bool:
        """Whether nobody has signed in yet, so that replies are small."""
        return self._auth_report is None

    def _goes_on(self) -> bool:
        """Whether the reply that is due may bring mail, and take its time."""
        return False

    def _new_reader(self, sock: Any) -> Reader:
        if self._transcript is None:
            return Reader(sock, self._limits, self._end)
        from .transcript import TranscribingReader

        return TranscribingReader(self._transcript, sock, self._limits, self._end)

    def _read_line(self) -> bytes:
        """A line with its end; the connection's end, or a failure, is an error and closes it."""
        try:
            line = self._open_reader().readline()
        except TimeoutError:  # over our limit: closed already; or of the caller's own, as in IDLE
            raise
        except (OSError, EOFError) as error:
            self._raise_lost(error)
        except BaseException as error:
            self._break_off(error)
            raise
        if not line:
            self._raise_lost(EOFError())
        return line

    def _send_all(self, data: bytes) -> None:
        """All of it. Where the server takes nothing for as long as `Limits.read`: the end."""
        if self._transcript is not None:
            self._transcript.sent(data, private=self._is_private())
        self._busy = True
        try:
            send_in_pieces(self.sock, data)
        except TimeoutError:
            raise self._end(
                self._SEND_TIME_LIMIT(
                    "the server took nothing of what it was sent for "
                    f"{say_seconds(self._limits.read)}.",
                    hint="It, or the line, may be overloaded; Limits(read=...) waits longer.",
                )
            ) from None
        except OSError as error:
            self._said_before_it_hung_up()
            self._raise_lost(error)
        except BaseException as error:
            self._break_off(error)
            raise

    def _said_before_it_hung_up(self) -> None:
        """Raise what the server said, where it did before it took no more."""

    def _send_secret(self, line: Secret, shown: str) -> None:
        """One line of a sign-in, and its end, over what it may travel over; `shown` is what may be
        told of it. A failure is the end, also of a sign-in that the caller spells himself."""
        self._expect()
        self._learn(line)
        if self._transcript is not None:
            self._transcript.secret(line.reveal(), shown, private=self._is_private())
        self._busy = True
        try:
            send_secret(self._for_secrets, self.sock, line)
        except SecureMailError:
            raise
        except OSError as error:
            self._raise_lost(error)
        except BaseException as error:
            self._break_off(error)
            raise

    def _is_private(self) -> bool:
        return isinstance(self.sock, ssl.SSLSocket)

    def _expect(self) -> None:
        """A command goes out: its reply has the bounds to itself."""
        self._raise_ended()
        self._unheard = ""
        if self._was_connected and (self.sock is None or self.sock.fileno() == -1):
            self._raise_no_connection()
        if self.sock is not None:
            self._open_reader()
            self._require_nothing_unasked()
            self._begin_reply()

    def _raise_no_connection(self) -> None:
        """After a goodbye; nothing where the standard module says it itself."""
        raise self._LOST("there is no connection any more.", hint="Make a new one.")

    def _nothing_is_due(self) -> bool:
        """Whether no reply is on its way, so that one that is there was not asked for."""
        return False

    def _require_nothing_unasked(self) -> None:
        """What came before a command would be taken for the answer to it."""
        if self._busy or self._reader is None or not self._nothing_is_due():
            return
        try:
            left = self._reader.leftover()
        except (OSError, EOFError) as error:
            self._raise_lost(error)
        if left:
            raise self._close_for(self._unasked(left.splitlines()[0]))

    def _unasked(self, line: bytes) -> SecureMailError:
        return self._VIOLATION(
            f'the server said "{printable(line)}" without being asked.',
            hint="It would be taken for the answer to the next command. Connect again.",
            **self._details(),
        )

    def _end(self, error: LimitExceeded) -> LimitExceeded:
        """A bound was crossed: close, and say the same at every later verb."""
        is_time = isinstance(error, TimeLimitExceeded)
        hint = (self._unheard or self._doubt()) if is_time else ""
        kind = self._LIMIT if type(error) is LimitExceeded else type(error)
        if type(error) is TimeLimitExceeded:
            kind = self._TIME_LIMIT
        ended = kind(error.message, code=error.code, hint=hint or error.hint, **self._details())
        self._close_for(ended)
        return ended

    # -- opening

    def _settle(
        self,
        policy: TLSPolicy | None,
        auth: AuthPolicy | None,
        limits: Limits | None,
        timeout: float | None,
        server_hostname: str | None,
        *,
        context: ssl.SSLContext | None = None,
        plaintext: str | None = None,
        connector: Connector | None = None,
        transcript: To | None = None,
    ) -> None:
        """Check and keep the arguments; nothing is connected yet."""
        if policy is not None and not isinstance(policy, TLSPolicy):
            raise PolicyError(f"policy={policy!r} is not a TLSPolicy.", code="policy")
        self._policy, self._own_auth = policy, auth
        self._own_context = self._context = self._checked(context)
        given = socket.getdefaulttimeout() if timeout is None or timeout is DEFAULT else timeout
        self._limits = (limits or Limits()).with_timeout(given)
        if server_hostname is not None:
            self._own_server_hostname = Host.parse(server_hostname)
        self._own_plaintext = reason_of(plaintext, "plaintext", code="plaintext")
        require_connector(connector)
        self._connector = connector
        if transcript is not None:
            from .transcript import Transcript

            self._transcript = Transcript(transcript, self._DIALECT.service)

    def _checked(self, context: ssl.SSLContext | None) -> ssl.SSLContext | None:
        """A context of the caller's own, which a policy beside it would contradict."""
        if context is None:
            return None
        if self._policy is not None:
            raise PolicyError(
                "policy= and a context were both given: only one can hold.",
                code="policy-and-context",
                hint="Leave the context out; the policy makes its own.",
            )
        _require_safe(context)
        return context

    def _tls_context(self) -> ssl.SSLContext:
        """The caller's context, else the policy's: asked again, the same one until it was used, as
        some policies make one for each connection."""
        if self._context is not None:
            return self._context
        self._policys_context = self._tls_policy().connection_context(self._policys_context)
        return self._policys_context

    def _tls_policy(self) -> TLSPolicy:
        """The caller's, else the policy file's, else the default."""
        of_file = self._settings.policy if self._settings else None
        return self._policy or of_file or TLSPolicy()

    def _policy_here(self) -> TLSPolicy | None:
        return None if self._context is not None else self._tls_policy()

    def _begin(self, host: str, port: int) -> None:
        """Forget the connection before this one, and what it proved; say where to go now."""
        self._context = self._own_context  # one that the verb was given was for its connection
        self._channel, self._auth_report = Plaintext("not verified yet"), None
        self._declined, self._sent, self._in_clear = "", "", None
        self._spelled, self._asked, self._told = "", False, False
        self._spelled_in_vain = False
        self._hush(None)
        self._ended, self._reader, self._settings = None, None, None
        self._address, self._went_by, self._dialled = "", None, None
        target, number = Host.parse(host), _port_number(port)
        settings = None if self._policy is not None else settings_for(target, number)
        self._context_gave_way = False
        if self._context is not None and settings is not None:
            settings = settings if settings.is_for_this_server else None
            self._take_context(self._context, settings)
        if self._dials() and not (settings and settings.any_port):
            require_port(number, self._MODE, type(self).__name__)
        self._apply(settings)
        self._endpoint = Endpoint(
            host=target,
            name=self._server_hostname or target,
            port=number,
            protocol=self._PROTOCOL,
        )
        self._unheard = "" if self._MODE is TLS else unheard(self._PROTOCOL)
        if self._MODE.is_private:
            self._tls_context()  # whatever is wrong with it is told before anything is connected
        self._begin_transcript()

    def _take_context(self, given: ssl.SSLContext, settings: ServerSettings | None) -> None:
        """One that the program brought, for this connection. It gives way to what the policy file
        says of TLS with this very server, since somebody meant that; `[default]` is not it, and a
        context that a policy made is a policy."""
        of_file = settings is not None and settings.says_of_tls
        self._context_gave_way = of_file and not isinstance(given, PolicyContext)
        self._context = None if self._context_gave_way else given

    def _dials(self) -> bool:
        """Whether it is our socket that goes there: a subclass may bring one with TLS on it."""
        return True

    def _begin_transcript(self) -> None:
        if self._transcript is not None:
            assert self._endpoint is not None
            place = SecureMailError("", **{**self._endpoint.details(), "protocol": None}).where
            self._transcript.begin(f"{place}  {self._endpoint.protocol}")

    def _apply(self, settings: ServerSettings | None) -> None:
        """What the caller gave; where he gave nothing, what the policy file says of the server. A
        caller who brings a policy or a context has said whom he believes, and goes without it."""
        self._settings = settings
        self._auth = self._own_auth or (settings.auth if settings else AuthPolicy())
        if self._MODE is CLEAR:
            self._plaintext = self._own_plaintext or (settings.plaintext if settings else None)
        self._server_hostname = self._own_server_hostname
        if self._server_hostname is None and settings and settings.server_hostname is not None:
            self._server_hostname = Host.parse(settings.server_hostname)

    def _connected(self, source_address: Any = None) -> socket.socket:
        """A socket to where `_begin` said; verified, where TLS is spoken from the first byte."""
        assert self._endpoint is not None
        deadline = Deadline(self._limits.connect)
        self._went_by = self._connector or programs_own()
        if self._went_by is None:
            sock = self._dialled = dial(self._endpoint, deadline, source_address)
        else:
            sock = dial_by(self._went_by, self._endpoint, deadline, source_address)
        self._tell_address(sock)
        if self._MODE is TLS:
            sock = secure(sock, self._tls_context(), self._endpoint, deadline)
        try:
            self._accept(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def _accept(self, sock: socket.socket) -> None:
        """What `sock` is, and its limits; with the verdict made, its warnings."""
        assert self._endpoint is not None
        self._was_connected = True
        sock.settimeout(self._limits.read)
        self._address = self._say_address(sock)
        self._channel = channel_of(sock, self._endpoint.name)
        if isinstance(sock, ssl.SSLSocket):
            require_verified(self._channel, sock)
        if isinstance(sock, GatedSocket):
            sock.tell()
        if isinstance(self._channel, Verified) or not self._MODE.is_private:
            _log(self.report)
        if self._transcript is not None and isinstance(self._channel, Verified):
            self._transcript.secured(self._channel.report)

    def _tell_address(self, sock: Any) -> None:
        if self._transcript is not None:
            with suppress(OSError):  # it was reset
                self._transcript.event(f"connected to {self._say_address(sock)}")

    def _say_address(self, sock: Any) -> str:
        """Where TCP goes. By a connector: not to the server."""
        if self._went_by is None:
            return _address_of(sock)
        # Not its own method: some proxies' sockets answer for the server.
        peer = _said(socket.socket.getpeername(sock))
        return BY_CONNECTOR + (peer or "an unnamed socket of this computer")

    @property
    def report(self) -> ConnectionReport:
        """What was found on this connection, so far; also after a sign-in and after its end."""
        if self._endpoint is None:
            raise PolicyError("there is no connection to report on.", code="not-connected")
        channel = self._current_channel()
        tls = channel.report if isinstance(channel, Verified) else None
        if not self._address and self.sock is not None:
            self._address = self._say_address(self.sock)
        return ConnectionReport(
            protocol=self._endpoint.protocol,
            host=self._endpoint.host.address,
            port=self._endpoint.port,
            address=self._address,
            tls=tls,
            auth=self._auth_report,
            plaintext=self._plaintext if tls is None else None,
            policy_file=self._policy_file(),
        )

    def _policy_file(self) -> str | None:
        """Which entry of it counts."""
        if self._settings is None:
            return None
        instead = ", instead of the context that was given" if self._context_gave_way else ""
        return self._settings.source + instead


def _require_safe(context: ssl.SSLContext) -> None:
    """A context of the caller's own is never changed, so it must be right."""
    if isinstance(context, PolicyContext):
        return
    if context.verify_mode != ssl.CERT_REQUIRED or not context.check_hostname:
        raise PolicyError(
            "the context that was given does not verify the server "
            f"(verify_mode={context.verify_mode.name}, check_hostname={context.check_hostname}).",
            code="context-unverified",
            hint="Leave the context out, or make it with ssl.create_default_context(). For a "
            'server with a certificate of its own: policy=TLSPolicy(trust=ExactCertificate("server.'
            'pem")).',
        )


def _port_number(port: object) -> int:
    number = int(port) if isinstance(port, str) and port.isascii() and port.isdigit() else port
    if not isinstance(number, int) or not 0 < number < 65536:
        raise PolicyError(f"the port {port!r} is not a number from 1 to 65535.", code="port")
    return number


def _address_of(sock: socket.socket) -> str:
    return _said(sock.getpeername())


def _said(address: Any) -> str:
    return str(address if isinstance(address, (str, bytes)) else address[0])


def _log(report: ConnectionReport) -> None:
    """One line a connection. A program that never imported `logging` has nobody to read it."""
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("securemail").info("%s", report.line())
