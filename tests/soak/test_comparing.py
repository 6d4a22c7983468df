"""The soak's own arithmetic: what it would say of a payload that is lost, doubled or out of place."""

from __future__ import annotations

import zlib

import numpy as np

from tests.soak.comparing import compare, occurrences
from tests.soak.stretches import Side, coalesced


def keys(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


def side(*payloads: str, late: int = 0) -> Side:
    """Payloads `m0`, `m1`, … a millisecond apart."""
    texts = [payload.encode() for payload in payloads]
    made = Side(texts, [(int(one[1:]) + 1) * 1_000_000 + late for one in payloads], [0] * len(texts))
    made.keys = np.array([zlib.crc32(one) << 32 | len(one) for one in texts], np.uint64)
    return made


def told(one: Side, two: Side) -> list[str]:
    return [whose.payloads[place].decode() for whose, place, _ in coalesced(one, two)]


def test_what_is_lost_or_doubled_is_counted() -> None:
    """Each occurrence counts, and the places of what is missing are told."""
    found = compare(keys(1, 2, 3, 3, 4, 5), keys(1, 3, 4, 4, 5))
    assert (found.missing, found.surplus, found.places) == (2, 1, (1, 3))
    assert found.missing_keys.tolist() == [2, 3]
    assert found.surplus_keys.tolist() == [4]


def test_a_late_beginning_may_be_allowed_and_a_changed_place_is_seen() -> None:
    """What stands before the first that came does not count; what came too late does."""
    found = compare(keys(1, 2, 3, 4, 5), keys(3, 5, 4), ordered=True, warm=True)
    assert (found.before, found.missing, found.inversions) == (2, 0, 1)


def test_what_is_a_party_s_own_explains_as_much_as_there_is_of_it() -> None:
    """One copy explains one payload too many."""
    assert occurrences(keys(1, 1, 2), keys(1, 2, 2, 3)) == 2


def test_stretches_give_what_coalescing_gives() -> None:
    """Equal stretches at once, what differs by the job itself: each side's losses are filled by the other."""
    all_of_it = [f"m{number}" for number in range(300)]
    one = [text for text in all_of_it if text not in ("m0", "m100", "m101", "m299")]
    two = [text for text in all_of_it if text not in ("m1", "m150", "m200")]
    assert told(side(*one), side(*two, late=500)) == all_of_it
    assert told(side(), side(*all_of_it)) == all_of_it
    assert told(side(*all_of_it), side()) == all_of_it
