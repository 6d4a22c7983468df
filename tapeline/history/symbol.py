"""The rows of one symbol and span out of a record table, in the order in which they were published, a row group at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tapeline.errors import UsageError
from tapeline.history.choice import NothingThereError
from tapeline.history.lake_files import LakeFiles
from tapeline.history.span import Span, iso
from tapeline.offline.lake import Lake, LakeError
from tapeline.offline.tables import Table, record_tables
from tapeline.schemas import Schema

_SHOWN = 12
_BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group that may hold rows of the symbol."""

    key: str
    number: int


def schema_of(text: str) -> Schema:
    """A schema by its name in channels (`MBP_1`), in DBN (`mbp-1`) or of its table (`mbp_1`, `definitions`); raises UsageError."""
    for schema, table in record_tables().items():
        if text.lower() in (schema.value.lower(), schema.dbn, table.name):
            return schema
    allowed = ", ".join(schema.dbn for schema in record_tables())
    raise UsageError(f"--schema {text!r} is not allowed; allowed: {allowed}")


class SymbolRows:
    """Finds and reads; raises NothingThereError where there are none, UsageError where it is not clear whose symbol is meant."""

    def __init__(self, lake: Lake, files: LakeFiles, schema: Schema, symbol: str, span: Span) -> None:
        self._lake = lake
        self._files = files
        self._schema = schema
        self._symbol = symbol
        self._span = span
        self.table: Table = record_tables()[schema]
        self.groups = Counter[str]()
        """Row groups: `all` of the table's in the days of the span, `read` of them."""

    def provider(self, asked: str | None) -> str:
        """The one provider that has the symbol."""
        keys = self._keys(asked)
        found = [one for one in sorted(keys) if any(self._has(group) for group in self._candidates(keys[one]))]
        if len(found) > 1:
            raise UsageError(f"{self._symbol} is a symbol of {' and '.join(found)}; give --provider")
        if not found:
            raise NothingThereError(self._nothing(asked, keys))
        return found[0]

    def batches(self, provider: str) -> Iterator[pa.RecordBatch]:
        """The rows, with the table's columns."""
        self.groups.clear()
        keys = self._keys(provider)[provider]
        self.groups["all"] = sum(self._count(key) for key in keys)
        wanted = (
            (pc.field("raw_symbol") == self._symbol)
            & (pc.field("ts_recv") >= self._span.start)
            & (pc.field("ts_recv") < self._span.end)
        )
        for group in self._candidates(keys):
            self.groups["read"] += 1
            with self._open(group.key) as file:
                for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group.number], use_threads=False):
                    rows = pa.Table.from_batches([batch]).filter(wanted).cast(self.table.columns)
                    yield from rows.to_batches()

    def _keys(self, provider: str | None) -> dict[str, list[str]]:
        """Files of the table in the days of the span, by provider; within a day and shard in order."""
        found: dict[str, list[str]] = {}
        published = False
        for day in self._span.days():
            for name, version in (self._lake.published(day) or {}).items():
                published = True
                manifest = self._lake.manifest(day, name, version)
                found.setdefault(name, []).extend(sorted(f.key for f in manifest.tables.get(self.table.name, ())))
        if not published:
            span = f"from {iso(self._span.start)} to {iso(self._span.end)}"
            raise NothingThereError(f"no day {span} is published in {self._lake.place}")
        if provider is None:
            return found
        if provider.upper() not in found:
            raise NothingThereError(f"no {provider} in those days; there are {', '.join(sorted(found))}")
        return {provider.upper(): found[provider.upper()]}

    def _candidates(self, keys: Sequence[str]) -> Iterator[_Group]:
        for key in keys:
            with self._open(key) as file:
                names = file.schema_arrow.names
                symbol, time = names.index("raw_symbol"), names.index("ts_recv")
                for number in range(file.metadata.num_row_groups):
                    group = file.metadata.row_group(number)
                    span = (self._span.start, self._span.end - 1)
                    if _may_hold(group.column(symbol), self._symbol, self._symbol) and _may_hold(
                        group.column(time), *span
                    ):
                        yield _Group(key, number)

    def _has(self, group: _Group) -> bool:
        with self._open(group.key) as file:
            rows = file.read_row_group(group.number, ["raw_symbol", "ts_recv"], use_threads=False)
        inside = pc.and_(
            pc.greater_equal(rows.column("ts_recv"), self._span.start), pc.less(rows.column("ts_recv"), self._span.end)
        )
        return bool(pc.any(pc.and_(pc.equal(rows.column("raw_symbol"), self._symbol), inside)).as_py())

    def _count(self, key: str) -> int:
        with self._open(key) as file:
            return int(file.metadata.num_row_groups)

    def _open(self, key: str) -> _Parquet:
        return _Parquet(self._files.open(key), key)

    def _nothing(self, asked: str | None, keys: dict[str, list[str]]) -> str:
        span = f"from {iso(self._span.start)} to {iso(self._span.end)}"
        symbols = sorted(self._symbols(key for found in keys.values() for key in found))
        what = f"no {self._schema.dbn} records of {self._symbol}{f' of {asked}' if asked else ''} {span}"
        if self._symbol in symbols:
            return f"{what}; those days have some at other times"
        more = f" and {len(symbols) - _SHOWN} more" if len(symbols) > _SHOWN else ""
        return f"{what}; those days have {', '.join(symbols[:_SHOWN]) or 'none of any symbol'}{more}"

    def _symbols(self, keys: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for key in keys:
            with self._open(key) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=["raw_symbol"], use_threads=False):
                    found.update(symbol for symbol in pc.unique(batch.column(0)).to_pylist() if symbol is not None)
        return found


class _Parquet(pq.ParquetFile):  # type: ignore[misc]  # pyarrow has no types of its own
    """A Parquet file that says which one it is where it is none."""

    def __init__(self, file: pa.NativeFile, key: str) -> None:
        try:
            super().__init__(file)
        except (pa.ArrowException, OSError) as error:
            raise LakeError(f"{key} is no Parquet file: {error}") from None


def _may_hold(column: pq.ColumnChunkMetaData, low: object, high: object) -> bool:
    """Whether the statistics leave room for a value from `low` to `high`."""
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= high and low <= statistics.max)
