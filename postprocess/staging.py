"""A run's files: written out of sight, put in place when complete, and counted only when the day is published."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.offline.dbn_file import DbnFile
from tapeline.offline.lake import Published
from tapeline.offline.tables import Table
from tapeline.schemas import Schema

ROWS_IN_MEMORY = 131_072
"""Rows of a table that are gathered into one row group."""


class Staging:
    """Files of one run over one day."""

    def __init__(self, root: Path, day: str, run: str) -> None:
        self._root = root
        self._day = day
        self._run = run
        self._hidden = root / f".staging-{day}-{run}"
        self._tables: dict[str, list[str]] = {}
        self._dbn: list[str] = []

    def __enter__(self) -> Self:
        shutil.rmtree(self._hidden, ignore_errors=True)
        self._hidden.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._hidden, ignore_errors=True)

    def parquet(self, table: Table, provider: str) -> Path:
        """Where to write a provider's file of a table."""
        name = f"{table.name}/day={self._day}/provider={provider}/{self._run}.parquet"
        self._tables.setdefault(table.name, []).append(name)
        return self._place(name)

    def dbn(self, schema: Schema, provider: str) -> Path:
        """Where to write a provider's DBN file of a schema."""
        name = f"dbn/schema={schema.dbn}/day={self._day}/provider={provider}/{self._run}.dbn.zst"
        self._dbn.append(name)
        return self._place(name)

    def settle(self) -> Published:
        """Gives all files their places, where nobody counts them before they are published."""
        for name in (*(name for names in self._tables.values() for name in names), *self._dbn):
            target = self._root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._hidden / name).replace(target)
        return Published(self._day, self._tables, self._dbn)

    def _place(self, name: str) -> Path:
        path = self._hidden / name
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
            file = self._dbn[schema] = DbnFile(self._staging.dbn(schema, self._provider), self._provider, schema)
        file.write(data)

    def finish(self, tables: dict[str, Table], span: tuple[int, int], symbols: dict[int, str]) -> None:
        """Closes everything; `span` is the first and the last time in ns."""
        for name in list(self._gathered):
            self._write(tables[name])
        for writer in self._writers.values():
            writer.close()
        for file in self._dbn.values():
            file.finish(*span, symbols)

    def abandon(self) -> None:
        """Lets go of the files without making them whole."""
        for writer in self._writers.values():
            writer.close()
        for file in self._dbn.values():
            file.abandon()

    def _write(self, table: Table) -> None:
        rows = pa.concat_tables(self._gathered.pop(table.name))
        writer = self._writers.get(table.name)
        if writer is None:
            path = self._staging.parquet(table, self._provider)
            writer = self._writers[table.name] = pq.ParquetWriter(path, table.columns, compression="zstd")
        writer.write_table(rows)
