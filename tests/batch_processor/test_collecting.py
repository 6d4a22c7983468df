"""The batch processor between a real gRPC stream and a real store: complete, nothing twice, whatever fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from batch_processor.archive import Archive, ProgressError
from batch_processor.collector import Collector, Limits
from tapeline.errors import StoreUnavailableError
from tapeline.objectstore import LocalStore, ObjectStore, open_store
from tapeline.partitions import parse_key
from tapeline.rawfile import RawRow, read_rows
from tapeline.stream import Position, StreamClient
from tests.support.stream_server import StreamServer, batch, gap

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND
SPAN = 10_000


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads for puts."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def rows(first: int, last: int, epoch: int = EPOCH) -> list[tuple[str, str, int, bytes]]:
    """Payloads of three channels by sequence, 100 ns apart, one of them binary."""
    hard = (b'{"a":"tab\\t"}', b"\x00\xff binary", b"plain\nbreak")
    return [(f"c{n % 3}/x", "MBO", epoch + n * 100, b"%d:" % n + hard[n % 3]) for n in range(first, last + 1)]


def stream(count: int, size: int = 7, epoch: int = EPOCH) -> list[bytes]:
    """Batches of `size` payloads."""
    return [batch(epoch, n, rows(n, min(n + size - 1, count), epoch)) for n in range(1, count + 1, size)]


def stored(store: ObjectStore) -> list[RawRow]:
    """Every row of every object, sorted; checks that each object's name says what is in it."""
    found: list[RawRow] = []
    for key in store.list("instance="):
        name = parse_key(key)
        content = list(read_rows(store.get(key), key))
        assert [content[0].sequence, content[-1].sequence] == [name.first, name.last]
        assert {row.epoch for row in content} == {name.epoch}
        found += content
    return sorted(found)


def assert_complete(store: ObjectStore, last: int) -> None:
    """Every payload of the stream is stored, once, exactly as received."""
    content = stored(store)
    assert [row.sequence for row in content] == list(range(1, last + 1))
    assert [row.payload for row in content] == [data for *_, data in rows(1, last)]
    assert [row.ts_recv for row in content] == [ts_recv for _, _, ts_recv, _ in rows(1, last)]


async def until(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    while not condition():  # noqa: ASYNC110 - what is waited for is in another process or task's state
        await asyncio.sleep(0.005)


@asynccontextmanager
async def collecting(
    server: StreamServer, store: ObjectStore, workers: ThreadPoolExecutor, max_bytes: int = 1 << 20
) -> AsyncIterator[Collector]:
    """A running collector, stopped cleanly at the end."""
    stop = asyncio.Event()
    async with StreamClient(server.address) as client:
        archive = Archive(store, "PRIMARY", "TEST", workers)
        collector = Collector(client, archive, "TEST", Limits(SPAN, max_bytes))
        running = asyncio.create_task(collector.run(stop))
        try:
            yield collector
        finally:
            stop.set()
            await running


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["local", "s3"])
async def test_every_payload_is_stored_once(kind: str, request: pytest.FixtureRequest, tmp_path: Path, workers: ThreadPoolExecutor) -> None:  # fmt: skip
    """Text, binary and line breaks come back as sent, and a clean stop leaves nothing behind."""
    store = open_store(request.getfixturevalue("s3_store") if kind == "s3" else str(tmp_path))
    async with StreamServer(stream(1000)) as server:
        async with collecting(server, store, workers) as collector:
            await until(lambda: collector.stats()["payloads"] == 1000)
        assert collector.stats()["durable_position"] == f"{EPOCH}:1000"
        assert collector.stats()["durable"] == 1000
    assert_complete(store, 1000)


