"""What Bybit says in captures made by hand, after its documentation: four sockets, whose topics overlap."""

from __future__ import annotations

import json

from tests.oracle.capture import Line

MS = 1_760_000_000_000
REST = "https://api.bybit.com/v5/market/instruments-info"


def _on(connection: str, message: dict[str, object]) -> Line:
    return Line(0, "recv", connection, json.dumps(message), "")


def _connect(product: str) -> Line:
    return Line(0, "connect", product, "", f"wss://stream.bybit.com/v5/public/{product}")


def _book(
    depth: int, symbol: str, kind: str, u: int, bids: list[list[str]], asks: list[list[str]]
) -> dict[str, object]:
    data = {"s": symbol, "b": bids, "a": asks, "u": u, "seq": 10_000 + u}
    return {"topic": f"orderbook.{depth}.{symbol}", "type": kind, "ts": MS + u + 1, "data": data, "cts": MS + u}


def _trade(symbol: str, **more: object) -> dict[str, object]:
    return {
        "T": MS,
        "s": symbol,
        "S": "Buy",
        "v": "0.5",
        "p": "10.1",
        "i": "20f43950-d8dd-5b31-9112-a178eb6023af",
        **more,
    }


def _trades(topic: str, *data: object) -> dict[str, object]:
    return {"topic": f"publicTrade.{topic}", "type": "snapshot", "ts": MS + 1, "data": list(data)}


def _ticker(symbol: str, kind: str, **data: str) -> dict[str, object]:
    return {"topic": f"tickers.{symbol}", "type": kind, "data": {"symbol": symbol, **data}, "cs": 7, "ts": MS}


def _bar(confirm: bool) -> dict[str, object]:
    start = MS // 60_000 * 60_000
    prices = {"open": "10.1", "close": "10", "high": "10.4", "low": "9.9"}
    return {"start": start, "end": start + 59_999, "interval": "1", **prices, "volume": "12.5", "confirm": confirm}


def _list(category: str, symbol: str, **more: object) -> tuple[str, object]:
    entry = {"symbol": symbol, "baseCoin": "ABC", "quoteCoin": "USDT", "priceFilter": {"tickSize": "0.01"}, **more}
    result = {"category": category, "list": [entry], "nextPageCursor": ""}
    return f"{REST}?category={category}&limit=1000", {"retCode": 0, "retMsg": "OK", "result": result}


def bybit() -> list[object]:
    """Definitions, one name on two sockets, snapshots in the middle, a restart, a gap, carried tickers, block trades."""
    sizes = {"qtyStep": "0.001", "maxOrderQty": "1190"}
    whole = {"bid1Price": "10", "bid1Size": "4", "ask1Price": "10.2", "ask1Size": "7.25"}
    figures = {"markPrice": "10.15", "indexPrice": "10.16", "openInterest": "492.373", "fundingRate": "-0.005"}
    times = {"launchTime": "1584230400000", "deliveryTime": "0"}
    option = {"markPrice": "1.9", "indexPrice": "10.15", "markPriceIv": "0.4896", "underlyingPrice": "10.1"}
    return [
        _list("spot", "ABCUSDT", lotSizeFilter={"basePrecision": "0.000001", "maxLimitOrderQty": "90000"}),
        _list("linear", "ABCUSDT", settleCoin="USDT", lotSizeFilter=sizes, **times),
        _list("inverse", "ABCUSD", settleCoin="ABC", lotSizeFilter={"qtyStep": "1", "maxOrderQty": "900"}, **times),
        _connect("spot"),
        _connect("option"),
        _connect("inverse"),
        {"success": True, "ret_msg": "", "conn_id": "a388", "req_id": "1", "op": "subscribe"},
        _book(50, "ABCUSDT", "delta", 9, [["10", "1"]], []),
        _book(50, "ABCUSDT", "snapshot", 10, [["10", "4"], ["9.9", "0.5"]], [["10.2", "7.25"]]),
        _on("spot", _book(50, "ABCUSDT", "snapshot", 500, [["10.01", "3"]], [["10.03", "0.000001"]])),
        _book(50, "ABCUSDT", "delta", 11, [["9.9", "0"], ["9.8", "2"]], [["10.2", "7"]]),
        _on("spot", _book(50, "ABCUSDT", "delta", 501, [], [["10.03", "0"], ["10.04", "1"]])),
        _book(50, "ABCUSDT", "delta", 11, [["9.9", "5"]], []),
        # The service was restarted.
        _book(50, "ABCUSDT", "snapshot", 1, [["10", "2"]], [["10.1", "1"]]),
        _book(50, "ABCUSDT", "delta", 2, [["10", "0"]], []),
        # 3 and 4 never came.
        _book(50, "ABCUSDT", "delta", 5, [["9.5", "1"]], []),
        _book(50, "ABCUSDT", "delta", 6, [["9.5", "0"]], []),
        _book(50, "ABCUSDT", "snapshot", 8, [["10", "2"]], [["10.1", "1"]]),
        # Nothing has changed for three seconds.
        _book(1, "ABCUSDT", "snapshot", 77, [["10", "2"]], []),
        _book(1, "ABCUSDT", "snapshot", 77, [["10", "2"]], []),
        _on("inverse", _book(1, "ABCUSD", "snapshot", 3, [["10", "200"]], [["10.1", "7"]])),
        _trades(
            "ABCUSDT", _trade("ABCUSDT", BT=False), _trade("ABCUSDT", BT=True), _trade("ABCUSDT", S="Sell", RPI=True)
        ),
        _on("spot", _trades("ABCUSDT", _trade("ABCUSDT", v="0.000007"))),
        _on("option", _trades("ABC", _trade("ABC-26DEC25-10-C-USDT", BT=False))),
        _ticker("ABCUSDT", "snapshot", **whole, **figures, nextFundingTime="1760342400000"),
        _ticker("ABCUSDT", "delta", bid1Price="10.05"),
        _ticker("ABCUSDT", "delta", markPrice="10.2", openInterest="493"),
        # Nobody sells any more.
        _ticker("ABCUSDT", "delta", ask1Price="", ask1Size="0"),
        _ticker("ABCUSDT", "delta", bid1Size="3"),
        _on("inverse", _ticker("ABCUSD", "snapshot", **whole, fundingRate="", nextFundingTime="", openInterest="9")),
        _on("spot", _ticker("ABCUSDT", "snapshot", lastPrice="10.1", usdIndexPrice="10.123")),
        _on("spot", _ticker("ABCUSDT", "snapshot", lastPrice="10.1", usdIndexPrice="")),
        _on(
            "option",
            _ticker(
                "ABC-26DEC25-10-C-USDT", "snapshot", bidPrice="0", bidSize="0", askPrice="2", askSize="5.1", **option
            ),
        ),
        {"topic": "kline.1.ABCUSDT", "data": [_bar(False), _bar(True)], "ts": MS, "type": "snapshot"},
        _on("spot", {"topic": "kline.1.ABCUSDT", "data": [_bar(True)], "ts": MS, "type": "snapshot"}),
        _on(
            "option",
            {
                "success": True,
                "conn_id": "aa01",
                "data": {"failTopics": [], "successTopics": ["x"]},
                "type": "COMMAND_RESP",
            },
        ),
        {"success": True, "ret_msg": "pong", "conn_id": "0970", "req_id": "", "op": "ping"},
        _on("option", {"args": ["1672916271846"], "op": "pong"}),
        {
            "success": False,
            "ret_msg": "error:handler not found,topic:x.y",
            "conn_id": "0970",
            "req_id": "3",
            "op": "subscribe",
        },
    ]
