"""Bars built from trades, against what venues say themselves and against a slow oracle."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from postprocess.ledger.bars import MINUTE_NS, Bars, build_bars, compare_bars
from tapeline.offline.lake import Lake
from tapeline.offline.ledger_day import Counts, read_day
from tapeline.offline.tables import record_tables
from tapeline.offline.views import connect
from tapeline.schemas import Schema
from tests.oracle.capture import Line, lines, write
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make

MEMORY = 256 << 20
START = 1_785_628_800_000_000_000
Candle = tuple[Decimal, ...]


def trade(
    at: int, price: str, size: str = "1", channel: str = "t", symbol: str = "X", action: str = "T"
) -> dict[str, object]:
    return {
        "channel": channel, "raw_symbol": symbol, "ts_event": START + at, "price": Decimal(price), "size": Decimal(size),
        "action": action,
    }  # fmt: skip


def candle(minute: int, numbers: str, told: int = 0, symbol: str = "X") -> dict[str, object]:
    parts = zip(("open", "high", "low", "close", "volume"), map(Decimal, numbers.split()), strict=True)
    at = START + minute * MINUTE_NS
    return {"channel": "k", "raw_symbol": symbol, "ts_event": at, "ts_recv": at + told, **dict(parts)}


def written(path: Path, schema: Schema, rows: list[dict[str, object]]) -> Path:
    numbered = [{**row, "ordinal": number} for number, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(numbered, schema=record_tables()[schema].columns), path)
    return path


def bars(tmp_path: Path, trades: list[dict[str, object]], candles: list[dict[str, object]]) -> list[Bars]:
    """The comparison over three minutes of one unit's rows."""
    made = [written(tmp_path / "trades.parquet", Schema.TRADES, trades)]
    said = [written(tmp_path / "said.parquet", Schema.OHLCV_1M, candles)] if candles else []
    build_bars(made, said, tmp_path / "bars", tmp_path / "candles", MEMORY)
    last = [tmp_path / "candles"] if candles else []
    return compare_bars([tmp_path / "bars"], last, START)


TRADES = [
    trade(0, "10"),
    trade(5, "12.5", "0.1"),
    trade(MINUTE_NS - 1, "9"),
    trade(MINUTE_NS, "11"),
    trade(3 * MINUTE_NS, "1"),
]


def test_a_bar_is_first_highest_lowest_last_and_sum(tmp_path: Path) -> None:
    """By the order of the stream, to the last digit; a minute ends before the next begins."""
    assert bars(tmp_path, TRADES, [candle(0, "10 12.5 9 9 2.1"), candle(1, "11 11 11 11 1")]) == [Bars("t", 0, 2, 2)]


@pytest.mark.parametrize(
    "said",
    ["10.1 12.5 9 9 2.1", "10 12.6 9 9 2.1", "10 12.5 8 9 2.1", "10 12.5 9 10 2.1", "10 12.5 9 9 2.100000000000000001"],
)
def test_a_bar_that_differs_in_anything_is_not_found(tmp_path: Path, said: str) -> None:
    """However little."""
    assert bars(tmp_path, TRADES, [candle(0, said), candle(1, "11 11 11 11 1")]) == [Bars("t", 0, 2, 1)]


def test_a_candle_without_trades_of_ours_is_expected(tmp_path: Path) -> None:
    """The venue says there was volume; a candle without volume asks for nothing."""
    candles = [candle(0, "10 12.5 9 9 2.1"), candle(1, "11 11 11 11 1"), candle(2, "7 7 7 7 3")]
    assert bars(tmp_path, TRADES, candles) == [Bars("t", 0, 3, 2)]
    assert bars(tmp_path, TRADES, [*candles[:2], candle(2, "7 7 7 7 0")]) == [Bars("t", 0, 2, 2)]


def test_trades_that_the_candle_knows_nothing_of_are_a_finding(tmp_path: Path) -> None:
    """A candle without volume, where we have a trade."""
    assert bars(tmp_path, TRADES, [candle(0, "10 10 10 10 0")]) == [Bars("t", 0, 2, 1)]


