"""The part of docs/tables.md that is made of the code: `python -m tapeline.offline.page` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from tapeline.offline.notes import note
from tapeline.offline.tables import ORDER, PARTITIONS, PLACE, PUBLISHED, RAW_OBJECTS, Form, Table, TextTable, all_tables

BEGIN = "<!-- columns: begin, written by `python -m tapeline.offline.page` -->"
END = "<!-- columns: end -->"

_OF_ALL = pa.schema([*PLACE, *ORDER])
_LEVELS = re.compile(r"(?:dbn_)?(?:bid|ask)_(?:px|sz|ct)_(\d\d)\Z")


def generated() -> str:
    """The part, with the marks around it."""
    parts = [BEGIN, "", "Every table has, by its place in the lake:", "", *_rows("", PARTITIONS)]
    parts += ["", "Every table of records has:", "", *_rows("", _OF_ALL)]
    for table in all_tables().values():
        parts += ["", f"**`{table.name}`**: {table.about}.{_left_out(table)}", "", *_rows(table.name, _own(table))]
    for text in (PUBLISHED, RAW_OBJECTS):
        parts += ["", f"**`{text.name}`**: {text.about}. {_partitions(text)}", "", *_rows(text.name, text.columns)]
    return "\n".join([*parts, "", END])


def _own(table: Table) -> pa.Schema:
    """A table's columns without those of all, without DBN's integers, and of many levels the first."""
    common = set(_OF_ALL.names) if table.schema is not None else set()
    integers = {f"dbn_{field.name}" for field in table.fields if field.form in (Form.PRICE, Form.SIZE)}
    return pa.schema(
        [column for column in table.columns if column.name not in common | integers and not _further(column.name)]
    )


def _further(name: str) -> bool:
    level = _LEVELS.match(name)
    return level is not None and int(level[1]) > 0


def _left_out(table: Table) -> str:
    said = ""
    if any(field.form in (Form.PRICE, Form.SIZE) for field in table.fields):
        said = " Beside each exact number stands the integer of the DBN record, `dbn_…`."
    if any(_further(name) for name in table.columns.names):
        said += " Levels `_00` to `_09`."
    return said


def _partitions(table: TextTable) -> str:
    return "Partitions: " + ", ".join(f"`{column.name}` {_type(column.type)}" for column in table.partitions) + "."


def _rows(table: str, columns: pa.Schema) -> list[str]:
    head = ["| column | type | what |", "| --- | --- | --- |"]
    return [*head, *(f"| `{c.name}` | {_type(c.type)} | {note(table, c.name)} |" for c in columns)]


def _type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    named = {pa.string(): "VARCHAR", pa.binary(): "VARBINARY", pa.date32(): "DATE"}
    return named.get(kind) or {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}[kind.bit_width]


def main() -> None:
    """Puts the part in its place."""
    page = Path(__file__).resolve().parents[2] / "docs" / "tables.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + generated() + rest.partition(END)[2])


if __name__ == "__main__":
    main()
