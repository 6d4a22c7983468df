"""The arbiter as a process on a real Redis: MERGED is whole whatever becomes of either instance."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import hiredis
import pytest
from tapeline_kernel import Normalizer, Router

from tapeline import identity, redis_keys
from tapeline.cli.up.children import Child, spawn
from tapeline.consumer import Consumer, Hole, Message
from tapeline.ingest.v1 import ingest_pb2
from tapeline.offline.feed import Feed
from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.venues import load
from tests.consumer.publishing import BOOK, Publisher, publishing, until
from tests.consumer.test_merging import BEGUN, F_MAYBE_BAD_BOOK, delta, of

CAPTURES = Path(__file__).resolve().parents[1] / "fixtures" / "captures"
F_SNAPSHOT = 0x20
Payload = tuple[str, str, int, int, bytes]
"""Channel, schema, `ts_recv`, connection, bytes."""
Books = dict[tuple[str, int], dict[int, tuple[bytes, int, int]]]
LAG = 700_001
"""How much later, ns, REPLICA hears the venue."""


@dataclass
class Instance:
    """A normalizer of a capture's payloads, one Redis write after the other."""

    venue: str
    name: str
    kernel: Normalizer = field(init=False)
    sequence: int = 0

    def __post_init__(self) -> None:
        loaded = load(self.venue)
        self.kernel = Normalizer(encode(loaded.meaning), loaded.provider, self.name)
        self.router = Router(encode(loaded.session.routing), loaded.provider, self.name, 1)

    async def say(self, publisher: Publisher, payloads: list[Payload]) -> None:
        """Normalizes and publishes some payloads, with position and late-join keys."""
        for channel, schema, stamp, connection, data in payloads:
            self.router.inject(channel, schema, stamp + (LAG if self.name == "REPLICA" else 0), connection, data)
        taken = self.router.take()
        assert taken is not None
        output = self.kernel.normalize(taken[2])
        keys, count = self.kernel.flush()
        cursor = redis_keys.cursor(self.venue.upper(), self.name)
        await send(publisher, output.data, output.commands)
        await publisher.redis.set(cursor, f"{output.epoch}:{output.last}")
        await send(publisher, keys, count)


def payloads(venue: str) -> list[Payload]:
    """All of a capture."""
    found = []
    for batch in Feed(load(venue), "PRIMARY").capture(CAPTURES / f"{venue}.jsonl.zst"):
        response = ingest_pb2.SubscribeResponse.FromString(batch).batch
        found += [
            (response.channels[one.channel].name, response.channels[one.channel].schema, one.ts_recv, one.connection, one.data)
            for one in response.payloads
        ]  # fmt: skip
    return found


async def send(publisher: Publisher, commands: bytes, count: int) -> None:
    """Ready commands, as the normalizer's publisher writes them."""
    link = await publisher.redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    try:
        await link.send_packed_command([commands])
        for _ in range(count):
            await link.read_response()
    finally:
        await publisher.redis.connection_pool.release(link)


class Listener:
    """Any instance's consumer: it keeps what it is told, and every book."""

    def __init__(self, url: str, instance: str) -> None:
        self.consumer = Consumer(url, [f"MARKET_DATA.{instance}.*"], settle_seconds=0.3)
        self.items: list[Message | Hole] = []
        self.books: Books = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.consumer.__aenter__()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.consumer.close()
        if self._task is not None:
            await self._task

    async def _listen(self) -> None:
        async for item in self.consumer:
            self.items.append(item)
            if isinstance(item, Message) and item.channel.schema is Schema.MBO:
                for row in item.array():
                    book = self.books.setdefault((item.channel.channel, int(row["instrument_id"])), {})
                    match row["action"]:
                        case b"R":
                            book.clear()
                        case b"A" | b"M":
                            book[int(row["order_id"])] = (bytes(row["side"]), int(row["price"]), int(row["size"]))
                        case b"C":
                            book.pop(int(row["order_id"]), None)

    @property
    def holes(self) -> list[Hole]:
        return [item for item in self.items if isinstance(item, Hole)]

    def said(self) -> dict[str, list[bytes]]:
        """Identities of all live messages by channel, without snapshots and states."""
        found: dict[str, list[bytes]] = {}
        for item in self.items:
            if not isinstance(item, Message) or item.snapshot or item.channel.schema is Schema.STATUS:
                continue
            name, at = f"{item.channel.schema.value} {item.channel.channel}", 0
            for key, size in identity.of_records(item.channel.schema, item.data):
                unit = item.data[at : at + size]
                at += size
                if item.channel.schema is not Schema.MBO or not unit[36] & F_SNAPSHOT:
                    found.setdefault(name, []).append(key)
        return found


@asynccontextmanager
async def arbiter(url: str, venue: str, folder: Path, *more: str) -> AsyncIterator[Child]:
    """The process, ready."""
    child = spawn("arbiter", "arbiter", ["--venues", venue, "--redis", url, *more], folder)
    try:
        await until(lambda: child.ready is not None or child.ended)
        assert not child.ended, child.why()
        yield child
    finally:
        child.kill()


def parts(found: list[Payload], size: int) -> Iterator[list[Payload]]:
    for start in range(0, len(found), size):
        yield found[start : start + size]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("venue", ["kraken", "binance_usdm"])
