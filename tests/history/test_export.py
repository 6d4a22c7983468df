"""A symbol and span as a file: exact, in order, and what the usual readers make of it."""

from __future__ import annotations

import csv
import gzip
import io
from decimal import Decimal
from pathlib import Path

import databento
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tapeline.cli.main import main
from tapeline.consumer.layout import LAYOUTS
from tapeline.errors import UsageError
from tapeline.history.choice import NothingThereError
from tapeline.history.export import Exported, export
from tapeline.history.lake_files import LakeFiles
from tapeline.history.span import Span
from tapeline.history.symbol import SymbolRows
from tapeline.offline.lake import Lake
from tapeline.offline.tables import record_tables
from tapeline.offline.views import connect
from tapeline.schemas import Schema
from tests.history.lakes import DAY_NS, MIDNIGHT, Truth

BOTH_DAYS = Span(MIDNIGHT, MIDNIGHT + 2 * DAY_NS)
FORMS = (".dbn", ".dbn.zst", ".parquet", ".csv", ".csv.gz")


def exported(lake: Path, path: Path, schema: Schema, symbol: str, span: Span = BOTH_DAYS) -> Exported:
    """Exports into a file."""
    return export(Lake.at(lake), schema, symbol, None, span, path)


def plain(path: Path) -> bytes:
    """A DBN file's bytes, decompressed."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    return data


def wanted(canonical: Truth, schema: Schema, symbol: str, span: Span) -> bytes:
    """The canonical records of a symbol, by their own `ts_recv` where they have one."""
    layout = LAYOUTS[schema]
    found = []
    ids = {
        int(np.frombuffer(record, LAYOUTS[Schema.DEFINITION].dtype)["instrument_id"][0])
        for channel, record in zip(canonical.channel, canonical.record, strict=True)
        if channel.startswith("DEFINITION.") and channel.endswith(f".{symbol}")
    }
    for channel, record in zip(canonical.channel, canonical.record, strict=True):
        if channel.startswith(f"{schema.value}."):
            row = np.frombuffer(record, layout.dtype)
            if int(row["instrument_id"][0]) in ids and span.start <= int(row[layout.time][0]) < span.end:
                found.append(record)
    return b"".join(found)


# databento's reader leaves its file to the garbage collector, and calls pandas in an old way.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("ending", [".dbn", ".dbn.zst"])
@pytest.mark.parametrize(
    ("schema", "symbol"),
    [
        (Schema.TRADES, "BTCUSDT"), (Schema.MBO, "BTCUSDT"), (Schema.MBP_1, "XRPUSDT"), (Schema.DEFINITION, "BTCUSDT"),
        (Schema.STATISTICS, "BTC-PERPETUAL"), (Schema.STATUS, "BTCUSDT"),
    ],
)  # fmt: skip
def test_dbn_holds_the_canonical_records(
    tmp_path: Path, lake: Path, canonical: Truth, schema: Schema, symbol: str, ending: str
) -> None:
    """Byte for byte, over two days, with metadata that tell the span, the symbol and its number."""
    path = tmp_path / f"out{ending}"
    done = exported(lake, path, schema, symbol)
    data = plain(path)
    records = data[8 + int.from_bytes(data[4:8], "little") :]
    assert records == wanted(canonical, schema, symbol, BOTH_DAYS)
    assert done.rows == len(records) // LAYOUTS[schema].stride > 0
    store = databento.DBNStore.from_file(path)
    assert (store.metadata.start, store.metadata.end) == (BOTH_DAYS.start, BOTH_DAYS.end)
    assert (store.dataset, str(store.schema), store.symbols) == (done.provider, schema.dbn, [symbol])
    assert len(store.to_ndarray()) == done.rows
    frame = store.to_df()
    assert set(frame["symbol"]) == {symbol} or schema is Schema.DEFINITION


def test_a_span_is_cut_to_the_nanosecond(tmp_path: Path, lake: Path, canonical: Truth) -> None:
    """From its first nanosecond on, up to but without its end."""
    rows = np.frombuffer(wanted(canonical, Schema.TRADES, "BTCUSDT", BOTH_DAYS), LAYOUTS[Schema.TRADES].dtype)
    span = Span(int(rows["ts_recv"][5]), int(rows["ts_recv"][25]))
    exported(lake, tmp_path / "out.dbn", Schema.TRADES, "BTCUSDT", span)
    data = plain(tmp_path / "out.dbn")
    records = data[8 + int.from_bytes(data[4:8], "little") :]
    assert records == rows[5:25].tobytes()


def test_parquet_holds_the_tables_rows(tmp_path: Path, lake: Path) -> None:
    """The same columns and types as the table, exact decimals, and the provider; pandas reads it."""
    path = tmp_path / "out.parquet"
    exported(lake, path, Schema.TRADES, "BTCUSDT")
    table = pq.read_table(path)
    assert table.schema.remove(0).equals(record_tables()[Schema.TRADES].columns)
    assert table.schema.field("price").type == pa.decimal128(38, 18)
    names = ", ".join(table.column_names)
    with connect(Lake.at(lake)) as connection:
        told = connection.sql(
            f"SELECT {names} FROM trades WHERE raw_symbol = 'BTCUSDT' ORDER BY day, ordinal"
        ).fetchall()
    assert [tuple(row.values()) for row in table.to_pylist()] == told
    assert len(pd.read_parquet(path)) == table.num_rows == len(told) > 0


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_csv_is_exact_text(tmp_path: Path, lake: Path, ending: str) -> None:
    """Every decimal reads back as the table has it, without zeros at its end; NULL is empty; pandas reads it."""
    path = tmp_path / f"out{ending}"
    exported(lake, path, Schema.TRADES, "BTCUSDT")
    exported(lake, tmp_path / "same.parquet", Schema.TRADES, "BTCUSDT")
    text = (gzip.decompress(path.read_bytes()) if ending.endswith("gz") else path.read_bytes()).decode()
    told = list(csv.DictReader(io.StringIO(text)))
    rows = pq.read_table(tmp_path / "same.parquet").to_pylist()
    assert len(told) == len(rows)
    for line, row in zip(told, rows, strict=True):
        for name, value in row.items():
            if value is None:
                assert line[name] == ""
            elif isinstance(value, Decimal):
                assert Decimal(line[name]) == value
                assert "E" not in line[name]
                assert not ("." in line[name] and line[name].endswith(("0", ".")))
            else:
                assert line[name] == str(value)
    assert len(pd.read_csv(path)) == len(rows)


def test_the_smallest_and_the_largest_decimal_are_plain_text() -> None:
    """No exponent and nothing lost at either end of what a decimal column holds."""
    from tapeline.history.writers import writer_for

    table = record_tables()[Schema.TRADES]
    values = [Decimal("1E-18"), Decimal("99999999999999999999.999999999999999999"), Decimal(0), Decimal(-100)]
    rows = pa.table(
        {
            field.name: pa.array(values if field.name == "price" else [None] * 4, field.type)
            if field.name != "raw_symbol"
            else ['a"b', "c,d", "e\nf", ""]
            for field in table.columns
        },
        schema=table.columns,
    )
    file = io.BytesIO()
    writer = writer_for(Path("x.csv"))(file, table, Schema.TRADES, "X", "S", BOTH_DAYS)
    for batch in rows.to_batches():
        writer.write(batch)
    writer.end()
    told = list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))
    assert [line["price"] for line in told] == [
        "0.000000000000000001", "99999999999999999999.999999999999999999", "0", "-100",
    ]  # fmt: skip
    assert [line["raw_symbol"] for line in told] == ['a"b', "c,d", "e\nf", ""]


@pytest.mark.parametrize("ending", FORMS)
def test_the_same_export_is_the_same_bytes(tmp_path: Path, lake: Path, ending: str) -> None:
    """Whenever it is written."""
    for name in ("one", "two"):
        exported(lake, tmp_path / f"{name}{ending}", Schema.MBP_1, "BTC-PERPETUAL")
    assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes()


def test_row_groups_that_cannot_hold_the_symbol_are_not_read(
    tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics tell symbols and times apart: of a day outside the span nothing is opened, of others what may fit."""
    rows = SymbolRows(Lake.at(lake), LakeFiles(Lake.at(lake)), Schema.TRADES, "BTCUSDT", BOTH_DAYS)
    opened: list[str] = []
    real = LakeFiles.open

    def noted(files: LakeFiles, key: str) -> pa.NativeFile:
        opened.append(key)
        return real(files, key)

    monkeypatch.setattr(LakeFiles, "open", noted)
    total = sum(batch.num_rows for batch in rows.batches("BINANCE_SPOT"))
    assert (total > 0, rows.groups["read"], rows.groups["all"]) == (True, 2, 2)
    opened.clear()
    first = SymbolRows(
        Lake.at(lake), LakeFiles(Lake.at(lake)), Schema.TRADES, "BTCUSDT", Span(MIDNIGHT, MIDNIGHT + DAY_NS)
    )
    assert sum(batch.num_rows for batch in first.batches("BINANCE_SPOT")) < total
    assert all("day=2026-01-01" in key for key in opened)
    later = SymbolRows(
        Lake.at(lake),
        LakeFiles(Lake.at(lake)),
        Schema.TRADES,
        "BTCUSDT",
        Span(MIDNIGHT + DAY_NS // 2, MIDNIGHT + DAY_NS),
    )
    assert list(later.batches("BINANCE_SPOT")) == []
    assert later.groups["read"] == 0


def test_nothing_found_leaves_no_file(tmp_path: Path, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, a line that says what there is, and a file that was there stays as it was."""
    path = tmp_path / "out.csv"
    path.write_text("mine")
    words = [
        "export",
        "--schema",
        "trades",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-02",
        "--lake",
        str(lake),
        "-o",
        str(path),
    ]
    assert main([*words, "--symbol", "NOPE"]) == 1
    told = capsys.readouterr().err
    assert "no trades records of NOPE from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z; those days have " in told
    assert "BTCUSDT" in told
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(NothingThereError, match="those days have some at other times"):
        exported(lake, path, Schema.TRADES, "BTCUSDT", Span(MIDNIGHT + DAY_NS // 2, MIDNIGHT + DAY_NS))


def test_wrong_usage_is_told(tmp_path: Path, lake: Path) -> None:
    """A form that is none, a schema that is none, a folder that is not there."""
    with pytest.raises(UsageError, match=r"-o out.xlsx is not allowed; allowed: a name that ends with .dbn"):
        exported(lake, tmp_path / "out.xlsx", Schema.TRADES, "BTCUSDT")
    with pytest.raises(UsageError, match="no directory"):
        exported(lake, tmp_path / "no" / "out.csv", Schema.TRADES, "BTCUSDT")
    words = [
        "export",
        "--symbol",
        "X",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-02",
        "--lake",
        str(lake),
        "-o",
        "x.csv",
    ]
    assert main([*words, "--schema", "tradez"]) == 2


def test_the_command_says_what_it_wrote(tmp_path: Path, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for people; schemas by any of their names."""
    for name in ("mbp-1", "MBP_1", "mbp_1"):
        path = tmp_path / "out.parquet"
        words = [
            "export",
            "--symbol",
            "BTCUSDT",
            "--provider",
            "binance_spot",
            "--schema",
            name,
            "--from",
            "2026-01-01",
        ]
        assert main([*words, "--to", "2026-01-03", "--lake", str(lake), "-o", str(path)]) == 0
        rows = pq.read_metadata(path).num_rows
        assert capsys.readouterr().out.startswith(f"{rows:,} mbp-1 records of BTCUSDT (BINANCE_SPOT) in {path}: ")
