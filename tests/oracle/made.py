"""Small captures written by us after the venues' documentation: what the recordings do not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from tests.oracle.capture import Line
from tests.oracle.made_bybit import bybit
from tests.oracle.made_okx import okx

START = 1_760_000_000_000_000_000
URLS = {
    "binance_spot": "wss://stream.binance.com/stream",
    "binance_usdm": "wss://fstream.binance.com/public/stream",
    "binance_coinm": "wss://dstream.binance.com/stream",
    "bybit": "wss://stream.bybit.com/v5/public/linear",
    "okx": "wss://ws.okx.com/ws/v5/public",
    "kraken": "wss://ws.kraken.com/v2",
    "coinbase": "wss://ws-feed.exchange.coinbase.com",
    "deribit": "wss://www.deribit.com/ws/api/v2",
}
MS = START // 1_000_000


def capture(venue: str, said: list[object]) -> list[Line]:
    """Lines of what a venue said, a millisecond apart: text as it is, (url, body) a REST answer, a line but for its time, else JSON."""
    made = [Line(START, "connect", "0", "", URLS[venue])]
    for place, item in enumerate(said, 1):
        stamp = START + place * 1_000_000 + place
        if isinstance(item, Line):
            made.append(replace(item, ts=stamp))
        elif isinstance(item, tuple):
            url, body = item
            made.append(Line(stamp, "http", "0", body if isinstance(body, str) else json.dumps(body), url))
        else:
            made.append(Line(stamp, "recv", "0", item if isinstance(item, str) else json.dumps(item), ""))
    return made


def _stream(name: str, **data: object) -> dict[str, object]:
    return {"stream": name, "data": data}


def _depth(first: int, last: int, bids: list[list[str]], asks: list[list[str]], **more: object) -> dict[str, object]:
    event = {"e": "depthUpdate", "E": MS + last, "s": "ABCUSDT", "U": first, "u": last, **more, "b": bids, "a": asks}
    return {"stream": "abcusdt@depth@100ms", "data": event}


def _filters(tick: str, step: str, most: str) -> list[dict[str, str]]:
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": most, "stepSize": step},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": "200"},
    ]


def binance_spot() -> list[object]:
    """Definitions, candles, tops, aggregated trades, a thin side, sizes beyond the lot and beyond 32 bits."""
    info = {
        "timezone": "UTC",
        "symbols": [
            {
                "symbol": symbol,
                "status": "TRADING",
                "baseAsset": base,
                "quoteAsset": "USDT",
                "filters": _filters(tick, step, most),
            }
            for symbol, base, tick, step, most in (
                ("ABCUSDT", "ABC", "0.01000000", "0.00100000", "9000.00000000"),
                ("BIGUSDT", "BIG", "0.00000001", "0.01000000", "90000000000.00000000"),
            )
        ],
    }
    book = {"lastUpdateId": 105, "bids": [["10.00000000", "1.50000000"]], "asks": [["10.02000000", "2.00000000"]]}
    return [
        ("https://api.binance.com/api/v3/exchangeInfo", info),
        {"result": None, "id": 1},
        _depth(100, 104, [["9.99000000", "1.00000000"]], []),
        _depth(105, 107, [["9.98000000", "1.00000000"]], [["10.05000000", "0.00000000"]]),
        ("https://api.binance.com/api/v3/depth?symbol=ABCUSDT&limit=5000", book),
        _depth(108, 108, [], [["10.09000000", "0.00000000"]]),
        _depth(
            109, 112, [["10.00000000", "0.00000000"], ["10.01000000", "0.00150000"]], [["10.02000000", "3.00040000"]]
        ),
        _depth(109, 112, [["10.00000000", "0.00000000"]], []),
        _stream(
            "abcusdt@bookTicker", u=112, s="ABCUSDT", b="10.01000000", B="0.00150000", a="0.00000000", A="0.00000000"
        ),
        _stream("abcusdt@trade", e="trade", E=MS + 9, s="ABCUSDT", t=2**33 + 7, p="10.01", q="0.5", T=MS + 8, m=False),
        _stream(
            "abcusdt@trade", e="trade", E=MS + 9, s="ABCUSDT", t=2**33 + 8, p="10.01", q="0.0001", T=MS + 8, m=True
        ),
        _stream(
            "abcusdt@trade", e="trade", E=MS + 9, s="ABCUSDT", t=2**33 + 8, p="10.01", q="0.0001", T=MS + 8, m=True
        ),
        _stream(
            "abcusdt@aggTrade", e="aggTrade", E=MS, s="ABCUSDT", a=5, p="10", q="1", f=1, l=2, T=MS, m=True, M=True
        ),
        _stream("bigusdt@trade", e="trade", E=MS, s="BIGUSDT", t=1, p="0.00000123", q="95000000000.00", T=MS, m=True),
        _stream("abcusdt@depth5", lastUpdateId=113, bids=[["10.01", "1"], ["10.00", "2"]], asks=[["10.02", "3"]]),
        _stream("abcusdt@kline_1m", e="kline", E=MS, s="ABCUSDT", k=_kline(False)),
        _stream("abcusdt@kline_1m", e="kline", E=MS, s="ABCUSDT", k=_kline(True)),
        _stream("!serverShutdown", e="serverShutdown", E=MS),
        # A gap: 113 to 119 never came, the updates go on, a fresh book follows and the later updates are in it or after it.
        _depth(120, 121, [["10.00000000", "7.00000000"]], []),
        _depth(122, 122, [["10.00000000", "8.00000000"]], []),
        (
            "https://api.binance.com/api/v3/depth?symbol=ABCUSDT&limit=5000",
            {"lastUpdateId": 121, "bids": [["10.00", "7.00"]], "asks": [["10.02", "3.0"]]},
        ),
        _depth(123, 123, [["9.00000000", "1.00000000"]], []),
        ("https://api.binance.com/api/v3/exchangeInfo", info),
    ]


def _kline(closed: bool) -> dict[str, object]:
    start = MS // 60_000 * 60_000
    return {
        "t": start,
        "T": start + 59_999,
        "s": "ABCUSDT",
        "i": "1m",
        "o": "10.00",
        "c": "10.01",
        "h": "10.02",
        "l": "9.99",
        "v": "12.345",
        "x": closed,
    }


def binance_usdm() -> list[object]:
    """Definitions, mark price, trades that are none of the book's, the chain by `pu` and a join by `pu`."""
    info = {
        "symbols": [
            {
                "symbol": "ABCUSDT",
                "pair": "ABCUSDT",
                "contractType": "PERPETUAL",
                "deliveryDate": 4_133_404_800_000,
                "onboardDate": 1_569_398_400_000,
                "baseAsset": "ABC",
                "quoteAsset": "USDT",
                "marginAsset": "USDT",
                "filters": _filters("0.10", "0.001", "1000"),
            }
        ]
    }
    book = {"lastUpdateId": 50, "E": MS, "T": MS - 1, "bids": [["10.0", "1.5"]], "asks": [["10.2", "2.000"]]}
    trade = {"e": "trade", "E": MS + 9, "T": MS + 8, "s": "ABCUSDT", "p": "10.1", "q": "0.5", "m": False}
    return [
        ("https://fapi.binance.com/fapi/v1/exchangeInfo", info),
        _depth(40, 50, [["9.9", "1"]], [], pu=39, T=MS),
        _depth(55, 57, [["9.8", "1"]], [["10.5", "0"]], pu=50, T=MS + 1),
        ("https://fapi.binance.com/fapi/v1/depth?symbol=ABCUSDT&limit=1000", book),
        _depth(60, 61, [["9.7", "1"]], [["10.5", "4"]], pu=57, T=MS + 2),
        {"stream": "abcusdt@trade", "data": {**trade, "t": 7, "X": "MARKET"}},
        {"stream": "abcusdt@trade", "data": {**trade, "t": 8, "X": "INSURANCE_FUND"}},
        {"stream": "abcusdt@trade", "data": {**trade, "t": 9, "X": "ADL"}},
        {"stream": "abcusdt@trade", "data": {**trade, "t": 11, "X": "MARKET", "m": True}},
        {"stream": "abcusdt@trade", "data": {**trade, "t": 11, "X": "MARKET", "m": True}},
        {"stream": "abcusdt@trade", "data": {**trade, "t": 10, "X": "MARKET", "m": True}},
        _stream(
            "abcusdt@bookTicker", e="bookTicker", u=61, s="ABCUSDT", b="10.0", B="1.5", a="10.2", A="2", T=MS, E=MS + 1
        ),
        _stream(
            "abcusdt@markPrice@1s",
            e="markPriceUpdate",
            E=MS,
            s="ABCUSDT",
            p="10.11",
            i="10.12",
            P="10.1",
            r="-0.0001",
            T=MS,
        ),
        _depth(70, 71, [["9.6", "1"]], [], pu=68, T=MS + 3),
        _depth(72, 73, [["9.5", "1"]], [], pu=71, T=MS + 4),
        ("https://fapi.binance.com/fapi/v1/depth?symbol=ABCUSDT&limit=1000", {**book, "lastUpdateId": 72}),
        _depth(74, 75, [["9.5", "0"]], [], pu=73, T=MS + 5),
    ]


