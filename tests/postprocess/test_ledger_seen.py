"""Which sequences were seen, and the runs that were not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from postprocess.ledger.seen import BLOCK, Seen

NEAR = st.one_of(st.integers(0, 200), st.integers(BLOCK - 100, BLOCK + 100), st.integers(3 * BLOCK, 3 * BLOCK + 50))


@given(st.lists(st.sets(NEAR), max_size=3), NEAR, NEAR)
def test_seen_and_unseen_are_every_sequence_once(parts: list[set[int]], one: int, other: int) -> None:
    """Whatever came in how many pieces, across blocks: runs and what was seen fill a range without overlap."""
    first, last = sorted((one, other))
    seen = Seen()
    for part in parts:
        more = Seen()
        more.note(np.array([*sorted(part), *sorted(part)], dtype=np.int64))
        seen.add(more)
    runs = list(seen.runs(first, last))
    there = {number for part in parts for number in part if first <= number <= last}
    assert sum(end - begin + 1 for begin, end in runs) + len(there) == last - first + 1
    assert all(before[1] + 1 < after[0] for before, after in pairwise(runs))
    assert not any(begin <= number <= end for begin, end in runs for number in there)


@given(st.sets(NEAR), NEAR)
def test_the_next_one_seen_is_the_smallest_beyond(numbers: set[int], after: int) -> None:
    """None where nothing lies beyond."""
    seen = Seen()
    seen.note(np.array(sorted(numbers), dtype=np.int64))
    assert seen.following(after) == min((number for number in numbers if number > after), default=None)
