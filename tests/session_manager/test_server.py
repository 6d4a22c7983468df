"""The gRPC end over a real socket: bytes untouched, resume, gaps, independence of subscribers, health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from session_manager.ring import Batch, Ring
from session_manager.server import SERVICE, IngestServer
from tapeline.errors import StreamUnavailableError, UsageError
from tapeline.ingest.v1 import ingest_pb2
from tapeline.stream import Position, StreamClient, peek, request_resync, subscribe
from tapeline.telemetry import TELEMETRY
from tests.session_manager.fake_venue import until
from tests.session_manager.place import Place

EPOCH = 123_456_789


class Source(Place):
    """One that a test fills."""

    def __init__(self, limit: int = 1 << 20) -> None:
        super().__init__(Ring(EPOCH, limit))

    def add(self, count: int, payload: bytes = b"{}") -> bytes:
        """A batch of so many payloads."""
        first = self.ring.last_sequence + 1
        payloads = [ingest_pb2.Payload(ts_recv=first + n, data=payload) for n in range(count)]
        batch = ingest_pb2.RawBatch(provider="V", epoch=EPOCH, first_sequence=first, payloads=payloads)
        data = ingest_pb2.SubscribeResponse(batch=batch).SerializeToString()
        self.ring.append(Batch(first, first + count - 1, data))
        return data


@asynccontextmanager
async def _served(source: Source) -> AsyncIterator[str]:
    server = IngestServer({"V": source})
    port = await server.start("127.0.0.1:0")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        source.ring.close()
        await server.stop(0.1)


async def _take(address: str, count: int, resume: Position | None = None) -> list[bytes]:
    taken: list[bytes] = []
    async for response in subscribe(address, "V", "test", resume):
        taken.append(response)
        if len(taken) == count:
            break
    return taken


async def test_batches_arrive_as_the_bytes_they_are() -> None:
    """What is in the ring and what comes later, byte for byte."""
    source = Source()
    before = [source.add(3), source.add(1)]
    async with _served(source) as address:
        taking = asyncio.create_task(_take(address, 3))
        await until(lambda: source.ring.cursors)
        after = source.add(2, b"\x00\xff binary \n")
        assert await taking == [*before, after]
        await until(lambda: not source.ring.cursors)


async def test_a_subscriber_resumes_where_it_was() -> None:
    """From the middle of a batch it is given that batch whole."""
    source = Source()
    batches = [source.add(3), source.add(3), source.add(3)]
    async with _served(source) as address:
        assert await _take(address, 2, Position(EPOCH, 3)) == batches[1:]
        assert await _take(address, 2, Position(EPOCH, 4)) == batches[1:]
        assert await _take(address, 1, Position(EPOCH, 6)) == batches[2:]


async def test_a_subscriber_that_fell_out_is_told_exactly() -> None:
    """The gap names the first and last lost sequence, and the stream goes on."""
    source = Source(limit=120)
    for _ in range(20):
        source.add(5)
    async with _served(source) as address:
        gap, batch = [peek(response) for response in await _take(address, 2, Position(EPOCH, 7))]
    assert (gap.gap, gap.epoch, gap.first, gap.last) == (True, EPOCH, 8, source.ring.first_sequence - 1)
    assert batch.first == gap.last + 1


async def test_another_epoch_is_a_gap_and_then_everything() -> None:
    """A subscriber of the session manager's last life learns that it ended."""
    source = Source()
    source.add(2)
    async with _served(source) as address:
        gap, batch = [peek(response) for response in await _take(address, 2, Position(EPOCH - 5, 10))]
    assert (gap.gap, gap.epoch, gap.first, gap.last) == (True, EPOCH - 5, 11, 0)
    assert (batch.epoch, batch.first, batch.last) == (EPOCH, 1, 2)


async def test_a_stalled_subscriber_delays_nobody() -> None:
    """One that reads nothing at all falls out of the ring; another has everything at once."""
    source = Source(limit=2 << 20)
    async with _served(source) as address, StreamClient(address) as stalled:
        stream = stalled.subscribe("V", "stalled")
        source.add(1)
        await anext(stream)
        taking = asyncio.create_task(_take(address, 401))
        await until(lambda: len(source.ring.cursors) == 2)
        cursors = {cursor.name: cursor for cursor in source.ring.cursors}
        for _ in range(400):
            source.add(1, b"x" * 40_000)
            await until(lambda: source.ring.lag(cursors["test"]) < 20)
        assert [peek(response).gap for response in await asyncio.wait_for(taking, 10)] == [False] * 401
        assert source.ring.lag(cursors["stalled"]) > 100
        seen, gaps = 1, 0
        while seen < 401:
            place = peek(await anext(stream))
            assert place.first == seen + 1
            gaps += place.gap
            seen = place.last
        assert gaps == 1


