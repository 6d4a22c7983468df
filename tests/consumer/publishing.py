"""Makes DBN and publishes it, as a normalizer would, for the consumer's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
from redis.asyncio import Redis

from tapeline import redis_keys
from tapeline.channels import ChannelName
from tapeline.consumer import Consumer, Hole, Message
from tapeline.consumer.layout import F_LAST, LAYOUTS
from tapeline.schemas import Schema

F_SNAPSHOT = 0x20
RTYPES = {
    Schema.MBO: 0xA0,
    Schema.TRADES: 0x00,
    Schema.MBP_1: 0x01,
    Schema.STATISTICS: 0x18,
    Schema.DEFINITION: 0x13,
    Schema.STATUS: 0x12,
}
BOOK = "MARKET_DATA.PRIMARY.MBO.X.book.A"
TRADES = "MARKET_DATA.PRIMARY.TRADES.X.trade.A"


def record(time: int, *, schema: Schema = Schema.MBO, action: str = "A", flags: int = F_LAST, instrument: int = 7, sequence: int = 0) -> bytes:  # fmt: skip
    """One record; `sequence` tells records of one time apart."""
    row = np.zeros(1, LAYOUTS[schema].dtype)
    values: dict[str, object] = {
        "length": LAYOUTS[schema].stride // 4, "rtype": RTYPES[schema], "publisher_id": 60004, "instrument_id": instrument,
        "ts_event": time, "ts_recv": time, "flags": flags, "action": action.encode(), "side": b"B", "sequence": sequence, "price": time,
    }  # fmt: skip
    if schema is Schema.STATUS:
        del values["action"]
    for name, value in values.items():
        if name in (row.dtype.names or ()):
            row[name] = value
    return row.tobytes()


def book(time: int, levels: int = 3, instrument: int = 7) -> bytes:
    """A full book as of `time`: a clear, then levels."""
    rows = [record(time, action="R", flags=F_SNAPSHOT, instrument=instrument)]
    rows += [record(time, flags=F_SNAPSHOT, instrument=instrument, sequence=place + 1) for place in range(levels - 1)]
    return b"".join([*rows, record(time, flags=F_SNAPSHOT | F_LAST, instrument=instrument, sequence=levels)])


class Publisher:
    """Publishes, and keeps late-join keys."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def publish(self, channel: str, *records: bytes) -> None:
        """One Redis message."""
        await self.redis.publish(channel, b"".join(records))

    async def keep(self, channel: str, snapshot: bytes) -> None:
        """A late-join key, and its channel among the known ones."""
        name = ChannelName.parse(channel)
        await self.redis.sadd(redis_keys.channels(name.provider, name.instance), channel)
        await self.redis.set(redis_keys.snapshot(name), snapshot)

    async def at(self, published: int, noted: int) -> None:
        """What has been published, and what the keys stand for."""
        await self.redis.set(redis_keys.cursor("X", "PRIMARY"), f"1:{published}")
        await self.redis.hset(redis_keys.checkpoint("X", "PRIMARY"), "position", f"1:{noted}")

    async def kill_subscribers(self) -> int:
        """Ends all subscribed connections, as Redis does with those who lag."""
        return int(await self.redis.client_kill_filter(_type="pubsub"))


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[Publisher]:
    """A publisher for the time of a test."""
    redis: Redis = Redis.from_url(url)
    try:
        yield Publisher(redis)
    finally:
        await redis.aclose()


async def take(consumer: Consumer, count: int) -> list[Message | Hole]:
    """The next items."""
    taken: list[Message | Hole] = []
    while len(taken) < count:
        taken.append(await anext(consumer))
    return taken


async def until(true: Callable[[], bool]) -> None:
    """Waits for a condition."""
    while not true():  # noqa: ASYNC110 - what it waits for tells nobody
        await asyncio.sleep(0.005)


def times(items: list[Message | Hole]) -> list[int]:
    """The times of all records, in order."""
    return [int(row["ts_recv"]) for item in items if isinstance(item, Message) for row in item.array()]


def messages(items: list[Message | Hole]) -> list[Message]:
    """The items, all of them messages."""
    assert all(isinstance(item, Message) for item in items), items
    return [item for item in items if isinstance(item, Message)]


def holes(items: list[Message | Hole]) -> list[Hole]:
    """The holes among items."""
    return [item for item in items if isinstance(item, Hole)]
