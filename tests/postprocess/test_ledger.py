"""The account of a day."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from postprocess.ledger import HOUR_NS, Ledger, Sequences
from tapeline.rawfile import RawRow


@given(st.sets(st.integers(0, 300), min_size=1))
def test_gaps_are_what_is_missing_between(seen: set[int]) -> None:
    """Gaps and sequences together are every number from the first to the last, each once."""
    sequences = Sequences()
    for sequence in sorted(seen, key=lambda number: number * 7919 % 101):
        sequences.note(sequence)
    missing = [number for first, last in sequences.gaps() for number in range(first, last + 1)]
    assert sorted([*missing, *seen]) == list(range(min(seen), max(seen) + 1))


def test_the_hours_say_who_has_what() -> None:
    """A row for each channel and hour, with what only one instance has, what both have, and what was rejected."""
    ledger = Ledger()
    for stamp, who in ((1, "both"), (2, "PRIMARY"), (HOUR_NS, "REPLICA")):
        ledger.note_merged("book.BTC/USD", "MBO", stamp, who)
    ledger.note_rejected("book.BTC/USD", "MBO", HOUR_NS + 5)
    rows = ledger.hours().to_pylist()
    assert [(r["primary_only"], r["replica_only"], r["in_both"], r["rejected"]) for r in rows] == [
        (1, 0, 1, 0),
        (0, 1, 0, 1),
    ]


def test_gaps_are_told_by_instance_and_epoch() -> None:
    """Each session's sequences are its own."""
    ledger = Ledger()
    for epoch, sequence in ((7, 1), (7, 4), (9, 1)):
        ledger.note_raw("PRIMARY", RawRow(epoch, sequence, 0, 0, b""))
    (row,) = ledger.gaps().to_pylist()
    assert (row["instance"], row["raw_epoch"], row["from_sequence"], row["to_sequence"]) == ("PRIMARY", 7, 2, 3)
