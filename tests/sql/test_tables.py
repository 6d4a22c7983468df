"""`tapeline tables`, and the page that tells of the tables."""

from __future__ import annotations

import base64
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tapeline.cli.main import main
from tapeline.errors import UsageError
from tapeline.offline.page import generated
from tapeline.offline.tables import RAW_OBJECTS, all_tables
from tapeline.rawfile import COLUMNS
from tapeline.sql.athena import Athena
from tapeline.sql.ddl import Place, hive_tables, statements
from tapeline.sql.glue import table_inputs
from tapeline.venues import names

DOCS = Path(__file__).resolve().parents[2] / "docs"
PLACE = Place.of("market", "s3://bucket/lake/", "s3://bucket/raw", date(2020, 1, 1))


def test_the_page_of_the_tables_is_true() -> None:
    """Its list of columns is what the code says: `python -m tapeline.offline.page` writes it."""
    assert generated() in (DOCS / "tables.md").read_text()


def test_files_have_the_columns_of_their_table(day: Path) -> None:
    """What post-process writes is what the DDL says, column by column."""
    seen = set()
    for path in sorted((day / "lake").glob("*/day=*/**/*.parquet")):
        table = all_tables().get(path.relative_to(day / "lake").parts[0])
        if table is not None:
            assert pq.read_schema(path).remove_metadata().equals(table.columns), path
            seen.add(table.name)
    assert seen >= {"trades", "mbo", "mbp_1", "statistics", "definitions", "raw_payloads", "ledger", "ledger_gaps"}


def test_raw_objects_are_what_the_raw_store_writes() -> None:
    """The text table's columns are the raw file's, in its order; its partitions are those of the keys."""
    assert tuple(RAW_OBJECTS.columns.names) == COLUMNS


def test_ddl_is_printed_for_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    """One statement each, ended by a semicolon: database, tables, views, over the locations given."""
    words = ["tables", "--ddl", "--location", "s3://bucket/lake", "--raw", "s3://bucket/raw", "--database", "market"]
    assert main([*words, "--since", "2020-01-01"]) == 0
    told = capsys.readouterr().out
    assert [part.strip() for part in told.split(";\n") if part.strip()] == statements(PLACE)
    assert "'projection.day.range'='2020-01-01,NOW+1DAYS'" in told
    assert "LOCATION 's3://bucket/raw/'" in told


def test_every_partition_is_projected() -> None:
    """No partition is left that would have to be added: each column has its projection and stands in the template."""
    for table in hive_tables(PLACE):
        template = table.properties["storage.location.template"]
        assert template.startswith(table.location + "/")
        assert re.findall(r"\$\{(\w+)\}", template) == table.partitions.names
        for column in table.partitions.names:
            kind = table.properties[f"projection.{column}.type"]
            assert kind in ("enum", "integer", "date", "injected")
            if kind != "injected":
                said = {"enum": "values"}.get(kind, "range")
                assert table.properties[f"projection.{column}.{said}"]
    providers = hive_tables(PLACE)[1].properties["projection.provider.values"]
    assert providers.split(",") == [name.upper() for name in names()]


def test_without_a_raw_store_there_is_no_table_of_it() -> None:
    """And all others are there."""
    without = Place.of("market", "s3://bucket/lake", None, date(2020, 1, 1))
    assert [t.name for t in hive_tables(PLACE)] == [*(t.name for t in hive_tables(without)), "raw_objects"]


@pytest.mark.parametrize("wrong", [("Market", "s3://b/l"), ("a;b", "s3://b/l"), ("market", "s3://b/it's")])
def test_names_that_sql_would_misread_are_refused(wrong: tuple[str, str]) -> None:
    """Nothing of a name or location ends a statement."""
    with pytest.raises(UsageError):
        Place.of(wrong[0], wrong[1], None, date(2020, 1, 1))


def test_athena_reads_from_s3_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory is wrong usage, said in one line."""
    assert main(["tables", "--ddl", "--location", str(tmp_path)]) == 2
    assert "is not s3://bucket/prefix" in capsys.readouterr().err


def test_tables_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its columns and types."""
    assert main(["tables"]) == 0
    told = capsys.readouterr().out
    assert "trades: a trade\n" in told
    assert "price decimal(38,18)" in told


def test_glue_gets_the_same_tables(athena: Athena, capsys: pytest.CaptureFixture[str]) -> None:
    """What Athena's Glue holds after our statements is what we print for Glue; a view's query is the one we run."""
    import boto3

    from tapeline.settings import Settings

    settings = Settings.from_environment()
    assert (
        main(["tables", "--glue", "--location", "s3://tapeline-athena/lake", "--raw", "s3://tapeline-athena/store"])
        == 0
    )
    printed = {table["Name"]: table for table in json.loads(capsys.readouterr().out)}
    client = boto3.client("glue", endpoint_url=settings.athena_endpoint)
    held: dict[str, Any] = {}
    for page in client.get_paginator("get_tables").paginate(DatabaseName=athena.database):
        held |= {table["Name"]: table for table in page["TableList"]}
    assert set(held) == set(printed)
    for name, table in printed.items():
        if table["TableType"] == "EXTERNAL_TABLE":
            storage, ours = held[name]["StorageDescriptor"], table["StorageDescriptor"]
            assert [storage["Columns"], held[name]["PartitionKeys"]] == [ours["Columns"], table["PartitionKeys"]]
            assert storage["Location"].rstrip("/") == ours["Location"].rstrip("/")
            assert [storage["InputFormat"], storage["SerdeInfo"]["SerializationLibrary"]] == [
                ours["InputFormat"],
                ours["SerdeInfo"]["SerializationLibrary"],
            ]
            assert {key: held[name]["Parameters"].get(key) for key in table["Parameters"]} == table["Parameters"]


def test_a_view_of_glue_holds_its_query() -> None:
    """As Athena writes it: JSON in base64 in a comment, with the columns' types in Trino's words."""
    views = {table["Name"]: table for table in table_inputs(PLACE) if table["TableType"] == "VIRTUAL_VIEW"}
    assert set(views) == set(all_tables())
    told = {}
    for name, view in views.items():
        coded = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
        told[name] = json.loads(base64.b64decode(coded, validate=True))
    assert (told["trades"]["catalog"], told["trades"]["schema"]) == ("awsdatacatalog", "market")
    assert '"market"."published"' in told["trades"]["originalSql"]
    assert {"name": "rtype", "type": "smallint"} in told["trades"]["columns"]
    assert {"name": "hour", "type": "integer"} in told["ledger"]["columns"]
    assert {"name": "payload", "type": "varbinary"} in told["raw_payloads"]["columns"]
