"""Bybit by hand: one name on two sockets, restarts, tickers that tell what has changed, trades that are none of the book's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from databento_dbn import UNDEF_PRICE, InstrumentDefMsg, MBOMsg, MBP1Msg, OHLCVMsg, StatMsg, TradeMsg

from tapeline.offline.dbn_file import read_records
from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.offline.normalizing import normalize_file
from tapeline.venues import load
from tests.oracle.capture import lines
from tests.support.told import Told, told

MS = 1_780_000_000_000
REST = "https://api.bybit.com/v5/market"


def run(folder: Path, *said: object, product: str = "linear") -> Told:
    """What becomes of messages of one product's socket."""
    return told("bybit", f"wss://stream.bybit.com/v5/public/{product}", said, folder)


def book(topic: str, kind: str, u: int, bids: object, asks: object) -> dict[str, object]:
    """A message of a book or top."""
    data = {"s": topic.rpartition(".")[2], "b": bids, "a": asks, "u": u, "seq": 100 + u}
    return {"topic": topic, "type": kind, "ts": MS + 1, "data": data, "cts": MS}


def ticker(kind: str, **data: str) -> dict[str, object]:
    """A ticker of a perpetual."""
    return {"topic": "tickers.ABCUSDT", "type": kind, "data": {"symbol": "ABCUSDT", **data}, "cs": 7, "ts": MS}


