"""The ring: every cursor sees every sequence once, or is told exactly which it has lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from session_manager.ring import Batch, Cursor, Lost, Ring

EPOCH = 77


def _batch(first: int, last: int, size: int = 10) -> Batch:
    return Batch(first, last, b"x" * size)


def _drain(ring: Ring, cursor: Cursor) -> list[Batch | Lost]:
    items = []
    while (item := ring.read(cursor)) is not None:
        items.append(item)
    return items


class Interleaving(RuleBasedStateMachine):
    """Any order of appends, subscriptions, reads, departures and returns."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(EPOCH, 100)
        self.seen: dict[Cursor, int] = {}
        self.away: list[int] = []

    @rule(count=st.integers(1, 5), size=st.integers(1, 60))
    def append(self, count: int, size: int) -> None:
        """A batch of some payloads."""
        first = self.ring.last_sequence + 1
        self.ring.append(_batch(first, first + count - 1, size))

    @rule()
    def join(self) -> None:
        """A subscriber without a past."""
        cursor, lost = self.ring.open("new", None)
        assert not lost
        self.seen[cursor] = self.ring.first_sequence - 1

    @rule(data=st.data(), most=st.integers(0, 4))
    def take(self, data: st.DataObject, most: int) -> None:
        """A subscriber reads a little."""
        if not self.seen:
            return
        cursor = data.draw(st.sampled_from(list(self.seen)))
        for _ in range(most):
            item = self.ring.read(cursor)
            if item is None:
                assert self.seen[cursor] == self.ring.last_sequence
                return
            if isinstance(item, Lost):
                assert item.epoch == EPOCH
                assert item.from_sequence == self.seen[cursor] + 1
                assert item.to_sequence == self.ring.first_sequence - 1 >= item.from_sequence
                self.seen[cursor] = item.to_sequence
            else:
                # A batch that holds what was taken before is whole: the rest follows without a hole.
                assert item.first <= self.seen[cursor] + 1 <= item.last
                self.seen[cursor] = item.last

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A subscriber goes, having kept what it has read, or a part of its last batch."""
        if not self.seen:
            return
        cursor = data.draw(st.sampled_from(list(self.seen)))
        place = data.draw(st.integers(max(0, self.seen[cursor] - 3), self.seen[cursor]))
        del self.seen[cursor]
        self.ring.release(cursor)
        self.away.append(place)

    @rule()
    def come_back(self) -> None:
        """A subscriber resumes where it was."""
        if self.away:
            place = self.away.pop()
            cursor, lost = self.ring.open("back", (EPOCH, place))
            assert not lost
            self.seen[cursor] = place

    @invariant()
    def bounded(self) -> None:
        """Bytes are kept within the bound, but for the newest batch."""
        assert self.ring.bytes <= 100 or self.ring.first_sequence > self.ring.last_sequence - 5

    def teardown(self) -> None:
        """Everyone can catch up."""
        for cursor in self.seen:
            _drain(self.ring, cursor)
            assert cursor.sequence == self.ring.last_sequence
            assert self.ring.lag(cursor) == 0


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=30), place=st.integers(0, 200))
@settings(max_examples=100, deadline=None)
def test_resuming_anywhere_in_reach_loses_nothing(sizes: list[int], place: int) -> None:
    """Also from the middle of a batch, which is then given whole."""
    ring = Ring(EPOCH, 1 << 20)
    for size in sizes:
        ring.append(_batch(ring.last_sequence + 1, ring.last_sequence + size))
    place %= ring.last_sequence + 1
    cursor, lost = ring.open("one", (EPOCH, place))
    items = _drain(ring, cursor)
    assert not lost
    assert all(isinstance(item, Batch) for item in items)
    taken = [n for item in items if isinstance(item, Batch) for n in range(item.first, item.last + 1) if n > place]
    assert taken == list(range(place + 1, ring.last_sequence + 1))


def test_another_epoch_is_a_gap_of_unknown_end() -> None:
    """The old epoch's rest is lost, nobody knows how much; the new one is given from its first sequence."""
    ring = Ring(EPOCH, 1 << 20)
    ring.append(_batch(1, 5))
    cursor, lost = ring.open("one", (EPOCH - 1, 41))
    assert lost == [Lost(EPOCH - 1, 42, 0)]
    assert _drain(ring, cursor) == [_batch(1, 5)]


def test_another_epoch_whose_successor_has_left_too_is_two_gaps() -> None:
    """What the ring no longer holds of the new epoch is a second gap, with exact bounds."""
    ring = Ring(EPOCH, 10)
    ring.append(_batch(1, 5))
    ring.append(_batch(6, 9))
    cursor, lost = ring.open("one", (EPOCH - 1, 41))
    assert lost == [Lost(EPOCH - 1, 42, 0)]
    assert _drain(ring, cursor) == [Lost(EPOCH, 1, 5), _batch(6, 9)]


def test_a_position_ahead_of_the_stream_is_refused() -> None:
    """It can only be a mistake: nobody has taken what was never given."""
    with pytest.raises(ValueError, match="ahead of the stream"):
        Ring(EPOCH, 10).open("one", (EPOCH, 1))


def test_batches_must_follow_each_other() -> None:
    """A hole in the sequences is a fault of ours."""
    ring = Ring(EPOCH, 10)
    with pytest.raises(ValueError, match="after 0"):
        ring.append(_batch(2, 3))


def test_one_batch_larger_than_the_ring_is_kept() -> None:
    """The newest batch is never thrown away."""
    ring = Ring(EPOCH, 5)
    ring.append(_batch(1, 1, 50))
    cursor, _ = ring.open("one", (EPOCH, 0))
    assert _drain(ring, cursor) == [_batch(1, 1, 50)]


async def test_waiting_ends_with_a_batch_or_with_the_ring() -> None:
    """A cursor that has everything sleeps until there is more, and wakes for good at the end."""
    ring = Ring(EPOCH, 100)
    cursor, _ = ring.open("one", None)
    waiting = asyncio.create_task(ring.wait(cursor))
    await asyncio.sleep(0)
    assert not waiting.done()
    ring.append(_batch(1, 1))
    assert await waiting
    assert _drain(ring, cursor) == [_batch(1, 1)]
    waiting = asyncio.create_task(ring.wait(cursor))
    await asyncio.sleep(0)
    ring.close()
    assert not await waiting
