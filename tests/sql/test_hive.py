"""The DDL on Hive's own parser, metastore and SerDes, and what they read of our files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from tapeline.objectstore import open_store
from tapeline.offline.lake import version_folder
from tapeline.offline.tables import DECIMAL, PARTITIONS, RAW_OBJECTS, all_tables
from tapeline.partitions import Partition, object_key
from tapeline.rawfile import RawRow, compress, encode_rows
from tapeline.sql.ddl import Place, create_table, create_view, hive_tables, hive_type, statements, views
from tests.sql import hard
from tests.sql.hive import Hive, hive_shell

pytestmark = pytest.mark.timeout(180)

DAY = date(2026, 3, 29)
EPOCH = 1_774_742_400_123_456_789
CHANNEL = "book/BTC & 50%=x"
"""Hive reads `%xx` of a path byte by byte, so it knows channels beyond ASCII by other letters; Athena is asked by the key's own text."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A lake with hard values in every table, two versions of one provider, and a raw store of hard payloads."""
    root = tmp_path_factory.mktemp("hive_lake")
    for table in all_tables().values():
        for provider, version in (("KRAKEN", 1), ("KRAKEN", 2), ("OKX", 1)):
            folder = root / "lake" / table.name / version_folder(DAY, provider, version)
            folder.mkdir(parents=True)
            pq.write_table(hard.rows(table.columns), folder / "0000-0000.parquet", compression="zstd")
    published = root / "lake" / "published" / f"day={DAY}" / "published.tsv"
    published.parent.mkdir(parents=True)
    published.write_text("KRAKEN\t2\n")
    store = open_store(str(root / "raw"))
    rows = [
        RawRow(EPOCH, number, 1, EPOCH + number, data) for number, data in enumerate((*hard.PAYLOADS, hard.LARGE), 1)
    ]
    for schema in ("TRADES", ""):
        partition = Partition("PRIMARY", "KRAKEN", schema, CHANNEL, DAY.year, DAY.month, DAY.day)
        store.put(object_key("", partition, EPOCH, 1, len(rows)), compress(encode_rows(rows)))
    return Place.of("tapeline", f"file://{root}/lake", f"file://{root}/raw", date(2020, 1, 1))


@pytest.fixture(scope="module")
def hive(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hive]:
    """Hive with all our tables and views, and their partitions found."""
    with hive_shell(tmp_path_factory.mktemp("hive")) as shell:
        for statement in statements(place, replace=True):
            shell.ask(statement)
        for table in hive_tables(place):
            shell.ask(f"MSCK REPAIR TABLE `tapeline`.`{table.name}`")
        yield shell


def test_every_statement_is_taken_and_said_back(hive: Hive, place: Place) -> None:
    """Hive knows each table with our columns, types and notes, and keeps Athena's properties as they are."""
    for table in hive_tables(place):
        told = hive.ask(f"DESCRIBE `tapeline`.`{table.name}`")
        wanted = [(c.name, hive_type(c.type)) for c in (*table.columns, *table.partitions)]
        assert [row[:2] for row in told[: len(wanted)]] == wanted
        assert all(note for *_, note in told[: len(wanted)])
        kept = dict(hive.ask(f"SHOW TBLPROPERTIES `tapeline`.`{table.name}`"))
        assert {name: kept.get(name) for name in table.properties} == table.properties
    assert {row[1] for row in hive.ask("SHOW TABLES IN tapeline")} == {
        *(table.name for table in hive_tables(place)),
        *(view.name for view in views(place)),
    }


@pytest.mark.parametrize("name", sorted(all_tables()))
def test_parquet_is_read_exactly(hive: Hive, name: str) -> None:
    """Decimals of 38 digits, u64 ids, ns, NULLs, bytes and any text come back as they were written."""
    table = all_tables()[name]
    columns = ", ".join(f"`{column}`" for column in table.columns.names)
    told = hive.ask(
        f"SELECT {columns} FROM `tapeline`.`{name}_versions` "
        f"WHERE `day` = DATE '{DAY}' AND `provider` = 'OKX' AND `version` = 1"
    )
    wanted = [tuple(row.values()) for row in hard.rows(table.columns).to_pylist()]
    assert told == wanted
    if columns_of_38 := [c for c in table.columns if c.type == DECIMAL]:
        place = table.columns.names.index(columns_of_38[0].name)
        assert Decimal("99999999999999999999.999999999999999999") in {row[place] for row in told}


def test_a_view_sees_what_is_published(hive: Hive) -> None:
    """Of three versions in the lake the one that `published` names, with its partition columns."""
    assert hive.ask('SELECT DISTINCT "day", "provider", "version" FROM "tapeline"."trades"') == [(DAY, "KRAKEN", 2)]
    everything = hive.ask('SELECT count(*) FROM "tapeline"."trades_versions"')
    assert hive.ask('SELECT 3 * count(*) FROM "tapeline"."trades"') == everything


@pytest.mark.parametrize("schema", ["TRADES", ""])
def test_raw_objects_are_read_exactly(hive: Hive, schema: str) -> None:
    """Each hard payload, the one of 5 MB too, comes out of the text table as it came from the venue."""
    where = f"`schema` = '{schema}'" if schema else "`schema` IS NULL"
    columns = ", ".join(f"`{name}`" for name in RAW_OBJECTS.columns.names)
    told = hive.ask(
        f"SELECT {columns} FROM `tapeline`.`raw_objects` WHERE `instance` = 'PRIMARY' AND `provider` = 'KRAKEN' "
        f"AND {where} AND `channel` = '{CHANNEL}' AND `year` = 2026 AND `month` = 3 AND `day` = 29 ORDER BY `sequence`"
    )
    assert [row[:4] for row in told] == [
        (EPOCH, number, 1, EPOCH + number) for number in range(1, len(hard.PAYLOADS) + 2)
    ]
    for (*_, encoding, payload), sent in zip(told, (*hard.PAYLOADS, hard.LARGE), strict=True):
        data = base64.b64decode(payload, validate=True) if encoding == "base64" else payload.encode()
        assert data == sent


def test_no_note_holds_what_a_statement_could_end_at(place: Place) -> None:
    """Notes stand in quotes: no quote, backslash or semicolon, and nothing but ASCII, which Glue's comments are safe with."""
    for statement in (create_table(table, "x") for table in hive_tables(place)):
        assert statement.isascii()
        for line in statement.splitlines():
            note = line.partition("COMMENT '")[2]
            assert note.rstrip(",").count("'") <= 1
            assert not set(note) & set("\\;")
    assert all(";" not in create_view(view, "x") for view in views(place))
    assert PARTITIONS.names == ["day", "provider", "version"]
