"""DuckDB as engine, on this machine: Athena's SQL translated, over a lake's files wherever they are."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds

from tapeline.errors import TapelineError
from tapeline.objectstore import open_store
from tapeline.offline.answer_text import Answer, of_arrow
from tapeline.offline.lake import Lake
from tapeline.offline.tables import RAW_OBJECTS
from tapeline.offline.views import connect, s3_files
from tapeline.sql.dialect import for_duckdb, tables_of

_BLOCK_BYTES = 64 << 20
"""The longest row that is read; an object holds no more before gzip by default."""


def ask(lake: Lake, raw: str, sql: str) -> Answer:
    """The answer to a checked statement, over the tables and, where it speaks of `raw_objects`, the raw store; raises TapelineError."""
    translated = for_duckdb(sql)
    named = tables_of(sql)
    with connect(lake, named) as connection:
        # As in Athena, what is divided as integers is an integer.
        connection.execute("SET integer_division = true")
        try:
            if RAW_OBJECTS.name in named:
                connection.register(RAW_OBJECTS.name, _raw_objects(raw))
            return of_arrow(connection.sql(translated).to_arrow_table())
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise TapelineError(f"query failed: {' '.join(str(error).split())}") from None


def _raw_objects(place: str) -> ds.Dataset:
    """The raw store as Hive sees it: values of partitions as they stand in the keys."""
    keys = [key for key in open_store(place, must_exist=True).list("instance=") if key.endswith(".tsv.gz")]
    columns = pa.schema([*RAW_OBJECTS.columns, *RAW_OBJECTS.partitions])
    if not keys:
        return ds.dataset(columns.empty_table())
    files, root = s3_files(place) if place.startswith("s3://") else (None, place.removeprefix("file://"))
    return ds.dataset(
        [f"{root}/{key}" for key in keys],
        schema=columns,
        filesystem=files,
        format=_tsv(),
        partitioning=ds.HivePartitioning(RAW_OBJECTS.partitions, segment_encoding="none"),
        partition_base_dir=root,
    )


def _tsv() -> ds.CsvFileFormat:
    return ds.CsvFileFormat(
        parse_options=pc.ParseOptions(
            delimiter="\t", quote_char=False, double_quote=False, escape_char=False, newlines_in_values=False
        ),
        read_options=pc.ReadOptions(column_names=RAW_OBJECTS.columns.names, block_size=_BLOCK_BYTES),
        convert_options=pc.ConvertOptions(
            column_types={c.name: c.type for c in RAW_OBJECTS.columns}, strings_can_be_null=False
        ),
    )
