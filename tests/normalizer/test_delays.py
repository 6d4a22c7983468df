"""The histogram of delays is small and right within its promise."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from normalizer.delays import Delays


@given(st.lists(st.integers(8, 10**11), min_size=1), st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_percentiles_are_right_within_an_eighth(delays: list[int], share: float) -> None:
    """Never below the true one, never more than an eighth above."""
    histogram = Delays()
    for delay in delays:
        histogram.add(delay)
    true = sorted(delays)[max(0, math.ceil(share * len(delays)) - 1)]
    told = histogram.percentile_us(share)
    assert told is not None
    assert true <= told * 1000 + 1 <= true * 1.125 + 2


def test_no_delays_have_no_percentile() -> None:
    """Nothing is not zero."""
    assert Delays().drain() == {"p50": None, "p99": None, "max": None}


def test_a_clock_behind_counts_as_no_delay() -> None:
    """And a drain empties the histogram."""
    histogram = Delays()
    histogram.add(-5_000, weight=3)
    assert histogram.drain() == {"p50": 0.0, "p99": 0.0, "max": 0.0}
    assert histogram.percentile_us(0.5) is None
