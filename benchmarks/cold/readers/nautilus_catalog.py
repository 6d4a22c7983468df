"""A Nautilus Parquet catalogue, written and read by its own API; stands alone, for it has an environment of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.persistence.catalog import ParquetDataCatalog

_SCALE = 16
"""Decimal places of its raw numbers."""

_CHUNK = 250_000
_SIDES = {"buy": AggressorSide.BUYER, "sell": AggressorSide.SELLER}


def write(place: str, csv: str) -> int:
    """Writes a folder of CSV files into a new catalogue; the number of trades."""
    catalog = ParquetDataCatalog(place)
    count = 0
    for path in sorted(Path(csv).glob("*.csv")):
        provider, _, symbol = path.name.removesuffix(".csv").rpartition("_")
        table = pd.read_csv(path, dtype={"price": str, "amount": str}).sort_values("local_timestamp", kind="stable")
        places = [int(table[name].str.partition(".")[2].str.len().max()) for name in ("price", "amount")]
        instrument = InstrumentId.from_str(f"{symbol}.{provider}")
        for begin in range(0, len(table), _CHUNK):
            rows = table.iloc[begin : begin + _CHUNK].itertuples(index=False)
            catalog.write_data([_tick(instrument, row, *places) for row in rows])
        count += len(table)
    return count


def _tick(
    instrument: InstrumentId, row: tuple[str, str, int, int, int, str, str, str], price_places: int, size_places: int
) -> TradeTick:
    _, _, sent, received, number, side, price, amount = row
    raw = [int(whole + part.ljust(_SCALE, "0")) for whole, _, part in (price.partition("."), amount.partition("."))]
    name = TradeId(str(number))
    return TradeTick.from_raw(instrument, raw[0], price_places, raw[1], size_places, _SIDES[side], name, sent, received)


def _exact(raw: int, places: int) -> str:
    whole, part = divmod(raw, 10**places)
    return f"{whole}.{part:0{places}d}"


def _sums(ticks: list[TradeTick]) -> list[str]:
    volume = turnover = 0
    for tick in ticks:
        size = tick.size.raw
        volume += size
        turnover += tick.price.raw * size
    return [str(len(ticks)), _exact(volume, _SCALE), _exact(turnover, 2 * _SCALE)]


def vwap(place: str) -> dict[str, list[str]]:
    """Trades, volume and turnover of every symbol."""
    catalog = ParquetDataCatalog(place)
    found = {}
    for folder in sorted((Path(place) / "data/trade_tick").iterdir()):
        symbol, _, provider = folder.name.rpartition(".")
        found[f"{provider}/{symbol}"] = _sums(catalog.trade_ticks([folder.name]))
    return dict(sorted(found.items()))


def hour(place: str, provider: str, symbol: str, begin: int, end: int) -> list[str]:
    """The same of one symbol in an hour; the catalogue's ends are inclusive."""
    ticks = ParquetDataCatalog(place).trade_ticks([f"{symbol}.{provider}"], start=begin, end=end - 1)
    return _sums(ticks)


def bars(place: str, provider: str, symbol: str) -> list[list[str]]:
    """One-minute bars of a symbol: minute, open, high, low, close, volume."""
    made: dict[int, list[int]] = {}
    for tick in ParquetDataCatalog(place).trade_ticks([f"{symbol}.{provider}"]):
        minute, price, size = tick.ts_init // 60_000_000_000, tick.price.raw, tick.size.raw
        bar = made.get(minute)
        if bar is None:
            made[minute] = [price, price, price, price, size]
        else:
            bar[1], bar[2], bar[3], bar[4] = max(bar[1], price), min(bar[2], price), price, bar[4] + size
    return [[str(minute), *(_exact(value, _SCALE) for value in bar)] for minute, bar in sorted(made.items())]
