"""The rule by which two raw streams of a channel become one, slowly and in plain Python: the kernel is held against it.

A message is known by `tapeline.identity`'s rule for raw payloads: its content, ids included. Content that
comes again (a quote that returns to an earlier value) is told apart by its place: repeats are paired in order, and a
pair further apart in time than `WINDOW_NS` is none. Each instance's own order is the venue's; a message that only one
instance has goes where that instance had it, between its neighbours that both have. Where a message is in both,
the first stream's copy stands.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tapeline.identity import WINDOW_NS, of_payload
from tapeline.rawfile import RawRow

Identity = Callable[[bytes], bytes]
"""What names a payload on both instances."""


class Merged(NamedTuple):
    """A message of the coalesced stream."""

    row: RawRow
    first: bool
    """Whether the row is the first stream's."""
    both: bool
    order: int
    """Never falls within a channel; puts channels beside one another. ns, by the first stream's clock."""


class _Ahead(NamedTuple):
    """A message that was read ahead, and what it is known by."""

    row: RawRow
    key: bytes


class _Side:
    """One stream, read ahead as far as the window reaches."""

    def __init__(self, rows: Iterable[RawRow], identity: Identity) -> None:
        self._rows = iter(rows)
        self._identity = identity
        self._next = next(self._rows, None)
        self._ahead: deque[_Ahead] = deque()
        self._stamps: dict[bytes, deque[int]] = {}
        self._taken: Counter[bytes] = Counter()

    def head(self) -> _Ahead | None:
        """The next message, after reading ahead of it."""
        self._skip_taken()
        reach = (self._ahead[0].row.ts_recv if self._ahead else self._next.ts_recv if self._next else 0) + WINDOW_NS
        while self._next is not None and self._next.ts_recv <= reach:
            ahead = _Ahead(self._next, self._identity(self._next.payload))
            self._ahead.append(ahead)
            self._stamps.setdefault(ahead.key, deque()).append(self._next.ts_recv)
            self._next = next(self._rows, None)
            self._skip_taken()
        return self._ahead[0] if self._ahead else None

    def when(self, key: bytes) -> int | None:
        """When this stream has the content next; None where it has not within its reach."""
        stamps = self._stamps.get(key)
        return stamps[0] if stamps else None

    def copies(self, key: bytes) -> int:
        """How often the content is within reach."""
        return len(self._stamps.get(key, ()))

    def take(self, key: bytes) -> None:
        """Counts the next message of this content as done, wherever it stands."""
        stamps = self._stamps[key]
        stamps.popleft()
        if not stamps:
            del self._stamps[key]
        if self._ahead[0].key == key:
            self._ahead.popleft()
        else:
            self._taken[key] += 1

    def _skip_taken(self) -> None:
        while self._ahead and self._taken[self._ahead[0].key]:
            key = self._ahead.popleft().key
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]


def coalesce(first: Iterable[RawRow], second: Iterable[RawRow], identity: Identity = of_payload) -> Iterator[Merged]:
    """Merges two streams of one channel, each in its own order; the window bounds what is held in memory."""
    sides = (_Side(first, identity), _Side(second, identity))
    order = 0
    skew = 0
    while True:
        heads = (sides[0].head(), sides[1].head())
        if heads[0] is None and heads[1] is None:
            return
        place, both, other_stamp = _choose(heads, sides, skew)
        head = heads[place]
        assert head is not None  # `_choose` takes a side that has one
        row = head.row
        sides[place].take(head.key)
        if both:
            sides[1 - place].take(head.key)
            skew = row.ts_recv - other_stamp if place == 0 else other_stamp - row.ts_recv
        order = max(order, row.ts_recv if place == 0 else row.ts_recv + skew)
        yield Merged(row, place == 0, both, order)


def _choose(heads: tuple[_Ahead | None, _Ahead | None], sides: tuple[_Side, _Side], skew: int) -> tuple[int, bool, int]:
    """Which side's head comes next, whether the other has it too, and when the other has it."""
    one, two = heads
    if one is None or two is None:
        return (1 if one is None else 0), False, 0
    one_later = _paired(one.row.ts_recv - skew, sides[1].when(one.key))
    two_later = _paired(two.row.ts_recv + skew, sides[0].when(two.key))
    if one.key == two.key and one_later is not None:
        return 0, True, two.row.ts_recv
    if one_later is None and two_later is None:
        return (0 if one.row.ts_recv <= two.row.ts_recv + skew else 1), False, 0
    if one_later is None:
        return 0, False, 0
    if two_later is None:
        return 1, False, 0
    # Each stream has the other's head further on. A content that one stream holds more often was lost by the other, and
    # the copy ahead is a later one; otherwise the two streams differ in order (a REST answer), and the first is right.
    one_apart, two_apart = abs(one.row.ts_recv - one_later - skew), abs(two_later - two.row.ts_recv - skew)
    if two_apart > one_apart and sides[1].copies(two.key) > sides[0].copies(two.key):
        return 1, False, 0
    if one_apart > two_apart and sides[0].copies(one.key) > sides[1].copies(one.key):
        return 0, False, 0
    return 0, True, one_later


def _paired(expected: int, stamp: int | None) -> int | None:
    """When the other stream has a message, if that is near enough to when it should."""
    return stamp if stamp is not None and abs(stamp - expected) <= WINDOW_NS else None
