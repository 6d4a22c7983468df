"""What Deribit says of inverse perpetuals; its numbers stand without quotation marks, with a place after the point at least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cold.market import Block, Listing, Market
from benchmarks.cold.sheet import Cells, Integers, Piece, choice, number
from benchmarks.cold.words import Lines, Single, fixed, levels, lines, millis, price, size, tick
from tapeline.schemas import Schema


def speak(listing: Listing, block: Block) -> list[Lines]:
    """trades, quote, book; numbers without quotation marks, with a place after the point at least."""
    trades, quotes, depth, symbol = block.trades, block.quotes, block.depth, listing.symbol

    def at(values: Integers) -> Cells:
        return price(listing, values, trim=True, least=1)

    def much(values: Integers) -> Cells:
        return size(listing, values, trim=True, least=1)

    def level(prices: Integers, sizes: Integers) -> list[Piece]:
        action = choice((b"delete", b"new", b"change"), np.where(sizes == 0, 0, 1 + (sizes // listing.lot > 3)))
        return [b'["', action, b'",', at(prices), b",", much(sizes), b"]"]

    def push(channel: str) -> bytes:
        return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":'.encode()

    trade: list[Piece] = [
        push(f"trades.{symbol}.100ms"), b'[{"trade_seq":', number(trades.ids - 3_700_000_000, 10), b',"trade_id":"',
        number(trades.ids, 10), b'","timestamp":', millis(trades.times), b',"tick_direction":',
        choice((b"0", b"1", b"2", b"3"), (trades.marks[:, 0] & 3).astype(np.int64)), b',"price":', at(trades.prices),
        b',"mark_price":', at(trades.prices + listing.step), f',"instrument_name":"{symbol}","index_price":'.encode(),
        at(trades.prices - listing.step), b',"direction":"', choice((b"sell", b"buy"), trades.buys.astype(np.int64)),
        b'","amount":', much(trades.sizes), b"}]}}",
    ]  # fmt: skip
    quote: list[Piece] = [
        push(f"quote.{symbol}"), b'{"timestamp":', millis(quotes.times), f',"instrument_name":"{symbol}"'.encode(),
        b',"best_bid_price":', at(quotes.bids), b',"best_bid_amount":', much(quotes.bid_sizes), b',"best_ask_price":',
        at(quotes.asks), b',"best_ask_amount":', much(quotes.ask_sizes), b"}}}",
    ]  # fmt: skip
    book: list[Piece] = [
        push(f"book.{symbol}.100ms"), b'{"type":"change","timestamp":', millis(depth.times), b',"prev_change_id":',
        number(depth.previous, 13), f',"instrument_name":"{symbol}","change_id":'.encode(), number(depth.lasts, 13),
        b',"bids":[', *levels(depth.bids, level), b'],"asks":[', *levels(depth.asks, level), b"]}}}",
    ]  # fmt: skip
    return [
        lines(f"trades.{symbol}.100ms", Schema.TRADES, trades.times, trade),
        lines(f"quote.{symbol}", Schema.MBP_1, quotes.times, quote),
        lines(f"book.{symbol}.100ms", Schema.MBO, depth.times, book),
    ]


def begin(market: Market, time: int) -> Single:
    """The snapshot with which a book's channel begins."""
    taken, listing = market.snapshot(time), market.listing
    channel = f"book.{listing.symbol}.100ms"
    bids, asks = (_levels(listing, side) for side in (taken.bids, taken.asks))
    told = (
        f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{{"type":"snapshot",'
        f'"timestamp":{time // 1_000_000},"instrument_name":"{listing.symbol}","change_id":{taken.last},'
        f'"bids":[{bids}],"asks":[{asks}]}}}}}}'
    )
    return Single(channel, Schema.MBO, told.encode())


def _levels(listing: Listing, side: tuple[tuple[int, int], ...]) -> str:
    return ",".join(
        f'["new",{fixed(at, listing.price_places)},{fixed(much, listing.size_places)}]' for at, much in side
    )


def instruments(listings: Sequence[Listing], time: int) -> Single:
    """The list of all instruments."""
    entries = ",".join(
        f'{{"kind":"future","instrument_type":"reversed","instrument_name":"{one.symbol}","base_currency":"{one.base}",'
        f'"quote_currency":"USD","settlement_currency":"{one.base}","expiration_timestamp":32503708800000,'
        f'"creation_timestamp":1534167754000,"tick_size":{fixed(tick(one), one.price_places)},'
        f'"min_trade_amount":{fixed(one.lot, one.size_places)}}}'
        for one in listings
    )
    told = f'{{"jsonrpc":"2.0","result":[{entries}],"usIn":{time // 1000},"usOut":{time // 1000 + 7},"testnet":false}}'
    return Single("instruments", Schema.DEFINITION, told.encode())
