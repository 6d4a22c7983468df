"""Our `.dbn.zst` files read by Databento's own client into data frames; sizes are whole lots there."""

from __future__ import annotations

from pathlib import Path

import databento
import pandas as pd


def _files(place: str, provider: str) -> list[Path]:
    return sorted((Path(place) / "lake/dbn").glob(f"schema=trades/day=*/provider={provider}/version=*/*.dbn.zst"))


def _frame(path: Path) -> pd.DataFrame:
    return databento.DBNStore.from_file(path).to_df(price_type="float", pretty_ts=False, map_symbols=True)


def _frames(place: str, provider: str, symbol: str) -> pd.DataFrame:
    frames = [_frame(path) for path in _files(place, provider)]
    return pd.concat([frame[frame["symbol"] == symbol] for frame in frames])


def _sums(table: pd.DataFrame) -> list[str]:
    lots = table["size"].astype("int64")
    return [str(len(table)), str(int(lots.sum())), repr(float((table["price"] * lots).sum()))]


def vwap(place: str) -> dict[str, list[str]]:
    """Trades, lots and turnover in lots of every symbol."""
    found: dict[str, list[str]] = {}
    for folder in sorted((Path(place) / "lake/dbn/schema=trades").glob("day=*/provider=*")):
        provider = folder.name.partition("=")[2]
        table = pd.concat([_frame(path)[["symbol", "price", "size"]] for path in _files(place, provider)])
        for symbol, part in table.groupby("symbol", sort=True, observed=True):
            found[f"{provider}/{symbol}"] = _sums(part)
    return found


def hour(place: str, provider: str, symbol: str, begin: int, end: int) -> list[str]:
    """The same of one symbol in an hour."""
    table = _frames(place, provider, symbol)
    return _sums(table[(table.index >= begin) & (table.index < end)])


def bars(place: str, provider: str, symbol: str) -> list[list[str]]:
    """One-minute bars of a symbol: minute, open, high, low, close, volume in lots."""
    table = _frames(place, provider, symbol)
    grouped = table.groupby(table.index // 60_000_000_000)
    made = grouped["price"].agg(["first", "max", "min", "last"]).join(grouped["size"].sum())
    return [[str(minute), *map(repr, map(float, row))] for minute, *row in made.itertuples()]
