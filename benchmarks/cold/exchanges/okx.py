"""What OKX says since its books bring no checksum: the same keys in the same order as in recorded messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cold.market import Block, Listing, Market
from benchmarks.cold.sheet import Integers, Piece, choice, number
from benchmarks.cold.words import Lines, Single, levels, lines, millis, packed, price, size, tick, trimmed
from tapeline.schemas import Schema


def speak(listing: Listing, block: Block) -> list[Lines]:
    """trades, bbo-tbt, books."""
    trades, quotes, depth, symbol = block.trades, block.quotes, block.depth, listing.symbol

    def level(prices: Integers, sizes: Integers) -> list[Piece]:
        orders = choice((b"0", b"1", b"2", b"5"), np.minimum(sizes // listing.lot, 3))
        told = price(listing, prices, trim=True), size(listing, sizes, trim=True)
        return [b'["', told[0], b'","', told[1], b'","0","', orders, b'"]']

    def push(channel: str, action: str = "") -> bytes:
        told = f'"action":"{action}",' if action else ""
        return f'{{"arg":{{"channel":"{channel}","instId":"{symbol}"}},{told}"data":[{{'.encode()

    trade: list[Piece] = [
        push("trades"), f'"instId":"{symbol}","tradeId":"'.encode(), number(trades.ids, 10),
        b'","px":"', price(listing, trades.prices, trim=True), b'","sz":"', size(listing, trades.sizes, trim=True),
        b'","side":"', choice((b"sell", b"buy"), trades.buys.astype(np.int64)), b'","ts":"', millis(trades.times),
        b'","count":"1","source":"0","seqId":', number(trades.ids * 9, 12), b"}]}",
    ]  # fmt: skip
    quote: list[Piece] = [
        push("bbo-tbt"), b'"asks":[', *level(quotes.asks, quotes.ask_sizes), b'],"bids":[',
        *level(quotes.bids, quotes.bid_sizes), b'],"ts":"', millis(quotes.times), b'","seqId":',
        number(quotes.ids, 13), b"}]}",
    ]  # fmt: skip
    book: list[Piece] = [
        push("books", "update"), b'"asks":[', *levels(depth.asks, level), b'],"bids":[', *levels(depth.bids, level),
        b'],"ts":"', millis(depth.times), b'","checksum":0,"prevSeqId":', number(depth.previous, 13), b',"seqId":',
        number(depth.lasts, 13), b"}]}",
    ]  # fmt: skip
    return [
        lines(f"trades.{symbol}", Schema.TRADES, trades.times, trade),
        lines(f"bbo-tbt.{symbol}", Schema.MBP_1, quotes.times, quote),
        lines(f"books.{symbol}", Schema.MBO, depth.times, book),
    ]


def begin(market: Market, time: int) -> Single:
    """The snapshot with which a book's channel begins."""
    taken, listing = market.snapshot(time), market.listing
    sides = {
        name: [[trimmed(at, listing.price_places), trimmed(much, listing.size_places), "0", "1"] for at, much in side]
        for name, side in (("asks", taken.asks), ("bids", taken.bids))
    }
    entry = {**sides, "ts": str(time // 1_000_000), "checksum": 0, "prevSeqId": -1, "seqId": taken.last}
    arg = {"channel": "books", "instId": listing.symbol}
    told = {"arg": arg, "action": "snapshot", "data": [entry]}
    return Single(f"books.{listing.symbol}", Schema.MBO, packed(told))


def instruments(listings: Sequence[Listing], _time: int) -> Single:
    """The list of linear swaps."""
    entries = [
        {
            "instType": "SWAP",
            "instId": one.symbol,
            "baseCcy": "",
            "quoteCcy": "",
            "settleCcy": one.quote,
            "ctVal": "0.01",
            "ctValCcy": one.base,
            "ctType": "linear",
            "optType": "",
            "stk": "",
            "listTime": "1548133413000",
            "expTime": "",
            "tickSz": trimmed(tick(one), one.price_places),
            "lotSz": trimmed(one.lot, one.size_places),
            "state": "live",
        }
        for one in listings
    ]
    return Single("list.SWAP", Schema.DEFINITION, packed({"code": "0", "msg": "", "data": entries}))
