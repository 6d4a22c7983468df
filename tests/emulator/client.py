"""A plain client for the emulator's tests: a WebSocket that keeps its frames, and REST."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from emulator.run import Emulator, Options

HOSTS = {
    "binance_spot": "stream.binance.com/stream",
    "binance_usdm": "fstream.binance.com/public/stream",
    "binance_coinm": "dstream.binance.com/stream",
    "okx": "ws.okx.com/ws/v5/public",
    "bybit": "stream.bybit.com/v5/public/linear",
    "kraken": "ws.kraken.com/v2",
    "coinbase": "ws-feed.exchange.coinbase.com",
    "deribit": "www.deribit.com/ws/api/v2",
}


class Client(WSListener):
    """Keeps what it receives; `frames` are texts in order."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.binary: list[bytes] = []
        self.closed = asyncio.Event()
        self.close_code: int | None = None
        self.transport: WSTransport | None = None
        self._changed = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Open."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Keeps a text."""
        if frame.msg_type == WSMsgType.TEXT:
            self.frames.append(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.BINARY:
            self.binary.append(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code().value)
            transport.disconnect()
        self._changed.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Closed."""
        self.closed.set()
        self._changed.set()

    def send(self, message: object) -> None:
        """Sends a JSON message."""
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, json.dumps(message).encode())

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Waits until a condition holds, looked at whenever a frame came."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def enough(self, count: int, seconds: float = 20.0) -> list[bytes]:
        """Waits for so many frames."""
        await self.until(lambda: len(self.frames) >= count, seconds)
        return self.frames

    def messages(self) -> list[Any]:
        """All frames, parsed, numbers as text."""
        return [json.loads(frame, parse_float=str, parse_int=str) for frame in self.frames]


class Running:
    """An emulator in this process, on a real port."""

    def __init__(self, emulator: Emulator, port: int) -> None:
        self.emulator, self.port = emulator, port
        self.clients: list[Client] = []

    async def connect(self, venue: str, *messages: object, path: str = "") -> Client:
        """A WebSocket client that has sent some messages."""
        url = f"ws://127.0.0.1:{self.port}/{venue}/{path or HOSTS[venue]}"
        _, client = await ws_connect(Client, url)
        assert isinstance(client, Client)
        self.clients.append(client)
        for message in messages:
            client.send(message)
        return client

    async def get(self, path: str) -> httpx.Response:
        """A REST answer."""
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            return await http.get(f"http://127.0.0.1:{self.port}/{path}")

    async def fault(self, venue: str, **command: object) -> httpx.Response:
        """Arms a fault."""
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            return await http.post(f"http://127.0.0.1:{self.port}/_tapeline/{venue}/fault", json=command)

    def sent(self, venue: str) -> dict[str, int]:
        """Data payloads sent by channel."""
        return self.emulator.ledger.tallies[venue].channels()


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Running]:
    """An emulator, stopped at the end."""
    emulator = Emulator(options)
    port = await emulator.start()
    made = Running(emulator, port)
    try:
        yield made
    finally:
        for client in made.clients:
            if client.transport is not None and not client.closed.is_set():
                client.transport.disconnect(graceful=False)
        for client in made.clients:
            await client.closed.wait()
        await emulator.stop()


def subscribe(venue: str, channels: list[str]) -> list[object]:
    """Messages that subscribe some channels, written here by the venues' documentation."""
    if venue.startswith("binance"):
        return [{"method": "SUBSCRIBE", "params": channels, "id": 1}]
    if venue == "deribit":
        return [{"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": {"channels": channels}}]
    if venue == "bybit":
        return [{"req_id": "1", "op": "subscribe", "args": [channel.removeprefix("spot.") for channel in channels]}]
    pairs = [channel.split(".", 1) for channel in channels if "." in channel]
    if venue == "okx":
        kinds = {"instruments": "instType"}
        args = [{"channel": kind, kinds.get(kind, "instId"): name} for kind, name in pairs if kind != "list"]
        return [{"id": "1", "op": "subscribe", "args": args}]
    if venue == "coinbase":
        feeds = [{"name": kind, "product_ids": [product]} for kind, product in pairs]
        return [{"type": "subscribe", "channels": feeds}]
    asked: list[object] = [
        {"method": "subscribe", "params": {"channel": kind, "symbol": [symbol]}, "req_id": number}
        for number, (kind, symbol) in enumerate(pairs)
    ]
    if "instrument" in channels:
        asked.append({"method": "subscribe", "params": {"channel": "instrument"}, "req_id": 99})
    return asked
