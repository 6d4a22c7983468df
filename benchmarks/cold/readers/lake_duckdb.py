"""Our tables by SQL: DuckDB over the views of the lake, with exact decimals.

Turnover is price times lots, then times the lot: DuckDB multiplies a decimal by an integer at once, but takes half a
microsecond a row to make wide decimals narrow enough to be multiplied by one another.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from tapeline.offline.lake import Lake
from tapeline.offline.views import connect

_SUMS = "count(*), sum(size), sum(dbn_size), sum(price * dbn_size)"


def _rows(place: str, sql: str) -> list[tuple[Any, ...]]:
    return connect(Lake.under(Path(place))).execute(sql).fetchall()


def _sums(trades: int, volume: Decimal, lots: Decimal, turnover: Decimal) -> list[str]:
    with localcontext(prec=60):
        return [str(trades), str(volume), str(turnover * (volume / lots))]


def vwap(place: str) -> dict[str, list[str]]:
    """Trades, volume and turnover of every symbol."""
    rows = _rows(place, f"SELECT provider, raw_symbol, {_SUMS} FROM trades GROUP BY 1, 2 ORDER BY 1, 2")
    return {f"{provider}/{symbol}": _sums(*sums) for provider, symbol, *sums in rows}


def hour(place: str, provider: str, symbol: str, begin: int, end: int) -> list[str]:
    """The same of one symbol in an hour."""
    where = f"provider = '{provider}' AND raw_symbol = '{symbol}' AND ts_recv >= {begin} AND ts_recv < {end}"
    return _sums(*_rows(place, f"SELECT {_SUMS} FROM trades WHERE {where}")[0])


def bars(place: str, provider: str, symbol: str) -> list[list[str]]:
    """One-minute bars of a symbol: minute, open, high, low, close, volume."""
    rows = _rows(
        place,
        f"""SELECT ts_recv // 60000000000, arg_min(price, ordinal), max(price), min(price), arg_max(price, ordinal), sum(size)
        FROM trades WHERE provider = '{provider}' AND raw_symbol = '{symbol}' GROUP BY 1 ORDER BY 1""",
    )
    return [[str(value) for value in row] for row in rows]
