"""The files of a version: sorted, in row groups that statistics tell apart, the same however rows came."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databento_dbn import Metadata
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocess.codes import Texts, waiting
from postprocess.parquet import GROUP_ROWS, LARGE_ROWS, Parts, group_sizes, groups
from postprocess.spool import Spool
from tapeline.offline.dbn_file import read_records
from tapeline.offline.lake import Lake
from tapeline.offline.tables import RAW_PAYLOADS, all_tables
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make

DAY = date(2021, 4, 5)
SMALL = 2000


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Lake:
    """A day of five instruments with many book updates."""
    root = tmp_path_factory.mktemp("lake")
    capture = recordings / "binance_usdm" / "five_symbols_20210405.jsonl.zst"
    fill(root / "store", "binance_usdm", capture, limit=6000)
    with pytest.MonkeyPatch.context() as patched:
        # So that a recording has what a day has.
        patched.setattr("postprocess.parquet.GROUP_ROWS", SMALL)
        patched.setattr("postprocess.parquet.LARGE_ROWS", SMALL // 4)
        make(DAY, root / "store", root / "lake")
    return Lake.at(root / "lake")


def test_rows_are_sorted_and_statistics_say_so(lake: Lake) -> None:
    """By symbol, then by place in the stream; each row group knows its least and greatest symbol and time; no partition columns."""
    (manifest,) = lake.current()
    for name, files in manifest.tables.items():
        for file in files:
            parquet = pq.ParquetFile(Path(lake.place) / file.key)
            assert parquet.schema_arrow.names == all_tables()[name].columns.names
            assert parquet.schema_arrow.types == all_tables()[name].columns.types
            if name.startswith("ledger"):
                continue
            key = "channel" if name == "raw_payloads" else "raw_symbol"
            rows = parquet.read([key, "ordinal"]).to_pydict()
            places = list(zip(rows[key], rows["ordinal"], strict=True))
            assert places == sorted(places)
            names = parquet.schema_arrow.names
            for number in range(parquet.num_row_groups):
                group = parquet.metadata.row_group(number)
                assert group.num_rows <= SMALL
                for column in (key, "ts_recv", "ordinal"):
                    told = group.column(names.index(column))
                    assert told.statistics.has_min_max
                    assert told.has_column_index
                    assert told.compression == "ZSTD"
            read = parquet.read().to_pydict()
            assert len(read["ordinal"]) == file.rows


def test_a_large_symbol_has_row_groups_of_its_own(lake: Lake) -> None:
    """A question for it and a time reads few of them: the statistics of all others rule them out."""
    (manifest,) = lake.current()
    [file] = manifest.tables["mbo"]
    parquet = pq.ParquetFile(Path(lake.place) / file.key)
    names = parquet.schema_arrow.names
    spans = []
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        symbol, stamp = (group.column(names.index(name)).statistics for name in ("raw_symbol", "ts_recv"))
        spans.append((symbol.min, symbol.max, stamp.min, stamp.max, group.num_rows))
    large = [span for span in spans if span[0] == span[1]]
    assert sum(span[4] for span in large) > 4 * SMALL
    for one, after in pairwise(large):
        assert one[0] != after[0] or one[3] <= after[2]


def test_each_schema_is_a_dbn_stream_of_what_it_holds(lake: Lake) -> None:
    """The stock decoder reads it; its metadata names its own symbols and spans its own times."""
    (manifest,) = lake.current()
    for files in manifest.dbn.values():
        for file in files:
            metadata, *records = read_records(Path(lake.place) / file.key)
            assert isinstance(metadata, Metadata)
            assert len(records) == file.rows
            fields = [record for record in records if not isinstance(record, Metadata)]
            mapped = {int(at["symbol"]) for spans in metadata.mappings.values() for at in spans}
            assert {record.instrument_id for record in fields} == mapped
            assert set(metadata.symbols) == set(metadata.mappings)
            stamps = [record.ts_recv for record in fields if hasattr(record, "ts_recv")]
            if stamps:
                assert (metadata.start, metadata.end) == (min(stamps), max(stamps))


@settings(deadline=None)
@given(st.lists(st.integers(1, 3 * GROUP_ROWS), max_size=30))
def test_row_groups_hold_every_row_once(counts: list[int]) -> None:
    """None is too large, and a large symbol shares with nobody."""
    sizes = list(group_sizes(counts))
    assert sum(sizes) == sum(counts)
    assert all(0 < size <= GROUP_ROWS for size in sizes)
    edges = set(np.cumsum([0, *sizes]).tolist())
    begins = np.cumsum([0, *counts]).tolist()
    for place, count in enumerate(counts):
        if count >= LARGE_ROWS:
            assert {begins[place], begins[place + 1]} <= edges


@pytest.mark.parametrize("spills", [0, 1, 7])
def test_a_file_is_the_same_however_its_rows_came(tmp_path: Path, spills: int) -> None:
    """In batches of any size, with any part of them in temporary files, payloads of very different size among them."""
    assert made(tmp_path / "a", 400, spills) == made(tmp_path / "b", 5000, 0)


def made(folder: Path, batch: int, spills: int) -> list[bytes]:
    """Files of the same two thousand payloads of thirty channels."""
    folder.mkdir()
    texts = Texts()
    spool = Spool(texts, 1 << 20)
    pick = random.Random(7)
    names = [f"channel {pick.randrange(30)}" for _ in range(2000)]
    payloads = [bytes(3_000_000 if number % 300 == 0 else number % 50) for number in range(2000)]
    for start in range(0, 2000, batch):
        part = range(start, min(start + batch, 2000))
        codes = np.array([texts.code(names[number]) for number in part], np.int32)
        ones = np.array([texts.code("PRIMARY")] * len(part), np.int32)
        numbers = np.array(part, np.int64)
        columns = {
            "channel": codes, "instance": ones, "raw_epoch": numbers, "raw_sequence": numbers, "schema": ones,
            "connection": numbers, "ts_recv": numbers, "ordinal": numbers, "payload": payloads[start : start + len(part)],
            "seen_by": ones,
        }  # fmt: skip
        spool.add(pa.table(columns, schema=waiting(RAW_PAYLOADS.columns)), codes)
        if spills and start // batch < spills:
            spool.spill()

    def places() -> Iterator[Path]:
        number = 0
        while True:
            yield folder / str(number)
            number += 1

    sizes = group_sizes(count for _, count in spool.counts())
    files = [path.read_bytes() for path, _ in Parts(RAW_PAYLOADS, texts, places()).write(groups(spool.sorted(), sizes))]
    spool.close()
    rows = pa.concat_tables([pq.read_table(io.BytesIO(data)) for data in files])
    assert rows.column("ordinal").to_pylist() == sorted(range(2000), key=lambda number: (names[number], number))
    assert pq.ParquetFile(io.BytesIO(files[0])).num_row_groups == 1
    return files