def binance_coinm() -> list[object]:
    """Contracts of a hundred dollars, a quarter's contract without funding, a partial depth that looks like an update."""
    info = {
        "symbols": [
            {
                "symbol": "ABCUSD_PERP",
                "pair": "ABCUSD",
                "contractType": "PERPETUAL",
                "deliveryDate": 4_133_404_800_000,
                "onboardDate": 1_597_042_800_000,
                "contractSize": 100,
                "baseAsset": "ABC",
                "quoteAsset": "USD",
                "marginAsset": "ABC",
                "filters": _filters("0.1", "1", "1000000"),
            }
        ]
    }
    mark = {"e": "markPriceUpdate", "E": MS, "p": "10.11", "P": "10.1"}

    def depth(first: int, last: int, previous: int, bids: list[list[str]], kind: str = "depth@100ms") -> object:
        ids = {"U": first, "u": last, "pu": previous, "T": MS}
        event = {"e": "depthUpdate", "E": MS + 1, "s": "ABCUSD_PERP", "ps": "ABCUSD", **ids, "b": bids, "a": []}
        return {"stream": f"abcusd_perp@{kind}", "data": event}

    book = {"lastUpdateId": 50, "E": MS, "T": MS - 1, "symbol": "ABCUSD_PERP", "pair": "ABCUSD"}
    url = "https://dapi.binance.com/dapi/v1"
    return [
        (f"{url}/exchangeInfo", info),
        depth(40, 50, 39, [["9.9", "1"]]),
        depth(55, 57, 50, [["9.8", "4000000000"]]),
        (f"{url}/depth?symbol=ABCUSD_PERP&limit=1000", {**book, "bids": [["10.0", "1"]], "asks": [["10.2", "2"]]}),
        depth(58, 58, -1, [["10.0", "1"], ["9.8", "7"]], "depth20"),
        depth(60, 61, 57, [["9.7", "1"]]),
        {"stream": "!markPrice@arr", "data": [{**mark, "s": "ABCUSD_PERP", "r": "0.0001", "T": MS}]},
        {"stream": "abcusd_perp@markPrice", "data": {**mark, "s": "ABCUSD_PERP", "r": "-0.0001", "T": MS}},
        _stream("abcusd@indexPrice", e="indexPriceUpdate", E=MS, i="ABCUSD", p="10.05"),
        depth(70, 71, 68, [["9.6", "1"]]),
        (f"{url}/depth?symbol=ABCUSD_PERP&limit=1000", {**book, "lastUpdateId": 71, "bids": [], "asks": []}),
        depth(74, 75, 71, [["9.5", "3"]]),
    ]


