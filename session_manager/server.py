"""The gRPC end of the raw stream: encoded batches go out as the bytes they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tapeline_kernel import merge_batches

from session_manager.ring import Batch, Cursor, Lost, Ring
from tapeline.ingest.v1 import ingest_pb2
from tapeline.telemetry import Level, count, event

SERVICE = "tapeline.ingest.v1.IngestService"

_LONGEST_HOLD_MS = 1000
_FAREWELL = 0.2
# Larger batches are not worth merging, and the loop must not stand still for it.
_MERGED_BYTES = 128 << 10

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.so_reuseport", 0),
)


_Request = TypeVar(
    "_Request", ingest_pb2.SubscribeRequest, ingest_pb2.RequestResyncRequest, ingest_pb2.WatchRoleRequest
)


class Source(Protocol):
    """What the server needs of a provider's place in the process."""

    @property
    def instance(self) -> str:
        """PRIMARY or REPLICA; empty while it stands by."""

    @property
    def ring(self) -> Ring | None:
        """Its batches; None while it stands by."""

    @property
    def news(self) -> asyncio.Event:
        """Set at the next change; then there is another one."""

    async def trusted(self, ring: Ring, sequence: int) -> bool:
        """Whether a ring may be passed on up to a sequence."""

    def request_resync(self, channel: str, reason: str) -> bool:
        """Whether a fresh book of the channel will come."""


class IngestServer:
    """Serves the rings of all providers of a process."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        self._subscribed = 0
        self._ending = asyncio.Event()

    async def start(self, address: str) -> int:
        """Listens on `host:port` (port 0: any) and returns the port; raises OSError where it is taken."""
        handlers = {
            "Subscribe": grpc.unary_stream_rpc_method_handler(self._subscribe),
            "RequestResync": grpc.unary_unary_rpc_method_handler(self._request_resync),
            "WatchRole": grpc.unary_stream_rpc_method_handler(self._watch_role),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        await self._server.start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace: float = 8.0) -> None:
        """Says NOT_SERVING, lets subscribers take what their rings still hold for `grace` seconds, and ends."""
        await self._health.enter_graceful_shutdown()
        end = time.monotonic() + grace
        while self._subscribed and time.monotonic() < end:  # noqa: ASYNC110 - at the end only
            await asyncio.sleep(0.01)
        # Whoever follows a role takes its end for the end of the stream.
        self._ending.set()
        await self._server.stop(max(_FAREWELL, end - time.monotonic()) if not self._subscribed else _FAREWELL)

    async def _subscribe(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        asked = await _parse(ingest_pb2.SubscribeRequest, request, context)
        source = await self._source(asked.provider, context)
        instance, ring = source.instance, source.ring
        if ring is None or asked.instance not in ("", instance):
            told = f"{asked.provider} is {instance} here" if instance else f"{asked.provider} stands by here"
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{told}; asked for {asked.instance or 'any instance'}")
        resume = (asked.resume.epoch, asked.resume.sequence) if asked.HasField("resume") else None
        name = asked.subscriber or context.peer()
        try:
            cursor, lost = ring.open(name, resume)
        except ValueError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        event("subscribed", provider=asked.provider, subscriber=name, after=cursor.sequence, lag=ring.lag(cursor))
        self._subscribed += 1
        try:
            for one in lost:
                yield _gap(asked.provider, instance, name, one)
            hold = min(asked.hold_ms, _LONGEST_HOLD_MS) / 1000
            while await ring.wait(cursor):
                if hold:
                    await asyncio.sleep(hold)
                passed = cursor.sequence
                for items in _runs(ring, cursor, _MERGED_BYTES if hold else 0):
                    last = items[-1].last if isinstance(items, list) else items.to_sequence
                    if not await source.trusted(ring, last):
                        _withhold(asked.provider, instance, name, ring, passed)
                        return
                    passed = last
                    yield _data(items) if isinstance(items, list) else _gap(asked.provider, instance, name, items)
        finally:
            self._subscribed -= 1
            ring.release(cursor)
            event("unsubscribed", provider=asked.provider, subscriber=name, lag=ring.lag(cursor))

    async def _watch_role(
        self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        asked = await _parse(ingest_pb2.WatchRoleRequest, request, context)
        source = await self._source(asked.provider, context)
        told: str | None = None
        while not self._ending.is_set():
            news = source.news
            if told != source.instance:
                told = source.instance
                response: bytes = ingest_pb2.WatchRoleResponse(instance=told).SerializeToString()
                yield response
                continue
            waiting = [asyncio.ensure_future(one.wait()) for one in (news, self._ending)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waiting:
                    one.cancel()

    async def _request_resync(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        asked = await _parse(ingest_pb2.RequestResyncRequest, request, context)
        source = await self._source(asked.provider, context)
        accepted = source.request_resync(asked.channel, asked.reason)
        answer: bytes = ingest_pb2.RequestResyncResponse(accepted=accepted).SerializeToString()
        return answer

    async def _source(self, provider: str, context: grpc.aio.ServicerContext[bytes, bytes]) -> Source:
        source = self._sources.get(provider)
        if source is None:
            known = ", ".join(sorted(self._sources))
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no provider {provider!r} here; there are: {known}")
        return source


def _gap(provider: str, instance: str, subscriber: str, lost: Lost) -> bytes:
    fields = {"from_sequence": lost.from_sequence, "to_sequence": lost.to_sequence}
    event("subscriber_gap", Level.ERROR, provider=provider, subscriber=subscriber, epoch=lost.epoch, **fields)
    count("sequences_lost", max(0, lost.to_sequence - lost.from_sequence + 1), provider=provider)
    gap = ingest_pb2.Gap(provider=provider, instance=instance, epoch=lost.epoch, **fields)
    encoded: bytes = ingest_pb2.SubscribeResponse(gap=gap).SerializeToString()
    return encoded


def _withhold(provider: str, instance: str, subscriber: str, ring: Ring, passed: int) -> None:
    """Tells what a subscriber is not given, since another process has the role and passes it on too."""
    count("payloads_withheld", ring.last_sequence - passed, provider=provider)
    event("withheld", Level.WARNING, provider=provider, instance=instance, subscriber=subscriber, epoch=ring.epoch,
          from_sequence=passed + 1, payloads=ring.last_sequence - passed)  # fmt: skip


def _runs(ring: Ring, cursor: Cursor, most: int) -> Iterator[list[Batch] | Lost]:
    """What a cursor has before it: gaps, and batches in runs of up to `most` bytes (0: each alone)."""
    run: list[Batch] = []
    size = 0
    while (item := ring.read(cursor)) is not None:
        if run and (isinstance(item, Lost) or size + len(item.data) > most):
            yield run
            run, size = [], 0
        if isinstance(item, Lost):
            yield item
        else:
            run.append(item)
            size += len(item.data)
    if run:
        yield run


def _data(run: list[Batch]) -> bytes:
    return run[0].data if len(run) == 1 else merge_batches([batch.data for batch in run])


async def _parse(kind: type[_Request], request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> _Request:
    try:
        return kind.FromString(request)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a {kind.__name__}")
        raise
