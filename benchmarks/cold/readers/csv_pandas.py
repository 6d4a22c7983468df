"""CSV files of a symbol and day each, read by pandas; plain or gzip, by what there is in the folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    return pd.read_csv(path, usecols=columns)


def _file(place: str, provider: str, symbol: str) -> Path:
    (path,) = Path(place).glob(f"{provider}_{symbol}.csv*")
    return path


def _sums(table: pd.DataFrame) -> list[str]:
    turnover = (table["price"] * table["amount"]).sum()
    return [str(len(table)), repr(float(table["amount"].sum())), repr(float(turnover))]


def vwap(place: str) -> dict[str, list[str]]:
    """Trades, volume and turnover of every symbol."""
    found = {}
    for path in sorted(Path(place).glob("*.csv*")):
        name = path.name.partition(".")[0]
        provider, _, symbol = name.rpartition("_")
        found[f"{provider}/{symbol}"] = _sums(_read(path, ["price", "amount"]))
    return found


def hour(place: str, provider: str, symbol: str, begin: int, end: int) -> list[str]:
    """The same of one symbol in an hour."""
    table = _read(_file(place, provider, symbol), ["local_timestamp", "price", "amount"])
    return _sums(table[(table["local_timestamp"] >= begin) & (table["local_timestamp"] < end)])


def bars(place: str, provider: str, symbol: str) -> list[list[str]]:
    """One-minute bars of a symbol: minute, open, high, low, close, volume."""
    table = _read(_file(place, provider, symbol), ["local_timestamp", "price", "amount"])
    grouped = table.groupby(table["local_timestamp"] // 60_000_000_000)
    made = grouped["price"].agg(["first", "max", "min", "last"]).join(grouped["amount"].sum())
    return [[str(minute), *map(repr, map(float, row))] for minute, *row in made.itertuples()]
