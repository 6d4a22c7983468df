"""Bitstamp by hand: diffs joined by time, snapshots asked for again, single orders, prices that no record can hold."""

from __future__ import annotations

from pathlib import Path

from databento_dbn import InstrumentDefMsg, MBOMsg, MBP10Msg, TradeMsg

from tests.support.told import Told, told

URL = "wss://ws.bitstamp.net"
REST = "https://www.bitstamp.net/api/v2"
US = 1_780_000_000_000_000
Rows = list[tuple[str, str]]


def push(channel: str, event: str, **data: object) -> dict[str, object]:
    """A frame of the socket."""
    return {"data": data, "channel": f"{channel}_btcusd", "event": event}


def book(at: int, bids: Rows, asks: Rows) -> dict[str, object]:
    """Both sides as of a microsecond."""
    return {"timestamp": str(US // 10**6), "microtimestamp": str(US + at), "bids": bids, "asks": asks}


def diff(at: int, bids: Rows, asks: Rows) -> dict[str, object]:
    """A diff."""
    return push("diff_order_book", "data", **book(at, bids, asks))


def snapshot(at: int, bids: Rows, asks: Rows) -> tuple[str, object]:
    """The book by REST."""
    return f"{REST}/order_book/btcusd/?group=1", book(at, bids, asks)


def order(event: str, number: int, at: int, price: str, amount: str, side: int = 0) -> dict[str, object]:
    """An event of a single order, with the chain's ids as texts."""
    pushed = push(
        "live_orders", event, id=number, id_str=str(number), order_type=side, order_subtype=5, microtimestamp=str(US + at),
        amount=float(amount), amount_str=amount, amount_traded="0", amount_at_create=amount, price=float(price), price_str=price,
    )  # fmt: skip
    return {
        **pushed,
        "event_id": "00065aad-a8b2-4f60-0000-000103000020",
        "pre_event_id": "00065aad-a8b2-3408-0000-000102000020",
    }


def actions(result: Told) -> list[tuple[str, float, int]]:
    """Book records: action, price and size in lots."""
    return [(str(r.action), r.price / 10**9, r.size) for r in result.of(MBOMsg) if str(r.action) != "R"]


def resets(result: Told) -> int:
    """How many times the book was told anew."""
    return sum(str(record.action) == "R" for record in result.of(MBOMsg))


BIDS: Rows = [("100.00", "1.00000000")]
ASKS: Rows = [("101.00", "2.00000000")]


def test_diffs_at_or_before_the_snapshots_microsecond_are_dropped(tmp_path: Path) -> None:
    """Those after it follow, the first one too, although nothing links it; an amount of zero deletes."""
    said = [
        diff(10, [("99.00", "3")], []),
        diff(20, [("100.00", "9")], []),
        diff(30, [("100.00", "0.00000000")], []),
        snapshot(20, BIDS, ASKS),
        diff(40, [], [("101.00", "5")]),
    ]
    result = told("bitstamp", URL, said, tmp_path)
    assert result.account.rejected == {}
    assert result.account.links == {"ok": 0, "broken": 0}
    assert [(action, price) for action, price, _ in actions(result)] == [("A", 100), ("A", 101), ("C", 100), ("M", 101)]


def test_a_diff_that_comes_twice_changes_nothing(tmp_path: Path) -> None:
    """Times only rise."""
    said = [snapshot(20, BIDS, ASKS), diff(30, [("98.00", "1")], []), diff(30, [("98.00", "1")], [])]
    assert len(actions(told("bitstamp", URL, said, tmp_path))) == 3


def test_a_further_snapshot_that_agrees_publishes_nothing(tmp_path: Path) -> None:
    """It is brought forward by the diffs that are newer: REST answers lag behind the stream."""
    said = [
        snapshot(20, BIDS, ASKS),
        diff(30, [("98.00", "1")], []),
        diff(40, [("98.00", "0")], []),
        snapshot(35, [*BIDS, ("98.00", "1")], ASKS),
        diff(50, [("97.00", "1")], []),
    ]
    result = told("bitstamp", URL, said, tmp_path)
    assert result.account.excluded == {"unchanged": 1}
    assert resets(result) == 1
    assert result.account.events.get("gap", 0) == 0


def test_a_further_snapshot_shows_what_was_lost(tmp_path: Path) -> None:
    """The stream has said nothing of a level: a gap, and the book anew with what followed the snapshot."""
    said = [
        snapshot(20, BIDS, ASKS),
        diff(60, [("97.00", "1")], []),
        snapshot(50, [*BIDS, ("98.00", "1")], ASKS),
    ]
    result = told("bitstamp", URL, said, tmp_path)
    assert result.account.events["gap"] == 1
    assert resets(result) == 2
    assert [price for _, price, _ in actions(result)][-4:] == [100, 98, 97, 101]


def test_a_further_snapshot_out_of_a_cache_is_not_needed(tmp_path: Path) -> None:
    """One older than the one before it says nothing of now."""
    said = [diff(5, [], []), snapshot(20, BIDS, ASKS), snapshot(10, [], [])]
    result = told("bitstamp", URL, said, tmp_path)
    assert result.account.excluded == {"snapshot not needed": 1}
    assert resets(result) == 1


def test_a_price_that_no_record_can_hold_is_left_out_and_counted(tmp_path: Path) -> None:
    """Somebody asks ten thousand million for an ether; the rest of the book stands."""
    far: Rows = [*ASKS, ("9999999999.00", "0.1")]
    said = [snapshot(20, BIDS, far), diff(30, [], [("9999999999.00", "0")])]
    result = told("bitstamp", URL, said, tmp_path)
    assert result.account.rejected == {}
    assert result.account.excluded == {"price beyond records": 2}
    assert [price for _, price, _ in actions(result) if price < 10**6] == [100, 101]


def test_single_orders_join_a_snapshot_of_orders(tmp_path: Path) -> None:
    """Events of the snapshot's own microsecond are applied again: they say how an order stands, so that does no harm."""
    orders = book(20, [], [])
    orders["bids"] = [["100.00", "1.00000000", "1"], ["100.00", "2.00000000", "2"]]
    said = [
        order("order_deleted", 9, 10, "100.00", "4"),
        order("order_created", 2, 20, "100.00", "2.00000000"),
        (f"{REST}/order_book/btcusd/?group=2", orders),
        order("order_created", 3, 30, "101.00", "5", side=1),
        order("order_changed", 1, 30, "100.00", "0.50000000"),
        order("order_deleted", 2, 40, "100.00", "2.00000000"),
    ]
    result = told("bitstamp", URL, said, tmp_path)
    assert result.account.rejected == {}
    ids = [(str(r.action), r.order_id, str(r.side)) for r in result.of(MBOMsg) if str(r.action) in "AMC"]
    assert ids[:2] == [("A", 1, "B"), ("A", 2, "B")]
    assert ids[-3:] == [("A", 3, "A"), ("M", 1, "B"), ("C", 2, "B")]


def test_trades_take_the_texts_and_come_once(tmp_path: Path) -> None:
    """`1E-8` is a size; type 0 is a taker who bought; ids have holes, as other markets use them too."""
    common = {"price": 57748.8, "price_str": "57748.80", "microtimestamp": str(US), "timestamp": "1780000000"}
    small = push("live_trades", "trade", id=7, amount=1e-08, amount_str="1E-8", type=0, **common)
    later = push("live_trades", "trade", id=11, amount=1, amount_str="1.00000000", type=1, **common)
    result = told("bitstamp", URL, [small, small, later], tmp_path)
    trades = result.of(TradeMsg)
    assert [(str(r.side), r.size, r.sequence, r.ts_event) for r in trades] == [
        ("B", 1, 7, US * 1000),
        ("A", 10**8, 11, US * 1000),
    ]
    assert result.account.excluded == {"repeated trade": 1}


def test_the_whole_top_is_published_as_ten_levels(tmp_path: Path) -> None:
    """A hundred come."""
    bids: Rows = [(f"{100 - n}.00", "1") for n in range(12)]
    result = told("bitstamp", URL, [push("order_book", "data", **book(5, bids, ASKS))], tmp_path)
    [top] = result.of(MBP10Msg)
    assert [level.bid_px // 10**9 for level in top.levels] == [100 - n for n in range(10)]


def test_markets_of_both_forms(tmp_path: Path) -> None:
    """Decimals are steps; the older list names the symbol otherwise."""
    new = {
        "market_symbol": "btcusd",
        "base_currency": "BTC",
        "base_decimals": 8,
        "counter_currency": "USD",
        "counter_decimals": 0,
    }
    old = {"url_symbol": "xrpeur", "name": "XRP/EUR", "base_decimals": 8, "counter_decimals": 5}
    said: list[object] = [(f"{REST}/markets/", [new]), (f"{REST}/trading-pairs-info/", [old])]
    found = {r.raw_symbol: r.min_price_increment for r in told("bitstamp", URL, said, tmp_path).of(InstrumentDefMsg)}
    assert found == {"btcusd": 10**9, "xrpeur": 10_000}
