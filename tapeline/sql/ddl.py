"""The tables as Athena knows them: the statements that define them over a lake and a raw store.

A table's files lie by day, provider and version (`trades_versions`); the view `trades` joins them with `published`, so that only
versions that count are seen, and publishing is one put. Partitions are projected: no crawler, no MSCK, nothing to add.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from tapeline.errors import UsageError
from tapeline.offline.notes import note
from tapeline.offline.tables import (
    MOST_VERSIONS,
    PARTITIONS,
    PUBLISHED,
    RAW_OBJECTS,
    Table,
    TextTable,
    all_tables,
)
from tapeline.partitions import EMPTY
from tapeline.schemas import Schema
from tapeline.venues import names, provider

VERSIONS = "_versions"
"""What a table's name ends with where the files of all its versions are meant."""

_DATES = "yyyy-MM-dd"
_LAST_YEAR = 2100


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tables lie, as Athena sees it; both locations are URLs without a slash at the end."""

    database: str
    lake: str
    raw: str | None
    """The raw store; without it there is no table `raw_objects`."""
    since: date
    """No day before it is looked for."""
    providers: tuple[str, ...]
    """No other provider is looked for."""

    @staticmethod
    def of(database: str, lake: str, raw: str | None, since: date) -> Place:
        """A place with all venues there are; raises UsageError."""
        if not database.replace("_", "a").isalnum() or not database.isascii() or database != database.lower():
            raise UsageError(f"database {database!r} is not made of small letters, digits and _")
        for url in (lake, raw):
            if url is not None and ("'" in url or "$" in url or "\\" in url):
                raise UsageError(f"location {url!r} holds a character that SQL would take for its own")
        known = tuple(provider(name) for name in names())
        return Place(database, lake.rstrip("/"), raw.rstrip("/") if raw else None, since, known)


@dataclass(frozen=True, slots=True)
class HiveTable:
    """An external table in Hive's terms."""

    name: str
    about: str
    columns: pa.Schema
    partitions: pa.Schema
    location: str
    text: bool
    properties: dict[str, str]
    noted_as: str
    """The table whose notes on columns are meant."""


@dataclass(frozen=True, slots=True)
class View:
    """A view of the versions that count."""

    name: str
    about: str
    columns: pa.Schema
    select: str
    """Its query in Athena's (Trino's) SQL."""


def hive_tables(place: Place) -> list[HiveTable]:
    """Every external table, `published` first."""
    found = [_published(place), *(_versions(table, place) for table in all_tables().values())]
    if place.raw is not None:
        found.append(_raw_objects(place, place.raw))
    return found


def views(place: Place) -> list[View]:
    """A view for every table of the lake."""
    return [_view(table, place) for table in all_tables().values()]


def statements(place: Place, replace: bool = False) -> list[str]:
    """All that defines the tables, one statement each, in order; `replace` drops those that are there (never their data)."""
    tables = hive_tables(place)
    dropped = [f"DROP TABLE IF EXISTS `{place.database}`.`{table.name}`" for table in tables] if replace else []
    return [
        f"CREATE DATABASE IF NOT EXISTS `{place.database}`",
        *dropped,
        *(create_table(table, place.database) for table in tables),
        *(create_view(view, place.database) for view in views(place)),
    ]


