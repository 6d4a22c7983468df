"""What one connection is sent of a tape: its channels, from its own place on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from emulator.feed import PATIENCE_NS, SETTLE_NS, Shelf
from emulator.reel import Block
from emulator.tape import Tape

_FRAMES = 1024
_BYTES = 256 * 1024


class TapeFeed:
    """A replay of a tape. `speed` 0 is as fast as the client takes it.

    `opening` makes the snapshot that a late subscription begins with, and tells from which place on frames follow it; `asked_for` tells the places of a channel's first
    captured REST snapshot. At full speed the stream waits there for the client's question, so that both come in the
    capture's order.

    `place` is the number of the tape's frames that have been passed, those of other channels included.
    """

    def __init__(
        self,
        tape: Tape,
        shelf: Shelf,
        speed: float,
        opening: Callable[[str, int, int], tuple[bytes, int] | None],
        asked_for: Callable[[str], list[int]],
    ) -> None:
        self._tape, self._shelf, self._speed, self._opening = tape, shelf, speed, opening
        self._asked_for = asked_for
        self._wanted = np.zeros(len(tape.names), bool)
        self._from = np.zeros(len(tape.names), np.int64)
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
        if begin is None:
            return []
        self._from[self._tape.names.index(channel)] = begin[1]
        self._want(channel, True)
        return [begin[0]]

    def remove(self, channel: str) -> None:
        """Unsubscribes."""
        self._channels.discard(channel)
        if channel in self._tape.names:
            self._want(channel, False)

    def _want(self, channel: str, wanted: bool) -> None:
        self._wanted[self._tape.names.index(channel)] = wanted
        rest = self._tape.carriers[self.place :]
        own = np.flatnonzero(self._wanted[rest]) + self.place
        self._own = own[own >= self._from[self._tape.carriers[own]]]
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
        return Block(b"".join(frames), shelf[self._tape.channels[numbers[: len(frames)]]], starts, self._tape.personal)

    def _gated(self, now_ns: int) -> bool:
        """Whether the stream stands at a gate; a gate nobody opens falls, and all others with it."""
        if self._answered:
            self._answered, self._settle_ns = False, now_ns + SETTLE_NS
        if now_ns < self._settle_ns:
            return True
        here = [place for place in self.gates if place <= self.place]
        for place in here:
            if not self.gates[place]:
                self.gates[place] = now_ns + PATIENCE_NS
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
