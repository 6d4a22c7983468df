"""What is true of the trades in CSV files, in whole numbers read off their text: what every reader is held against."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

PLACES = 18
"""Prices and sizes are whole numbers of 10^-18 here; turnovers of 10^-36."""

_MINUTE = 60_000_000_000
_CLOSE = Decimal("1e-9")


@dataclass(slots=True)
class Sums:
    """Trades, volume and turnover."""

    trades: int = 0
    volume: int = 0
    turnover: int = 0


@dataclass(slots=True)
class Truth:
    """Of all symbols; and of one symbol by the hour and by the minute (high, low, volume)."""

    sums: dict[str, Sums] = field(default_factory=dict)
    hours: dict[int, Sums] = field(default_factory=dict)
    minutes: dict[int, tuple[int, int, int]] = field(default_factory=dict)


def read(folder: Path, provider: str, symbol: str) -> Truth:
    """Reads every file of a folder; `provider` and `symbol` are those told by hour and minute."""
    truth = Truth()
    for path in sorted(folder.glob("*.csv")):
        name = "/".join(path.name.removesuffix(".csv").rsplit("_", 1))
        sums = truth.sums.setdefault(name, Sums())
        chosen = name == f"{provider}/{symbol}"
        with path.open(newline="") as file:
            rows = csv.reader(file)
            next(rows)
            for _, _, _, received, _, _, price, amount in rows:
                at, much = whole(price), whole(amount)
                _add(sums, at, much)
                if chosen:
                    stamp = int(received)
                    _add(truth.hours.setdefault(stamp // (60 * _MINUTE), Sums()), at, much)
                    high, low, volume = truth.minutes.get(stamp // _MINUTE, (at, at, 0))
                    truth.minutes[stamp // _MINUTE] = (max(high, at), min(low, at), volume + much)
    return truth


def whole(text: str) -> int:
    """Decimal text in units of 10^-18."""
    before, _, after = text.partition(".")
    return int(before + after.ljust(PLACES, "0"))


def _add(sums: Sums, price: int, size: int) -> None:
    sums.trades += 1
    sums.volume += size
    sums.turnover += price * size


def holds(sums: Sums, answer: list[str], *, lots: bool) -> bool:
    """Whether an answer is right but for the rounding of floats; in lots only counts and the average price can be."""
    trades, volume, turnover = int(answer[0]), Decimal(answer[1]), Decimal(answer[2])
    if trades != sums.trades:
        return False
    if lots:
        return near(turnover / volume, Decimal(sums.turnover) / sums.volume * Decimal(10) ** -PLACES)
    right = (Decimal(sums.volume).scaleb(-PLACES), Decimal(sums.turnover).scaleb(-2 * PLACES))
    return near(volume, right[0]) and near(turnover, right[1])


def near(one: Decimal, other: Decimal) -> bool:
    """Equal but for the rounding of floats."""
    return abs(one - other) <= _CLOSE * abs(other)


def off(sums: Sums, answer: list[str]) -> Decimal:
    """How far an answer's turnover is from the exact one."""
    return abs(Decimal(answer[2]) - Decimal(sums.turnover).scaleb(-2 * PLACES))
