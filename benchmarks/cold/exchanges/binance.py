"""What Binance says, spot and USD-M futures: the same keys in the same order as in recorded messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cold.market import Block, Depth, Listing, Market
from benchmarks.cold.sheet import Integers, Piece, choice, number
from benchmarks.cold.words import Lines, Single, fixed, levels, lines, millis, packed, pairs, price, size, tick
from tapeline.schemas import Schema

_MOST_LOTS = 4_000_000_000
"""More would not fit into the 32 bits of a DBN size, and make the lots of records larger than those of the venue."""


def spot(listing: Listing, block: Block) -> list[Lines]:
    """trade, bookTicker, depth@100ms."""
    return [
        _trades(listing, block, futures=False),
        _quotes(listing, block, futures=False),
        _depth(listing, block.depth, futures=False),
    ]


def usdm(listing: Listing, block: Block) -> list[Lines]:
    """trade, bookTicker, depth@100ms, markPrice@1s."""
    figures, name = block.figures, listing.symbol.lower()
    told, clock = price(listing, figures.prices), millis(figures.times)
    funding = str(-(-int(figures.times[-1]) // 28_800_000_000_000) * 28_800_000 if len(figures.times) else 0).encode()
    mark: list[Piece] = [
        f'{{"stream":"{name}@markPrice@1s","data":{{"e":"markPriceUpdate","E":'.encode(), clock,
        f',"s":"{listing.symbol}","p":"'.encode(), told, b'","P":"', told, b'","i":"', told,
        b'","r":"0.00010000","T":', funding, b"}}",
    ]  # fmt: skip
    return [
        _trades(listing, block, futures=True),
        _quotes(listing, block, futures=True),
        _depth(listing, block.depth, futures=True),
        lines(f"{name}@markPrice@1s", Schema.STATISTICS, figures.times, mark),
    ]


def _trades(listing: Listing, block: Block, futures: bool) -> Lines:
    trades, name, clock = block.trades, listing.symbol.lower(), millis(block.trades.times)
    deal: list[Piece] = [
        b'"t":', number(trades.ids, 10), b',"p":"', price(listing, trades.prices),
        b'","q":"', size(listing, trades.sizes), b'"',
    ]  # fmt: skip
    maker = choice((b"true", b"false"), trades.buys.astype(np.int64))
    symbol = f',"s":"{listing.symbol}",'.encode()
    head: list[Piece] = [f'{{"stream":"{name}@trade","data":{{"e":"trade","E":'.encode(), clock]
    if futures:
        pieces = [*head, b',"T":', clock, symbol, *deal, b',"X":"MARKET","m":', maker, b"}}"]
    else:
        pieces = [*head, symbol, *deal, b',"T":', clock, b',"m":', maker, b',"M":true}}']
    return lines(f"{name}@trade", Schema.TRADES, trades.times, pieces)


def _quotes(listing: Listing, block: Block, futures: bool) -> Lines:
    quotes, name, clock = block.quotes, listing.symbol.lower(), millis(block.quotes.times)
    kind = b'"e":"bookTicker",' if futures else b""
    ending: list[Piece] = [b',"T":', clock, b',"E":', clock] if futures else []
    pieces: list[Piece] = [
        f'{{"stream":"{name}@bookTicker","data":{{'.encode(), kind, b'"u":', number(quotes.ids, 13),
        f',"s":"{listing.symbol}","b":"'.encode(), price(listing, quotes.bids),
        b'","B":"', size(listing, quotes.bid_sizes), b'","a":"', price(listing, quotes.asks),
        b'","A":"', size(listing, quotes.ask_sizes), b'"', *ending, b"}}",
    ]  # fmt: skip
    return lines(f"{name}@bookTicker", Schema.MBP_1, quotes.times, pieces)


def _depth(listing: Listing, depth: Depth, futures: bool) -> Lines:
    name, clock = listing.symbol.lower(), millis(depth.times)

    def level(prices: Integers, sizes: Integers) -> list[Piece]:
        return [b'["', price(listing, prices), b'","', size(listing, sizes), b'"]']

    engine: list[Piece] = [b',"T":', clock] if futures else []
    link: list[Piece] = [b',"pu":', number(depth.previous, 13)] if futures else []
    pieces: list[Piece] = [
        f'{{"stream":"{name}@depth@100ms","data":{{"e":"depthUpdate","E":'.encode(), clock, *engine,
        f',"s":"{listing.symbol}","U":'.encode(), number(depth.firsts, 13), b',"u":', number(depth.lasts, 13), *link,
        b',"b":[', *levels(depth.bids, level), b'],"a":[', *levels(depth.asks, level), b"]}}",
    ]  # fmt: skip
    return lines(f"{name}@depth@100ms", Schema.MBO, depth.times, pieces)


def begin(market: Market, time: int) -> Single:
    """The REST answer that a book's changes follow."""
    taken = market.snapshot(time)
    listing = market.listing
    sides = {name: pairs(listing, side) for name, side in (("bids", taken.bids), ("asks", taken.asks))}
    channel = f"{listing.symbol.lower()}@depth@100ms"
    return Single(channel, Schema.MBO, packed({"lastUpdateId": taken.last, **sides}))


def instruments(listings: Sequence[Listing], time: int) -> Single:
    """exchangeInfo, of spot and of futures alike."""
    entries = [
        {
            "symbol": one.symbol,
            "pair": one.symbol,
            "contractType": "PERPETUAL",
            "deliveryDate": 4_133_404_800_000,
            "onboardDate": 1_569_398_400_000,
            "status": "TRADING",
            "baseAsset": one.base,
            "quoteAsset": one.quote,
            "marginAsset": one.quote,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": fixed(tick(one), one.price_places)},
                {
                    "filterType": "LOT_SIZE",
                    "stepSize": fixed(one.lot, one.size_places),
                    "maxQty": fixed(_MOST_LOTS * one.lot, one.size_places),
                },
            ],
        }
        for one in listings
    ]
    body = {"timezone": "UTC", "serverTime": time // 1_000_000, "symbols": entries}
    return Single("exchangeInfo", Schema.DEFINITION, packed(body))
