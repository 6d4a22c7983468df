"""The tables of a data directory: where their files lie, which of them count, and DuckDB views over them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from tapeline.errors import TapelineError
from tapeline.offline.tables import Table, all_tables

LAKE = "lake"
"""The tables' folder in a data directory."""

_DAYS = "days"


class NoTablesError(TapelineError):
    """There are no tables in the directory."""


class Published(msgspec.Struct, frozen=True):
    """What a day consists of: files by table, relative to the lake. A file that stands in no such list does not count."""

    day: str
    tables: dict[str, list[str]]
    dbn: list[str]


class Lake:
    """The tables under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def under(data_dir: Path) -> Lake:
        """The lake of a data directory, or the directory itself where it is one; raises NoTablesError."""
        for root in (data_dir / LAKE, data_dir):
            if (root / _DAYS).is_dir():
                return Lake(root)
        raise NoTablesError(f"no tables in {data_dir}; `python -m postprocess DAY` makes them from the raw payloads")

    def published(self) -> list[Published]:
        """The days there are, in order."""
        folder = self.root / _DAYS
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        return [msgspec.json.decode(file.read_bytes(), type=Published) for file in files]

    def day(self, day: date) -> Published | None:
        """One day, if it is there."""
        return next((found for found in self.published() if found.day == day.isoformat()), None)

    def publish(self, new: Published) -> None:
        """Makes a day's files the ones that count, in one step; those of an earlier run are removed after it."""
        folder = self.root / _DAYS
        folder.mkdir(parents=True, exist_ok=True)
        old = self.day(date.fromisoformat(new.day))
        draft = folder / f".{new.day}.json"
        with draft.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(new)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / f"{new.day}.json")
        for name in sorted(_files(old) - _files(new)) if old is not None else ():
            (self.root / name).unlink(missing_ok=True)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB session of its own with a view for every table, also for those that have no rows yet."""
        files: dict[str, list[str]] = defaultdict(list)
        for day in self.published():
            for name, paths in day.tables.items():
                files[name] += [str(self.root / path) for path in paths]
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for table in all_tables().values():
            connection.execute(f'CREATE VIEW "{table.name}" AS {_select(table, files[table.name])}')
        return connection


def _files(day: Published | None) -> set[str]:
    return {path for paths in (*day.tables.values(), day.dbn) for path in paths} if day is not None else set()


def _select(table: Table, files: Iterable[str]) -> str:
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
    if listed:
        return f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"
    columns = ", ".join(f'CAST(NULL AS {_sql_type(column.type)}) AS "{column.name}"' for column in table.columns)
    return f"SELECT {columns} WHERE false"


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP_NS"
    named = {pa.string(): "VARCHAR", pa.binary(): "BLOB"}
    if kind in named:
        return named[kind]
    sizes = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}
    return ("" if pa.types.is_signed_integer(kind) else "U") + sizes[kind.bit_width]
