"""Rows of one symbol as a file: DBN, Parquet or CSV; a file has its name only when it is whole."""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import IO

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import zstandard

from tapeline.errors import UsageError
from tapeline.history.records import records
from tapeline.history.span import Span
from tapeline.offline.dbn_file import metadata
from tapeline.offline.tables import Table
from tapeline.schemas import Schema

_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3
_GROUP_ROWS = 131_072


class Writer(ABC):
    """Writes rows of one symbol of a provider."""

    def __init__(self, file: IO[bytes], table: Table, schema: Schema, provider: str, symbol: str, span: Span) -> None:
        self._file = file
        self._table = table
        self._schema = schema
        self._provider = provider
        self._symbol = symbol
        self._span = span
        self.rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """The next rows, with the table's columns."""
        if rows.num_rows:
            self._write(rows)
            self.rows += rows.num_rows

    @abstractmethod
    def _write(self, rows: pa.RecordBatch) -> None: ...

    def end(self) -> None:
        """Writes what closes the file."""
        self._file.flush()

    def _with_provider(self, rows: pa.RecordBatch) -> pa.Table:
        name = pa.array([self._provider], pa.string()).take(pa.array([0] * rows.num_rows, pa.int32()))
        return pa.Table.from_batches([rows]).add_column(0, "provider", name)


class _Dbn(Writer):
    """The metadata tells the span that was asked for and the symbol."""

    def _write(self, rows: pa.RecordBatch) -> None:
        found = records(self._table, self._schema, rows)
        if not self.rows:
            symbols = {int(found["instrument_id"][0]): self._symbol}
            self._file.write(metadata(self._provider, self._schema, self._span.start, self._span.end, symbols))
        self._file.write(found.tobytes())


class _DbnZst(_Dbn):
    def __init__(self, file: IO[bytes], *rest: object) -> None:
        self._plain = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_writer(file, closefd=False)
        super().__init__(self._plain, *rest)  # type: ignore[arg-type]

    def end(self) -> None:
        """Writes what closes the file."""
        self._plain.close()  # type: ignore[no-untyped-call]  # zstandard's stub lacks its types


class _Parquet(Writer):
    _writer: pq.ParquetWriter | None = None

    def _write(self, rows: pa.RecordBatch) -> None:
        table = self._with_provider(rows)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_table(table, row_group_size=_GROUP_ROWS)

    def end(self) -> None:
        """Writes what closes the file."""
        if self._writer is not None:
            self._writer.close()


class _Csv(Writer):
    """Decimals are plain text, exact, without zeros at their end; what is NULL is empty."""

    def _write(self, rows: pa.RecordBatch) -> None:
        table = self._with_provider(rows)
        with duckdb.connect() as connection:
            connection.register("rows", table)
            told = connection.sql(f"SELECT {', '.join(_plain(field) for field in table.schema)} FROM rows")
            ready = told.to_arrow_table()
        if not self.rows:
            self._file.write((",".join(table.column_names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed" if _special(ready) else "none")
        pyarrow.csv.write_csv(ready, self._file, options)


class _CsvGz(_Csv):
    def __init__(self, file: IO[bytes], *rest: object) -> None:
        # The same rows are the same bytes, whenever they are written.
        self._zipped = gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0)
        super().__init__(self._zipped, *rest)  # type: ignore[arg-type]

    def end(self) -> None:
        """Writes what closes the file."""
        self._zipped.close()


def _special(rows: pa.Table) -> bool:
    """Whether a text has a character that CSV quotes for; Arrow would quote every text for one."""
    texts = (column for column in rows.columns if pa.types.is_string(column.type))
    return any(pc.any(pc.match_substring_regex(text, '[",\\r\\n]')).as_py() for text in texts)


def _plain(field: pa.Field) -> str:
    name: str = '"' + field.name.replace('"', '""') + '"'
    if not pa.types.is_decimal(field.type):
        return name
    if not field.type.scale:
        return f"CAST({name} AS VARCHAR) AS {name}"
    return f"rtrim(rtrim(CAST({name} AS VARCHAR), '0'), '.') AS {name}"


_KINDS: dict[str, Callable[..., Writer]] = {
    ".dbn": _Dbn,
    ".dbn.zst": _DbnZst,
    ".parquet": _Parquet,
    ".csv": _Csv,
    ".csv.gz": _CsvGz,
}


def writer_for(path: Path) -> Callable[..., Writer]:
    """What writes files of a name's kind; raises UsageError."""
    ending = next((ending for ending in sorted(_KINDS, key=len, reverse=True) if path.name.endswith(ending)), None)
    if ending is None:
        raise UsageError(f"-o {path.name} is not allowed; allowed: a name that ends with {', '.join(_KINDS)}")
    if not path.parent.is_dir():
        raise UsageError(f"no directory {path.parent} to write {path.name} in")
    return _KINDS[ending]