def kraken() -> list[object]:
    """Instruments, several trades in a frame, a ticker with an empty side, a status and a pong."""
    pair = {
        "symbol": "ABC/USD",
        "base": "ABC",
        "quote": "USD",
        "status": "online",
        "qty_precision": 8,
        "qty_increment": 0.00000001,
        "price_precision": 1,
        "price_increment": 0.1,
        "qty_min": 0.0001,
    }
    trades = [
        {
            "symbol": "ABC/USD",
            "side": side,
            "price": 100.1,
            "qty": size,
            "ord_type": "market",
            "trade_id": number,
            "timestamp": "2026-08-02T03:35:51.671267Z",
        }
        for side, size, number in (("buy", 0.5, 11), ("sell", 0.25, 12))
    ]
    ticker = {"symbol": "ABC/USD", "bid": 100.0, "bid_qty": 1.5, "ask": 0, "ask_qty": 0, "last": 100.1}
    return [
        {"channel": "status", "type": "update", "data": [{"system": "online", "version": "2.0.10"}]},
        {"method": "subscribe", "result": {"channel": "trade", "symbol": "ABC/USD"}, "success": True},
        # Python would write the step as 1e-08.
        json.dumps({"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": [pair]}}).replace(
            "1e-08", "0.00000001"
        ),
        {"channel": "trade", "type": "update", "data": trades},
        {"channel": "trade", "type": "update", "data": trades[1:]},
        {"channel": "ticker", "type": "snapshot", "data": [ticker]},
        {
            "channel": "ticker",
            "type": "update",
            "data": [{**ticker, "ask": 100.2, "ask_qty": 3, "timestamp": "2026-08-02T03:35:52Z"}],
        },
        {"method": "pong", "time_in": "2026-08-02T03:35:51Z", "time_out": "2026-08-02T03:35:51Z"},
        {"channel": "heartbeat"},
    ]


