"""A run's files: written out of sight, put in place when complete, and counted only when the day is published."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from postprocess.units import Unit
from tapeline.offline.channel_index import IndexWriter
from tapeline.offline.dbn_file import DbnFile
from tapeline.offline.lake import DBN, INDEX, File, Lake
from tapeline.offline.tables import KINDS, Table
from tapeline.schemas import Schema

ROWS_IN_MEMORY = 131_072
"""Rows of a table that are gathered into one row group."""

KIND_SIZES = {kind.schema: kind.dtype.itemsize for kind in KINDS.values()}
"""Bytes of a record by schema."""


class Staging:
    """Files of one version of a provider's day, on this machine until they are whole."""

    def __init__(self, lake: Lake, unit: Unit) -> None:
        self._lake = lake
        self._folder = unit.folder
        self._part = unit.part(0)
        self._hidden = tempfile.TemporaryDirectory(prefix="tapeline-")
        self._tables: dict[str, list[str]] = {}
        self._dbn: dict[str, list[str]] = {}
        self._index: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hidden.cleanup()

    def parquet(self, table: Table) -> Path:
        """Where to write the file of a table."""
        return self._place(self._tables.setdefault(table.name, []), f"{table.name}/{self._folder}/{self._part}.parquet")

    def dbn(self, schema: Schema) -> Path:
        """Where to write the DBN file of a schema."""
        name = f"{DBN}/schema={schema.dbn}/{self._folder}/{self._part}.dbn.zst"
        return self._place(self._dbn.setdefault(schema.dbn, []), name)

    def index(self) -> Path:
        """Where to write the index of channels."""
        return self._place(self._index, f"{INDEX}/{self._folder}/{self._part}.parquet")

    def settle(self, rows: dict[str, int]) -> tuple[dict[str, list[File]], dict[str, list[File]], list[File]]:
        """Puts all files into the lake; what the manifest says of them, tables, DBN and index, `rows` being those of each."""
        return (
            {name: [self._put(key, rows[key]) for key in keys] for name, keys in self._tables.items()},
            {name: [self._put(key, rows[key]) for key in keys] for name, keys in self._dbn.items()},
            [self._put(key, rows[key]) for key in self._index],
        )

    def key(self, path: Path) -> str:
        """The key a file will have in the lake."""
        return path.relative_to(self._hidden.name).as_posix()

    def _put(self, key: str, rows: int) -> File:
        data = (Path(self._hidden.name) / key).read_bytes()
        self._lake.store.put(key, data, if_absent=False)
        return File(key, rows, len(data), hashlib.sha256(data).hexdigest())

    def _place(self, names: list[str], name: str) -> Path:
        names.append(name)
        path = Path(self._hidden.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class ProviderFiles:
    """The open files of one provider: a Parquet file for each table, a DBN file for each schema."""

    def __init__(self, staging: Staging, provider: str) -> None:
        self._staging = staging
        self._provider = provider
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._gathered: dict[str, list[pa.Table]] = {}
        self._dbn: dict[Schema, DbnFile] = {}
        self.rows: dict[str, int] = {}
        """By the key of the file."""
        self._keys: dict[str, str] = {}
        self._index: IndexWriter | None = None

    def add_rows(self, table: Table, rows: pa.Table) -> None:
        """Rows of a table, in order."""
        if not rows.num_rows:
            return
        gathered = self._gathered.setdefault(table.name, [])
        gathered.append(rows)
        if sum(part.num_rows for part in gathered) >= ROWS_IN_MEMORY:
            self._write(table)

    def add_records(self, schema: Schema, data: bytes) -> None:
        """DBN records of a schema, in order."""
        file = self._dbn.get(schema)
        if file is None:
            path = self._staging.dbn(schema)
            self._keys[schema.dbn] = self._staging.key(path)
            file = self._dbn[schema] = DbnFile(path, self._provider, schema)
        file.write(data)
        key = self._keys[schema.dbn]
        self.rows[key] = self.rows.get(key, 0) + len(data) // KIND_SIZES[schema]

    def add_places(
        self, channels: list[tuple[str, str]], numbers: npt.NDArray[np.uint16], stamps: npt.NDArray[np.int64]
    ) -> None:
        """Of records of all schemas, in the order of the stream: their channels, by number, and `ts_recv`, ns."""
        if self._index is None and len(numbers):
            path = self._staging.index()
            self._keys[INDEX] = self._staging.key(path)
            self._index = IndexWriter(path)
        if self._index is not None:
            self._index.add(channels, numbers, stamps)

    def finish(self, tables: dict[str, Table], span: tuple[int, int], symbols: dict[int, str]) -> None:
        """Closes everything; `span` is the first and the last time in ns."""
        for name in list(self._gathered):
            self._write(tables[name])
        for writer in self._writers.values():
            writer.close()
        for file in self._dbn.values():
            file.finish(*span, symbols)
        if self._index is not None:
            self._index.finish()
            self.rows[self._keys[INDEX]] = self._index.rows

    def abandon(self) -> None:
        """Lets go of the files without making them whole."""
        for writer in self._writers.values():
            writer.close()
        for file in self._dbn.values():
            file.abandon()
        if self._index is not None:
            self._index.abandon()

    def _write(self, table: Table) -> None:
        rows = pa.concat_tables(self._gathered.pop(table.name))
        writer = self._writers.get(table.name)
        if writer is None:
            path = self._staging.parquet(table)
            self._keys[table.name] = self._staging.key(path)
            writer = self._writers[table.name] = pq.ParquetWriter(path, table.columns, compression="zstd")
        writer.write_table(rows)
        key = self._keys[table.name]
        self.rows[key] = self.rows.get(key, 0) + rows.num_rows
