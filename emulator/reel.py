"""Endless synthetic streams at millions of messages a second: a loop rendered once, its ids and times patched each turn.

A script is a closed loop of messages: after its last one every book is again as before its first, so it can be
played for ever. Only ids (which rise by a constant in each turn) and times change; both have fixed widths in the text
and are written over in place, by numpy, for thousands of messages at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emulator import protobuf, wire

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
    FIX_MICROS = "~" * 24
    HEX_SECONDS = "~" * 8

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
        if self is Clock.HEX_SECONDS:
            return b"%08x" % (now_ns // 1_000_000_000)
        whole = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
        micros = now_ns // 1000 % 1_000_000
        if self is Clock.FIX_MICROS:
            return whole.strftime("%Y%m%d-%H:%M:%S").encode() + b".%06d" % micros
        return whole.strftime("%Y-%m-%dT%H:%M:%S").encode() + b".%06dZ" % micros


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
    personal: bool = False
    """Whether marks of the connection's own are to be written over (`personal.own`)."""

    @property
    def count(self) -> int:
        """How many frames."""
        return len(self.channels)

    def only(self, places: npt.NDArray[np.int64]) -> Block:
        """Some of the frames."""
        data, starts = self.data, self.starts.tolist()
        parts = [data[starts[place] : starts[place + 1]] for place in places.tolist()]
        cuts = np.zeros(len(parts) + 1, np.int64)
        np.cumsum(np.diff(self.starts)[places], out=cuts[1:])
        return Block(b"".join(parts), self.channels[places], cuts, self.personal)

    def payload(self, place: int) -> bytes:
        """One frame's payload."""
        return wire.payload(self.data[int(self.starts[place]) : int(self.starts[place + 1])])

    def payloads(self) -> list[bytes]:
        """The frames' payloads, one by one."""
        data, ends = self.data, self.starts.tolist()
        return [data[start:end] for start, end in zip(self._inner(), ends[1:], strict=True)]

    def _inner(self) -> list[int]:
        """Where the payloads begin."""
        starts = self.starts[:-1]
        short = np.frombuffer(self.data, np.uint8)[starts + 1] & 0x7F
        begin: list[int] = (starts + 2 + 2 * (short == 126) + 8 * (short == 127)).tolist()
        return begin

    def frames(self) -> list[Frame]:
        """The frames one by one, for faults."""
        opcodes = np.frombuffer(self.data, np.uint8)[self.starts[:-1]] & 0x0F
        rows = zip(self.channels.tolist(), self.payloads(), opcodes.tolist(), strict=True)
        return [Frame(channel, payload, wire.Opcode(opcode)) for channel, payload, opcode in rows]


class Frame(NamedTuple):
    """One frame: its channel's index and what is sent."""

    channel: int
    payload: bytes
    opcode: wire.Opcode = wire.Opcode.TEXT


def block(frames: Sequence[Frame], personal: bool = False) -> Block:
    """A block of frames."""
    parts = [wire.frame(payload, opcode) for _, payload, opcode in frames]
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    return Block(b"".join(parts), np.array([frame.channel for frame in frames], np.int32), starts, personal)


class Reel:
    """The lines of some channels of a script, compiled; plays any range of any turn.

    `write` makes a line's text the payload (marks kept), a frame of type `opcode`.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        channels: Sequence[str],
        clock: Clock,
        write: Callable[[str], bytes] = str.encode,
        opcode: wire.Opcode = wire.Opcode.TEXT,
    ) -> None:
        ordered = sorted(lines, key=lambda line: line.place)
        index = {name: number for number, name in enumerate(channels)}
        self.places: Ints = np.array([line.place for line in ordered], np.int64)
        self.channels = np.array([index[line.channel] for line in ordered], np.int32)
        self._clock = clock
        self._compile(ordered, [wire.frame(write(line.text), opcode) for line in ordered])

    @property
    def count(self) -> int:
        """Messages in a turn."""
        return len(self.channels)

    def _compile(self, lines: list[Line], parts: list[bytes]) -> None:
        self._starts: Ints = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=self._starts[1:])
        data = b"".join(parts)
        self.personal = KEY_MARK.encode() in data or COUNTER_MARK.encode() in data
        self._data = np.frombuffer(bytearray(data), np.uint8)
        ids = [given for line in lines for given in line.ids]
        texts, numbers = _find(data, ID_MARK.encode()), _find(data, protobuf.ID_BYTES)
        if len(texts) + len(numbers) != len(ids):
            raise ValueError("id marks and ids differ in number")
        order = np.argsort(np.concatenate([texts, numbers]), kind="stable")
        rank = np.empty(len(ids), np.int64)
        rank[order] = np.arange(len(ids))
        values = np.array([given.value for given in ids], np.int64)
        steps = np.array([given.counter.step for given in ids], np.int64)
        own, others = rank[: len(texts)], rank[len(texts) :]
        self._ids = _Marks(self._data, self._starts, texts, ID_WIDTH, values[own], steps[own])
        self._numbers = _Marks(self._data, self._starts, numbers, protobuf.NUMBER_WIDTH, values[others], steps[others])
        times = _find(data, self._clock.mark.encode())
        self._times = _Marks(self._data, self._starts, times, len(self._clock.mark))
        binary = _find(data, protobuf.TIME_BYTES)
        self._binary_times = _Marks(self._data, self._starts, binary, protobuf.NUMBER_WIDTH)

    def play(self, turn: int, first: int, last: int, now_ns: int) -> Block:
        """Messages `first` to `last` (exclusive) of a turn, sent at `now_ns`."""
        self._ids.count(first, last, turn, _digits)
        self._numbers.count(first, last, turn, protobuf.numbers)
        self._times.write(first, last, self._clock.write(now_ns))
        self._binary_times.write(first, last, protobuf.varint(now_ns // 1_000_000))
        start, end = int(self._starts[first]), int(self._starts[last])
        starts = self._starts[first : last + 1] - start
        return Block(self._data[start:end].tobytes(), self.channels[first:last], starts, self.personal)


class _Marks:
    """The places of one kind of mark, written over for a range of messages at once."""

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        starts: Ints,
        places: Ints,
        width: int,
        values: Ints | None = None,
        steps: Ints | None = None,
    ) -> None:
        self._places, self._view = places, _sliding(data, width)
        self._values, self._steps = values, steps
        # The first mark of each message, so that a range of messages is a range of marks.
        self._from: list[int] = np.searchsorted(places, starts).tolist()
        self._any = len(places) > 0

    def count(self, first: int, last: int, turn: int, text: Callable[[Ints], npt.NDArray[np.bytes_]]) -> None:
        """Writes the ids as of a turn."""
        here = slice(self._from[first], self._from[last])
        if here.start < here.stop and self._values is not None and self._steps is not None:
            self._view[self._places[here]] = text(self._values[here] + turn * self._steps[here])

    def write(self, first: int, last: int, text: bytes) -> None:
        """Writes the same everywhere."""
        if self._any:
            self._view[self._places[self._from[first] : self._from[last]]] = text


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
