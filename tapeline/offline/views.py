"""A DuckDB session over a lake: a view for every table, of the versions that count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from tapeline.offline.lake import Lake, Manifest
from tapeline.offline.tables import PARTITIONS, PUBLISHED, Table, all_tables

_ASKED_AT_ONCE = 16


def connect(lake: Lake, only: Collection[str] | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB session of its own with a view for every table (`only`: for these), also for those that have no rows yet.

    Tables on S3 are read through Arrow, which leaves out files and row groups that a query's conditions rule out.
    """
    wanted = [table for table in all_tables().values() if only is None or table.name in only]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE MACRO from_unixtime_nanos(ns) AS make_timestamp_ns(CAST(ns AS BIGINT))")
    versions = _current(lake) if wanted or only is None or PUBLISHED.name in only else []
    files: dict[str, list[str]] = defaultdict(list)
    for manifest in versions:
        for name, parts in manifest.tables.items():
            files[name] += [part.key for part in parts]
    for table in wanted:
        keys = files[table.name]
        if not keys:
            source = _nothing(table)
        elif lake.place.startswith("s3://"):
            connection.register(f"{table.name}_files", _dataset(table, lake, keys))
            source = f'SELECT * FROM "{table.name}_files"'
        else:
            source = _read_parquet(table, [f"{lake.place}/{key}" for key in keys])
        connection.execute(f'CREATE VIEW "{table.name}" AS {source}')
    if only is None or PUBLISHED.name in only:
        _list_published(connection, versions)
    return connection


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of a column's type."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    named = {pa.string(): "VARCHAR", pa.binary(): "BLOB", pa.date32(): "DATE"}
    if kind in named:
        return named[kind]
    return {16: "SMALLINT", 32: "INTEGER", 64: "BIGINT", 8: "TINYINT"}[kind.bit_width]


def s3_files(place: str) -> tuple[pa.fs.S3FileSystem, str]:
    """Arrow's own S3, and the path of an `s3://` URL in it; keys and region come from where boto3 takes them."""
    from pyarrow.fs import S3FileSystem

    from tapeline.settings import Settings

    parts = urlsplit(place)
    endpoint = Settings.from_environment().s3_endpoint
    options = {}
    if endpoint:
        scheme, _, host = endpoint.partition("://")
        options = {"endpoint_override": host.rstrip("/"), "scheme": scheme}
    return S3FileSystem(**options), f"{parts.netloc}/{unquote(parts.path).strip('/')}".rstrip("/")


def _current(lake: Lake) -> list[Manifest]:
    """As `lake.current`, many at once: on S3 each takes its time."""
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        days = lake.days()
        published = zip(days, pool.map(lake.published, days), strict=True)
        found = [(day, *one) for day, versions in published for one in (versions or {}).items()]
        return list(pool.map(lambda one: lake.manifest(*one), found))


def _columns(table: Table) -> pa.Schema:
    return pa.schema([*table.columns, *PARTITIONS])


def _read_parquet(table: Table, paths: Iterable[str]) -> str:
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    names = ", ".join(f'"{column.name}"' for column in _columns(table))
    kinds = ", ".join(f"'{column.name}': {sql_type(column.type)}" for column in PARTITIONS)
    return f"SELECT {names} FROM read_parquet([{listed}], hive_partitioning = true, hive_types = {{{kinds}}})"


def _dataset(table: Table, lake: Lake, keys: Iterable[str]) -> ds.Dataset:
    files, root = s3_files(lake.place)
    return ds.dataset(
        [f"{root}/{key}" for key in keys],
        schema=_columns(table),
        filesystem=files,
        format="parquet",
        partitioning=ds.HivePartitioning(PARTITIONS),
        partition_base_dir=f"{root}/{table.name}",
    )


def _nothing(table: Table) -> str:
    nothing = ", ".join(f'CAST(NULL AS {sql_type(column.type)}) AS "{column.name}"' for column in _columns(table))
    return f"SELECT {nothing} WHERE false"


def _list_published(connection: duckdb.DuckDBPyConnection, versions: Iterable[Manifest]) -> None:
    columns = ", ".join(f'"{c.name}" {sql_type(c.type)}' for c in (*PUBLISHED.columns, *PUBLISHED.partitions))
    connection.execute(f'CREATE TABLE "{PUBLISHED.name}" ({columns})')
    for one in versions:
        values = [one.provider, one.version, one.day]
        connection.execute(f'INSERT INTO "{PUBLISHED.name}" VALUES (?, ?, CAST(? AS DATE))', values)