async def test_merged_has_no_hole_where_an_instance_is_killed_in_the_middle(
    venue: str, redis_url: str, tmp_path: Path
) -> None:
    """PRIMARY hears nothing for a while, then for good; who follows MERGED has all that REPLICA said, once."""
    found = payloads(venue)
    replica, primary = Instance(venue, "REPLICA"), Instance(venue, "PRIMARY")
    async with publishing(redis_url) as publisher, arbiter(redis_url, venue, tmp_path) as child:
        async with Listener(redis_url, "MERGED") as merged, Listener(redis_url, "REPLICA") as one:
            for place, part in enumerate(parts(found, 20)):
                share = place * 20 / len(found)
                if share < 0.3 or 0.4 < share < 0.6:
                    await primary.say(publisher, part)
                await replica.say(publisher, part)
            await until(lambda: same(merged.said(), one.said()))
            await until(lambda: merged.books == one.books)
            async with Listener(redis_url, "MERGED") as late:
                await until(lambda: late.books == one.books)
                assert not late.holes
            assert not merged.holes
            times: dict[str, int] = {}
            for item in merged.items:
                if isinstance(item, Message) and item.channel.schema is not Schema.OHLCV_1M:
                    stamps = [int(row["ts_recv"]) for row in item.array()]
                    assert stamps == sorted(stamps)
                    assert stamps[0] > times.get(item.channel.format(), 0) or item.snapshot
                    times[item.channel.format()] = stamps[-1]
                    assert {int(row["publisher_id"]) % 4 for row in item.array()} == {2}
        await asyncio.to_thread(child.stop)
        assert child.process.returncode == 0, child.why()


def same(one: dict[str, list[bytes]], two: dict[str, list[bytes]]) -> bool:
    return one.keys() == two.keys() and all(sorted(one[name]) == sorted(two[name]) for name in one)


@pytest.mark.timeout(120)
async def test_an_arbiter_that_was_killed_goes_on_without_repeats_and_with_whole_books(
    redis_url: str, tmp_path: Path
) -> None:
    """What was said meanwhile is gone from Redis but for the late-join keys: books begin again with a snapshot."""
    venue = "binance_spot"
    found = payloads(venue)
    instances = [Instance(venue, "PRIMARY"), Instance(venue, "REPLICA")]
    async with (
        publishing(redis_url) as publisher,
        Listener(redis_url, "MERGED") as merged,
        Listener(redis_url, "PRIMARY") as one,
    ):
        thirds = list(parts(found, len(found) // 3 + 1))

        async def say(some: list[Payload]) -> None:
            for part in parts(some, 25):
                for instance in instances:
                    await instance.say(publisher, part)

        async with arbiter(redis_url, venue, tmp_path) as child:
            await say(thirds[0])
            await until(lambda: same(merged.said(), one.said()))
            child.kill()
        await say(thirds[1])
        async with arbiter(redis_url, venue, tmp_path):
            await say(thirds[2])
            await until(lambda: merged.books == one.books)
        said, heard = merged.said(), one.said()
        for name, keys in said.items():
            assert set(keys) <= set(heard[name])
            # How things stand (a quote, a definition) may be said again.
            if name.startswith(("TRADES", "MBO")):
                assert len(keys) == len(set(keys)), f"{name}: repeats"
        assert not merged.holes


def test_identities_do_not_depend_on_the_instance() -> None:
    """The same venue messages by either normalizer; their places and times differ."""
    venue = "kraken"
    found = payloads(venue)
    said: list[dict[str, list[bytes]]] = []
    for name in ("PRIMARY", "REPLICA"):
        instance = Instance(venue, name)
        for channel, schema, stamp, connection, data in found:
            instance.router.inject(channel, schema, stamp + (LAG if name == "REPLICA" else 0), connection, data)
        taken = instance.router.take()
        assert taken is not None
        reader = hiredis.Reader()
        reader.feed(instance.kernel.normalize(taken[2]).data)
        keys: dict[str, list[bytes]] = {}
        while (command := reader.gets()) is not False:
            if command[0] == b"PUBLISH":
                name = command[1].decode().split(".", 2)[2]
                kind = Schema(name.split(".")[0])
                keys.setdefault(name, []).extend(key for key, _ in identity.of_records(kind, command[2]))
        said.append(keys)
    assert said[0] == said[1]
    assert sum(map(len, said[0].values())) > 500


@pytest.mark.timeout(60)
async def test_an_arbiter_that_was_stopped_reads_what_came_before_it_gives_up_a_hole(
    redis_url: str, tmp_path: Path
) -> None:
    """REPLICA lacks a message; PRIMARY brings it while the arbiter sleeps, for longer than it waits for a hole."""
    wait = 2.0
    book = BOOK.replace(".X.", ".KUCOIN.")
    async with publishing(redis_url) as publisher, Listener(redis_url, "MERGED") as merged:

        async def say(instance: str, *deltas: bytes) -> None:
            await publisher.publish(of(instance, book), *deltas)

        def given() -> list[int]:
            return [int(row["sequence"]) for item in merged.items if isinstance(item, Message) for row in item.array()]

        async with arbiter(redis_url, "kucoin", tmp_path, "--wait-ms", f"{wait * 1000:.0f}") as child:
            for instance in ("PRIMARY", "REPLICA"):
                await say(instance, BEGUN, *(delta(instance, number) for number in range(101, 111)))
            await until(lambda: given()[-1:] == [110])
            await say("REPLICA", delta("REPLICA", 112, F_MAYBE_BAD_BOOK))
            # Taken, and held for what is missing before it.
            await until(lambda: child.stats.get("providers", {}).get("KUCOIN", {}).get("messages") == 3)
            child.process.send_signal(signal.SIGSTOP)
            await say("PRIMARY", delta("PRIMARY", 111), delta("PRIMARY", 112))
            await asyncio.sleep(1.5 * wait)
            child.process.send_signal(signal.SIGCONT)
            await until(lambda: given()[-1:] == [112])
        assert given()[-3:] == [110, 111, 112]
        assert not merged.holes
