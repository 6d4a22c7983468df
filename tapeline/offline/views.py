"""A DuckDB session over a lake: a view for every table, of the versions that count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import duckdb
import pyarrow as pa

from tapeline.offline.lake import Lake
from tapeline.offline.tables import PARTITIONS, Table, all_tables


def connect(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A DuckDB session of its own with a view for every table, also for those that have no rows yet."""
    files: dict[str, list[str]] = defaultdict(list)
    for manifest in lake.current():
        for name, parts in manifest.tables.items():
            files[name] += [f"{lake.place}/{part.key}" for part in parts]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE MACRO from_unixtime_nanos(ns) AS make_timestamp_ns(ns)")
    for table in all_tables().values():
        connection.execute(f'CREATE VIEW "{table.name}" AS {_select(table, files[table.name])}')
    return connection


def _select(table: Table, files: Iterable[str]) -> str:
    columns = [*table.columns, PARTITIONS.field("day"), PARTITIONS.field("provider")]
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
    if listed:
        names = ", ".join(f'"{column.name}"' for column in columns)
        kinds = ", ".join(f"'{column.name}': {sql_type(column.type)}" for column in PARTITIONS)
        return f"SELECT {names} FROM read_parquet([{listed}], hive_partitioning = true, hive_types = {{{kinds}}})"
    nothing = ", ".join(f'CAST(NULL AS {sql_type(column.type)}) AS "{column.name}"' for column in columns)
    return f"SELECT {nothing} WHERE false"


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of a column's type."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    named = {pa.string(): "VARCHAR", pa.binary(): "BLOB", pa.date32(): "DATE"}
    if kind in named:
        return named[kind]
    return {16: "SMALLINT", 32: "INTEGER", 64: "BIGINT", 8: "TINYINT"}[kind.bit_width]
