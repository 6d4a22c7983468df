"""How old payloads were when their records left for Redis: a small histogram that never grows."""

from __future__ import annotations

_STEPS = 8
_OCTAVES = 48


class Delays:
    """Counts delays in ns in eight steps an octave, so that a percentile is right within some 12 per cent."""

    def __init__(self) -> None:
        self._counts = [0] * (_OCTAVES * _STEPS)
        self.largest = 0

    def add(self, delay_ns: int, weight: int = 1) -> None:
        """Takes a delay; a negative one (two clocks) counts as none."""
        if delay_ns < _STEPS:
            place = 0
        else:
            self.largest = max(self.largest, delay_ns)
            octave = delay_ns.bit_length() - 4
            place = min((octave << 3) + (delay_ns >> octave), len(self._counts) - 1)
        self._counts[place] += weight

    def percentile_us(self, share: float) -> float | None:
        """The delay in µs that `share` (0 to 1) of all do not exceed; None where there are none."""
        total = sum(self._counts)
        if not total:
            return None
        left = share * total
        for place, counted in enumerate(self._counts):
            left -= counted
            if counted and left <= 0:
                return min(_upper(place), self.largest) / 1000
        return self.largest / 1000

    def drain(self) -> dict[str, float | None]:
        """Percentiles of what came since the last call."""
        largest = self.largest / 1000 if any(self._counts) else None
        told = {"p50": self.percentile_us(0.5), "p99": self.percentile_us(0.99), "max": largest}
        self._counts = [0] * len(self._counts)
        self.largest = 0
        return told


def _upper(place: int) -> int:
    """The largest delay, in ns, of a place."""
    if place < 2 * _STEPS:
        return place
    octave = (place >> 3) - 1
    return ((place - (octave << 3) + 1) << octave) - 1
