"""One SQL for both engines: Athena's (Trino's) dialect, checked, and translated for DuckDB.

Only what reads is let through. What Athena has and DuckDB lacks is translated by sqlglot, or a macro of `tapeline.offline.views`.
"""

from __future__ import annotations

import logging
import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tapeline.errors import RefusedError
from tapeline.offline.tables import PUBLISHED, RAW_OBJECTS, all_tables

# It says on stderr what we say ourselves, by an error.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_SHOWN = re.compile(r"show\s+(tables|columns\s+(?:from|in)\s+(?P<table>\"?\w+\"?))\s*\Z", re.IGNORECASE | re.ASCII)
_TABLE = re.compile(r'\w+|"\w+"', re.ASCII)
_FIRST = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/|\()*([a-z]+)", re.IGNORECASE | re.DOTALL | re.ASCII)
_READS = ("SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN")
_CHANGES = (exp.Command, exp.DDL, exp.DML, exp.Drop, exp.Copy)


class QueryRefusedError(RefusedError):
    """A statement that is no question, or that cannot be asked of this engine."""


def checked(sql: str) -> str:
    """The one statement in a text, without the semicolon at its end; raises QueryRefusedError unless it only reads."""
    text = sql.strip().rstrip(";").strip()
    word = first_word(text)
    if word not in _READS:
        raise QueryRefusedError(f"only SELECT, WITH, SHOW, DESCRIBE and EXPLAIN are answered, not {word or 'nothing'}")
    if word in ("SHOW", "DESCRIBE", "DESC"):
        if ";" in text:
            raise QueryRefusedError("one statement at a time")
        return text
    parsed(_explained(text) if word == "EXPLAIN" else text)
    return text


def for_duckdb(sql: str) -> str:
    """A checked statement in DuckDB's SQL; raises QueryRefusedError."""
    word = first_word(sql)
    if word == "SHOW":
        shown = _SHOWN.match(sql)
        if shown is None:
            raise QueryRefusedError("of SHOW only SHOW TABLES and SHOW COLUMNS FROM a table are answered locally")
        return f"DESCRIBE {shown['table']}" if shown["table"] else _named()
    if word in ("DESCRIBE", "DESC"):
        return f"DESCRIBE {_described(sql)}"
    if word == "EXPLAIN":
        return "EXPLAIN " + _translated(_explained(sql))
    return _translated(sql)


def tables_of(sql: str) -> set[str]:
    """The names of tables whose rows or columns a checked statement needs."""
    word = first_word(sql)
    if word == "SHOW":
        shown = _SHOWN.match(sql)
        return {shown["table"].strip('"')} if shown and shown["table"] else set()
    if word in ("DESCRIBE", "DESC"):
        return {_described(sql).strip('"')}
    tree = parsed(_explained(sql) if word == "EXPLAIN" else sql)
    return {table.name for table in tree.find_all(exp.Table)}


def first_word(sql: str) -> str:
    """What a statement begins with, in capitals; empty where it begins with no word."""
    found = _FIRST.match(sql)
    return found.group(1).upper() if found else ""


def parsed(sql: str) -> exp.Expr:
    """A query's tree in Athena's dialect; raises QueryRefusedError for what does not parse or does more than read."""
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="athena") if tree is not None]
    except SqlglotError as error:
        raise QueryRefusedError(f"query failed: {_first_line(error)}") from None
    if len(trees) != 1:
        raise QueryRefusedError("one statement at a time")
    (tree,) = trees
    if isinstance(tree, exp.Command):
        raise QueryRefusedError(f"query failed: this is no SQL that is known: {sql[:60]}")
    for node in tree.walk():
        if isinstance(node, _CHANGES) or (isinstance(node, exp.Select) and node.args.get("into")):
            raise QueryRefusedError("only what reads is answered")
    return tree


def _described(sql: str) -> str:
    found = _TABLE.fullmatch(sql.partition(" ")[2].strip())
    if found is None:
        raise QueryRefusedError("DESCRIBE wants the name of a table")
    return found[0]


def _named() -> str:
    names = sorted((*all_tables(), PUBLISHED.name, RAW_OBJECTS.name))
    return "SELECT name FROM (VALUES " + ", ".join(f"('{name}')" for name in names) + ") AS t (name) ORDER BY name"


def _explained(sql: str) -> str:
    return re.sub(r"\A\s*explain\s*", "", sql, count=1, flags=re.IGNORECASE)


def _translated(sql: str) -> str:
    try:
        tree = parsed(sql).transform(_as_athena_means_it)
        return tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError as error:
        raise QueryRefusedError(f"DuckDB has no words for this: {_first_line(error)}") from None


def _as_athena_means_it(node: exp.Expr) -> exp.Expr:
    """DuckDB's max_by passes over rows without a value; Athena's says NULL where the row it finds has none."""
    for kind, name in ((exp.ArgMax, "ARG_MAX_NULL"), (exp.ArgMin, "ARG_MIN_NULL")):
        if isinstance(node, kind) and not node.args.get("count"):
            return exp.Anonymous(this=name, expressions=[node.this, node.expression])
    return node


def _first_line(error: Exception) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(plain.split())[:300]