async def test_a_clean_stop_resumes_where_it_ended(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """The next process names the position after the last payload, even in the middle of a span."""
    store = open_store(str(tmp_path))
    async with StreamServer(stream(133)) as server:
        async with collecting(server, store, workers) as first:
            await until(lambda: first.stats()["payloads"] == 133)
        await server.add(stream(300)[19:])
        async with collecting(server, store, workers) as second:
            await until(lambda: second.stats()["position"] == f"{EPOCH}:300")
        assert server.resumes == [None, Position(EPOCH, 133)]
    assert_complete(store, 300)


class CrashingStore(LocalStore):
    """A store whose process is killed at the n-th put: before it, or after it was done."""

    def __init__(self, root: Path, puts: int, done: bool) -> None:
        super().__init__(root)
        self.left = puts
        self.done = done

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        """Puts until the crash, and nothing from then on."""
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        if self.left == 0:
            if self.done:
                super().put(key, data, if_absent)
            raise KeyboardInterrupt
        return super().put(key, data, if_absent)


@pytest.mark.parametrize("seed", range(12))
async def test_a_crash_at_any_put_leaves_no_hole_and_no_double(seed: int, tmp_path: Path, workers: ThreadPoolExecutor) -> None:  # fmt: skip
    """Crash after crash, at random puts, clean stops between: in the end every payload is there once."""
    chance = random.Random(seed)
    responses = stream(600, size=chance.randint(1, 60))
    async with StreamServer(responses) as server:
        for _ in range(6):
            store = CrashingStore(tmp_path, chance.randint(1, 25), chance.random() < 0.5)
            _collect_and_die(server, store, chance.choice([200, 2_000, 1 << 20]))
        async with collecting(server, open_store(str(tmp_path)), workers) as collector:
            await until(lambda: collector.stats()["position"] == f"{EPOCH}:600")
    assert_complete(open_store(str(tmp_path)), 600)


def _collect_and_die(server: StreamServer, store: CrashingStore, max_bytes: int) -> None:
    """Follows the stream in this process as the collector does, up to the crash; at its end stops cleanly."""
    from batch_processor.split import split
    from batch_processor.window import Cutter

    # Its own threads, all ended when this returns: a killed process puts nothing more.
    with ThreadPoolExecutor(4) as workers, suppress(KeyboardInterrupt):
        archive = Archive(store, "PRIMARY", "TEST", workers)
        cutter = Cutter(max_bytes, archive.progress())
        for response in server.responses:
            for cut in cutter.take(split(response, cutter.position, SPAN)):
                archive.write(cut)
        for cut in cutter.cut():
            archive.write(cut)


async def test_lost_progress_costs_nothing_but_reading(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """Without its progress object it takes all that the ring holds and leaves out what the store has."""
    store = open_store(str(tmp_path))
    async with StreamServer(stream(500)) as server:
        async with collecting(server, store, workers, max_bytes=900) as first:
            await until(lambda: first.stats()["payloads"] == 500)
        store.delete("progress/instance=PRIMARY/provider=TEST.json")
        async with collecting(server, store, workers) as second:
            await until(lambda: second.stats()["payloads"] == 500)
        assert second.stats()["covered"] == 500
        assert second.stats()["objects"] == 0
    assert_complete(store, 500)


class AwayStore(LocalStore):
    """A store that answers at the start and then is switched off."""

    away = True

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        """Puts, or is away."""
        if self.away and key.startswith("instance="):
            raise StoreUnavailableError("switched off")
        return super().put(key, data, if_absent)


async def test_a_store_that_is_away_stops_the_reading_not_the_memory(tmp_path: Path, workers: ThreadPoolExecutor) -> None:  # fmt: skip
    """A bounded buffer fills, reading stops, and when the store is back nothing is missing."""
    store = AwayStore(tmp_path)
    async with (
        StreamServer(stream(20_000)) as server,
        collecting(server, store, workers, max_bytes=20_000) as collector,
    ):
        await until(lambda: int(str(collector.stats()["buffered_bytes"])) >= 60_000)
        taken = collector.stats()["payloads"]
        await asyncio.sleep(0.2)
        assert collector.stats()["payloads"] == taken
        assert int(str(collector.stats()["buffered_bytes"])) < 65_000
        store.away = False
        await until(lambda: collector.stats()["position"] == f"{EPOCH}:20000")
    assert_complete(store, 20_000)


async def test_a_gap_of_the_stream_is_an_object(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """With exact bounds and the reason, and once only, however often it is told."""
    store = open_store(str(tmp_path))
    responses = [batch(EPOCH, 1, rows(1, 10)), gap(EPOCH, 11, 50), batch(EPOCH, 51, rows(51, 60))]
    async with StreamServer(responses) as server:
        for _ in range(2):
            async with collecting(server, store, workers) as collector:
                await until(lambda: collector.stats()["position"] == f"{EPOCH}:60")
    (key,) = store.list("gaps/")
    assert key == f"gaps/instance=PRIMARY/provider=TEST/{EPOCH}-11-50.json"
    assert msgspec.json.decode(store.get(key)) == {
        "instance": "PRIMARY", "provider": "TEST", "epoch": EPOCH, "first": 11, "last": 50, "reason": "fell_out_of_ring",
        "after_ts": EPOCH + 1_000, "missing": 40, "held": [],
    }  # fmt: skip
    assert [row.sequence for row in stored(store)] == [*range(1, 11), *range(51, 61)]


async def test_a_server_that_goes_and_comes_back_is_followed(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """The subscription is taken up again from the last payload taken, durable or not."""
    store = open_store(str(tmp_path))
    async with StreamServer(stream(700)) as server:
        server.end_after = 40
        async with collecting(server, store, workers) as collector:
            await until(lambda: collector.stats()["payloads"] == 280)
            await server.stop()
            await server.start()
            await until(lambda: collector.stats()["position"] == f"{EPOCH}:700")
        assert len(server.resumes) >= 3
    assert_complete(store, 700)


async def test_progress_that_cannot_be_read_is_refused(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    """Guessing a position could write payloads twice."""
    store = open_store(str(tmp_path))
    store.put("progress/instance=PRIMARY/provider=TEST.json", b"{")
    async with StreamServer(stream(10)) as server:
        with pytest.raises(ProgressError, match=r"progress/instance=PRIMARY/provider=TEST\.json"):
            async with collecting(server, store, workers):
                await asyncio.sleep(0.2)
