"""Plays history for tests, and listens to it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tapeline.consumer import Consumer, Hole, Message, Reason
from tapeline.consumer.layout import LAYOUTS
from tapeline.history.canonical import stream
from tapeline.history.choice import Choice, choose
from tapeline.history.lake_files import LakeFiles
from tapeline.history.outlet import REPLAY_CHANNEL
from tapeline.history.player import Played, Player, Streams, moment_ns, sets
from tapeline.history.raw import raw_streams
from tapeline.history.schedule import Clock, MonotonicClock
from tapeline.history.span import Span
from tapeline.offline.lake import Lake
from tapeline.redis_place import RedisPlace
from tapeline.schemas import Schema
from tests.history.lakes import DAY_NS, MIDNIGHT

WHOLE = Span(MIDNIGHT, MIDNIGHT + 2 * DAY_NS)
ALL = ("MARKET_DATA.REPLAY.*",)
_PREFIX = "MARKET_DATA.REPLAY."


def chosen(
    lake: Path | str, span: Span = WHOLE, patterns: Sequence[str] = ALL, *, raw: bool = False
) -> tuple[Choice, Streams]:
    """What a replay takes out of a lake."""
    files = LakeFiles(Lake.at(lake))
    choice = choose(Lake.at(lake), files, span, patterns)
    if raw:
        return choice, raw_streams(files, choice, 256 << 20)
    return choice, lambda day: [stream(files, unit.part, unit.numbers) for unit in day.units]


async def play(
    lake: Path | str,
    url: str,
    span: Span = WHOLE,
    patterns: Sequence[str] = ALL,
    *,
    raw: bool = False,
    speed: float = 0.0,
    clock: Clock | None = None,
    stop: asyncio.Event | None = None,
    flush_seconds: float = 0.05,
) -> Played:
    """Replays a span to its end."""
    choice, streams = chosen(lake, span, patterns, raw=raw)
    player = Player(
        RedisPlace(url), choice, clock or MonotonicClock(), speed, start=span.start, flush_seconds=flush_seconds,
        buffer_bytes=64 << 20,
    )  # fmt: skip
    return await player.run(sets(choice, streams, span, moment_ns(speed)), stop or asyncio.Event())


class Gate:
    """A clock that stands still from a place in the schedule on, until it is let through."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._now = 0
        self._open = asyncio.Event()
        self.reached = asyncio.Event()
        self.waits: list[int] = []

    def now(self) -> int:
        """See Clock."""
        return self._now

    async def until(self, at: int, stop: asyncio.Event) -> None:
        """See Clock."""
        self.waits.append(at)
        if at > self._at and not self._open.is_set() and not stop.is_set():
            # While nothing comes the late-join keys go on being refreshed, each time a little later.
            self._now = self._at = self._at + 1
            self.reached.set()
            await asyncio.sleep(0.002)
            return
        self._now = max(self._now, at)

    def let_through(self) -> None:
        """Time goes on."""
        self._open.set()


@dataclass
class Heard:
    """What a consumer has had, by `<schema>.<provider>.<channel>`, and the holes it was told of."""

    messages: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    snapshots: dict[str, bytes] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    """Providers whose replay has told its end."""

    def take(self, item: Message | Hole) -> None:
        """Takes the next item."""
        if isinstance(item, Hole):
            self.holes.append(item)
            return
        name = item.channel.format().removeprefix(_PREFIX)
        if item.channel.channel == REPLAY_CHANNEL:
            if int(item.array()["action"][0]) == 12:
                self.ended.add(item.channel.provider)
            return
        if item.snapshot:
            self.snapshots[name] = item.data
            self.messages[name] = []
        else:
            self.messages[name].append(item.data)
        self.order.append(name)

    def of(self, channel: str) -> bytes:
        """The records of a channel, without what a late-join key held."""
        return b"".join(self.messages[channel])


def holes(heard: Heard) -> set[Reason]:
    """Why it was told of holes, but for books that are doubtful in what is replayed."""
    return {hole.reason for hole in heard.holes} - {Reason.DOUBTFUL}


@asynccontextmanager
async def listening(
    url: str, patterns: Sequence[str] = ALL, **options: object
) -> AsyncIterator[tuple[Heard, Consumer]]:
    """A consumer of the SDK, and what it hears."""
    heard = Heard()
    async with Consumer(url, list(patterns), **options) as consumer:  # type: ignore[arg-type]

        async def follow() -> None:
            async for item in consumer:
                heard.take(item)

        following = asyncio.create_task(follow())
        try:
            yield heard, consumer
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def until(true: Callable[[], object]) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.005)


def book(*data: bytes) -> dict[tuple[int, int], tuple[str, int, int]]:
    """The book that MBO records make: side, price and size by instrument and order."""
    found: dict[tuple[int, int], tuple[str, int, int]] = {}
    for row in np.frombuffer(b"".join(data), LAYOUTS[Schema.MBO].dtype):
        instrument, key = int(row["instrument_id"]), int(row["order_id"])
        action = bytes(row["action"]).decode()
        if action == "R":
            found = {one: rest for one, rest in found.items() if one[0] != instrument}
        elif action in "AM":
            found[instrument, key] = (bytes(row["side"]).decode(), int(row["price"]), int(row["size"]))
        elif action == "C":
            found.pop((instrument, key), None)
    return found


def books(channels: Iterable[str]) -> list[str]:
    """Those of them that are books."""
    return sorted(channel for channel in channels if channel.startswith("MBO."))
