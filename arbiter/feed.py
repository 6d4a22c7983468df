"""One provider's merged stream: what both instances bring goes through the merger, what it hands out to Redis."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from tapeline import redis_keys
from tapeline.channels import ChannelName
from tapeline.consumer import Message
from tapeline.consumer.merging import MERGED, SIDES, MergeOptions, Mode, new_merger
from tapeline.consumer.snapshots import Snapshots
from tapeline.process import cancel, first_of
from tapeline.publish import Entry, Publisher, RedisAddress, command
from tapeline.redis_place import RedisPlace
from tapeline.stream import Position
from tapeline.telemetry import Level, event

_DRAIN_SECONDS = 10.0
# Late-join keys may take one part in twenty of the time, no more.
_FLUSH_SHARE = 20


class Feed:
    """One provider. `epoch` (ns since the Unix epoch) is this process's start; every `ts_recv` it gives is later."""

    def __init__(self, place: RedisPlace, provider: str, epoch: int, buffer_bytes: int, flush_seconds: float, options: MergeOptions) -> None:  # fmt: skip
        self._provider = provider
        self._epoch = epoch
        self._flush_seconds = flush_seconds
        self._merger = new_merger(Mode.MERGE, options, epoch)
        # By identity: the consumer has one name object a channel, and hashing five fields a message would cost more than merging.
        self._slots: dict[int, int] = {}
        self._names: list[ChannelName] = []
        self._cursor_key = redis_keys.cursor(provider, MERGED)
        self._checkpoint_key = redis_keys.checkpoint(provider, MERGED)

        async def address() -> RedisAddress:
            return RedisAddress.parse(await place.holding(self._cursor_key))

        self._publisher = Publisher(address, provider, buffer_bytes, self._refresh_all)
        self._batches = 0
        self._messages = 0
        self._connections = 0

    async def restore(self, snapshots: Snapshots) -> None:
        """Takes up where an earlier process stopped, by the late-join keys; raises RedisUnavailableError."""
        pattern = f"MARKET_DATA.{MERGED}.*.{self._provider}.*"
        names = [name for name in await snapshots.channels([pattern]) if name.provider == self._provider]
        async for text, data in snapshots.read(name.format() for name in names):
            self._merger.resume(self._merger.lane(text), data)
        event("restored", provider=self._provider, channels=len(names))

    async def run(self, stop: asyncio.Event) -> None:
        """Publishes what `take` and `tick` give until `stop` is set, then what is left."""
        tasks = [asyncio.create_task(work) for work in (self._publisher.run(), self._flush_for_ever())]
        try:
            await first_of(stop, *tasks)
            self._offer(*self._merger.flush())
            if not await self._publisher.drain(_DRAIN_SECONDS):
                event("stopped_before_published", Level.WARNING, provider=self._provider, bytes=self._publisher.buffered_bytes)  # fmt: skip
            self._publisher.tell_dropped()
        finally:
            await cancel(*tasks)

    def take(self, message: Message, now: int) -> None:
        """Takes what an instance published; `now` is the time of arrival."""
        slot = self._slots.get(id(message.channel))
        if slot is None:
            slot = self._slot(message.channel)
        self._messages += 1
        self._merger.feed(slot, message.data, now, message.snapshot)

    def publish(self) -> None:
        """Publishes, by one write, what has come of all that was taken."""
        data, commands = self._merger.commands()
        if commands:
            self._batches += 1
            position = Position(self._epoch, self._batches)
            cursor = command("SET", self._cursor_key, str(position))
            self._publisher.offer(Entry(data, cursor, commands + 1, self._batches, position))

    def tick(self, now: int) -> None:
        """Publishes what has waited for long enough."""
        self._merger.tick(now)
        self.publish()

    async def room(self) -> None:
        """Waits while Redis is slower than what comes."""
        await self._publisher.room()

    def stats(self) -> dict[str, object]:
        """Running totals for the stats line."""
        return {
            **self._merger.counters(),
            "messages": self._messages,
            "batches": self._batches,
            "memory_bytes": self._merger.memory_bytes,
            "redis_connected": self._publisher.connected,
            "redis_buffered_bytes": self._publisher.buffered_bytes,
            "redis_commands": self._publisher.commands,
        }

    def _slot(self, name: ChannelName) -> int:
        lane = self._merger.lane(replace(name, instance=MERGED).format())
        slot = self._slots[id(name)] = 2 * lane + SIDES.index(name.instance)
        self._names.append(name)
        return slot

    async def _flush_for_ever(self) -> None:
        pause = self._flush_seconds
        while True:
            await asyncio.sleep(pause)
            started = time.perf_counter()
            if self._publisher.connected:
                self._offer(*self._merger.flush())
            pause = max(self._flush_seconds, _FLUSH_SHARE * (time.perf_counter() - started))

    def _refresh_all(self) -> None:
        """What a Redis that has forgotten everything needs."""
        self._offer(*self._merger.flush(all=True))

    def _offer(self, data: bytes, commands: int) -> None:
        """Late-join keys, and the position that they stand for."""
        position = f"{self._epoch}:{self._batches}"
        noted = command("HSET", self._checkpoint_key, "position", position)
        told = command("SET", self._cursor_key, position)
        self._publisher.offer(Entry(data + noted, told, commands + 2))
