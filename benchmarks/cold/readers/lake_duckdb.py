"""Our tables by SQL: DuckDB over the views of the lake, with exact decimals."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tapeline.offline.lake import Lake
from tapeline.offline.views import connect

_MONEY = "DECIMAL(19, 9)"
"""Wide enough for these prices and sizes, and so narrow that products stay exact and within 38 digits."""

_SUMS = f"count(*), sum(size), sum(CAST(price AS {_MONEY}) * CAST(size AS {_MONEY}))"


def _rows(place: str, sql: str) -> list[list[str]]:
    connection: duckdb.DuckDBPyConnection = connect(Lake.under(Path(place)))
    return [[str(value) for value in row] for row in connection.execute(sql).fetchall()]


def vwap(place: str) -> dict[str, list[str]]:
    """Trades, volume and turnover of every symbol."""
    rows = _rows(place, f"SELECT provider || '/' || raw_symbol, {_SUMS} FROM trades GROUP BY 1 ORDER BY 1")
    return {name: sums for name, *sums in rows}


def hour(place: str, provider: str, symbol: str, begin: int, end: int) -> list[str]:
    """The same of one symbol in an hour."""
    where = f"provider = '{provider}' AND raw_symbol = '{symbol}' AND ts_recv >= {begin} AND ts_recv < {end}"
    return _rows(place, f"SELECT {_SUMS} FROM trades WHERE {where}")[0]


def bars(place: str, provider: str, symbol: str) -> list[list[str]]:
    """One-minute bars of a symbol: minute, open, high, low, close, volume."""
    return _rows(
        place,
        f"""SELECT ts_recv // 60000000000, arg_min(price, ordinal), max(price), min(price), arg_max(price, ordinal), sum(size)
        FROM trades WHERE provider = '{provider}' AND raw_symbol = '{symbol}' GROUP BY 1 ORDER BY 1""",
    )
