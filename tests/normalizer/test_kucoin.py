"""KuCoin by hand: ranges against a snapshot, rows older than it, prices of zero, futures changes as text."""

from __future__ import annotations

from pathlib import Path

from databento_dbn import InstrumentDefMsg, MBOMsg, MBP1Msg, StatMsg, TradeMsg

from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.venues import load
from tests.support.told import Told, told

URL = "wss://ws-api-spot.kucoin.com/?token=TOKEN"
SPOT, FUTURES = "https://api.kucoin.com/api/v1", "https://api-futures.kucoin.com/api/v1"
MS = 1_780_000_000_000


def run(folder: Path, *said: object) -> Told:
    """What becomes of messages."""
    return told("kucoin", URL, said, folder)


def push(topic: str, subject: str, **data: object) -> dict[str, object]:
    """A push."""
    return {"type": "message", "topic": topic, "subject": subject, "data": data}


def update(first: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, object]:
    """Level 2 changes of BTC-USDT."""
    changes = {"bids": bids, "asks": asks}
    return push(
        "/market/level2:BTC-USDT",
        "trade.l2update",
        symbol="BTC-USDT",
        changes=changes,
        sequenceStart=first,
        sequenceEnd=last,
    )


def snapshot(sequence: int, bids: list[list[str]], asks: list[list[str]]) -> tuple[str, object]:
    """The book by REST."""
    data = {"time": MS, "sequence": str(sequence), "bids": bids, "asks": asks}
    return f"{SPOT}/market/orderbook/level2_100?symbol=BTC-USDT", {"code": "200000", "data": data}


