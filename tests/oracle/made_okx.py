"""What OKX says in captures made by hand, after its documentation."""

from __future__ import annotations

MS = 1_760_000_000_000
REST = "https://openapi.okx.com/api/v5/public/instruments"


def _push(channel: str, symbol: str, *data: object, **more: object) -> dict[str, object]:
    return {"arg": {"channel": channel, "instId": symbol}, **more, "data": list(data)}


def _book(action: str, previous: int, number: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, object]:
    ids = {"checksum": 0, "prevSeqId": previous, "seqId": number}
    return _push("books", "ABC-USDT-SWAP", {"asks": asks, "bids": bids, "ts": str(MS + number), **ids}, action=action)


def _instrument(kind: str, symbol: str, **more: str) -> dict[str, str]:
    empty = ("baseCcy", "quoteCcy", "settleCcy", "ctVal", "ctValCcy", "ctType", "optType", "stk", "expTime", "listTime")
    steps = {"tickSz": "0.1", "lotSz": "0.01", "maxLmtSz": "9999999999"}
    return {"instType": kind, "instId": symbol, **dict.fromkeys(empty, ""), **steps, **more}


def okx() -> list[object]:
    """Definitions, resets and no-change updates that are legal, a gap, thin sides, figures, candles, words among JSON."""
    swap = {"settleCcy": "USDT", "ctVal": "0.01", "ctValCcy": "ABC", "ctType": "linear", "listTime": "1600000000000"}
    future = {"settleCcy": "ABC", "ctVal": "100", "ctValCcy": "USD", "ctType": "inverse", "expTime": "1798185600000"}
    call = {"settleCcy": "ABC", "ctVal": "1", "ctValCcy": "ABC", "optType": "C", "stk": "12.5"}
    listed = [
        _instrument("SPOT", "ABC-USDT", baseCcy="ABC", quoteCcy="USDT", lotSz="0.00000001", tickSz="0.0000000001"),
        _instrument("SWAP", "ABC-USDT-SWAP", **swap),
        _instrument("FUTURES", "ABC-USD-261225", **future, lotSz="1"),
        _instrument("OPTION", "ABC-USD-261225-12.5-C", **call),
    ]
    trade = {"instId": "ABC-USDT-SWAP", "px": "10.1", "side": "buy", "ts": str(MS), "count": "3", "source": "0"}
    quote = {"instId": "ABC-USD-261225", "last": "10", "ts": str(MS)}
    kind = {"instType": "SWAP", "instId": "ABC-USDT-SWAP", "ts": str(MS)}
    candle = [str(MS // 60_000 * 60_000), "10.1", "10.4", "9.9", "10", "1512.25", "15.1225", "151.2"]
    return [
        (f"{REST}?instType=SPOT", {"code": "0", "msg": "", "data": listed[:2]}),
        {"event": "subscribe", "arg": {"channel": "books", "instId": "ABC-USDT-SWAP"}, "connId": "a4d3ae55"},
        _book("update", 5, 9, [["10", "1", "0", "1"]], []),
        _book("snapshot", -1, 10, [["10", "4", "0", "1"], ["9.9", "0.5", "0", "2"]], [["10.2", "7.25", "0", "3"]]),
        _book("update", 10, 17, [["9.9", "0", "0", "0"], ["9.8", "2", "0", "1"]], [["10.2", "7", "0", "3"]]),
        # About once a minute, when nothing has changed.
        _book("update", 17, 17, [], []),
        "pong",
        _book("update", 17, 21, [["10.05", "1", "0", "1"]], []),
        # After maintenance ids are lower, but linked.
        _book("update", 21, 3, [["9.7", "1.005", "0", "1"]], []),
        _book("update", 3, 5, [], [["10.2", "0", "0", "0"]]),
        _book("update", 3, 5, [], [["10.2", "0", "0", "0"]]),
        {"arg": {"channel": "instruments", "instType": "FUTURES"}, "data": listed[2:]},
        # 6 to 8 never came.
        _book("update", 8, 9, [["9.6", "1", "0", "1"]], []),
        _book("update", 9, 12, [["9.6", "0", "0", "0"]], []),
        {"event": "unsubscribe", "arg": {"channel": "books", "instId": "ABC-USDT-SWAP"}, "connId": "a4d3ae55"},
        _book("snapshot", -1, 12, [["10", "4", "0", "1"]], [["10.3", "1", "0", "3"]]),
        _book("update", 12, 13, [["10.1", "2", "0", "1"]], []),
        _push("trades", "ABC-USDT-SWAP", {**trade, "tradeId": "7", "sz": "3"}, {**trade, "tradeId": "10", "sz": "0.5"}),
        _push("trades", "ABC-USDT-SWAP", {**trade, "tradeId": "10", "sz": "0.5"}),
        _push("trades-all", "ABC-USDT-SWAP", {**trade, "tradeId": "8", "sz": "0.01", "side": "sell"}),
        _push("bbo-tbt", "ABC-USDT-SWAP", {"asks": [], "bids": [["10", "4", "0", "1"]], "ts": str(MS), "seqId": 12}),
        _push("books5", "ABC-USDT", {"asks": [["0.3", "0.00000007", "0", "1"]], "bids": [], "ts": str(MS), "seqId": 3}),
        _push("tickers", "ABC-USD-261225", {**quote, "askPx": "10.2", "askSz": "3", "bidPx": "", "bidSz": ""}),
        _push("mark-price", "ABC-USDT-SWAP", {**kind, "markPx": "10.123"}),
        _push("index-tickers", "ABC-USDT", {"instId": "ABC-USDT", "idxPx": "10.11", "ts": str(MS)}),
        _push("open-interest", "ABC-USDT-SWAP", {**kind, "oi": "123456.789", "oiCcy": "1234.5"}),
        _push("funding-rate", "ABC-USDT-SWAP", {**kind, "fundingRate": "-0.00012", "fundingTime": str(MS + 9)}),
        _push("candle1m", "ABC-USDT-SWAP", [*candle, "0"]),
        _push("candle1m", "ABC-USDT-SWAP", [*candle, "1"]),
        {"event": "notice", "code": "64008", "msg": "The connection will soon be closed for a service upgrade."},
        {"event": "error", "code": "60018", "msg": "Wrong URL or channel.", "connId": "a4d3ae55", "id": "1"},
    ]