def tops(heard: Told) -> list[tuple[int | None, int, int | None, int]]:
    """Quotes as prices in tenths and sizes in lots; None where a side is not there."""
    found = []
    for record in heard.of(MBP1Msg):
        level = record.levels[0]
        bid, ask = (None if price == UNDEF_PRICE else price // 100_000_000 for price in (level.bid_px, level.ask_px))
        found.append((bid, level.bid_sz, ask, level.ask_sz))
    return found


def test_a_name_on_two_sockets_is_two_instruments(tmp_path: Path) -> None:
    """The socket tells the pair from the perpetual: in the channel's id and in the raw symbol."""
    trade = {"T": MS, "s": "ABCUSDT", "S": "Sell", "v": "1", "p": "10", "i": "1", "BT": False}
    push = {"topic": "publicTrade.ABCUSDT", "type": "snapshot", "ts": MS, "data": [trade]}
    names = {
        product: [r.raw_symbol for r in run(tmp_path, push, product=product).of(InstrumentDefMsg)]
        for product in ("spot", "linear", "inverse", "option")
    }
    assert names == {"spot": ["spot.ABCUSDT"], "linear": ["ABCUSDT"], "inverse": ["ABCUSDT"], "option": ["ABCUSDT"]}


def test_a_snapshot_in_the_middle_replaces_the_book(tmp_path: Path) -> None:
    """With any id, 1 after a restart; deltas go on from there, and what is doubled is stale."""
    topic = "orderbook.50.ABCUSDT"
    heard = run(
        tmp_path,
        book(topic, "snapshot", 10, [["10", "4"]], [["10.2", "7"]]),
        book(topic, "delta", 11, [["9.9", "2"]], []),
        book(topic, "snapshot", 1, [["10", "1"]], [["10.1", "1"]]),
        book(topic, "delta", 2, [["10", "0"]], []),
        book(topic, "delta", 2, [["10", "5"]], []),
        book(topic, "delta", 4, [["9", "1"]], []),
    )
    assert heard.account.links == {"ok": 2, "broken": 1}
    assert [str(r.action) for r in heard.of(MBOMsg)] == [*"RAA", "A", *"RAA", "C", "A"]


def test_a_top_is_told_again_where_nothing_changes(tmp_path: Path) -> None:
    """Each three seconds with the same id; an empty array is a side without orders."""
    same = book("orderbook.1.ABCUSDT", "snapshot", 7, [["10", "4"]], [])
    heard = run(tmp_path, same, same)
    assert [(r.sequence, r.levels[0].ask_px) for r in heard.of(MBP1Msg)] == [(7, UNDEF_PRICE)] * 2


def test_what_a_ticker_leaves_out_is_unchanged(tmp_path: Path) -> None:
    """Empty is gone, absent is as before; figures are told where they are given."""
    whole = {"bid1Price": "10", "bid1Size": "4", "ask1Price": "10.2", "ask1Size": "7"}
    heard = run(
        tmp_path,
        ticker("snapshot", **whole, markPrice="10.1", fundingRate="", nextFundingTime=""),
        ticker("delta", bid1Price="10.1"),
        ticker("delta", ask1Price="", ask1Size="0"),
        ticker("delta", openInterest="5", nextFundingTime=str(MS + 5)),
    )
    lot = 10_000
    assert tops(heard) == [(100, 4 * lot, 102, 7 * lot), (101, 4 * lot, 102, 7 * lot), *[(101, 4 * lot, None, 0)] * 2]
    assert [r.stat_type for r in heard.of(StatMsg)] == [20001, 20004, 20005]


def test_a_ticker_without_a_beginning_has_no_top(tmp_path: Path) -> None:
    """A delta of half a top says nothing of the other half."""
    heard = run(tmp_path, ticker("delta", bid1Price="10.1", markPrice="10"))
    assert (heard.of(MBP1Msg), len(heard.of(StatMsg))) == ([], 1)
    assert heard.account.excluded == {"quote with nothing to carry over": 1}


def test_block_trades_are_left_out_and_rpi_trades_are_not(tmp_path: Path) -> None:
    """The one was agreed elsewhere, the other matched by the engine."""
    trade = {"T": MS, "s": "ABCUSDT", "S": "Buy", "v": "1", "p": "10", "i": "1"}
    data = [{**trade, "BT": False}, {**trade, "BT": True}, {**trade, "BT": False, "RPI": True, "S": "Sell"}]
    heard = run(tmp_path, {"topic": "publicTrade.ABCUSDT", "type": "snapshot", "ts": MS, "data": data})
    assert [str(r.side) for r in heard.of(TradeMsg)] == ["B", "A"]
    assert heard.account.excluded == {"block trade": 1}


def test_the_full_book_joins_its_snapshot_by_count(tmp_path: Path) -> None:
    """Deltas from the beginning, a REST snapshot at one of them, and from there one after the other."""
    topic = "orderbook.full.ABCUSDT"
    snapshot = {"s": "ABCUSDT", "b": [["10", "4"]], "a": [["10.2", "7"]], "u": 6, "seq": 106, "ts": MS, "cts": MS}
    heard = run(
        tmp_path,
        book(topic, "delta", 5, [["10", "4"]], []),
        book(topic, "delta", 6, [["10.2", "7"]], []),
        book(topic, "delta", 7, [["9.9", "1"]], []),
        (f"{REST}/full_orderbook?category=spot&symbol=ABCUSDT", {"retCode": 0, "result": snapshot}),
        book(topic, "delta", 8, [["9.9", "0"]], []),
        product="spot",
    )
    assert (heard.account.rejected, heard.account.links["broken"]) == ({}, 0)
    assert [str(r.action) for r in heard.of(MBOMsg)] == [*"RAA", "A", "C"]


def test_a_restart_of_the_full_book_is_control(tmp_path: Path) -> None:
    """Its id says that all begins anew: no data, but the end of the connection that carried it."""
    heard = run(tmp_path, book("orderbook.full.ABCUSDT", "delta", 1, [], []), product="spot")
    assert heard.account.control == {"connect": 1, "full book restarts": 1}
    heard = run(tmp_path, book("orderbook.50.ABCUSDT", "snapshot", 1, [["10", "1"]], []), product="spot")
    assert heard.account.records["mbo"] == 2


def test_answers_differ_by_product(tmp_path: Path) -> None:
    """Acks, pongs and refusals of all of them are known."""
    futures = run(
        tmp_path,
        {"success": True, "ret_msg": "", "conn_id": "a", "req_id": "1", "op": "subscribe"},
        {"success": True, "ret_msg": "pong", "conn_id": "a", "req_id": "", "op": "ping"},
        {"success": False, "ret_msg": "error:handler not found,topic:x.y", "conn_id": "a", "req_id": "2", "op": "subscribe"},
        {"success": False, "ret_msg": "error:already subscribed,topic:x.y", "conn_id": "a", "req_id": "3", "op": "subscribe"},
    )  # fmt: skip
    assert set(futures.account.control) == {"connect", "ack", "heartbeat", "error", "already"}
    options = run(
        tmp_path,
        {"success": True, "conn_id": "a", "data": {"failTopics": [], "successTopics": ["x"]}, "type": "COMMAND_RESP"},
        {"success": False, "conn_id": "a", "data": {"failTopics": ["x"], "successTopics": []}, "type": "COMMAND_RESP"},
        {"args": ["1672916271846"], "op": "pong"},
        product="option",
    )
    assert set(options.account.control) == {"connect", "option ack", "option refused", "heartbeat"}
    assert futures.account.rejected == options.account.rejected == {}


def test_only_closed_candles_are_bars(tmp_path: Path) -> None:
    """`confirm` says so; the instrument stands in the topic only."""
    bar = {"start": MS, "open": "10", "close": "11", "high": "12", "low": "9", "volume": "5"}
    push = {"topic": "kline.1.ABCUSDT", "data": [{**bar, "confirm": False}, {**bar, "confirm": True}], "ts": MS}
    heard = run(tmp_path, push, {**push, "topic": "kline.5.ABCUSDT"})
    assert [r.close for r in heard.of(OHLCVMsg)] == [11_000_000_000]
    assert heard.account.excluded == {"candle still open": 1, "candle of another interval": 1}


@pytest.mark.parametrize(("category", "unit"), [("linear", "BTC"), ("inverse", "USD")])
def test_inverse_contracts_count_dollars(tmp_path: Path, category: str, unit: str) -> None:
    """All others count the coin; a perpetual never ends."""
    entry = {
        "symbol": "BTCUSD",
        "baseCoin": "BTC",
        "quoteCoin": "USD",
        "settleCoin": "BTC",
        "launchTime": "1542211200000",
        "deliveryTime": "0",
        "priceFilter": {"tickSize": "0.50"},
        "lotSizeFilter": {"qtyStep": "1", "maxOrderQty": "25000000"},
    }
    body = {"retCode": 0, "retMsg": "OK", "result": {"category": category, "list": [entry], "nextPageCursor": ""}}
    (made,) = run(tmp_path, (f"{REST}/instruments-info?category={category}&limit=1000", body)).of(InstrumentDefMsg)
    assert (made.unit_of_measure, made.expiration, made.min_price_increment) == (unit, 2**64 - 1, 500_000_000)


def test_every_recorded_top_is_published_in_order(recordings: Path, tmp_path: Path) -> None:
    """The recording's ids never fall, and each of its tops comes out with its own."""
    wanted: dict[str, list[int]] = {}
    source, target = recordings / "bybit" / "v5_20250816.jsonl.zst", tmp_path / "out.dbn.zst"
    for line in lines(source):
        message = json.loads(line.text) if line.kind == "recv" else {}
        if "topic" in message:
            wanted.setdefault(message["data"]["s"], []).append(message["data"]["u"])
    assert all(ids == sorted(ids) for ids in wanted.values())
    normalize_file(load("bybit"), source, target)
    names: dict[int, str] = {}
    found: dict[str, list[int]] = {}
    for record in read_records(target):
        if isinstance(record, InstrumentDefMsg):
            names[record.instrument_id] = record.raw_symbol.removeprefix("spot.")
        elif isinstance(record, MBP1Msg):
            found.setdefault(names[record.instrument_id], []).append(record.sequence)
    assert found == wanted


def test_every_single_message_says_why_it_is_left_out(recordings: Path) -> None:
    """Real lines of 2021 and 2022, all of an API that has ended."""
    reader = LooseMessages(load("bybit"))
    found = [reader.outcome(line) for line in read_lines(recordings / "single_messages" / "bybit.jsonl")]
    assert len(found) == 24
    assert {(told.how, told.why) for told in found} == {("excluded", "API v2, which ended")}