def rows(heard: Told) -> list[tuple[str, str, int, int]]:
    """Action, side, price and sequence of the book's records."""
    return [(str(r.action), str(r.side), r.price // 10**9, r.sequence) for r in heard.of(MBOMsg)]


def test_a_range_joins_the_snapshot_and_its_older_rows_are_left_out(tmp_path: Path) -> None:
    """A message spans the snapshot's sequence: a row with an older sequence than the snapshot must not undo it."""
    heard = run(
        tmp_path,
        update(8, 9, [["99", "7", "9"]], []),
        update(10, 12, [["100", "1", "10"], ["100", "5", "12"]], [["102", "3", "11"]]),
        snapshot(11, [["100", "4"]], [["101", "2"], ["102", "3"]]),
        update(13, 13, [], [["101", "0", "13"]]),
    )
    assert heard.account.rejected == {}
    assert heard.account.links["broken"] == 0
    assert rows(heard)[1:] == [
        ("A", "B", 100, 11), ("A", "A", 101, 11), ("A", "A", 102, 11), ("M", "B", 100, 12), ("C", "A", 101, 13),
    ]  # fmt: skip


def test_a_price_of_zero_moves_the_sequence_and_nothing_else(tmp_path: Path) -> None:
    """The message after it still links."""
    heard = run(
        tmp_path,
        update(11, 11, [["100", "1", "11"]], []),
        snapshot(10, [["99", "4"]], [["101", "2"]]),
        update(12, 12, [], [["0", "0", "12"]]),
        update(13, 13, [["100", "2", "13"]], []),
    )
    assert heard.account.links == {"ok": 2, "broken": 0}
    assert [row[:3] for row in rows(heard)[3:]] == [("A", "B", 100), ("N", "N", rows(heard)[4][2]), ("M", "B", 100)]


def test_a_lost_range_is_a_gap_with_its_bounds(tmp_path: Path) -> None:
    """From the first missing sequence to the last."""
    heard = run(
        tmp_path,
        update(11, 11, [["100", "1", "11"]], []),
        snapshot(10, [["99", "4"]], [["101", "2"]]),
        update(14, 15, [["100", "2", "15"]], []),
    )
    assert heard.account.links == {"ok": 0, "broken": 1}
    assert heard.account.resyncs == 1


def test_futures_changes_are_text_and_count_by_one(tmp_path: Path) -> None:
    """`price,side,size`; the snapshot is the futures host's."""
    topic = "/contractMarket/level2:XBTUSDTM"
    book = {"symbol": "XBTUSDTM", "sequence": 20, "bids": [[100.0, 7]], "asks": [[101.0, 9]], "ts": MS * 1_000_000}
    heard = run(
        tmp_path,
        push(topic, "level2", sequence=21, change="100.0,buy,0", timestamp=MS),
        (f"{FUTURES}/level2/snapshot?symbol=XBTUSDTM", {"code": "200000", "data": book}),
        push(topic, "level2", sequence=22, change="102.0,sell,3", timestamp=MS),
    )
    assert heard.account.rejected == {}
    assert [row[:3] for row in rows(heard)[1:]] == [("A", "B", 100), ("A", "A", 101), ("C", "B", 100), ("A", "A", 102)]
    assert [r.size for r in heard.of(MBOMsg)][-1] == 3


def test_a_trade_seen_on_two_connections_is_one(tmp_path: Path) -> None:
    """While tokens rotate both connections tell it; the time is ns as text."""
    match = push(
        "/market/match:BTC-USDT", "trade.l3match", symbol="BTC-USDT", sequence="31", side="sell", size="0.5", price="100",
        time=str(MS * 1_000_000 + 7), tradeId="6085c09769bc506996295e36",
    )  # fmt: skip
    heard = run(tmp_path, match, match)
    (made,) = heard.of(TradeMsg)
    assert (str(made.side), made.ts_event, made.sequence) == ("A", MS * 1_000_000 + 7, 31)
    assert heard.account.excluded == {"repeated trade": 1}


def test_tops_mark_prices_and_funding(tmp_path: Path) -> None:
    """Each kind of top and figure has its own words."""
    heard = run(
        tmp_path,
        push("/market/ticker:BTC-USDT", "trade.ticker", sequence="5", bestBid="100", bestBidSize="1", bestAsk="101", bestAskSize="2", time=MS),
        push("/spotMarket/level1:BTC-USDT", "level1", asks=["101", "3"], bids=["100", "4"], timestamp=MS),
        push("/contractMarket/tickerV2:XBTUSDTM", "tickerV2", symbol="XBTUSDTM", sequence=6, bestBidSize=1, bestBidPrice="100", bestAskPrice="101", ts=MS * 1_000_000, bestAskSize=5),
        push("/contract/instrument:XBTUSDTM", "mark.index.price", markPrice=100.5, indexPrice=100.4, granularity=1000, timestamp=MS),
        push("/contract/instrument:XBTUSDTM", "funding.rate", fundingRate=-0.0001, granularity=60000, timestamp=MS),
    )  # fmt: skip
    assert heard.account.rejected == {}
    assert [r.levels[0].bid_px // 10**9 for r in heard.of(MBP1Msg)] == [100, 100, 100]
    assert [r.stat_type for r in heard.of(StatMsg)] == [20001, 20002, 20003]


def test_contracts_are_defined_with_their_steps(tmp_path: Path) -> None:
    """Sizes are whole contracts; the list tells figures too."""
    entry = {
        "symbol": "XBTUSDTM", "type": "FFWCSX", "firstOpenDate": 1585555200000, "expireDate": None, "baseCurrency": "XBT",
        "quoteCurrency": "USDT", "settleCurrency": "USDT", "maxOrderQty": 1000000, "lotSize": 1, "tickSize": 0.1, "markPrice": 100.5,
    }  # fmt: skip
    heard = run(tmp_path, (f"{FUTURES}/contracts/active", {"code": "200000", "data": [entry]}))
    (made,) = heard.of(InstrumentDefMsg)
    assert (made.unit_of_measure, made.asset, made.min_price_increment) == ("contract", "XBT", 100_000_000)
    assert [r.stat_type for r in heard.of(StatMsg)] == [20001]


def test_every_single_message_gives_records_or_says_why_not(recordings: Path) -> None:
    """Each real line, alone."""
    reader = LooseMessages(load("kucoin"))
    outcomes = {line: reader.outcome(line) for line in read_lines(recordings / "single_messages" / "kucoin.jsonl")}
    assert {line: told for line, told in outcomes.items() if told.how in ("rejected", "unknown")} == {}
