"""Sorted rows as Parquet parts: row groups that statistics tell apart by symbol and time, parts of a size that readers like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from postprocess.codes import CODED, Texts, written
from tapeline.offline.tables import Table

GROUP_ROWS = 131_072
"""The most rows of a row group."""

LARGE_ROWS = GROUP_ROWS // 4
"""A symbol with so many rows has row groups of its own; smaller ones share."""

GROUP_BYTES = 64 << 20
"""A row group ends with the payload that makes it so large."""

PART_BYTES = 128 << 20
"""A part ends with the row group that makes it so large."""

PAYLOAD = "payload"
_DELTA = {
    "ordinal", "raw_sequence", "ts_recv", "ts_event", "ts_ref", "ts_in_delta", "venue_id", "sequence", "connection",
}  # fmt: skip


def group_sizes(counts: Iterable[int]) -> Iterator[int]:
    """Rows of each row group, of symbols with these numbers of rows."""
    open_rows = 0
    for count in counts:
        if count < LARGE_ROWS and open_rows + count <= GROUP_ROWS:
            open_rows += count
            continue
        if open_rows:
            yield open_rows
        open_rows = count if count < LARGE_ROWS else 0
        if count >= LARGE_ROWS:
            pieces = -(-count // GROUP_ROWS)
            yield from (count // pieces + (number < count % pieces) for number in range(pieces))
    if open_rows:
        yield open_rows


def groups(rows: Iterable[pa.Table], sizes: Iterable[int]) -> Iterator[pa.Table]:
    """Sorted rows, given in pieces of any size, as row groups: the same for the same rows, however they are cut."""
    pieces = iter(rows)
    rest: pa.Table | None = None
    for size in sizes:
        left, gathered, held = size, [], 0
        while left:
            rest = rest if rest is not None and rest.num_rows else next(pieces)
            count, found = _fitting(rest, left, GROUP_BYTES - held)
            gathered.append(rest.slice(0, count))
            rest = rest.slice(count)
            left -= count
            held += found
            if held >= GROUP_BYTES:
                yield pa.concat_tables(gathered)
                gathered, held = [], 0
        if gathered:
            yield pa.concat_tables(gathered)


def _fitting(rows: pa.Table, most: int, room: int) -> tuple[int, int]:
    """How many rows go into the row group, and the bytes of their payloads."""
    count = min(rows.num_rows, most)
    if PAYLOAD not in rows.column_names:
        return count, 0
    ends = np.cumsum(pc.binary_length(rows.column(PAYLOAD).slice(0, count)).to_numpy())
    count = min(count, int(np.searchsorted(ends, room)) + 1)
    return count, int(ends[count - 1])


class Parts:
    """A table's Parquet files; `places` gives where to write the next one."""

    def __init__(self, table: Table, texts: Texts, places: Iterator[Path]) -> None:
        self._table = table
        self._texts = texts
        self._places = places

    def write(self, row_groups: Iterable[pa.Table]) -> Iterator[tuple[Path, int]]:
        """Each file, when it is whole, and its rows."""
        writer: pq.ParquetWriter | None = None
        path, rows = Path(), 0
        try:
            for group in row_groups:
                # Pages end where chunks end, so there is one.
                ready = written(group.combine_chunks(), self._table.columns, self._texts)
                if writer is None:
                    path, rows = next(self._places), 0
                    file = path.open("wb")
                    writer = self._writer(file, ready.schema)
                writer.write_table(ready, row_group_size=ready.num_rows)
                rows += ready.num_rows
                if file.tell() >= PART_BYTES:
                    writer.close()
                    file.close()
                    writer = None
                    yield path, rows
        finally:
            if writer is not None:
                writer.close()
                file.close()
        if writer is not None:
            yield path, rows

    def _writer(self, file: object, schema: pa.Schema) -> pq.ParquetWriter:
        delta = {name: "DELTA_BINARY_PACKED" for name in schema.names if name in _DELTA and name not in CODED}
        return pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in delta and name != PAYLOAD],
            column_encoding=delta,
            write_statistics=True,
            write_page_index=True,
            store_schema=False,
        )
