"""A day goes on from where the day before it ended, and can be read by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tapeline.offline.dbn_file import read_records
from tapeline.offline.final_book import final_book
from tapeline.offline.lake import Lake
from tapeline.offline.normalizing import normalize_file
from tapeline.offline.tables import KINDS
from tapeline.schemas import Schema
from tapeline.venues import load
from tests.postprocess.raw_store import fill
from tests.postprocess.running import answer, make, records

FIRST, SECOND = date(2026, 8, 2), date(2026, 8, 3)
MIDNIGHT = 1_785_715_200_000_000_000
MBO = next(kind for kind in KINDS.values() if kind.schema is Schema.MBO).dtype


def fill_over_midnight(store: Path, capture: Path, instance: str, keep: Callable[[int], bool] = lambda _: True) -> None:
    """Half of the capture's 50 s before midnight, half after it."""
    fill(store, "kraken", capture, instance, keep=keep, later=MIDNIGHT - 1_785_641_776_000_000_000)


def mbo(lake: Path, day: date) -> bytes:
    [path] = (lake / "dbn" / "schema=mbo" / f"day={day}").rglob("*.dbn.zst")
    return records(path)


@pytest.fixture(scope="module")
def kraken(recordings: Path) -> Path:
    return recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"


def test_two_days_are_the_live_stream_with_the_book_told_anew(tmp_path: Path, kraken: Path) -> None:
    """The second day is definitions and the whole book as of midnight, then byte for byte what was published live."""
    store, lake = tmp_path / "store", tmp_path / "lake"
    fill_over_midnight(store, kraken, "PRIMARY")
    make(FIRST, store, lake)
    make(SECOND, store, lake)
    normalize_file(load("kraken"), store, tmp_path / "live.dbn.zst")
    live = records(tmp_path / "live.dbn.zst")
    before, after = mbo(lake, FIRST), mbo(lake, SECOND)
    told = np.frombuffer(after, MBO)
    snapshot = told[: int(np.count_nonzero(told["ts_recv"] == MIDNIGHT))]
    assert len(before) > 100 * MBO.itemsize
    assert live[len(live) - len(before) - (len(after) - snapshot.nbytes) :] == before + after[snapshot.nbytes :]
    assert set(snapshot["flags"] & 32) == {32}
    assert [bytes(action) for action in snapshot["action"][:2]] == [b"R", b"A"]
    assert (snapshot["flags"] & 128).tolist() == [0] * (len(snapshot) - 1) + [128]
    of_day = answer(lake, f"SELECT count(*), min(raw_symbol) FROM definitions WHERE day = DATE '{SECOND}'")
    assert of_day == [(1, "BTC/USD")]
    # What a lot is goes on too.
    assert answer(lake, "SELECT count(*) FROM mbo WHERE size * 100000000 <> dbn_size") == [(0,)]


def test_a_day_by_itself_has_the_right_book(tmp_path: Path, kraken: Path) -> None:
    """Of both instances with losses the second day's file alone ends with the book of the whole capture."""
    store, lake, whole = tmp_path / "store", tmp_path / "lake", tmp_path / "whole"
    fill_over_midnight(store, kraken, "PRIMARY", keep=lambda number: number % 7 != 0)
    fill_over_midnight(store, kraken, "REPLICA", keep=lambda number: number % 11 != 0 or number % 7 == 0)
    make(FIRST, store, lake)
    result = make(SECOND, store, lake)
    normalize_file(load("kraken"), kraken, whole)
    alone = sorted((lake / "dbn").glob(f"schema=*/day={SECOND}/**/*.dbn.zst"))
    books = [
        final_book([record for path in paths for record in read_records(path)], "BTC/USD") for paths in (alone, [whole])
    ]
    assert books[0].side(True) == books[1].side(True)
    assert books[0].side(False) == books[1].side(False)
    assert answer(lake, "SELECT sum(flags & 4) FROM mbo") == [(0,)]
    assert result.rejected == 0


def test_a_day_made_anew_asks_for_the_next(tmp_path: Path, kraken: Path) -> None:
    """What a day begins with is among what it is made of: alone it is one version, after the day before another, then none."""
    store, lake = tmp_path / "store", tmp_path / "lake"
    fill_over_midnight(store, kraken, "PRIMARY")
    assert make(SECOND, store, lake).versions == {"KRAKEN": 1}
    assert answer(lake, "SELECT count(*) FROM mbo") == [(0,)]
    make(FIRST, store, lake)
    assert make(SECOND, store, lake).versions == {"KRAKEN": 2}
    assert make(SECOND, store, lake).unchanged == ["KRAKEN"]
    [first, second] = Lake.at(lake).current()
    assert second.before == [file.sha256 for file in first.state] != []
