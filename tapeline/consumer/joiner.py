"""Holds back live updates of books until a snapshot from the late-join keys goes before them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from tapeline.consumer.items import Counts, Message
from tapeline.consumer.join import Channel, Items, add, connects, join
from tapeline.consumer.snapshots import Feed, Snapshots
from tapeline.errors import RedisUnavailableError
from tapeline.schemas import Schema
from tapeline.telemetry import Level, count, event

_POLL_SECONDS = 0.05
_RETRY_SECONDS = 0.2
# A batch that was being written while we subscribed is heard in part, and only its end tells its position.
_STRADDLE_SECONDS = 0.1


class Joiner:
    """All channels of a consumer that wait to be joined.

    `meet` gives the channel of a name; `push` takes what is to be handed out. For the times see Consumer.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        meet: Callable[[str], Channel | None],
        push: Callable[[Items], None],
        counts: Counts,
        *,
        join_seconds: float,
        settle_seconds: float,
        held_limit: int,
    ) -> None:
        self._snapshots = snapshots
        self._meet = meet
        self._push = push
        self._counts = counts
        self._join_seconds = join_seconds
        self._settle_seconds = settle_seconds
        self._held_limit = held_limit
        self._held_bytes = 0
        self._waiting: dict[str, Channel] = {}
        self._wanted = asyncio.Event()

    def hold(self, channel: Channel) -> None:
        """Holds a channel's live messages back from now on, where its schema needs joining."""
        if channel.name.schema is not Schema.MBO:
            return
        # What was held before a lost connection does not go on in what comes after it.
        self._held_bytes -= sum(len(message.data) for message in channel.waiting or ())
        channel.waiting = []
        channel.since = asyncio.get_running_loop().time()
        self._waiting[channel.text] = channel
        self._wanted.set()

    def keep(self, channel: Channel, message: Message) -> Items:
        """Takes a live message of a channel that waits; what can be handed out by it.

        One that starts with a cleared book needs no snapshot, and too many cannot be held.
        """
        if not channel.seen.whole(message.data):
            items: Items = []
            add(channel, message, None, False, self._counts, items)
            return items
        held = channel.waiting if channel.waiting is not None else []
        held.append(message)
        self._held_bytes += len(message.data)
        if len(held) == 1 and connects(channel, b""):
            return self._release(channel, b"", True)
        if self._held_bytes > self._held_limit:
            return self._release(channel, b"", False)
        return []

    async def run(self, patterns: Sequence[str]) -> None:
        """Gives the last that is known of all channels, and joins what waits, until cancelled."""
        known = False
        while True:
            try:
                if not known:
                    await self._bring_up(patterns)
                    known = True
                await self._wanted.wait()
                self._wanted.clear()
                await self._join_waiting()
            except RedisUnavailableError as error:
                event("consumer_join_failed", Level.WARNING, error=str(error))
                self._wanted.set()
                await asyncio.sleep(_RETRY_SECONDS)

    async def _bring_up(self, patterns: Sequence[str]) -> None:
        plain: dict[str, Channel] = {}
        for name in await self._snapshots.channels(patterns):
            text = name.format()
            channel = self._meet(text)
            if channel is not None and name.schema is not Schema.MBO:
                plain[text] = channel
        async for text, data in self._snapshots.read(plain):
            channel = plain[text]
            if channel.seen.whole(data) and (fresh := channel.seen.snapshot(data)):
                self._push([Message(channel.name, fresh, time.time_ns(), snapshot=True)])

    def _release(self, channel: Channel, snapshot: bytes, proven: bool) -> Items:
        self._held_bytes -= sum(len(message.data) for message in channel.waiting or ())
        del self._waiting[channel.text]
        return join(channel, snapshot, time.time_ns(), proven, self._counts)

    async def _join_waiting(self) -> None:
        """Joins channels as snapshots come that their live updates go on from."""
        published: dict[Feed, tuple[int, int] | None] = {}
        while self._waiting:
            new = {channel.feed for channel in self._waiting.values()} - published.keys()
            if new:
                await asyncio.sleep(_STRADDLE_SECONDS)
            for feed in new:
                published[feed] = await self._snapshots.published(feed)
            covered = {feed: await self._covered(feed, position) for feed, position in published.items()}
            ripe = [text for text, channel in self._waiting.items() if self._ripe(channel, covered[channel.feed])]
            found = {text: data async for text, data in self._snapshots.read(ripe)} if ripe else {}
            for text in ripe:
                # A live message may have ended the waiting meanwhile.
                if (channel := self._waiting.get(text)) is not None:
                    self._join(channel, found.get(text, b""), covered[channel.feed])
            await asyncio.sleep(_POLL_SECONDS)

    async def _covered(self, feed: Feed, position: tuple[int, int] | None) -> bool | None:
        """Whether the keys stand for all that was published before we subscribed; None where nothing tells."""
        if position is None:
            return None
        noted = await self._snapshots.noted(feed)
        return noted is not None and noted >= position

    def _ripe(self, channel: Channel, covered: bool | None) -> bool:
        """Whether it is worth reading a channel's key now."""
        age = asyncio.get_running_loop().time() - channel.since
        if age > self._join_seconds or covered:
            return True
        return covered is None and (bool(channel.waiting) or age > self._settle_seconds)

    def _join(self, channel: Channel, snapshot: bytes, covered: bool | None) -> None:
        if snapshot and not channel.seen.whole(snapshot):
            count("consumer_malformed")
            snapshot = b""
        age = asyncio.get_running_loop().time() - channel.since
        proven = connects(channel, snapshot) or self._quiet(channel, snapshot, covered, age)
        if proven or age > self._join_seconds:
            items = self._release(channel, snapshot, proven)
            if items:
                self._push(items)

    def _quiet(self, channel: Channel, snapshot: bytes, covered: bool | None, age: float) -> bool:
        """Whether the key's own age proves it: its position does, or the channel stayed quiet for long enough."""
        if covered:
            return bool(snapshot) or not channel.waiting
        return covered is None and not channel.waiting and age > self._settle_seconds
