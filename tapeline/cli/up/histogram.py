"""Delays in buckets of two per cent, so that millions of them fit in a few kilobytes and percentiles stay honest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

_RATIO = 1.02
_BUCKETS = 1100
_EDGES_US = _RATIO ** np.arange(_BUCKETS)
"""Upper bounds: 1 µs to some 2900 s."""

Delays = npt.NDArray[np.int64]


class Histogram:
    """How many delays fell in each bucket, and the largest."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS + 1, dtype=np.int64)
        self.largest_us = 0.0

    def add(self, delays_ns: Delays) -> None:
        """Takes delays in ns; negative ones (two clocks) count as the smallest."""
        if not len(delays_ns):
            return
        micros = delays_ns / 1000.0
        places = np.searchsorted(_EDGES_US, micros)
        self._counts += np.bincount(places, minlength=_BUCKETS + 1)
        self.largest_us = max(self.largest_us, float(micros.max()))

    def merge(self, other: Histogram) -> None:
        """Adds another's counts."""
        self._counts += other._counts
        self.largest_us = max(self.largest_us, other.largest_us)

    def drain(self) -> Histogram:
        """What it holds, and empties it."""
        taken = Histogram()
        taken.merge(self)
        self._counts[:] = 0
        self.largest_us = 0.0
        return taken

    def counts(self) -> dict[str, float]:
        """All it holds, as `{bucket: count}`, with the largest under `max`."""
        places = np.flatnonzero(self._counts)
        return {**{str(place): int(self._counts[place]) for place in places}, "max": self.largest_us}

    def add_counts(self, counts: Mapping[str, float]) -> None:
        """Adds what another's `counts` gave."""
        for place, count in counts.items():
            if place == "max":
                self.largest_us = max(self.largest_us, count)
            else:
                self._counts[int(place)] += int(count)

    @property
    def total(self) -> int:
        """How many delays it holds."""
        return int(self._counts.sum())

    def percentile(self, share: float) -> float | None:
        """The delay in µs that `share` (0 to 1) of all do not exceed; None where there are none."""
        total = self.total
        if total == 0:
            return None
        place = int(np.searchsorted(np.cumsum(self._counts), share * total))
        return min(float(_EDGES_US[min(place, _BUCKETS - 1)]), self.largest_us)

    def summary(self) -> dict[str, float | None]:
        """p50, p99, p99.9 and the largest, in µs."""
        named = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
        found = {name: self.percentile(share) for name, share in named.items()}
        out = {name: None if value is None else round(value, 1) for name, value in found.items()}
        return {**out, "max": round(self.largest_us, 1) if self.total else None}
