"""The consumer itself: subscribes, joins, keeps the connection, and hands out what comes in the order it came."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from tapeline.channels import REPLAY, ChannelName, is_pattern, matches
from tapeline.consumer.items import Counts, Hole, Message, Reason
from tapeline.consumer.join import Channel, Items, add, begin_anew
from tapeline.consumer.joiner import Joiner
from tapeline.consumer.layout import LAYOUTS
from tapeline.consumer.merging import TICK_SECONDS, MergeOptions, Merging, Mode, both, watched
from tapeline.consumer.snapshots import Snapshots
from tapeline.consumer.spare import Spare
from tapeline.consumer.wire import Address, Push, Wire
from tapeline.errors import ChannelNameError, RedisUnavailableError, UsageError
from tapeline.redis_place import RedisPlace
from tapeline.redis_url import seeds
from tapeline.telemetry import Level, count, event

_EXACT = b"message"
_SLOW_NS = 10_000_000_000


class Consumer:
    """Follows all channels that any of the patterns takes (Redis globs); see the package for how it is used.

    `late_join` starts each channel with the last that is known of it. `join_seconds` is how long a book's live updates
    are held back for a snapshot that they go on from; `settle_seconds`, how long a quiet channel's key is given to come up
    to date where the publisher tells no position. Beyond `buffer_bytes` not yet taken by the caller it stops reading.
    A connection that says nothing for `silence_seconds`, not even to a ping, counts as lost.

    With two `listeners` it listens at two nodes of a cluster: where one is lost, the other has all that it did not bring any
    more, and there is no hole. Where Redis is one server there is nothing to gain by it, and one connection.

    With a `mode` other than DIRECT both instances of what the patterns name are followed, and handed out as one, MERGED
    (see `merging`, and `MergeOptions` for its times and bounds).
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        patterns: Sequence[str] = (),
        *,
        late_join: bool = True,
        join_seconds: float = 5.0,
        settle_seconds: float = 1.5,
        buffer_bytes: int = 64 << 20,
        silence_seconds: float = 15.0,
        connect_seconds: float = 5.0,
        mode: Mode | str = Mode.DIRECT,
        merge: MergeOptions | None = None,
        listeners: int = 1,
    ) -> None:
        if not patterns or isinstance(patterns, str):
            raise UsageError(f"patterns is {patterns!r}; allowed: a list of at least one pattern")
        if listeners not in (1, 2):
            raise UsageError(f"listeners is {listeners!r}; allowed: 1 and 2")
        self.counts = Counts()
        for seed in seeds(url):
            Address.parse(seed)
        self._place = RedisPlace(url)
        self._snapshots = Snapshots(url, connect_seconds)
        self._patterns = list(dict.fromkeys(patterns))
        self.merging: Merging | None = None
        """What merges the two instances, and counts what each of them missed; None where there is one only."""
        if Mode(mode) is not Mode.DIRECT:
            self.merging = Merging(Mode(mode), merge or MergeOptions(), self._patterns, self.counts)
            self._patterns = [*both(self._patterns), *watched(Mode(mode))]
        self._buffer_bytes = buffer_bytes
        self._silence_seconds = silence_seconds
        self._connect_seconds = connect_seconds
        self._channels: dict[bytes, Channel | None] = {}
        self._joiner = (
            Joiner(
                self._snapshots,
                self._met,
                self._push,
                self.counts,
                join_seconds=join_seconds,
                settle_seconds=settle_seconds,
                held_limit=buffer_bytes,
            )
            if late_join
            else None
        )
        self._early: list[tuple[list[Push], int]] | None = []
        self._queue: deque[tuple[Items, int]] = deque()
        self._queued_bytes = 0
        self._current: Iterator[Message | Hole] = iter(())
        self._news = asyncio.Event()
        self._wire: Wire | None = None
        self._at = ""
        self._spare = Spare(buffer_bytes) if listeners == 2 else None
        self._standing: asyncio.Task[None] | None = None
        self._paused_ns = 0
        self._task: asyncio.Task[None] | None = None
        self._joining: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        """Connects and subscribes; raises RedisUnavailableError."""
        wire = await self._connect()
        self._task = asyncio.create_task(self._follow(wire))
        self._task.add_done_callback(lambda _: self._news.set())
        if self.merging is not None:
            self._ticking = asyncio.create_task(self._tick(self.merging))
        if self._spare is not None:
            self._standing = asyncio.create_task(self._stand_by(self._spare))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def place(self) -> str:
        """The URL of the server that it listens at; empty before it is connected."""
        return self._at

    async def close(self) -> None:
        """Ends the connections; an iteration under way ends with what is already there."""
        self._closed = True
        self._news.set()
        for task in (self._task, self._ticking, self._standing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._stop_joining()
        for wire in (self._wire, self._spare.wire if self._spare is not None else None):
            if wire is not None:
                wire.close()
        await self._snapshots.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Hole:
        while True:
            for item in self._current:
                return item
            batch = await self._next_batch()
            if batch is None:
                raise StopAsyncIteration
            self._current = iter(batch)

    async def batches(self) -> AsyncIterator[Items]:
        """Everything that one read of the socket brought, at a time; quicker than item by item."""
        while (batch := await self._next_batch()) is not None:
            yield batch

    async def _next_batch(self) -> Items | None:
        while not self._queue:
            if self._closed:
                return None
            if self._task is not None and self._task.done():
                self._task.result()
            self._news.clear()
            await self._news.wait()
        batch, size = self._queue.popleft()
        self._queued_bytes -= size
        if self._wire is not None and self._wire.paused and self._queued_bytes < self._buffer_bytes // 2:
            self._wire.resume()
        return batch

    # Connection

    async def _connect(self, lost: tuple[int, Reason] | None = None) -> Wire:
        """A subscribed connection; where one was lost before, the hole stands before all that comes by the new one."""
        self._early = []
        url = await self._place.any()
        wire = await self._subscribed(url, self._deliver)
        self._at = url
        self._use(wire)
        if lost is not None:
            now = time.time_ns()
            self._push([Hole(pattern, lost[0], now, lost[1]) for pattern in self._patterns])
        for channel in self._channels.values():
            if channel is not None and self._joiner is not None:
                self._joiner.hold(channel)
        early, self._early = self._early, None
        for pushes, now in early:
            self._deliver(pushes, now)
        return wire

    async def _subscribed(self, url: str, deliver: Callable[[list[Push], int], None]) -> Wire:
        wire = await Wire.connect(Address.parse(url), deliver, self._connect_seconds)
        try:
            async with asyncio.timeout(self._connect_seconds):
                exact = [pattern for pattern in self._patterns if not is_pattern(pattern)]
                await wire.subscribe(exact, [pattern for pattern in self._patterns if is_pattern(pattern)])
        except TimeoutError:
            wire.close()
            raise RedisUnavailableError("Redis does not confirm the subscription in time") from None
        except BaseException:
            wire.close()
            raise
        return wire

    async def _follow(self, wire: Wire) -> None:
        while True:
            if self._joiner is not None:
                self._joining = asyncio.create_task(self._joiner.run(self._patterns))
            await self._until_lost(wire, self._joining)
            while (other := self._take_over(wire)) is not None:
                wire = other
                await self._until_lost(wire, self._joining)
            await self._stop_joining()
            slow = wire.paused or time.time_ns() - self._paused_ns < _SLOW_NS
            reason = Reason.SLOW if slow else Reason.DISCONNECTED
            event("consumer_connection_lost", Level.ERROR, reason=reason.value)
            wire.close()
            wire = await self._reconnect(wire.last_ns, reason)
            self.counts.reconnects += 1

    # The second connection

    def _use(self, wire: Wire) -> None:
        self._wire = wire
        spare = self._spare
        if spare is None:
            return
        spare.main = wire
        if spare.wire is not None and spare.url == self._at:
            # Both at one node are no help: another will be found for it.
            spare.wire.close()

    def _take_over(self, lost: Wire) -> Wire | None:
        """The second connection in place of one that is lost, after what it has heard; None where there is none."""
        found = self._spare.promote() if self._spare is not None else None
        if found is None:
            return None
        event("consumer_took_over", Level.WARNING)
        self.counts.reconnects += 1
        lost.close()
        wire, heard = found
        self._at = self._spare.url if self._spare is not None else ""
        self._use(wire)
        for now, pushes in heard:
            self._deliver(pushes, now)
        wire.on_push = self._deliver
        return wire

    async def _stand_by(self, spare: Spare) -> None:
        """Keeps a second connection, to another node than the first; ends where there is no other."""
        while True:
            try:
                urls = await self._place.all()
                if len(urls) < 2:
                    return
                url = random.choice([url for url in urls if url != self._at])
                wire = await self._subscribed(url, spare.take)
            except RedisUnavailableError as error:
                event("consumer_spare_failed", Level.WARNING, error=str(error))
                await asyncio.sleep(random.uniform(0.2, 0.5))
                continue
            spare.begin(wire, url)
            if not await self._stood_by(spare, wire):
                wire.close()

    async def _stood_by(self, spare: Spare, wire: Wire) -> bool:
        """Waits until a second connection has taken over, or is lost itself; which of the two."""
        lost = asyncio.create_task(self._until_lost(wire, None))
        taken = asyncio.create_task(spare.taken.wait())
        try:
            await asyncio.wait((lost, taken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            taken.cancel()
        return spare.wire is not wire

    async def _stop_joining(self) -> None:
        """Cancels until it ends: redis-py, while it connects, may take a cancellation for a timeout of its own."""
        while self._joining is not None and not self._joining.done():
            self._joining.cancel()
            await asyncio.wait((self._joining,), timeout=0.05)

    async def _reconnect(self, lost_ns: int, reason: Reason) -> Wire:
        attempt = 0
        while True:
            await asyncio.sleep(min(5.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))
            attempt = min(attempt + 1, 10)
            try:
                return await self._connect((lost_ns, reason))
            except RedisUnavailableError as error:
                event("consumer_reconnect_failed", Level.WARNING, error=str(error))

    async def _until_lost(self, wire: Wire, joining: asyncio.Task[None] | None) -> None:
        ends: list[asyncio.Future[Any]] = [wire.closed] if joining is None else [wire.closed, joining]
        while not wire.closed.done():
            await asyncio.wait(ends, timeout=self._silence_seconds / 3, return_when=asyncio.FIRST_COMPLETED)
            if joining is not None and joining.done():
                # It never ends by itself; whatever it raised is the caller's to see.
                joining.result()
            silent = (time.time_ns() - wire.last_ns) / 1e9
            if wire.paused or wire.closed.done():
                continue
            if silent > self._silence_seconds:
                return
            if silent > self._silence_seconds / 3:
                wire.ping()

    # Messages

    def _deliver(self, pushes: list[Push], now: int) -> None:
        if self._early is not None:
            self._early.append((pushes, now))
            return
        counts = self.counts
        channels = self._channels
        items: Items = []
        for push in pushes:
            name, data = push[-2], push[-1]
            channel = channels.get(name) or self._meet(name)
            if channel is None:
                counts.foreign += 1
                continue
            if push[-3] != channel.source:
                counts.overlapping += 1
                continue
            message = Message(channel.name, data, now)
            if not data and channel.name.instance == REPLAY:
                items += begin_anew(channel, now)
                if self._joiner is not None:
                    self._joiner.hold(channel)
            elif channel.waiting is None:
                seen = channel.seen
                was_doubtful = seen.doubtful
                fresh = seen.take(data)
                if fresh is data and not seen.doubtful:
                    # What `add` would come to, for nearly every message.
                    items.append(message)
                else:
                    add(channel, message, fresh, was_doubtful, counts, items)
            elif self._joiner is not None:
                items += self._joiner.keep(channel, message)
        if items:
            self._push(items)

    async def _tick(self, merging: Merging) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if items := merging.tick(time.time_ns()):
                self._queue_up(items)

    def _push(self, items: Items) -> None:
        if self.merging is not None and not (items := self.merging.take(items, time.time_ns())):
            return
        self._queue_up(items)

    def _queue_up(self, items: Items) -> None:
        counts = self.counts
        size = messages = records = 0
        for item in items:
            if type(item) is Message:
                messages += 1
                length = len(item.data)
                size += length
                records += length // LAYOUTS[item.channel.schema].stride
            else:
                counts.holes += 1
                count("consumer_holes")
        counts.messages += messages
        counts.records += records
        self._queued_bytes += size
        self._queue.append((items, size))
        self._news.set()
        if self._queued_bytes > self._buffer_bytes and self._wire is not None and not self._wire.paused:
            self._paused_ns = time.time_ns()
            count("consumer_paused")
            self._wire.pause()

    def _meet(self, name: bytes) -> Channel | None:
        """A channel that is new to us; None where its name is not one of ours."""
        if name in self._channels:
            return None
        try:
            text = name.decode()
            channel = Channel(ChannelName.parse(text), self._source(text))
        except (ChannelNameError, UnicodeDecodeError):
            event("consumer_foreign_channel", Level.WARNING, channel=repr(name))
            self._channels[name] = None
            return None
        self._channels[name] = channel
        if self._joiner is not None:
            self._joiner.hold(channel)
        return channel

    def _met(self, text: str) -> Channel | None:
        name = text.encode()
        return self._channels.get(name) or self._meet(name)

    def _source(self, text: str) -> bytes:
        if text in self._patterns and not is_pattern(text):
            return _EXACT
        return next(
            (pattern.encode() for pattern in self._patterns if is_pattern(pattern) and matches(pattern, text)), b""
        )
