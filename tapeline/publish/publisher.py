"""Publishes what the kernel made: pipelined, in order, bounded, and honest about what Redis did not get."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tapeline.errors import RedisUnavailableError
from tapeline.process import Backoff
from tapeline.publish.address import RedisAddress
from tapeline.publish.link import Link, connect
from tapeline.stream import Position
from tapeline.telemetry import Level, count, event

FLIGHT_BYTES = 8 << 20
"""How much may be written without an answer: enough for any round trip, little enough to be sent again."""
KEPT_BYTES = 8 << 20
KEPT_SECONDS = 3.0
"""What was confirmed so lately is published again over a new connection: a server that dies may have confirmed what it had not
passed on to the nodes that consumers listen at. They know what they have had."""
_SILENCE_SECONDS = 5.0
# Redis says these while it is on its way up or down; the same commands go through a little later.
_PASSING = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "BUSY ", "NOREPLICAS")


@dataclass(slots=True)
class Entry:
    """Commands that go out together; `position` is the stream's after them, None of a flush."""

    data: bytes
    cursor: bytes
    commands: int
    first: int = 0
    position: Position | None = None
    unanswered: int = field(init=False, default=0)

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.data) + len(self.cursor)


@dataclass(slots=True)
class Dropped:
    """Consecutive batches that Redis never got."""

    epoch: int
    first: int
    last: int
    bytes: int


