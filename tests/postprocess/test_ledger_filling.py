"""Which holes messages fill."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from postprocess.ledger.filling import Holes


def holes(*found: tuple[int, int, int]) -> Holes:
    """Each opens, closes, and has so many places."""
    opened, closed, sizes = (np.array(column, dtype=np.int64) for column in zip(*found, strict=True))
    return Holes(opened, closed, sizes)


def fill(made: Holes, jitter: int, *batches: list[int]) -> list[int]:
    made.fill([np.array(batch, dtype=np.int64) for batch in batches], jitter)
    return made.filled.tolist()


def test_a_message_in_a_hole_fills_it_whatever_lies_nearer_another() -> None:
    """Inside comes first; a place is filled once."""
    assert fill(holes((0, 100, 1), (110, 120, 1)), 50, [95, 99, 115]) == [1, 1]
    assert fill(holes((0, 100, 2), (110, 120, 1)), 0, [5, 6, 7], [8, 111]) == [2, 1]


def test_one_beside_fills_the_nearer_hole() -> None:
    """Where that has room, else the other within reach."""
    assert fill(holes((0, 10, 1), (30, 40, 1)), 15, [24]) == [0, 1]
    assert fill(holes((0, 10, 1), (30, 40, 1)), 15, [24, 35]) == [1, 1]
    assert fill(holes((0, 10, 1), (30, 40, 1)), 5, [24]) == [0, 0]


def test_one_between_full_holes_fills_the_next_within_reach() -> None:
    """Several small holes in a row, and an uneven line."""
    assert fill(holes((0, 2, 1), (10, 12, 1), (20, 22, 1)), 25, [21, 21, 21]) == [1, 1, 1]


def test_a_second_filling_takes_what_the_first_left() -> None:
    """With another reach."""
    made = holes((0, 10, 2), (100, 110, 1))
    assert fill(made, 20, [5]) == [1, 0]
    assert fill(made, 2, [7, 95, 99]) == [2, 1]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 20), st.integers(1, 4)), min_size=1, max_size=12),
    st.lists(st.lists(st.integers(0, 500), max_size=15), max_size=3),
    st.integers(0, 40),
)
def test_no_place_and_no_message_counts_twice(
    parts: list[tuple[int, int, int]], batches: list[list[int]], jitter: int
) -> None:
    """Never more than there is room for or messages near enough; all, where every message lies in a hole with room."""
    found, at = [], 0
    for apart, width, size in parts:
        found.append((at + apart, at + apart + width, size))
        at += apart + width
    filled = fill(holes(*found), jitter, *batches)
    messages = [message for batch in batches for message in batch]
    near = [m for m in messages if any(begin - jitter <= m <= end + jitter for begin, end, _ in found)]
    assert all(0 <= count <= size for count, (_, _, size) in zip(filled, found, strict=True))
    assert sum(filled) <= len(near)
    for count, (begin, end, size) in zip(filled, found, strict=True):
        assert count >= min(size, sum(1 for message in messages if begin < message < end))
