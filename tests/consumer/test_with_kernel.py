"""The SDK on what the kernel itself publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tapeline_kernel import Normalizer

from tapeline import redis_keys
from tapeline.consumer import Consumer, Hole, Message
from tapeline.offline import feed
from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.venues import load
from tests.consumer.publishing import Publisher, holes, publishing, until

CAPTURES = Path(__file__).resolve().parents[1] / "fixtures" / "captures"
ALL = ["MARKET_DATA.PRIMARY.*"]

Level = tuple[bytes, int, int]
Books = dict[tuple[str, int], dict[int, Level]]


class Follower:
    """A consumer that keeps every book it hears of."""

    def __init__(self, url: str) -> None:
        self.consumer = Consumer(url, ALL)
        self.books: Books = {}
        self.items: list[Message | Hole] = []

    async def listen(self) -> None:
        async for item in self.consumer:
            self.items.append(item)
            if isinstance(item, Message) and item.channel.schema is Schema.MBO:
                self._apply(item)

    def _apply(self, message: Message) -> None:
        for row in message.array():
            book = self.books.setdefault((message.channel.format(), int(row["instrument_id"])), {})
            match row["action"]:
                case b"R":
                    book.clear()
                case b"A" | b"M":
                    book[int(row["order_id"])] = (bytes(row["side"]), int(row["price"]), int(row["size"]))
                case b"C":
                    book.pop(int(row["order_id"]), None)


def batches(venue: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    monkeypatch.setattr(feed, "BATCH_PAYLOADS", 10)
    return feed.Feed(load(venue), "PRIMARY").capture(CAPTURES / f"{venue}.jsonl.zst")


async def send(publisher: Publisher, commands: bytes, count: int) -> None:
    """Ready commands, as the normalizer's publisher writes them."""
    link = await publisher.redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    try:
        await link.send_packed_command([commands])
        for _ in range(count):
            await link.read_response()
    finally:
        await publisher.redis.connection_pool.release(link)


@pytest.mark.parametrize("venue", ["kraken", "binance_spot", "coinbase", "deribit"])
async def test_who_joins_late_has_the_same_books(venue: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who joins in the middle ends up with exactly the books of someone who heard everything."""
    parts = list(batches(venue, monkeypatch))
    kernel = Normalizer(encode(load(venue).meaning), venue.upper(), "PRIMARY", "resp")
    early, late = Follower(redis_url), Follower(redis_url)
    last = b""
    async with publishing(redis_url) as publisher, early.consumer, asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(early.listen())]
        for place, part in enumerate(parts):
            output = kernel.normalize(part)
            last = b"%d:%d" % (output.epoch, output.last)
            await send(publisher, output.data, output.commands)
            await publisher.redis.set(redis_keys.cursor(venue.upper(), "PRIMARY"), last)
            if place % 7 == 6 or place == len(parts) - 1:
                await send(publisher, *kernel.flush())
            if place == len(parts) // 2:
                await late.consumer.__aenter__()
                listening.append(tasks.create_task(late.listen()))
            if place > len(parts) // 2:
                await asyncio.sleep(0.005)
        await until(lambda: late.books.keys() == early.books.keys() and late.books == early.books)
        await late.consumer.close()
        await early.consumer.close()
    assert early.books
    assert all(early.books.values())
    assert not holes(early.items) + holes(late.items)
    assert any(isinstance(item, Message) and item.snapshot for item in late.items)
