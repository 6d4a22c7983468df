"""Holes of raw streams: exact bounds, the times around them, and how much of them nobody has."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from postprocess.ledger.combine import Ledger, combine
from tests.postprocess.ledger_truth import START, Day, Line

DAY = datetime.fromtimestamp(START // 10**9, UTC).date()
SKEW = -3_000_000
SECOND = 1_000_000_000


def day(count: int, apart: int, channels: int = 3, began: int = 3600 * SECOND) -> Day:
    """So many messages, evenly apart; the second instance's clock is behind, its session longer."""
    stamps = [START + began + apart * number for number in range(count)]
    first = Line(START + began - 5, [number + 1 for number in range(count)], stamps)
    second = Line(START - 9, [number + 700 for number in range(count)], [stamp + SKEW for stamp in stamps])
    names = [(f"c{number}", "TRADES") for number in range(channels)]
    return Day(names, [number % channels for number in range(count)], (first, second))


def raw(ledger: Ledger, instance: str) -> list[tuple[int | None, ...]]:
    rows = [row for row in ledger.gaps.to_pylist() if (row["kind"], row["instance"]) == ("raw", instance)]
    names = ("from_sequence", "to_sequence", "from_ts", "to_ts", "missing")
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize(("units", "at_once"), [(1, 50_000), (3, 7)])
def test_every_hole_is_told_with_its_bounds_and_what_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: int, at_once: int
) -> None:
    """Singles, runs, and what both lost, whether the channels are in one unit or in several, however many are looked up at once."""
    monkeypatch.setattr("postprocess.ledger.combine._AT_ONCE", at_once)
    made = day(4000, apart=SECOND // 10)
    pick = random.Random(5)
    first = {n for start in pick.sample(range(10, 3900), 60) for n in range(start, start + pick.choice((1, 1, 2, 9)))}
    second = {n for start in pick.sample(range(10, 3900), 60) for n in range(start, start + pick.choice((1, 3, 20)))}
    made.lines[0].lost, made.lines[1].lost = first, second
    assert first & second
    assert first - second
    folders = [
        made.account(tmp_path / str(unit), {channel for channel in range(3) if channel % units == unit})
        for unit in range(units)
    ]
    ledger = combine(DAY, folders, [], 1 << 28)
    assert raw(ledger, "PRIMARY") == made.holes(0)
    assert raw(ledger, "REPLICA") == made.holes(1)
    left = [hole for side in (0, 1) for hole in made.holes(side) if hole[-1]]
    assert ledger.totals == {
        "both": 4000 - len(first | second),
        "primary_only": len(second - first),
        "replica_only": len(first - second),
        "duplicates": 0,
        "gaps": len(left),
        "rejects": 0,
        "bars_expected": 0,
        "bars_found": 0,
    }
    assert {row["reason"] for row in ledger.gaps.to_pylist()} == {"no_object"}


def test_it_does_not_matter_in_what_pieces_messages_come(tmp_path: Path) -> None:
    """The account is the same, byte for byte."""
    made = day(40_000, apart=SECOND // 10)
    pick = random.Random(9)
    for line in made.lines:
        line.stamps = [stamp + pick.randrange(50_000_000) for stamp in line.stamps]
        line.lost = set(pick.sample(range(40_000), 400))
    files = [
        {path.name: path.read_bytes() for path in made.account(tmp_path / str(piece), piece=piece).iterdir()}
        for piece in (777, 5000, 40_000)
    ]
    assert files[0] == files[1] == files[2]
    assert set(files[0]) == {"account.msgpack", "places.parquet"}
