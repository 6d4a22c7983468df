"""Rooms are killed in the middle of the stream, at full speed: nothing is missing, nothing is there twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Self

import pytest

from tapeline.cli.up.children import Child
from tapeline.consumer import Consumer, Hole
from tapeline.objectstore import open_store
from tests.support.rooms import Rooms, until
from tests.support.stored import assert_complete, published_from, stored_payloads

pytestmark = pytest.mark.timeout(180)

VENUE = os.environ.get("FAULTS_VENUE", "binance_spot")
RATE = os.environ.get("FAULTS_RATE", "40000")
ORDERED = ("MBO", "MBP_1", "TRADES")


class Listener:
    """A real consumer, with the SDK's dedup, that keeps everything by channel."""

    def __init__(self, url: str) -> None:
        self._consumer = Consumer(url, ["MARKET_DATA.PRIMARY.*"], late_join=False, buffer_bytes=256 << 20)
        self._parts: dict[str, list[bytes]] = defaultdict(list)
        self.holes: list[Hole] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._consumer.__aenter__()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.close()

    @property
    def received(self) -> int:
        """Bytes of records so far."""
        return sum(len(part) for parts in self._parts.values() for part in parts)

    @property
    def repeats(self) -> int:
        """Records that the SDK recognised as had before."""
        return self._consumer.counts.repeats

    def channels(self) -> dict[str, bytes]:
        """All records by channel, back to back, of the schemas whose order is promised."""
        return {name: b"".join(parts) for name, parts in self._parts.items() if _ordered(name)}

    async def settled(self) -> None:
        """Waits until nothing has come for a second."""
        before = -1
        while before != self.received:
            before = self.received
            await asyncio.sleep(1.0)

    async def _listen(self) -> None:
        async for items in self._consumer.batches():
            for item in items:
                if isinstance(item, Hole):
                    self.holes.append(item)
                else:
                    self._parts[item.channel.format()].append(item.data)
            await asyncio.sleep(0)


def _ordered(channel: str) -> bool:
    return channel.split(".")[2] in ORDERED


