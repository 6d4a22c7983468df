"""The emulator's one port: `/<venue>/<original host><path?query>` for WebSockets and REST, `/_tapeline/…` for commands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast
from urllib.parse import urlencode

import msgspec

from emulator import wire
from emulator.connection import Connection, Guest, OnSent
from emulator.faults import Target, parse
from emulator.http import HttpError, HttpRequest, HttpResponse, take_request
from emulator.served import Served
from emulator.venue import Acceptor, Dialogue
from tapeline.errors import UsageError

_OWN, _AS = "_tapeline", "_as"
_FIX, _FIX_END = b"8=FIX", re.compile(rb"\x0110=\d{3}\x01")
_GOODBYE = 0.5
"""How long clients get to take what is still being sent when the emulator stops, in seconds."""


class Called(NamedTuple):
    """What a request's path names; `path` is that at the original host."""

    party: str
    venue: str
    host: str
    path: str


MakeDialogue = Callable[[Served, Mapping[str, str], str], Dialogue]


class Server:
    """All venues on one port. `stats` gives what `/_tapeline/stats` answers."""

    def __init__(
        self,
        venues: Mapping[str, Served],
        dialogue: MakeDialogue,
        pace: float,
        on_sent: OnSent,
        stats: Callable[[], object],
        party: Callable[[str], int] = lambda name: 0,
    ) -> None:
        self._party = party
        self.venues, self._dialogue, self._pace, self._on_sent, self._stats = venues, dialogue, pace, on_sent, stats
        self._server: asyncio.Server | None = None
        self.gates: set[Gate] = set()

    async def listen(self, host: str, port: int) -> int:
        """Opens the port (0: any) and returns it; raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Gate(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Closes the port and all connections."""
        if self._server is not None:
            self._server.close()
        open_still = [connection for served in self.venues.values() for connection in served.connections]
        for connection in open_still:
            connection.hang_up()
        for gate in self.gates:
            gate.close()
        try:
            async with asyncio.timeout(_GOODBYE):
                await asyncio.gather(*(connection.gone.wait() for connection in open_still))
        except TimeoutError:
            for connection in open_still:
                connection.abort()
            await asyncio.gather(*(connection.gone.wait() for connection in open_still))

    def upgrade(self, request: HttpRequest) -> Connection | HttpResponse:
        """The connection a handshake opens, or why not."""
        called = self._called(request.path)
        served = self.venues.get(called.venue)
        if served is None:
            return HttpResponse(404, b"no such venue")
        url = f"wss://{called.host}{called.path}" + (f"?{urlencode(request.query)}" if request.query else "")
        until = served.tokens.until(url, served.clock() / 1e9)
        if until is None:
            return HttpResponse(401, served.venue.refusal(401, "token"))
        if served.banned(called.party):
            return HttpResponse(403, served.venue.refusal(403, "banned"))
        guest = Guest(self._party(called.party), called.party, until)
        return Connection(served, self._dialogue(served, request.query, url), self._pace, self._on_sent, guest)

    def accept(self, first: bytes) -> Connection | None:
        """The connection that a first message without HTTP opens; None where no venue here is meant."""
        for served in self.venues.values():
            targets = [place.fix.target for place in served.session.endpoints if place.fix is not None]
            if isinstance(served.venue, Acceptor) and any(f"\x0156={name}\x01".encode() in first for name in targets):
                dialogue, carrier = served.venue.accept(served.source.channels)
                return Connection(served, dialogue, self._pace, self._on_sent, None, carrier)
        return None

    def _called(self, path: str) -> Called:
        """What a path names: `/<venue>/<host>/…`, behind `/_as/<party>` where the client says whose it is."""
        pieces = [*path.split("/")[1:], "", "", "", ""]
        party = ""
        if pieces[0] == _AS:
            party, pieces = pieces[1], pieces[2:]
        return Called(party, pieces[0], pieces[1], "/" + "/".join(pieces[2:-4]))

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers a plain HTTP request."""
        if request.path.startswith(f"/{_OWN}/"):
            return self._command(request)
        called = self._called(request.path)
        served = self.venues.get(called.venue)
        if served is None:
            known = ", ".join(self.venues)
            return HttpResponse(404, f"no such venue; known: {known}".encode(), kind="text/plain")
        if served.banned(called.party):
            return HttpResponse(418, served.venue.refusal(418, "banned"), {"retry-after": "1"})
        prepared = served.tokens.prepared(called.path)
        if prepared is not None:
            return HttpResponse(200, served.tokens.issue(prepared, called.host, served.clock() / 1e9))
        return await served.rest(called.path, dict(request.query), called.party)

    def _command(self, request: HttpRequest) -> HttpResponse:
        pieces = request.path.strip("/").split("/")
        if pieces[1:] == ["stats"]:
            return HttpResponse(200, msgspec.json.encode(self._stats()))
        if len(pieces) == 3 and pieces[2] == "fault" and pieces[1] in self.venues and request.method == "POST":
            try:
                struck = self.fault(self.venues[pieces[1]], request.body)
            except UsageError as error:
                return HttpResponse(400, msgspec.json.encode({"error": str(error)}))
            return HttpResponse(200, msgspec.json.encode(struck))
        return HttpResponse(404, b'{"error":"no such command"}')

    def fault(self, served: Served, body: bytes) -> dict[str, object]:
        """Arms or does what a command says; raises UsageError."""
        target, command = parse(body)
        if target is not Target.CONNECTION:
            served.faults.arm(target, command)
            return {"armed": command.fault}
        if command.fault == "ban":
            served.ban(command.party, command.seconds)
        if command.fault == "token_expires":
            served.tokens.expire()
        if command.fault == "max_age":
            served.max_age = command.seconds
        if command.fault == "end_of_life":
            served.ended.add(command.channel)
        hit = [one for one in served.connections if one.meant(command)]
        for connection in hit:
            connection.strike(command)
        served.tally.faults[command.fault] = served.tally.faults.get(command.fault, 0) + len(hit)
        return {"struck": command.fault, "connections": len(hit)}


class Gate(asyncio.Protocol):
    """A new TCP connection until it has said whether it speaks HTTP or WebSocket."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._busy: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for a request."""
        self._transport = cast(asyncio.Transport, transport)
        self._server.gates.add(self)

    def close(self) -> None:
        """The emulator stops."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drops what is under way."""
        self._transport = None
        self._server.gates.discard(self)
        if self._busy is not None:
            self._busy.cancel()

    def data_received(self, data: bytes) -> None:
        """Takes requests one after another."""
        self._buffer += data
        if self._buffer.startswith(_FIX):
            self._accept()
        elif self._busy is None:
            self._next()

    def _accept(self) -> None:
        """A connection without HTTP, once its first message is whole."""
        transport = self._transport
        if transport is None or not _FIX_END.search(self._buffer):
            return
        made = self._server.accept(bytes(self._buffer))
        if made is None:
            transport.close()
            return
        self._hand_over(transport, made)

    def _next(self) -> None:
        transport = self._transport
        if transport is None:
            return
        try:
            request = take_request(self._buffer)
        except HttpError as error:
            transport.write(HttpResponse(400, str(error).encode(), kind="text/plain").encoded(close=True))
            transport.close()
            return
        if request is None:
            return
        if request.websocket:
            self._upgrade(request, transport)
        else:
            self._busy = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: HttpRequest) -> None:
        response = await self._server.answer(request)
        close = request.headers.get("connection", "").lower() == "close"
        if self._transport is not None:
            self._transport.write(response.encoded(close))
            if close:
                self._transport.close()
        self._busy = None
        self._next()

    def _upgrade(self, request: HttpRequest, transport: asyncio.Transport) -> None:
        made = self._server.upgrade(request)
        if isinstance(made, HttpResponse):
            transport.write(made.encoded(close=True))
            transport.close()
            return
        accept = wire.accept_key(request.headers["sec-websocket-key"].encode())
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            b"sec-websocket-accept: " + accept + b"\r\n\r\n"
        )
        self._hand_over(transport, made)

    def _hand_over(self, transport: asyncio.Transport, made: Connection) -> None:
        self._server.gates.discard(self)
        transport.set_protocol(made)
        made.connection_made(transport)
        if self._buffer:
            made.data_received(bytes(self._buffer))
