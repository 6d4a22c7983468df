"""What Bybit says of linear perpetuals: the same keys in the same order as in recorded messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cold.market import Block, Listing, Market
from benchmarks.cold.sheet import Integers, Piece, choice, hexadecimal, number
from benchmarks.cold.words import Lines, Single, levels, lines, millis, packed, pairs, price, size, tick, trimmed
from tapeline.schemas import Schema


def speak(listing: Listing, block: Block) -> list[Lines]:
    """orderbook.50, orderbook.1, publicTrade of a linear perpetual."""
    trades, quotes, depth, symbol = block.trades, block.quotes, block.depth, listing.symbol
    clock = millis(trades.times)
    mark = trades.marks
    trade: list[Piece] = [
        f'{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":'.encode(), clock,
        b',"data":[{"T":', clock, f',"s":"{symbol}","S":"'.encode(), choice((b"Sell", b"Buy"), trades.buys.astype(np.int64)),
        b'","v":"', size(listing, trades.sizes, trim=True), b'","p":"', price(listing, trades.prices),
        b'","L":"', choice((b"PlusTick", b"ZeroMinusTick"), (mark[:, 0] & 1).astype(np.int64)), b'","i":"',
        hexadecimal(mark[:, :4]), b"-", hexadecimal(mark[:, 4:6]), b"-", hexadecimal(mark[:, 6:8]), b"-",
        hexadecimal(mark[:, 8:10]), b"-", hexadecimal(mark[:, 10:]), b'","BT":false,"RPI":false,"seq":',
        number(trades.ids * 7, 12), b"}]}",
    ]  # fmt: skip

    def level(prices: Integers, sizes: Integers) -> list[Piece]:
        return [b'["', price(listing, prices), b'","', size(listing, sizes, trim=True), b'"]']

    def book(topic: str, kind: str, times: Integers, sides: list[Piece], serials: Piece, ids: Integers) -> list[Piece]:
        stamp = millis(times)
        return [
            f'{{"topic":"{topic}.{symbol}","type":"{kind}","ts":'.encode(), stamp,
            f',"data":{{"s":"{symbol}","b":['.encode(), *sides, b'],"u":', serials, b',"seq":', number(ids, 13),
            b'},"cts":', stamp, b"}",
        ]  # fmt: skip

    changes = [*levels(depth.bids, level), b'],"a":[', *levels(depth.asks, level)]
    top = [*level(quotes.bids, quotes.bid_sizes), b'],"a":[', *level(quotes.asks, quotes.ask_sizes)]
    quoted = book("orderbook.1", "snapshot", quotes.times, top, number(quotes.ids - 50_000_000_000, 13), quotes.ids)
    booked = book("orderbook.50", "delta", depth.times, changes, number(depth.serials, 9), depth.lasts)
    return [
        lines(f"publicTrade.{symbol}", Schema.TRADES, trades.times, trade),
        lines(f"orderbook.1.{symbol}", Schema.MBP_1, quotes.times, quoted),
        lines(f"orderbook.50.{symbol}", Schema.MBO, depth.times, booked),
    ]


def begin(market: Market, time: int) -> Single:
    """The snapshot with which a book's topic begins."""
    taken, listing, topic = market.snapshot(time), market.listing, f"orderbook.50.{market.listing.symbol}"
    sides = {name: pairs(listing, side) for name, side in (("b", taken.bids), ("a", taken.asks))}
    data = {"s": listing.symbol, **sides, "u": market.serial, "seq": taken.last}
    stamp = time // 1_000_000
    told = {"topic": topic, "type": "snapshot", "ts": stamp, "data": data, "cts": stamp}
    return Single(topic, Schema.MBO, packed(told))


def instruments(listings: Sequence[Listing], time: int) -> Single:
    """The list of linear perpetuals."""
    entries = [
        {
            "symbol": one.symbol,
            "status": "Trading",
            "baseCoin": one.base,
            "quoteCoin": one.quote,
            "settleCoin": one.quote,
            "launchTime": "1584230400000",
            "deliveryTime": "0",
            "priceFilter": {"tickSize": trimmed(tick(one), one.price_places)},
            "lotSizeFilter": {"qtyStep": trimmed(one.lot, one.size_places), "maxOrderQty": "1000000"},
        }
        for one in listings
    ]
    result = {"category": "linear", "list": entries, "nextPageCursor": ""}
    told = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": time // 1_000_000}
    return Single("instruments.linear", Schema.DEFINITION, packed(told))
