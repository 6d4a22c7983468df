"""A small venue over real sockets: acks by the session language, and else does what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from aiohttp import WSCloseCode, WSMsgType, web

from tapeline.spec.session import Session
from tapeline.spec.subscribe import Command, command


class FakeVenue:
    """Serves WebSocket and HTTP on one port of 127.0.0.1; `answer` gives the frames that answer a command."""

    def __init__(self, session: Session, answer: Callable[[Command], list[str]]) -> None:
        self._session = session
        self._answer = answer
        self.clients: list[web.WebSocketResponse] = []
        self.at: dict[web.WebSocketResponse, str] = {}
        """Which path a client came by."""
        self.refuses: dict[str, str] = {}
        """With headers here, handshakes are refused as too many."""
        self.refused = 0
        self.hangs = ""
        """A part of the paths whose handshakes are never answered."""
        self.paths: list[str] = []
        self.pongs: list[bytes] = []
        self.texts: list[str] = []
        self.commands: list[Command] = []
        self.requests: list[str] = []
        self.http: dict[str, tuple[int, bytes]] = {}
        self.port = 0

    @property
    def base(self) -> str:
        """What `--endpoint-base` takes."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._request)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in list(self.clients):
            await client.close(code=WSCloseCode.GOING_AWAY)
        await self._runner.cleanup()

    async def send(self, *texts: str, client: int = -1) -> None:
        """Sends frames to a client, as long as it is there."""
        chosen = self.clients[client]
        for text in texts:
            if not chosen.closed:
                await chosen.send_str(text)

    async def send_bytes(self, *frames: bytes, client: int = -1) -> None:
        """Sends binary frames to a client."""
        for frame in frames:
            await self.clients[client].send_bytes(frame)

    async def _request(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        self.requests.append(request.path_qs)
        for part, (status, body) in self.http.items():
            if part in request.path_qs:
                return web.Response(status=status, body=body)
        return web.Response(status=404)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if self.refuses:
            self.refused += 1
            raise web.HTTPTooManyRequests(headers=self.refuses)
        while self.hangs and self.hangs in request.path_qs:  # noqa: ASYNC110 - the test changes a plain attribute
            await asyncio.sleep(0.05)
        client = web.WebSocketResponse(autoping=False)
        await client.prepare(request)
        self.at[client] = request.path_qs
        self.paths.append(request.path_qs)
        self.clients.append(client)
        async for message in client:
            if message.type is WSMsgType.PONG:
                self.pongs.append(bytes(message.data))
            elif message.type is WSMsgType.TEXT:
                self.texts.append(message.data)
                if (asked := command(self._session, message.data)) is not None:
                    self.commands.append(asked)
                    for answer in self._answer(asked):
                        await client.send_str(answer)
        self.clients.remove(client)
        return client


async def until(condition: Callable[[], object], timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a test's own
    """Waits for a condition."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
