"""Payloads of a provider's channels as columns, side by side in one order, with bounded memory.

Only numbers are put in order: payloads stay where the coalescer has left them, and are known by their place there.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tapeline_kernel import Merged, gather

Integers = npt.NDArray[np.int64]
Small = npt.NDArray[np.uint8]

Chunk = tuple[bytes, bytes]
"""Payloads back to back as the kernel gives and takes them: where each begins and the last ends, and their bytes."""

CHUNK_SHIFT = 32
"""In a payload's place the number of its chunk stands above so many bits, its row below."""

_LEAST_BYTES = 32 << 10
_ROW_BYTES = 96


@dataclass(slots=True)
class Batch:
    """Payloads as columns; times are ns."""

    channel: npt.NDArray[np.int32]
    """Which of the provider's channels, by its place among them."""
    side: Small
    """Whose copy it is: 0 the first instance's, 1 the second's."""
    seen: Small
    """Who has it: 1 the first only, 2 the second only, 3 both."""
    epoch: Integers
    sequence: Integers
    connection: Integers
    ts_recv: Integers
    order: Integers
    """Never falls within a channel."""
    other_epoch: Integers
    other_sequence: Integers
    other_ts_recv: Integers
    length: Integers
    """Bytes of each payload."""
    place: Integers
    """Where each payload lies: which of `chunks`, in the upper 32 bits, and its row there."""
    chunks: tuple[Chunk, ...]

    def __len__(self) -> int:
        return len(self.channel)

    def slice(self, start: int, end: int) -> Batch:
        """The payloads from one place to another."""
        return _of([numbers[start:end] for numbers in self.numbers()], self.chunks)

    def take(self, places: Integers) -> Batch:
        """The payloads at these places."""
        return _of([numbers[places] for numbers in self.numbers()], self.chunks)

    def numbers(self) -> list[npt.NDArray[Any]]:
        """All columns, in their order."""
        return [
            self.channel, self.side, self.seen, self.epoch, self.sequence, self.connection, self.ts_recv, self.order,
            self.other_epoch, self.other_sequence, self.other_ts_recv, self.length, self.place,
        ]  # fmt: skip

    def payload(self, row: int) -> bytes:
        """One payload."""
        return gather(self.chunks, self.place[row : row + 1].tobytes())[1]


def _of(numbers: list[npt.NDArray[Any]], chunks: tuple[Chunk, ...]) -> Batch:
    channel, side, seen, epoch, sequence, connection, ts_recv, order, *more = numbers
    epochs, sequences, stamps, length, place = more
    return Batch(
        channel,
        side,
        seen,
        epoch,
        sequence,
        connection,
        ts_recv,
        order,
        epochs,
        sequences,
        stamps,
        length,
        place,
        chunks,
    )


NOTHING = _of([np.zeros(0, kind) for kind in (np.int32, np.uint8, np.uint8, *[np.int64] * 10)], ())
"""No payload."""


def of_merged(merged: Merged, channel: int) -> Batch:
    """What a coalescer gave, without copying it."""
    numbers = [
        np.frombuffer(column, np.int64)
        for column in (
            merged.epoch,
            merged.sequence,
            merged.connection,
            merged.ts_recv,
            merged.order,
            merged.other_epoch,
            merged.other_sequence,
            merged.other_ts_recv,
        )
    ]
    sides = [np.frombuffer(column, np.uint8) for column in (merged.side, merged.seen)]
    ends = np.frombuffer(merged.offsets, np.int64)
    lengths = ends[1:] - ends[:-1]
    numbers += [lengths, np.arange(merged.count)]
    return _of([np.full(merged.count, channel, np.int32), *sides, *numbers], ((merged.offsets, merged.data),))


class Stream(Protocol):
    """One channel's payloads, in their order."""

    def take(self, limit_bytes: int) -> Batch | None:
        """The next of them; None at the end."""


class _Lane:
    """A stream and what of it has been taken but waits for the others."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._waiting: deque[Batch] = deque()
        self.last = -1

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def pull(self, limit_bytes: int) -> int:
        """Takes more; how many bytes, 0 at the end."""
        batch = self._stream.take(limit_bytes)
        if batch is None:
            return 0
        self._waiting.append(batch)
        self.last = int(batch.order[-1])
        return _size(batch)

    def cut(self, watermark: int | None, inclusive: bool) -> Iterator[Batch]:
        """Gives up what is below the watermark; all there is where that is None."""
        while self._waiting:
            batch = self._waiting[0]
            if watermark is None or int(batch.order[-1]) < watermark:
                yield self._waiting.popleft()
                continue
            place = int(np.searchsorted(batch.order, watermark, "right" if inclusive else "left"))
            if place == len(batch):
                yield self._waiting.popleft()
                continue
            if place:
                yield batch.slice(0, place)
                self._waiting[0] = batch.slice(place, len(batch))
            return


def side_by_side(streams: Sequence[Stream], held_bytes: int) -> Iterator[Batch]:
    """All streams' payloads by (order, stream), each stream's own order kept; holds about as many bytes as given."""
    lanes = [_Lane(stream) for stream in streams]
    limit = max(_LEAST_BYTES, held_bytes // (4 * max(1, len(lanes))))
    heap = [(-1, number) for number in range(len(lanes))]
    held = 0
    while heap:
        # What the front stream has next decides what may go out, so that is always known.
        while heap and (held < held_bytes or lanes[heap[0][1]].empty):
            _, number = heap[0]
            taken = lanes[number].pull(limit)
            held += taken
            if taken:
                heapq.heapreplace(heap, (lanes[number].last, number))
            else:
                heapq.heappop(heap)
        watermark, front = heap[0] if heap else (None, 0)
        parts = [part for number, lane in enumerate(lanes) for part in lane.cut(watermark, number <= front)]
        if parts:
            batch = _ordered(parts)
            held -= _size(batch)
            yield batch


def _ordered(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    numbers = [np.concatenate(columns) for columns in zip(*(part.numbers() for part in parts), strict=True)]
    firsts = np.cumsum([0, *(len(part.chunks) for part in parts[:-1])])
    numbers[-1] += np.repeat(firsts << CHUNK_SHIFT, [len(part) for part in parts])
    batch = _of(numbers, tuple(chunk for part in parts for chunk in part.chunks))
    # Parts come in the order of their streams, and a stable sort keeps it where the order is equal.
    return batch.take(np.argsort(batch.order, kind="stable"))


def _size(batch: Batch) -> int:
    return int(batch.length.sum()) + _ROW_BYTES * len(batch)