def test_without_candles_minutes_with_trades_are_expected_and_found(tmp_path: Path) -> None:
    """And other instruments' candles change nothing."""
    assert bars(tmp_path, TRADES, []) == [Bars("t", 0, 2, 2)]
    assert bars(tmp_path, TRADES, [candle(0, "1 1 1 1 1", symbol="Y")]) == [Bars("t", 0, 2, 2)]


def test_the_last_word_on_a_candle_counts(tmp_path: Path) -> None:
    """A candle that is told again, corrected."""
    candles = [candle(0, "10 12 9 9 2.1"), candle(0, "10 12.5 9 9 2.1", told=5), candle(1, "11 11 11 11 1")]
    assert bars(tmp_path, TRADES, candles) == [Bars("t", 0, 2, 2)]


def test_each_trades_channel_is_held_against_the_candles(tmp_path: Path) -> None:
    """Single and aggregated trades of one instrument are two ways to the same bars."""
    two = [
        *TRADES,
        *(trade(int(str(row["ts_event"])) - START, str(row["price"]), str(row["size"]), "agg") for row in TRADES[1:]),
    ]
    found = bars(tmp_path, two, [candle(0, "10 12.5 9 9 2.1"), candle(1, "11 11 11 11 1")])
    assert found == [Bars("agg", 0, 2, 1), Bars("t", 0, 2, 2)]


def test_a_trade_taken_back_leaves_the_volume(tmp_path: Path) -> None:
    """A minute of nothing but such trades has none."""
    trades = [trade(0, "10"), trade(1, "11", "2"), trade(2, "11", "2", action="C"), trade(MINUTE_NS, "5"),
              trade(MINUTE_NS + 1, "5", action="C"), trade(3 * MINUTE_NS, "1")]  # fmt: skip
    build_bars([written(tmp_path / "t", Schema.TRADES, trades)], [], tmp_path / "bars", tmp_path / "candles", MEMORY)
    first, second, _ = pq.read_table(tmp_path / "bars").to_pylist()
    assert (first["volume"], first["trades"], second["volume"], second["trades"]) == (1, 1, 0, 0)
    assert compare_bars([tmp_path / "bars"], [], START) == [Bars("t", 0, 1, 1)]


def test_only_whole_minutes_count(tmp_path: Path) -> None:
    """The first trade stands in the middle of a minute, and so does the last."""
    trades = [trade(7, "1"), trade(MINUTE_NS, "2"), trade(2 * MINUTE_NS + 5, "3")]
    assert bars(tmp_path, trades, []) == [Bars("t", 0, 1, 1)]


def test_units_that_hold_trades_and_candles_apart_give_the_same(tmp_path: Path) -> None:
    """Each channel is in one unit, whichever that is."""
    build_bars([written(tmp_path / "t", Schema.TRADES, TRADES)], [], tmp_path / "b0", tmp_path / "c0", MEMORY)
    said = [candle(0, "10 12.5 9 9 2.1"), candle(1, "11 11 11 11 2")]
    build_bars([], [written(tmp_path / "k", Schema.OHLCV_1M, said)], tmp_path / "b1", tmp_path / "c1", MEMORY)
    assert not (tmp_path / "b1").exists()
    assert compare_bars([tmp_path / "b0"], [tmp_path / "c1"], START) == [Bars("t", 0, 2, 1)]


def test_bars_of_real_trades_are_the_venues_own_candles(tmp_path: Path, recordings: Path) -> None:
    """KuCoin told three open candles after some of their trades: bars of the trades up to then are those, digit by digit."""
    capture = recordings / "kucoin" / "first_half.jsonl.zst"
    fill(tmp_path / "store", "kucoin", capture)
    make(date(2021, 4, 25), tmp_path / "store", tmp_path / "lake")
    told = list(_kucoin_candles(capture))
    assert len(told) == 3
    with connect(Lake.at(tmp_path / "lake")) as lake:
        for symbol, minute, at, said in told:
            asked = "SELECT * FROM trades WHERE raw_symbol = $symbol AND ts_event BETWEEN $minute AND $at"
            rows = lake.sql(asked, params={"symbol": symbol, "minute": minute, "at": at}).to_arrow_table()
            pq.write_table(rows, tmp_path / "trades")
            build_bars([tmp_path / "trades"], [], tmp_path / "bars", tmp_path / "candles", MEMORY)
            (bar,) = pq.read_table(tmp_path / "bars").to_pylist()
            assert bar["minute"] == minute
            assert tuple(bar[name] for name in ("open", "high", "low", "close", "volume")) == said


