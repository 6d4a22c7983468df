"""The newest encoded batches of one provider, bounded in bytes, read by any number of cursors.

A cursor is a position: the last sequence its subscriber has taken. Reading never moves anything but the cursor, so a
subscriber that is slow or away delays nobody. One that resumes from the middle of a batch is given that batch whole:
batches are passed on as the bytes they are, and every subscriber knows from the first sequence what it has had.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Batch:
    """An encoded SubscribeResponse and the sequences in it."""

    first: int
    last: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Sequences that a cursor will not get, both inclusive; `to_sequence` 0: as many as there were in that epoch."""

    epoch: int
    from_sequence: int
    to_sequence: int


class Cursor:
    """One subscriber's place; `name` is for metrics."""

    def __init__(self, name: str, sequence: int) -> None:
        self.name = name
        self.sequence = sequence
        """The last sequence taken."""
        self.index = 0
        """The ring's own: the next batch."""
        self.waiter: asyncio.Future[None] | None = None
        """The ring's own."""


class Ring:
    """Batches of one epoch. Not for more than one thread."""

    def __init__(self, epoch: int, limit: int) -> None:
        self.epoch = epoch
        self.limit = limit
        self.bytes = 0
        self.evicted = 0
        """Batches that have left the ring."""
        self.cursors: set[Cursor] = set()
        self._batches: dict[int, Batch] = {}
        self._start = 0
        self._end = 0
        self._last = 0
        self._closed = False

    @property
    def first_sequence(self) -> int:
        """The oldest sequence still held; one past the last where it is empty."""
        return self._batches[self._start].first if self._start < self._end else self._last + 1

    @property
    def last_sequence(self) -> int:
        """The newest sequence; 0 before the first."""
        return self._last

    def append(self, batch: Batch) -> None:
        """Adds the batch that follows the newest; the oldest leave while the bound is exceeded, never the newest."""
        if batch.first != self._last + 1:
            raise ValueError(f"batch from {batch.first} after {self._last}")
        self._batches[self._end] = batch
        self._end += 1
        self._last = batch.last
        self.bytes += len(batch.data)
        while self.bytes > self.limit and self._end - self._start > 1:
            self.bytes -= len(self._batches.pop(self._start).data)
            self._start += 1
            self.evicted += 1
        self._wake()

    def close(self) -> None:
        """Ends every cursor once it has read all."""
        self._closed = True
        self._wake()

    def open(self, name: str, resume: tuple[int, int] | None) -> tuple[Cursor, list[Lost]]:
        """A cursor after `resume` (epoch, sequence), or at the oldest batch; and what it has lost already.

        Raises ValueError where the position is ahead of the stream.
        """
        if resume is None:
            cursor, lost = Cursor(name, self.first_sequence - 1), []
        elif resume[0] != self.epoch:
            # What the ended epoch held after that position, nobody can say any more.
            cursor, lost = Cursor(name, 0), [Lost(resume[0], resume[1] + 1, 0)]
        elif resume[1] > self._last:
            raise ValueError(f"position {resume[1]} is ahead of the stream, which is at {self._last}")
        else:
            cursor, lost = Cursor(name, resume[1]), []
        cursor.index = self._index_of(cursor.sequence + 1)
        self.cursors.add(cursor)
        return cursor, lost

    def release(self, cursor: Cursor) -> None:
        """The subscriber is gone."""
        self.cursors.discard(cursor)

    def read(self, cursor: Cursor) -> Batch | Lost | None:
        """The next thing for a cursor, which is moved past it; None where it has everything."""
        cursor.index = max(cursor.index, self._start)
        if self._start < self._end and cursor.sequence + 1 < self.first_sequence:
            lost = Lost(self.epoch, cursor.sequence + 1, self.first_sequence - 1)
            cursor.sequence = lost.to_sequence
            return lost
        batch = self._batches.get(cursor.index)
        if batch is not None:
            cursor.index += 1
            cursor.sequence = batch.last
        return batch

    async def wait(self, cursor: Cursor) -> bool:
        """Waits until there may be something to read; False once the ring is closed."""
        if cursor.index < self._end:
            return True
        if self._closed:
            return False
        cursor.waiter = asyncio.get_running_loop().create_future()
        await cursor.waiter
        return cursor.index < self._end or not self._closed

    def lag(self, cursor: Cursor) -> int:
        """How many sequences a cursor is behind."""
        return self._last - cursor.sequence

    def _index_of(self, sequence: int) -> int:
        low, high = self._start, self._end
        while low < high:
            middle = (low + high) // 2
            if self._batches[middle].last < sequence:
                low = middle + 1
            else:
                high = middle
        return low

    def _wake(self) -> None:
        for cursor in self.cursors:
            waiter = cursor.waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
