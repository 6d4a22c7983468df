"""Lakes on S3 and lakes of many files: read whole, and only as far as a question needs."""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapeline.errors import TapelineError
from tapeline.objectstore import open_store
from tapeline.offline.answer_text import of_bytes
from tapeline.offline.lake import File, Lake, LakeError, Made, Manifest, version_folder
from tapeline.offline.tables import MOST_VERSIONS, all_tables
from tapeline.partitions import Partition, object_key
from tapeline.rawfile import RawRow, compress, encode_rows
from tapeline.sql.dialect import checked
from tapeline.sql.local import ask
from tests.sql import hard
from tests.sql.test_queries import QUESTIONS

pytestmark = pytest.mark.timeout(180)

FIRST = date(2026, 1, 1)
MADE = Made(at=0, units=1, cpu_seconds=0, peak_rss_bytes=0)


def publish(lake: Lake, day: date, provider: str, data: bytes, version: int = 1) -> None:
    """A version whose only file is this one of `trades`."""
    key = f"trades/{version_folder(day, provider, version)}/0000-0000.parquet"
    lake.store.put(key, data, if_absent=False)
    tables = {"trades": [File(key, 1, len(data), "")]}
    lake.add(Manifest(day.isoformat(), provider, version, "", tables, {}, {}, {}), MADE)
    lake.publish(day, {provider: version})


def one_trade(symbol: str) -> bytes:
    """A Parquet file with a row."""
    columns = all_tables()["trades"].columns
    row = hard.rows(columns).slice(1, 1).set_column(columns.get_field_index("raw_symbol"), "raw_symbol", [[symbol]])
    sink = pa.BufferOutputStream()
    pq.write_table(row.cast(columns), sink)
    return bytes(sink.getvalue())


def test_a_lake_on_s3_answers_as_one_here(day: Path, s3_store: str) -> None:
    """All ten questions, and the raw store, without any extension of DuckDB's."""
    for folder in ("lake", "store"):
        source, target = open_store(str(day / folder)), open_store(f"{s3_store}/{folder}")
        for key in source.list(""):
            target.put(key, source.get(key))
    raw = "SELECT instance, schema, count(*) AS n, max(payload) AS p FROM raw_objects GROUP BY 1, 2 ORDER BY 1, 2"
    for sql in (*QUESTIONS.values(), raw):
        there = ask(Lake.at(f"{s3_store}/lake"), f"{s3_store}/store", checked(sql))
        here = ask(Lake.at(day / "lake"), str(day / "store"), checked(sql))
        assert there == here
        assert here.rows


def test_what_a_day_rules_out_is_not_read_on_s3(s3_store: str) -> None:
    """A file of another day or provider is not even opened: here it is none that could be."""
    lake = Lake.at(s3_store)
    publish(lake, FIRST, "KRAKEN", one_trade("BTC/USD"))
    publish(lake, FIRST, "OKX", b"this is no Parquet")
    publish(lake, FIRST + timedelta(days=1), "KRAKEN", b"nor is this")
    where = f"day = DATE '{FIRST}' AND provider = 'KRAKEN'"
    assert ask(lake, s3_store, f"SELECT raw_symbol FROM trades WHERE {where}").rows == [["BTC/USD"]]
    with pytest.raises(TapelineError, match="query failed"):
        ask(lake, s3_store, "SELECT raw_symbol FROM trades")


def test_a_thousand_files_are_answered_at_once(tmp_path: Path) -> None:
    """A question about one day of 250 reads that day's files; the others, all but the first, are no Parquet at all."""
    data = one_trade("BTC/USD")
    for number in range(250):
        day = FIRST + timedelta(days=number)
        for provider in ("A", "B", "C", "D"):
            whole = (number, provider) == (0, "A") or number == 200
            _write(tmp_path, day, provider, data if whole else b"no Parquet")
        _put(tmp_path / "published" / f"day={day}" / "published.tsv", b"A\t1\nB\t1\nC\t1\nD\t1\n")
    asked = f"SELECT provider, raw_symbol FROM trades WHERE day = DATE '{FIRST + timedelta(days=200)}' ORDER BY 1"
    begin = time.monotonic()
    assert ask(Lake.at(tmp_path), str(tmp_path), asked).rows == [[provider, "BTC/USD"] for provider in "ABCD"]
    assert time.monotonic() - begin < 15


def _write(root: Path, day: date, provider: str, data: bytes) -> None:
    """As `publish`, but without waiting for the disk a thousand times."""
    folder = version_folder(day, provider, 1)
    key = f"trades/{folder}/0000-0000.parquet"
    tables = {"trades": [File(key, 1, len(data), "")]}
    _put(root / key, data)
    manifest = Manifest(day.isoformat(), provider, 1, "", tables, {}, {}, {})
    _put(root / "manifests" / f"{folder}.json", msgspec.json.encode(manifest))


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_only_what_is_published_counts(tmp_path: Path) -> None:
    """A version beside the published one is not seen, until it is published; then the other is not."""
    lake = Lake.at(tmp_path)
    publish(lake, FIRST, "KRAKEN", one_trade("OLD"))
    publish(lake, FIRST, "KRAKEN", one_trade("NEW"), version=2)
    assert ask(lake, "", "SELECT version, raw_symbol FROM trades").rows == [[2, "NEW"]]
    lake.publish(FIRST, {"KRAKEN": 1})
    assert ask(lake, "", "SELECT version, raw_symbol FROM trades").rows == [[1, "OLD"]]


def test_no_version_is_published_that_athena_would_not_look_for(tmp_path: Path) -> None:
    """Beyond the projected range it would count here and not there."""
    lake = Lake.at(tmp_path)
    with pytest.raises(LakeError, match=f"no version above {MOST_VERSIONS}"):
        publish(lake, FIRST, "KRAKEN", one_trade("X"), version=MOST_VERSIONS + 1)
    assert lake.published(FIRST) is None


def test_the_raw_store_is_read_exactly_here(tmp_path: Path) -> None:
    """Each hard payload, the one of 5 MB too, out of `raw_objects` as it came from the venue, by the page's own expression."""
    store = open_store(str(tmp_path))
    sent = (*hard.PAYLOADS, hard.LARGE)
    rows = [RawRow(7, number, 1, number, data) for number, data in enumerate(sent, 1)]
    partition = Partition("REPLICA", "KRAKEN", "", "book.BTC/USD", 2026, 1, 1)
    store.put(object_key("", partition, 7, 1, len(rows)), compress(encode_rows(rows)))
    sql = (
        "SELECT CASE encoding WHEN 'base64' THEN from_base64(payload) ELSE to_utf8(payload) END AS data FROM raw_objects "
        "WHERE channel = 'book.BTC%2FUSD' AND schema IS NULL AND instance = 'REPLICA' ORDER BY sequence"
    )
    assert ask(Lake.at(tmp_path / "lake"), str(tmp_path), sql).rows == [[of_bytes(data)] for data in sent]
