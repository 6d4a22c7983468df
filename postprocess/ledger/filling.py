"""Which holes of one instance's stream are filled by messages that only the other instance has.

A message fills one of a hole's places if it came while the hole was open, by one clock; failing that, within `JITTER_NS` of it:
lines to a venue differ by some milliseconds from channel to channel. The nearest are taken first, and no message fills twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from postprocess.ledger.seen import Integers

JITTER_NS = 250_000_000


def fill(opened: Integers, closed: Integers, sizes: Integers, messages: Iterable[Integers]) -> Integers:
    """How many of each hole's places are filled; holes by the time they open, messages in any order (all ns).

    Memory: the messages that lie in no hole but near one.
    """
    filled = np.zeros(len(sizes), dtype=np.int64)
    if not len(sizes):
        return filled
    beside = [_inside(opened, closed, sizes, filled, places) for places in messages]
    points = np.sort(np.concatenate(beside)) if beside else np.empty(0, dtype=np.int64)
    points = _nearest(opened, closed, sizes, filled, points)
    _within_reach(opened, closed, sizes, filled, points)
    return filled


def _inside(opened: Integers, closed: Integers, sizes: Integers, filled: Integers, places: Integers) -> Integers:
    """Takes those that lie in a hole; those of the rest that are near one."""
    places = np.sort(places)
    hole = np.searchsorted(opened, places, "left") - 1
    within = (hole >= 0) & (places < closed[hole])
    holes, starts, counts = np.unique(hole[within], return_index=True, return_counts=True)
    # The first of them, as many as there is room for.
    rank = np.arange(int(within.sum())) - np.repeat(starts, counts)
    taken = rank < np.repeat(sizes[holes] - filled[holes], counts)
    np.add.at(filled, hole[within][taken], 1)
    within[np.flatnonzero(within)[~taken]] = False
    rest = places[~within]
    hole = np.searchsorted(opened, rest, "left") - 1
    after = np.minimum(hole + 1, len(opened) - 1)
    near = (hole >= 0) & (rest <= closed[hole] + JITTER_NS)
    near |= np.abs(opened[after] - rest) <= JITTER_NS
    return rest[near]


def _nearest(opened: Integers, closed: Integers, sizes: Integers, filled: Integers, points: Integers) -> Integers:
    """Gives each to the nearer of the two holes beside it that still have room; those that got none."""
    open_holes = np.flatnonzero(filled < sizes)
    if not open_holes.size or not points.size:
        return points
    after = np.searchsorted(opened[open_holes], points, "left")
    pairs = []
    for beside in (after - 1, after):
        there = np.flatnonzero((beside >= 0) & (beside < open_holes.size))
        holes = open_holes[beside[there]]
        apart = np.maximum(0, np.maximum(opened[holes] - points[there], points[there] - closed[holes]))
        pairs.append(np.stack([apart, there, holes])[:, apart <= JITTER_NS])
    apart, places, holes = np.concatenate(pairs, axis=1)
    used = np.zeros(points.size, dtype=bool)
    for at in np.argsort(apart, kind="stable").tolist():
        place, hole = int(places[at]), int(holes[at])
        if not used[place] and filled[hole] < sizes[hole]:
            used[place] = True
            filled[hole] += 1
    return points[~used]


def _within_reach(opened: Integers, closed: Integers, sizes: Integers, filled: Integers, points: Integers) -> None:
    """Gives what is left to any hole within reach, the earliest first."""
    at = 0
    for hole in np.flatnonzero(filled < sizes).tolist():
        begin = max(at, int(np.searchsorted(points, opened[hole] - JITTER_NS, "left")))
        end = int(np.searchsorted(points, closed[hole] + JITTER_NS, "right"))
        taken = max(0, min(int(sizes[hole] - filled[hole]), end - begin))
        filled[hole] += taken
        at = begin + taken
