"""The tables as Glue keeps them: TableInput structures, for whoever defines them by API or by Terraform and not by statement."""

from __future__ import annotations

import base64
import json
from typing import TypedDict

import pyarrow as pa

from tapeline.offline.notes import note
from tapeline.sql.ddl import HiveTable, Place, View, hive_tables, hive_type, views

_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
_FORMS = {
    False: (
        f"{_PARQUET}.MapredParquetInputFormat",
        f"{_PARQUET}.MapredParquetOutputFormat",
        f"{_PARQUET}.serde.ParquetHiveSerDe",
        {"serialization.format": "1"},
    ),
    True: (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
        {"field.delim": "\t", "serialization.format": "\t"},
    ),
}
"""Input format, output format, SerDe and its parameters, of text and of Parquet."""


class Column(TypedDict):
    """A column in Glue's words."""

    Name: str
    Type: str
    Comment: str


class SerDe(TypedDict):
    """How rows are read."""

    SerializationLibrary: str
    Parameters: dict[str, str]


class Storage(TypedDict, total=False):
    """Where and how rows lie; a view has columns only."""

    Columns: list[Column]
    Location: str
    InputFormat: str
    OutputFormat: str
    SerdeInfo: SerDe


class TableInput(TypedDict, total=False):
    """A table or view in Glue's words."""

    Name: str
    Description: str
    TableType: str
    Parameters: dict[str, str]
    PartitionKeys: list[Column]
    StorageDescriptor: Storage
    ViewOriginalText: str
    ViewExpandedText: str


def table_inputs(place: Place) -> list[TableInput]:
    """All tables, then all views."""
    return [*(_table(table) for table in hive_tables(place)), *(_view(view, place) for view in views(place))]


def _table(table: HiveTable) -> TableInput:
    reads, writes, serde, parameters = _FORMS[table.text]
    return {
        "Name": table.name,
        "Description": table.about,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", **table.properties},
        "PartitionKeys": _columns(table.partitions, table.noted_as),
        "StorageDescriptor": {
            "Columns": _columns(table.columns, table.noted_as),
            "Location": f"{table.location}/",
            "InputFormat": reads,
            "OutputFormat": writes,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": parameters},
        },
    }


def _view(view: View, place: Place) -> TableInput:
    """A view as Athena and Trino write it: its query in a JSON of their own, base64 in a comment."""
    told = {
        "originalSql": view.select,
        "catalog": "awsdatacatalog",
        "schema": place.database,
        "columns": [{"name": column.name, "type": trino_type(column.type)} for column in view.columns],
    }
    coded = base64.b64encode(json.dumps(told).encode()).decode()
    return {
        "Name": view.name,
        "Description": view.about,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "PartitionKeys": [],
        "StorageDescriptor": {"Columns": _columns(view.columns, view.name)},
        "ViewOriginalText": f"/* Presto View: {coded} */",
        "ViewExpandedText": "/* Presto View */",
    }


def trino_type(kind: pa.DataType) -> str:
    """Trino's name of a column's type."""
    return {"string": "varchar", "binary": "varbinary", "int": "integer"}.get(hive_type(kind), hive_type(kind))


def _columns(columns: pa.Schema, table: str) -> list[Column]:
    return [{"Name": c.name, "Type": hive_type(c.type), "Comment": note(table, c.name)} for c in columns]
