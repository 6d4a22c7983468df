"""A small real gRPC server that replays prepared raw batches, for tests of subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import grpc

from tapeline.ingest.v1 import ingest_pb2
from tapeline.stream import Position, peek

SERVICE = "tapeline.ingest.v1.IngestService"


def batch(
    epoch: int,
    first: int,
    payloads: Iterable[tuple[str, str, int, bytes] | tuple[str, str, int, bytes, int]],
    provider: str = "TEST",
    instance: str = "PRIMARY",
) -> bytes:
    """An encoded batch of (channel, schema, ts_recv, data) or the same with a connection at the end."""
    response = ingest_pb2.SubscribeResponse()
    raw = response.batch
    raw.provider, raw.instance, raw.epoch, raw.first_sequence = provider, instance, epoch, first
    places: dict[tuple[str, str], int] = {}
    for channel, schema, ts_recv, data, *connection in payloads:
        place = places.setdefault((channel, schema), len(places))
        raw.payloads.add(channel=place, ts_recv=ts_recv, connection=sum(connection), data=data)
    for channel, schema in places:
        raw.channels.add(name=channel, schema=schema)
    return response.SerializeToString()


def gap(epoch: int, first: int, last: int, provider: str = "TEST", instance: str = "PRIMARY") -> bytes:
    """An encoded gap."""
    response = ingest_pb2.SubscribeResponse()
    lost = response.gap
    lost.provider, lost.instance, lost.epoch = provider, instance, epoch
    lost.from_sequence, lost.to_sequence = first, last
    return response.SerializeToString()


@dataclass
class StreamServer:
    """Sends its responses to whoever subscribes, from the position they name, and holds the stream open."""

    responses: list[bytes] = field(default_factory=list)
    resumes: list[Position | None] = field(default_factory=list)
    resyncs: list[tuple[str, str, str]] = field(default_factory=list)
    sent: int = 0
    end_after: int | None = None
    """How many responses to send before the stream is ended; None: never."""
    port: int = 0

    def __post_init__(self) -> None:
        self._server: grpc.aio.Server | None = None
        self._grown = asyncio.Condition()

    @property
    def address(self) -> str:
        """Where it serves."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serves; on the same port as before where there was one."""
        self._server = grpc.aio.server()
        handlers = {
            "Subscribe": grpc.unary_stream_rpc_method_handler(
                self._subscribe, ingest_pb2.SubscribeRequest.FromString, None
            ),
            "RequestResync": grpc.unary_unary_rpc_method_handler(
                self._resync,
                ingest_pb2.RequestResyncRequest.FromString,
                ingest_pb2.RequestResyncResponse.SerializeToString,
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Ends every stream and the server."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def add(self, responses: Sequence[bytes]) -> None:
        """More to send."""
        async with self._grown:
            self.responses += responses
            self._grown.notify_all()

    async def _subscribe(self, request: ingest_pb2.SubscribeRequest, _: object) -> AsyncIterator[bytes]:
        resume = Position(request.resume.epoch, request.resume.sequence) if request.HasField("resume") else None
        self.resumes.append(resume)
        place = sent = 0
        while True:
            while place < len(self.responses):
                response = self.responses[place]
                place += 1
                seen = peek(response)
                if resume and seen.epoch == resume.epoch and 0 < seen.last <= resume.sequence:
                    continue
                yield response
                self.sent += 1
                sent += 1
                if sent == self.end_after:
                    return
            async with self._grown:
                await self._grown.wait_for(lambda: place < len(self.responses))  # noqa: B023 - awaited at once

    async def _resync(self, request: ingest_pb2.RequestResyncRequest, _: object) -> ingest_pb2.RequestResyncResponse:
        self.resyncs.append((request.provider, request.channel, request.reason))
        return ingest_pb2.RequestResyncResponse(accepted=True)
