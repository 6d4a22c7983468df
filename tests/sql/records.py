"""What the questions' answers should be, by plain Python over the day's rows and payloads; no SQL, no engine."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tapeline.offline.answer_text import Value
from tests.sql.day import VENUES

Row = dict[str, Any]
MINUTE = 60_000_000_000
AT = 1_767_229_200_000_000_000
"""01:00 of the day."""


class Records:
    """The rows of a lake's tables, by provider, in their order."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake

    def of(self, table: str, provider: str, **equal: object) -> list[Row]:
        """Rows of a table whose columns have these values, by ordinal."""
        paths = sorted((self._lake / table).glob(f"day=*/provider={provider}/version=1/*.parquet"))
        assert paths, f"no {table} of {provider}"
        rows = [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]
        rows.sort(key=lambda row: row.get("ordinal", 0))
        return [row for row in rows if all(row[name] == value for name, value in equal.items())]


def trades(records: Records) -> list[list[Value]]:
    """Out of the payloads themselves: what Binance wrote, in the order of its ids."""
    said = sorted(
        (
            json.loads(row["payload"])["data"]
            for row in records.of("raw_payloads", "BINANCE_SPOT", channel="btcusdt@trade")
        ),
        key=lambda data: data["t"],
    )
    return [
        [time(data["T"] * 1000), "T", "A" if data["m"] else "B", exact(Decimal(data["p"])), exact(Decimal(data["q"]))]
        for data in said
    ]


def quotes_at(records: Records) -> list[list[Value]]:
    """The last of each symbol by 01:00."""
    last = {row["raw_symbol"]: row for row in records.of("mbp_1", "KRAKEN") if row["ts_recv"] <= AT}
    fields = ("bid_px_00", "bid_sz_00", "ask_px_00", "ask_sz_00")
    return [
        [symbol, *(exact(row[name]) for name in fields), time(row["ts_recv"])] for symbol, row in sorted(last.items())
    ]


def bars(records: Records) -> list[list[Value]]:
    """By minute."""
    found = grouped(
        records.of("trades", "BINANCE_SPOT", raw_symbol="BTCUSDT"), lambda row: row["ts_event"] // MINUTE * MINUTE
    )
    answer: list[list[Value]] = []
    for minute, rows in sorted(found.items()):
        prices = [row["price"] for row in rows]
        volume = sum((row["size"] for row in rows), Decimal())
        shown = (prices[0], max(prices), min(prices), prices[-1], volume)
        answer.append([time(minute), *(exact(value) for value in shown), len(rows)])
    assert any(len(rows) > 1 for rows in found.values())
    return answer


def spreads(records: Records) -> list[list[Value]]:
    """By hour, venue and symbol."""
    quotes = [(provider, row) for provider in ("BINANCE_SPOT", "KRAKEN") for row in records.of("mbp_1", provider)]
    found = grouped(quotes, lambda one: (one[1]["ts_recv"] // (60 * MINUTE) % 24, one[0], one[1]["raw_symbol"]))
    answer: list[list[Value]] = []
    for (hour, provider, symbol), rows in sorted(found.items()):
        wide = [row["ask_px_00"] - row["bid_px_00"] for _, row in rows]
        mean = float(round(sum(wide, Decimal()) / len(wide), 6))
        answer.append([hour, provider, symbol, len(wide), exact(min(wide)), exact(max(wide)), mean])
    assert len({row[0] for row in answer}) > 1
    return answer


def book(records: Records) -> list[list[Value]]:
    """Every record applied to a book, one after the other."""
    sides: dict[str, dict[Decimal, Decimal]] = {"A": {}, "B": {}}
    for row in records.of("mbo", "BINANCE_SPOT", raw_symbol="BTCUSDT"):
        if row["ts_recv"] > AT:
            break
        if row["action"] == "R":
            sides = {"A": {}, "B": {}}
        elif row["action"] in ("A", "M"):
            sides[row["side"]][row["price"]] = row["size"]
        elif row["action"] == "C":
            del sides[row["side"]][row["price"]]
    best_first = [("A", price) for price in sorted(sides["A"])] + [("B", price) for price in sorted(sides["B"])[::-1]]
    return [[side, exact(price), exact(sides[side][price]), 1] for side, price in best_first]


def differences(records: Records) -> list[list[Value]]:
    """At each trade of either, the last of both."""
    ticks = [
        (row["ts_recv"], provider, row["ordinal"], row["price"])
        for provider, symbol in (("BINANCE_SPOT", "BTCUSDT"), ("KRAKEN", "BTC/USD"))
        for row in records.of("trades", provider, raw_symbol=symbol)
    ]
    last: dict[str, Decimal] = {}
    answer: list[list[Value]] = []
    for received, provider, _, price in sorted(ticks):
        last[provider] = price
        if len(last) == 2:
            binance, kraken = last["BINANCE_SPOT"], last["KRAKEN"]
            answer.append([time(received), exact(binance), exact(kraken), exact(kraken - binance)])
    return answer


def funding(records: Records) -> list[list[Value]]:
    """Each change."""
    answer: list[list[Value]] = []
    for symbol, rows in sorted(
        grouped(records.of("statistics", "DERIBIT", stat_type=20003), lambda r: r["raw_symbol"]).items()
    ):
        before = None
        for row in rows:
            if row["price"] != before:
                answer.append([symbol, time(row["ts_event"]), exact(row["price"])])
            before = row["price"]
    assert len(answer) > 4
    return answer


def gaps(records: Records) -> list[list[Value]]:
    """What the making of the day left out, and what that cost."""
    raw = [
        ["KRAKEN", "raw", instance, None, first, first + 19, 10, "no_object"]
        for instance, first in (("PRIMARY", 300), ("REPLICA", 310))
    ]
    names = ("kind", "instance", "channel", "from_sequence", "to_sequence", "missing", "reason")
    venue = [["KRAKEN", *(row[name] for name in names)] for row in records.of("ledger_gaps", "KRAKEN", kind="venue")]
    assert len(venue) == 2
    return [*raw, *sorted(venue, key=lambda row: (row[2], row[3]))]


def volumes(records: Records) -> list[list[Value]]:
    """By venue and symbol."""
    answer: list[list[Value]] = []
    for provider in sorted(venue.upper() for venue in VENUES):
        for symbol, rows in sorted(grouped(records.of("trades", provider), lambda row: row["raw_symbol"]).items()):
            volume = sum((row["size"] for row in rows), Decimal())
            turnover = sum((row["price"] * row["size"] for row in rows), Decimal())
            answer.append([provider, symbol, len(rows), exact(volume), exact(turnover)])
    return answer


def payloads(records: Records) -> list[list[Value]]:
    """The first three."""
    raw = {
        (row["instance"], row["raw_epoch"], row["raw_sequence"]): row for row in records.of("raw_payloads", "KRAKEN")
    }
    answer: list[list[Value]] = []
    for row in records.of("trades", "KRAKEN", raw_symbol="BTC/USD")[:3]:
        behind = raw[row["instance"], row["raw_epoch"], row["raw_sequence"]]
        text = behind["payload"].decode()
        assert str(row["price"].normalize()) in text
        answer.append(
            ["BTC/USD", exact(row["price"]), exact(row["size"]), behind["seen_by"], time(behind["ts_recv"]), text]
        )
    return answer


def exact(value: Decimal) -> str:
    """A decimal as answers write it."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def time(ns: int) -> str:
    """A time as answers write it."""
    text = datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{ns % 10**9:09}".rstrip("0")
    return text + (f".{fraction}" if fraction else "") + "Z"


def grouped(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """Rows by a key, each group in its order."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
