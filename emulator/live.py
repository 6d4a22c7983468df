"""One market for all clients of a venue: it moves by the clock, and who is away misses what was sent."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from emulator.feed import Feed, Shelf
from emulator.ledger import Ledger
from emulator.packing import Packing
from emulator.reel import Block, Line, Reel
from emulator.synthfeed import past, script
from emulator.venue import Ask, Asked, Synth

if TYPE_CHECKING:
    from emulator.connection import Connection

_FRAMES = 2048
_MOMENTS = 20_000
_POLLED_RATE = 200.0
"""Places a second of a market that nobody subscribes to but somebody polls."""
Item = tuple[str, int]
Places = npt.NDArray[np.int64]


@dataclass
class LiveFeed:
    """What one connection of a live market has subscribed. Nothing is taken from it: the market sends."""

    market: LiveMarket
    wanted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chosen: npt.NDArray[np.bool_] | None = None

    @property
    def channels(self) -> set[str]:
        """What is subscribed."""
        return set(self.wanted)

    @property
    def started(self) -> bool:
        """Whether anything may come."""
        return bool(self.wanted)

    @property
    def finished(self) -> bool:
        """Never."""
        return False

    def start(self, now_ns: int) -> None:
        """A market does not wait."""

    def take(self, now_ns: int) -> Block | None:
        """Nothing: the market sends."""
        return None

    def add(self, channel: str, depth: int, now_ns: int) -> list[bytes]:
        """Subscribes from here on; what the venue begins with."""
        self.wanted[channel] = depth
        self._chosen = None
        return self.market.opening(channel, depth, now_ns)

    def remove(self, channel: str) -> None:
        """Unsubscribes."""
        depth = self.wanted.pop(channel, None)
        self._chosen = None
        if depth is not None:
            self.market.left(channel, depth)

    def chosen(self) -> npt.NDArray[np.bool_]:
        """By item of the market, whether it is wanted."""
        if self._chosen is None or len(self._chosen) != self.market.size:
            self._chosen = self.market.choice(self.wanted.items())
        return self._chosen


class LiveMarket:
    """A venue's one market and its clients."""

    def __init__(
        self,
        name: str,
        synth: Synth,
        shelf: Shelf,
        packing: Packing,
        ledger: Ledger,
        watched: Callable[[], list[Connection]],
    ) -> None:
        self.name, self.synth, self._shelf, self.packing, self._ledger = name, synth, shelf, packing, ledger
        self._connections = watched
        self.position = 0
        self.polled = False
        """Whether anybody has polled: then it moves though nobody has subscribed."""
        self._items: dict[Item, int] = {}
        self._watched: set[Item] = set()
        self._seen: npt.NDArray[np.bool_] | None = None
        self._load = 0.0
        self._reel: Reel | None = None
        self._shelved: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self._moments: tuple[list[int], list[int]] = ([], [])
        self._then = self._owed = 0.0

    @property
    def size(self) -> int:
        """How many items it knows."""
        return len(self._items)

    def choice(self, wanted: Iterable[Item]) -> npt.NDArray[np.bool_]:
        """By item, whether it is wanted."""
        chosen = np.zeros(len(self._items), bool)
        for item in wanted:
            if item in self._items:
                chosen[self._items[item]] = True
        return chosen

    def prepare(self, items: Iterable[Item]) -> None:
        """Compiles what is usually wanted, so that nobody waits for it."""
        for item in items:
            self._add(item)
        self._compile()

    def _add(self, item: Item) -> None:
        if item not in self._items and script(self.synth, *item):
            self._items[item] = len(self._items)
            self._reel = None

    def opening(self, channel: str, depth: int, now_ns: int) -> list[bytes]:
        """Somebody subscribes; what that begins with."""
        self._add((channel, depth))
        self._watched.add((channel, depth))
        self._seen = None
        turn, place = divmod(self.position, self.synth.period)
        return self.synth.opening(channel, depth, turn, place, now_ns)

    def left(self, channel: str, depth: int) -> None:
        """Somebody unsubscribes; what nobody has any more is no longer watched. Who merely went away still misses it."""
        feeds = [c.feed for c in self._connections() if isinstance(c.feed, LiveFeed)]
        if not any(feed.wanted.get(channel) == depth for feed in feeds):
            self._watched.discard((channel, depth))
            self._seen = None

    def answer(self, ask: Ask, now_ns: int, behind: int) -> bytes | None:
        """A REST answer as of now, or of `behind` places ago."""
        self.polled = self.polled or ask.asked is Asked.PAGE
        position = max(self.position - behind, 0)
        return self.synth.answer(ask._replace(when=self.when), *divmod(position, self.synth.period), now_ns)

    def when(self, position: int) -> int:
        """When the market passed a position, ns since the epoch; 0 for what is long past."""
        places, times = self._moments
        found = bisect.bisect_right(places, position)
        return times[min(found, len(times) - 1)] if times and (found or places[0] <= position) else 0

    def hold(self, now: float) -> None:
        """Time passes, the market stands."""
        self._then = now

    def move(self, now: float, now_ns: int, rate: float) -> None:
        """Moves to the present, so that what is watched gives `rate` payloads a second, and sends that."""
        self._look()
        pace = rate / self._load if self._load else _POLLED_RATE * self.polled
        self._owed += (now - self._then) * pace if self._then else 0.0
        self._then = now
        places = int(self._owed)
        self._owed -= places
        while places > 0:
            places -= self.advance(places, now_ns)

    def _look(self) -> npt.NDArray[np.bool_]:
        """By item, whether it is watched; and how many messages a place brings."""
        if self._seen is None:
            self._seen = self.choice(self._watched)
            self._load = sum(len(script(self.synth, *item)) for item in self._watched) / self.synth.period
        return self._seen

    def advance(self, places: int, now_ns: int) -> int:
        """Moves on by so many places at most, sends what happens there, and tells how many it were."""
        reel = self._reel or self._compile()
        turn, place = divmod(self.position, self.synth.period)
        end = min(place + places, self.synth.period)
        first, last = np.searchsorted(reel.places, (place, end)).tolist()
        if last - first > _FRAMES:
            last = int(np.searchsorted(reel.places, reel.places[first + _FRAMES]))
            end = int(reel.places[last])
        self._moment(turn * self.synth.period + end, now_ns)
        if last > first:
            played = reel.play(turn, first, last, now_ns)
            watched = self._look()[played.channels]
            if not watched.all():
                played = played.only(np.flatnonzero(watched))
            if played.count:
                self._send(self.packing.finish(played), now_ns)
        return end - place

    def _moment(self, position: int, now_ns: int) -> None:
        self.position = position
        places, times = self._moments
        places.append(position)
        times.append(now_ns)
        if len(places) > 2 * _MOMENTS:
            del places[:_MOMENTS]
            del times[:_MOMENTS]

    def _compile(self) -> Reel:
        """Every item as a channel of its own, as one may be subscribed at several depths."""
        lines: list[Line] = []
        for item in self._items:
            label = f"{item[1]}|{item[0]}"
            lines += [replace(line, channel=label) for line in script(self.synth, *item)]
        labels = [f"{depth}|{channel}" for channel, depth in self._items]
        self._reel = Reel(lines, labels, self.synth.clock, self.packing.line, self.packing.opcode)
        self._shelved = np.array([self._shelf.index(channel) for channel, _ in self._items], np.int32)
        self._seen = None
        return self._reel

    def _send(self, block: Block, now_ns: int) -> None:
        """To every client what it has subscribed; the ledger is told who got what."""
        items = block.channels
        told = Block(block.data, self._shelved[items], block.starts, block.personal)
        takers = np.zeros(block.count, np.uint32)
        parts: dict[bytes, tuple[Places, Block]] = {}
        for connection in self._connections():
            feed = connection.feed
            if not isinstance(feed, LiveFeed) or not feed.wanted:
                continue
            chosen = feed.chosen()
            key = chosen.tobytes()
            if key not in parts:
                places = np.flatnonzero(chosen[items])
                parts[key] = (places, told if len(places) == told.count else told.only(places))
            places, part = parts[key]
            if part.count:
                sent = connection.deliver(part, now_ns)
                takers[places if sent is None else places[sent]] |= np.uint32(1 << connection.party)
        self._ledger.live(self.name, told, takers, now_ns)


@dataclass
class LiveSource:
    """A venue's live market as what connections and REST requests turn to."""

    market: LiveMarket
    channels: list[str]

    def feed(self) -> Feed:
        """A new connection's."""
        return LiveFeed(self.market)

    async def answer(self, ask: Ask, feed: Feed | None, now_ns: int, behind: int) -> bytes | None:
        """As of now."""
        return self.market.answer(ask, now_ns, behind)

    def passed(self, feed: Feed) -> None:
        """Nobody waits for places."""

    def opening(self, feed: Feed, channel: str, now_ns: int) -> list[bytes]:
        """As of now."""
        depth = feed.wanted.get(channel, 0) if isinstance(feed, LiveFeed) else 0
        market = self.market
        return market.synth.opening(channel, depth, *divmod(market.position, market.synth.period), now_ns)

    def past(self, feed: Feed, channel: str, count: int, now_ns: int) -> list[bytes]:
        """Before now."""
        depth = feed.wanted.get(channel, 0) if isinstance(feed, LiveFeed) else 0
        market = self.market
        return past(market.synth, market.packing, (channel, depth), market.position, count, now_ns)
