"""Our Parquet files read straight into pandas by pyarrow, prices and sizes as floats, as somebody does who has the files but no catalogue."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

_COLUMNS = ["raw_symbol", "ts_recv", "price", "size"]


def _read(
    place: str, provider: str, symbol: str | None, columns: list[str], *more: tuple[str, str, int]
) -> pd.DataFrame:
    (folder,) = (Path(place) / "lake/trades").glob(f"day=*/provider={provider}/version=*")
    filters = [*([("raw_symbol", "=", symbol)] if symbol else []), *more]
    table = pq.read_table(folder, columns=columns, filters=filters or None, partitioning=None)
    # Pandas would make a Python object of every decimal.
    for place_of, name in enumerate(columns):
        if name in ("price", "size"):
            table = table.set_column(place_of, name, table.column(name).cast("float64"))
    return table.to_pandas()


def _sums(table: pd.DataFrame) -> list[str]:
    return [str(len(table)), repr(float(table["size"].sum())), repr(float((table["price"] * table["size"]).sum()))]


def vwap(place: str) -> dict[str, list[str]]:
    """Trades, volume and turnover of every symbol."""
    found = {}
    for folder in sorted((Path(place) / "lake/trades").glob("day=*/provider=*")):
        provider = folder.name.partition("=")[2]
        table = _read(place, provider, None, ["raw_symbol", "price", "size"])
        for symbol, part in table.groupby("raw_symbol", sort=True):
            found[f"{provider}/{symbol}"] = _sums(part)
    return found


def hour(place: str, provider: str, symbol: str, begin: int, end: int) -> list[str]:
    """The same of one symbol in an hour."""
    return _sums(_read(place, provider, symbol, _COLUMNS, ("ts_recv", ">=", begin), ("ts_recv", "<", end)))


def bars(place: str, provider: str, symbol: str) -> list[list[str]]:
    """One-minute bars of a symbol: minute, open, high, low, close, volume."""
    table = _read(place, provider, symbol, ["ordinal", *_COLUMNS]).sort_values("ordinal")
    grouped = table.groupby(table["ts_recv"] // 60_000_000_000)
    made = grouped["price"].agg(["first", "max", "min", "last"]).join(grouped["size"].sum())
    return [[str(minute), *map(repr, map(float, row))] for minute, *row in made.itertuples()]