async def test_resync_requests_reach_the_provider() -> None:
    """With channel and reason; the answer is the provider's."""
    source = Source()
    async with _served(source) as address:
        assert await request_resync(address, "V", "book", "link")
        assert not await request_resync(address, "V", "other", "checksum")
    assert source.wishes == [("book", "link"), ("other", "checksum")]


async def test_unknown_providers_and_positions_are_refused() -> None:
    """With words that say what there is."""
    async with _served(Source()) as address:
        with pytest.raises(UsageError, match="no provider 'W' here; there are: V"):
            await anext(subscribe(address, "W", "test"))
        with pytest.raises(UsageError, match="ahead of the stream"):
            await _take(address, 1, Position(EPOCH, 99))
        with pytest.raises(UsageError, match="no provider"):
            await request_resync(address, "W", "book", "link")


async def test_bytes_that_are_no_request_are_refused() -> None:
    """Foreign bytes are an invalid argument, not a fault."""
    async with _served(Source()) as address, grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{SERVICE}/RequestResync", bytes, bytes)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff\xff")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_health_is_the_standard_one() -> None:
    """A stock health check finds the process and the service."""
    async with _served(Source()) as address, grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_busy_port_is_an_error_with_its_name() -> None:
    """Two servers cannot have one port."""
    async with _served(Source()) as address:
        with pytest.raises(OSError, match=address):
            await IngestServer({}).start(address)


async def test_who_wants_another_instance_is_sent_away_for_now() -> None:
    """The role may come: it is to be tried again, unlike what is plainly wrong."""
    source = Source()
    source.add(1)
    async with _served(source) as address, StreamClient(address) as client:
        with pytest.raises(StreamUnavailableError, match="V is PRIMARY here; asked for REPLICA"):
            _ = [one async for one in client.subscribe("V", "test", instance="REPLICA")]
        async for response in client.subscribe("V", "test", instance="PRIMARY"):
            assert peek(response).last == 1
            break


async def test_a_role_is_told_now_and_at_each_change() -> None:
    """To any number of watchers, until the server ends."""
    source = Source()
    heard: list[list[str]] = [[], []]

    async def watch(client: StreamClient, into: list[str]) -> None:
        async for instance in client.roles("V"):
            into.append(instance)  # noqa: PERF401 - one at a time is what is seen

    async with _served(source) as address:
        client = StreamClient(address)
        watching = [asyncio.create_task(watch(client, into)) for into in heard]
        await until(lambda: heard == [["PRIMARY"], ["PRIMARY"]])
        for number, instance in enumerate(["", "REPLICA"]):
            source.instance = instance
            source.tell()
            await until(lambda: all(len(into) == number + 2 for into in heard))  # noqa: B023 - awaited at once
        source.tell()
        source.ring.close()
    # The server's end is the end of the role, not an error.
    await asyncio.gather(*watching)
    await client.close()
    assert heard == [["PRIMARY", "", "REPLICA"]] * 2


async def test_what_comes_in_doubt_is_held_and_passed_on_once_it_is_over() -> None:
    """Nothing is lost where the role turns out to be still ours."""
    source = Source()
    before = source.add(1)
    async with _served(source) as address:
        taking = asyncio.create_task(_take(address, 2))
        await until(lambda: source.ring.cursors and all(source.ring.lag(one) == 0 for one in source.ring.cursors))
        source.doubtful = True
        after = source.add(2)
        await asyncio.sleep(0.05)
        assert not taking.done()
        source.doubtful = False
        source.tell()
        assert await taking == [before, after]


async def test_what_came_after_the_role_was_lost_is_withheld() -> None:
    """The stream ends; what is not passed on is counted and told."""
    source = Source()
    before = source.add(1)
    counted = TELEMETRY.value("payloads_withheld", provider="V")
    async with _served(source) as address:
        taking = asyncio.create_task(_take(address, 2))
        await until(lambda: source.ring.cursors and all(source.ring.lag(one) == 0 for one in source.ring.cursors))
        source.doubtful = True
        source.add(3)
        source.doubtful, source.lost = False, True
        source.tell()
        assert await taking == [before]
    assert TELEMETRY.value("payloads_withheld", provider="V") == counted + 3
