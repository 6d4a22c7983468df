"""A FIX session over TCP or TLS as a transport: session messages stay here, all others go to the intake as they came."""

from __future__ import annotations

import asyncio
import functools
import ssl
from time import time_ns
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from session_manager.fix.acts import Act, Beat, Deliver, End, Hole, Note, Ready, Tell, Write
from session_manager.fix.conversation import Conversation, Stage
from session_manager.fix.framing import Framer
from session_manager.fix.numbers import Numbers
from session_manager.intake import Intake
from session_manager.session.actions import Connect
from tapeline.errors import HandshakeError
from tapeline.spec.session import FixSession
from tapeline.spec.template import TemplateError
from tapeline.telemetry import Level, event

if TYPE_CHECKING:
    from session_manager.transport import Owner

_LOGGED_OUT, _ABNORMAL = 1000, 1006
_LEAST_WAIT = 0.001


@functools.cache
def _numbers(url: str, sender: str, target: str) -> Numbers:
    """Where numbers are not reset at logon a session outlives its connections, for as long as the process lives."""
    return Numbers()


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class FixSocket(asyncio.Protocol):
    """One connection's; it connects once."""

    def __init__(self, spec: FixSession, connection: int, intake: Intake, owner: Owner) -> None:
        self._spec = spec
        self._connection = connection
        self._intake = intake
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._framer = Framer()
        self._garbled = 0
        self._conversation: Conversation | None = None
        self._transport: asyncio.Transport | None = None
        self._logon: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._frames: list[bytes] = []
        self._first = 0
        self._silent = False
        """Closed by our side: the owner hears no more."""
        self._told = False
        self._reason = "connection lost"
        self._code = _ABNORMAL

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Logs on."""
        self._transport = cast(asyncio.Transport, transport)
        if self._silent or self._conversation is None:
            self._transport.abort()
            return
        self._do(self._conversation.begin(self._loop.time(), time_ns()))
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Cuts messages, handles the session's and hands on all others."""
        conversation = self._conversation
        if conversation is None:
            return
        self._first = time_ns()
        now = self._loop.time()
        for frame in self._framer.feed(data):
            if conversation.plain(now, frame):
                self._frames.append(frame.raw)
            else:
                self._do(conversation.frame(now, time_ns(), frame))
        if self._framer.garbled != self._garbled:
            self._garbled = self._framer.garbled
            self._note("fix_garbled", "BodyLength or CheckSum is wrong")
        self._flush()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if not self._logon.done():
            self._logon.set_exception(HandshakeError(str(exc) if exc else self._reason))
            # Nobody waits for it where the connection was closed by our side.
            self._logon.exception()
        elif not self._silent and not self._told:
            self._told = True
            self._owner.on_closed(self._connection, self._code, self._reason)

    # The session manager's side

    async def connect(self, url: str, action: Connect) -> None:
        """Connects and logs on; raises OSError, TimeoutError or HandshakeError."""
        variables = dict(action.variables)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
        if not self._spec.reset:
            numbers = _numbers(url, variables.get("sender", self._spec.sender), self._spec.target)
        else:
            numbers = Numbers()
        try:
            self._conversation = Conversation(self._spec, numbers, variables)
        except TemplateError as error:
            raise HandshakeError(str(error)) from None
        secure = parts.scheme == "tls"
        async with asyncio.timeout(action.timeout):
            await self._loop.create_connection(
                lambda: self,
                host,
                port,
                ssl=_trust() if secure else None,
                server_hostname=host if secure else None,
            )
            try:
                await self._logon
            except asyncio.CancelledError:
                self._abort()
                raise

    def send(self, text: str) -> None:
        """Sends messages written as the session language has them."""
        if self._conversation is not None:
            self._do(self._conversation.send(self._loop.time(), time_ns(), text))
            self._arm()

    def ping(self) -> None:
        """Sends a test request."""
        if self._conversation is not None:
            self._do(self._conversation.probe(self._loop.time(), time_ns()))
            self._arm()

    def close(self) -> None:
        """Logs out; the owner hears no more."""
        self._silent = True
        if self._conversation is not None:
            self._do(self._conversation.leave(self._loop.time(), time_ns()))
            self._arm()

    def _do(self, acts: list[Act]) -> None:
        for act in acts:
            match act:
                case Write(data) if self._transport is not None:
                    self._transport.write(data)
                case Deliver(raw) | Tell(raw) if not self._silent:
                    self._frames.append(raw)
                case Ready() if not self._silent:
                    if not self._logon.done():
                        self._logon.set_result(None)
                    self._owner.on_connected(self._connection)
                case Beat(answer) if not self._silent:
                    self._owner.on_heartbeat(self._connection, pong=answer)
                case Hole(first, last) if not self._silent:
                    # What was handed on before it belongs before it.
                    self._flush()
                    self._owner.on_hole(self._connection, f"messages {first} to {last} came late or never")
                case Note(name, reason):
                    self._note(name, reason)
                case End(reason, refused):
                    self._end(reason, refused)

    def _end(self, reason: str, refused: bool) -> None:
        self._flush()
        self._reason, self._code = reason, _LOGGED_OUT
        if refused and not self._logon.done():
            self._logon.set_exception(HandshakeError(reason))
            self._logon.exception()
            self._told = True
        if self._transport is not None:
            # What is written still goes out.
            self._transport.close()

    def _flush(self) -> None:
        if self._frames and not self._silent:
            self._intake.push(self._connection, self._first, self._frames)
        self._frames.clear()

    def _abort(self) -> None:
        self._silent = True
        if self._transport is not None:
            self._transport.abort()

    def _note(self, name: str, reason: str) -> None:
        event(name, Level.WARNING, connection=self._connection, reason=reason)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is None or self._conversation is None or self._conversation.stage is Stage.OVER:
            return
        now = self._loop.time()
        at = self._conversation.deadline(now, time_ns())
        if at != float("inf"):
            self._timer = self._loop.call_at(max(at, now + _LEAST_WAIT), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._conversation is None:
            return
        self._do(self._conversation.tick(self._loop.time(), time_ns()))
        self._flush()
        self._arm()
