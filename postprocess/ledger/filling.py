"""Which holes of one instance's stream are filled by messages that only the other instance has.

A message fills one of a hole's places if it came while the hole was open, by one clock; failing that, if it came near enough to it.
The nearest are taken first, and no message fills twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from postprocess.ledger.seen import Integers


class Holes:
    """Holes of one side, by the time they open, and how much of each is filled; times are ns by one clock."""

    def __init__(self, opened: Integers, closed: Integers, sizes: Integers) -> None:
        self._opened = opened
        self._closed = closed
        self._sizes = sizes
        self.filled = np.zeros(len(sizes), dtype=np.int64)

    def fill(self, messages: Iterable[Integers], jitter_ns: int) -> None:
        """Takes messages, in any order, that came in a hole or so near to one; holds those near one in memory."""
        if not len(self._sizes):
            return
        beside = [self._inside(places, jitter_ns) for places in messages]
        points = np.sort(np.concatenate(beside)) if beside else np.empty(0, dtype=np.int64)
        self._within_reach(self._nearest(points, jitter_ns), jitter_ns)

    def _inside(self, places: Integers, jitter_ns: int) -> Integers:
        """Takes those that lie in a hole; those of the rest that are near one."""
        places = np.sort(places)
        hole = np.searchsorted(self._opened, places, "left") - 1
        within = (hole >= 0) & (places < self._closed[hole])
        holes, starts, counts = np.unique(hole[within], return_index=True, return_counts=True)
        # The first of them, as many as there is room for.
        rank = np.arange(int(within.sum())) - np.repeat(starts, counts)
        taken = rank < np.repeat((self._sizes - self.filled)[holes], counts)
        np.add.at(self.filled, hole[within][taken], 1)
        within[np.flatnonzero(within)[~taken]] = False
        rest = places[~within]
        hole = np.searchsorted(self._opened, rest, "left") - 1
        after = np.minimum(hole + 1, len(self._opened) - 1)
        near = (hole >= 0) & (rest <= self._closed[hole] + jitter_ns)
        near |= np.abs(self._opened[after] - rest) <= jitter_ns
        return rest[near]

    def _nearest(self, points: Integers, jitter_ns: int) -> Integers:
        """Gives each to the nearer of the two holes beside it that still have room; those that got none."""
        with_room = np.flatnonzero(self.filled < self._sizes)
        if not with_room.size or not points.size:
            return points
        after = np.searchsorted(self._opened[with_room], points, "left")
        pairs = []
        for beside in (after - 1, after):
            there = np.flatnonzero((beside >= 0) & (beside < with_room.size))
            holes = with_room[beside[there]]
            apart = np.maximum(0, np.maximum(self._opened[holes] - points[there], points[there] - self._closed[holes]))
            pairs.append(np.stack([apart, there, holes])[:, apart <= jitter_ns])
        apart, places, holes = np.concatenate(pairs, axis=1)
        used = np.zeros(points.size, dtype=bool)
        for at in np.argsort(apart, kind="stable").tolist():
            place, hole = int(places[at]), int(holes[at])
            if not used[place] and self.filled[hole] < self._sizes[hole]:
                used[place] = True
                self.filled[hole] += 1
        return points[~used]

    def _within_reach(self, points: Integers, jitter_ns: int) -> None:
        """Gives what is left to any hole within reach, the earliest first."""
        at = 0
        for hole in np.flatnonzero(self.filled < self._sizes).tolist():
            begin = max(at, int(np.searchsorted(points, self._opened[hole] - jitter_ns, "left")))
            end = int(np.searchsorted(points, self._closed[hole] + jitter_ns, "right"))
            taken = max(0, min(int(self._sizes[hole] - self.filled[hole]), end - begin))
            self.filled[hole] += taken
            at = begin + taken
