"""By how much one instance has messages before the other, by their own clocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from postprocess.ledger.seen import Integers

_REMEMBERED = 1024
_STRAY_NS = 20_000_000


class Skew:
    """What is usual among the last pairs: content that comes again is now and then paired with another copy."""

    def __init__(self) -> None:
        self._last = np.zeros(0, dtype=np.int64)
        self._spread = 0.0
        self.usual = 0
        """What to add to a time of the second side, ns."""

    def note(self, ahead: Integers) -> None:
        """Pairs in the order of the stream: the first side's time less the second's, ns."""
        if ahead.size:
            self._last = np.concatenate([self._last, ahead[-_REMEMBERED:]])[-_REMEMBERED:]
            median = np.median(self._last)
            self._spread = float(np.median(np.abs(self._last - median)))
            self.usual = int(median)

    def strayed(self, ahead: Integers) -> npt.NDArray[np.bool_]:
        """Which pairs are far from what is usual."""
        apart = np.abs(ahead - self.usual)
        strayed: npt.NDArray[np.bool_] = (apart > _STRAY_NS) & (apart > 8 * self._spread)
        return strayed