def coinbase() -> list[object]:
    """Products, matches with the last one again, a ticker, level2 with an odd time, and `full` across a gap."""
    product = {
        "id": "ABC-USD",
        "base_currency": "ABC",
        "quote_currency": "USD",
        "base_increment": "0.001",
        "quote_increment": "0.01",
    }
    time = "2026-08-02T03:35:51.671267Z"
    match = {
        "type": "match",
        "trade_id": 21,
        "maker_order_id": ID[0],
        "taker_order_id": ID[1],
        "side": "sell",
        "size": "0.5",
        "price": "10.01",
        "product_id": "ABC-USD",
        "sequence": 5,
        "time": time,
    }
    return [
        ("https://api.exchange.coinbase.com/products", [product]),
        {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["ABC-USD"]}]},
        {**match, "type": "last_match", "trade_id": 20},
        match,
        match,
        {**match, "trade_id": 22, "side": "buy"},
        {
            "type": "ticker",
            "sequence": 6,
            "product_id": "ABC-USD",
            "price": "10",
            "best_bid": "10.00",
            "best_bid_size": "1.5",
            "best_ask": "10.02",
            "best_ask_size": "2",
            "side": "buy",
            "time": time,
            "trade_id": 22,
            "last_size": "0.5",
        },
        {"type": "l2update", "product_id": "ABC-USD", "changes": [["buy", "9.99", "1"]], "time": time},
        {
            "type": "snapshot",
            "product_id": "ABC-USD",
            "bids": [["10.00", "1.5"], ["9.99", "0.123"]],
            "asks": [["10.02", "2"]],
            "time": time,
        },
        {
            "type": "l2update",
            "product_id": "ABC-USD",
            "changes": [["buy", "9.99", "0"], ["sell", "10.02", "2.5"], ["sell", "10.03", "0.00"]],
            "time": "0001-01-01T00:00:00.000000Z",
        },
        {"type": "error", "message": "Failed to subscribe", "reason": "unknown"},
        *_full_channel(),
    ]


ID = [f"0000000{digit}-1111-2222-3333-44444444444{digit}" for digit in "123456789"]


def _full_channel() -> list[object]:
    common = {"product_id": "XYZ-USD", "time": "2026-08-02T03:35:51.671267Z"}

    def order(kind: str, sequence: int, place: int, side: str, **more: object) -> dict[str, object]:
        return {"type": kind, "sequence": sequence, "order_id": ID[place], "side": side, **common, **more}

    def book(sequence: int) -> tuple[str, object]:
        bids = [["10.00", "1.5", ID[0]], ["10.00", "0.25", ID[1]], ["9.90", "3", ID[2]]]
        url = "https://api.exchange.coinbase.com/products/XYZ-USD/book?level=3"
        return url, {"sequence": sequence, "bids": bids, "asks": [["10.10", "2", ID[3]]]}

    match = {
        "type": "match",
        "trade_id": 1,
        "maker_order_id": ID[0],
        "taker_order_id": ID[4],
        "size": "0.5",
        "price": "10.00",
        "side": "buy",
        **common,
    }
    return [
        order("open", 100, 5, "buy", price="9.00", remaining_size="1"),
        order("received", 101, 6, "sell", price="10.20", size="1", order_type="limit"),
        book(100),
        order("open", 102, 6, "sell", price="10.20", remaining_size="1"),
        {**match, "sequence": 103},
        order("change", 104, 2, "buy", price="9.90", old_size="3", new_size="2"),
        {**match, "sequence": 105, "size": "1.0"},
        order(
            "change",
            106,
            1,
            "buy",
            reason="modify_order",
            old_price="10.00",
            new_price="9.80",
            old_size="0.25",
            new_size="0.25",
        ),
        order("change", 107, 8, "buy", old_funds="12.00", new_funds="11.00", price=None),
        order("done", 108, 0, "buy", price="10.00", remaining_size="0", reason="filled"),
        order("done", 109, 2, "buy", price="9.90", remaining_size="2", reason="canceled"),
        order("done", 109, 2, "buy", price="9.90", remaining_size="2", reason="canceled"),
        # 110 and 111 never came.
        order("open", 112, 7, "buy", price="9.95", remaining_size="4"),
        order("open", 113, 8, "sell", price="10.15", remaining_size="5"),
        book(112),
        order("done", 114, 8, "sell", price="10.15", remaining_size="5", reason="canceled"),
    ]


