"""What one connection is sent of a synthetic market, and how far the market is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from emulator.feed import PATIENCE_NS, SETTLE_NS, Shelf
from emulator.reel import Block, Line, Reel
from emulator.venue import Ask, Synth

_FRAMES = 1024


@functools.cache
def _lines(synth: Synth, channel: str, depth: int) -> list[Line]:
    return synth.lines(channel, depth)


@dataclass
class Stage:
    """A venue's synthetic market and how far it is: `position` counts places over all turns."""

    synth: Synth
    shelf: Shelf
    position: int = 0
    """Furthest any feed has come; a new feed begins here, so that ids never go back."""
    target: int | None = None
    """How far feeds may go (at a rate); None: as far as their clients take them."""

    def __post_init__(self) -> None:
        self._reels: dict[frozenset[tuple[str, int]], Reel] = {}

    def reel(self, wanted: dict[str, int]) -> Reel:
        """The compiled script of some channels with their depths."""
        key = frozenset(wanted.items())
        if key not in self._reels:
            lines = [line for channel, depth in wanted.items() for line in _lines(self.synth, channel, depth)]
            for channel in wanted:
                self.shelf.index(channel)
            self._reels[key] = Reel(lines, self.shelf.names, self.synth.clock)
        return self._reels[key]

    def prepare(self, channels: Iterable[str]) -> None:
        """Compiles the script of all usual channels, so that no client waits for it."""
        self.reel({channel: 0 for channel in channels if _lines(self.synth, channel, 0)})

    def load(self, feeds: Iterable[SynthFeed]) -> float:
        """Messages of all these feeds' channels per place."""
        wanted: dict[str, int] = {}
        for feed in feeds:
            wanted.update(feed.wanted)
        return self.reel(wanted).count / self.synth.period if wanted else 0.0


class SynthFeed:
    """Some channels of a synthetic market from one place on.

    `by_request` tells the channels whose book begins with a REST snapshot. The stream waits a while for these
    questions, so that a client's first book does not depend on how fast it asks.
    """

    def __init__(self, stage: Stage, by_request: Callable[[str], bool] = lambda channel: False) -> None:
        self._stage = stage
        self._by_request = by_request
        self._awaited: set[str] = set()
        self._begin_ns = 0
        self._moving = False
        self._reel: Reel | None = None
        self.wanted: dict[str, int] = {}
        self.position = stage.position

    @property
    def channels(self) -> set[str]:
        """What is subscribed."""
        return set(self.wanted)

    @property
    def started(self) -> bool:
        """Whether it moves."""
        return self._moving and not self._begin_ns

    @property
    def finished(self) -> bool:
        """Never."""
        return False

    def _where(self) -> tuple[int, int]:
        return divmod(self.position, self._stage.synth.period)

    def add(self, channel: str, depth: int, now_ns: int) -> list[bytes]:
        """Subscribes from here on; what the venue begins with."""
        if not self.wanted:
            self.position = max(self.position, self._stage.position)
        self.wanted[channel] = depth
        self._reel = None
        if not self._moving and self._by_request(channel):
            self._awaited.add(channel)
        turn, place = self._where()
        return self._stage.synth.opening(channel, depth, turn, place, now_ns)

    def remove(self, channel: str) -> None:
        """Unsubscribes."""
        self.wanted.pop(channel, None)
        self._reel = None

    def start(self, now_ns: int) -> None:
        """Lets it move, once the questions that are awaited have come or nobody asks them."""
        if not self._moving:
            self._moving = True
            self._begin_ns = now_ns + PATIENCE_NS if self._awaited else 0

    def asked(self, glob: str) -> None:
        """A snapshot was asked for and answered."""
        self._awaited = {channel for channel in self._awaited if not fnmatchcase(channel, glob)}

    def answer(self, ask: Ask, now_ns: int, behind: int = 0) -> bytes | None:
        """A REST answer as of this feed's place, or of `behind` places before."""
        turn, place = divmod(max(self.position - behind, 0), self._stage.synth.period)
        return self._stage.synth.answer(ask, turn, place, now_ns)

    def take(self, now_ns: int) -> Block | None:
        """Messages up to the stage's target, at most some thousand."""
        if not self._moving or not self.wanted or self._waits(now_ns):
            return None
        if self._reel is None:
            self._reel = self._stage.reel(self.wanted)
        reel, period = self._reel, self._stage.synth.period
        while True:
            turn, place = self._where()
            end = period if self._stage.target is None else min(period, place + self._stage.target - self.position)
            if end <= place:
                return None
            first, last = (int(number) for number in np.searchsorted(reel.places, (place, end)))
            if last - first > _FRAMES:
                last = self._whole(reel, first + _FRAMES)
                end = int(reel.places[last])
            self._move(turn * period + end)
            if last > first:
                return reel.play(turn, first, last, now_ns)
            if not reel.count:
                return None

    def _waits(self, now_ns: int) -> bool:
        if self._begin_ns and not self._awaited:
            self._begin_ns = min(self._begin_ns, now_ns + SETTLE_NS)
        if now_ns < self._begin_ns:
            return True
        self._begin_ns = 0
        self._awaited.clear()
        return False

    @staticmethod
    def _whole(reel: Reel, last: int) -> int:
        """The first message at the place of message `last`: messages of one place stay together."""
        return int(np.searchsorted(reel.places, reel.places[last]))

    def _move(self, position: int) -> None:
        self.position = position
        self._stage.position = max(self._stage.position, position)
