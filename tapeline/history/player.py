"""Publishes history as a feed: in order, at a speed, through the publisher of the live path."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass

from tapeline import redis_keys
from tapeline.channels import REPLAY
from tapeline.errors import RedisUnavailableError
from tapeline.history.blocks import Block, side_by_side
from tapeline.history.choice import Choice, Day
from tapeline.history.late_join import LateJoin
from tapeline.history.lease import ReplayLease
from tapeline.history.messages import Moment, moments
from tapeline.history.outlet import Outlet
from tapeline.history.schedule import MAX, Clock, Schedule
from tapeline.history.span import Span
from tapeline.process import cancel, first_of
from tapeline.publish import Entry, Publisher, RedisAddress
from tapeline.redis_place import RedisPlace

_ENTRY_BYTES = 512 << 10
_DRAIN_SECONDS = 30.0
_AWAY_SECONDS = 0.05
# Late-join keys may take one part in twenty of the time, no more.
_FLUSH_SHARE = 20
_MILLISECOND = 1_000_000
_MOST_MILLISECONDS = 10

Streams = Callable[[Day], list[Generator[Block]]]
"""A day's records, as streams to be set side by side."""
Heard = Callable[["Played"], None]


@dataclass(slots=True)
class Played:
    """How far a replay has come."""

    messages: int = 0
    records: int = 0
    at: int = 0
    """The latest time of receipt that has been published, ns."""
    behind_ns: int = 0
    """How late the newest moment was."""
    most_behind_ns: int = 0
    seconds: float = 0.0
    stopped: bool = False
    """Whether it was stopped before its end."""


def moment_ns(speed: float) -> int:
    """How much of history goes into one message of a channel: about a millisecond of the time of whoever listens, never much."""
    return round(_MILLISECOND * (_MOST_MILLISECONDS if speed == MAX else min(max(speed, 1.0), _MOST_MILLISECONDS)))


def sets(choice: Choice, streams: Streams, span: Span, length_ns: int) -> Iterator[tuple[list[Block], list[Moment]]]:
    """All of the span in order: blocks that come before it and are only followed, then moments that are published."""
    for day in choice.days:
        opened = streams(day)
        try:
            for blocks in side_by_side(opened):
                before: list[Block] = []
                inside: list[Block] = []
                for block in blocks:
                    earlier, rest = block.cut(int(block.when.searchsorted(span.start)))
                    within, _ = rest.cut(int(rest.when.searchsorted(span.end)))
                    before += [earlier] if len(earlier) else []
                    inside += [within] if len(within) else []
                if not before and not inside:
                    return
                yield before, list(moments(inside, length_ns))
        finally:
            for stream in opened:
                stream.close()