def deribit() -> list[object]:
    """Instruments of every kind, trades, quotes with an empty side, a book across a gap and a legal change of nothing."""

    def push(channel: str, data: object) -> dict[str, object]:
        return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}

    def book(kind: str, number: int, bids: list[object], asks: list[object], **more: object) -> dict[str, object]:
        name = "ABC-PERPETUAL"
        return push(
            f"book.{name}.raw",
            {
                "type": kind,
                "timestamp": MS,
                "instrument_name": name,
                "change_id": number,
                **more,
                "bids": bids,
                "asks": asks,
            },
        )

    instrument = {
        "instrument_name": "ABC-PERPETUAL",
        "kind": "future",
        "base_currency": "ABC",
        "quote_currency": "USD",
        "settlement_currency": "ABC",
        "tick_size": 0.5,
        "min_trade_amount": 10,
        "contract_size": 10,
        "creation_timestamp": 1_534_242_287_000,
        "expiration_timestamp": 32_503_708_800_000,
        "instrument_type": "reversed",
    }
    option = {
        **instrument,
        "instrument_name": "ABC-27MAR26-100-C",
        "kind": "option",
        "option_type": "call",
        "quote_currency": "ABC",
        "strike": 100.0,
        "tick_size": 0.0005,
        "min_trade_amount": 0.1,
        "expiration_timestamp": 1_774_598_400_000,
    }
    linear = {
        "quote_currency": "USDC",
        "settlement_currency": "USDC",
        "instrument_type": "linear",
        "min_trade_amount": 0.001,
    }
    others = [
        option,
        {**option, "instrument_name": "ABC-27MAR26-100-P", "option_type": "put"},
        {**instrument, "instrument_name": "ABC_USDC-PERPETUAL", **linear},
        {**instrument, "instrument_name": "ABC_USDC", "kind": "spot", **linear},
        {**instrument, "instrument_name": "ABC-FS-27MAR26_PERP", "kind": "future_combo"},
        {**option, "instrument_name": "ABC-CS-27MAR26-100_110", "kind": "option_combo", "strike": None},
    ]
    for other in others[-1:]:
        del other["option_type"]
    trade = {
        "instrument_name": "ABC-PERPETUAL",
        "trade_seq": 5,
        "trade_id": "a",
        "timestamp": MS,
        "price": 100.5,
        "amount": 20.0,
        "direction": "sell",
        "tick_direction": 0,
    }
    return [
        (
            "https://www.deribit.com/api/v2/public/get_instruments?currency=any",
            {"jsonrpc": "2.0", "result": [instrument, *others]},
        ),
        {"jsonrpc": "2.0", "id": 1, "result": ["book.ABC-PERPETUAL.raw"]},
        {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}},
        push("trades.ABC-PERPETUAL.raw", [trade, {**trade, "trade_seq": 6, "direction": "buy"}]),
        push(
            "quote.ABC-PERPETUAL",
            {
                "timestamp": MS,
                "instrument_name": "ABC-PERPETUAL",
                "best_bid_price": 100.0,
                "best_bid_amount": 40.0,
                "best_ask_price": None,
                "best_ask_amount": 0.0,
            },
        ),
        book("snapshot", 10, [["new", 100.0, 40.0]], [["new", 101.0, 30.0]]),
        book("change", 12, [["change", 100.0, 50.0]], [], prev_change_id=10),
        book("change", 13, [["delete", 100.0, 0.0], ["new", 99.5, 10.0]], [["delete", 105.0, 0.0]], prev_change_id=12),
        book("change", 13, [["delete", 100.0, 0.0]], [], prev_change_id=12),
        book("change", 16, [["new", 99.0, 10.0]], [], prev_change_id=15),
        book("change", 17, [["new", 98.5, 10.0]], [], prev_change_id=16),
        book("snapshot", 20, [["new", 99.5, 10.0]], [["new", 101.0, 30.0]]),
        book("change", 21, [], [["change", 101.0, 20.0]], prev_change_id=20),
    ]


MADE: dict[str, Callable[[], list[object]]] = {
    "binance_spot": binance_spot,
    "binance_usdm": binance_usdm,
    "binance_coinm": binance_coinm,
    "okx": okx,
    "bybit": bybit,
    "kraken": kraken,
    "coinbase": coinbase,
    "deribit": deribit,
}
