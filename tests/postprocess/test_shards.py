"""A day whose instruments are shared out among units holds the same records as one that is made whole."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from postprocess.day import Places, run_day
from postprocess.executor.local import LocalExecutor
from tapeline.offline.lake import Lake
from tapeline.offline.tables import all_tables
from tapeline.offline.views import connect
from tests.postprocess.raw_store import fill
from tests.postprocess.running import MEMORY_BYTES, make
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


def third(store: Path) -> int:
    """Bytes of a shard, so that the larger provider has three or four."""
    sizes = [
        sum(p.stat().st_size for p in store.rglob(f"provider={name}/**/*.gz")) for name in ("BINANCE_USDM", "DERIBIT")
    ]
    return max(sizes) // 3


def rows(lake: Path, table: str) -> dict[tuple[object, ...], list[tuple[Any, ...]]]:
    """A table's rows by provider and symbol or channel, in their order."""
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
        groups[row[names.index("provider")], row[names.index(key)]].append(kept)
    return dict(groups)