def create_table(table: HiveTable, database: str) -> str:
    """Its CREATE EXTERNAL TABLE; every name in backticks, since `schema`, `day`, `hour` and others are Hive's own words."""
    properties = ",\n".join(f"  '{name}'='{value}'" for name, value in table.properties.items())
    form = (
        "ROW FORMAT DELIMITED\n  FIELDS TERMINATED BY '\\t'\nSTORED AS TEXTFILE" if table.text else "STORED AS PARQUET"
    )
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{table.name}` (\n{_listed(table, table.columns)}\n)\n"
        f"COMMENT '{table.about}'\n"
        f"PARTITIONED BY (\n{_listed(table, table.partitions)}\n)\n"
        f"{form}\n"
        f"LOCATION '{table.location}/'\n"
        f"TBLPROPERTIES (\n{properties}\n)"
    )


def create_view(view: View, database: str) -> str:
    """Its CREATE VIEW, in Trino's SQL as all of Athena but its table DDL."""
    return f'CREATE OR REPLACE VIEW "{database}"."{view.name}" AS\n{view.select}'


def hive_type(kind: pa.DataType) -> str:
    """Hive's and Athena's name of a column's type."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    named = {pa.string(): "string", pa.binary(): "binary", pa.date32(): "date"}
    return named.get(kind) or {8: "tinyint", 16: "smallint", 32: "int", 64: "bigint"}[kind.bit_width]


def _listed(table: HiveTable, columns: pa.Schema) -> str:
    lines = (f"  `{c.name}` {hive_type(c.type)} COMMENT '{note(table.noted_as, c.name)}'" for c in columns)
    return ",\n".join(lines)


def _versions(table: Table, place: Place) -> HiveTable:
    name = table.name + VERSIONS
    location = f"{place.lake}/{table.name}"
    properties = {
        "classification": "parquet",
        "parquet.compression": "ZSTD",
        "projection.enabled": "true",
        **_days(place),
        "projection.provider.type": "enum",
        "projection.provider.values": ",".join(place.providers),
        "projection.version.type": "integer",
        "projection.version.range": f"1,{MOST_VERSIONS}",
        "storage.location.template": f"{location}/day=${{day}}/provider=${{provider}}/version=${{version}}/",
    }
    about = f"{table.about} (all versions: {PUBLISHED.name} says which count, {table.name} shows them)"
    return HiveTable(name, about, table.columns, PARTITIONS, location, False, properties, table.name)


def _published(place: Place) -> HiveTable:
    location = f"{place.lake}/{PUBLISHED.name}"
    properties = {
        "classification": "csv",
        "projection.enabled": "true",
        **_days(place),
        "storage.location.template": f"{location}/day=${{day}}/",
    }
    return _text(PUBLISHED, location, properties)


def _raw_objects(place: Place, location: str) -> HiveTable:
    schemas = (*(schema.value for schema in Schema), EMPTY)
    properties = {
        "classification": "csv",
        "compressionType": "gzip",
        "projection.enabled": "true",
        "projection.instance.type": "enum",
        "projection.instance.values": "PRIMARY,REPLICA",
        "projection.provider.type": "enum",
        "projection.provider.values": ",".join(place.providers),
        "projection.schema.type": "enum",
        "projection.schema.values": ",".join(schemas),
        "projection.channel.type": "injected",
        **_numbers("year", place.since.year, _LAST_YEAR, 4),
        **_numbers("month", 1, 12, 2),
        **_numbers("day", 1, 31, 2),
        "storage.location.template": location + "".join(f"/{c}=${{{c}}}" for c in RAW_OBJECTS.partitions.names) + "/",
    }
    return _text(RAW_OBJECTS, location, properties)


def _text(table: TextTable, location: str, properties: dict[str, str]) -> HiveTable:
    return HiveTable(table.name, table.about, table.columns, table.partitions, location, True, properties, table.name)


def _days(place: Place) -> dict[str, str]:
    return {
        "projection.day.type": "date",
        "projection.day.format": _DATES,
        "projection.day.range": f"{place.since.isoformat()},NOW+1DAYS",
        "projection.day.interval": "1",
        "projection.day.interval.unit": "DAYS",
    }


def _numbers(column: str, low: int, high: int, digits: int) -> dict[str, str]:
    return {
        f"projection.{column}.type": "integer",
        f"projection.{column}.range": f"{low},{high}",
        f"projection.{column}.digits": str(digits),
    }


def _view(table: Table, place: Place) -> View:
    columns = pa.schema([*table.columns, *PARTITIONS])
    listed = ", ".join(f'v."{column.name}"' for column in columns)
    same = " AND ".join(f'p."{name}" = v."{name}"' for name in PARTITIONS.names)
    select = (
        f'SELECT {listed}\nFROM "{place.database}"."{table.name}{VERSIONS}" v\n'
        f'JOIN "{place.database}"."{PUBLISHED.name}" p ON {same}'
    )
    return View(table.name, f"{table.about}, of the version that counts", columns, select)