class Player:
    """Plays a choice's sets (see `sets`) once; `heard` is told of each step, in the event loop."""

    def __init__(
        self,
        place: RedisPlace,
        choice: Choice,
        clock: Clock,
        speed: float,
        *,
        start: int,
        flush_seconds: float,
        buffer_bytes: int,
        heard: Heard = lambda _: None,
    ) -> None:
        self._place = place
        self._choice = choice
        self._clock = clock
        self._speed = speed
        self._start = start
        self._flush_seconds = flush_seconds
        self._buffer_bytes = buffer_bytes
        self._heard = heard
        self._schedule = Schedule(speed)
        self._late = LateJoin()
        self._publishers: list[Publisher] = []
        self._outlet: Outlet | None = None
        self._flush_at = 0
        self._dirty = False
        self.played = Played()

    async def run(self, steps: Iterator[tuple[list[Block], list[Moment]]], stop: asyncio.Event) -> Played:
        """Publishes all, or until `stop` is set; raises ReplayRunningError, RedisUnavailableError and what the steps raise."""
        leases = [ReplayLease(self._place, provider) for provider in self._choice.providers]
        held: list[ReplayLease] = []
        try:
            for lease in leases:
                await lease.take()
                held.append(lease)
            outlet = await self._open()
            keeping = [
                asyncio.create_task(work)
                for work in (*(p.run() for p in self._publishers), *(one.keep() for one in held))
            ]
            playing = asyncio.create_task(self._play(outlet, steps, stop))
            try:
                await first_of(asyncio.Event(), playing, *keeping)
            finally:
                await cancel(playing, *keeping)
        finally:
            for lease in held:
                # It lapses by itself.
                with contextlib.suppress(RedisUnavailableError):
                    await lease.release()
            for lease in leases:
                await lease.close()
        return self.played

    async def _open(self) -> Outlet:
        """A publisher for each Redis node that holds keys of a provider."""
        urls: list[str] = []
        home = {}
        for provider in self._choice.providers:
            key = redis_keys.cursor(provider, REPLAY)
            url = await self._place.holding(key)
            if url not in urls:
                urls.append(url)
                self._publishers.append(self._publisher(provider, key))
            home[provider] = urls.index(url)
        self._outlet = Outlet(self._choice.channels, home, time.time_ns())
        return self._outlet

    def _publisher(self, provider: str, key: str) -> Publisher:
        async def address() -> RedisAddress:
            return RedisAddress.parse(await self._place.holding(key))

        return Publisher(address, provider, self._buffer_bytes, self._refresh_all)

    async def _play(
        self, outlet: Outlet, steps: Iterator[tuple[list[Block], list[Moment]]], stop: asyncio.Event
    ) -> None:
        async for before, ready in _ahead(steps, stop):
            for block in before:
                self._late.pass_over(block)
                self.played.at = int(block.when[-1])
            self._heard(self.played)
            if not ready:
                continue
            if not self._schedule.begun:
                await self._begin(outlet, ready[0].due)
            await self._publish(outlet, ready, stop)
            if stop.is_set():
                break
        self.played.stopped = stop.is_set()
        if self._schedule.begun:
            self._offer(outlet.end(self._late.told(), self.played.at))
            await self._drained()

    async def _begin(self, outlet: Outlet, when: int) -> None:
        self._offer(outlet.begin(self._late.told(all_of_it=True), self._start))
        await self._drained()
        now = self._clock.now()
        self._schedule.begin(when, now)
        self._flush_at = now + round(self._flush_seconds * 1e9)

    async def _publish(self, outlet: Outlet, ready: list[Moment], stop: asyncio.Event) -> None:
        at = 0
        while at < len(ready):
            while (now := self._clock.now()) < (due := self._schedule.at(ready[at].due)) and not stop.is_set():
                self._flush(outlet, now)
                await self._clock.until(min(due, self._flush_at) if self._dirty else due, stop)
            if stop.is_set():
                return
            end = self._bundle(ready, at, now)
            bundle = ready[at:end]
            at = end
            self._offer(outlet.moments(bundle))
            self._note(outlet, bundle, now)
            self._flush(outlet, now)
            await self._room(stop)

    def _bundle(self, ready: list[Moment], at: int, now: int) -> int:
        """How far one write goes: as far as is due, and no further than a write should be long."""
        reached = None if self._speed == MAX else self._schedule.reached(now)
        size = 0
        while at < len(ready) and size < _ENTRY_BYTES:
            if size and reached is not None and ready[at].due > reached:
                break
            size += sum(len(data) for _, data in ready[at].messages)
            at += 1
        return at

    def _note(self, outlet: Outlet, bundle: list[Moment], now: int) -> None:
        played = self.played
        for moment in bundle:
            for run in moment.runs:
                self._late.take(run)
        self._dirty = True
        played.at = bundle[-1].due
        played.messages, played.records = outlet.messages, outlet.records
        if self._speed != MAX:
            played.behind_ns = now - self._schedule.at(bundle[0].due)
            played.most_behind_ns = max(played.most_behind_ns, played.behind_ns)
        self._heard(played)

    def _flush(self, outlet: Outlet, now: int) -> None:
        """Brings the late-join keys up to date where that is due."""
        if now < self._flush_at or not self._dirty:
            return
        started = self._clock.now()
        self._offer(outlet.keys(self._late.told()))
        self._dirty = False
        pause = max(round(self._flush_seconds * 1e9), _FLUSH_SHARE * (self._clock.now() - started))
        self._flush_at = now + pause

    def _refresh_all(self) -> None:
        """What a Redis that has forgotten everything needs."""
        if self._outlet is not None and self._schedule.begun:
            self._offer(self._outlet.keys(self._late.told(all_of_it=True)))

    def _offer(self, entries: Mapping[int, Entry]) -> None:
        for home, entry in entries.items():
            self._publishers[home].offer(entry)

    async def _room(self, stop: asyncio.Event) -> None:
        """Waits while Redis is slower, or away: history does not run on, and none of it is dropped."""
        for publisher in self._publishers:
            await publisher.room()
            while not publisher.connected and not stop.is_set():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(_AWAY_SECONDS)
            if len(self._publishers) > 1:
                # One node must not run ahead of another.
                await publisher.drain(_DRAIN_SECONDS)

    async def _drained(self) -> None:
        for publisher in self._publishers:
            if not await publisher.drain(_DRAIN_SECONDS):
                raise RedisUnavailableError(f"Redis does not take what is replayed, for {_DRAIN_SECONDS:g} s")


async def _ahead(
    steps: Iterator[tuple[list[Block], list[Moment]]], stop: asyncio.Event
) -> AsyncIterator[tuple[list[Block], list[Moment]]]:
    """Steps, of which the next one is made ready in a thread meanwhile."""
    making = asyncio.create_task(asyncio.to_thread(next, steps, None))
    try:
        while not stop.is_set() and (step := await making) is not None:
            making = asyncio.create_task(asyncio.to_thread(next, steps, None))
            yield step
    finally:
        # A thread at work cannot be cancelled; what it reads must not be closed under it.
        await asyncio.gather(making, return_exceptions=True)
