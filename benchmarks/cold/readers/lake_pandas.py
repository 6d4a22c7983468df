"""Our Parquet files read straight by pandas (pyarrow), as somebody does who has the files but no catalogue."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_COLUMNS = ["raw_symbol", "ts_recv", "price", "size"]


def _read(
    place: str, provider: str, symbol: str | None, columns: list[str], *more: tuple[str, str, int]
) -> pd.DataFrame:
    (folder,) = (Path(place) / "lake/trades").glob(f"day=*/provider={provider}/version=*")
    filters = [*([("raw_symbol", "=", symbol)] if symbol else []), *more]
    table = pd.read_parquet(folder, columns=columns, filters=filters or None, partitioning=None)
    # What people do with decimals sooner or later.
    table["price"], table["size"] = table["price"].astype(float), table["size"].astype(float)
    return table


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
