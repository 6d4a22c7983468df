"""Endless synthetic streams at millions of messages a second: a loop rendered once, its ids and times patched each turn.

A script is a closed loop of messages: after its last one every book is again as before its first, so it can be
played for ever. Only ids (which rise by a constant in each turn) and times change; both have fixed widths in the text
and are written over in place, by numpy, for thousands of messages at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emulator import wire

ID_WIDTH = 12
ID_MARK = "#" * ID_WIDTH
"""Stands in a line's text where an id is to be written."""
KEY_WIDTH = 7
KEY_MARK = "@" * KEY_WIDTH
"""Stands where the connection's own key of the channel is to be written (`Subscribe.key`)."""
COUNTER_MARK = "%" * 10
"""Stands where the connection's own count of its frames is to be written; it starts at 10^9, so that its width is fixed."""

_LIMIT = 10**ID_WIDTH
_FOUR = np.frombuffer(b"".join(b"%04d" % n for n in range(10_000)), dtype="<u4")

Ints = npt.NDArray[np.int64]


class Clock(Enum):
    """How a venue writes its times; the mark of the same width stands for one in a line's text."""

    MILLIS = "~" * 13
    MICROS = "~" * 16
    ISO_MICROS = "~" * 27

    @property
    def mark(self) -> str:
        """What stands in a line's text for a time."""
        return self.value

    def write(self, now_ns: int) -> bytes:
        """A time in ns since the epoch as the venue writes it."""
        if self is Clock.MILLIS:
            return b"%d" % (now_ns // 1_000_000)
        if self is Clock.MICROS:
            return b"%d" % (now_ns // 1000)
        whole = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
        return whole.strftime("%Y-%m-%dT%H:%M:%S").encode() + b".%06dZ" % (now_ns // 1000 % 1_000_000)


class Counter:
    """An id that rises through the script; `step` is its rise in a whole turn."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.value = start

    @property
    def step(self) -> int:
        """How far a turn takes it; final once the script is written."""
        return self.value - self.start

    def next(self, by: int = 1) -> int:
        """Rises and returns the new value."""
        self.value += by
        return self.value


class Id(NamedTuple):
    """An id's value in the first turn and the counter that says how it rises."""

    counter: Counter
    value: int

    def at(self, turn: int) -> int:
        """Its value in a turn."""
        return self.value + turn * self.counter.step


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a script: `place` orders it, `ids` fill the id marks of `text` from left to right."""

    place: int
    channel: str
    text: str
    ids: tuple[Id, ...] = ()

    def written(self, turn: int, now_ns: int, clock: Clock) -> bytes:
        """The message as it is sent in a turn."""
        text = self.text.replace(clock.mark, clock.write(now_ns).decode())
        for given in self.ids:
            text = text.replace(ID_MARK, f"{given.at(turn):0{ID_WIDTH}d}", 1)
        return text.encode()


@dataclass(frozen=True, slots=True)
class Block:
    """Frames ready to be written: `channels` has one index per frame, `starts` their places in `data` (and its end)."""

    data: bytes
    channels: npt.NDArray[np.int32]
    starts: Ints

    @property
    def count(self) -> int:
        """How many frames."""
        return len(self.channels)

    def payload(self, place: int) -> bytes:
        """One frame's payload."""
        return wire.payload(self.data[int(self.starts[place]) : int(self.starts[place + 1])])

    def payloads(self) -> list[bytes]:
        """The frames' payloads, one by one (slow; for faults and ledgers)."""
        return [self.payload(place) for place in range(self.count)]


def block(frames: Sequence[tuple[int, bytes]]) -> Block:
    """A block of payloads with their channel indexes."""
    parts = [wire.frame(payload) for _, payload in frames]
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    return Block(b"".join(parts), np.array([index for index, _ in frames], np.int32), starts)


class Reel:
    """The lines of some channels of a script, compiled; plays any range of any turn."""

    def __init__(self, lines: Iterable[Line], channels: Sequence[str], clock: Clock) -> None:
        ordered = sorted(lines, key=lambda line: line.place)
        index = {name: number for number, name in enumerate(channels)}
        self.places: Ints = np.array([line.place for line in ordered], np.int64)
        self.channels = np.array([index[line.channel] for line in ordered], np.int32)
        self._clock = clock
        self._compile(ordered)

    @property
    def count(self) -> int:
        """Messages in a turn."""
        return len(self.channels)

    def _compile(self, lines: list[Line]) -> None:
        parts = [wire.frame(line.text.encode()) for line in lines]
        self._starts: Ints = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=self._starts[1:])
        data = b"".join(parts)
        self._data = np.frombuffer(bytearray(data), np.uint8)
        ids = [given for line in lines for given in line.ids]
        self._ids: Ints = np.array([given.value for given in ids], np.int64)
        self._steps: Ints = np.array([given.counter.step for given in ids], np.int64)
        self._id_places = _find(data, ID_MARK.encode())
        if len(self._id_places) != len(ids):
            raise ValueError("id marks and ids differ in number")
        self._time_places = _find(data, self._clock.mark.encode())
        # First id and first time of each message, so that a range of messages is a range of both.
        self._id_from = np.searchsorted(self._id_places, self._starts)
        self._time_from = np.searchsorted(self._time_places, self._starts)
        width = len(self._clock.mark)
        self._id_view = _sliding(self._data, ID_WIDTH)
        self._time_view = _sliding(self._data, width)

    def play(self, turn: int, first: int, last: int, now_ns: int) -> Block:
        """Messages `first` to `last` (exclusive) of a turn, sent at `now_ns`."""
        ids = slice(self._id_from[first], self._id_from[last])
        if ids.start < ids.stop:
            self._id_view[self._id_places[ids]] = _digits(self._ids[ids] + turn * self._steps[ids])
        times = self._time_places[self._time_from[first] : self._time_from[last]]
        if len(times):
            self._time_view[times] = self._clock.write(now_ns)
        start, end = int(self._starts[first]), int(self._starts[last])
        starts = self._starts[first : last + 1] - start
        return Block(self._data[start:end].tobytes(), self.channels[first:last], starts)


def _sliding(data: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.bytes_]:
    """Every run of `width` bytes, as one element that can be written at once."""
    count = max(len(data) - width + 1, 0)
    return np.ndarray((count,), dtype=f"S{width}", buffer=data.data, strides=(1,))


def _find(data: bytes, mark: bytes) -> Ints:
    found = []
    place = data.find(mark)
    while place >= 0:
        found.append(place)
        place = data.find(mark, place + len(mark))
    return np.array(found, np.int64)


def _digits(values: Ints) -> npt.NDArray[np.bytes_]:
    values = values % _LIMIT
    high, low = np.divmod(values, 10_000)
    top, middle = np.divmod(high, 10_000)
    text = np.empty((len(values), 3), dtype="<u4")
    text[:, 0] = _FOUR[top]
    text[:, 1] = _FOUR[middle]
    text[:, 2] = _FOUR[low]
    return text.view(f"S{ID_WIDTH}")[:, 0]
