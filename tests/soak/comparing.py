"""Two long lists of keys set against one another: what is missing, what is too many, what changed places."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]


@dataclass(slots=True)
class Difference:
    """What of the expected is not there, and the other way round; a key that comes n times has to be there n times."""

    missing: int = 0
    surplus: int = 0
    inversions: int = 0
    """How often what follows stands before what it should follow, of keys that come once."""
    before: int = 0
    """What was expected before the first that is there, where that is no fault."""
    places: tuple[int, int] = (-1, -1)
    """Of the first and the last one that is missing."""
    missing_keys: Keys = field(default_factory=lambda: np.zeros(0, np.uint64))
    surplus_keys: Keys = field(default_factory=lambda: np.zeros(0, np.uint64))

    def add(self, other: Difference) -> None:
        """Adds another's counts."""
        self.missing += other.missing
        self.surplus += other.surplus
        self.inversions += other.inversions
        self.before += other.before


def compare(expected: Keys, there: Keys, ordered: bool = False, warm: bool = False) -> Difference:
    """What is different; `warm`: what was expected before the first key that is there does not count."""
    found = Difference()
    if warm and len(there):
        known = np.isin(expected, there)
        if known.any():
            found.before = int(np.argmax(known))
            expected = expected[found.before :]
    if len(expected) == len(there) and bool((expected == there).all()):
        return found
    wanted, times_wanted = np.unique(expected, return_counts=True)
    had, times_had = np.unique(there, return_counts=True)
    keys = np.union1d(wanted, had)
    balance = np.zeros(len(keys), np.int64)
    balance[np.searchsorted(keys, wanted)] += times_wanted
    balance[np.searchsorted(keys, had)] -= times_had
    found.missing = int(balance[balance > 0].sum())
    found.surplus = -int(balance[balance < 0].sum())
    found.surplus_keys = np.repeat(keys[balance < 0], -balance[balance < 0])
    if found.missing:
        found.missing_keys = np.repeat(keys[balance > 0], balance[balance > 0])
        places = np.flatnonzero(np.isin(expected, found.missing_keys))
        found.places = (int(places[0]), int(places[-1]))
    if ordered:
        found.inversions = _inversions(expected, there, wanted[times_wanted == 1], had[times_had == 1])
    return found


def _inversions(expected: Keys, there: Keys, once: Keys, once_there: Keys) -> int:
    both = np.intersect1d(once, once_there, assume_unique=True)
    order, found = expected[np.isin(expected, both)], there[np.isin(there, both)]
    places = np.argsort(order)
    at = places[np.searchsorted(order, found, sorter=places)]
    return int((np.diff(at) < 0).sum())


def occurrences(keys: Keys, among: Keys) -> int:
    """How many of some keys can be taken from others, each once."""
    wanted, times = np.unique(keys, return_counts=True)
    had, times_had = np.unique(among, return_counts=True)
    both, left, right = np.intersect1d(wanted, had, assume_unique=True, return_indices=True)
    return int(np.minimum(times[left], times_had[right]).sum()) if len(both) else 0
