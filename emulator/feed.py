"""What one connection is sent: its channels of a tape or of a synthetic market, from its own place on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import numpy as np
import numpy.typing as npt

from emulator.reel import Block, Line, Reel
from emulator.tape import Tape
from emulator.venue import Ask, Synth

_FRAMES = 1024
_BYTES = 256 * 1024
_PATIENCE_NS = 2_000_000_000
_SETTLE_NS = 20_000_000


class Feed(Protocol):
    """One connection's stream. Nothing moves before `start`."""

    def add(self, channel: str, depth: int, now_ns: int) -> list[bytes]:
        """Subscribes; what the subscription begins with."""
        ...

    def remove(self, channel: str) -> None:
        """Unsubscribes."""
        ...

    def start(self, now_ns: int) -> None:
        """Sets the stream moving; again, it changes nothing."""
        ...

    def take(self, now_ns: int) -> Block | None:
        """The next frames that are due; None where there are none (yet)."""
        ...

    @property
    def channels(self) -> set[str]:
        """What is subscribed."""
        ...

    @property
    def started(self) -> bool:
        """Whether it moves."""
        ...

    @property
    def finished(self) -> bool:
        """Whether nothing will ever be due again."""
        ...


class Shelf:
    """Indexes of a venue's channels, shared by all of its feeds."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._index = {name: number for number, name in enumerate(self.names)}

    def index(self, name: str) -> int:
        """A channel's index; a new channel gets the next."""
        number = self._index.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


class TapeFeed:
    """A replay of a tape. `speed` 0 is as fast as the client takes it.

    `opening` makes the snapshot that a late subscription begins with; `asked_for` tells the places of a channel's first
    captured REST snapshot. At full speed the stream waits there for the client's question, so that both come in the
    capture's order.

    `place` is the number of the tape's frames that have been passed, those of other channels included.
    """

    def __init__(
        self,
        tape: Tape,
        shelf: Shelf,
        speed: float,
        opening: Callable[[str, int, int], bytes | None],
        asked_for: Callable[[str], list[int]],
    ) -> None:
        self._tape, self._shelf, self._speed, self._opening = tape, shelf, speed, opening
        self._asked_for = asked_for
        self._wanted = np.zeros(len(tape.names), bool)
        self._own: npt.NDArray[np.int64] = np.array([], np.int64)
        self._next = 0
        self._started_ns = 0
        self._channels: set[str] = set()
        self.place = 0
        self.stops: set[int] = set()
        """Places a block must not pass in one piece: someone waits for them."""
        self._answered = False
        self._settle_ns = 0
        self.gates: dict[int, int] = {}
        """At full speed: places where the stream waits for a question, and until when (ns; 0: not yet there)."""

    def add(self, channel: str, depth: int, now_ns: int) -> list[bytes]:
        """Subscribes from here on; after the beginning a book starts with a snapshot made of what has passed."""
        known = channel in self._tape.names
        late = known and self.place > 0 and channel not in self._channels
        self._channels.add(channel)
        if known:
            self._want(channel, True)
            if not self._started_ns:
                self.gates.update(dict.fromkeys(self._asked_for(channel), 0))
        begin = self._opening(channel, self.place, now_ns) if late else None
        return [begin] if begin is not None else []

    def remove(self, channel: str) -> None:
        """Unsubscribes."""
        self._channels.discard(channel)
        if channel in self._tape.names:
            self._want(channel, False)

    def _want(self, channel: str, wanted: bool) -> None:
        self._wanted[self._tape.names.index(channel)] = wanted
        rest = self._tape.channels[self.place :]
        self._own = np.flatnonzero(self._wanted[rest]) + self.place
        self._next = 0

    @property
    def channels(self) -> set[str]:
        """What is subscribed."""
        return self._channels

    def start(self, now_ns: int) -> None:
        """Time begins to count."""
        self._started_ns = self._started_ns or now_ns

    @property
    def started(self) -> bool:
        """Whether time counts."""
        return self._started_ns > 0

    def take(self, now_ns: int) -> Block | None:
        """Frames up to now, at most some 256 kB."""
        if not self._started_ns:
            return None
        if not self._speed and self._gated(now_ns):
            return None
        due = self._due(now_ns)
        end = min(due, self._next + _FRAMES)
        numbers: list[int] = self._own[self._next : end].tolist()
        waits = [place for place in (*self.stops, *self.gates) if place > self.place]
        stop = min(waits, default=-1)
        frames: list[bytes] = []
        size = 0
        for number in numbers:
            if size >= _BYTES or (frames and number >= stop > 0):
                break
            frames.append(self._tape.framed[number])
            size += len(frames[-1])
        self._next += len(frames)
        self._pass(now_ns)
        if not frames:
            return None
        starts = np.zeros(len(frames) + 1, np.int64)
        np.cumsum([len(frame) for frame in frames], out=starts[1:])
        shelf = np.array([self._shelf.index(name) for name in self._tape.names], np.int32)
        return Block(b"".join(frames), shelf[self._tape.channels[numbers[: len(frames)]]], starts)

    def _gated(self, now_ns: int) -> bool:
        """Whether the stream stands at a gate; a gate nobody opens falls, and all others with it."""
        if self._answered:
            self._answered, self._settle_ns = False, now_ns + _SETTLE_NS
        if now_ns < self._settle_ns:
            return True
        here = [place for place in self.gates if place <= self.place]
        for place in here:
            if not self.gates[place]:
                self.gates[place] = now_ns + _PATIENCE_NS
        if any(self.gates[place] <= now_ns for place in here):
            # The client asks for nothing.
            self.gates.clear()
            return False
        return bool(here)

    def open_gate(self, place: int) -> None:
        """The question came and is answered: the stream goes on as soon as the answer can be there."""
        self._answered = self.gates.pop(place, None) is not None

    def _due(self, now_ns: int) -> int:
        if not self._speed:
            return len(self._own)
        elapsed = int((now_ns - self._started_ns) * self._speed)
        passed = int(np.searchsorted(self._tape.times, elapsed, side="right"))
        return int(np.searchsorted(self._own, passed))

    def _pass(self, now_ns: int) -> None:
        """Moves the place to the next own frame that is not sent, or by the time where that is earlier."""
        place = int(self._own[self._next]) if self._next < len(self._own) else self._tape.count
        if self._speed:
            elapsed = int((now_ns - self._started_ns) * self._speed)
            place = min(place, int(np.searchsorted(self._tape.times, elapsed, side="right")))
        self.place = max(self.place, place)

    @property
    def finished(self) -> bool:
        """Whether the tape is at its end."""
        return self.started and self.place >= self._tape.count


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
            self._begin_ns = now_ns + _PATIENCE_NS if self._awaited else 0

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
            self._begin_ns = min(self._begin_ns, now_ns + _SETTLE_NS)
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