def _kucoin_candles(capture: Path) -> Iterator[tuple[str, int, int, Candle]]:
    """Symbol, start, time of telling, and open, high, low, close, volume of each candle with volume."""
    for line in lines(capture):
        if line.kind == "recv" and "trade.candles" in line.text:
            data = json.loads(line.text)["data"]
            start, first, last, high, low, volume, _ = data["candles"]
            if Decimal(volume):
                numbers = tuple(map(Decimal, (first, high, low, last, volume)))
                yield data["symbol"], int(start) * 10**9, data["time"], numbers


@pytest.fixture(scope="module")
def with_candles(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    """A real capture of Binance, six minutes of one symbol, with the candles that the venue would have told in its words."""
    capture = recordings / "binance_spot" / "btcusdt_20240808.jsonl.zst"
    taken = [line for line in lines(capture) if line.kind == "connect" or "@trade" in line.text]
    minutes: dict[int, list[tuple[int, Decimal, Decimal]]] = defaultdict(list)
    for line in taken:
        if "@trade" in line.text:
            said = json.loads(line.text)["data"]
            minutes[said["T"] // 60_000 * 60_000].append((said["t"], Decimal(said["p"]), Decimal(said["q"])))
    for start, trades in minutes.items():
        prices = [price for _, price, _ in sorted(trades)]
        volume = sum(size for _, _, size in trades)
        kline = {"t": start, "T": start + 59_999, "s": "BTCUSDT", "i": "1m", "o": f"{prices[0]:f}", "c": f"{prices[-1]:f}",
                 "h": f"{max(prices):f}", "l": f"{min(prices):f}", "v": f"{volume:f}", "n": len(trades), "x": True,
                 "f": min(trades)[0], "L": max(trades)[0], "q": "0", "V": "0", "Q": "0", "B": "0"}  # fmt: skip
        data = {"e": "kline", "E": start + 60_010, "s": "BTCUSDT", "k": kline}
        # The clock of this recording is some 1.4 s behind the venue's.
        at = (start + 60_010) * 10**6 - 1_400_000_000
        taken.append(Line(at, "recv", "0", json.dumps({"stream": "btcusdt@kline_1m", "data": data}), ""))
    return write(tmp_path_factory.mktemp("klines") / "capture.jsonl.zst", sorted(taken, key=lambda line: line.ts))


def ledger_of(tmp_path: Path, capture: Path, lost: frozenset[int]) -> Counts:
    """What the ledger says of the trades where both instances lost some payloads."""
    for instance, later in (("PRIMARY", 0), ("REPLICA", 3_000_000)):
        fill(tmp_path / "store", "binance_spot", capture, instance, lambda number: number not in lost, later)
    made = make(date(2024, 8, 8), tmp_path / "store", tmp_path / "lake")
    assert made.problems == []
    ledger = read_day(Lake.at(tmp_path / "lake"), date(2024, 8, 8))
    (counts,) = [channel.total for channel in ledger.channels if channel.channel == "btcusdt@trade"]
    total = ledger.total
    assert (counts.bars_expected, counts.bars_found) == (total.bars_expected, total.bars_found)
    return counts


def test_a_lost_trade_is_a_bar_less(tmp_path: Path, with_candles: Path) -> None:
    """Whole minutes of real trades are all found; without one trade, which neither has, one is not."""
    numbered = [line for line in lines(with_candles) if line.kind in ("recv", "http")]
    middle = next(
        place for place, line in enumerate(numbered, 1) if place > len(numbered) // 2 and "@trade" in line.text
    )
    whole = ledger_of(tmp_path / "whole", with_candles, frozenset())
    assert (whole.bars_expected, whole.bars_found, whole.gaps) == (5, 5, 0)
    less = ledger_of(tmp_path / "less", with_candles, frozenset({middle}))
    assert (less.bars_expected, less.bars_found, less.gaps) == (5, 4, 1)
