"""MEXC spot: protobuf pushes made of the meaning half's field list."""

from __future__ import annotations

import json

from emulator.generic import Generic
from emulator.reel import ID_MARK, Clock
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Ladder, Quote, Trade
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Ask, Emulation
from tapeline.spec.subscribe import Channel

_LISTINGS = (
    Listing("BTCUSDT", "BTC", "USDT", 6_180_210, 1, 2, 1, 6, 120_000),
    Listing("ETHUSDT", "ETH", "USDT", 268_451, 1, 2, 1, 5, 90_000),
    Listing("SOLUSDT", "SOL", "USDT", 15_633, 1, 2, 1, 3, 40_000),
    Listing("MXUSDT", "MX", "USDT", 36_021, 1, 4, 1, 2, 90_000),
)


class MexcMarket(Script):
    """Aggregated depth, deals and tickers, as JSON that is then packed."""

    clock = Clock.MILLIS
    stride = 1

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event on a channel."""
        listing, event = beat.listing, beat.event
        price, size = listing.price, listing.quantity
        match known.family.name, event:
            case ("deals", Trade()):
                deal = (
                    f'{{"price":"{price(event.price)}","quantity":"{size(event.size)}","tradeType":{1 if event.buy else 2},'
                    f'"time":{self.clock.mark},"tradeId":"{ID_MARK}"}}'
                )
                return self._push(known, listing, "publicAggreDeals", f'"deals":[{deal}]'), (event.id,)
            case ("bookTicker", Quote()):
                body = (
                    f'"bidPrice":"{price(event.bid)}","bidQuantity":"{size(event.bid_size)}","askPrice":"{price(event.ask)}",'
                    f'"askQuantity":"{size(event.ask_size)}","version":"{ID_MARK}"'
                )
                return self._push(known, listing, "publicAggreBookTicker", body), (event.id,)
            case ("depth", Depth()):
                changed = Ladder()
                for change in event.changes:
                    changed.sides[change.side][change.price] = change.size
                body = f'{_sides(listing, changed)},"fromVersion":"{ID_MARK}","toVersion":"{ID_MARK}"'
                return self._push(known, listing, "publicAggreDepths", body), (event.first, event.last)
            case ("limit depth", Depth()):
                body = f'{_sides(listing, beat.book, 20)},"version":"{ID_MARK}"'
                return self._push(known, listing, "publicLimitDepths", body), (event.last,)
        return None

    def _push(self, known: Channel, listing: Listing, name: str, body: str) -> str:
        time = self.clock.mark
        return f'{{"channel":"{known.id}","symbol":"{listing.symbol}","createTime":{time},"sendTime":{time},"{name}":{{{body}}}}}'

    def snapshot(self, ask: Ask, view: View) -> str | None:
        """The whole book by REST."""
        book, last = view.true()
        asks, bids = (
            [[view.listing.price(price), view.listing.quantity(size)] for price, size in book.levels(side)]
            for side in (ASK, BID)
        )
        told = {"lastUpdateId": last, "bids": bids, "asks": asks, "timestamp": view.now_ns // 1_000_000}
        return json.dumps(told, separators=(",", ":"))

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """What is listed."""
        symbols = [
            {
                "symbol": one.symbol, "status": "1", "baseAsset": one.base, "baseAssetPrecision": one.size_places,
                "quoteAsset": one.quote, "quotePrecision": one.price_places, "baseSizePrecision": one.quantity(1),
            }
            for one in self.listings
        ]  # fmt: skip
        return json.dumps(
            {"timezone": "CST", "serverTime": now_ns // 1_000_000, "symbols": symbols}, separators=(",", ":")
        )


def _sides(listing: Listing, book: Ladder, depth: int | None = None) -> str:
    asks, bids = (
        ",".join(
            f'{{"price":"{listing.price(price)}","quantity":"{listing.quantity(size)}"}}'
            for price, size in book.levels(side, depth)
        )
        for side in (ASK, BID)
    )
    return f'"asks":[{asks}],"bids":[{bids}]'


VENUE: Emulation = Generic("mexc", MexcMarket, _LISTINGS)