def assert_same(received: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Channel by channel, byte by byte; says where the first difference is."""
    expected = {name: records for name, records in expected.items() if _ordered(name)}
    assert sorted(received) == sorted(expected)
    for name, records in expected.items():
        got = received[name]
        if got != records:
            place = next((i for i, (a, b) in enumerate(zip(got, records, strict=False)) if a != b), min(len(got), len(records)))  # fmt: skip
            pytest.fail(f"{name}: {len(got)} bytes of {len(records)}, different from byte {place} on")


def sequence(position: str) -> int:
    """The sequence of `epoch:sequence`."""
    return int(position.partition(":")[2])


async def all_taken(rooms: Rooms, manager: Child, *subscribers: Child) -> int:
    """Waits until the emulator has said all and every subscriber has taken it; the last sequence."""
    emulator = rooms.children[0]
    await until(lambda: emulator.done is not None, 60, "emulator done")
    # What the manager has told by now may be half a second old; what it tells next but one is not.
    for _ in range(2):
        told = manager.stats
        await until(lambda: manager.stats is not told)  # noqa: B023 - awaited at once

    def last() -> int:
        return int(rooms.told(manager, VENUE).get("last_sequence", 0))

    for subscriber in subscribers:
        await until(
            lambda: last() and sequence(rooms.told(subscriber, VENUE).get("position", "0:0")) >= last(),  # noqa: B023
            60,
            f"{subscriber.name} at the end",
        )
    return last()


async def test_a_killed_normalizer_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL three times at full speed: after the SDK's dedup a consumer has every record once, byte for byte."""
    async with Rooms(tmp_path, VENUE) as rooms, Listener(rooms.redis.url) as listener:
        _, manager = await rooms.start_source("--rate", RATE, "--seconds", "8")
        collector = await rooms.start_batch_processor("--threshold-seconds", "2")
        for _ in range(3):
            before = listener.received
            normalizer = await rooms.start_normalizer(TAPELINE_FLUSH_SECONDS="0.2")
            await until(lambda: listener.received > before + 2_000_000, 30, "records after the start")  # noqa: B023
            normalizer.process.send_signal(signal.SIGKILL)
            await until(lambda: normalizer.ended)  # noqa: B023
        normalizer = await rooms.start_normalizer()
        await all_taken(rooms, manager, normalizer, collector)
        normalizer.stop()
        collector.stop()
        rooms.children[0].stop()
        # Redis has confirmed everything, so it is all in our socket by now.
        await listener.settled()
        assert listener.holes == []
        received = listener.channels()
        position = sequence(rooms.told(normalizer, VENUE)["published_position"])
        payloads = [one for one in stored_payloads(rooms.store, VENUE.upper()) if one.sequence <= position]
        assert_complete(payloads, position)
        assert_same(received, published_from(payloads, VENUE))


async def test_a_killed_batch_processor_leaves_a_complete_store(tmp_path: Path) -> None:
    """SIGKILL three times at full speed: every sequence is in the store, once."""
    async with Rooms(tmp_path, VENUE) as rooms:
        _, manager = await rooms.start_source("--rate", RATE, "--seconds", "7")
        flags = ("--threshold-seconds", "0.25", "--max-bytes", "2000000")
        for _ in range(3):
            collector = await rooms.start_batch_processor(*flags)
            await until(lambda: int(rooms.told(collector, VENUE).get("objects", 0)) > 20, 30, "objects")  # noqa: B023
            collector.process.send_signal(signal.SIGKILL)
            await until(lambda: collector.ended)  # noqa: B023
        collector = await rooms.start_batch_processor(*flags)
        last = await all_taken(rooms, manager, collector)
        collector.stop()
        assert_all_stored(rooms, collector, last)


async def test_a_stopped_batch_processor_does_not_slow_the_hot_path(tmp_path: Path) -> None:
    """SIGSTOP: the normalizer is as quick as before, and after SIGCONT the store is complete."""
    async with Rooms(tmp_path, VENUE) as rooms:
        _, manager = await rooms.start_source("--rate", RATE, "--seconds", "8")
        collector = await rooms.start_batch_processor("--threshold-seconds", "0.5")
        normalizer = await rooms.start_normalizer()
        await until(lambda: int(rooms.told(collector, VENUE).get("payloads", 0)) > 10_000)
        moving = await delays(rooms, normalizer, 4)
        collector.process.send_signal(signal.SIGSTOP)
        try:
            frozen = collector.stats
            stopped = await delays(rooms, normalizer, 5)
            await all_taken(rooms, manager, normalizer)
            assert collector.stats is frozen
        finally:
            collector.process.send_signal(signal.SIGCONT)
        print(f"median delay in µs: {median(moving):.0f} moving, {median(stopped):.0f} stopped")
        # One process less on the same cores: it may well be quicker, but for noise never much slower.
        assert median(stopped) <= 3 * median(moving) + 20_000, (moving, stopped)
        last = await all_taken(rooms, manager, collector)
        collector.stop()
        assert_all_stored(rooms, collector, last)


def assert_all_stored(rooms: Rooms, collector: Child, last: int) -> None:
    """The store has every sequence once, at least up to `last` and up to where the stopped collector was."""
    told = rooms.told(collector, VENUE)
    assert told["gaps"] == 0
    assert told["durable_position"] == told["position"]
    assert sequence(told["position"]) >= last
    assert_complete(stored_payloads(rooms.store, VENUE.upper()), sequence(told["position"]))


async def delays(rooms: Rooms, normalizer: Child, count: int) -> list[float]:
    """Median delays, in µs, that a normalizer tells in its next statistics."""
    found: list[float] = []
    seen = normalizer.stats
    while len(found) < count:
        await until(lambda: normalizer.stats is not seen)  # noqa: B023 - awaited at once
        seen = normalizer.stats
        if (p50 := rooms.told(normalizer, VENUE)["lag_us"]["p50"]) is not None:
            found.append(p50)
    return found


async def test_without_redis_the_cold_path_goes_on_and_the_normalizer_recovers(tmp_path: Path) -> None:
    """Redis is killed and comes back: the store is complete, and what was buffered is published."""
    from tapeline.redis_server import start_redis

    async with Rooms(tmp_path, VENUE) as rooms:
        _, manager = await rooms.start_source("--rate", RATE, "--seconds", "7")
        collector = await rooms.start_batch_processor("--threshold-seconds", "0.5")
        normalizer = await rooms.start_normalizer()
        await until(lambda: int(rooms.told(normalizer, VENUE).get("redis_commands", 0)) > 100)
        rooms.redis.process.kill()
        rooms.redis.process.wait()
        await until(lambda: not rooms.told(normalizer, VENUE)["redis_connected"])
        before = int(rooms.told(collector, VENUE).get("durable", 0))
        await until(lambda: int(rooms.told(collector, VENUE)["durable"]) > before + 30_000, what="cold path going on")
        rooms.redis = start_redis(tmp_path / "redis", rooms.redis.port)
        async with Listener(rooms.redis.url) as listener:
            await until(lambda: rooms.told(normalizer, VENUE)["redis_connected"])
            await until(lambda: listener.received > 1_000_000, what="records after Redis is back")
            last = await all_taken(rooms, manager, normalizer, collector)
        await until(lambda: sequence(rooms.told(normalizer, VENUE)["published_position"]) >= last)
        collector.stop()
        assert_all_stored(rooms, collector, last)


async def test_who_falls_out_of_the_ring_records_exactly_what_is_missing(tmp_path: Path) -> None:
    """Stopped for longer than a small ring reaches: stored and recorded as gap together are every sequence, once."""
    async with Rooms(tmp_path, VENUE) as rooms:
        _, manager = await rooms.start_source("--rate", RATE, "--seconds", "8", ring_bytes=2_000_000)
        collector = await rooms.start_batch_processor("--threshold-seconds", "0.5")
        await until(lambda: int(rooms.told(collector, VENUE).get("payloads", 0)) > 10_000)
        collector.process.send_signal(signal.SIGSTOP)
        try:
            frozen = sequence(rooms.told(collector, VENUE)["position"])
            await until(lambda: int(rooms.told(manager, VENUE)["last_sequence"]) > frozen + 100_000)
        finally:
            collector.process.send_signal(signal.SIGCONT)
        last = await all_taken(rooms, manager, collector)
        collector.stop()
        told = rooms.told(collector, VENUE)
        assert sequence(told["position"]) >= last
        store = open_store(str(rooms.store))
        gaps = [json.loads(store.get(key)) for key in store.list("gaps/")]
        missing = [number for gap in gaps for number in range(gap["first"], gap["last"] + 1)]
        assert told["gaps"] == len(gaps) >= 1
        assert len(missing) > 10_000
        stored = [one.sequence for one in stored_payloads(rooms.store, VENUE.upper())]
        assert sorted(stored + missing) == list(range(1, sequence(told["position"]) + 1))
