"""A day whose instruments are shared out among units holds the same records as one that is made whole."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from postprocess.day import Places, run_day
from postprocess.executor.local import LocalExecutor
from tapeline.days import day_span
from tapeline.offline.lake import Lake
from tapeline.offline.tables import all_tables
from tapeline.offline.views import connect
from tests.postprocess.raw_store import fill
from tests.postprocess.running import MEMORY_BYTES, answer, make
from tests.postprocess.test_restart import contents

DAY = date(2021, 4, 5)
NOT_SHARED = ("ordinal",)
"""Counted in each shard by itself."""


@pytest.fixture(params=["both", "PRIMARY"])
def store(tmp_path: Path, recordings: Path, request: pytest.FixtureRequest) -> Path:
    """Raw objects of several instruments that share payloads, of both instances or one."""
    root = tmp_path / "store"
    for venue, name in (("binance_usdm", "five_symbols_20210405"), ("deribit", "20210405")):
        capture = recordings / venue / f"{name}.jsonl.zst"
        if request.param == "both":
            fill(root, venue, capture, "PRIMARY", keep=lambda number: number % 7 != 0, limit=900)
            fill(root, venue, capture, "REPLICA", keep=lambda number: number % 5 != 0, later=777, limit=900)
        else:
            fill(root, venue, capture, "PRIMARY", limit=900)
    for path in sorted(root.rglob("*.tsv.gz"))[:1]:
        path.write_bytes(path.read_bytes()[:-9])
    return root


def test_shards_together_are_the_whole(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables have the same rows, and each instrument's come in the same order; nothing is told or counted twice."""
    whole = make(DAY, store, tmp_path / "whole")
    monkeypatch.setattr("postprocess.plan.SHARD_BYTES", third(store))
    shared = make(DAY, store, tmp_path / "shared")
    assert (shared.payloads, shared.records, shared.rejected, shared.gaps) == (
        whole.payloads,
        whole.records,
        whole.rejected,
        whole.gaps,
    )
    assert shared.problems == whole.problems
    assert len(whole.problems) == 1
    parts = {file.key.rpartition("/")[2] for one in Lake.at(tmp_path / "shared").current() for file in one.files()}
    assert len({part.partition("-")[0] for part in parts}) > 1
    for table in all_tables():
        assert rows(tmp_path / "shared", table) == rows(tmp_path / "whole", table), table


def test_shards_by_processes_are_the_same_bytes(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes them, however many at a time."""
    monkeypatch.setattr("postprocess.plan.SHARD_BYTES", third(store))
    make(DAY, store, tmp_path / "one")
    run_day(DAY, Places(str(store), str(tmp_path / "two")), LocalExecutor(2), MEMORY_BYTES)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_day_goes_on_from_any_number_of_shards(
    tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One unit after several, several after one, or one after one: the second day's rows are the same."""
    capture = recordings / "binance_usdm" / "five_symbols_20210405.jsonl.zst"
    fill(tmp_path / "when", "binance_usdm", capture, limit=900)
    make(DAY, tmp_path / "when", tmp_path / "then")
    [(middle,)] = answer(tmp_path / "then", "SELECT CAST(median(ts_recv) AS BIGINT) FROM raw_payloads")
    later = day_span(DAY)[1] - middle
    store = tmp_path / "store"
    fill(store, "binance_usdm", capture, "PRIMARY", keep=lambda number: number % 7 != 0, later=later, limit=900)
    fill(store, "binance_usdm", capture, "REPLICA", keep=lambda number: number % 5 != 0, later=later + 777, limit=900)
    small = third(store) // 2
    found = []
    for name, bounds in {"whole": (1 << 40, 1 << 40), "apart": (1 << 40, small), "joined": (small, 1 << 40)}.items():
        for day, bound in zip((DAY, DAY + timedelta(days=1)), bounds, strict=True):
            monkeypatch.setattr("postprocess.plan.SHARD_BYTES", bound)
            make(day, store, tmp_path / name)
        versions = Lake.at(tmp_path / name).current()
        found.append([len(version.state) for version in versions])
        for table in ("mbo", "trades", "mbp_1", "definitions"):
            assert rows(tmp_path / name, table) == rows(tmp_path / "whole", table), (name, table)
    assert [(first > 1, second > 1) for first, second in found] == [(False, False), (False, True), (True, False)]
    assert answer(tmp_path / "whole", "SELECT count(DISTINCT raw_symbol) FROM mbo WHERE flags & 32 = 32") != [(0,)]


def third(store: Path) -> int:
    """Bytes of a shard, so that the larger provider has three or four."""
    sizes = [
        sum(p.stat().st_size for p in store.rglob(f"provider={name}/**/*.gz")) for name in ("BINANCE_USDM", "DERIBIT")
    ]
    return max(sizes) // 3


def rows(lake: Path, table: str) -> dict[tuple[object, ...], list[tuple[Any, ...]]]:
    """A table's rows by day, provider and symbol or channel, in their order."""
    with connect(Lake.at(lake)) as connection:
        found = connection.sql(f'SELECT * FROM "{table}"')
        names = found.columns
        answer = found.fetchall()
    key = next(name for name in ("raw_symbol", "channel") if name in names)
    if table in ("raw_payloads", "ledger", "ledger_gaps"):
        key = "channel"
    ordinal = names.index("ordinal") if "ordinal" in names else None
    groups: dict[tuple[object, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in sorted(answer, key=lambda row: row[ordinal]) if ordinal is not None else answer:
        kept = tuple(value for name, value in zip(names, row, strict=True) if name not in NOT_SHARED)
        groups[row[names.index("day")], row[names.index("provider")], row[names.index(key)]].append(kept)
    return dict(groups)
