"""What one connection is sent of a synthetic market, and how far the market is."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from emulator.feed import PATIENCE_NS, SETTLE_NS, Shelf
from emulator.packing import Packing, Plain
from emulator.reel import Block, Line, Reel
from emulator.venue import Ask, Synth

_FRAMES = 1024
_TICKS = 10_000
"""Slices of the past that are remembered at least."""


@functools.cache
def script(synth: Synth, channel: str, depth: int) -> list[Line]:
    """A channel's messages of a turn, written once."""
    return synth.lines(channel, depth)


def past(synth: Synth, packing: Packing, item: tuple[str, int], position: int, count: int, now_ns: int) -> list[bytes]:
    """A channel's last messages before a position, with the present time in them."""
    turn, place = divmod(position, synth.period)
    lines = script(synth, *item)
    found = [(turn, line) for line in lines if line.place < place]
    if turn:
        found = [*((turn - 1, line) for line in lines), *found]
    written = [line.written(then, now_ns, synth.clock) for then, line in found[-count:]]
    return [packing.pack(text) for text in written]


@dataclass
class Stage:
    """A venue's synthetic market and how far it is: `position` counts places over all turns."""

    synth: Synth
    shelf: Shelf
    packing: Packing = field(default_factory=Plain)
    position: int = 0
    """Furthest any feed has come; a new feed begins here, so that ids never go back."""

    def __post_init__(self) -> None:
        self._reels: dict[frozenset[tuple[str, int]], Reel] = {}
        self._targets: list[int] = []
        self._times: list[int] = []

    def advance(self, places: int, now_ns: int) -> None:
        """At a rate: what happens in the next so many places happens now; feeds may go so far.

        Without any call feeds go as far as their clients take them.
        """
        self._targets.append((self._targets[-1] if self._targets else self.position) + places)
        self._times.append(now_ns)
        if len(self._targets) > 2 * _TICKS:
            del self._targets[:_TICKS]
            del self._times[:_TICKS]

    def slice(self, position: int, now_ns: int) -> tuple[int, int] | None:
        """Up to which place a feed at `position` may go in one piece, and when that happens; None: no further yet.

        Feeds that are at the same place are told the same, so that all of a venue's clients get the same messages; what
        a client takes late carries the time at which it happened.
        """
        if not self._targets:
            return position + self.synth.period, now_ns
        tick = bisect.bisect_right(self._targets, position)
        return (self._targets[tick], self._times[tick]) if tick < len(self._targets) else None

    def when(self, position: int) -> int:
        """At a rate: when what is at a position happened; 0 for what is long past or has no time."""
        tick = bisect.bisect_right(self._targets, position)
        return self._times[tick] if self._targets and tick < len(self._times) else 0

    def reel(self, wanted: dict[str, int]) -> Reel:
        """The compiled script of some channels with their depths."""
        key = frozenset(wanted.items())
        if key not in self._reels:
            lines = [line for channel, depth in wanted.items() for line in script(self.synth, channel, depth)]
            for channel in wanted:
                self.shelf.index(channel)
            packing = self.packing
            self._reels[key] = Reel(lines, self.shelf.names, self.synth.clock, packing.line, packing.opcode)
        return self._reels[key]

    def prepare(self, channels: Iterable[str]) -> None:
        """Compiles the script of all usual channels, so that no client waits for it."""
        self.reel({channel: 0 for channel in channels if script(self.synth, channel, 0)})

    def load(self, feeds: Iterable[SynthFeed]) -> float:
        """Messages of all these feeds' channels per place."""
        wanted = {item for feed in feeds for item in feed.wanted.items()}
        return sum(len(script(self.synth, channel, depth)) for channel, depth in wanted) / self.synth.period


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
        self._fresh = True
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
        begin = self._stage.synth.opening(channel, depth, turn, place, now_ns)
        self._fresh = self._fresh and not begin
        return begin

    def opening(self, channel: str, now_ns: int) -> list[bytes]:
        """What a subscription would begin with here."""
        turn, place = self._where()
        return self._stage.synth.opening(channel, self.wanted.get(channel, 0), turn, place, now_ns)

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
        if self._fresh and self._stage.position > self.position:
            # Nothing was told yet: the stream may as well begin at the present.
            self.position = self._stage.position
        self._fresh = False
        turn, place = divmod(max(self.position - behind, 0), self._stage.synth.period)
        return self._stage.synth.answer(ask._replace(when=self._stage.when), turn, place, now_ns)

    def take(self, now_ns: int) -> Block | None:
        """Messages up to the stage's target, at most some thousand."""
        if not self._moving or not self.wanted or self._waits(now_ns):
            return None
        if self._reel is None:
            self._reel = self._stage.reel(self.wanted)
        reel, period = self._reel, self._stage.synth.period
        while (slice_ := self._stage.slice(self.position, now_ns)) is not None:
            turn, place = self._where()
            end = min(period, place + slice_[0] - self.position)
            first, last = (int(number) for number in np.searchsorted(reel.places, (place, end)))
            if last - first > _FRAMES:
                last = self._whole(reel, first + _FRAMES)
                end = int(reel.places[last])
            self._move(turn * period + end)
            if last > first:
                return self._stage.packing.finish(reel.play(turn, first, last, slice_[1]))
            if not reel.count:
                break
        return None

    def _waits(self, now_ns: int) -> bool:
        if self._begin_ns and not self._awaited:
            self._begin_ns = min(self._begin_ns, now_ns + SETTLE_NS)
        if now_ns < self._begin_ns:
            return True
        self._begin_ns = 0
        self._awaited.clear()
        self._fresh = False
        return False

    @staticmethod
    def _whole(reel: Reel, last: int) -> int:
        """The first message at the place of message `last`: messages of one place stay together."""
        return int(np.searchsorted(reel.places, reel.places[last]))

    def _move(self, position: int) -> None:
        self.position = position
        self._stage.position = max(self._stage.position, position)