class Publisher:
    """One provider's way to Redis, to the server that `address` gives for each connection.

    `on_connected` is called when everything must be assumed forgotten there.
    """

    def __init__(
        self,
        address: Callable[[], Awaitable[RedisAddress]],
        provider: str,
        buffer_bytes: int,
        on_connected: Callable[[], None],
    ) -> None:
        self._address = address
        self._provider = provider
        self._buffer_bytes = buffer_bytes
        self._on_connected = on_connected
        self._link: Link | None = None
        self._queue: deque[Entry] = deque()
        self._flight: deque[Entry] = deque()
        self._kept: deque[tuple[float, Entry]] = deque()
        self._queue_bytes = 0
        self._flight_bytes = 0
        self._kept_bytes = 0
        self._answered_at = 0.0
        self._dropped: list[Dropped] = []
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._room.set()
        self._idle.set()
        self.published: Position | None = None
        """The last position that Redis has confirmed."""
        self.newest: Position | None = None
        """The last position that Redis has confirmed, or will have once everything offered has gone out."""
        self.commands = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes not confirmed yet."""
        return self._queue_bytes + self._flight_bytes

    @property
    def connected(self) -> bool:
        """Whether Redis answers."""
        return self._link is not None

    def offer(self, entry: Entry) -> None:
        """Takes commands for Redis, in order; drops the oldest batches where Redis is away and the buffer full."""
        self._queue.append(entry)
        self._queue_bytes += entry.size
        self._idle.clear()
        if entry.position is not None:
            self.newest = entry.position
        if self._link is not None:
            self._pump()
        else:
            self._make_room()

    async def room(self) -> None:
        """Waits while Redis is there but slower than the stream; never while it is away."""
        await self._room.wait()

    async def drain(self, seconds: float) -> bool:
        """Waits until everything is confirmed; False where that took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Keeps a connection to Redis until cancelled."""
        backoff = Backoff(0.05, 2.0)
        while True:
            try:
                link = await connect(await self._address())
            except RedisUnavailableError as error:
                wait = backoff.next()
                event("redis_away", Level.WARNING, provider=self._provider, reason=str(error), retry_seconds=round(wait, 3))  # fmt: skip
                await asyncio.sleep(wait)
                continue
            backoff.reset()
            self._attach(link)
            try:
                await self._watch(link)
            finally:
                self._detach(link)
            event("redis_lost", Level.WARNING, provider=self._provider, unconfirmed_bytes=self.buffered_bytes)

    def tell_dropped(self) -> None:
        """Says, as an error, exactly what Redis did not get since it was last said."""
        for lost in self._dropped:
            event("dropped", Level.ERROR, provider=self._provider, epoch=lost.epoch, first=lost.first, last=lost.last,
                  bytes=lost.bytes, reason="Redis was away and the buffer full")  # fmt: skip
        self._dropped.clear()

    def _attach(self, link: Link) -> None:
        self._link = link
        self._answered_at = time.monotonic()
        link.on_replies = self._replies
        link.on_writable = self._pump
        self.tell_dropped()
        # What is queued stays in order: first it, then what refreshes everything that a new Redis lacks.
        self._on_connected()
        self._pump()

    def _detach(self, link: Link) -> None:
        link.on_replies = lambda count, errors: None
        link.on_writable = lambda: None
        link.abort()
        self._link = None
        # What is not confirmed goes out again, and what was just before; consumers know what they have had.
        self._forget_old(time.monotonic())
        self._queue.extendleft(reversed(self._flight))
        self._queue.extendleft(entry for _, entry in reversed(self._kept))
        self._queue_bytes += self._flight_bytes + self._kept_bytes
        self._flight.clear()
        self._kept.clear()
        self._flight_bytes = self._kept_bytes = 0
        self._make_room()
        self._room.set()

    async def _watch(self, link: Link) -> None:
        while True:
            await asyncio.wait({link.closed}, timeout=_SILENCE_SECONDS / 5)
            if link.closed.done():
                return
            if self._flight and time.monotonic() - self._answered_at > _SILENCE_SECONDS:
                event("redis_silent", Level.WARNING, provider=self._provider, seconds=_SILENCE_SECONDS)
                return

    def _pump(self) -> None:
        link = self._link
        if link is None:
            return
        parts: list[bytes] = []
        if not self._flight:
            self._answered_at = time.monotonic()
        while self._queue and link.writable and self._flight_bytes < FLIGHT_BYTES:
            entry = self._queue.popleft()
            entry.unanswered = entry.commands
            size = entry.size
            self._queue_bytes -= size
            self._flight_bytes += size
            self._flight.append(entry)
            parts.append(entry.data)
            if entry.cursor:
                parts.append(entry.cursor)
        if parts:
            link.write(parts)
        # Half the buffer is kept for the time when Redis is away.
        if self._queue_bytes > self._buffer_bytes // 2:
            self._room.clear()
        else:
            self._room.set()

    def _replies(self, replies: int, errors: list[str]) -> None:
        if errors and not self._bearable(errors):
            return
        now = self._answered_at = time.monotonic()
        self.commands += replies
        flight = self._flight
        while replies and flight:
            head = flight[0]
            if head.unanswered > replies:
                head.unanswered -= replies
                break
            replies -= head.unanswered
            flight.popleft()
            self._flight_bytes -= head.size
            if head.position is not None:
                if self._is_news(head.position):
                    self.published = head.position
                self._kept.append((now, head))
                self._kept_bytes += head.size
        self._forget_old(now)
        if self._queue:
            self._pump()
        elif not flight:
            self._idle.set()

    def _is_news(self, position: Position) -> bool:
        """Whether a confirmed position is past what was confirmed before."""
        known = self.published
        return known is None or (position.epoch, position.sequence) > (known.epoch, known.sequence)

    def _forget_old(self, now: float) -> None:
        kept = self._kept
        while kept and (kept[0][0] + KEPT_SECONDS < now or self._kept_bytes > KEPT_BYTES):
            self._kept_bytes -= kept.popleft()[1].size

    def _bearable(self, errors: list[str]) -> bool:
        """Whether to go on: what Redis refuses only for now is sent again over a new connection."""
        passing = any(text.startswith(_PASSING) for text in errors)
        level = Level.WARNING if passing else Level.ERROR
        event("redis_error", level, provider=self._provider, errors=len(errors), first=errors[0])
        count("redis_errors", len(errors), provider=self._provider)
        if passing and self._link is not None:
            self._link.abort()
        return not passing

    def _make_room(self) -> None:
        while self._queue_bytes > self._buffer_bytes and self._queue:
            entry = self._queue.popleft()
            self._queue_bytes -= entry.size
            if entry.position is not None and self._is_news(entry.position):
                self._drop(entry, entry.position)

    def _drop(self, entry: Entry, position: Position) -> None:
        count("dropped_batches", provider=self._provider)
        count("dropped_payloads", position.sequence - entry.first + 1, provider=self._provider)
        if position == self.newest:
            self.newest = self.published
        last = self._dropped[-1] if self._dropped else None
        if last is not None and last.epoch == position.epoch and last.last + 1 == entry.first:
            last.last = position.sequence
            last.bytes += entry.size
        else:
            if last is None:
                event("dropping", Level.ERROR, provider=self._provider, epoch=position.epoch, first=entry.first)
            self._dropped.append(Dropped(position.epoch, entry.first, position.sequence, entry.size))
