"""ministack as a process, with what its Athena lacks: views, CREATE DATABASE, SHOW TABLES, Trino's dialect, and exact results.

ministack runs a query on DuckDB as it stands. Here it is put through sqlglot (athena to duckdb) first, views are kept as Athena keeps
them in Glue (`VIRTUAL_VIEW`) and put in their place, and values are written as Athena writes them. Runs in ministack's own environment.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import sqlglot
from ministack import app
from ministack.services import athena, glue
from sqlglot import exp

MACROS = (
    "SET TimeZone = 'UTC'",
    "SET integer_division = true",
    "CREATE MACRO from_unixtime_nanos(ns) AS make_timestamp_ns(CAST(ns AS BIGINT))",
)
TYPES = {
    "HUGEINT": "bigint",
    "BLOB": "varbinary",
    "DECIMAL": "decimal",
    "FLOAT": "real",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_NS": "timestamp with time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}
LONG_ROWS = "strict_mode = false, max_line_size = 16777216"

_DATABASE = re.compile(r"create\s+database\s+if\s+not\s+exists\s+`(\w+)`\s*\Z", re.IGNORECASE)
_VIEW = re.compile(r'create\s+or\s+replace\s+view\s+"(\w+)"\."(\w+)"\s+as\s+(.*)\Z', re.IGNORECASE | re.DOTALL)
_NOTHING: dict[str, Any] = {"columns": [], "column_types": [], "rows": []}


async def run(query: str, database: str, catalog: str | None = None) -> dict[str, Any]:
    """In place of ministack's own: the answer to one statement."""
    if made := _DATABASE.match(query):
        glue._create_database({"DatabaseInput": {"Name": made[1]}})  # an existing one stays
        return _NOTHING
    if made := _VIEW.match(query):
        return _create_view(*made.groups())
    if query.strip().upper() == "SHOW TABLES":
        names = sorted(key.partition("/")[2] for key in glue._tables if key.startswith(f"{database}/"))
        return {"columns": ["tab_name"], "column_types": ["varchar"], "rows": [[name] for name in names]}
    translated = (
        _in_place(sqlglot.parse_one(query, read="athena"), database).transform(_with_null).sql(dialect="duckdb")
    )
    rewritten, _, folders = await athena._rewrite_data_paths(translated, database, catalog)
    rewritten = rewritten.replace("strict_mode = false", LONG_ROWS)
    try:
        return await asyncio.to_thread(_answer, rewritten)
    finally:
        for folder in folders:
            athena.shutil.rmtree(folder, ignore_errors=True)


def _create_view(database: str, name: str, select: str) -> dict[str, Any]:
    glue._tables.pop(f"{database}/{name}", None)
    view = {
        "Name": name,
        "TableType": "VIRTUAL_VIEW",
        "ViewOriginalText": select,
        "ViewExpandedText": "/* Presto View */",
    }
    glue._create_table({"DatabaseName": database, "TableInput": view})
    return _NOTHING


def _in_place(tree: exp.Expr, database: str) -> exp.Expr:
    """The query with every view's own query where its name stood; names of a WITH come first."""
    own = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    for table in list(tree.find_all(exp.Table)):
        found = glue._tables.get(f"{table.db or database}/{table.name}")
        if not found or found.get("TableType") != "VIRTUAL_VIEW" or (table.name in own and not table.db):
            continue
        select = _in_place(sqlglot.parse_one(found["ViewOriginalText"], read="athena"), database)
        inner = exp.Subquery(
            this=select, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
        )
        inner.set("joins", table.args.get("joins"))
        table.replace(inner)
    return tree


def _with_null(node: exp.Expr) -> exp.Expr:
    """Trino's max_by and min_by may find a row whose value is NULL."""
    for kind, name in ((exp.ArgMax, "arg_max_null"), (exp.ArgMin, "arg_min_null")):
        if isinstance(node, kind):
            return exp.Anonymous(this=name, expressions=[node.this, node.expression])
    return node


def _answer(query: str) -> dict[str, Any]:
    with duckdb.connect(":memory:") as connection:
        for macro in MACROS:
            connection.execute(macro)
        # As ministack does: DuckDB's CSV reader else takes no value that is not of the type.
        connection.execute("SET disabled_optimizers = 'type_pushdown'")
        told = connection.sql(query)
        if told is None:
            return _NOTHING
        names = list(told.columns)
        kinds = [str(kind).split("(", maxsplit=1)[0] for kind in told.types]
        exact = [
            f"regexp_replace(CAST(\"{name}\" AS VARCHAR), '[+]00$', ' UTC')"
            if kind.startswith("TIMESTAMP")
            else f'"{name}"'
            for name, kind in zip(names, kinds, strict=True)
        ]
        rows = told.project(", ".join(exact)).fetchall()
    types = [TYPES.get(kind) or athena._DUCKDB_TYPE_MAP.get(kind, "varchar") for kind in kinds]
    return {"columns": names, "column_types": types, "rows": [list(row) for row in rows]}


def text(value: object) -> str:
    """A value as Athena writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def main() -> None:
    """Serves until it is killed; port and interface come from ministack's own variables."""
    assert os.environ.get("BIND_HOST") == "127.0.0.1"
    replaced: dict[str, Callable[..., Any]] = {"_run_duckdb": run, "_datum_text": text}
    for name, better in replaced.items():
        assert hasattr(athena, name), f"ministack has no {name} any more"
        setattr(athena, name, better)
    sys.argv = sys.argv[:1]
    app.main()


if __name__ == "__main__":
    main()
