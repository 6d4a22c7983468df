"""COIN-M by hand: contracts, tops that look like updates, pairs beside contracts, and single messages of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from databento_dbn import UNDEF_PRICE, InstrumentDefMsg, MBOMsg, MBP1Msg, MBP10Msg, StatMsg, TradeMsg

from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.venues import load
from tests.support.told import Told, told

URL = "wss://dstream.binance.com/stream"
REST = "https://dapi.binance.com/dapi/v1"
MS = 1_780_000_000_000


def run(folder: Path, *said: object) -> Told:
    """What becomes of messages."""
    return told("binance_coinm", URL, said, folder)


def stream(name: str, **data: object) -> dict[str, object]:
    """A push."""
    return {"stream": name, "data": data}


def depth(
    name: str, first: int, last: int, previous: int, bids: list[Any], asks: list[Any], symbol: str = "BTCUSD_PERP"
) -> dict[str, object]:
    """A depth update, or a partial depth: they look alike."""
    ids = {"U": first, "u": last, "pu": previous}
    return stream(name, e="depthUpdate", E=MS + 1, T=MS, s=symbol, ps="BTCUSD", **ids, b=bids, a=asks)


def test_a_partial_depth_is_a_whole_top_and_leaves_the_book_alone(tmp_path: Path) -> None:
    """It has an update's type, but what it does not name is gone from the top, and the book's chain goes on."""
    book = {"lastUpdateId": 10, "E": MS, "T": MS, "symbol": "BTCUSD_PERP", "bids": [["100.1", "3"]], "asks": []}
    heard = run(
        tmp_path,
        depth("btcusd_perp@depth@100ms", 9, 11, 8, [["100.0", "5"]], []),
        (f"{REST}/depth?symbol=BTCUSD_PERP&limit=1000", book),
        depth("btcusd_perp@depth5", 3, 4, -1, [], [["100.4", "2"]]),
        depth("btcusd_perp@depth@100ms", 12, 14, 11, [["100.0", "0"]], []),
    )
    assert heard.account.rejected == {}
    assert heard.account.links == {"ok": 1, "broken": 0}
    (top,) = heard.of(MBP10Msg)
    assert (top.levels[0].bid_px, top.levels[0].ask_px, top.levels[0].ask_sz) == (UNDEF_PRICE, 100_400_000_000, 2)
    told_of = [(str(r.action), r.price // 100_000_000) for r in heard.of(MBOMsg)]
    assert told_of == [("R", UNDEF_PRICE // 100_000_000), ("A", 1001), ("A", 1000), ("C", 1000)]


def test_trades_that_are_none_of_the_books_are_left_out(tmp_path: Path) -> None:
    """Insurance fund and auto-deleveraging are counted by reason; the buyer being maker means that the seller took."""
    deal = {"e": "trade", "E": MS + 1, "T": MS, "s": "BTCUSD_PERP", "p": "100.1", "q": "7"}
    kinds = (("MARKET", True), ("INSURANCE_FUND", True), ("ADL", False), ("MARKET", False))
    said = [
        {"stream": "btcusd_perp@trade", "data": {**deal, "t": n, "X": x, "m": m}} for n, (x, m) in enumerate(kinds, 5)
    ]
    heard = run(tmp_path, *said)
    assert [(str(r.side), r.size, r.sequence) for r in heard.of(TradeMsg)] == [("A", 7, 5), ("B", 7, 8)]
    assert heard.account.excluded == {"insurance fund": 1, "auto-deleveraging": 1}


def test_a_delivering_contract_has_no_funding(tmp_path: Path) -> None:
    """Its rate is empty and its time zero: mark price alone; the index comes for the pair."""
    mark = {"e": "markPriceUpdate", "E": MS, "p": "100.5", "P": "100.4"}
    heard = run(
        tmp_path,
        stream("!markPrice@arr") | {"data": [
            {**mark, "s": "BTCUSD_PERP", "r": "-0.0001", "T": MS + 5},
            {**mark, "s": "BTCUSD_270326", "r": "", "T": 0},
        ]},
        stream("btcusd@indexPrice@1s", e="indexPriceUpdate", E=MS, i="BTCUSD", p="100.45"),
    )  # fmt: skip
    assert heard.account.rejected == {}
    assert [r.stat_type for r in heard.of(StatMsg)] == [20001, 20003, 20004, 20001, 20002]
    assert heard.account.instruments == 3


def test_definitions_count_contracts(tmp_path: Path) -> None:
    """Sizes are contracts of so many dollars, margin is the coin."""
    entry = {
        "symbol": "BTCUSD_PERP",
        "pair": "BTCUSD",
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1597042800000,
        "contractSize": 100,
        "baseAsset": "BTC",
        "quoteAsset": "USD",
        "marginAsset": "BTC",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.1"},
            {"filterType": "LOT_SIZE", "stepSize": "1", "maxQty": "1000000"},
        ],
    }
    (made,) = run(tmp_path, (f"{REST}/exchangeInfo", {"symbols": [entry]})).of(InstrumentDefMsg)
    assert (made.unit_of_measure, made.contract_multiplier, made.settl_currency) == ("CONTRACT", 100, "BTC")
    assert (made.unit_of_measure_qty, made.min_price_increment) == (1_000_000_000, 100_000_000)


def test_an_empty_side_of_the_top_is_none(tmp_path: Path) -> None:
    """Zero price: no bid."""
    quote = {"e": "bookTicker", "u": 5, "s": "BTCUSD_PERP", "ps": "BTCUSD", "E": MS, "T": MS}
    (made,) = run(tmp_path, stream("!bookTicker", **quote, b="0", B="0", a="100.2", A="4")).of(MBP1Msg)
    assert (made.levels[0].bid_px, made.levels[0].ask_sz) == (UNDEF_PRICE, 4)


def test_every_single_message_gives_records_or_says_why_not(recordings: Path) -> None:
    """Each real line of this market, alone: records, a book that waits for its snapshot, or a reason."""
    found = {}
    reader = LooseMessages(load("binance_coinm"))
    for line in read_lines(recordings / "single_messages" / "binance.jsonl"):
        # The file has spot's and USD-M's lines too.
        if (
            any(mark in line for mark in (b'"ps":', b"_PERP", b"BTCUSD_", b"usd_perp@", b"usd_2"))
            and b"USDT" not in line
        ):
            found[line] = reader.outcome(line)
    assert len(found) == 21
    assert {line: told for line, told in found.items() if told.how in ("rejected", "unknown")} == {}


@pytest.mark.parametrize("kind", ["ticker", "miniTicker"])
def test_figures_of_a_day_are_left_out(tmp_path: Path, kind: str) -> None:
    """There is no schema for them."""
    heard = run(tmp_path, stream(f"btcusd_perp@{kind}", e="24hrTicker", E=MS, s="BTCUSD_PERP"))
    assert heard.account.excluded == {"statistics of 24 hours": 1}
